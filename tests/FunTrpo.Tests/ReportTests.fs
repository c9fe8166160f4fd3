module FunTrpo.Tests.ReportTests

open System
open System.Collections.Generic
open System.Collections.Immutable
open System.Globalization
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks
open MathNet.Numerics.Statistics

let private configurations =
    let small =
        { Configuration.standard with
            Environments = 3
            Horizon = 40
            Hidden = [ 6 ]
            CriticHidden = [ 5 ]
            CriticSteps = 2 }

    [ small
      { small with Critic = CriticKind.Adam; NormaliseObservations = true; NormaliseReturns = false }
      { small with Direction = DirectionKind.Gradient; Step = StepKind.Fixed; LearningRate = 0.1 }
      { small with Rule = RuleKind.Ppo; Epochs = 2; TargetKl = 1e-3 }
      { small with Branches = 2; BranchSteps = 5 }
      { small with HeldOut = 0.5 } ]

/// The setup, and the state before and the results of each of the first iterations.
let private iterationsOf configuration seed =
    let setup = setupOf 1 configuration CartPole.environment
    let start = TrainingState.start setup seed
    setup, iterations 4 setup start |> withBefore start

let private runs = Gen.zip (Gen.elements configurations) (Gen.choose (0, 1000) |> Gen.map int64)

let private quantities =
    testList
        "a report"
        [ propertyOf 12 "counts the steps and the episodes of its iteration" runs (fun (configuration, seed) ->
              let _, iterations = iterationsOf configuration seed

              for before, (after, report) in iterations do
                  Expect.equal report.BatchSteps (after.Steps - before.Steps) "steps"
                  Expect.equal (int64 report.Finished.Length) (after.Episodes - before.Episodes) "episodes"
                  // CartPole's reward is 1 for each step.
                  Expect.all report.Finished (fun episode -> float episode.Length = episode.Return) "lengths")
          propertyOf
              12
              "shows the fraction of the trust region that the step used, and nothing without a trust region"
              runs
              (fun (configuration, seed) ->
                  for _, (_, report) in snd (iterationsOf configuration seed) do
                      let expected =
                          match configuration.Rule, configuration.Step with
                          | RuleKind.Ppo, _
                          | _, StepKind.Fixed -> ReportValue.Missing
                          | RuleKind.SingleStep, StepKind.TrustRegion ->
                              ReportValue.Number(report.Improvement.Comparison.MeanKl / configuration.Delta)

                      Expect.equal (Report.value "klOverDelta" report) expected "fraction")
          propertyOf
              12
              "has the critic's errors as its values before and after the fit have them"
              runs
              (fun (configuration, seed) ->
                  let setup, iterations = iterationsOf configuration seed

                  for before, (after, report) in iterations do
                      let batch, _ = Stages.rollout configuration.Horizon setup before |> expectOk
                      let advantages = Stages.advantageBatch setup before batch

                      let errorOf values =
                          Seq.map2 (fun v g -> (v - g) ** 2.0) values advantages.Returns |> Seq.average |> sqrt

                      let values = Critic.values setup.Critic after.Critic advantages.Observations
                      expectClose 1e-9 report.CriticErrorBefore (errorOf advantages.Values) "before"
                      expectClose 1e-9 report.CriticErrorAfter (errorOf values) "after")
          propertyOf
              12
              "is equal to that of the same iteration made again, whatever the times"
              runs
              (fun (configuration, seed) ->
                  let reports () = iterationsOf configuration seed |> snd |> List.map (snd >> snd)
                  let reports, again = reports (), reports ()
                  Expect.equal again reports "reports"

                  let seconds =
                      reports |> List.map (fun report -> struct (report.Seconds.Rollout, report.Seconds.Total))

                  let others = again |> List.map (fun report -> struct (report.Seconds.Rollout, report.Seconds.Total))
                  Expect.notEqual others seconds "times"

                  for report in reports do
                      let seconds = report.Seconds
                      let stages = seconds.Rollout + max seconds.Policy seconds.Critic
                      Expect.isGreaterThan (min seconds.Rollout (min seconds.Policy seconds.Critic)) 0.0 "each stage"
                      Expect.isLessThanOrEqual stages seconds.Total "one thread: the stages are within the iteration") ]

