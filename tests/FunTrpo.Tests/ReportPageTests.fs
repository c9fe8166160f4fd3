/// The report page: its numbers, its texts, its episode and its size.
module FunTrpo.Tests.ReportPageTests

open System
open System.Collections.Immutable
open System.Globalization
open System.IO
open System.Text
open System.Text.RegularExpressions
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Plots
open FunTrpo.Tests.Generators
open FunTrpo.Tests.PageCases
open Plotly.NET

let private recorded (environment: Environment<'State>) actor =
    Recording.play environment actor (Key.ofSeed 1L) |> expectOk

/// Each drawn quantity, with the chart and the trace that show it.
let private shown =
    [ "meanReturn", "Return", "last 100"
      "batchReturn", "Return", "iteration"
      "batchReturnLow", "Return", "middle half, low"
      "batchReturnHigh", "Return", "middle half"
      "meanKl", "Trust region", "mean KL"
      "delta", "Trust region", "δ"
      "cgResidual", "Conjugate gradient", "relative residual"
      "cgIterations", "Conjugate gradient", "iterations"
      "explainedVariance", "Critic", "explained variance"
      "criticErrorBefore", "Critic", "error before"
      "criticErrorAfter", "Critic", "error after"
      "entropy", "Entropy", "mean entropy"
      "stepsPerSecond", "Speed", "steps per second"
      "seconds", "Speed", "iteration"
      "rolloutSeconds", "Speed", "rollout"
      "policySeconds", "Speed", "policy"
      "criticSeconds", "Speed", "critic" ]

/// The number with five significant digits.
let private rounded (number: float) =
    if Double.IsInteger number then
        number
    else
        float (number.ToString("G5", CultureInfo.InvariantCulture))

let private numberOf name report =
    match Report.value name report with
    | ReportValue.Whole number -> Some(float number)
    | ReportValue.Number number -> Some number
    | ReportValue.Text _
    | ReportValue.Missing -> None

let private numbers =
    [ propertyOf
          6
          "has every number of its charts, of every iteration, over the steps"
          (Gen.zip (Gen.choose (1, 8)) (Gen.choose (0, 100) |> Gen.map int64))
          (fun (count, seed) ->
              let reports = snd (run count seed)
              let data = dataOf (ReportPage.html (page reports NotDrawn))

              for name, title, trace in shown do
                  let expected =
                      [| for report in reports do
                             match numberOf name report with
                             | Some number -> float report.Steps, rounded number
                             | None -> () |]

                  Expect.equal (pointsOf title trace data) expected name)

      test "shows refused steps, and the gains of steps whose returns are known before and after" {
          let reports = snd (run 6 3L)

          let withEpisodes (report: Report) (returns: float list) outcome =
              let episodes = returns |> Seq.map (fun reward -> { Return = reward; Length = 1 })

              { report with
                  Finished = ImmutableArray.CreateRange episodes
                  Improvement = { report.Improvement with Outcome = outcome } }

          let moved = Moved(1.0, 1)

          let changed =
              [ withEpisodes reports[0] [ 1.0; 3.0 ] moved // 2
                withEpisodes reports[1] [ 5.0 ] (LineSearchFailed 3)
                withEpisodes reports[2] [] moved
                withEpisodes reports[3] [ 4.0 ] moved
                withEpisodes reports[4] [ 1.5 ] NoGradient
                withEpisodes reports[5] [ 8.0 ] moved ]

          let data = dataOf (ReportPage.html (page changed NotDrawn))
          let gain (report: Report) = rounded report.Improvement.Comparison.Gain
          let expected = [| gain reports[0], 3.0; gain reports[3], -2.5; gain reports[4], 6.5 |]
          Expect.equal (pointsOf "Predicted and realised gain" "a step" data) expected "gains"
          let refused = [| float reports[1].Steps, 0.0; float reports[4].Steps, 0.0 |]
          Expect.equal (pointsOf "Trust region" "refused" data) refused "refused steps"

          let summaries = all "charts" data |> List.map (text "summary")
          Expect.contains summaries "The return rose after 2 of 3 steps." "in words"
          Expect.isTrue (summaries |> List.exists _.EndsWith("2 of 6 steps were refused.")) "in words"
      }

      test "shows the KL of steps that have no trust region, such as those of PPO, without δ" {
          let reports = snd (run 3 1L)
          let unlimited = [| for report in reports -> { report with Delta = infinity } |]
          let data = dataOf (ReportPage.html (page unlimited NotDrawn))
          let titles = all "charts" data |> List.map (text "title")
          Expect.isFalse (List.contains "Trust region" titles) "no trust region"

          let kl = [| for report in reports -> float report.Steps, rounded report.Improvement.Comparison.MeanKl |]

          Expect.equal (pointsOf "KL of the steps" "mean KL" data) kl "KL"
      }

      test "has certificates, with all their numbers, only if rows were held out" {
          let setup = Tasks.setupOf 1 { Tasks.small with HeldOut = 0.5 } CartPole.environment
          let reports = Tasks.iterations 5 setup (TrainingState.start setup 3L) |> List.map snd
          let data = dataOf (ReportPage.html (page reports NotDrawn))

          for name, trace in
              [ "heldOutGain", "on held-out rows"; "heldOutGainLow", "lower bound"; "certificate", "certificate" ] do
              let expected = [| for report in reports -> float report.Steps, rounded (numberOf name report).Value |]

              Expect.equal (pointsOf "Certificate" trace data) expected name

          let others =
              dataOf (ReportPage.html (page (snd (run 2 1L)) NotDrawn)) |> all "charts" |> List.map (text "title")

          Expect.isFalse (List.contains "Certificate" others) "without held-out rows"
      }

      test "has evaluations only if there were any, and settings with the changed ones first" {
          let reports = snd (run 2 1L)
          let titles page = dataOf (ReportPage.html page) |> all "charts" |> List.map (text "title")
          let one = page reports NotDrawn
          Expect.contains (titles one) "Evaluations" "with them"
          Expect.isFalse (List.contains "Evaluations" (titles { one with Evaluations = [] })) "without"
          let reversed = { one with Settings = List.rev one.Settings }
          let names = dataOf (ReportPage.html reversed) |> all "settings" |> List.map (text "name")
          Expect.equal names [ "delta"; "gamma" ] "settings"
      } ]

let private texts =
    [ propertyOf
          40
          "keeps any text as it is, and none can end the script"
          (ArbMap.defaults |> ArbMap.generate<FsCheck.NonNull<string>> |> Gen.map _.Get |> Gen.arrayOfLength 4)
          (fun parts ->
              // Lone surrogates are no text that a file can hold.
              let valid (part: string) = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes part)

              let hostile =
                  [| for part in parts -> valid part + "</script><script>alert('no')</script><!--<img src=x>{{plotly}}" |]

              let reports = snd (run 1 1L)

              let page =
                  { page reports (NotRecorded hostile[3]) with
                      Environment = hostile[0]
                      Verdict = hostile[1]
                      Facts = [ hostile[2], hostile[3] ]
                      Settings =
                          [ { Name = hostile[0]; Meaning = hostile[1]; Value = hostile[2]; Preset = hostile[3] } ] }

              let html = ReportPage.html page
              let harmless = ReportPage.html (PageCases.page reports NotDrawn)
              let count (part: string) (text: string) = Regex.Count(text, Regex.Escape part, RegexOptions.IgnoreCase)

              for part in [ "<script"; "</script"; "<!--"; "<img" ] do
                  Expect.equal (count part html) (count part harmless) part

              let data = dataOf html
              Expect.equal (text "environment" data) hostile[0] "environment"
              Expect.equal (text "verdict" data) hostile[1] "verdict"
              let setting = all "settings" data |> List.exactlyOne

              Expect.equal
                  [ for name in [ "name"; "meaning"; "value"; "preset" ] -> text name setting ]
                  (List.ofArray hostile)
                  "a setting"

              Expect.stringContains (text "episodeText" data) hostile[3] "the reason")

      test "writes texts of pictures as texts" {
          let hostile = "</script>&<b>"

          let picture =
              { Left = 0.0
                Right = 1.0
                Bottom = 0.0
                Top = 1.0
                Shapes = [ Shape.Text(struct (0.5, 0.5), 0.1, hostile, Colour.Ink) ] }

          let recording =
              { Pictures = ImmutableArray.Create(picture, picture)
                Actions = ImmutableArray.Create(Vector.ofArray [| 0f |])
                Rewards = ImmutableArray.Create 1.0 }

          let html = ReportPage.html (page (snd (run 1 1L)) (Recorded recording))
          let _, _, _, texts = ((dataOf html).GetProperty "episode" |> framesOf).Head.Head
          Expect.equal texts [ hostile ] "the text"
      } ]

