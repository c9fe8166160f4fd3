/// Learning curves of several runs, groups of runs, and the statistics of their scores: worked out by hand, and by properties.
module FunTrpo.Tests.ComparisonTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Plots
open FunTrpo.Tests.Generators

let private close actual expected what = Expect.floatClose Accuracy.high actual expected what

/// A run of a comparison without progress.
let runOf environment seed settings score : ComparedRun =
    { Folder = $"{environment}/seed-{seed}"
      Label = None
      Environment = environment
      Seed = seed
      Settings = settings
      Progress = Progress.ofReports []
      Score = score
      MeanReturn = Some 1.0
      StepsToGoal = None }

let private aCurve =
    Gen.zip (Gen.choose (1, 30)) (Gen.choose (0, 1_000_000))
    |> Gen.map (fun (count, seed) ->
        let numbers = Key.uniforms (2 * count) (Key.ofSeed (int64 seed))
        // Rising steps, some of which follow each other.
        let steps =
            numbers[.. count - 1]
            |> Array.map ((*) 10.0 >> floor >> (+) 1.0)
            |> Array.scan (+) 0.0
            |> Array.tail

        Array.zip steps numbers[count..])

let private someCurves = Gen.choose (1, 6) |> Gen.bind (fun count -> Gen.arrayOfLength count aCurve)

let private curves =
    [ test "by hand: the last value is carried forward, where all runs have one" {
          let curves =
              [| [| 100.0, 1.0; 300.0, 3.0 |]
                 [| 200.0, 10.0; 400.0, 30.0 |]
                 [| 50.0, 4.0; 100.0, 5.0; 350.0, 8.0 |] |]

          Expect.equal
              (LearningCurve.commonSteps 3 curves)
              [| 200.0; 250.0; 300.0 |]
              "from the latest start to the earliest end"

          Expect.equal (curves |> Array.map (LearningCurve.valueAt 250.0)) [| 1.0; 10.0; 5.0 |] "values"
          let aggregate = LearningCurve.aggregate curves
          Expect.equal (aggregate.Steps[0], Array.last aggregate.Steps) (200.0, 300.0) "ends"
          // Of three values, the interquartile mean is the mean.
          close aggregate.Mean[0] (16.0 / 3.0) "at first"
          close (Array.last aggregate.Mean) (18.0 / 3.0) "at last"
      }

      test "that do not overlap, or have no point, have nothing in common" {
          let one = [| 1.0, 1.0; 2.0, 2.0 |]
          Expect.isEmpty (LearningCurve.commonSteps 5 [| one; [| 3.0, 1.0 |] |]) "one after the other"
          Expect.isEmpty (LearningCurve.commonSteps 5 [| one; [||] |]) "one without points"
          Expect.isEmpty (LearningCurve.commonSteps 5 [||]) "none"
          Expect.isEmpty (LearningCurve.aggregate [| one; [||] |]).Mean "no means"
      }

      propertyOf
          40
          "are aggregated between the lowest and the highest value, on rising steps, in any order"
          someCurves
          (fun curves ->
              let aggregate = LearningCurve.aggregate curves

              for i, step in Array.indexed aggregate.Steps do
                  let values =
                      [| for curve in curves ->
                             // An oracle of its own: a scan from the front.
                             (nan, curve) ||> Array.fold (fun last (at, value) -> if at <= step then value else last) |]

                  Expect.isFalse (Array.exists Double.IsNaN values) "each has a value"
                  let low, high = Array.min values, Array.max values
                  close aggregate.Mean[i] (Statistics.interquartileMean values) "the interquartile mean"
                  Expect.isTrue (aggregate.Low[i] >= low - 1e-12 && aggregate.High[i] <= high + 1e-12) "the band"
                  Expect.isTrue (aggregate.Low[i] <= aggregate.High[i]) "low and high"

              Expect.equal aggregate.Steps (aggregate.Steps |> Array.distinct |> Array.sort) "rising steps"
              Expect.isLessThanOrEqual aggregate.Steps.Length LearningCurve.resolution "not too many"

              Expect.equal
                  (LearningCurve.aggregate (Array.rev curves)).Mean.Length
                  aggregate.Mean.Length
                  "in any order")

      propertyOf 20 "of one run are that run's, without a band" aCurve (fun curve ->
          let aggregate = LearningCurve.aggregate [| curve |]
          Expect.equal aggregate.Low aggregate.Mean "low"
          Expect.equal aggregate.High aggregate.Mean "high"
          close (Array.last aggregate.Mean) (snd (Array.last curve)) "the end") ]

