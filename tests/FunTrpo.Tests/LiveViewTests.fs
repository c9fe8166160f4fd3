/// The live view as text, and frames that replace each other on a terminal.
module FunTrpo.Tests.LiveViewTests

open System
open System.IO
open System.Text
open System.Text.RegularExpressions
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Cli
open FunTrpo.Tests.Generators
open FunTrpo.Tests.PageCases
open Spectre.Console
open Spectre.Console.Rendering

// ---- The text ----

let private textOf (model: LiveModel) width =
    use writer = new StringWriter()
    let settings = AnsiConsoleSettings(Ansi = AnsiSupport.No, Out = AnsiConsoleOutput writer)
    let console = AnsiConsole.Create settings
    console.Profile.Width <- width
    console.Write(LiveView.render model width)
    writer.ToString().TrimEnd('\n').Split '\n'

let private durations =
    test "tells a duration in its two largest units" {
        for seconds, text in
            [ 0.0, "0 s"
              59.5, "60 s"
              60.0, "1 min 0 s"
              3599.9, "59 min 59 s"
              7500.0, "2 h 5 min"
              93600.0, "1 d 2 h"
              infinity, "11574 d 1 h" ] do
            Expect.equal (Duration.text seconds) text $"{seconds}"
    }

let private base' = lazy (snd (run 1 1L)).Head

