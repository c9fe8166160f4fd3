// Trains on the tasks of MuJoCo with their presets, by `funtrpo sweep`, and writes the part of docs/results.md about them, with a picture of the
// learning curves of each task in docs:
//
//     dotnet fsi scripts/mujoco-benchmark.fsx                            the seeds 0–9 (0–4 for Ant and Humanoid), more than an hour on two cores
//     dotnet fsi scripts/mujoco-benchmark.fsx --tasks Hopper-v4,Ant-v4   only these tasks
//     dotnet fsi scripts/mujoco-benchmark.fsx --seeds 20..22 --out FOLDER --steps 2048
//                                  other seeds, another folder for page and pictures, at most 2048 steps, to try the script
//
// Without --steps the runs are kept in runs/, and a script that was interrupted goes on where it was. The results of all runs are kept in
// docs/mujoco-runs.csv, so that the page also has the tasks that were trained another time.
#load "load.fsx"
#load "results.fsx"
#load "chart.fsx"

open System
open System.IO
open System.Runtime.InteropServices
open FunTrpo
open Lesson
open Results
open Plot

/// What others published after a million steps.
type Published =
    {
        /// Tianshou: the best deterministic evaluation during training, the mean of 10 seeds.
        Tianshou: float option
        /// sb3-contrib: the last evaluation, the mean of 3 seeds; with γ = 0.9999 for Swimmer.
        Contrib: float option
        /// The median that the presets should reach.
        Goal: float
    }

let published =
    let entry task tianshou contrib goal = task, { Tianshou = tianshou; Contrib = contrib; Goal = goal }

    [ entry "InvertedPendulum-v4" (Some 1000.0) None 1000.0
      entry "InvertedDoublePendulum-v4" (Some 8435.0) None 9100.0
      entry "Reacher-v4" (Some -5.1) None -4.5
      entry "Swimmer-v4" (Some 41.0) (Some 359.0) 360.0
      entry "Hopper-v4" (Some 2046.0) (Some 3372.0) 3500.0
      entry "Walker2d-v4" (Some 3827.0) (Some 4502.0) 5000.0
      entry "HalfCheetah-v4" (Some 4471.0) (Some 1803.0) 5500.0
      entry "Ant-v4" (Some 2867.0) None 3000.0
      entry "Humanoid-v4" (Some 810.0) None 2000.0 ]

/// The tasks that take longest have fewer seeds.
let slow = [ "Ant-v4"; "Humanoid-v4" ]


/// The tasks that are trained.
let tasks =
    match option "--tasks" with
    | Some named -> published |> List.filter (fun (task, _) -> named.Split(',') |> Array.contains task)
    | None -> published

let folder = option "--out" |> Option.defaultValue (Path.Combine(root, "docs"))
let most = option "--steps" |> Option.map int64

/// Evaluations during training give the curves.
let effort =
    match most with
    | Some most ->
        [ "--steps"
          string most
          "--evaluate-every"
          string most
          "--evaluate-episodes"
          "1"
          "--score-episodes"
          "1" ]
    | None -> [ "--evaluate-every"; "50k"; "--evaluate-episodes"; "10" ]

/// The evaluations of a run: the steps, and the mean return of the most probable actions.
let evaluationsOf (run: Run) =
    let rows = File.ReadAllLines(Path.Combine(run.Folder, "evaluations.csv")) |> Array.map _.Split(',')

    let column name = Array.findIndex ((=) name) rows[0]
    let steps, mean = column "steps", column "mean"
    [ for row in Array.tail rows -> float row[steps], float row[mean] ]

/// The runs of a task, with their evaluations.
let runsOf task =
    let ownSeeds = if List.contains task slow then "0..4" else "0..9"
    let seeds = option "--seeds" |> Option.defaultValue ownSeeds

    let run folder =
        sweep folder ([ "--env"; task; "--seeds"; seeds ] @ effort)
        |> List.map (fun run -> run, evaluationsOf run)

    if most.IsSome then inNewFolder run else run (Path.Combine(root, "runs", $"mujoco-{task}-{seeds}"))

let runs = tasks |> List.collect (fst >> runsOf)

let withTask task = runs |> List.filter (fun (run, _) -> run.Environment = task)

// ---- The results of all runs ----

/// A line of mujoco-runs.csv.
type RunResult =
    {
        Task: string
        Seed: int
        Steps: float
        /// The mean return of the last policy's most probable actions, and the standard deviation of its episodes.
        Return: float
        Deviation: float
        /// The best evaluation during training.
        Best: float
        /// The mean return of the last 100 training episodes.
        Training: float
        Seconds: float
    }

let resultsFile = Path.Combine(folder, "mujoco-runs.csv")

let header = "task,seed,steps,return,deviation,bestEvaluation,training,seconds"

let trained =
    [ for run, evaluations in runs ->
          { Task = run.Environment
            Seed = int run.Seed
            Steps = run.Steps
            Return = run.Score
            Deviation = run.Std
            Best = evaluations |> List.map snd |> List.max
            Training = run.MeanReturn
            Seconds = run.Seconds } ]

