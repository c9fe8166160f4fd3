// Trains networks with memory and networks for pictures beside networks without, and writes the parts of docs/results.md about them:
//
//     dotnet fsi scripts/architecture-benchmark.fsx                                  everything, seeds 0–9: many hours on two cores
//     dotnet fsi scripts/architecture-benchmark.fsx --tasks popgym-RepeatFirstEasy-v0  only these tasks, with commas between
//     dotnet fsi scripts/architecture-benchmark.fsx --networks gru --seeds 0..4        only these networks and seeds
//     dotnet fsi scripts/architecture-benchmark.fsx --steps 2048 --out FOLDER          short runs in another folder, to try the script
//
// Each finished run is a line of docs/architecture-runs.csv. Runs that are there are not repeated, so a script that was interrupted goes on.
#load "load.fsx"
#load "results.fsx"

open System
open System.Globalization
open System.IO
open System.Threading.Tasks
open FunTrpo
open FunTrpo.Environments
open Lesson
open Results

let folder = option "--out" |> Option.defaultValue (Path.Combine(root, "docs"))
let mostSteps = option "--steps" |> Option.map int64

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
      { Name = "mlp, 4 frames"; Frames = 4; Layers = Some "dense 64 tanh; dense 64 tanh" } ]

let forPictures =
    [ { Name = "cnn"; Frames = 1; Layers = None }
      { Name = "mlp"; Frames = 1; Layers = Some "dense 256 relu; dense 256 relu" } ]

/// A task with its networks, its steps, and the median return that the first network should reach.
type Task = { Registered: Registered; Networks: Network list; Steps: int64; Goal: float option }

let memoryTasks, pixelTasks =
    let goals =
        Map
            [ "popgym-RepeatPreviousEasy-v0", 0.95
              "popgym-PositionOnlyCartPoleEasy-v0", 0.99
              "popgym-PositionOnlyCartPoleMedium-v0", 0.99
              "popgym-PositionOnlyCartPoleHard-v0", 0.99
              "popgym-NoisyPositionOnlyCartPoleEasy-v0", 0.85
              "popgym-RepeatFirstEasy-v0", 0.99
              // Half of what gymnax's PPO with a network of 2 × 256 units reaches after 10 million steps.
              "MinAtar/Breakout-v1", 14.0
              "MinAtar/SpaceInvaders-v1", 65.5 ]

    let steps = Map.ofList [ ("popgym-RepeatPreviousEasy-v0", 200_000L) ]

    let taskOf networks (registered: Registered) =
        { Registered = registered
          Networks = networks
          Steps = steps |> Map.tryFind registered.Id |> Option.defaultValue registered.Steps
          Goal = goals |> Map.tryFind registered.Id }

    List.map (taskOf withMemory) Registry.memory, List.map (taskOf forPictures) Registry.pixels

let tasks = memoryTasks @ pixelTasks

/// A finished run: the mean return of 100 episodes whose actions are drawn, and of 100 with the most probable actions.
type Result =
    { Task: string
      Network: string
      Seed: int64
      Steps: int64
      Sampled: float
      MostProbable: float
      Seconds: float }

// ---- The runs ----

let file = Path.Combine(folder, "architecture-runs.csv")
let header = "task;network;seed;steps;sampled;mostProbable;seconds"
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
                Seconds = Double.Parse(cells[6], invariant) } ]
    else
        File.WriteAllText(file, header + "\n")
        []

let train (task: Task) (network: Network) seed (environment: Environment<'State>) =
    let preset = task.Registered.Preset

    let configuration =
        match network.Layers with
        | None -> preset
        | Some text -> { preset with Architecture = layers text; CriticArchitecture = layers text }

    let steps = mostSteps |> Option.defaultValue task.Steps
    let setup = Setup.create 1 configuration environment |> orFail
    let clock = Diagnostics.Stopwatch.StartNew()
    let state, _ = Training.runFor steps setup (TrainingState.start setup seed) |> Seq.last |> orFail
    let seconds = clock.Elapsed.TotalSeconds
    let actor = TrainingState.actor setup state
    let key = Key.named "score" (Key.ofSeed seed)

    { Task = task.Registered.Id
      Network = network.Name
      Seed = seed
      Steps = steps
      Sampled = (Evaluation.sample 1 environment actor 100 key |> orFail).Mean
      MostProbable = (Evaluation.run 1 environment actor 100 key |> orFail).Mean
      Seconds = seconds }

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

    lock writing (fun () ->
        File.AppendAllText(
            file,
            $"{result.Task};{result.Network};{result.Seed};{result.Steps};{number result.Sampled};{number result.MostProbable};{result.Seconds:F0}\n"
        )

        printfn $"{result.Task}, {result.Network}, seed {result.Seed}: {result.Sampled:F3} in {result.Seconds:F0} s")

    result

let wanted =
    [ for task in tasks do
          for network in task.Networks do
              let isChosen list name = list |> Option.forall (List.contains name)

              if isChosen (named "--tasks") task.Registered.Id && isChosen (named "--networks") network.Name then
                  for seed in seeds do
                      let isThere (result: Result) =
                          result.Task = task.Registered.Id && result.Network = network.Name && result.Seed = seed

                      if not (List.exists isThere finished) then
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

// ---- The page ----

let results = finished @ trained

let rowOf (task: Task) (network: Network) =
    match
        results
        |> List.filter (fun result -> result.Task = task.Registered.Id && result.Network = network.Name)
    with
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
      "has `dense 256 relu; dense 256 relu`."
      ""
      yield! table pixelTasks ]
