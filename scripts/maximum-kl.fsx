// Compares a limit on the maximum of KL over the states with a limit on its mean. The comparison is feasible here because the policy is
// linear and has six parameters. The task is cart-pole with any force between the two of CartPole-v1, with ten seeds and several δ. The
// script makes one page of the results:
//
//     dotnet fsi scripts/maximum-kl.fsx       48 updates of 1,024 steps in each run; writes artifacts/maximum-kl.html
//     dotnet fsi scripts/maximum-kl.fsx 4096 --page FILE --json FILE --picture FILE
//                                             at most 4096 steps; writes the page, the numbers and the learning curve into these files
#load "load.fsx"
#load "lesson.fsx"
#load "chart.fsx"

open System
open System.Collections.Generic
open System.Diagnostics
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Exact
open Lesson
open Plot
open Chart

let total = steps (48L * 1024L)

// ---- The task ----

let observationSpace = CartPole.environment.ObservationSpace

/// CartPole-v1, but the action is a fraction of its push, from −1 (to the left) to 1 (to the right). Larger actions are outside of the
/// space.
[<Struct>]
type ContinuousCartPole =
    interface Environment<CartPole.State> with
        member _.Id = "continuous cart-pole"
        member _.ObservationSpace = observationSpace
        member _.ActionSpace = Space.box 1 -1.0 1.0
        member _.Reset key = (CartPole.environment.Reset key).Inner

        member _.Step(_, action, state) =
            let next = CartPole.dynamics (CartPole.push * float action[0]) state
            { State = next; Reward = 1.0; Terminated = CartPole.hasFailed next; Truncated = false }

        member _.Observe(state, observation) = CartPole.environment.Observe({ Inner = state; Elapsed = 0 }, observation)

let environment = ContinuousCartPole() |> Environment.withTimeLimit 500

/// The policy has four weights and a bias for the mean of the force, and log σ. Six parameters need no damping.
let configuration delta = { Configuration.standard with Hidden = []; Delta = delta; Damping = 0.0; CriticSteps = 1 }

// ---- The step that is limited in the worst row ----

/// The vectors a of each row with F = Σ a aᵀ: the rows of J times the square roots of the metric, which is diagonal for a Gaussian.
let rowsOf (surrogate: Surrogate) : RowFisher.Row[] =
    let parameters = surrogate.Parameters.Length
    let outputs = surrogate.Linearization.Outputs
    let metric = Array.zeroCreate<float32>(outputs.Rows * outputs.Columns)
    surrogate.Policy.Family.Metric.Factors(outputs.Rows, outputs.Columns, outputs.Span, metric.AsSpan())

    // J, column by column: the pushforwards of the unit vectors.
    let columns =
        Array.init parameters (fun i ->
            Vector.init parameters (fun j -> if i = j then 1f else 0f) |> surrogate.Linearization.Pushforward)

    Array.init outputs.Rows (fun n ->
        Array.init outputs.Columns (fun k ->
            let root = sqrt (float metric[n * outputs.Columns + k])
            columns |> Array.map (fun column -> root * float column[n, k])))

/// Measurements of one step of either rule.
type Account =
    {
        MeanKl: float
        MaxKl: float
        Fraction: float
        /// The iterations of conjugate gradient or of Newton's method.
        Iterations: int
        /// The relative gap between the gain of the step and its bound; 0 for the rule without a bound.
        Gap: float
        /// The gain of the best step within the limit by its linear model, divided by the gain of the natural gradient shortened to the
        /// limit.
        Advantage: float
        /// The number of rows that hold 99 % of the weights.
        Active: int
        Seconds: float
    }

let dot = Array.fold2 (fun sum x y -> sum + x * y) 0.0

