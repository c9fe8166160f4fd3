// Trains on every environment of the library with its preset and ten seeds, and writes the tables to docs/results.md:
//
//     dotnet fsi scripts/learning-benchmark.fsx                  the seeds 0–9, some minutes
//     dotnet fsi scripts/learning-benchmark.fsx 20-22 out.md     other seeds, another file
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

let arguments = fsi.CommandLineArgs |> Array.skip 1

let seeds =
    match arguments with
    | [||] -> [| 0L .. 9L |]
    | _ ->
        let bounds = arguments[0].Split '-' |> Array.map int64
        [| bounds[0] .. Array.last bounds |]

let file =
    arguments
    |> Array.tryItem 1
    |> Option.defaultValue (Path.Combine(__SOURCE_DIRECTORY__, "..", "docs", "results.md"))

/// The number of steps that the preset of an environment is tuned for, or the third argument if that is smaller.
let budget (registered: Registered) =
    arguments
    |> Array.tryItem 2
    |> Option.fold (fun most asked -> min most (int64 asked)) registered.Steps

type Trial =
    {
        Seed: int64
        Scores: Scores
        /// The steps after which the mean return of the last 100 training episodes first reached the threshold, if it did.
        Solved: int64 option
        Seconds: float
    }

/// One training run over the whole budget, and 100 episodes of deterministic play after it.
let trial (registered: Registered) configuration seed =
    registered.Use
        { new EnvironmentUse<Trial> with
            member _.With environment =
                let setup = Setup.create 1 configuration environment |> orFail
                let clock = Stopwatch.StartNew()

                let states =
                    TrainingState.start setup seed
                    |> Training.runFor (budget registered) setup
                    |> Seq.map (orFail >> fst)
                    |> Array.ofSeq

                let seconds = clock.Elapsed.TotalSeconds

                let isSolved state = TrainingState.hasReached registered.SolvedAt.Value state

                { Seed = seed
                  Scores =
                    Evaluation.run
                        1
                        environment
                        (TrainingState.actor setup (Array.last states))
                        100
                        (Key.ofSeed (1000L + seed))
                    |> orFail
                  Solved = states |> Array.tryFind isSolved |> Option.map _.Steps
                  Seconds = seconds } }

let trials registered configuration =
    let results =
        Parallel.map Environment.ProcessorCount seeds.Length (fun i -> trial registered configuration seeds[i])

    let returns = results |> Array.map _.Scores.Mean
    eprintfn "%-26s median %8.2f  worst %8.2f" registered.Id (median returns) (Array.min returns)
    results

let withPresets =
    Registry.all |> List.map (fun registered -> registered, trials registered registered.Preset)

let withOtherCritic =
    Registry.all
    |> List.map (fun registered ->
        let other =
            match registered.Preset.Critic with
            | CriticKind.Adam -> CriticKind.GaussNewton
            | CriticKind.GaussNewton -> CriticKind.Adam

        registered, trials registered { registered.Preset with Critic = other })

let medianReturn = Array.map _.Scores.Mean >> median
let medianSeconds = Array.map _.Seconds >> median

/// The steps to solve; infinity if the run did not solve the task.
let stepsOf trial = trial.Solved |> Option.map float |> Option.defaultValue infinity

let steps (number: float) = if Double.IsInfinity number then "–" else $"{number:N0}"

let table (header: string list) (rows: string list list) =
    let line cells = "| " + String.concat " | " cells + " |"
    line header :: line (header |> List.map (fun _ -> "---")) :: List.map line rows

let summary =
    withPresets
    |> List.map (fun (registered, results) ->
        let goal = published[registered.Id]
        let found = medianReturn results
        let returns = results |> Array.map _.Scores.Mean
        let toSolve = results |> Array.map stepsOf

        [ registered.Id
          $"{budget registered:N0}"
          $"{goal}"
          $"**{found:F1}**"
          $"{Array.min returns:F1} … {Array.max returns:F1}"
          (if found >= goal then "yes" else "no")
          $"{registered.SolvedAt.Value}"
          steps (median toSolve)
          steps (Array.max toSolve)
          $"{medianSeconds results:F1}" ])

let critics =
    List.zip withPresets withOtherCritic
    |> List.map (fun ((registered, preset), (_, other)) ->
        let gaussNewton, adam =
            match registered.Preset.Critic with
            | CriticKind.GaussNewton -> preset, other
            | CriticKind.Adam -> other, preset

        let cells results =
            [ $"{medianReturn results:F1}"
              steps (results |> Array.map stepsOf |> median)
              $"{medianSeconds results:F1}" ]

        registered.Id :: cells gaussNewton @ cells adam)

let everyTrial =
    [ for registered, results in withPresets do
          for result in results do
              [ registered.Id
                string result.Seed
                $"{result.Scores.Mean:F2} ± {result.Scores.Std:F2}"
                steps (stepsOf result)
                $"{result.Seconds:F1}" ] ]

let today = DateTime.UtcNow.ToString "yyyy-MM-dd"

let page =
    [ "# What the presets reach"
      ""
      $"Made by `scripts/learning-benchmark.fsx` on {today}: seeds {seeds[0]}–{Array.last seeds}, {RuntimeInformation.FrameworkDescription}, {Environment.ProcessorCount} cores,"
      "one thread a run, a run on each core at a time. *Return* is the mean over 100 episodes of deterministic play after the"
      "whole budget; *published* is the best figure of rl-baselines3-zoo's tuned TRPO after the same number of steps. *Solved* counts the steps"
      "until the mean return of the last 100 training episodes reached the threshold. The presets were tuned on other seeds."
      ""
      yield!
          table
              [ "environment"
                "steps"
                "published"
                "median return"
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
      yield! table [ "environment"; "seed"; "return"; "steps to solve"; "seconds" ] everyTrial
      "" ]

File.WriteAllText(file, String.concat "\n" page)
printfn "%s" file
