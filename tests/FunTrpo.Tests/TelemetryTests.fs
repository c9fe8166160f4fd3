/// Metrics and activities of training, as OpenTelemetry collects them.
module FunTrpo.Tests.TelemetryTests

open System
open System.Collections.Generic
open System.Diagnostics
open System.IO
open Expecto
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Cli
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks
open OpenTelemetry
open OpenTelemetry.Metrics
open OpenTelemetry.Trace

// ---- Collecting ----

/// The environment under a name of its own: other tests may train at the same time.
let private named id =
    { new Wrapped<_>(CartPole.environment) with
        override _.Id = id }

let private reportsFor id count =
    let setup = setupOf 2 { small with DeltaShrinkage = 1.0; HeldOut = 0.5 } (named id)

    Training.run setup (TrainingState.start setup 3L)
    |> Telemetry.recorded setup
    |> Seq.take count
    |> Seq.map (expectOk >> snd)
    |> List.ofSeq

/// A measured value: its unit, its meaning, its tags but for the environment, and the sum or the last number.
type private Point = { Unit: string; Meaning: string; Tags: (string * string) list; Number: float; Count: int64 }

let private numberOf (metric: Metric) (point: MetricPoint byref) =
    match metric.MetricType with
    | MetricType.LongSum -> float (point.GetSumLong()), 0L
    | MetricType.DoubleGauge -> point.GetGaugeLastValueDouble(), 0L
    | MetricType.Histogram -> point.GetHistogramSum(), point.GetHistogramCount()
    | other -> failtest $"the type {other} of {metric.Name}"

/// What is measured of an environment while the work is done, by the names of the instruments.
let private measured (environment: string) (work: unit -> unit) =
    let metrics = List<Metric>()

    use provider = Sdk.CreateMeterProviderBuilder().AddMeter("FunTrpo").AddInMemoryExporter(metrics).Build()

    work ()
    provider.ForceFlush() |> ignore
    let found = List<string * Point>()

    for metric in metrics do
        let mutable points = metric.GetMetricPoints().GetEnumerator()

        while points.MoveNext() do
            let mutable point = points.Current
            let tags = Dictionary<string, string>()
            let mutable all = point.Tags.GetEnumerator()

            while all.MoveNext() do
                tags[all.Current.Key] <- string all.Current.Value

            if tags["environment"] = environment then
                let number, count = numberOf metric &point

                found.Add(
                    metric.Name,
                    { Unit = metric.Unit
                      Meaning = metric.Description
                      Tags =
                        [ for tag in tags do
                              if tag.Key <> "environment" then
                                  tag.Key, tag.Value ]
                      Number = number
                      Count = count }
                )

    found
    |> Seq.groupBy fst
    |> Seq.map (fun (name, points) -> name, points |> Seq.map snd |> List.ofSeq)
    |> Map

// ---- Metrics ----

let private number value =
    match value with
    | ReportValue.Whole number -> Some(float number)
    | ReportValue.Number number -> Some number
    | _ -> None

let private metrics =
    [ test "are what the reports say, field by field" {
          let mutable reports = []
          let found = measured "Metrics-v0" (fun () -> reports <- reportsFor "Metrics-v0" 5)
          let last = List.last reports
          let sum name = reports |> List.sumBy (fun report -> (Report.value name report |> number).Value)

          for field in Report.fields do
              if field.Name = "warnings" then
                  () // Below: there are none here.
              elif List.contains field.Name [ "outcome"; "cgStop" ] then
                  // Texts are tags of the counter of iterations.
                  let tag = if field.Name = "outcome" then "outcome" else "cg_stop"

                  let expected = reports |> List.countBy (fun report -> Report.toText (field.Read report)) |> List.sort

                  let actual =
                      found["funtrpo.iteration"]
                      |> List.groupBy (fun point -> point.Tags |> List.find (fst >> (=) tag) |> snd)
                      |> List.map (fun (text, points) -> text, int (points |> List.sumBy _.Number))
                      |> List.sort

                  Expect.equal actual expected field.Name
              else
                  let points = found[Telemetry.instrumentName field.Name]
                  Expect.all points (fun point -> point.Unit = field.Unit) $"{field.Name}: the unit"
                  Expect.all points (fun point -> point.Meaning = field.Meaning) $"{field.Name}: the meaning"
                  let total = points |> List.sumBy _.Number

                  match field.Name with
                  | "iteration" -> Expect.equal total 5.0 "iterations"
                  | "steps" -> Expect.equal total (float last.Steps) "steps"
                  | "episodes" -> Expect.equal total (float last.Episodes) "episodes"
                  | name when field.Unit = "s" ->
                      expectClose 1e-9 total (sum name) name
                      Expect.equal (points |> List.sumBy _.Count) 5L "one time an iteration"
                  | name -> Expect.equal (Some total) (number (field.Read last)) name
      }

      test "have names in lower case" {
          Expect.equal (Telemetry.instrumentName "meanReturn") "funtrpo.mean_return" "a name"

          for field in Report.fields do
              let name = Telemetry.instrumentName field.Name
              Expect.equal name (name.ToLowerInvariant()) field.Name
      }

      test "leave out what has no value" {
          let found =
              measured "Missing-v0" (fun () ->
                  let setup = setupOf 1 { small with Horizon = 2 } (named "Missing-v0")
                  let report = iterations 1 setup (TrainingState.start setup 3L) |> List.exactlyOne |> snd
                  Expect.isNone report.MeanReturn "no episode has ended"
                  Telemetry.record "Missing-v0" report)

          Expect.isFalse (found.ContainsKey "funtrpo.mean_return") "the mean return"
          Expect.isTrue (found.ContainsKey "funtrpo.mean_kl") "the KL"
      }

      test "count warnings, and show evaluations" {
          let id = "Warnings-v0"

          let found =
              measured id (fun () ->
                  let setup = setupOf 1 small (named id)
                  let state, report = iterations 1 setup (TrainingState.start setup 3L) |> List.exactlyOne
                  Telemetry.record id { report with Warnings = [ LongEpisode(id, 0, 1); LongEpisode(id, 1, 1) ] }
                  let plan = { Every = 1L; Episodes = 3; StopAt = None; Patience = None }
                  EvaluationHistory.evaluate plan 1L setup state |> expectOk |> Telemetry.recordEvaluation id)

          let warning = found["funtrpo.warnings"] |> List.exactlyOne
          Expect.equal warning.Number 2.0 "warnings"
          Expect.equal warning.Tags [ "warning", Warning.name (LongEpisode(id, 0, 1)) ] "their name"

          Expect.equal
              (found["funtrpo.evaluation.mean_return"] |> List.collect _.Tags |> List.sort)
              [ "actions", "deterministic"; "actions", "sampled" ]
              "evaluations"
      }

      test "are recorded by the command" {
          let id = "Command-v0"

          let found =
              measured id (fun () ->
                  TestFiles.inFolder (fun folder ->
                      let plan = { Every = 40L; Episodes = 1; StopAt = None; Patience = None }
                      let options = { TrainTests.optionsFor folder 80L with Evaluation = Some plan }
                      use output = new StringWriter()
                      Expect.equal (Train.run options None (named id) output output) 0 (string output)))

          Expect.equal (found["funtrpo.steps"] |> List.sumBy _.Number) 80.0 "steps"
          Expect.hasLength found["funtrpo.evaluation.mean_return"] 2 "evaluations"
      } ]