let private fields =
    let names = Report.fields |> List.map _.Name

    testList
        "the quantities"
        [ test "have distinct names, and meanings" {
              Expect.equal (List.distinct names) names "names"
              Expect.all Report.fields (fun field -> field.Meaning.Length > 5) "meanings"
          }

          propertyOf 8 "are read by name, and as text give the same value back" runs (fun (configuration, seed) ->
              for _, (_, report) in snd (iterationsOf configuration seed) do
                  for field in Report.fields do
                      let value = Report.value field.Name report
                      let text = Report.toText value
                      Expect.equal value (field.Read report) field.Name
                      Expect.equal (Report.ofText field text) (Some value) $"{field.Name} from its text"

                      match value with
                      | ReportValue.Whole number -> Expect.equal (int64 text) number field.Name
                      | ReportValue.Number number ->
                          Expect.equal (Double.Parse(text, CultureInfo.InvariantCulture)) number field.Name
                          Expect.isTrue (Double.IsFinite number) field.Name
                      | ReportValue.Text name -> Expect.equal text name field.Name
                      | ReportValue.Missing -> Expect.equal text "" field.Name)

          test "are no value of a number if their text is none, or not finite" {
              let named name = Report.fields |> List.find (fun field -> field.Name = name)

              for name, texts in [ "steps", [ "x"; "1.5"; " "; "1e3" ]; "meanKl", [ "x"; "NaN"; "∞"; "1e999" ] ] do
                  for text in texts do
                      Expect.isNone (Report.ofText (named name) text) $"{name} = {text}"
          }

          propertyOf
              20
              "have the mean and the quartiles of the returns of the iteration's episodes"
              (Gen.zip runs (Gen.arrayOf (Generators.number |> Gen.map float)))
              (fun ((configuration, seed), returns) ->
                  let report = iterationsOf configuration seed |> snd |> List.head |> snd |> snd

                  let finished =
                      returns |> Seq.map (fun reward -> { Return = reward; Length = 1 }) |> ImmutableArray.CreateRange

                  let report = { report with Finished = finished }
                  let sorted = Array.sort returns

                  let quantile fraction = SortedArrayStatistics.QuantileCustom(sorted, fraction, QuantileDefinition.R7)

                  for name, expected in
                      [ "batchReturn", (fun () -> Array.average returns)
                        "batchReturnLow", (fun () -> quantile 0.25)
                        "batchReturnHigh", (fun () -> quantile 0.75) ] do
                      match Report.value name report with
                      | ReportValue.Number actual -> expectClose 1e-9 actual (expected ()) name
                      | other -> Expect.equal (other, returns.Length) (ReportValue.Missing, 0) name)

          test "are missing where they have no value" {
              let _, iterations = iterationsOf { configurations[2] with Horizon = 1 } 1L
              let _, (_, report) = iterations.Head

              for name in
                  [ "meanReturn"
                    "meanEpisodeLength"
                    "batchReturn"
                    "delta"
                    "cgIterations"
                    "cgResidual"
                    "cgStop" ] do
                  Expect.equal (Report.value name report) ReportValue.Missing name
          } ]

/// The property of the facade's report that has this quantity: its name with a capital, or a member of `Seconds`.
let private facadeValue (report: FunTrpo.CSharp.IterationReport) (name: string) =
    match name with
    | "rolloutSeconds" -> box report.Seconds.Rollout
    | "policySeconds" -> box report.Seconds.Policy
    | "criticSeconds" -> box report.Seconds.Critic
    | "seconds" -> box report.Seconds.Total
    | _ ->
        let property = report.GetType().GetProperty(string (Char.ToUpperInvariant name[0]) + name.Substring 1)
        Expect.isNotNull property $"the facade has a property for {name}"
        property.GetValue report

/// "line search failed" and LineSearchFailed are the same.
let private squeeze (text: string) = text.Replace(" ", "").ToLowerInvariant()

let private facade =
    property "the facade's report has every quantity" runs (fun (configuration, seed) ->
        let reports = snd (iterationsOf configuration seed) |> List.map (snd >> snd)
        let warned = { reports.Head with Warnings = [ LowEntropy(10, 1e-4); NotMoving(20, "why") ] }

        for report in warned :: reports do
            let facade = FunTrpo.CSharp.IterationReport report

            for field in Report.fields do
                match field.Read report, facadeValue facade field.Name with
                // The facade has whole sentences.
                | value, (:? IReadOnlyList<string> as sentences) when field.Name = "warnings" ->
                    Expect.sequenceEqual sentences (report.Warnings |> List.map Warning.message) "sentences"
                    Expect.equal (Report.toText value = "") (sentences.Count = 0) "names"
                | ReportValue.Whole expected, actual -> Expect.equal (Convert.ToInt64 actual) expected field.Name
                | ReportValue.Number expected, actual ->
                    let isTime = field.Unit.StartsWith 's' && field.Unit <> "steps"
                    let tolerance = if isTime then 1e-6 * (1.0 + abs expected) + 0.5 else 0.0
                    expectClose tolerance (Convert.ToDouble actual) expected field.Name
                | ReportValue.Text expected, actual ->
                    Expect.equal (squeeze (string actual)) (squeeze expected) field.Name
                | ReportValue.Missing, actual ->
                    let isMissing =
                        match actual with
                        | null -> true
                        | :? float as number -> not (Double.IsFinite number)
                        | :? int as count -> count = 0
                        | :? FunTrpo.CSharp.ConjugateGradientStop as stop ->
                            stop = FunTrpo.CSharp.ConjugateGradientStop.NotUsed
                        | _ -> false

                    Expect.isTrue isMissing $"{field.Name} is {actual}")

let tests = testList "report" [ quantities; fields; facade ]
