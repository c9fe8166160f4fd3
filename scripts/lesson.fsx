// What the lessons share. They load it behind the library.
open FunTrpo

/// What stands behind the name of the script.
let arguments = List.ofArray (Array.skip 1 fsi.CommandLineArgs)

/// The value of an option, if it is there.
let option name = arguments |> List.pairwise |> List.tryPick (fun (a, b) -> if a = name then Some b else None)

/// How many steps a lesson trains for: as many as its first argument says (`dotnet fsi scripts/sweep.fsx 2048`), or its own number.
let steps (own: int64) =
    match arguments with
    | first :: _ when not (first.StartsWith "--") -> int64 first
    | _ -> own

/// The value of a result; a fault ends the script with its message.
let orFail result = result |> Result.defaultWith (fun fault -> failwith (Fault.message fault))

let median (numbers: float[]) =
    let sorted = Array.sort numbers
    (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2.0
