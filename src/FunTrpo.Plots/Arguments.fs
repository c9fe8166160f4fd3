/// Checks values that are given as texts: those of the command's options, and those in the JSON files of runs. Each function returns the parsed
/// value, or `InvalidSetting` with the name of the value, the text and the allowed range.
module internal FunTrpo.Plots.Arguments

open System
open System.Globalization
open FunTrpo
open FunTrpo.Ddpg

let private (|Suffix|_|) (suffix: string) (text: string) =
    if text.EndsWith(suffix, StringComparison.Ordinal) then
        Some(text.Substring(0, text.Length - suffix.Length))
    else
        None

/// An integer in [low, high].
let integer name (low: int64) (high: int64) (text: string) =
    match Int64.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture) with
    | true, value when low <= value && value <= high -> Ok value
    | _ -> Error(InvalidSetting(name, text, $"it must be an integer in [{low}, {high}]"))

/// An integer in [low, high]. Short forms of large numbers are allowed: 100000, 100k, 2M or 1e6.
let count name (low: int64) (high: int64) (text: string) =
    let digits, unit =
        match text with
        | Suffix "k" digits
        | Suffix "K" digits -> digits, 1_000m
        | Suffix "M" digits -> digits, 1_000_000m
        | _ -> text, 1m

    let isNumber, number =
        Decimal.TryParse(
            digits,
            NumberStyles.AllowDecimalPoint ||| NumberStyles.AllowExponent,
            CultureInfo.InvariantCulture
        )

    // Compared before the multiplication, which could overflow.
    if
        isNumber
        && number <= decimal high
        && Decimal.IsInteger(number * unit)
        && decimal low <= number * unit
        && number * unit <= decimal high
    then
        Ok(int64 (number * unit))
    else
        Error(InvalidSetting(name, text, $"it must be an integer in [{low}, {high}], such as 5000, 100k, 2M or 1e6"))

/// A number of environment steps.
let steps name text = count name 1L 1_000_000_000_000L text

/// A number of iterations from one checkpoint to the next.
let iterations name text = count name 1L 1_000_000_000L text |> Result.map int

/// A number of episodes.
let episodes name text = count name 1L 1_000_000L text |> Result.map int

/// A number of evaluations.
let evaluations name text = count name 1L 1_000_000_000L text |> Result.map int

/// A finite number.
let number name (text: string) =
    match Double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture) with
    | true, value when Double.IsFinite value -> Ok value
    | _ -> Error(InvalidSetting(name, text, "it must be a finite number"))

/// The configuration with one field set from text.
let private set name text configuration =
    let known = Configuration.fields |> List.map _.Name

    if List.contains name known then
        Configuration.set name text configuration
    else
        let names = String.concat ", " known

        Error(
            InvalidSetting(name, text, $"there is no such field{Suggestion.among known name}; the fields are {names}")
        )

let private setAll set settings (values: seq<string * string>) =
    (Ok settings, values) ||> Seq.fold (fun soFar (name, text) -> soFar |> Result.bind (set name text))

/// The configuration with these fields set in order. The names are distinct.
let fields configuration values = setAll set configuration values

/// The settings of DDPG with these fields set in order. The names are distinct.
let ddpgFields settings values = setAll DdpgSettings.set settings values

/// The name and the text of each `key=value`. A name that occurs twice is refused.
let assignments (texts: string list) =
    let add soFar (text: string) =
        result {
            let! earlier = soFar

            match text.Split('=', 2) |> Array.map _.Trim() with
            | [| name; _ |] when List.exists (fst >> (=) name) earlier ->
                return! Error(InvalidSetting("--set", text, $"{name} has been set before"))
            | [| name; value |] -> return (name, value) :: earlier
            | _ -> return! Error(InvalidSetting("--set", text, "it must be key=value"))
        }

    List.fold add (Ok []) texts |> Result.map List.rev
