// How sensitive the algorithms are to their step size: trains with step sizes over four decades, measures after each update whether the true
// return fell, does the same with exact η, and makes docs/step-size.md and its pictures.
//
//     dotnet fsi scripts/step-size.fsx                       ten seeds; 40 minutes on two cores
//     dotnet fsi scripts/step-size.fsx --out FOLDER          writes the page, the pictures and the runs there
//     dotnet fsi scripts/step-size.fsx --quick --out FOLDER  few and short runs, to try the script
//
//     dotnet fsi scripts/step-size.fsx --finished            the page of the runs that are finished
//
// Finished runs are kept in step-size-runs.csv, so a script that was interrupted goes on where it was.
#load "load.fsx"
#load "results.fsx"
#load "garnets.fsx"
#load "chart.fsx"
#r "../bin/FunTrpo.MuJoCo.Engine.dll"
#r "../bin/FunTrpo.MuJoCo.dll"
#r "../bin/FunTrpo.Ddpg.dll"

open System
open System.Collections.Concurrent
open System.Globalization
open System.IO
open System.Runtime.InteropServices
open System.Threading.Tasks
open MathNet.Numerics.LinearAlgebra
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Exact
open FunTrpo.Ddpg
open FunTrpo.MuJoCo
open Lesson
open Results
open Garnets
open Plot
open Chart

let isQuick = List.contains "--quick" arguments
let folder = option "--out" |> Option.defaultValue (Path.Combine(root, "docs"))
let invariant = CultureInfo.InvariantCulture

/// The step sizes as multiples of a rule's reference: seven over four decades.
let multiples =
    if isQuick then [ 0.01; 1.0; 100.0 ] else [ for i in -3 .. 3 -> 10.0 ** (2.0 * float i / 3.0) ]

let seeds = if isQuick then [ 0L ] else [ 0L .. 9L ]

// ---- Rules ----

/// An algorithm with its step size.
type Learner =
    /// A rule of the pipeline of TRPO.
    | OnPolicy of Configuration
    | OffPolicy of DdpgSettings

/// An algorithm, and the step size from which the multiples start.
type Rule =
    {
        Name: string
        Size: string
        Reference: float
        /// From the configuration of a task and a step size to the learner.
        Learner: Configuration -> float -> Learner
    }

let rule name size reference learner = { Name = name; Size = size; Reference = reference; Learner = learner }

let fixedStep direction configuration rate =
    OnPolicy { configuration with Direction = direction; Step = StepKind.Fixed; LearningRate = rate }

/// DDPG's standard settings, with an iteration as long as those of the other rules. Both networks have the learning rate.
let ddpg (configuration: Configuration) rate =
    OffPolicy
        { DdpgSettings.standard with
            IterationSteps = configuration.Environments * configuration.Horizon
            ActorLearningRate = rate
            CriticLearningRate = rate }

let rules =
    [ rule "REINFORCE" "α" 0.1 (fixedStep DirectionKind.Gradient)
      rule "natural gradient" "α" 1.0 (fixedStep DirectionKind.Natural)
      rule "TRPO" "δ" 0.01 (fun configuration delta -> OnPolicy { configuration with Delta = delta })
      rule "PPO" "learning rate" 1e-3 (fun configuration rate ->
          OnPolicy { configuration with Rule = RuleKind.Ppo; PpoLearningRate = rate })
      rule "DDPG" "learning rates" 1e-3 ddpg ]

// ---- Tasks ----

/// A task, the steps of a run, and the episodes that measure the return before and after an update.
type Task = { Registered: Registered; Steps: int64; Episodes: int }

/// Finds out whether an environment can be made here.
let isPresent (registered: Registered) =
    try
        registered.Use
            { new EnvironmentUse<bool> with
                member _.With _ = true }
    with EnvironmentUnavailable _ ->
        false

let task id steps episodes =
    { Registered = Registry.all @ PhysicsTasks.all |> List.find (fun registered -> registered.Id = id)
      Steps = if isQuick then 6_144L else steps
      Episodes = if isQuick then 4 else episodes }

let wanted =
    [ task "CartPole-v1" 50_000L 20; task "Pendulum-v1" 100_000L 20; task "HalfCheetah-v4" 50_000L 4 ]

let tasks = wanted |> List.filter (fun task -> isPresent task.Registered)

