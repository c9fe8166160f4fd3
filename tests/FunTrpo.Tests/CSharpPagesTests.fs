/// Pages that are made from C#: they show what those of the command show.
module FunTrpo.Tests.CSharpPagesTests

open System
open System.IO
open System.Text.Json
open Expecto
open FunTrpo
open FunTrpo.CSharp
open FunTrpo.Tests.Browser
open FunTrpo.Tests.CommandRuns
open FunTrpo.Tests.Generators
open FunTrpo.Tests.PageCases
open FunTrpo.Tests.TestFiles

type private ReportPage = FunTrpo.Plots.CSharp.ReportPage
type private ComparePage = FunTrpo.Plots.CSharp.ComparePage
type private ComparedRun = FunTrpo.Plots.CSharp.ComparedRun

let private succeeded (ended: Ended) =
    Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
    ended

/// The same training by the command and by a plan.
let private train folder out =
    funtrpo
        folder
        [ "train"
          "--steps"
          "4000"
          "--stop-at"
          "400"
          "--seed"
          "5"
          "--evaluate-every"
          "1000"
          "--evaluate-episodes"
          "3"
          "--set"
          "horizon=50"
          "--set"
          "hidden=8"
          "--out"
          out ]
    |> succeeded
    |> ignore

let private plan =
    let change (options: TrainingOptions) =
        TrainingOptions(
            (Configuration.set "hidden" "8" { options.ToCore() with Horizon = 50 } |> expectOk),
            Seed = 5L,
            TotalSteps = 4000L,
            StopAtReturn = Nullable 400.0,
            Threads = 2
        )

    Trpo.For("CartPole-v1").With(change).EvaluateEvery(1000L, 3)

let private result = lazy plan.Train()

/// An element of the data of a page as text.
let private json (name: string) (data: JsonElement) = data.GetProperty(name).GetRawText()

let private chartTitles data = all "charts" data |> List.map (text "title")
let private chart title data = all "charts" data |> List.find (fun chart -> text "title" chart = title)

let private sameAsCommand =
    inNewFolder "of a result shows what the command's page of the same training shows, but for times" (fun folder ->
        train folder "run"
        let ofCommand = dataOf (File.ReadAllText(Path.Combine(folder, "run", "report.html")))
        let ofCSharp = dataOf (ReportPage.From(plan, result.Value).ToHtml())

        for part in [ "environment"; "verdict"; "palette"; "warnings"; "settings"; "episodeText"; "episode" ] do
            Expect.equal (json part ofCSharp) (json part ofCommand) part

        let facts data =
            [ for fact in all "facts" data do
                  if fact[0].GetString() <> "Time" then
                      fact.GetRawText() ]

        Expect.equal (facts ofCSharp) (facts ofCommand) "facts"
        Expect.equal (chartTitles ofCSharp) (chartTitles ofCommand) "charts"
        Expect.contains (chartTitles ofCSharp) "Evaluations" "charts"

        for title in chartTitles ofCommand |> List.except [ "Speed" ] do
            Expect.equal ((chart title ofCSharp).GetRawText()) ((chart title ofCommand).GetRawText()) title)

let private ofFolder =
    inNewFolder "of a folder is the page that the command left there, byte for byte" (fun folder ->
        train folder "run"
        let run = Path.Combine(folder, "run")
        let page = ReportPage.FromFolder run
        let copy = Path.Combine(folder, "copy.html")
        page.Save copy
        Expect.equal (File.ReadAllText copy) (File.ReadAllText(Path.Combine(run, "report.html"))) "the page"
        Expect.equal (ReportPage.FromFolder(run, plan).ToHtml()) (page.ToHtml()) "with a plan of the environment"

        // The page of several folders.
        train folder "other/one"
        let comparison = ComparePage.FromFolders([ run; Path.Combine(folder, "other") ], [||]).ToHtml()
        funtrpo folder [ "compare"; "run"; "other"; "--out"; "compare.html" ] |> succeeded |> ignore
        let ofCommand = dataOf (File.ReadAllText(Path.Combine(folder, "compare.html")))
        Expect.equal (json "charts" (dataOf comparison)) (json "charts" ofCommand) "charts"
        Expect.equal (json "verdict" (dataOf comparison)) (json "verdict" ofCommand) "verdict"

        let inData name = Path.GetRelativePath(Directory.GetCurrentDirectory(), Path.Combine(folder, name))

        let tables =
            (json "tables" (dataOf comparison)).Replace(inData "run", "run").Replace(inData "other", "other")

        Expect.equal tables (json "tables" ofCommand) "tables")