/// The results of an earlier time, of the tasks that were not trained now.
let earlier =
    let lines =
        if File.Exists resultsFile then File.ReadAllLines resultsFile |> List.ofArray else [ header ]

    [ for line in lines.Tail do
          let cells = line.Split ','

          if tasks |> List.forall (fun (task, _) -> task <> cells[0]) then
              { Task = cells[0]
                Seed = int cells[1]
                Steps = float cells[2]
                Return = float cells[3]
                Deviation = float cells[4]
                Best = float cells[5]
                Training = float cells[6]
                Seconds = float cells[7] } ]

/// The results of each task, in the order above.
let results =
    [ for task, others in published do
          match (earlier @ trained) |> List.filter (fun result -> result.Task = task) with
          | [] -> ()
          | own -> task, others, own |> List.sortBy _.Seed ]

File.WriteAllLines(
    resultsFile,
    header
    :: [ for _, _, own in results do
             for r in own do
                 $"{r.Task},{r.Seed},{r.Steps:F0},{r.Return:F2},{r.Deviation:F2},{r.Best:F2},{r.Training:F2},{r.Seconds:F0}" ]
)

// ---- The table ----

let text (number: float) = if abs number < 100.0 then $"{number:N2}" else $"{number:N0}"
let orDash = Option.map text >> Option.defaultValue "–"

let summary =
    [ for task, others, own in results do
          let numbers read = own |> List.map read |> Array.ofList
          let returns = numbers _.Return
          let interval = Statistics.interquartileMeanInterval [| returns |]

          [ task
            $"{own.Length}"
            $"{own.Head.Steps:N0}"
            orDash others.Contrib
            $"**{text (median returns)}**"
            $"{text (Statistics.interquartileMean returns)} ({text interval.Low} … {text interval.High})"
            $"{text (Array.min returns)} … {text (Array.max returns)}"
            text others.Goal
            (if median returns >= others.Goal then "yes" else "no")
            orDash others.Tianshou
            text (Array.average (numbers _.Best))
            text (median (numbers _.Training))
            $"{median (numbers _.Seconds):N0}" ] ]

// ---- The curves ----

/// The median of the seeds, with their quartiles as a band, at the steps at which all were evaluated.
let curve task =
    let points = withTask task |> List.map snd
    let count = points |> List.map List.length |> List.min

    let at =
        [ for i in 0 .. count - 1 do
              let steps = points |> List.map (fun run -> fst run[i]) |> List.max
              steps, points |> List.map (fun run -> snd run[i]) |> Array.ofList ]

    { Name = "FunTrpo, median and quartiles"
      Points = at |> List.map (fun (steps, returns) -> steps, median returns)
      Band =
        at
        |> List.map (fun (steps, returns) -> steps, Statistics.quantile 0.25 returns, Statistics.quantile 0.75 returns) }

/// A level line that ends where the curve ends.
let level name value (curve: Line) =
    let last = curve.Points |> List.last |> fst
    value |> Option.map (fun value -> line name [ 0.0, value; last, value ]) |> Option.toList

let picture task others =
    let curve = curve task

    let drawn =
        curve :: level "sb3-contrib, last" others.Contrib curve
        @ level "Tianshou, best" others.Tianshou curve

    let values =
        drawn
        |> List.collect (fun line ->
            (line.Points |> List.map snd)
            @ [ for _, low, high in line.Band do
                    yield! [ low; high ] ])

    let low, high = min 0.0 (List.min values), max 0.0 (List.max values)
    let steps = { Label = "environment steps"; Scale = Linear(0.0, curve.Points |> List.last |> fst) }

    lines
        $"Returns of {task} while it is learned"
        steps
        { Label = "mean return of 10 episodes"; Scale = Linear(low, 1.05 * high) }
        drawn

for task, others in tasks do
    File.WriteAllText(Path.Combine(folder, $"mujoco-{task}.svg"), picture task others)

// ---- The page ----

let today = DateTime.UtcNow.ToString "yyyy-MM-dd"

writePart
    (Path.Combine(folder, "results.md"))
    "MuJoCo"
    [ "## MuJoCo"
      ""
      $"Made by `scripts/mujoco-benchmark.fsx` with [`funtrpo sweep`](sweep.md) on {today}: {RuntimeInformation.FrameworkDescription}, {Environment.ProcessorCount} cores, one thread"
      "a run, a run on each core at a time. The presets were tuned on seeds from 100 on. *Return* is the mean over 100 episodes of the last"
      "policy's most probable actions, and stands against *sb3-contrib*: the last evaluations of 3 seeds. *Best evaluation* is the mean"
      "over the seeds of the best of the evaluations during training, 10 episodes each, and stands against *Tianshou*: the best deterministic evaluation"
      "of 10 seeds. *Training* is the median of the mean return of the last 100 training episodes, whose actions are drawn. *IQM* is the interquartile mean over the seeds,"
      "with its 95 % bootstrap interval."
      ""
      yield!
          markdownTable
              [ "task"
                "seeds"
                "steps"
                "sb3-contrib"
                "median return"
                "IQM (95 % interval)"
                "worst … best seed"
                "goal"
                "reached"
                "Tianshou"
                "best evaluation"
                "training"
                "seconds" ]
              summary
      ""
      "Every run is a line of [mujoco-runs.csv](mujoco-runs.csv)."
      ""
      yield!
          results
          |> List.collect (fun (task, _, _) -> [ $"![Learning curves of {task}](mujoco-{task}.svg)"; "" ]) ]