let private report iteration (mean: float) kl delta outcome =
    { base'.Value with
        Iteration = iteration
        Steps = 1000L * int64 iteration
        MeanReturn = (if Double.IsNaN mean then None else Some mean)
        Delta = delta
        ExplainedVariance = 0.5
        BatchSteps = 1000L
        Seconds = { Rollout = 0.1; Policy = 0.1; Critic = 0.1; Total = 0.25 }
        Improvement =
            { base'.Value.Improvement with
                Outcome = outcome
                Comparison = { base'.Value.Improvement.Comparison with MeanKl = kl; Entropy = 0.25 } } }

let private moved = Moved(1.0, 1)
let private add model report = LiveModel.addReport report model

let private scores mean : Scores =
    { Returns = Collections.Immutable.ImmutableArray.Create(mean - 1.0, mean + 1.0)
      Lengths = Collections.Immutable.ImmutableArray.Create(1, 1)
      Mean = mean
      Std = 1.0
      Min = mean - 1.0
      Max = mean + 1.0 }

let private evaluated mean : TrainingEvaluation =
    { Iteration = 4; Steps = 4000L; Deterministic = scores mean; Sampled = scores (mean - 2.0) }

/// A run of four iterations of 8,000 steps, half-way to its goal, with one refused step.
let private known =
    lazy
        ([ report 1 nan 0.0 0.01 moved
           report 2 10.0 0.005 0.01 moved
           report 3 20.0 0.0 0.01 (LineSearchFailed 10)
           report 4 30.0 0.01 0.01 moved ]
         |> List.fold add (LiveModel.start 0L 8000L (Some 50.0))
         |> LiveModel.addEvaluation (evaluated 40.0) true
         |> fun model -> { model with Elapsed = TimeSpan.FromSeconds 60.0 })

let private examples =
    [ test "shows the state of a run" {
          Expect.equal
              (List.ofArray (textOf known.Value 80))
              [ "steps   ━━━━━━━━━━━━━━━━━━━━━━━━━───────────────────────── 50 % · 4,000 of 8,000"
                "return   ▁▅█                                               30.00 (10.00 … 30.00)"
                "goal    ━━━━━━━━━━━━━━━━━━━━━━━━━───────────────────────── 30.00 of 50.00"
                "KL / δ  ▁▅▁█                                               0.01000 of 0.01000"
                "at most 1 min 0 s left · 4,000 steps/s · explained variance 0.500"
                "entropy 0.250"
                "1 of 4 steps were refused"
                "evaluation 40.00 ± 1.00 · 38.00 with drawn actions · after 4,000 steps"
                "the best so far" ]
              "lines"
      }

      test "shows the values without graphs where there is little room" {
          let lines = textOf known.Value 30

          Expect.equal
              lines[0..3]
              [| "steps   50 % · 4,000 of 8,000"
                 "return  30.00 (10.00 … 30.00)"
                 "goal    30.00 of 50.00"
                 "KL / δ  0.01000 of 0.01000" |]
              "lines"
      }

      test "says that the goal is reached, and has no δ for fixed steps" {
          let model = add known.Value (report 5 50.0 0.3 infinity moved)
          let lines = textOf model 80
          Expect.stringEnds lines[2] "━ 50.00 of 50.00, reached" "goal"
          Expect.isTrue (Regex.IsMatch(lines[3], "^KL +.* 0.30000$")) "KL"
      }

      test "shows no time left when the run has ended" {
          let lines = textOf { known.Value with HasEnded = true } 80
          Expect.isFalse (lines |> Array.exists _.Contains("left")) "lines"
      }

      test "counts a resumed run from where it went on" {
          let model = [ report 4 1.0 0.01 0.01 moved ] |> List.fold add (LiveModel.start 3000L 8000L None)

          let lines = textOf { model with Elapsed = TimeSpan.FromSeconds 2.0 } 80
          Expect.stringContains lines[0] "50 %" "share of the whole run"
          Expect.isTrue (lines |> Array.exists _.StartsWith("at most 8 s left")) "4,000 steps at 500 a second"
      } ]

/// A run on CartPole as docs/command.md shows it.
let private documented =
    test "is as docs/command.md shows it" {
        let reports =
            [ for iteration in 1..48 do
                  let mean = 20.0 + 330.0 / (1.0 + exp (3.0 - float iteration / 8.0))
                  let kl = 0.01 * (0.75 + 0.2 * sin (float iteration))
                  let report = report iteration mean kl 0.01 moved
                  { report with Seconds = { report.Seconds with Total = 0.0034 } } ]

        let model =
            reports
            |> List.fold add (LiveModel.start 0L 500_000L (Some 475.0))
            |> LiveModel.addEvaluation (evaluated 352.0) true
            |> fun model -> { model with Elapsed = TimeSpan.FromSeconds 0.25 }

        let _, shown = DocumentationTests.blocks "view" "docs/command.md" |> List.exactlyOne
        let lines = textOf model 90
        Expect.equal (String.concat "\n" lines + "\n") shown "the view"
    }

/// Numbers as a run may have them, at worst.
let private anyNumber =
    Gen.frequency
        [ 4, Gen.choose (-1000, 1000) |> Gen.map (fun i -> float i / 10.0)
          1, Gen.elements [ nan; infinity; -infinity; 0.0; 1e300; -1e300; 1e-300; 123456789.0 ] ]

let private anyReport =
    gen {
        let! mean = anyNumber
        let! kl = anyNumber
        let! delta = anyNumber
        let! steps = Gen.elements [ 0L; 1L; 5000L; Int64.MaxValue / 2L ]
        let! outcome = Gen.elements [ moved; NoGradient; NoCurvature; LineSearchFailed 3 ]
        let! seconds = anyNumber

        let report = report 1 mean kl delta outcome

        return
            { report with
                Steps = steps
                BatchSteps = steps
                ExplainedVariance = kl
                Seconds = { report.Seconds with Total = seconds } }
    }

let private anyModel =
    gen {
        let! first = Gen.elements [ 0L; 7L ]
        let! budget = Gen.elements [ 0L; 1L; 8000L; Int64.MaxValue ]
        let! goal = Gen.optionOf anyNumber
        let! reports = Gen.listOf anyReport
        let! evaluation = Gen.optionOf anyNumber
        let! seconds = Gen.elements [ 0.0; 1e-9; 12.0; 1e9 ]
        let model = reports |> List.fold add (LiveModel.start first budget goal)

        let evaluated =
            match evaluation with
            | Some mean -> LiveModel.addEvaluation (evaluated mean) false model
            | None -> model

        return { evaluated with Elapsed = TimeSpan.FromSeconds seconds }
    }

let private anyway =
    propertyOf
        300
        "draws any run in at most the columns that there are"
        (Gen.zip anyModel (Gen.choose (1, 200)))
        (fun (model, width) ->
            let lines = textOf model width
            Expect.isGreaterThanOrEqual lines.Length 4 "lines"

            for line in lines do
                Expect.isLessThanOrEqual line.Length width line
                Expect.isFalse (Regex.IsMatch(line, "NaN|∞|Infinity")) line)

// ---- Frames on a terminal ----

/// A terminal that knows what a screen writes: lines, how far the cursor goes up, and that all below it is cleared. It wraps lines again when
/// its width changes.
type private Emulator() =
    let mutable lines: string list = [] // the last one first
    let colours = Regex @"\u001b\[[0-9;]*m"

    member _.Lines = List.rev lines

    member _.Write(text: string, width: int) =
        let body =
            Regex.Match(
                text,
                @"^\u001b\[\?2026h\u001b\[\?25l\r(?:\u001b\[(\d+)A)?\u001b\[J([^\r]*)\u001b\[\?25h\u001b\[\?2026l$"
            )

        Expect.isTrue body.Success $"a frame: {text}"
        let mutable up = if body.Groups[1].Success then int body.Groups[1].Value else 0

        while up > 0 do
            up <- up - Terminal.rowsOf width [| lines.Head.Length |]
            lines <- lines.Tail

        Expect.equal up 0 "the cursor is at the beginning of a line"
        let written = colours.Replace(body.Groups[2].Value, "")
        Expect.isFalse (written.Contains '\u001b') "other codes"
        Expect.stringEnds written "\n" "the cursor is below the frame"
        lines <- (written.TrimEnd('\n').Split '\n' |> List.ofArray |> List.rev) @ lines

let private frames =
    let anyFrame =
        Gen.zip3
            anyModel
            (Gen.choose (1, 120))
            (Gen.zip (Gen.choose (2, 30)) (Gen.listOf (Gen.elements [ "Warning one"; "two" ])))

    propertyOf
        100
        "leave the lines that stay and the last frame, whatever the size of the terminal becomes"
        (Gen.listOf anyFrame |> Gen.map (List.truncate 6) |> Gen.filter (List.isEmpty >> not))
        (fun shown ->
            use output = new MemoryStream()
            let screen = Terminal.Screen(output, true)
            let terminal = Emulator()

            for model, width, (height, staying) in shown do
                output.SetLength 0L
                screen.Show((width, height), staying, LiveView.render model width)
                terminal.Write(Encoding.UTF8.GetString(output.ToArray()), width)

            let model, width, (height, _) = List.last shown
            let last = textOf model width |> Array.truncate (height - 1) |> Array.map _.TrimEnd()

            let staying =
                [ for _, _, (_, staying) in shown do
                      yield! staying ]

            Expect.equal [ for line in terminal.Lines -> line.TrimEnd() ] (staying @ List.ofArray last) "the screen")

let private rows =
    property
        "count the columns of a line without its colours"
        (Gen.listOf (Gen.elements [ "ab"; "\u001b[90m"; "\u001b[38;5;9m"; "━"; "m" ]))
        (fun parts ->
            let visible = parts |> List.filter (fun part -> part[0] <> '\u001b') |> String.concat ""
            Expect.equal (Terminal.lengthOf (String.concat "" parts)) visible.Length "columns")

let tests =
    testList
        "Live view"
        [ testList "text" (durations :: examples @ [ documented; anyway ])
          testList "frames" [ frames; rows ] ]
