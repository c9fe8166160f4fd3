/// Connects the exact theory with samples. It runs the practical pipeline on a finite process, with a softmax policy whose logits are
/// a table. In the setting used here the theory gives the limits of the estimates: states come from the discounted visitation, values
/// are exact or λ is 1, and nothing is normalised.
module FunTrpo.Exact.Bridge

open System.Collections.Immutable
open FunTrpo

/// The method that estimates advantages.
type Returns =
    /// One step and the exact value of the next state: r + γ V(s′) − V(s). This is λ = 0.
    | ByExactValues
    /// The rewards up to the end of a process that ends with the probability 1 − γ after each step. This is λ = 1: V is only a
    /// baseline and need not be exact.
    | ByRewards

/// The number of steps after which a process that continues with the probability γ has ended in all but one of 10⁹ cases, or 20,000
/// for γ ≥ 0.999. A branch that has not ended by then is bootstrapped.
let private stepsToTheEnd gamma =
    if gamma = 0.0 then 1
    elif gamma < 0.999 then int (ceil (log 1e-9 / log gamma))
    else 20_000

/// Returns the setup of the pipeline in the theory's setting, for batches of `instances` × `horizon` rows.
let setup threads returns instances horizon (mdp: FiniteMdp) =
    let environment, gamma, lambda, branchSteps =
        match returns with
        | ByExactValues -> Simulation.truncated mdp, mdp.Gamma, 0.0, 1
        | ByRewards -> Simulation.discounted mdp, 1.0, 1.0, stepsToTheEnd mdp.Gamma

    environment
    |> Setup.create
        threads
        { Configuration.standard with
            Environments = instances
            Horizon = horizon
            Gamma = gamma
            Lambda = lambda
            Branches = max 2 mdp.Actions
            BranchSteps = branchSteps
            Hidden = []
            CriticHidden = []
            CgIterations = 200
            CgTolerance = 1e-7
            DampedLength = true
            LineSearchTries = 20
            NormaliseReturns = false
            NormaliseAdvantages = false }

/// Returns the logits of a policy as parameters of the pipeline. A softmax has no action of probability 0, so a policy with one throws
/// `ArgumentException`.
let logits (policy: TabularPolicy) =
    if Table.fold min 1.0 policy.Table <= 0.0 then
        invalidArg (nameof policy) "no softmax gives an action the probability 0"

    Vector.init (policy.Rows * policy.Columns) (fun i -> float32 (log policy[i / policy.Columns, i % policy.Columns]))

/// Returns parameters, or a direction in their space, as a table.
let table (mdp: FiniteMdp) (parameters: Vector) =
    Table.init mdp.States mdp.Actions (fun state action -> float parameters[state * mdp.Actions + action])

/// A table as parameters, or as a direction in their space.
let private vector (x: Table) = Vector.init (x.Rows * x.Columns) (fun i -> float32 x[i / x.Columns, i % x.Columns])

/// Returns the same training state with a critic whose values are exactly those of a policy.
let withExactCritic (values: Values) (state: TrainingState<int>) =
    { state with Critic = Critic.start Plain (Vector.ofSeq (Seq.map float32 values.V)) }

/// Returns the same training state with the instances in states of the process drawn from the discounted visitation.
let withVisitedStates (values: Values) key (state: TrainingState<int>) =
    let instanceAt i (instance: Instance<int>) =
        { instance with State = Simulation.visited values (Key.at (int64 i) key) }

    { state with Instances = ImmutableArray.CreateRange(Seq.mapi instanceAt state.Instances) }

/// Returns a training state with this policy, an exact critic, and instances in states drawn from the discounted visitation.
let stateAt (setup: Setup<int>) (values: Values) seed =
    let state = TrainingState.start setup seed

    { state with PolicyParameters = logits values.Policy }
    |> withExactCritic values
    |> withVisitedStates values (Key.named "visited" state.Key)

/// Returns the surrogate of a rollout of the policy (the single-path procedure), or the fault of a stage.
let singlePath (setup: Setup<int>) (values: Values) seed =
    let state = stateAt setup values seed
    let setup = { setup with Configuration = { setup.Configuration with Branches = 0 } }

    result {
        let! batch, instances = Stages.rollout setup.Configuration.Horizon setup state
        let advantages = Stages.advantageBatch setup state batch
        let! rows = Stages.updateBatch setup state batch advantages instances
        return Stages.surrogate setup state rows
    }

/// Returns the surrogate of a vine that takes every action in each instance's state, and its number of environment steps; or the fault
/// of a rollout.
let vine (setup: Setup<int>) (values: Values) seed =
    let state = stateAt setup values seed
    let actor = TrainingState.actor setup state
    let valuesOf (branch: Batch) = Critic.values setup.Critic state.Critic branch.BootstrapObservations
    let key = Key.named "vine" state.Key

    Vine.sample
        setup.Environment
        actor
        (Configuration.vine setup.Configuration)
        valuesOf
        setup.Threads
        key
        state.Instances
    |> Result.map (fun vine ->
        let advantages = Vine.advantages actor vine

        Surrogate.create setup.Threads setup.Policy vine.Observations vine.Actions advantages state.PolicyParameters,
        vine.Steps)

// The next functions convert estimates to the units of the theory. A mean over rows weights states by ρ / Σ ρ. So L and its gradient
// are multiplied by Σ ρ, which is 1 / (1 − γ) if nothing terminates. The Fisher matrix and the mean KL are multiplied by (1 − γ) Σ ρ,
// which is 1 in that case.

let private visits (values: Values) = Seq.sum values.Visitation

/// (1 − γ) Σ ρ
let private share mdp values = visits values / Values.horizon mdp values

/// Returns the estimate of L.
let localApproximation (values: Values) surrogate other =
    values.Eta + visits values * (Surrogate.compare surrogate (logits other)).Gain

/// Returns the estimate of ∇L = ∇η.
let gradient mdp values surrogate = Surrogate.gradient surrogate |> Vector.scale (visits values) |> table mdp

/// Returns the estimate of F x.
let fisherProduct mdp values surrogate x =
    use fisher = Fisher.matrix 0.0 1.0 surrogate
    Fisher.product fisher (vector x) |> Vector.scale (share mdp values) |> table mdp

/// Returns the change of the logits by the pipeline's step: zeros if the line search fails. The error names a quantity that is NaN or infinite.
let step (setup: Setup<int>) mdp values damping delta (surrogate: Surrogate) =
    let share = share mdp values

    let settings =
        { setup.Configuration with Damping = damping / share; Delta = delta / share }
        |> Configuration.improvement 0L

    TrustRegion.improve settings surrogate
    |> Result.map (fun improvement ->
        Table.map2 (-) (table mdp improvement.Parameters) (table mdp surrogate.Parameters))
