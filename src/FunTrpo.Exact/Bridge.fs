/// The bridge from the exact theory to samples: the practical pipeline on a finite process, with a softmax policy whose logits are a table, in
/// the setting in which the theory says where its estimates converge: states come from the discounted visitation, values are exact or
/// λ is 1, and nothing is normalised.
module FunTrpo.Exact.Bridge

open System.Collections.Immutable
open FunTrpo

/// What advantages are estimated by.
type Returns =
    /// One step, and the exact value of the state behind it: r + γ V(s′) − V(s), which is λ = 0.
    | ByExactValues
    /// The rewards up to the end of a process that ends with the probability 1 − γ: λ = 1, for which V is a baseline that may be wrong.
    | ByRewards

/// After so many steps a process that goes on with the probability γ is over but for one time in 10⁹, or is bootstrapped.
let private stepsToTheEnd gamma =
    if gamma = 0.0 then 1
    elif gamma < 0.999 then int (ceil (log 1e-9 / log gamma))
    else 20_000

/// The pipeline in the theory's setting, for batches of so many instances and steps of each.
let setup threads returns instances horizon (mdp: FiniteMdp) =
    let environment, gamma, lambda, branchSteps =
        match returns with
        | ByExactValues -> Simulation.watched mdp, mdp.Gamma, 0.0, 1
        | ByRewards -> Simulation.discounted mdp, 1.0, 1.0, stepsToTheEnd mdp.Gamma

    environment
    |> Training.setup
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

/// The logits of a policy, as the pipeline's parameters. A softmax has no action of probability 0, and such a policy is refused.
let logits (policy: TabularPolicy) =
    if Table.fold min 1.0 policy.Table <= 0.0 then
        invalidArg (nameof policy) "no softmax gives an action the probability 0"

    Vector.init (policy.Rows * policy.Columns) (fun i -> float32 (log policy[i / policy.Columns, i % policy.Columns]))

/// Parameters, or a direction in their space, as a table.
let table (mdp: FiniteMdp) (parameters: Vector) =
    Table.init mdp.States mdp.Actions (fun state action -> float parameters[state * mdp.Actions + action])

/// A table as parameters, or as a direction in their space.
let private vector (x: Table) = Vector.init (x.Rows * x.Columns) (fun i -> float32 x[i / x.Columns, i % x.Columns])

/// The same state with the exact values of a policy for its critic.
let withExactCritic (values: Values) (state: State<int>) =
    { state with Critic = Critic.start Plain (Vector.ofSeq (Seq.map float32 values.V)) }

/// The same state, each of whose instances is in a state of the process that is drawn from the discounted visitation.
let withVisitedStates (values: Values) key (state: State<int>) =
    let instanceAt i (instance: Instance<int>) =
        { instance with State = Simulation.visited values (Key.at (int64 i) key) }

    { state with Instances = ImmutableArray.CreateRange(Seq.mapi instanceAt state.Instances) }

/// The state of a training in which a policy has just arrived: its values are known exactly, and each instance is in a state drawn from
/// the discounted visitation.
let stateAt (setup: Setup<int>) (values: Values) seed =
    let state = Training.start setup seed

    { state with PolicyParameters = logits values.Policy }
    |> withExactCritic values
    |> withVisitedStates values (Key.named "visited" state.Key)

/// The surrogate of a rollout of the policy: the single-path procedure.
let singlePath (setup: Setup<int>) (values: Values) seed =
    let state = stateAt setup values seed

    Training.rollout setup.Configuration.Horizon setup state
    |> Result.map (fun (batch, _) -> Training.advantageBatch setup state batch |> Training.surrogate setup state batch)

/// The surrogate of a vine that takes every action from each instance's state, and how many environment steps that takes.
let vine (setup: Setup<int>) (values: Values) seed =
    let state = stateAt setup values seed
    let actor = Training.actor setup state
    let configuration = setup.Configuration

    let settings: VineSettings =
        { Branches = configuration.Branches
          Steps = configuration.BranchSteps
          Gamma = configuration.Gamma }

    let valuesOf = Critic.values setup.Critic state.Critic
    let key = Key.named "vine" state.Key

    Vine.grow setup.Environment actor settings valuesOf setup.Threads key state.Instances
    |> Result.map (fun vine ->
        let advantages = Vine.advantages actor vine

        Surrogate.create setup.Threads setup.Policy vine.Observations vine.Actions advantages state.PolicyParameters,
        vine.Steps)

// What a surrogate says, in the units of the theory. A mean over rows weighs states by ρ / Σ ρ; so L and its gradient take the factor
// Σ ρ, which is 1 / (1 − γ) where nothing terminates, and the Fisher matrix and the mean KL take (1 − γ) Σ ρ, which is then 1.

let private visits (values: Values) = Seq.sum values.Visitation

/// (1 − γ) Σ ρ
let private share mdp values = visits values / Values.horizon mdp values

/// The estimate of L.
let localApproximation (values: Values) surrogate other =
    values.Eta + visits values * (Surrogate.at surrogate (logits other)).Gain

/// The estimate of ∇L = ∇η.
let gradient mdp values surrogate = Surrogate.gradient surrogate |> Vector.scale (visits values) |> table mdp

/// The estimate of F x.
let fisherProduct mdp values surrogate x =
    use fisher = Fisher.matrix 0.0 1.0 surrogate
    Fisher.product fisher (vector x) |> Vector.scale (share mdp values) |> table mdp

/// What the pipeline's step adds to the logits; nothing where the line search refuses.
let step (setup: Setup<int>) mdp values damping delta (surrogate: Surrogate) =
    let share = share mdp values

    let improvement =
        surrogate
        |> TrustRegion.improve (
            { setup.Configuration with Damping = damping / share; Delta = delta / share }
            |> Configuration.improvement 0L
        )

    Table.map2 (-) (table mdp improvement.Parameters) (table mdp surrogate.Parameters)