let private grouping =
    [ test "puts runs together that differ in the seed, and names groups by what differs within an environment" {
          let settings delta = [ "steps", "100"; "delta", delta; "hidden", "" ]

          let runs =
              [ runOf "A" 1L (settings "0.1") None
                runOf "A" 0L (settings "0.02") None
                runOf "A" 0L (settings "0.1") None
                // The preset of B has another number of steps: that is no difference between its groups.
                runOf "B" 0L [ "steps", "7"; "delta", "0.1"; "hidden", "" ] None ]

          let groups = Comparison.groups runs
          Expect.equal (Comparison.varied runs) [ "delta" ] "what varies"

          Expect.equal
              [ for group in groups -> group.Environment, group.Name, [ for run in group.Runs -> run.Seed ] ]
              [ "A", "delta=0.02", [ 0L ]; "A", "delta=0.1", [ 1L; 0L ]; "B", "delta=0.1", [ 0L ] ]
              "groups"

          let only = Comparison.groups [ runOf "A" 0L [] None; runOf "A" 1L [] None ]
          Expect.equal [ for group in only -> group.Name ] [ Comparison.onlyGroup ] "one group"

          let missing = Comparison.groups [ runOf "A" 0L [ "from", "" ] None; runOf "A" 0L [ "from", "ab" ] None ]
          Expect.equal [ for group in missing -> group.Name ] [ "from=none"; "from=ab" ] "a setting that is missing"
      }

      test "is by label where there is one, in the order of the first runs, whatever the settings are" {
          let labelled label delta seed = { runOf "A" seed [ "delta", delta ] None with Label = Some label }

          let runs =
              [ labelled "wide" "0.1" 0L
                labelled "narrow" "0.01" 0L
                labelled "wide" "0.2" 1L
                runOf "A" 3L [ "delta", "0.5" ] None ]

          Expect.equal
              [ for group in Comparison.groups runs -> group.Name, [ for run in group.Runs -> run.Seed ] ]
              [ "wide", [ 0L; 1L ]; "narrow", [ 0L ]; Comparison.onlyGroup, [ 3L ] ]
              "groups"
      }

      test "orders numbers by size, and not as texts" {
          let runs = [ for delta in [ "10"; "9"; "1e-3"; "tanh" ] -> runOf "A" 0L [ "delta", delta ] None ]

          Expect.equal
              [ for group in Comparison.groups runs -> group.Name ]
              [ "delta=1e-3"; "delta=9"; "delta=10"; "delta=tanh" ]
              "order"
      }

      propertyOf
          40
          "keeps every run once"
          (Gen.listOf (Gen.zip (Gen.elements [ "A"; "B" ]) (Gen.zip (Gen.choose (0, 3)) (Gen.choose (0, 3)))))
          (fun cases ->
              let runs =
                  [ for environment, (delta, seed) in cases ->
                        runOf environment (int64 seed) [ "delta", string delta ] None ]

              let grouped = Comparison.groups runs |> List.collect _.Runs
              Expect.equal (List.sortBy hash grouped) (List.sortBy hash runs) "the runs") ]