/// Like `TrustRegion.improve`, but with ½ xᵀF_n x ≤ δ in every row, and a line search that requires max KL ≤ δ.
let improveWorst
    delta
    (lineSearch: LineSearchSettings)
    (record: WorstCase.Step -> float -> unit)
    (surrogate: Surrogate)
    =
    let old = surrogate.Parameters
    let gradient = Surrogate.gradient surrogate
    let rows = rowsOf surrogate
    let g = Vector.toArray gradient |> Array.map float

    let ended outcome parameters comparison =
        { Parameters = parameters
          Outcome = outcome
          Comparison = comparison
          GradientNorm = Vector.norm gradient
          SignalShare = None
          Solution = None }

    match WorstCase.step 1e-6 delta g rows with
    | None -> ended NoCurvature old (Surrogate.compare surrogate old)
    | Some step ->
        let natural =
            let uniform = Array.create rows.Length (1.0 / float rows.Length)
            let vector = MathNet.Numerics.LinearAlgebra.Vector<float>.Build.DenseOfArray g
            (RowFisher.fisher uniform rows).Cholesky().Solve(vector).ToArray()

        let shortened =
            sqrt (2.0 * delta / (rows |> Array.map (fun row -> RowFisher.quadratic row natural) |> Array.max))

        record step (step.Gain / (shortened * dot g natural))
        let direction = step.X |> Array.map float32 |> Vector.ofArray
        let acceptable (c: Comparison) = TrustRegion.acceptable infinity c && c.MaxKl <= delta

        match LineSearch.backtrack lineSearch (Surrogate.compare surrogate) acceptable old 1.0 direction with
        | Accepted(parameters, comparison, fraction, tries) -> ended (Moved(fraction, tries)) parameters comparison
        | Refused(_, tries) -> ended (LineSearchFailed tries) old (Surrogate.compare surrogate old)
        | InvalidCurvature -> ended NoCurvature old (Surrogate.compare surrogate old)

// ---- The runs ----

type Rule =
    | Mean
    | Maximum

let nameOf rule =
    match rule with
    | Mean -> "mean KL"
    | Maximum -> "max KL"

type Run =
    {
        Rule: Rule
        Delta: float
        Seed: int64
        /// After each update, the mean return of the last 100 episodes.
        Curve: (float * float) list
        Accounts: Account list
        /// The mean return of 100 episodes with the most probable actions.
        Final: float
    }

/// The measurements of an improvement. `solved` is the step of the worst case and its advantage, if that rule made it.
let accountOf (solved: (WorstCase.Step * float) option) (improvement: Improvement) seconds =
    let iterations, gap, active =
        match solved, improvement.Solution with
        | Some(step, _), _ ->
            let shares = step.Weights |> Array.sortDescending |> Array.scan (+) 0.0
            step.Iterations, 1.0 - step.Gain / step.Bound, Array.findIndex (fun share -> share >= 0.99) shares
        | None, Some solution -> solution.Iterations, 0.0, 0
        | None, None -> 0, 0.0, 0

    { MeanKl = improvement.Comparison.MeanKl
      MaxKl = improvement.Comparison.MaxKl
      Fraction = improvement.Outcome.Fraction
      Iterations = iterations
      Gap = gap
      Advantage = solved |> Option.map snd |> Option.defaultValue 1.0
      Active = active
      Seconds = seconds }

let train rule delta seed =
    let configuration = configuration delta
    let setup = Setup.create 1 configuration environment |> orFail
    let accounts = List<Account>()

    let improve (settings: ImprovementSettings) surrogate =
        let clock = Stopwatch.StartNew()
        let mutable solved = None

        let result =
            match rule, settings.StepRule with
            | Maximum, TrustRegionStep(delta, lineSearch) ->
                improveWorst delta lineSearch (fun step advantage -> solved <- Some(step, advantage)) surrogate
                |> Ok
            | _ -> TrustRegion.improve settings surrogate

        let seconds = clock.Elapsed.TotalSeconds
        result |> Result.iter (fun improvement -> accounts.Add(accountOf solved improvement seconds))
        result

    let setup = { setup with Improve = ImprovementRule.ofStep improve }

    let states =
        TrainingState.start setup seed
        |> Training.runFor total setup
        |> Seq.map (orFail >> fst)
        |> List.ofSeq

    let actor = TrainingState.actor setup (List.last states)

    { Rule = rule
      Delta = delta
      Seed = seed
      Curve =
        [ for state in states do
              match TrainingState.meanReturn state with
              | Some mean -> float state.Iteration, mean
              | None -> () ]
      Accounts = List.ofSeq accounts
      Final = (Evaluation.run 1 environment actor 100 (Key.ofSeed (1000L + seed)) |> orFail).Mean }

let rules = [ Mean; Maximum ]
let deltas = [ 0.003; 0.01; 0.03; 0.1 ]
let seeds = [| 0L .. 9L |]

let runs =
    [| for rule in rules do
           for delta in deltas do
               for seed in seeds -> rule, delta, seed |]
    |> Array.Parallel.map (fun (rule, delta, seed) -> train rule delta seed)

let runsOf rule delta = runs |> Array.filter (fun run -> run.Rule = rule && run.Delta = delta)

// ---- Numbers ----

/// The mean return over all of training, which measures how soon a run learned.
let area run = run.Curve |> List.averageBy snd

let last run = run.Curve |> List.last |> snd

/// The δ with which a rule learns soonest, in the median of the seeds.
let best rule = deltas |> List.maxBy (fun delta -> runsOf rule delta |> Array.map area |> median)

