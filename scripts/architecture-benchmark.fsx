// Trains networks with memory and networks for pictures beside networks without, and writes the parts of docs/results.md about them, with
// pictures of the learning curves of the games in docs:
//
//     dotnet fsi scripts/architecture-benchmark.fsx                                  everything, seeds 0–9: many hours on two cores
//     dotnet fsi scripts/architecture-benchmark.fsx --tasks popgym-RepeatFirstEasy-v0  only these tasks, with commas between
//     dotnet fsi scripts/architecture-benchmark.fsx --networks gru --seeds 0..4        only these networks and seeds
//     dotnet fsi scripts/architecture-benchmark.fsx --longest 2000000                  only runs of at most so many steps
//     dotnet fsi scripts/architecture-benchmark.fsx --steps 2048 --out FOLDER          short runs in another folder, to try the script
//
// Each finished run is a line of docs/architecture-runs.csv. Runs that are there are not repeated, so a script that was interrupted goes on.
#load "load.fsx"
#load "results.fsx"
#load "chart.fsx"

open System
open System.Globalization
open System.IO
open System.Threading.Tasks
open FunTrpo
open FunTrpo.Environments
open Lesson
open Results
open Plot

let folder = option "--out" |> Option.defaultValue (Path.Combine(root, "docs"))
let mostSteps = option "--steps" |> Option.map int64
let longest = option "--longest" |> Option.map int64 |> Option.defaultValue Int64.MaxValue

let named name = option name |> Option.map (fun list -> list.Split ',' |> List.ofArray)

let seeds =
    match option "--seeds" |> Option.map _.Split("..") with
    | Some [| first; last |] -> [ int64 first .. int64 last ]
    | Some seeds -> seeds |> Array.map int64 |> List.ofArray
    | None -> [ 0L .. 9L ]

let layers text = Architecture.parse text |> Result.defaultWith failwith

/// A network that is compared: its name, how many frames it sees, and its layers; without layers, those of the preset.
type Network = { Name: string; Frames: int; Layers: string option }

let withMemory =
    [ { Name = "gru"; Frames = 1; Layers = None }
      { Name = "mlp"; Frames = 1; Layers = Some "dense 64 tanh; dense 64 tanh" }
      { Name = "mlp of 4 frames"; Frames = 4; Layers = Some "dense 64 tanh; dense 64 tanh" } ]

let forPictures =
    [ { Name = "cnn"; Frames = 1; Layers = None }
      { Name = "mlp"; Frames = 1; Layers = Some "dense 256 relu; dense 256 relu" } ]

/// A task with its networks, its configuration, its steps, and the median return that the first network should reach.
type Task =
    { Registered: Registered
      Networks: Network list
      Configuration: Configuration
      Steps: int64
      Goal: float option }

let taskOf networks steps goals (registered: Registered) =
    { Registered = registered
      Networks = networks
      Configuration = registered.Preset
      Steps = steps
      Goal = goals |> Map.tryFind registered.Id }

let memoryTasks =
    let goals =
        Map
            [ "popgym-RepeatPreviousEasy-v0", 0.95
              "popgym-PositionOnlyCartPoleEasy-v0", 0.99
              "popgym-PositionOnlyCartPoleMedium-v0", 0.99
              "popgym-PositionOnlyCartPoleHard-v0", 0.99
              "popgym-NoisyPositionOnlyCartPoleEasy-v0", 0.85
              "popgym-RepeatFirstEasy-v0", 0.99 ]

    [ for registered in Registry.memory do
          let steps = if registered.Id = "popgym-RepeatPreviousEasy-v0" then 200_000L else registered.Steps

          taskOf withMemory steps goals registered ]

let pixelTasks =
    // What gymnax's PPO with a network of 2 × 256 units reaches after 10 million steps.
    let goals = Map [ "MinAtar/Breakout-v1", 28.0; "MinAtar/SpaceInvaders-v1", 131.0 ]
    let halves = goals |> Map.map (fun _ goal -> goal / 2.0)

    // Steps as large as those of a short training would keep a policy from settling.
    let settling (task: Task) = { task with Configuration = { task.Configuration with DeltaHalfLife = 3_000_000 } }

    [ for registered in Registry.pixels do
          taskOf forPictures 2_000_000L halves registered

          if mostSteps.IsNone then
              taskOf [ forPictures.Head ] 10_000_000L goals registered |> settling ]

let tasks = memoryTasks @ pixelTasks