/// The rules for a task: DDPG needs actions in a box.
let rulesOf (task: Task) =
    let isBox =
        task.Registered.Use
            { new EnvironmentUse<bool> with
                member _.With environment = environment.ActionSpace.IsBox }

    rules |> List.filter (fun rule -> rule.Name <> "DDPG" || isBox)

/// The preset of the task, with a step size that stays the same for the whole run.
let configurationOf (task: Task) = { task.Registered.Preset with DeltaHalfLife = 0; DeltaShrinkage = 0.0 }

// ---- Runs ----

/// What the updates of a run did.
type Run =
    {
        Task: string
        Rule: string
        Multiple: float
        Seed: int64
        Updates: int
        /// The mean return of the evaluation's episodes before the first update, and after the last one.
        First: float
        Last: float
        /// The number of updates after which the mean return of the same episodes was lower, and lower by more than two standard errors.
        Falls: int
        CertainFalls: int
        /// The largest fall of the mean return by an update.
        LargestFall: float
        /// The mean KL(old ‖ new) of the updates, in nats: the median and the largest.
        MedianKl: float
        LargestKl: float
        /// Whether a fault ended the run, because numbers were no longer finite.
        Ended: bool
    }

/// The mean of the differences between episodes with the same random numbers, and its standard error.
let pairedDifference (before: Scores) (after: Scores) =
    let differences = Seq.map2 (fun x y -> y - x) before.Returns after.Returns |> Array.ofSeq
    let mean = Array.average differences
    let count = float differences.Length

    let variance = (differences |> Array.sumBy (fun x -> (x - mean) * (x - mean))) / max 1.0 (count - 1.0)

    mean, sqrt (variance / count)

let summarise (task: Task) rule multiple seed (scores: Scores list) (kls: float list) ended =
    let changes = scores |> List.pairwise |> List.map (fun (before, after) -> pairedDifference before after)
    let drops = changes |> List.map fst |> List.filter (fun change -> change < 0.0)

    { Task = task.Registered.Id
      Rule = rule
      Multiple = multiple
      Seed = seed
      Updates = changes.Length
      First = (List.head scores).Mean
      Last = (List.last scores).Mean
      Falls = drops.Length
      CertainFalls = changes |> List.filter (fun (mean, error) -> mean < -2.0 * error) |> List.length
      LargestFall = if drops.IsEmpty then 0.0 else -(List.min drops)
      MedianKl = if kls.IsEmpty then nan else median (Array.ofList kls)
      LargestKl = if kls.IsEmpty then nan else List.max kls
      Ended = ended }

/// Whether a fault says that numbers are no longer finite: the step size was too large. Any other fault ends the script.
let isTooLarge fault =
    match fault with
    | NonFinitePolicy _
    | NonFiniteStage _ -> true
    | fault -> failwith (Fault.message fault)

