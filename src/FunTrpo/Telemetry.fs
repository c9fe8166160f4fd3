namespace FunTrpo

open System
open System.Collections.Generic
open System.Diagnostics.Metrics
open System.Text

/// The quantities of iterations and evaluations as metrics of .NET. Without a listener nothing is measured and nothing is allocated.
///
/// The instruments are made from `Report.fields`. Times are histograms, and other numbers are gauges. Numbers of steps, episodes, iterations
/// and warnings are counters. Other texts are tags of the counter of iterations. Each measurement has the tag `environment`.
module Telemetry =

    type private Tag = KeyValuePair<string, obj>

    /// The source of the metrics. Its name is FunTrpo.
    let meter = new Meter("FunTrpo")

    let private ofEnvironment (environment: string) = Tag("environment", environment)

    /// meanReturn becomes mean_return: names of metrics are in lower case.
    let private lower (name: string) =
        let text = StringBuilder()

        for letter in name do
            if Char.IsUpper letter then
                text.Append '_' |> ignore

            text.Append(Char.ToLowerInvariant letter) |> ignore

        string text

    /// The name of the instrument of a field of `Report.fields`.
    let internal instrumentName (field: string) = "funtrpo." + lower field

    /// Passes the number of a field on, if it has one in the report.
    let private withNumber (field: ReportField<Report>) report (record: float -> unit) =
        match field.Read report with
        | ReportValue.Number number -> record number
        | ReportValue.Whole number -> record (float number)
        | ReportValue.Text _
        | ReportValue.Missing -> ()

    let private gauge (field: ReportField<Report>) =
        let gauge = meter.CreateGauge<float>(instrumentName field.Name, field.Unit, field.Meaning)

        fun report environment ->
            if gauge.Enabled then
                withNumber field report (fun number -> gauge.Record(number, ofEnvironment environment))

    let private histogram (field: ReportField<Report>) =
        let histogram = meter.CreateHistogram<float>(instrumentName field.Name, field.Unit, field.Meaning)

        fun report environment ->
            if histogram.Enabled then
                withNumber field report (fun number -> histogram.Record(number, ofEnvironment environment))

    /// A counter of what an iteration adds. The field has the number so far.
    let private counter (field: ReportField<Report>) (added: Report -> int64) (tags: Report -> Tag list) =
        let counter = meter.CreateCounter<int64>(instrumentName field.Name, field.Unit, field.Meaning)

        fun report environment ->
            if counter.Enabled then
                counter.Add(added report, Array.ofList (ofEnvironment environment :: tags report))

    let private isText (field: ReportField<Report>) = field.Name = "outcome" || field.Name = "cgStop"

    /// The fields that are texts, as tags.
    let private texts report =
        [ for field in List.filter isText Report.fields do
              match field.Read report with
              | ReportValue.Text text -> Tag(lower field.Name, text)
              | _ -> () ]

    /// A counter of warnings, each with its name as the tag `warning`.
    let private warnings (field: ReportField<Report>) =
        let counter = meter.CreateCounter<int64>(instrumentName field.Name, field.Unit, field.Meaning)

        fun (report: Report) environment ->
            if counter.Enabled then
                for warning in report.Warnings do
                    counter.Add(1L, ofEnvironment environment, Tag("warning", Warning.name warning))

    let private noTags (_: Report) : Tag list = []

    /// Each records a field of a report on training on an environment, by an instrument that it has made.
    let private recorders: (Report -> string -> unit)[] =
        [| for field in Report.fields do
               match field.Name with
               | "iteration" -> counter field (fun _ -> 1L) texts
               | "steps" -> counter field _.BatchSteps noTags
               | "episodes" -> counter field (fun report -> int64 report.Finished.Length) noTags
               | "warnings" -> warnings field
               | _ when isText field -> ()
               | _ when field.Unit = "s" -> histogram field
               | _ -> gauge field |]

    let private evaluated =
        meter.CreateGauge<float>("funtrpo.evaluation.mean_return", "reward", "mean return of an evaluation")

    /// Records the quantities of an iteration of training on an environment.
    let record (environment: string) (report: Report) =
        for record in recorders do
            record report environment

    /// Records the mean returns of an evaluation during training on an environment. The tag `actions` says how actions were chosen:
    /// deterministic or sampled.
    let recordEvaluation (environment: string) (evaluation: TrainingEvaluation) =
        if evaluated.Enabled then
            let record (scores: Scores) actions =
                evaluated.Record(scores.Mean, ofEnvironment environment, Tag("actions", actions))

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