/// A finished run: the mean return of 100 episodes whose actions are drawn, and of 100 with the most probable actions.
type Result =
    {
        Task: string
        Network: string
        Seed: int64
        Steps: int64
        Sampled: float
        MostProbable: float
        Seconds: float
        /// The mean return of the last 100 training episodes after each of `points` equal parts of the steps; NaN before an episode has ended.
        Curve: float list
    }

/// The number of points of a learning curve.
let points = 40L

// ---- The runs ----

let file = Path.Combine(folder, "architecture-runs.csv")
let header = "task;network;seed;steps;sampled;mostProbable;seconds;curve"
let invariant = CultureInfo.InvariantCulture

let finished =
    if File.Exists file then
        [ for line in File.ReadAllLines file |> Seq.skip 1 do
              let cells = line.Split ';'

              { Task = cells[0]
                Network = cells[1]
                Seed = int64 cells[2]
                Steps = int64 cells[3]
                Sampled = Double.Parse(cells[4], invariant)
                MostProbable = Double.Parse(cells[5], invariant)
                Seconds = Double.Parse(cells[6], invariant)
                Curve =
                  [ for number in cells[7].Split(' ', StringSplitOptions.RemoveEmptyEntries) ->
                        Double.Parse(number, invariant) ] } ]
    else
        File.WriteAllText(file, header + "\n")
        []

let stepsOf (task: Task) = mostSteps |> Option.defaultValue task.Steps

/// The last state of a training, with its curve.
let trainWithCurve steps setup start =
    let follow (_, curve) result =
        let state, (report: Report) = orFail result
        let reached = int (points * report.Steps / steps)
        state, curve @ List.replicate (reached - List.length curve) (report.MeanReturn |> Option.defaultValue nan)

    Training.runFor steps setup start |> Seq.fold follow (start, [])