let private shapeParts shape =
    match shape with
    | Shape.Line(points, width, colour) ->
        0, int colour, width :: (points |> List.collect (fun (struct (x, y)) -> [ x; y ]))
    | Shape.Circle(struct (x, y), radius, colour) -> 1, int colour, [ x; y; radius ]
    | Shape.Polygon(corners, colour) -> 2, int colour, corners |> List.collect (fun (struct (x, y)) -> [ x; y ])
    | Shape.Text(struct (x, y), height, _, colour) -> 3, int colour, [ x; y; height ]

/// The frames in the page are those of the recording, to a two-thousandth of the picture.
let private expectFrames (recording: Recording) =
    let episode =
        (dataOf (ReportPage.html (page (snd (run 1 1L)) (Recorded recording)))).GetProperty "episode"

    let steps = floats (episode.GetProperty "steps") |> Array.map int
    let frames = framesOf episode
    Expect.hasLength frames steps.Length "frames"
    Expect.isLessThanOrEqual frames.Length 1000 "frames"
    Expect.equal (steps[0], Array.last steps) (0, recording.Rewards.Length) "the first and the last"
    let first = recording.Pictures[0]
    let close = 0.0005 * max (first.Right - first.Left) (first.Top - first.Bottom)

    for step, frame in Seq.zip steps frames do
        let expected = recording.Pictures[step].Shapes |> List.map shapeParts
        Expect.hasLength frame expected.Length "shapes"

        for (kind, colour, numbers, _), (expectedKind, expectedColour, expectedNumbers) in List.zip frame expected do
            Expect.equal (kind, colour) (expectedKind, expectedColour) "kind and colour"

            for actual, expected in List.zip numbers expectedNumbers do
                Expect.isLessThanOrEqual (abs (actual - expected)) (close + 1e-12) "a coordinate"

    let returns = floats (episode.GetProperty "returns")
    Expect.equal (Array.last returns) (rounded recording.Return) "the return"
    let rewards = floats (episode.GetProperty "rewards")

    for step, reward in Array.zip steps rewards do
        Expect.equal reward (if step = 0 then 0.0 else rounded recording.Rewards[step - 1]) "a reward"

