/// The files that a training run leaves in its folder, and the order in which they are written.
///
/// A process can end at any moment, and what is there then must fit together. So everything that is done to the folder is one of
/// the `Write`s, each of which happens wholly or not at all, and their sequence is such that after each of them
///
/// - all files are of one run;
/// - where there is a summary.json, which is written last and removed first, the policy is the one that it speaks of, and
///   progress.csv has a line for each of its iterations, and perhaps for some later ones;
/// - a policy.json that was there is there.
module FunTrpo.Cli.RunFiles

open System
open System.Globalization
open System.IO
open System.Text
open System.Text.Json
open System.Text.Json.Nodes
open System.Text.RegularExpressions
open FunTrpo

let private policyFile = "policy.json"
let private configurationFile = "config.json"
let private progressFile = "progress.csv"
let private summaryFile = "summary.json"
let private holdFile = ".running"

/// One thing that is done to a run's folder.
type Write =
    /// There is no such file any more.
    | Remove of file: string
    /// There is a file with this content, whatever was there before.
    | Replace of file: string * content: string
    /// There is a progress.csv with this line alone, whatever was there before.
    | Start of line: string
    /// progress.csv has one line more.
    | Append of line: string

/// Writes a line to the end of a file. Where it cannot be written whole, because the disk is full, the file stays as it was.
let addLine (file: Stream) (line: string) =
    let before = file.Length
    file.Seek(0L, SeekOrigin.End) |> ignore

    try
        file.Write(ReadOnlySpan(Encoding.UTF8.GetBytes(line + "\n")))
        file.Flush()
    with error ->
        file.SetLength before

        match error with
        | :? IOException -> reraise ()
        // What .NET says of a file that would be larger than it may be.
        | _ -> raise (IOException(error.Message, error))

/// A new file in place of whatever has this name (a link or a pipe is replaced, and not followed): it appears with its first line,
/// and stays open for more.
let private startLines (path: string) line =
    let written = $"{path}.{Path.GetRandomFileName()}"

    let file =
        new FileStream(written, FileMode.CreateNew, FileAccess.Write, FileShare.Read ||| FileShare.Delete, 0)

    try
        addLine file line
        File.Move(written, path, true)
        file
    with _ ->
        file.Dispose()
        File.Delete written
        reraise ()

/// A folder that one run holds until it is disposed of: two that wrote the same files would spoil both.
type Folder(path: string, isReused: bool, hold: FileStream) =
    let at name = Path.Combine(path, name)
    let mutable progress: FileStream option = None

    let close () =
        progress |> Option.iter _.Dispose()
        progress <- None

    member _.Path = path

    /// Whether an earlier run left its files there, which this one replaces.
    member _.IsReused = isReused

    member _.Do write =
        match write with
        | Remove name ->
            if name = progressFile then
                close ()

            File.Delete(at name)
        | Replace(name, content) -> PolicyFile.replace (at name) content
        | Start line ->
            close ()
            progress <- Some(startLines (at progressFile) line)
        | Append line ->
            match progress with
            | Some file -> addLine file line
            | None -> invalidOp $"{progressFile} has not been started"

    interface IDisposable with
        member _.Dispose() =
            close ()
            hold.Dispose()

/// The files that are on their way to a name of their own when a process ends stay behind under another one.
let private isLeftOver (path: string) =
    let names =
        [ policyFile; configurationFile; progressFile; summaryFile ]
        |> List.map Regex.Escape
        |> String.concat "|"

    Regex.IsMatch(Path.GetFileName path, $@"^({names})\.[a-z0-9]{{8}}\.[a-z0-9]{{3}}$")

/// Opens the file that says that a run is there, and keeps others from opening it. A link is not followed; where a pipe has its
/// name, opening it for both directions does not wait.
let private holdOf path =
    let name = Path.Combine(path, holdFile)

    if not (isNull (FileInfo(name).LinkTarget)) then
        File.Delete name

    new FileStream(name, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose)

/// A folder that can be written to, made where it does not exist, without what killed runs left unfinished there.
let prepare (path: string) =
    let refuse why = Error(InvalidSetting("--out", path, $"it must be a folder that can be written to ({why})"))
    let isFolder name = Directory.Exists(Path.Combine(path, name))
    let names = [ policyFile; configurationFile; progressFile; summaryFile; holdFile ]

    if path = "" then
        refuse "it has no name"
    else
        try
            Directory.CreateDirectory path |> ignore

            match List.tryFind isFolder names with
            | Some name -> refuse $"it holds a folder {name}, where a file is to be"
            | None ->
                let hold = holdOf path
                Directory.GetFiles path |> Array.filter isLeftOver |> Array.iter File.Delete
                Ok(new Folder(path, File.Exists(Path.Combine(path, policyFile)), hold))
        with
        | :? IOException as e when e.HResult = 11 || e.Message.Contains "being used" ->
            refuse "another run is writing to it"
        | :? IOException
        | :? UnauthorizedAccessException
        | :? ArgumentException as e -> refuse e.Message

