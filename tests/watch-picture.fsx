// Makes docs/watch.png, the picture of a run that is watched while it trains:  dotnet fsi tests/watch-picture.fsx
// It needs `dotnet fsi build.fsx build`, and Chromium on the path.
#r "FunTrpo.Tests/bin/Release/net10.0/Microsoft.Bcl.AsyncInterfaces.dll"
#r "FunTrpo.Tests/bin/Release/net10.0/Microsoft.Playwright.dll"

open System
open System.Diagnostics
open System.IO
open Microsoft.Playwright

let root = Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, ".."))
let folder = Directory.CreateTempSubdirectory("funtrpo-picture-").FullName
let funtrpo = Path.Combine(root, "bin", "funtrpo")

let start (arguments: string list) = Process.Start(ProcessStartInfo(funtrpo, arguments, RedirectStandardOutput = true))

let run = Path.Combine(folder, "pendulum")

let training =
    start
        [ "train"
          "--env"
          "Pendulum-v1"
          "--seed"
          "3"
          "--steps"
          "1M"
          "--evaluate-every"
          "5k"
          "--out"
          run ]

training.OutputDataReceived.Add ignore
training.BeginOutputReadLine()
let server = start [ "watch"; folder; "--port"; "0" ]

let take (address: string) =
    task {
        let chromium =
            (Environment.GetEnvironmentVariable "PATH").Split Path.PathSeparator
            |> Seq.map (fun folder -> Path.Combine(folder, "chromium"))
            |> Seq.find File.Exists

        use! playwright = Playwright.CreateAsync()
        let launch = BrowserTypeLaunchOptions(ExecutablePath = chromium, Args = [| "--no-sandbox" |])
        let! browser = playwright.Chromium.LaunchAsync launch
        let size = ViewportSize(Width = 1280, Height = 1140)
        let! page = browser.NewPageAsync(BrowserNewPageOptions(ViewportSize = size))
        let! _ = page.GotoAsync(address + "run?name=pendulum")
        // So many iterations that there is something to see.
        let! _ = page.WaitForFunctionAsync "() => document.querySelector('.chart')?.data.at(-1).x.length > 60"
        do! page.WaitForTimeoutAsync 1500f
        let! _ = page.ScreenshotAsync(PageScreenshotOptions(Path = Path.Combine(root, "docs", "watch.png")))
        do! browser.CloseAsync()
    }

try
    let line = server.StandardOutput.ReadLine()
    (take (line.Substring(line.IndexOf "http"))).Wait()
finally
    for running in [ training; server ] do
        running.Kill()
        running.WaitForExit()

    Directory.Delete(folder, true)
