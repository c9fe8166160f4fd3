// What the scripts beside this file share: their arguments, and the programs that they run.
open System
open System.Diagnostics

/// The arguments after the name of the script.
let arguments = fsi.CommandLineArgs |> Array.skip 1

/// The value of an option, or `standard` if the option was not given.
let valueOf name standard =
    match Array.tryFindIndex ((=) name) arguments with
    | Some i when i + 1 < arguments.Length -> arguments[i + 1]
    | _ -> standard

let dotnet =
    Environment.GetEnvironmentVariable "DOTNET_HOST_PATH"
    |> Option.ofObj
    |> Option.defaultValue "dotnet"

/// How a program is started in a folder, with more environment variables, so that the script reads what it says.
let startOf folder variables (program: string) (line: string list) =
    let start =
        ProcessStartInfo(
            program,
            line,
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true
        )

    for name, value in variables do
        start.Environment[name] <- value

    start