let train (task: Task) (network: Network) seed (environment: Environment<'State>) =
    let configuration =
        match network.Layers with
        | None -> task.Configuration
        | Some text -> { task.Configuration with Architecture = layers text; CriticArchitecture = layers text }

    let steps = stepsOf task
    let setup = Setup.create 1 configuration environment |> orFail
    let clock = Diagnostics.Stopwatch.StartNew()
    let state, curve = trainWithCurve steps setup (TrainingState.start setup seed)
    let seconds = clock.Elapsed.TotalSeconds
    let actor = TrainingState.actor setup state
    let key = Key.named "score" (Key.ofSeed seed)

    { Task = task.Registered.Id
      Network = network.Name
      Seed = seed
      Steps = steps
      Sampled = (Evaluation.sample 1 environment actor 100 key |> orFail).Mean
      MostProbable = (Evaluation.run 1 environment actor 100 key |> orFail).Mean
      Seconds = seconds
      Curve = curve }

/// Trains on the environment of a task, as the network sees it.
let run (task: Task) (network: Network) seed =
    task.Registered.Use
        { new EnvironmentUse<Result> with
            member _.With environment =
                if network.Frames > 1 then
                    train task network seed (FrameStack.wrap network.Frames environment)
                else
                    train task network seed environment }

let writing = obj ()

let keep (result: Result) =
    let number (x: float) = x.ToString("F4", invariant)
    let curve = result.Curve |> List.map (fun x -> x.ToString("G4", invariant)) |> String.concat " "

    let cells =
        [ result.Task
          result.Network
          string result.Seed
          string result.Steps
          number result.Sampled
          number result.MostProbable
          result.Seconds.ToString("F0", invariant)
          curve ]

    lock writing (fun () ->
        File.AppendAllText(file, String.concat ";" cells + "\n")

        printfn $"{result.Task}, {result.Network}, seed {result.Seed}: {result.Sampled:F3} in {result.Seconds:F0} s")

    result

let isOf (task: Task) (network: Network) (result: Result) =
    result.Task = task.Registered.Id && result.Network = network.Name && result.Steps = stepsOf task

let wanted =
    [ for task in tasks do
          for network in task.Networks do
              let isChosen list name = list |> Option.forall (List.contains name)

              if
                  task.Steps <= longest
                  && isChosen (named "--tasks") task.Registered.Id
                  && isChosen (named "--networks") network.Name
              then
                  for seed in seeds do
                      if
                          not (finished |> List.exists (fun result -> isOf task network result && result.Seed = seed))
                      then
                          task, network, seed ]

let trained =
    let results = Array.zeroCreate wanted.Length
    let options = ParallelOptions(MaxDegreeOfParallelism = Environment.ProcessorCount)

    Parallel.For(
        0,
        wanted.Length,
        options,
        fun i ->
            let task, network, seed = wanted[i]
            results[i] <- run task network seed |> keep
    )
    |> ignore

    List.ofArray results

let results = finished @ trained

let rowOf (task: Task) (network: Network) =
    match results |> List.filter (isOf task network) with
    | [] -> []
    | own ->
        let numbers read = own |> List.map read |> Array.ofList
        let sampled = numbers _.Sampled
        let goal = if network = task.Networks.Head then task.Goal else None

        [ [ task.Registered.Id
            network.Name
            $"{own.Length}"
            $"{own.Head.Steps:N0}"
            $"**{median sampled:N2}**"
            $"{Array.min sampled:N2} … {Array.max sampled:N2}"
            $"{median (numbers _.MostProbable):N2}"
            (match goal with
             | None -> ""
             | Some goal -> $"""{goal:N2}: {if median sampled >= goal then "yes" else "no"}""")
            $"{median (numbers _.Seconds):N0}" ] ]

let table (tasks: Task list) =
    markdownTable
        [ "task"
          "network"
          "seeds"
          "steps"
          "median return"
          "worst … best"
          "most probable actions"
          "goal"
          "seconds" ]
        [ for task in tasks do
              for network in task.Networks do
                  yield! rowOf task network ]

let page = Path.Combine(folder, "results.md")

let explanation =
    [ "Made by `scripts/architecture-benchmark.fsx`, with one thread a run and a run on each core at a time. *Return* is the mean over 100 episodes whose"
      "actions are drawn from the last policy. Every run is a line of [architecture-runs.csv](architecture-runs.csv)." ]

// ---- The curves ----

let millions (steps: int64) = float steps / 1e6

/// The median of the seeds of a network, with their quartiles as a band, at the points that all seeds have.
let curveOf (task: Task) (network: Network) =
    match results |> List.filter (fun result -> isOf task network result && result.Curve <> []) with
    | [] -> None
    | own ->
        let at =
            [ for i in 0 .. (own |> List.map _.Curve.Length |> List.min) - 1 do
                  let returns = [| for result in own -> result.Curve[i] |]

                  if Array.forall Double.IsFinite returns then
                      millions ((int64 i + 1L) * own.Head.Steps / points), returns ]

        Some
            { Name = $"{network.Name}, median and quartiles"
              Points = at |> List.map (fun (steps, returns) -> steps, median returns)
              Band =
                at
                |> List.map (fun (steps, returns) ->
                    steps, Statistics.quantile 0.25 returns, Statistics.quantile 0.75 returns) }

/// The pictures of the curves of the games: the file, the title, and the curves.
let pictures =
    [ for task in pixelTasks do
          match task.Networks |> List.choose (curveOf task) with
          | [] -> ()
          | curves ->
              let steps = stepsOf task
              let name = task.Registered.Id.Replace("MinAtar/", "")
              $"minatar-{name}-{steps}.svg", $"{task.Registered.Id} in {steps:N0} steps", millions steps, curves ]

for file, title, steps, curves in pictures do
    let highest =
        [ for curve in curves do
              for _, _, high in curve.Band do
                  high ]
        |> List.fold max 0.0

    let picture =
        lines
            title
            { Label = "million environment steps"; Scale = Linear(0.0, steps) }
            { Label = "mean return of 100 training episodes"; Scale = Linear(0.0, 1.05 * highest) }
            curves

    File.WriteAllText(Path.Combine(folder, file), picture)

// ---- The page ----

writePart
    page
    "Memory"
    [ "## Memory"
      ""
      yield! explanation
      "The tasks are those of POPGym. *gru* is the preset, `dense 64 tanh; gru 64` for the policy and the critic. *mlp* has `dense 64 tanh; dense 64 tanh`,"
      "and sees one observation or the last four together (`FrameStack`)."
      ""
      yield! table memoryTasks ]

writePart
    page
    "Pixels"
    [ "## Pixels"
      ""
      yield! explanation
      "The games are those of MinAtar, with sticky actions. *cnn* is the preset, `conv 16 3x3 stride 1 relu; dense 128 relu`, and *mlp*"
      "has `dense 256 relu; dense 256 relu`. Runs of 10,000,000 steps have `deltaHalfLife=3000000` besides: their trust region shrinks."
      ""
      yield! table pixelTasks
      for file, title, _, _ in pictures do
          ""
          $"![{title}]({file})" ]
