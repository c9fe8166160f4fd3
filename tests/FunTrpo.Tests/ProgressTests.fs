/// The quantities of a run, from its reports and from its progress.csv.
module FunTrpo.Tests.ProgressTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Plots
open FunTrpo.Tests.Generators
open FunTrpo.Tests.PageCases
open FunTrpo.Tests.Tasks

let private columns (progress: Progress) = [ for KeyValue(name, values) in progress.Columns -> name, List.ofSeq values ]

let private damaged what result =
    match result with
    | Error(Damaged(source, why)) ->
        Expect.equal source "p.csv" "the source"
        why
    | other -> failtest $"{what}: {other}"

let private seeds = Gen.choose (0, 1000) |> Gen.map int64

let private reading =
    [ propertyOf
          8
          "from progress.csv is that from the reports"
          (Gen.zip (Gen.choose (0, 5)) seeds)
          (fun (count, seed) ->
              let reports = if count = 0 then [] else snd (run count seed)
              let read = Progress.ofCsv "p.csv" (csv reports) |> expectOk
              let direct = Progress.ofReports reports
              Expect.equal (columns read) (columns direct) "the columns"
              Expect.equal (Progress.length read, read.Every) (count, 1) "rows"

              for field in Report.fields do
                  let expected = reports |> List.map field.Read
                  Expect.equal (List.ofSeq (Progress.values field.Name direct)) expected field.Name

                  let numbers =
                      [ for value in expected ->
                            match value with
                            | ReportValue.Whole number -> float number
                            | ReportValue.Number number -> number
                            | _ -> nan ]

                  Expect.isTrue
                      (numbers.Equals(List.ofArray (Progress.numbers field.Name direct)))
                      $"numbers of {field.Name}")

      propertyOf 8 "tells of all warnings, also where rows are left out" seeds (fun seed ->
          let reports = snd (run 2 seed)

          let warned i report =
              { report with
                  Iteration = i + 1
                  Warnings =
                      if i % 1000 = 10 then [ NotMoving(10, "why"); LowEntropy(10, 1e-4) ]
                      elif i = 4001 then [ SigmaAtBound(20, 0, -10.0, 0.0) ]
                      else [] }

          let reports = List.init 4002 (fun i -> warned i reports[i % 2])
          let both = "the policy does not move; hardly any entropy"

          let expected = [ 11L, both; 1011L, both; 2011L, both; 3011L, both; 4002L, "a sigma is at its bound" ]

          Expect.equal (Progress.ofReports reports).Warnings expected "from reports"
          Expect.equal (Progress.ofCsv "p.csv" (csv reports) |> expectOk).Warnings expected "from progress.csv")

      test "leaves out a last line that is not whole, and what an earlier version has not written is missing" {
          let reports = snd (run 3 1L)
          let whole = csv reports
          let cut = whole.Substring(0, whole.Length - 5)
          let read = Progress.ofCsv "p.csv" cut |> expectOk
          Expect.equal (columns read) (columns (Progress.ofReports (List.truncate 2 reports))) "two rows"

          let withoutLast (line: string) = if line = "" then "" else line.Substring(0, line.LastIndexOf ',')
          let old = whole.Split '\n' |> Array.map withoutLast |> String.concat "\n"
          let read = Progress.ofCsv "p.csv" old |> expectOk
          let last = (List.last Report.fields).Name
          Expect.all (Progress.values last read) ((=) ReportValue.Missing) last
          Expect.equal (Progress.texts "outcome" read) (Progress.texts "outcome" (Progress.ofReports reports)) "others"
      }

      test "is refused where a cell is no value of its column, or the text is no progress.csv" {
          let lines = (csv (snd (run 2 1L))).Split '\n'
          let cells = lines[2].Split ','
          cells[7] <- cells[7] // a text: any is one
          cells[1] <- "many"
          let text = String.concat "\n" [ lines[0]; lines[1]; String.concat "," cells; "" ]
          let why = Progress.ofCsv "p.csv" text |> damaged "a cell"

          for part in [ "steps"; "many" ] do
              Expect.stringContains why part "the place"

          for text in [ ""; "a,b\n1,2\n"; "steps\n" ] do
              let why = Progress.ofCsv "p.csv" text |> damaged text
              Expect.stringContains why "not the progress.csv" "why"
      } ]

