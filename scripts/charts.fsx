// Charts of a training run, drawn with Plotly.NET: all of them in one, and one of them alone.
#load "load.fsx"
#load "lesson.fsx"
#r "../bin/Plotly.NET.dll"
#r "../bin/DynamicObj.dll"
#r "../bin/Giraffe.ViewEngine.dll"
#r "../bin/Newtonsoft.Json.dll"
#r "../bin/FunTrpo.Plots.dll"

open System.IO
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Plots
open Lesson
open Plotly.NET

let reports =
    let setup = Setup.create 2 Configuration.standard CartPole.environment |> orFail

    Training.runFor (steps 50_000L) setup (TrainingState.start setup 7L)
    |> Seq.map (orFail >> snd)
    |> List.ofSeq

// A notebook shows this value. `Report.show reports` opens it in the browser.
let chart = Report.chart reports

// Each chart can also be drawn alone. It is an ordinary chart of Plotly.NET, so everything about it can be changed.
let progress = Progress.ofReports reports

let returns =
    (Charts.returns progress).Draw() |> Chart.withTitle "CartPole-v1" |> Chart.withSize (800, 500)

// The main numbers of a chart in words.
for drawn in [ Charts.returns progress; Charts.trustRegion progress; Charts.entropy progress ] do
    printfn "%s. %s" drawn.Title drawn.Summary

/// Saves a chart as a page that needs no network.
let save name (chart: GenericChart) =
    let folder = Path.Combine(__SOURCE_DIRECTORY__, "..", "artifacts")
    Directory.CreateDirectory folder |> ignore

    let html =
        chart |> Chart.withDisplayOptionsStyle (PlotlyJSReference = Full) |> GenericChart.toEmbeddedHTML

    File.WriteAllText(Path.Combine(folder, name), html)
    printfn "The chart is ready: artifacts/%s" name

save "report.html" chart
save "returns.html" returns
