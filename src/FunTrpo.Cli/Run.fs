/// A training run of the command: its options, where it stands, and what is saved of it.
module FunTrpo.Cli.Run

open System
open System.Text.Json
open System.Text.Json.Nodes
open FunTrpo
open FunTrpo.Plots

type Options =
    {
        Seed: int64
        /// The maximum number of environment steps.
        Steps: int64
        /// The mean return of the last 100 episodes at which training stops early.
        StopAt: float option
        /// The mean return of the last 100 episodes at which the run counts as solved, if there is one.
        SolvedAt: float option
        /// The name of the caller's assembly that registers the environment, if it is not one of the library.
        EnvironmentFrom: string option
        Folder: string
        /// The minimum time between two saves of the policy and the summary.
        SaveEvery: TimeSpan
        /// The number of iterations from one checkpoint to the next; None for no checkpoints.
        CheckpointEvery: int option
        /// How the policy is evaluated while it trains, if it is.
        Evaluation: EvaluationPlan option
        Threads: int
        /// The silos of a cluster that step the environments, if this process does not.
        Workers: ShareWorkers option
        Configuration: Configuration
        /// The configuration that is tuned for the environment, with which the report compares that of the run.
        Preset: Configuration
        /// Whether the terminal shows a live view instead of lines.
        IsLive: bool
        /// Whether a report is written at the end.
        HasReport: bool
        /// Whether event files are written, which TensorBoard shows.
        HasEvents: bool
        /// The SHA-256 of the parameters of the saved policy that the run started from, if there was one.
        StartedFrom: string option
    }

/// Where a run stands.
[<NoComparison>]
type Position<'State when 'State: equality> =
    {
        State: TrainingState<'State>
        /// True if the run has reached its goal, now or earlier.
        IsSolved: bool
        Evaluations: EvaluationHistory
        /// The time that the run has taken, of all processes together.
        Elapsed: TimeSpan
    }

/// A run before its first iteration.
let start state = { State = state; IsSolved = false; Evaluations = EvaluationHistory.empty; Elapsed = TimeSpan.Zero }

let policyOf (setup: Setup<'State>) state =
    { Environment = setup.Environment.Id; Actor = TrainingState.actor setup state }

/// The policy and the summary of a run, in the form that is saved.
let saved options (setup: Setup<'State>) position =
    let state = position.State

    let summary: RunSummary =
        { Environment = setup.Environment.Id
          Seed = options.Seed
          Steps = state.Steps
          Iterations = state.Iteration
          Episodes = state.Episodes
          MeanReturn100 = TrainingState.meanReturn state
          BestMeanReturn100 = state.BestMeanReturn
          Solved = position.IsSolved
          Best = position.Evaluations.Best
          WallSeconds = Math.Round(position.Elapsed.TotalSeconds, 3)
          ParametersSha256 = Sha256.ofParameters state.PolicyParameters }

    policyOf setup state, summary

/// The settings of a run, as config.json keeps them.
let settings options id : RunSettings =
    { Algorithm = RunAlgorithm.OnPolicy
      Environment = id
      Seed = options.Seed
      Steps = options.Steps
      StopAt = options.StopAt
      EnvironmentFrom = options.EnvironmentFrom
      StartedFrom = options.StartedFrom
      CheckpointEvery = options.CheckpointEvery
      Evaluation = options.Evaluation
      Fields = [ for field in Configuration.fields -> field.Name, field.Get options.Configuration ] }

/// The mean return at which the run counts as solved.
let goal options = options.StopAt |> Option.orElse options.SolvedAt

let isReached (state: TrainingState<'State>) goal =
    goal |> Option.exists (fun goal -> TrainingState.hasReached goal state)

/// Why the evaluations end the run, if they do.
let evaluationsEnd options position =
    options.Evaluation
    |> Option.bind (fun plan ->
        if EvaluationHistory.hasReached plan position.Evaluations then
            Some "its evaluation has reached its goal"
        elif EvaluationHistory.isOutOfPatience plan position.Evaluations then
            Some $"{position.Evaluations.SinceBest} evaluations in a row were not better than the best one"
        else
            None)

/// Whether the run has ended by itself: its goal is reached, or the evaluations end it.
let isOver options position = isReached position.State options.StopAt || (evaluationsEnd options position).IsSome

/// The text that a checkpoint keeps beside the state.
let note options position =
    let node = JsonObject()
    node.Add("seed", JsonValue.Create options.Seed)
    node.Add("solved", JsonValue.Create position.IsSolved)
    node.Add("seconds", JsonValue.Create position.Elapsed.TotalSeconds)
    node.Add("sinceBest", JsonValue.Create position.Evaluations.SinceBest)

    position.Evaluations.Best |> Option.iter (fun best -> node.Add("best", RunSummary.bestNode best))

    node.ToJsonString()

/// The evaluations that the note of a checkpoint tells of.
let private evaluationsOf (note: JsonNode) =
    match note["sinceBest"] with
    | null -> EvaluationHistory.empty
    | count ->
        { Best = note["best"] |> Option.ofObj |> Option.map RunSummary.bestOf
          SinceBest = count.GetValue<int>() }

/// The position of a checkpoint.
let positionOf path (checkpoint: Checkpoint<'State>) =
    let foreign = Error(Damaged(path, "it was not saved by funtrpo train"))

    try
        match JsonNode.Parse(checkpoint.Note, documentOptions = Json.strict) with
        | :? JsonObject as note ->
            Ok
                { State = checkpoint.State
                  IsSolved = (RunJson.required note "solved").GetValue<bool>()
                  Evaluations = evaluationsOf note
                  Elapsed = TimeSpan.FromSeconds((RunJson.required note "seconds").GetValue<float>()) }
        | _ -> foreign
    with
    | Unreadable _
    | :? JsonException
    | :? InvalidOperationException
    | :? FormatException
    | :? OverflowException -> foreign

/// What to say if a run was begun on a processor whose vectors have another width than here.
let vectorWarning begun =
    if begun = FunTrpo.Kernels.Lanes.Width then
        None
    else
        Some
            $"Warning: the run was begun on a processor with vectors of {begun} numbers, and this one has {FunTrpo.Kernels.Lanes.Width}. It goes on, but rounds differently than it would there."
