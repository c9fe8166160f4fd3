/// What the command line says, checked: each value either is in its range, or is refused with its name, itself and the range.
module FunTrpo.Cli.Arguments

open System
open System.Globalization
open FunTrpo
open FunTrpo.Environments

/// An integer in [low, high].
let integer name (low: int64) (high: int64) (text: string) =
    match Int64.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture) with
    | true, value when low <= value && value <= high -> Ok value
    | _ -> Error(InvalidSetting(name, text, $"it must be an integer in [{low}, {high}]"))

/// A finite number.
let number name (text: string) =
    match Double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture) with
    | true, value when Double.IsFinite value -> Ok value
    | _ -> Error(InvalidSetting(name, text, "it must be a finite number"))

/// A registered environment.
let environment id =
    match Registry.tryFind id with
    | Some registered -> Ok registered
    | None ->
        let known = Registry.all |> List.map _.Id |> String.concat ", "
        Error(InvalidSetting("--env", id, $"it must be one of {known}"))

/// The configuration, with each `key=value` set in turn.
let settings configuration (assignments: seq<string>) =
    (Ok configuration, assignments)
    ||> Seq.fold (fun soFar assignment ->
        soFar
        |> Result.bind (fun configuration ->
            match assignment.Split('=', 2) with
            | [| key; value |] -> Configuration.set (key.Trim()) (value.Trim()) configuration
            | _ -> Error(InvalidSetting("--set", assignment, "it must be key=value"))))
