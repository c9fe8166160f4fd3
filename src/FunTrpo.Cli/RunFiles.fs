/// The files that a training run leaves in its folder.
module FunTrpo.Cli.RunFiles

open System
open System.Globalization
open System.IO
open System.Text.Json
open System.Text.Json.Nodes
open FunTrpo

/// A folder that one run holds until it is disposed of: two that wrote the same files would spoil both.
type Folder =
    {
        Path: string
        /// Whether an earlier run left its files there, which this one replaces.
        IsReused: bool
        Hold: FileStream
    }

    interface IDisposable with
        member this.Dispose() = this.Hold.Dispose()

/// A folder that can be written to, made where it does not exist.
let prepare (path: string) =
    let refuse why = Error(InvalidSetting("--out", path, $"it must be a folder that can be written to ({why})"))

    if path = "" then
        refuse "it has no name"
    else
        try
            let isReused = File.Exists(Path.Combine(path, "policy.json"))
            Directory.CreateDirectory path |> ignore
            let hold = Path.Combine(path, ".running")

            Ok
                { Path = path
                  IsReused = isReused
                  Hold =
                    new FileStream(
                        hold,
                        FileMode.OpenOrCreate,
                        FileAccess.Write,
                        FileShare.None,
                        1,
                        FileOptions.DeleteOnClose
                    ) }
        with
        | :? IOException as e when e.HResult = 11 || e.Message.Contains "being used" ->
            refuse "another run is writing to it"
        | :? IOException
        | :? UnauthorizedAccessException
        | :? ArgumentException as e -> refuse e.Message

let private replace folder name content = PolicyFile.replace (Path.Combine(folder, name)) content

let private print (node: JsonObject) = node.ToJsonString(JsonSerializerOptions(WriteIndented = true)) + "\n"

/// The number, or null where there is none.
let private numberOrNull (value: float option) =
    value |> Option.map (fun x -> JsonValue.Create x :> JsonNode) |> Option.toObj

let writePolicy folder saved = replace folder "policy.json" (PolicyFile.print saved)

/// The environment, the seed and the limits of the run, the SHA-256 of the parameters that it started from where those were
/// saved ones, and every field of its configuration.
let writeConfiguration
    folder
    environment
    (seed: int64)
    (steps: int64)
    (stopAt: float option)
    startedFrom
    configuration
    =
    let fields = JsonObject()

    for field in Configuration.fields do
        let text = field.Get configuration

        fields.Add(field.Name, if field.IsText then JsonValue.Create text :> JsonNode else JsonNode.Parse text)

    let node = JsonObject()
    node.Add("environment", JsonValue.Create(environment: string))
    node.Add("seed", JsonValue.Create seed)
    node.Add("steps", JsonValue.Create steps)
    node.Add("stopAt", numberOrNull stopAt)

    node.Add(
        "startedFrom",
        startedFrom |> Option.map (fun hash -> JsonValue.Create(hash: string) :> JsonNode) |> Option.toObj
    )

    node.Add("configuration", fields)
    replace folder "config.json" (print node)

/// What a run came to.
type Summary =
    {
        Environment: string
        Seed: int64
        Steps: int64
        Iterations: int
        Episodes: int64
        /// Of the last 100 finished episodes; of fewer where fewer have finished.
        MeanReturn100: float option
        /// The best mean of 100 finished episodes, where there have been so many.
        BestMeanReturn100: float option
        Solved: bool
        WallSeconds: float
        ParametersSha256: string
    }

let writeSummary folder summary =

    let node = JsonObject()
    node.Add("environment", JsonValue.Create summary.Environment)
    node.Add("seed", JsonValue.Create summary.Seed)
    node.Add("steps", JsonValue.Create summary.Steps)
    node.Add("iterations", JsonValue.Create summary.Iterations)
    node.Add("episodes", JsonValue.Create summary.Episodes)
    node.Add("meanReturn100", numberOrNull summary.MeanReturn100)
    node.Add("bestMeanReturn100", numberOrNull summary.BestMeanReturn100)
    node.Add("solved", JsonValue.Create summary.Solved)
    node.Add("wallSeconds", JsonValue.Create summary.WallSeconds)
    node.Add("parametersSha256", JsonValue.Create summary.ParametersSha256)
    replace folder "summary.json" (print node)

/// The columns of progress.csv: a name, and the value of one iteration that took `seconds` for `steps` steps.
let private columns: (string * (Report -> int64 -> float -> string)) list =
    let number (x: float) = if Double.IsFinite x then x.ToString("R", CultureInfo.InvariantCulture) else ""

    let moved report f =
        match report.Improvement.Outcome with
        | Moved(fraction, tries) -> f fraction tries
        | LineSearchFailed tries -> f 0.0 tries
        | NoGradient
        | NonFiniteGradient
        | NoCurvature -> f 0.0 0

    let outcome report =
        match report.Improvement.Outcome with
        | Moved _ -> "moved"
        | NoGradient -> "no gradient"
        | NonFiniteGradient -> "non-finite gradient"
        | NoCurvature -> "no curvature"
        | LineSearchFailed _ -> "line search failed"

    let stop reason =
        match reason with
        | Converged -> "converged"
        | IterationLimit -> "iteration limit"
        | VanishingCurvature _ -> "vanishing curvature"
        | NonFinite -> "non-finite"

    let solution f report = report.Improvement.Solution |> Option.map f |> Option.defaultValue ""

    [ "iteration", (fun r _ _ -> string r.Iteration)
      "steps", (fun r _ _ -> string r.Steps)
      "episodes", (fun r _ _ -> string r.Episodes)
      "meanReturn100", (fun r _ _ -> r.MeanReturn |> Option.map number |> Option.defaultValue "")
      "outcome", (fun r _ _ -> outcome r)
      "meanKl", (fun r _ _ -> number r.Improvement.Comparison.MeanKl)
      "maxKl", (fun r _ _ -> number r.Improvement.Comparison.MaxKl)
      "surrogateGain", (fun r _ _ -> number r.Improvement.Comparison.Gain)
      "gradientNorm", (fun r _ _ -> number r.Improvement.GradientNorm)
      "cgIterations", (fun r _ _ -> solution (fun s -> string s.Iterations) r)
      "cgResidual", (fun r _ _ -> solution (fun s -> number s.Residual) r)
      "cgStop", (fun r _ _ -> solution (fun s -> stop s.Stop) r)
      "lineSearchTries", (fun r _ _ -> moved r (fun _ tries -> string tries))
      "stepFraction", (fun r _ _ -> moved r (fun fraction _ -> number fraction))
      "explainedVariance", (fun r _ _ -> number r.ExplainedVariance)
      "entropy", (fun r _ _ -> number r.Improvement.Comparison.Entropy)
      "seconds", (fun _ _ seconds -> number (Math.Round(seconds, 6)))
      "stepsPerSecond", (fun _ steps seconds -> number (Math.Round(float steps / seconds))) ]

/// progress.csv, open for one line an iteration; each line is on disk when the call returns.
type Progress(folder: string) =
    let writer = new StreamWriter(Path.Combine(folder, "progress.csv"))

    do
        writer.WriteLine(columns |> List.map fst |> String.concat ",")
        writer.Flush()

    member _.Write (report: Report) (steps: int64) (seconds: float) =
        writer.WriteLine(columns |> List.map (fun (_, value) -> value report steps seconds) |> String.concat ",")
        writer.Flush()

    interface IDisposable with
        member _.Dispose() = writer.Dispose()
