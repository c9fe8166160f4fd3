namespace FunTrpo

open System
open System.Collections.Generic
open System.Diagnostics.Metrics

/// The quantities of iterations and evaluations as metrics of .NET. Without a listener nothing is measured and nothing is allocated.
///
/// The instruments are made from `Report.fields`. Times are histograms, and other numbers are gauges. Numbers of steps, episodes and
/// iterations are counters. Texts are tags of the counter of iterations. Each measurement has the tag `environment`.
module Telemetry =

    type private Tag = KeyValuePair<string, obj>

    /// The source of the metrics. Its name is FunTrpo.
    let meter = new Meter("FunTrpo")

    /// meanReturn becomes mean_return: names of metrics are in lower case.
    let private lower (name: string) =
        name |> String.collect (fun c -> if Char.IsUpper c then $"_{Char.ToLowerInvariant c}" else string c)

    /// The name of the instrument of a field of `Report.fields`.
    let internal instrumentName (field: string) = "funtrpo." + lower field

    /// What an iteration adds to the counters. The report has the numbers so far.
    let private increments: IDictionary<string, Report -> int64> =
        dict
            [ "iteration", (fun _ -> 1L)
              "steps", _.BatchSteps
              "episodes", (fun report -> int64 report.Finished.Length) ]

    /// The fields that are texts are the tags of the counter of iterations.
    let private texts, numbers =
        Report.fields |> List.partition (fun field -> List.contains field.Name [ "outcome"; "cgStop" ])

    let private textTags report =
        [| for field in texts do
               match field.Read report with
               | ReportValue.Text text -> Tag(lower field.Name, text)
               | _ -> () |]

    let private counter (field: ReportField) =
        let counter =
            meter.CreateCounter<int64>(instrumentName field.Name, field.Unit, field.Meaning)

        let increment = increments[field.Name]

        fun report (environment: Tag) ->
            if counter.Enabled then
                let others = if field.Name = "iteration" then textTags report else [||]
                counter.Add(increment report, Array.append [| environment |] others)

    /// Passes the number on, if the field has one in the report.
    let private withNumber (field: ReportField) report record =
        match field.Read report with
        | ReportValue.Number number -> record number
        | ReportValue.Whole number -> record (float number)
        | ReportValue.Text _
        | ReportValue.Missing -> ()

    let private histogram (field: ReportField) =
        let histogram =
            meter.CreateHistogram<float>(instrumentName field.Name, field.Unit, field.Meaning)

        fun report (environment: Tag) ->
            if histogram.Enabled then
                withNumber field report (fun number -> histogram.Record(number, environment))

    let private gauge (field: ReportField) =
        let gauge =
            meter.CreateGauge<float>(instrumentName field.Name, field.Unit, field.Meaning)

        fun report (environment: Tag) ->
            if gauge.Enabled then
                withNumber field report (fun number -> gauge.Record(number, environment))

    /// Records the fields of a report.
    let private recorders =
        [| for field in numbers do
               if increments.ContainsKey field.Name then counter field
               elif field.Unit = "s" then histogram field
               else gauge field |]

    let private warnings =
        meter.CreateCounter<int64>("funtrpo.warnings", "warnings", "warnings about a run that may be stuck")

    let private evaluated =
        meter.CreateGauge<float>("funtrpo.evaluation.mean_return", "reward", "mean return of an evaluation")

    /// Records the quantities of an iteration of training on an environment.
    let record (environment: string) (report: Report) =
        let tag = Tag("environment", environment)

        for recorder in recorders do
            recorder report tag

        if warnings.Enabled && not report.Warnings.IsEmpty then
            warnings.Add(int64 report.Warnings.Length, tag)

    /// Records the mean returns of an evaluation during training on an environment. The tag `actions` says how actions were chosen:
    /// deterministic or sampled.
    let recordEvaluation (environment: string) (evaluation: TrainingEvaluation) =
        if evaluated.Enabled then
            let record (scores: Scores) actions =
                evaluated.Record(scores.Mean, Tag("environment", environment), Tag("actions", actions))

            record evaluation.Deterministic "deterministic"
            record evaluation.Sampled "sampled"

    /// The same results of `Training.run` or `Training.runFor`. The report of each is recorded when it is made.
    let recorded (setup: Setup<'State>) (results: Result<TrainingState<'State> * Report, Fault> seq) =
        results
        |> Seq.map (fun result ->
            match result with
            | Ok(_, report) -> record setup.Environment.Id report
            | Error _ -> ()

            result)