let private scores =
    [ test "by hand" {
          let group scores =
              { Environment = "A"
                Name = "x"
                Runs = [ for i, score in List.indexed scores -> runOf "A" (int64 i) [] (Some score) ] }

          let final = (Comparison.finalScores true (group [ 0.0; 1.0; 2.0; 9.0 ])).Value
          Expect.equal (final.Median, final.Mean, final.Worst, final.Best) (1.5, 1.5, 0.0, 9.0) "statistics"
          Expect.isTrue (final.Interval.Low >= 0.0 && final.Interval.High <= 9.0) "interval"
          Expect.isNone (Comparison.finalScores true { group [] with Runs = [ runOf "A" 0L [] None ] }) "no score"
          // By their last training episodes, all have 1.
          Expect.equal (Comparison.finalScores false (group [ 5.0; 7.0 ])).Value.Median 1.0 "training"

          let withSteps steps =
              { group [] with Runs = [ for steps in steps -> { runOf "A" 0L [] None with StepsToGoal = steps } ] }

          Expect.equal (Comparison.medianSteps (withSteps [ Some 3L; None; Some 1L ])) (Some 3.0) "one has not"
          Expect.equal (Comparison.medianSteps (withSteps [ Some 3L; None ])) None "half have not"
          Expect.equal (Comparison.medianSteps (withSteps [ Some 3L; Some 4L ])) (Some 3.5) "even"
      }

      test "of several environments are counted from random play to the goal" {
          let known id goal random : ComparedEnvironment =
              { Id = id; Goal = goal; RandomReturn = random; Preset = []; DdpgPreset = [] }

          let environments =
              [ known "A" (Some 10.0) (Some 0.0)
                known "B" (Some -100.0) (Some -200.0)
                known "C" None (Some 1.0)
                known "D" (Some 1.0) (Some 1.0) ]

          let run environment delta score = runOf environment 0L [ "delta", delta ] (Some score)

          let groups =
              [ for environment, low, high in [ "A", 5.0, 10.0; "B", -150.0, -50.0; "C", 0.0, 1.0; "D", 0.0, 1.0 ] do
                    run environment "1" low
                    run environment "2" high ]
              |> Comparison.groups

          let ids, all = Comparison.named true environments groups
          Expect.equal ids [ "A"; "B" ] "environments with a goal above random play"

          Expect.equal
              all
              [ { Name = "delta=1"; Strata = [| [| 0.5 |]; [| 0.5 |] |] }
                { Name = "delta=2"; Strata = [| [| 1.0 |]; [| 1.5 |] |] } ]
              "shares of the way"

          Expect.equal (Comparison.mean all[1]) 1.25 "together"

          Expect.equal
              (Comparison.improvement all[1] all[0])
              (1.0, { Low = 1.0; High = 1.0; Level = 0.95 })
              "always better"

          // One environment is compared as it is, and a group without a score there is left out.
          let one = Comparison.groups [ run "C" "1" 7.0; { run "C" "2" 8.0 with Score = None } ]

          Expect.equal
              (Comparison.named true environments one)
              ([ "C" ], [ { Name = "delta=1"; Strata = [| [| 7.0 |] |] } ])
              "one"
      }

      test "have profiles that begin with all runs and end with none" {
          let all =
              [ { Name = "x"; Strata = [| [| 1.0; 3.0 |]; [| 2.0; 2.0 |] |] }
                { Name = "y"; Strata = [| [| 0.0 |]; [| 5.0 |] |] } ]

          let thresholds = Comparison.thresholds all
          Expect.isLessThan thresholds[0] 0.0 "below the lowest"
          Expect.equal (Array.last thresholds) 5.0 "the highest"

          for named in all do
              let share, low, high = Comparison.profile thresholds named
              Expect.equal (share[0], Array.last share) (1.0, 0.0) "ends"

              Expect.all
                  (Array.zip3 low share high)
                  (fun (low, share, high) -> low <= share + 1e-12 && share <= high + 1e-12)
                  "band"

          // Above 1.9…: one of the two 1, 3, and both of 2, 2.
          let at = Array.findIndex (fun threshold -> threshold > 1.8 && threshold < 2.0) thresholds
          let share, _, _ = Comparison.profile thresholds all[0]
          Expect.equal share[at] 0.75 "by hand"
      }

      test "by hand: intervals of probabilities resample each environment of each group" {
          // The second group's runs are equal, and the first group's are better or worse.
          let x = { Name = "x"; Strata = [| [| 0.0; 2.0 |] |] }
          let y = { Name = "y"; Strata = [| [| 1.0; 1.0; 1.0 |] |] }
          let probability, interval = Comparison.improvement x y
          Expect.equal probability 0.5 "one of two"
          // Two draws of 0 or 1: both are 0 with the probability ¼, so the interval is everything.
          Expect.equal (interval.Low, interval.High) (0.0, 1.0) "the interval"
      } ]

let tests =
    testList "Comparison" [ testList "curves" curves; testList "grouping" grouping; testList "scores" scores ]
