// DDPG on the tasks of classic control whose actions are a box: trains with each seed, plays 100 episodes with the most probable actions, and writes the
// part of docs/ddpg.md that was measured.
//
//     dotnet fsi scripts/ddpg-benchmark.fsx                        the seeds 0–9, some minutes
//     dotnet fsi scripts/ddpg-benchmark.fsx 100..102 out.md        other seeds, another file
//     dotnet fsi scripts/ddpg-benchmark.fsx 0 out.md 2048          at most 2048 steps, to try the script
#load "load.fsx"
#r "../bin/FunTrpo.Ddpg.dll"
#load "results.fsx"

open System
open System.Diagnostics
open System.IO
open System.Runtime.InteropServices
open FunTrpo
open FunTrpo.Ddpg
open FunTrpo.Environments
open Lesson
open Results

let seeds =
    match (List.tryItem 0 arguments |> Option.defaultValue "0..9").Split ".." with
    | [| first; last |] -> [ int64 first .. int64 last ]
    | one -> [ int64 one[0] ]

let file = List.tryItem 1 arguments |> Option.defaultValue (Path.Combine(root, "docs", "ddpg.md"))
let limit = List.tryItem 2 arguments |> Option.map int64 |> Option.defaultValue Int64.MaxValue

type Trained = { Environment: string; Steps: int64; Seed: int64; Score: Scores; Seconds: float }

let train (environment: Environment<'State>) seed =
    let preset = DdpgPresets.tryFind environment.Id |> Option.get
    let setup = DdpgSetup.create 1 preset.Settings environment |> orFail
    let total = min limit preset.Steps
    let clock = Stopwatch.StartNew()

    let trained, _ =
        DdpgState.start setup seed
        |> orFail
        |> DdpgTraining.runFor total setup
        |> Seq.map orFail
        |> Seq.last

    let seconds = clock.Elapsed.TotalSeconds
    let key = Key.ofSeed seed |> Key.named "evaluation"
    let score = Evaluation.run 1 environment (DdpgState.actor setup trained) 100 key |> orFail
    printfn "%s, seed %d: %.2f ± %.2f, %.1f s" environment.Id seed score.Mean score.Std seconds
    { Environment = environment.Id; Steps = total; Seed = seed; Score = score; Seconds = seconds }

let goals = [ "Pendulum-v1", -170.0; "MountainCarContinuous-v0", 90.0 ]

let runs =
    [ for seed in seeds -> train Pendulum.environment seed
      for seed in seeds -> train MountainCarContinuous.environment seed ]

let summary =
    [ for environment, goal in goals do
          let runs = runs |> List.filter (fun run -> run.Environment = environment)
          let scores = runs |> List.map _.Score.Mean |> Array.ofList
          let seconds = runs |> List.map _.Seconds |> Array.ofList

          [ environment
            $"{runs.Head.Steps:N0}"
            $"**{median scores:F1}**"
            $"{Array.min scores:F1} … {Array.max scores:F1}"
            $"{goal:F0}"
            $"{median seconds:F1}" ] ]

let everyRun =
    [ for run in runs ->
          [ run.Environment
            string run.Seed
            $"{run.Score.Mean:F2} ± {run.Score.Std:F2}"
            $"{run.Seconds:F1}" ] ]

let today = DateTime.UtcNow.ToString "yyyy-MM-dd"

writePart
    file
    "DDPG"
    [ "## What it reaches"
      ""
      $"Made by `scripts/ddpg-benchmark.fsx` on {today}: seeds {List.head seeds}–{List.last seeds}, {RuntimeInformation.FrameworkDescription}, {Environment.ProcessorCount} cores, one"
      "thread a run, with the presets (`DdpgPresets.fs`). The return is the mean of 100 episodes with the most probable actions of the last policy; seconds are those of training."
      ""
      yield!
          markdownTable
              [ "environment"; "steps"; "median return"; "worst … best seed"; "goal"; "median seconds" ]
              summary
      ""
      "### Every run"
      ""
      yield! markdownTable [ "environment"; "seed"; "return"; "seconds" ] everyRun ]
