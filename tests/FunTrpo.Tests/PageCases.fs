/// Pages for the tests of the report, and what is in them.
module FunTrpo.Tests.PageCases

open System.Text.Json
open System.Text.RegularExpressions
open Expecto
open FunTrpo
open FunTrpo.Cli
open FunTrpo.Environments
open FunTrpo.Plots
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks

/// The reports of the first iterations of a small run on CartPole, and the policy after them.
let run iterationCount seed =
    let configuration =
        { Configuration.standard with
            Environments = 3
            Horizon = 50
            Hidden = [ 6 ]
            CriticHidden = [ 5 ]
            CriticSteps = 2 }

    let setup = setupOf 1 configuration CartPole.environment
    let states, reports = iterations iterationCount setup (TrainingState.start setup seed) |> List.unzip
    TrainingState.actor setup (List.last states), reports

/// The text of a progress.csv with these reports, as the command writes it.
let csv (reports: Report list) =
    let header = Report.fields |> List.map _.Name |> String.concat ","

    let lines =
        [ for report in reports do
              match RunWrites.line report with
              | RunFolder.Append(_, line) -> line
              | other -> failtest $"{other}" ]

    (header :: lines |> String.concat "\n") + "\n"

let page reports episode : ReportPage =
    { Environment = "CartPole-v1"
      Verdict = "Trained without a goal."
      Facts = [ "Seed", "7" ]
      Progress = Progress.ofReports reports
      Evaluations = [ { Steps = 100L; Mean = 20.0; Std = 3.0; SampledMean = 18.0 } ]
      Settings =
        [ { Name = "delta"; Meaning = "radius"; Value = "0.01"; Preset = "0.02" }
          { Name = "gamma"; Meaning = "discount"; Value = "0.99"; Preset = "0.99" } ]
      Episode = episode }

/// The data in a page, read as a browser reads it: up to the first end of the element.
let dataOf (html: string) =
    let found =
        Regex.Match(html, "<script type=\"application/json\" id=\"data\">(.*?)</script", RegexOptions.Singleline)

    Expect.isTrue found.Success "the data of the page"
    JsonDocument.Parse(found.Groups[1].Value).RootElement

let text (name: string) (element: JsonElement) = element.GetProperty(name).GetString()
let all (name: string) (element: JsonElement) = element.GetProperty(name).EnumerateArray() |> List.ofSeq
let floats (element: JsonElement) = [| for number in element.EnumerateArray() -> number.GetDouble() |]

/// The points of the trace with a name in the chart with a title.
let pointsOf title name data =
    let figure =
        (all "charts" data |> List.find (fun chart -> text "title" chart = title)).GetProperty "figure"

    let trace = all "data" figure |> List.find (fun trace -> text "name" trace = name)
    Array.zip (floats (trace.GetProperty "x")) (floats (trace.GetProperty "y"))

/// A shape of a frame, as player.js reads it: the kind, the colour, the numbers and the text.
let private shapeOf (element: JsonElement) =
    let parts = element.EnumerateArray() |> List.ofSeq
    let ofKind kind = List.filter (fun (part: JsonElement) -> part.ValueKind = kind) parts
    let numbers = ofKind JsonValueKind.Number |> List.map _.GetDouble()
    int numbers[0], int numbers[1], numbers[2..], ofKind JsonValueKind.String |> List.map _.GetString()

/// The frames of the episode in a page, each with all of its shapes.
let framesOf data =
    let expand before (frame: JsonElement) =
        let shapes = Array.ofSeq (frame.EnumerateArray())

        let expanded =
            shapes
            |> Array.mapi (fun index shape ->
                if shape.ValueKind = JsonValueKind.Number then Array.item index before else shapeOf shape)

        expanded, expanded

    all "frames" (data: JsonElement) |> List.mapFold expand [||] |> fst |> List.map List.ofArray
