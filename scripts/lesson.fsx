// Helpers that the lessons share. A lesson loads this file after the library.
open FunTrpo

/// The arguments after the name of the script.
let arguments = List.ofArray (Array.skip 1 fsi.CommandLineArgs)

/// The value of an option, if the option was given.
let option name = arguments |> List.pairwise |> List.tryPick (fun (a, b) -> if a = name then Some b else None)

/// The number of steps that a lesson trains for: its first argument (`dotnet fsi scripts/sweep.fsx 2048`), or else its own number.
let steps (own: int64) =
    match arguments with
    | first :: _ when not (first.StartsWith "--") -> int64 first
    | _ -> own

/// Returns the value of a result. A fault ends the script with its message.
let orFail (result: Result<'T, 'Fault>) =
    match result with
    | Ok value -> value
    | Error fault ->
        match box fault with
        | :? Fault as fault -> failwith (Fault.message fault)
        | fault -> failwith (string fault)

let median (numbers: float[]) =
    let sorted = Array.sort numbers
    (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2.0