let private thinning =
    propertyOf
        100
        "of a very long run has every n-th row, counted from the last"
        (Gen.zip (Gen.choose (1, 50)) (Gen.choose (0, 1000)))
        (fun (most, count) ->
            let every, rows = CsvTable.thinned most [| 1..count |]
            Expect.isLessThanOrEqual rows.Length most "rows"
            Expect.equal (Array.tryLast rows) (if count = 0 then None else Some count) "the last one"
            Expect.all (Array.pairwise rows) (fun (a, b) -> b - a = every) "the distance"
            // One fewer in between would have been too many.
            Expect.isTrue (every = 1 || (count + every - 2) / (every - 1) > most) "no fewer than needed"

            if count > 0 then
                Expect.isLessThanOrEqual rows[0] every "the first one")

let private evaluations =
    test "of evaluations is that of evaluations.csv" {
        let scores mean std : Scores =
            { Mean = mean
              Std = std
              Min = mean - std
              Max = mean + std
              Returns = Collections.Immutable.ImmutableArray.Create(mean, mean)
              Lengths = Collections.Immutable.ImmutableArray.Create(3, 4) }

        let evaluation steps mean : TrainingEvaluation =
            { Iteration = 1; Steps = steps; Deterministic = scores mean 2.5; Sampled = scores (mean - 1.0) 3.5 }

        let all = [ evaluation 1000L 0.1; evaluation 2000L -200.25 ]

        let lines =
            [ for one in all do
                  match Cli.RunWrites.evaluationLine one with
                  | Cli.RunFolder.Append(_, line) -> line
                  | other -> failtest $"{other}" ]

        let header = "iteration,steps,episodes,mean,std,min,max,sampledMean,sampledStd,sampledMin,sampledMax"
        let text = (header :: lines |> String.concat "\n") + "\n"
        let read = EvaluationPoint.ofCsv "p.csv" text |> expectOk
        Expect.equal read (all |> List.map EvaluationPoint.ofEvaluation) "the points"
        Expect.equal (read |> List.map (fun point -> point.Steps, point.Mean)) [ 1000L, 0.1; 2000L, -200.25 ] "means"
        Expect.equal read[0].SampledMean -0.9 "the mean of drawn actions"
        Expect.equal (EvaluationPoint.ofCsv "p.csv" "" |> expectOk) [] "none"
        EvaluationPoint.ofCsv "p.csv" (text.Replace("0.1", "x")) |> damaged "a cell" |> ignore
    }

let private goals =
    [ test "are reached when 100 episodes have finished and their mean is high enough" {
          let text =
              "iteration,steps,episodes,meanReturn\n1,10,0,\n2,20,99,9\n3,30,100,4.5\n4,40,140,5\n5,50,150,6\n"

          Expect.equal (Progress.stepsToGoal 5.0 text) (Some 40L) "the first row with such a mean"
          Expect.equal (Progress.stepsToGoal 4.5 text) (Some 30L) "exactly"
          Expect.equal (Progress.stepsToGoal 6.5 text) None "never"
          Expect.equal (Progress.stepsToGoal -100.0 text) (Some 30L) "not before 100 episodes"

          for other in [ ""; "x"; "iteration,steps\n1,2\n" ] do
              Expect.equal (Progress.stepsToGoal 0.0 other) None other
      }

      propertyOf 6 "are those at which training would have stopped" seeds (fun seed ->
          let setup =
              setupOf
                  1
                  { Configuration.standard with
                      Environments = 8
                      Horizon = 100
                      Hidden = [ 6 ]
                      CriticHidden = [ 5 ] }
                  CartPole.environment

          let states, reports = iterations 8 setup (TrainingState.start setup seed) |> List.unzip
          let text = csv reports

          for goal in [ 15.0; 20.0; 25.0; 30.0 ] do
              let expected = states |> List.tryFind (TrainingState.hasReached goal) |> Option.map _.Steps
              Expect.equal (Progress.stepsToGoal goal text) expected $"{goal}") ]

let tests = testList "Progress" (reading @ [ thinning; evaluations ] @ goals)