/// An episode of a picture that moves by itself.
let private artificial steps (shapes: int -> Shape list) =
    let picture step = { Left = -2.0; Right = 2.0; Bottom = -1.0; Top = 1.0; Shapes = shapes step }

    { Pictures = Seq.init (steps + 1) picture |> ImmutableArray.CreateRange
      Actions = Seq.init steps (fun _ -> Vector.ofArray [| 0f |]) |> ImmutableArray.CreateRange
      Rewards = Seq.init steps (fun step -> float (step % 7) - 2.2) |> ImmutableArray.CreateRange }

let private circle step = Shape.Circle(struct (sin (0.01 * float step), 0.0), 0.1, Colour.Body)

let private episodes =
    [ for registered in Registry.classic do
          test $"plays an episode of {registered.Id} as it was recorded" {
              registered.Use
                  { new EnvironmentUse<bool> with
                      member _.With environment =
                          let setup = Tasks.setupOf 1 Tasks.small environment
                          expectFrames (recorded environment (TrainingState.actor setup (TrainingState.start setup 1L)))
                          true }
              |> ignore
          }

      propertyOf 20 "keeps at most a thousand frames of a long episode" (Gen.choose (1, 5000)) (fun steps ->
          expectFrames (artificial steps (fun step -> [ circle step; circle (step / 100) ])))

      test "leaves out shapes without a place, and an episode of which some states are not drawn" {
          let broken = Shape.Circle(struct (nan, 0.0), 0.1, Colour.Danger)
          let endless = Shape.Line([ struct (0.0, 0.0); (infinity, 0.0) ], 0.1, Colour.Danger)
          let recording = artificial 3 (fun step -> [ broken; circle step; endless ])
          let data recording = dataOf (ReportPage.html (page (snd (run 1 1L)) (Recorded recording)))

          for frame in framesOf ((data recording).GetProperty "episode") do
              Expect.equal [ for kind, _, _, _ in frame -> kind ] [ 1 ] "the circle"

          let partly = data { recording with Pictures = recording.Pictures.RemoveAt 1 }
          Expect.isFalse (fst (partly.TryGetProperty "episode")) "no episode"
          Expect.stringContains (text "episodeText" partly) "does not draw" "why"
      } ]