let private charts =
    test "charts of a result are figures with data and a layout" {
        let charts = ReportPage.From(plan, result.Value).Charts
        Expect.hasLength charts 8 "charts"

        for chart in charts do
            let figure = JsonDocument.Parse(chart.ToJson()).RootElement
            Expect.isGreaterThan (figure.GetProperty("data").GetArrayLength()) 0 chart.Title
            Expect.equal (figure.GetProperty("layout").ValueKind) JsonValueKind.Object chart.Title
            Expect.isNotWhitespace chart.Summary chart.Title
    }

let private compared =
    lazy
        ComparePage.From(
            [| for label, delta in [ "wide", 0.03; "narrow", 0.003 ] do
                   for seed in 0L .. 1L do
                       let change (options: TrainingOptions) =
                           TrainingOptions(
                               { options.ToCore() with Delta = delta; Hidden = [ 8 ] },
                               Seed = seed,
                               TotalSteps = 6000L
                           )

                       let plan = Trpo.For("CartPole-v1").With change
                       let result = plan.Train()
                       ComparedRun(label, plan, result, Score = Nullable(plan.Evaluate(result.Policy, 3).Mean)) |]
        )

let private labelled =
    test "of labelled results compares the labels by the scores" {
        let data = dataOf (compared.Value.ToHtml())
        Expect.equal (text "verdict" data) "4 runs in 2 groups: wide; narrow." "verdict"

        Expect.equal
            (chartTitles data)
            [ "CartPole-v1"; "Interquartile means"; "Performance profiles"; "Probability of improvement" ]
            "charts"

        let reading = all "tables" data |> List.map (text "reading")
        Expect.stringStarts reading.Head "A score is the mean return of the episodes" "what is compared"
        let settings = all "rows" (all "tables" data |> List.item 1) |> List.item 1
        Expect.stringContains (settings.GetRawText()) "delta=0.003" "what differs from the preset"
    }

/// Opens the page of C# in a browser.
let private inBrowser (html: Lazy<string>) options check =
    task {
        let folder = Directory.CreateTempSubdirectory "funtrpo-csharp-"

        try
            let path = Path.Combine(folder.FullName, "page.html")
            File.WriteAllText(path, html.Value)

            do!
                withPage options (fun page ->
                    task {
                        let! _ = page.GotoAsync(Uri(path).AbsoluteUri)
                        let! traces = tracesOf page
                        do! check page traces
                        do! expectFits page
                    })
        finally
            folder.Delete true
    }

let private browser =
    [ testCaseTask "in a browser, the report draws its charts and plays the policy" (fun () ->
          inBrowser (lazy ReportPage.From(plan, result.Value).ToHtml()) desktop (fun page traces ->
              task {
                  Expect.hasLength traces 8 "charts"
                  Expect.all traces (fun count -> count > 0) "traces"
                  do! ReportBrowserTests.moves page
                  do! ReportBrowserTests.picture "csharp-report" page
              }))

      testCaseTask "in a browser, the comparison draws its charts" (fun () ->
          inBrowser (lazy compared.Value.ToHtml()) phone (fun page traces ->
              task {
                  Expect.hasLength traces 4 "charts"
                  Expect.all traces (fun count -> count > 0) "traces"
                  do! ReportBrowserTests.picture "csharp-compare" page
              })) ]

let tests =
    testList "Pages from C#" [ sameAsCommand; ofFolder; charts; labelled; testSequenced (testList "shown" browser) ]