let private print (node: JsonObject) = node.ToJsonString(JsonSerializerOptions(WriteIndented = true)) + "\n"

/// The number, or null where there is none.
let private numberOrNull (value: float option) =
    value |> Option.map (fun x -> JsonValue.Create x :> JsonNode) |> Option.toObj

/// What config.json says of a run: enough to make it again.
type Settings =
    {
        Environment: string
        Seed: int64
        Steps: int64
        StopAt: float option
        /// The SHA-256 of the parameters that it started from, where those were saved ones.
        StartedFrom: string option
        /// Every field of the configuration, as text.
        Fields: (string * string) list
    }

let private settingsText settings =
    let isText = Configuration.fields |> List.map (fun field -> field.Name, field.IsText) |> Map
    let fields = JsonObject()

    for name, text in settings.Fields do
        fields.Add(name, (if isText[name] then JsonValue.Create text :> JsonNode else JsonNode.Parse text))

    let node = JsonObject()
    node.Add("environment", JsonValue.Create settings.Environment)
    node.Add("seed", JsonValue.Create settings.Seed)
    node.Add("steps", JsonValue.Create settings.Steps)
    node.Add("stopAt", numberOrNull settings.StopAt)

    node.Add(
        "startedFrom",
        settings.StartedFrom |> Option.map (fun hash -> JsonValue.Create hash :> JsonNode) |> Option.toObj
    )

    node.Add("configuration", fields)
    print node

/// Thrown and caught in `settings` alone: reading JSON that is not what it should be throws anyway.
exception private Unreadable of why: string

let private settingsOf (node: JsonNode) =
    let known = [ "environment"; "seed"; "steps"; "stopAt"; "startedFrom"; "configuration" ]

    let textOf name (node: JsonNode) =
        match node with
        | :? JsonValue as value when value.GetValueKind() = JsonValueKind.String -> value.GetValue<string>()
        | :? JsonValue as value -> value.ToJsonString()
        | _ -> raise (Unreadable $"its {name} is no value")

    let property (name: string) =
        match node[name] with
        | null -> raise (Unreadable $"it has no {name}")
        | value -> value

    for KeyValue(name, _) in node.AsObject() do
        if not (List.contains name known) then
            raise (Unreadable $"it has the unknown {name}{Suggestion.among known name}")

    let steps = (property "steps").GetValue<int64>()

    if steps < 1L then
        raise (Unreadable $"its steps are {steps}")

    { Environment = (property "environment").GetValue<string>()
      Seed = (property "seed").GetValue<int64>()
      Steps = steps
      StopAt = node["stopAt"] |> Option.ofObj |> Option.map _.GetValue<float>()
      StartedFrom = node["startedFrom"] |> Option.ofObj |> Option.map _.GetValue<string>()
      Fields = [ for KeyValue(name, value) in (property "configuration").AsObject() -> name, textOf name value ] }

/// What the config.json of a run says, or why that cannot be used.
let settings path =
    let damaged why = Error(Damaged(path, why))

    try
        if Directory.Exists path then
            damaged "it is a folder"
        else
            match
                JsonNode.Parse(
                    File.ReadAllText path,
                    documentOptions = JsonDocumentOptions(AllowDuplicateProperties = false)
                )
            with
            | :? JsonObject as node -> Ok(settingsOf node)
            | _ -> damaged "it is not the config.json of a run"
    with
    | Unreadable why -> damaged why
    | :? JsonException -> damaged "it is not JSON, or not all of it"
    | :? FormatException
    | :? InvalidOperationException -> damaged "a field of it is not of the type that it should be"
    | :? IOException
    | :? ArgumentException
    | :? UnauthorizedAccessException as e -> damaged e.Message

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

let private summaryText summary =
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
    print node

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
      "delta", (fun r _ _ -> number r.Delta)
      "klOverDelta", (fun r _ _ -> number (r.Improvement.Comparison.MeanKl / r.Delta))
      "surrogateGain", (fun r _ _ -> number r.Improvement.Comparison.Gain)
      "surrogateGainError", (fun r _ _ -> number r.Improvement.Comparison.GainError)
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

let private header = columns |> List.map fst |> String.concat ","

/// The line of one iteration, which took `seconds` for `steps` steps.
let line (report: Report) (steps: int64) (seconds: float) =
    Append(columns |> List.map (fun (_, value) -> value report steps seconds) |> String.concat ",")

/// What is written of a policy and its summary, again and again.
let saving policy summary =
    [ Remove summaryFile
      Replace(policyFile, PolicyFile.print policy)
      Replace(summaryFile, summaryText summary) ]

/// What is written when a run begins: the files of an earlier one make way for those of this one.
let beginning settings policy summary =
    [ Remove summaryFile
      Remove progressFile
      Remove configurationFile
      Replace(policyFile, PolicyFile.print policy)
      Replace(configurationFile, settingsText settings)
      Start header
      Replace(summaryFile, summaryText summary) ]