let withQuartiles number runs =
    let numbers = runs |> Array.map number
    sprintf "%.0f (%.0f … %.0f)" (median numbers) (Statistics.quantile 0.25 numbers) (Statistics.quantile 0.75 numbers)

let ofSteps (number: Account -> float) runs =
    runs |> Array.collect (fun run -> run.Accounts |> List.map number |> Array.ofList)

let header =
    [ "rule"
      "δ"
      "mean return, all of training"
      "last 100 episodes"
      "policy's mode, 100 episodes"
      "mean KL / δ"
      "max KL / δ"
      "iterations a step" ]

let cells rule delta =
    let runs = runsOf rule delta
    let ofStep number = runs |> ofSteps number |> median

    [ nameOf rule
      delta.ToString "G3"
      withQuartiles area runs
      withQuartiles last runs
      withQuartiles _.Final runs
      (ofStep (fun step -> step.MeanKl / delta)).ToString "F2"
      (ofStep (fun step -> step.MaxKl / delta)).ToString "F2"
      (ofStep (fun step -> float step.Iterations)).ToString "F0" ]

let markdown =
    [ for rule in rules do
          for delta in deltas -> cells rule delta ]

printfn "Continuous cart-pole, six parameters, %d steps, %d seeds: medians (quartiles)" total seeds.Length
printfn "| %s |" (String.concat " | " header)
printfn "|%s" (String.replicate header.Length "---|")

for row in markdown do
    printfn "| %s |" (String.concat " | " row)

let worstCase = runs |> Array.filter (fun run -> run.Rule = Maximum)
let largestGap = worstCase |> ofSteps _.Gap |> Array.max

printfn "largest relative gap of a step to its bound: %.1e" largestGap
printfn "gain of the best step over the shortened natural gradient's: %.2f" (worstCase |> ofSteps _.Advantage |> median)
printfn "rows with 99 %% of the weights: %.0f" (worstCase |> ofSteps (fun step -> float step.Active) |> median)

let secondsOf rule = runs |> Array.filter (fun run -> run.Rule = rule) |> ofSteps _.Seconds |> median

printfn "a step of the worst case takes so many times as long: %.0f" (secondsOf Maximum / secondsOf Mean)

for rule in rules do
    printfn "%s learns soonest at δ = %g" (nameOf rule) (best rule)

saveNumbers
    [ for run in runs ->
          {| rule = nameOf run.Rule
             delta = run.Delta
             seed = run.Seed
             final = run.Final
             curve = run.Curve |> List.map snd
             meanKl = run.Accounts |> List.map _.MeanKl
             maxKl = run.Accounts |> List.map _.MaxKl
             fraction = run.Accounts |> List.map _.Fraction
             iterations = run.Accounts |> List.map _.Iterations
             gap = run.Accounts |> List.map _.Gap |} ]

// ---- The page ----

/// The quantile of the return over the seeds, for each update after which all of them have a return.
let curve share runs =
    runs
    |> Array.collect (fun run -> Array.ofList run.Curve)
    |> Array.groupBy fst
    |> Array.filter (fun (_, points) -> points.Length = seeds.Length)
    |> Array.map (fun (iteration, points) -> iteration, points |> Array.map snd |> Statistics.quantile share)
    |> List.ofArray

let curves chosen =
    let drawn =
        [ for rule, delta in chosen do
              let runs = runsOf rule delta
              let low, high = curve 0.25 runs, curve 0.75 runs

              { Name = $"{nameOf rule} ≤ {delta}"
                Points = curve 0.5 runs
                Band = List.map2 (fun (x, low) (_, high) -> x, low, high) low high } ]

    lines
        $"A limit on the maximum of KL, and one on its mean: median and quartiles of {seeds.Length} seeds"
        (iterationAxis "updates of 1,024 steps" drawn)
        { Label = "mean return of the last 100 episodes"; Scale = Linear(0.0, 500.0) }
        drawn

/// The curves of both rules at their best δ, and at the smaller of these two δ.
let learningCurve =
    let smaller = List.min (List.map best rules)

    curves (
        List.distinct
            [ for delta in [ smaller ] @ List.map best rules do
                  for rule in rules do
                      if delta = smaller || delta = best rule then
                          rule, delta ]
    )

let sections =
    [ "<h2>Learning curves</h2>"
      learningCurve
      for delta in deltas do
          $"<h3>δ = {delta}</h3>"
          curves [ for rule in rules -> rule, delta ]
      "<h2>Medians, and quartiles in brackets</h2>"
      table header markdown ]

savePicture learningCurve
savePage "maximum-kl.html" "The maximum of KL, and its mean" sections