// ---- Activities ----

let private collected (work: unit -> unit) =
    let activities = List<Activity>()

    use provider =
        Sdk.CreateTracerProviderBuilder().AddSource("FunTrpo").AddInMemoryExporter(activities).Build()

    work ()
    provider.ForceFlush() |> ignore
    List.ofSeq activities

let private activities =
    [ for threads in [ 1; 2 ] do
          test $"are an iteration and its three stages, with {threads} threads" {
              let id = $"Activities-v{threads}"

              let all =
                  collected (fun () ->
                      let setup = setupOf threads small (named id)
                      iterations 3 setup (TrainingState.start setup 3L) |> ignore)

              let iterations = all |> List.filter (fun it -> it.OperationName = "funtrpo.iteration")

              Expect.equal
                  [ for it in iterations -> string (it.GetTagItem "environment"), string (it.GetTagItem "iteration") ]
                  [ id, "1"; id, "2"; id, "3" ]
                  "iterations"

              for iteration in iterations do
                  let stages = all |> List.filter (fun it -> it.ParentSpanId = iteration.SpanId)

                  Expect.equal
                      (stages |> List.map _.OperationName |> List.sort)
                      [ "funtrpo.critic"; "funtrpo.policy"; "funtrpo.rollout" ]
                      "stages"

                  for stage in stages do
                      Expect.isGreaterThanOrEqual stage.StartTimeUtc iteration.StartTimeUtc "its start"
                      let finish (it: Activity) = it.StartTimeUtc + it.Duration
                      Expect.isLessThan (finish stage - finish iteration) (TimeSpan.FromMilliseconds 5.0) "its end"

              Expect.hasLength all 12 "activities"
              Expect.isNull Activity.Current "none is left"
          }

      test "say what went wrong" {
          let all =
              collected (fun () ->
                  let setup = setupOf 1 small (failing "reward" 3)
                  Training.run setup (TrainingState.start setup 3L) |> Seq.toList |> ignore)

          let iteration = all |> List.find (fun it -> it.OperationName = "funtrpo.iteration")
          Expect.equal iteration.Status ActivityStatusCode.Error "the status"
          Expect.stringContains iteration.StatusDescription "Failing-v0" "the fault"
      }

      test "do not change what is trained" {
          let train () =
              let setup = setupOf 2 small CartPole.environment
              iterations 3 setup (TrainingState.start setup 3L) |> last |> _.PolicyParameters

          let without = train ()
          let mutable traced = without
          measured "CartPole-v1" (fun () -> collected (fun () -> traced <- train ()) |> ignore) |> ignore
          Expect.equal traced without "the parameters"
      } ]

// ---- Off ----

let private off =
    test "nothing is allocated while nobody listens" {
        let setup = setupOf 1 small CartPole.environment
        let report = iterations 1 setup (TrainingState.start setup 3L) |> List.exactlyOne |> snd

        let allocated count =
            let before = GC.GetAllocatedBytesForCurrentThread()

            for _ in 1..count do
                Telemetry.record "CartPole-v1" report
                let activity = Activities.iteration "CartPole-v1" 1
                Activities.stage activity "funtrpo.rollout" |> ignore

            GC.GetAllocatedBytesForCurrentThread() - before

        Expect.isFalse (Activities.source.HasListeners()) "nobody listens"
        allocated 10 |> ignore // what is made once is made
        Expect.equal (allocated 1000) 0L "bytes"
    }

// One after another, and without other tests: they listen to all that trains.
let tests =
    testSequenced (testList "Telemetry" [ testList "metrics" metrics; testList "activities" activities; off ])
