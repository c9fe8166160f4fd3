// The maximum of KL over the states, next to its mean: the one comparison of the two that can be afforded, since the policy is linear and has
// six parameters. Cart-pole with a force that may be anything between the two of CartPole-v1, ten seeds, several δ. Makes one page of it:
//
//     dotnet fsi scripts/maximum-kl.fsx                              50,000 steps of each run, into artifacts/maximum-kl.html
//     dotnet fsi scripts/maximum-kl.fsx 4096 --page FILE --json FILE --picture FILE
//                                                                    fewer of them, elsewhere, as numbers, and the learning curve alone
#load "load.fsx"
#load "chart.fsx"

open System
open System.Collections.Generic
open System.Diagnostics
open System.IO
open System.Text.Json
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Exact
open Load
open Chart

let arguments = List.ofArray (Array.skip 1 fsi.CommandLineArgs)

/// The value of an option, if it is there.
let option name = arguments |> List.pairwise |> List.tryPick (fun (a, b) -> if a = name then Some b else None)

let total =
    match arguments with
    | first :: _ when not (first.StartsWith "--") -> int64 first
    | _ -> 50_000L

// ---- The task ----

let private observationSpace = CartPole.environment.ObservationSpace

/// CartPole-v1, but the action is a part of its push: from −1, all of it to the left, to 1. Beyond that nobody can push.
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

        member _.Observe(state, observation) =
            observation[0] <- float32 state.Position
            observation[1] <- float32 state.Velocity
            observation[2] <- float32 state.Angle
            observation[3] <- float32 state.AngularVelocity

let environment = ContinuousCartPole() |> Environment.withTimeLimit 500

/// Four weights and a bias for the mean of the force, and log σ. Six parameters need no damping, and six steps of conjugate gradient.
let configuration delta =
    { Configuration.standard with Hidden = []; Delta = delta; Damping = 0.0; CriticSteps = 1 }

// ---- The step that is limited in the worst row ----

/// The vectors a of each row, of which F = Σ a aᵀ: the rows of J, times the roots of the metric, which is diagonal for a Gaussian.
let rowsOf (surrogate: Surrogate) : WorstCase.Row[] =
    let parameters = surrogate.Parameters.Length
    let outputs = surrogate.Linearization.Forward
    let metric = Array.zeroCreate<float32>(outputs.Rows * outputs.Columns)
    surrogate.Policy.Family.Metric.Factors(outputs.Rows, outputs.Columns, outputs.Span, metric.AsSpan())

    // J, column by column: what the unit vectors are pushed forward to.
    let columns =
        Array.init parameters (fun i ->
            Vector.init parameters (fun j -> if i = j then 1f else 0f)
            |> surrogate.Linearization.Pushforward)

    Array.init outputs.Rows (fun n ->
        Array.init outputs.Columns (fun k ->
            let root = sqrt (float metric[n * outputs.Columns + k])
            columns |> Array.map (fun column -> root * float column[n, k])))

/// What a step of either rule was like, and what it would have cost the other rule's way.
type Account =
    {
        MeanKl: float
        MaxKl: float
        Fraction: float
        /// Conjugate gradient's iterations, or Newton's.
        Iterations: int
        /// The relative gap between the step and its bound; 0 where none was asked for.
        Gap: float
        /// What the best step within the limit gains by its linear model, over the natural gradient's when that is shortened to the limit.
        Advantage: float
        /// The rows that hold 99 % of the weights.
        Active: int
        Seconds: float
    }

let dot = Array.fold2 (fun sum x y -> sum + x * y) 0.0

/// As `TrustRegion.improve`; but ½ xᵀF_n x ≤ δ in every row, and so is KL where the line search stops.
let improveWorst delta (lineSearch: LineSearchSettings) (record: WorstCase.Step -> float -> unit) (surrogate: Surrogate) =
    let old = surrogate.Parameters
    let gradient = Surrogate.gradient surrogate
    let rows = rowsOf surrogate
    let g = Vector.toArray gradient |> Array.map float

    let ended outcome parameters comparison =
        { Parameters = parameters
          Outcome = outcome
          Comparison = comparison
          GradientNorm = Vector.norm gradient
          Solution = None }

    match WorstCase.step 1e-6 delta g rows with
    | None -> ended NoCurvature old (Surrogate.at surrogate old)
    | Some step ->
        let natural =
            let uniform = Array.create rows.Length (1.0 / float rows.Length)
            let vector = MathNet.Numerics.LinearAlgebra.Vector<float>.Build.DenseOfArray g
            (WorstCase.fisher uniform rows).Cholesky().Solve(vector).ToArray()

        let shortened = sqrt (2.0 * delta / (rows |> Array.map (fun row -> WorstCase.quadratic row natural) |> Array.max))
        record step (step.Gain / (shortened * dot g natural))
        let direction = step.X |> Array.map float32 |> Vector.ofArray
        let acceptable (c: Comparison) = TrustRegion.acceptable infinity c && c.MaxKl <= delta

        match LineSearch.backtrack lineSearch (Surrogate.at surrogate) acceptable old 1.0 direction with
        | Accepted(parameters, comparison, fraction, tries) -> ended (Moved(fraction, tries)) parameters comparison
        | Refused(_, tries) -> ended (LineSearchFailed tries) old (Surrogate.at surrogate old)

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
        /// Steps, and the mean return of the last 100 episodes.
        Curve: (float * float) list
        Accounts: Account list
        /// The mean return of 100 episodes of most probable actions.
        Final: float
    }

let train rule delta seed =
    let configuration = configuration delta
    let setup = Training.setup 1 configuration environment |> orFail
    let accounts = List<Account>()

    let improve steps surrogate =
        let settings = Configuration.improvement steps configuration
        let clock = Stopwatch.StartNew()
        let mutable solved = None

        let improvement =
            match rule, settings.StepRule with
            | Maximum, TrustRegionStep(delta, lineSearch) ->
                improveWorst delta lineSearch (fun step advantage -> solved <- Some(step, advantage)) surrogate
            | _ -> TrustRegion.improve settings surrogate

        let iterations, gap, active =
            match solved, improvement.Solution with
            | Some(step, _), _ ->
                let shares = step.Weights |> Array.sortDescending |> Array.scan (+) 0.0
                step.Iterations, 1.0 - step.Gain / step.Bound, Array.findIndex (fun share -> share >= 0.99) shares
            | None, Some solution -> solution.Iterations, 0.0, 0
            | None, None -> 0, 0.0, 0

        accounts.Add
            { MeanKl = improvement.Comparison.MeanKl
              MaxKl = improvement.Comparison.MaxKl
              Fraction =
                match improvement.Outcome with
                | Moved(fraction, _) -> fraction
                | _ -> 0.0
              Iterations = iterations
              Gap = gap
              Advantage = solved |> Option.map snd |> Option.defaultValue 1.0
              Active = active
              Seconds = clock.Elapsed.TotalSeconds }

        improvement

    let states =
        Training.start setup seed
        |> List.unfold (fun state ->
            if state.Steps >= total then
                None
            else
                let next, _ = Training.updateBy (improve state.Steps) configuration.Horizon setup state |> orFail
                Some(next, next))

    let actor = Training.actor setup (List.last states)

    { Rule = rule
      Delta = delta
      Seed = seed
      Curve = states |> List.map (fun state -> float state.Steps, Training.meanReturn state |> Option.defaultValue nan)
      Accounts = List.ofSeq accounts
      Final = (Evaluation.run 1 environment actor 100 (Key.ofSeed (1000L + seed)) |> orFail).Mean }