let private plotlyJs =
    lazy
        (let assembly = typeof<GenericChart>.Assembly
         let name = assembly.GetManifestResourceNames() |> Array.find _.EndsWith(".min.js")
         use reader = new StreamReader(assembly.GetManifestResourceStream name)
         reader.ReadToEnd())

let private wholeness =
    test "has plotly.js once, loads nothing, and is small for the longest runs" {
        let reports = snd (run 3 1L)
        // More iterations than a page shows, and an episode of more frames.
        let many = [ for i in 1..5000 -> { reports[i % 3] with Iteration = i; Steps = 1000L * int64 i } ]
        let recording = artificial 4000 (fun step -> [ for shift in 0..19 -> circle (step + shift) ])
        let html = ReportPage.html (page many (Recorded recording))
        Expect.isLessThan (Encoding.UTF8.GetByteCount html) 5_000_000 "bytes"
        Expect.stringContains html "one of 3 iterations" "what it leaves out"
        let pieces = html.Split plotlyJs.Value
        Expect.hasLength pieces 2 "plotly.js, once"
        let rest = String.concat "" pieces

        Expect.isFalse
            (Regex.IsMatch(rest, @"(?i)https?:|url\(|@import|fetch\(|XMLHttp|WebSocket|import\("))
            "addresses"

        for found in Regex.Matches(rest, "(?i)\\b(?:src|href)\\s*=\\s*[\"']?([^\"'\\s>]*)") do
            Expect.stringStarts found.Groups[1].Value "data:" "what it links to"

        Expect.stringContains rest "default-src 'none'" "what the browser may load"
        // The end of a script inside plotly.js would end its element.
        Expect.isFalse (plotlyJs.Value.Contains("</script", StringComparison.OrdinalIgnoreCase)) "plotly.js"
    }

let private charts =
    test "of a script has a panel for each part, and a page of its own that needs no network" {
        let reports = snd (run 3 1L)
        let figure = GenericChart.toFigureJson (Report.chart reports)
        let root = Json.JsonDocument.Parse(figure).RootElement
        Expect.hasLength (all "data" root |> List.distinctBy (text "xaxis")) 10 "panels"

        Expect.equal
            (all "annotations" (root.GetProperty "layout") |> List.map (text "text") |> List.distinct)
            [ for title in
                  [ "Return"
                    "Trust region"
                    "Predicted and realised gain"
                    "Conjugate gradient"
                    "Critic"
                    "Entropy"
                    "Speed" ] -> $"<b>{title}</b>" ]
            "titles"

        // A chart that is drawn twice is the same, and drawing one does not change another.
        let chart = Charts.returns (Progress.ofReports reports)
        let first = GenericChart.toFigureJson (chart.Draw())
        Report.chart reports |> ignore
        Expect.equal (GenericChart.toFigureJson (chart.Draw())) first "the same chart"
    }

let tests =
    testList
        "Report page"
        [ testList "a page" (numbers @ texts @ [ wholeness ]); testList "an episode" episodes; charts ]
