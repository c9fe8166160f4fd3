// Makes docs/report.png, the picture of a report that README.md shows:  dotnet fsi tests/report-picture.fsx
// It needs `dotnet fsi build.fsx build`, and Chromium on the path.

open System
open System.Diagnostics
open System.IO

let root = Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, ".."))
let folder = Directory.CreateTempSubdirectory("funtrpo-picture-").FullName

let run (program: string) (arguments: string list) =
    use child =
        Process.Start(ProcessStartInfo(program, arguments, RedirectStandardOutput = true, RedirectStandardError = true))

    let errors = child.StandardError.ReadToEndAsync()
    child.StandardOutput.ReadToEnd() |> ignore
    child.WaitForExit()

    if child.ExitCode <> 0 then
        failwith $"{program} failed with exit code {child.ExitCode}: {errors.Result}"

try
    run
        (Path.Combine(root, "bin", "funtrpo"))
        [ "train"; "--env"; "Pendulum-v1"; "--seed"; "3"; "--evaluate-every"; "5k"; "--out"; folder ]

    run
        "chromium"
        [ "--headless"
          "--no-sandbox"
          "--disable-dev-shm-usage"
          "--hide-scrollbars"
          "--window-size=1280,1140"
          "--virtual-time-budget=4000" // The picture shows the page after so many milliseconds.
          $"""--screenshot={Path.Combine(root, "docs", "report.png")}"""
          Uri(Path.Combine(folder, "report.html")).AbsoluteUri ]
finally
    Directory.Delete(folder, true)