/// The policies of a training, the first one before any update, each with the KL of its update.
let policies (task: Task) learner seed (environment: Environment<'State>) =
    match learner with
    | OnPolicy configuration ->
        let setup = Setup.create 1 configuration environment |> orFail
        let start = TrainingState.start setup seed

        Training.runFor task.Steps setup start
        |> Seq.map (Result.map (fun (state, report) -> state, report.Improvement.Comparison.MeanKl))
        |> Seq.append [ Ok(start, nan) ]
        |> Seq.map (Result.map (fun (state, kl) -> TrainingState.actor setup state, kl))
    | OffPolicy settings ->
        let setup = DdpgSetup.create 1 settings environment |> orFail
        let start = DdpgState.start setup seed |> orFail

        DdpgTraining.runFor task.Steps setup start
        |> Seq.map (Result.map fst)
        |> Seq.append [ Ok start ]
        |> Seq.map (Result.map (fun state -> DdpgState.actor setup state, nan))

/// Trains, and plays the same episodes with the policy before and after each update: with actions that are drawn, or with DDPG's, which has no
/// distribution.
let train (task: Task) (rule: Rule) multiple seed (environment: Environment<'State>) =
    let learner = rule.Learner (configurationOf task) (multiple * rule.Reference)
    let key = Key.named "evaluation" (Key.ofSeed seed)

    let score actor =
        match learner with
        | OnPolicy _ -> Evaluation.sample 1 environment actor task.Episodes key
        | OffPolicy _ -> Evaluation.run 1 environment actor task.Episodes key

    /// The scores and KLs so far, the last first, and whether a fault came.
    let follow (scores, kls, _) result =
        match result |> Result.bind (fun (actor, kl) -> score actor |> Result.map (fun score -> score, kl)) with
        | Ok(score, kl) -> score :: scores, kl :: kls, false
        | Error fault -> scores, kls, isTooLarge fault

    let scores, kls, ended = policies task learner seed environment |> Seq.fold follow ([], [], false)
    let kls = kls |> List.filter (Double.IsNaN >> not)
    summarise task rule.Name multiple seed (List.rev scores) kls ended

let run (task: Task) rule multiple seed =
    task.Registered.Use
        { new EnvironmentUse<Run> with
            member _.With environment = train task rule multiple seed environment }

let file = Path.Combine(folder, "step-size-runs.csv")

let header =
    "task;rule;multiple;seed;updates;first;last;falls;certainFalls;largestFall;medianKl;largestKl;ended"

let ofLine (line: string) =
    let cells = line.Split ';'
    let number i = Double.Parse(cells[i], invariant)

    { Task = cells[0]
      Rule = cells[1]
      Multiple = number 2
      Seed = int64 cells[3]
      Updates = int cells[4]
      First = number 5
      Last = number 6
      Falls = int cells[7]
      CertainFalls = int cells[8]
      LargestFall = number 9
      MedianKl = number 10
      LargestKl = number 11
      Ended = bool.Parse cells[12] }

let lineOf run =
    let number (x: float) = x.ToString("G6", invariant)

    [ run.Task
      run.Rule
      run.Multiple.ToString("R", invariant)
      string run.Seed
      string run.Updates
      number run.First
      number run.Last
      string run.Falls
      string run.CertainFalls
      number run.LargestFall
      number run.MedianKl
      number run.LargestKl
      string run.Ended ]
    |> String.concat ";"

let finished =
    if File.Exists file then
        File.ReadAllLines file |> Seq.skip 1 |> Seq.map ofLine |> List.ofSeq
    else
        File.WriteAllText(file, header + "\n")
        []

let writing = obj ()

let keep run =
    lock writing (fun () -> File.AppendAllText(file, lineOf run + "\n"))
    run

/// The runs to make, seed by seed, so that an interruption leaves about as many seeds everywhere.
let missing =
    let isDone =
        let made = finished |> List.map (fun run -> run.Task, run.Rule, run.Multiple, run.Seed) |> Set.ofList
        made.Contains

    [| for seed in (if List.contains "--finished" arguments then [] else seeds) do
           for task in tasks do
               for rule in rulesOf task do
                   for multiple in multiples do
                       if not (isDone (task.Registered.Id, rule.Name, multiple, seed)) then
                           task, rule, multiple, seed |]

let clock = Diagnostics.Stopwatch.StartNew()

Parallel.ForEach(
    Partitioner.Create(missing, EnumerablePartitionerOptions.NoBuffering),
    ParallelOptions(MaxDegreeOfParallelism = Environment.ProcessorCount),
    fun (task, rule, multiple, seed) -> run task rule multiple seed |> keep |> ignore
)
|> ignore

printfn $"{missing.Length} runs in {clock.Elapsed.TotalMinutes:F1} minutes"

// ---- The same with exact η ----

/// A rule on problems with exact η: from a problem and a step size to η and the mean KL of each of its policies, until it stops.
type ExactRule =
    {
        Name: string
        Size: string
        Reference: float
        /// The index of the problem and the step size → η of the first policy, and then η and the KL of each update.
        Follow: int -> float -> float * (float * float) list
    }

let exactUpdates = if isQuick then 5 else 40

/// η before the first update and after each, of the exact algorithms on a process.
let followProcess (algorithm: (int -> int) -> Features -> Algorithm) (mdp, classOf) =
    let features = Features.ofClasses mdp classOf |> orFail

    let steps =
        PolicySequence.run mdp (algorithm classOf features)
        |> Seq.truncate (exactUpdates + 1)
        |> Seq.map orFail
        |> List.ofSeq

    let certificates = steps |> List.choose _.Certificate
    (List.head steps).Values.Eta, certificates |> List.map (fun step -> step.EtaAfter, step.KlMean)

let processes = garnets (if isQuick then 2 else 20)

let processRules =
    let rule name size reference algorithm =
        { Name = name
          Size = size
          Reference = reference
          Follow = fun problem size -> followProcess (fun _ features -> algorithm features size) processes[problem] }

    [ rule "gradient" "α" 10.0 SharedAlgorithms.policyGradient
      rule "natural gradient" "α" 0.1 SharedAlgorithms.naturalPolicyGradient
      rule "TRPO" "δ" 0.1 SharedAlgorithms.trustRegion
      rule "PPO" "learning rate" 3.0 (fun features rate -> SharedAlgorithms.clippedSurrogate features 0.2 rate 10) ]

/// A linear-quadratic problem with four states and two actions, whose dynamics are stable without control, if slowly.
let linearQuadratic (problem: int) =
    let normals name rows columns =
        Matrix<float>
            .Build.DenseOfColumnMajor(
                rows,
                columns,
                Key.normals (rows * columns) (Key.named name (Key.ofSeed (int64 problem)))
            )

    let a = normals "A" 4 4
    let radius = a.Evd().EigenValues |> Seq.map _.Magnitude |> Seq.max
    let identity size = Array2D.init size size (fun i j -> if i = j then 1.0 else 0.0)

    { A = ((1.0 / radius) * a).ToArray()
      B = (normals "B" 4 2).ToArray()
      Q = identity 4
      R = identity 2
      W = Array2D.map (fun x -> 0.01 * x) (identity 4)
      S = identity 4 }
    |> LinearQuadratic.create $"linear-quadratic {problem}" 0.95
    |> orFail

let linearProblems = Array.init processes.Length linearQuadratic

let noGain = Matrix<float>.Build.Dense(2, 4)
let exploration = 0.1 * Matrix<float>.Build.DenseIdentity 2

/// η before the first update and after each, until it is −∞.
let followLinear change (problem: LinearQuadratic) =
    let start = LinearQuadratic.values problem { Gain = noGain; Exploration = exploration } |> Option.get

    let next (values: LinearValues option) =
        values
        |> Option.bind (fun values -> change problem values |> Option.map (fun change -> values, change))
        |> Option.map (fun (values, change) ->
            let policy = LinearQuadratic.changed change values
            let after = LinearQuadratic.values problem policy
            let eta = after |> Option.map _.Eta |> Option.defaultValue -infinity
            (eta, LinearQuadratic.meanKl problem values change), after)

    start.Eta, Seq.unfold next (Some start) |> Seq.truncate exactUpdates |> List.ofSeq

let linearRules =
    let rule name size reference change =
        { Name = name
          Size = size
          Reference = reference
          Follow = fun problem size -> followLinear (change size) linearProblems[problem] }

    [ rule "gradient" "α" 1e-5 (fun alpha problem values -> Some(alpha * LinearQuadratic.gradient problem values))
      rule "natural gradient" "α" 1e-3 (fun alpha problem values ->
          Some(alpha * LinearQuadratic.naturalGradient problem values))
      rule "TRPO" "δ" 0.1 (fun delta problem values -> LinearQuadratic.trustRegionChange problem delta values) ]

/// A rule with a multiple of its step size, and what it did on each problem.
type Followed = { By: ExactRule; Multiple: float; Etas: (float * (float * float) list)[] }

let followAll (rules: ExactRule list) count =
    [ for rule in rules do
          for multiple in multiples ->
              { By = rule
                Multiple = multiple
                Etas = Array.Parallel.init count (fun problem -> rule.Follow problem (multiple * rule.Reference)) } ]

let exactRuns name (best: int -> float) followed : Run list =
    [ for problem, (first, updates) in Seq.indexed followed.Etas do
          let etas = first :: List.map fst updates

          let drops =
              List.pairwise etas |> List.map (fun (a, b) -> a - b) |> List.filter (fun fall -> fall > 1e-12)

          let unit = best problem - first
          let kls = updates |> List.map snd |> Array.ofList

          { Task = name
            Rule = followed.By.Name
            Multiple = followed.Multiple
            Seed = int64 problem
            Updates = updates.Length
            First = 0.0
            Last = (List.last etas - first) / unit
            Falls = drops.Length
            CertainFalls = drops.Length
            LargestFall = if drops.IsEmpty then 0.0 else List.max drops / unit
            MedianKl = if kls.Length = 0 then nan else median kls
            LargestKl = if kls.Length = 0 then nan else Array.max kls
            Ended = Double.IsNegativeInfinity(List.last etas) } ]

let followedProcesses = followAll processRules processes.Length

/// The largest η of any rule and step size on a process.
let bestOfProcess =
    let etasOf problem followed =
        let first, updates = followed.Etas[problem]
        first :: List.map fst updates

    Array.init processes.Length (fun problem -> followedProcesses |> List.collect (etasOf problem) |> List.max)

let bestOfLinear =
    linearProblems
    |> Array.map (fun problem ->
        LinearQuadratic.eta
            problem
            { Gain = LinearQuadratic.optimalGain problem |> Option.get; Exploration = exploration })

// ---- Summaries ----

/// All runs of a rule with a step size.
type Cell = { Rule: string; Size: string; Value: float; Multiple: float; Runs: Run list }

/// A problem with the cells of its rules.
type Problem = { Name: string; Slug: string; Measure: string; Cells: Cell list }

/// The quantile of numbers, some of which may be −∞, from which nothing can be interpolated: it is −∞ then, where the formula gives NaN.
let quantile share (numbers: float[]) =
    let quantile = Statistics.quantile share numbers
    if Double.IsNaN quantile then -infinity else quantile

let lasts cell = cell.Runs |> List.map _.Last |> Array.ofList

/// The mean over the runs of the share of updates after which the return fell, and its standard error.
let shareOfFalls (count: Run -> int) cell =
    let shares =
        [| for run in cell.Runs do
               if run.Updates > 0 then
                   100.0 * float (count run) / float run.Updates |]

    if shares.Length = 0 then
        nan, nan
    else
        let mean = Array.average shares
        let squares = shares |> Array.sumBy (fun x -> (x - mean) * (x - mean))
        mean, sqrt (squares / float (max 1 (shares.Length - 1)) / float shares.Length)

let taskProblems =
    let runs =
        File.ReadAllLines file
        |> Seq.skip 1
        |> Seq.map ofLine
        |> List.ofSeq
        |> List.groupBy (fun run -> run.Task, run.Rule, run.Multiple)
        |> Map.ofList

    [ for task in tasks do
          { Name = task.Registered.Id
            Slug = task.Registered.Id
            Measure = $"mean return of {task.Episodes} episodes after {task.Steps:N0} steps"
            Cells =
              [ for rule in rulesOf task do
                    for multiple in multiples do
                        match Map.tryFind (task.Registered.Id, rule.Name, multiple) runs with
                        | None -> ()
                        | Some runs ->
                            { Rule = rule.Name
                              Size = rule.Size
                              Value = multiple * rule.Reference
                              Multiple = multiple
                              Runs = runs } ] } ]

let exactProblem name slug followed best =
    { Name = name
      Slug = slug
      Measure = $"share of the possible gain of η after {exactUpdates} updates"
      Cells =
        [ for followed in followed ->
              { Rule = followed.By.Name
                Size = followed.By.Size
                Value = followed.Multiple * followed.By.Reference
                Multiple = followed.Multiple
                Runs = exactRuns name best followed } ] }

let problems =
    [ exactProblem
          "linear-quadratic problems, exactly"
          "linear-quadratic"
          (followAll linearRules linearProblems.Length)
          (Array.get bestOfLinear)
      exactProblem
          "processes whose states share parameters, exactly"
          "processes"
          followedProcesses
          (Array.get bestOfProcess) ]
    @ taskProblems

let startOf problem = problem.Cells |> List.collect _.Runs |> List.map _.First |> Array.ofList |> median
let bestOf cells = cells |> List.map (lasts >> median) |> List.max

/// The cells whose median has at least 90 % of the gain of the best of some cells.
let good problem among cells =
    let start, best = startOf problem, bestOf among
    cells |> List.filter (fun cell -> median (lasts cell) >= start + 0.9 * (best - start))

let cellsOf problem rule = problem.Cells |> List.filter (fun cell -> cell.Rule = rule)
let ruleNames problem = problem.Cells |> List.map _.Rule |> List.distinct

let shown (x: float) =
    if Double.IsNaN x then "–"
    elif Double.IsInfinity x then (if x < 0.0 then "−∞" else "∞")
    else x.ToString("G4", invariant)

let percent (mean: float, error: float) = if Double.IsNaN mean then "–" else $"{mean:F1} ± {error:F1}"

// ---- The page ----

let summaryRows problem =
    [ for rule in ruleNames problem do
          let cells = cellsOf problem rule
          let best = cells |> List.maxBy (lasts >> median)
          let countGood among = $"{(good problem among cells).Length} of {cells.Length}"

          [ rule
            $"{best.Size} = {shown best.Value}"
            shown (median (lasts best))
            countGood problem.Cells
            countGood cells
            percent (shareOfFalls _.Falls best)
            percent (cells |> List.map (shareOfFalls _.Falls) |> List.maxBy fst) ] ]

let allRows problem =
    [ for cell in problem.Cells do
          let last = lasts cell
          let ended = cell.Runs |> List.filter _.Ended |> List.length

          [ cell.Rule
            $"{cell.Size} = {shown cell.Value}"
            $"{shown (median last)} ({shown (quantile 0.25 last)} … {shown (quantile 0.75 last)})"
            percent (shareOfFalls _.Falls cell)
            percent (shareOfFalls _.CertainFalls cell)
            shown (cell.Runs |> List.map _.LargestFall |> List.max)
            shown (cell.Runs |> List.map _.MedianKl |> Array.ofList |> median)
            shown (cell.Runs |> List.map _.LargestKl |> List.max)
            (if ended = 0 then "–" else string ended) ] ]

/// The medians of each rule with their interquartile bands. A return below the start is drawn at the start less a tenth of the range.
let picture problem =
    let start, best = startOf problem, bestOf problem.Cells
    let floor = start - 0.1 * (best - start)
    let drawn (x: float) = max floor x

    [ for rule in ruleNames problem do
          { Name = rule
            Points = [ for cell in cellsOf problem rule -> cell.Multiple, drawn (median (lasts cell)) ]
            Band =
              [ for cell in cellsOf problem rule ->
                    let last = lasts cell
                    cell.Multiple, drawn (quantile 0.25 last), drawn (quantile 0.75 last) ] } ]
    |> lines
        $"Return against step size: {problem.Name}"
        { Label = "step size, as a multiple of the reference"
          Scale = Logarithmic(List.head multiples, List.last multiples) }
        { Label = problem.Measure; Scale = Linear(floor, best + 0.05 * (best - start)) }

for problem in problems do
    File.WriteAllText(Path.Combine(folder, $"step-size-{problem.Slug}.svg"), picture problem)

/// How many step sizes of each rule are good, as a sentence.
let sentence problem =
    let counts =
        [ for rule in ruleNames problem do
              let cells = cellsOf problem rule
              $"{rule} with {(good problem problem.Cells cells).Length} of {cells.Length}" ]

    "Step sizes with at least 90 % of the best gain: " + String.concat ", " counts + "."

let today = DateTime.UtcNow.ToString "yyyy-MM-dd"
let missed = wanted |> List.except tasks |> List.map _.Registered.Id

/// How many runs a step size has.
let runCounts problem =
    let counts = problem.Cells |> List.map _.Runs.Length
    let least, most = List.min counts, List.max counts

    if least = most then
        $"{most} runs of each step size"
    else
        $"{least} to {most} runs of each step size"

let problemLines problem =
    [ $"## {Char.ToUpperInvariant problem.Name[0]}{problem.Name[1..]}"
      ""
      $"![Return against step size](step-size-{problem.Slug}.svg)"
      ""
      $"{runCounts problem}. {sentence problem}"
      ""
      yield!
          markdownTable
              [ "rule"
                "best step size"
                problem.Measure
                "good step sizes"
                "good by its own best"
                "falls, best size, %"
                "falls, worst size, %" ]
              (summaryRows problem)
      "" ]

let page =
    [ $"Made by `scripts/step-size.fsx` on {today}: {RuntimeInformation.FrameworkDescription}, {Environment.ProcessorCount} cores."
      if not missed.IsEmpty then
          $"""Not run, since the engine of MuJoCo is not there: {String.concat ", " missed}."""
      ""
      for problem in problems do
          yield! problemLines problem
      "## All step sizes"
      ""
      "Return: the median of the runs, and the quartiles. Falls: the mean share of updates after which the return fell, with its standard error over the runs;"
      "certain falls: by more than two standard errors of the paired difference. KL: mean KL(old ‖ new) of an update in nats. Ended: runs that a number that is"
      "not finite ended; on linear-quadratic problems, runs whose η became −∞."
      for problem in problems do
          ""
          $"### {Char.ToUpperInvariant problem.Name[0]}{problem.Name[1..]}: all step sizes"
          ""

          yield!
              markdownTable
                  [ "rule"
                    "step size"
                    "return"
                    "falls, %"
                    "certain falls, %"
                    "largest fall"
                    "median KL"
                    "largest KL"
                    "ended" ]
                  (allRows problem) ]

writePart (Path.Combine(folder, "step-size.md")) "step sizes" page

for problem in problems do
    printfn $"{problem.Name}: {sentence problem}"
