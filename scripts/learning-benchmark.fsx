// Trains on every environment of the library with its preset, ten seeds and both ways to fit the critic, by `funtrpo sweep`, and turns the table
// of the sweep into those of docs/results.md:
//
//     dotnet fsi scripts/learning-benchmark.fsx                  the seeds 0–9, some minutes
//     dotnet fsi scripts/learning-benchmark.fsx 20..22 out.md    other seeds, another file
//     dotnet fsi scripts/learning-benchmark.fsx 0 out.md 2048    at most 2048 steps, to try the script
#load "load.fsx"
#load "lesson.fsx"

open System
open System.Diagnostics
open System.IO
open System.Runtime.InteropServices
open FunTrpo
open FunTrpo.Environments
open Lesson

/// The best published mean return of TRPO after the same number of steps (rl-baselines3-zoo, tuned, one run each).
let published =
    Map
        [ "CartPole-v1", 500.0
          "Acrobot-v1", -83.0
          "MountainCar-v0", -107.0
          "MountainCarContinuous-v0", 92.5
          "Pendulum-v1", -175.0 ]

let seeds = List.tryItem 0 arguments |> Option.defaultValue "0..9"
let root = Path.Combine(__SOURCE_DIRECTORY__, "..")
let file = List.tryItem 1 arguments |> Option.defaultValue (Path.Combine(root, "docs", "results.md"))
let folder = Directory.CreateTempSubdirectory("funtrpo-results-").FullName

/// Runs the sweep. Without --steps, each run makes the steps that the preset of its environment is tuned for.
let sweep () =
    let environments = Registry.all |> List.map _.Id |> String.concat ","

    let steps =
        List.tryItem 2 arguments |> Option.map (fun steps -> [ "--steps"; steps ]) |> Option.defaultValue []

    let options =
        [ "--env"; environments; "--seeds"; seeds; "--grid"; "critic=gauss-newton,adam"; "--out"; folder ]

    use running = Process.Start(Path.Combine(root, "bin", "funtrpo"), "sweep" :: options @ steps)
    running.WaitForExit()

    if running.ExitCode <> 0 then
        failwith $"the sweep failed with the exit code {running.ExitCode}"

type Run =
    {
        Environment: string
        Seed: string
        Critic: string
        Score: float
        Std: float
        Steps: float
        /// Infinity if the run did not solve the task.
        StepsToSolve: float
        Seconds: float
    }

/// The runs in sweep.csv. None of its cells has a comma.
let runs =
    sweep ()
    let rows = File.ReadAllLines(Path.Combine(folder, "sweep.csv")) |> Array.map _.Split(',')
    Directory.Delete(folder, true)

    [ for row in Array.tail rows do
          let cell name = row[Array.findIndex ((=) name) rows[0]]

          { Environment = cell "environment"
            Seed = cell "seed"
            Critic = cell "critic"
            Score = float (cell "score")
            Std = float (cell "scoreStd")
            Steps = float (cell "steps")
            StepsToSolve = if cell "stepsToGoal" = "" then infinity else float (cell "stepsToGoal")
            Seconds = float (cell "seconds") } ]

let numbers read (runs: Run list) = runs |> List.map read |> Array.ofList
let medianOf read = numbers read >> median
let steps (number: float) = if Double.IsInfinity number then "–" else $"{number:N0}"

/// The runs of an environment with a critic.
let runsWith (environment: Registered) critic =
    runs |> List.filter (fun run -> run.Environment = environment.Id && run.Critic = critic)

let presetCritic (environment: Registered) =
    match environment.Preset.Critic with
    | CriticKind.GaussNewton -> "gauss-newton"
    | CriticKind.Adam -> "adam"

let withPreset environment = runsWith environment (presetCritic environment)

let table (header: string list) (rows: string list list) =
    let line cells = "| " + String.concat " | " cells + " |"
    line header :: line (header |> List.map (fun _ -> "---")) :: List.map line rows

let summary =
    [ for environment in Registry.all do
          let runs = withPreset environment
          let goal = published[environment.Id]
          let scores = numbers _.Score runs
          let found = median scores
          let interval = Statistics.interquartileMeanInterval [| scores |]
          let toSolve = numbers _.StepsToSolve runs

          [ environment.Id
            $"{runs.Head.Steps:N0}"
            $"{goal}"
            $"**{found:F1}**"
            $"{Statistics.interquartileMean scores:F1} ({interval.Low:F1} … {interval.High:F1})"
            $"{Array.min scores:F1} … {Array.max scores:F1}"
            (if found >= goal then "yes" else "no")
            $"{environment.SolvedAt.Value}"
            steps (median toSolve)
            steps (Array.max toSolve)
            $"{medianOf _.Seconds runs:F1}" ] ]

let critics =
    [ for environment in Registry.all do
          environment.Id
          :: [ for critic in [ "gauss-newton"; "adam" ] do
                   let runs = runsWith environment critic
                   $"{medianOf _.Score runs:F1}"
                   steps (medianOf _.StepsToSolve runs)
                   $"{medianOf _.Seconds runs:F1}" ] ]

let everyRun =
    [ for environment in Registry.all do
          for run in withPreset environment ->
              [ run.Environment
                run.Seed
                $"{run.Score:F2} ± {run.Std:F2}"
                steps run.StepsToSolve
                $"{run.Seconds:F1}" ] ]

let range = seeds.Replace("..", "–")
let today = DateTime.UtcNow.ToString "yyyy-MM-dd"

let page =
    [ "# What the presets reach"
      ""
      $"Made by `scripts/learning-benchmark.fsx` with [`funtrpo sweep`](sweep.md) on {today}: seeds {range}, {RuntimeInformation.FrameworkDescription}, {Environment.ProcessorCount} cores,"
      "one thread a run, a run on each core at a time. *Return* is the mean over 100 episodes of deterministic play after the"
      "whole budget; *published* is the best figure of rl-baselines3-zoo's tuned TRPO after the same number of steps. *IQM* is the"
      "interquartile mean over the seeds, with its 95 % bootstrap interval. *Solved* counts the steps"
      "until the mean return of the last 100 training episodes reached the threshold. The presets were tuned on other seeds."
      ""
      yield!
          table
              [ "environment"
                "steps"
                "published"
                "median return"
                "IQM (95 % interval)"
                "worst … best seed"
                "reached"
                "threshold"
                "median steps to solve"
                "worst seed"
                "seconds" ]
              summary
      ""
      "## The critic: Gauss–Newton in a trust region, or Adam"
      ""
      "The same presets and seeds with either way of fitting the critic; medians."
      ""
      yield!
          table
              [ "environment"
                "Gauss–Newton: return"
                "steps to solve"
                "seconds"
                "Adam: return"
                "steps to solve"
                "seconds" ]
              critics
      ""
      "## Every run"
      ""
      yield! table [ "environment"; "seed"; "return"; "steps to solve"; "seconds" ] everyRun
      "" ]

File.WriteAllText(file, String.concat "\n" page)
printfn "%s" file
