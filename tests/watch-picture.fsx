// Makes docs/watch.png, the picture of a run that is watched while it trains:  dotnet fsi tests/watch-picture.fsx
// It needs `dotnet fsi build.fsx build`, and Chromium on the path.

open System
open System.Diagnostics
open System.IO
open System.Threading

let root = Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, ".."))
let folder = Directory.CreateTempSubdirectory("funtrpo-picture-").FullName
let funtrpo = Path.Combine(root, "bin", "funtrpo")

let start (program: string) (arguments: string list) =
    Process.Start(ProcessStartInfo(program, arguments, RedirectStandardOutput = true, RedirectStandardError = true))

let training =
    start
        funtrpo
        [ "train"; "--env"; "Pendulum-v1"; "--seed"; "3"; "--steps"; "1e9"; "--evaluate-every"; "20k"; "--out"; folder ]

training.OutputDataReceived.Add ignore
training.BeginOutputReadLine()
let server = start funtrpo [ "watch"; folder; "--port"; "0" ]

try
    let line = server.StandardOutput.ReadLine()
    let address = line.Substring(line.IndexOf "http")
    Thread.Sleep 4000

    // The page is never finished: the picture shows it after so many milliseconds.
    use browser =
        start
            "chromium"
            [ "--headless"
              "--no-sandbox"
              "--disable-dev-shm-usage"
              "--hide-scrollbars"
              "--window-size=1280,1140"
              "--timeout=6000"
              $"""--screenshot={Path.Combine(root, "docs", "watch.png")}"""
              address + "run?name=." ]

    let errors = browser.StandardError.ReadToEndAsync()
    browser.WaitForExit()

    if browser.ExitCode <> 0 then
        failwith $"chromium failed with exit code {browser.ExitCode}: {errors.Result}"
finally
    for running in [ training; server ] do
        running.Kill()
        running.WaitForExit()

    Directory.Delete(folder, true)
