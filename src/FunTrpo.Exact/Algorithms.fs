namespace FunTrpo.Exact

open System
open FunTrpo

/// The result of one step of an algorithm.
type Step =
    /// The step was taken. Holds the values of the new policy, and the certificate of the step.
    | Stepped of Values * Certificate
    /// No step was taken: the algorithm finds no gain beyond rounding.
    | Stopped
    /// No step was taken: the bound in this certificate promises less gain than rounding can hide, so it would be unknown whether η
    /// rises or falls.
    | BelowRounding of Certificate

/// The reason why η never decreases, if there is one.
[<RequireQualifiedAccess>]
type Promise =
    /// Each step maximises a lower bound of η that equals η at the old policy. This needs only the bound, and holds for every kind of
    /// policy.
    | ByItsBound
    /// No step is worse than the old policy in any state: Σ_a π̃(a|s) A(s, a) ≥ 0 (the policy improvement theorem). This needs exact
    /// advantages and a policy whose states share no parameters, so it does not hold with samples or with a network.
    | InEachState
    /// η may decrease.
    | Nothing

/// An algorithm that improves a policy of a finite process step by step. `Step` returns a fault if a guarantee is broken by more
/// than rounding.
[<NoComparison; NoEquality>]
type Algorithm =
    { Name: string
      Promise: Promise
      Step: FiniteMdp -> Values -> Result<Step, TheoryFault> }

    /// True if η never decreases.
    member this.IsMonotone = this.Promise <> Promise.Nothing

/// The curvature xᵀHx in the length √(2δ / xᵀHx) of TRPO's step.
[<RequireQualifiedAccess>]
type Curvature =
    /// H = F + c: the damped matrix that the direction was solved with. More damping gives a step with a smaller KL.
    | Damped
    /// H = F: the quadratic model of the mean KL is δ for any damping.
    | Undamped

/// TRPO's trust region: δ, the damping that is added to the diagonal of the Fisher matrix when the direction is solved for, and the
/// curvature that determines the length.
type Region = { Delta: float; Damping: float; Length: Curvature }

/// The algorithms, from the most cautious to the most practical. Each uses exact values, and certifies its steps.
module Algorithms =

    let internal requirePositive name (value: float) =
        if not (value > 0.0 && Double.IsFinite value) then
            invalidArg name $"{name} = {value} is not positive and finite"

    let private requireNotNegative name (value: float) =
        if not (value >= 0.0 && Double.IsFinite value) then
            invalidArg name $"{name} = {value} is negative or not finite"

    let private requirePrice (price: float) =
        if price < 0.0 || Double.IsNaN price then
            invalidArg (nameof price) $"price = {price} is negative or NaN"

    let internal advantageOfGreedy (values: Values) =
        let greedy = TabularPolicy.greedy values.Advantages
        greedy, Values.policyAdvantage values greedy

    /// The policy advantage up to which a gain may be only rounding.
    let internal errorOf (values: Values) = max (Values.rounding values.Q) values.EtaError

    /// The step with its certificate, or `BelowRounding`. A promise that is broken by more than rounding is a fault.
    let private promised promise (mdp: FiniteMdp) (values: Values) (next: Values) (certificate: Certificate) =
        let falls = values.Eta - next.Eta

        match promise with
        | Promise.ByItsBound when not certificate.PromisesGain -> Ok(BelowRounding certificate)
        | Promise.InEachState when falls > certificate.Rounding ->
            Error(BrokenGuarantee(mdp.Name, $"η falls by {falls}, where no state is worth less"))
        | _ -> Ok(Stepped(next, certificate))

    /// A step to a policy; `Stopped` if that is the old one.
    let private moved promise mdp (values: Values) bound lower policy =
        if policy = values.Policy then
            Ok Stopped
        else
            let next = Values.ofPolicy mdp policy
            Bounds.certify mdp values next bound lower |> Result.bind (promised promise mdp values next)

    /// A step to a policy, certified by `bound`.
    let internal movedBy promise bound mdp (values: Values) policy =
        moved promise mdp values bound (Bounds.value mdp values policy bound) policy

    /// The visited states, without those whose advantages are all equal up to rounding.
    let private mattersTo (values: Values) =
        let rounding = Values.rounding values.Q

        fun state ->
            let advantages = Table.rowArray values.Advantages state
            values.Visitation[state] > 0.0 && Array.max advantages - Array.min advantages > rounding

    /// The policy whose row in each state that matters is `choose` of the old row and its advantages. The other states keep their rows.
    let private stateByState (values: Values) (choose: float[] -> float[] -> float[]) =
        let matters = mattersTo values

        values.Policy
        |> TabularPolicy.mapRows (fun state row ->
            if matters state then choose row (Table.rowArray values.Advantages state) else row)

    /// The moves of the states that matter, made of the old row and its advantages.
    let private movesOf (values: Values) (moves: float[] -> float[] -> TvDual.Move[]) : TvDual.StateMoves[] =
        [| for state in Seq.filter (mattersTo values) [ 0 .. values.Policy.Rows - 1 ] ->
               { Weight = values.Visitation[state]
                 Moves = moves (TabularPolicy.rowArray values.Policy state) (Table.rowArray values.Advantages state) } |]

    /// An algorithm that stops if no policy has a policy advantage beyond rounding, and else takes the given step.
    let internal algorithm name promise (step: FiniteMdp -> Values -> Result<Step, TheoryFault>) =
        { Name = name
          Promise = promise
          Step =
            fun mdp values ->
                let _, advantage = advantageOfGreedy values
                if advantage <= errorOf values then Ok Stopped else step mdp values }

    /// Policy iteration: a step to the greedy policy in all states. η does not decrease by the policy improvement theorem, which
    /// needs exact values in every state, and not by a bound of the step. States that the old policy never visits count too: a
    /// better action there can make it worthwhile to visit them.
    let policyIteration =
        { Name = "policy iteration"
          Promise = Promise.InEachState
          Step =
            fun mdp values ->
                let best = Table.fold max 0.0 values.Advantages

                if best <= Values.rounding values.Q then
                    Ok Stopped
                else
                    movedBy Promise.InEachState Bound.TotalVariation mdp values (TabularPolicy.greedy values.Advantages) }

    /// Returns the α in [0, 1] that maximises the bound of the mixture: 𝔸(1−γ)²/(4εγ), at most 1, where 𝔸 is the policy advantage
    /// of `other`. It is 0 if 𝔸 is not positive.
    let mixtureStep (mdp: FiniteMdp) (values: Values) other =
        let advantage = Values.policyAdvantage values other
        let c = Bounds.penalty mdp (Bounds.epsilonOf mdp values other)
        if advantage <= 0.0 then 0.0 else min 1.0 (advantage / c)

    /// Conservative policy iteration (Kakade and Langford 2002): a step to the mixture with the greedy policy that has the best
    /// bound. It stops if the policy advantage is at most the threshold. A negative or infinite threshold throws `ArgumentException`.
    let conservativePolicyIteration threshold =
        requireNotNegative (nameof threshold) threshold

        algorithm "conservative policy iteration" Promise.ByItsBound (fun mdp values ->
            let greedy, advantage = advantageOfGreedy values

            if advantage <= threshold then
                Ok Stopped
            else
                let alpha = mixtureStep mdp values greedy
                let lower = Bounds.ofMixture mdp values alpha greedy

                TabularPolicy.mix alpha values.Policy greedy
                |> moved Promise.ByItsBound mdp values Bound.Mixture lower)

    /// Returns an upper bound of the number of steps that conservative policy iteration takes before it stops at a threshold τ: each step
    /// raises η by at least min(τ²(1−γ)²/(8εγ), τ/2), and neither ε nor the range of η is larger than the range of rewards over 1 − γ. It is
    /// infinite at γ = 1. A threshold that is not positive and finite throws `ArgumentException`.
    let conservativeSteps (mdp: FiniteMdp) threshold =
        requirePositive (nameof threshold) threshold
        let rewards = mdp.Rewards
        let least, most = Table.fold min infinity rewards, Table.fold max -infinity rewards

        if most = least then
            0.0
        else
            let range = (most - least) / (1.0 - mdp.Gamma)
            range / min (threshold * threshold / (2.0 * Bounds.penalty mdp range)) (0.5 * threshold)

    /// Returns the α in [0, 1] that maximises the bound `MeanTotalVariation` of the mixture with `other`: 𝔸(1−γ)/(4γε Σ ρ D_TV), at most 1.
    /// 𝔸 is the policy advantage of `other`, ε its largest |Σ_a π′ A| in a state, and D_TV its total variation from the old policy. It is
    /// 0 if 𝔸 is not positive.
    let meanMixtureStep (mdp: FiniteMdp) (values: Values) other =
        let advantage = Values.policyAdvantage values other
        let visitedTv = PerState.dot values.Visitation (Divergence.tv values.Policy other)

        if advantage <= 0.0 then
            0.0
        else
            min 1.0 (advantage / (2.0 * visitedTv * Bounds.meanPenalty mdp (Bounds.epsilonOf mdp values other)))

    /// Conservative policy iteration with the bound `MeanTotalVariation` in the place of `Mixture`: a step to the mixture with the greedy
    /// policy that has the best bound.
    let conservativePolicyIterationMean =
        algorithm "conservative policy iteration, mean TV" Promise.ByItsBound (fun mdp values ->
            let greedy, _ = advantageOfGreedy values

            TabularPolicy.mix (meanMixtureStep mdp values greedy) values.Policy greedy
            |> movedBy Promise.ByItsBound Bound.MeanTotalVariation mdp values)

    /// Returns the maximiser of L(π̃) − price · (D_TV^max)². A price that is negative or NaN throws `ArgumentException`.
    let penalisedTv price (values: Values) =
        requirePrice price
        let limit = TvDual.bestLimit price (movesOf values TvDual.moves)
        if limit = 0.0 then values.Policy else stateByState values (TvDual.withinLimit limit)

    /// Minorization-maximization with the total variation: a step to the exact maximiser of L − C · (D_TV^max)² (TRPO, theorem 1). It
    /// leaves every policy that can be improved, because small changes cost nothing to first order.
    let minorizationMaximizationTv =
        algorithm "minorization-maximization, TV" Promise.ByItsBound (fun mdp values ->
            let price = Bounds.penalty mdp (Bounds.epsilon mdp values)
            movedBy Promise.ByItsBound Bound.TotalVariation mdp values (penalisedTv price values))

    /// Safe policy iteration with a share for each state (Pirotta et al. 2013): a step to the mixture with the greedy policy in which the
    /// share of a state is α(s) = min(1, t / D_TV(s)), with the t that has the best bound. Since f(s) = Σ_a π̃(a|s) A(s, a) is at least 0
    /// and at most t times the largest f(s) / D_TV(s) of the greedy policy, the bound `Safe` has a penalty in t².
    let safePolicyIteration =
        algorithm "safe policy iteration, by states" Promise.ByItsBound (fun mdp values ->
            let mixing row w = TvDual.mixing row (TabularPolicy.greedyRow w) w
            let moves = movesOf values mixing
            let steepest = moves |> Seq.collect _.Moves |> Seq.map _.Gain |> Seq.fold max 0.0
            let limit = TvDual.bestLimit (0.25 * Bounds.penalty mdp steepest) moves

            stateByState values (fun row w ->
                let greedy = TabularPolicy.greedyRow w
                let share = min 1.0 (limit / Divergence.tvOfRows row greedy)
                if limit = 0.0 then row else Array.map2 (fun p q -> (1.0 - share) * p + share * q) row greedy)
            |> movedBy Promise.ByItsBound Bound.Safe mdp values)

    /// Returns the maximiser of L(π̃) − price · ε̃ · Σ_s ρ(s) D_TV(s), ε̃ = max_s |Σ_a π̃(a|s) A(s, a)|. It is worse in no state. For a given
    /// ε̃ each state solves its own problem, and ε̃ is one number. A price that is negative or NaN throws `ArgumentException`.
    let penalisedMeanTv price (values: Values) =
        requirePrice price
        let limit = TvDual.bestGain price (movesOf values TvDual.moves)

        if limit = 0.0 then
            values.Policy
        else
            stateByState values (fun row w ->
                TvDual.withinLimit (TvDual.tvWithin (price * limit) limit (TvDual.moves row w)) row w)

    /// Minorization-maximization with the mean total variation: a step to the exact maximiser of the bound `MeanTotalVariation`.
    let minorizationMaximizationMeanTv =
        algorithm "minorization-maximization, mean TV" Promise.ByItsBound (fun mdp values ->
            penalisedMeanTv (Bounds.meanPenalty mdp 1.0) values
            |> movedBy Promise.ByItsBound Bound.MeanTotalVariation mdp values)

    /// The same step with the bound `SafeMean`. Where no state is worse and one is unchanged, the range of Σ_a π̃ A is its maximum, so the
    /// penalty is half as large.
    let minorizationMaximizationSafe =
        algorithm "minorization-maximization, safe mean TV" Promise.ByItsBound (fun mdp values ->
            penalisedMeanTv (0.5 * Bounds.meanPenalty mdp 1.0) values
            |> movedBy Promise.ByItsBound Bound.SafeMean mdp values)

    /// The largest KL of a step, in nats. A step has this KL if its price is 0 or tiny.
    let private mostKl = 50.0

    /// The smallest KL of a step, in nats. Float64 cannot distinguish policies this close: their total variation is below 10⁻¹⁵.
    let private leastKl = 1e-30

    /// Σ_s ρ(s) λ_s: the derivative of the best L in a KL limit that all states share.
    let private slopeAt (values: Values) limit =
        let mutable sum = 0.0

        for state in 0 .. values.Policy.Rows - 1 do
            if values.Visitation[state] > 0.0 then
                let row, w = TabularPolicy.rowArray values.Policy state, Table.rowArray values.Advantages state
                sum <- sum + values.Visitation[state] * KlDual.multiplierAtLimit limit row w

        sum

    /// Returns the price λ(δ) of max KL: the derivative of the best L within D_KL^max ≤ δ in δ. At this price `penalised` has the solution of
    /// the constrained problem. It falls as δ rises. δ must be positive.
    let maximumKlPrice delta (values: Values) =
        requirePositive (nameof delta) delta
        slopeAt values delta

    let internal withinMaximum limit (values: Values) =
        stateByState values (fun row w -> (KlDual.withinLimit limit row w).Row)

    /// Returns the maximiser of L(π̃) − price · D_KL^max(π ‖ π̃). For a given D_KL^max the best L is known, so this is a concave
    /// problem in the number D_KL^max. Its slope is Σ_s ρ(s) λ_s − price. A price that is negative or NaN throws `ArgumentException`.
    let penalised price (values: Values) =
        requirePrice price

        if slopeAt values leastKl <= price then values.Policy
        elif slopeAt values mostKl >= price then withinMaximum mostKl values
        else withinMaximum (KlDual.decreasingRoot price 1e-4 (slopeAt values)) values

    /// Minorization-maximization: a step to the exact maximiser of L − C · D_KL^max. This is a lower bound of η that equals η at the
    /// old policy (TRPO, algorithm 1).
    let minorizationMaximization =
        algorithm "minorization-maximization" Promise.ByItsBound (fun mdp values ->
            let price = Bounds.penalty mdp (Bounds.epsilon mdp values)
            movedBy Promise.ByItsBound Bound.Kl mdp values (penalised price values))

    /// Minorization-maximization with half of the penalty, by Pinsker's inequality.
    let minorizationMaximizationPinsker =
        algorithm "minorization-maximization, Pinsker" Promise.ByItsBound (fun mdp values ->
            let price = 0.5 * Bounds.penalty mdp (Bounds.epsilon mdp values)
            movedBy Promise.ByItsBound Bound.KlPinsker mdp values (penalised price values))

    /// An algorithm with the promise `InEachState`: its exact, undamped step moves every state towards actions with larger
    /// advantages, so the new policy is no worse than the old one in any state.
    let private improvingEachState name (step: FiniteMdp -> Values -> TabularPolicy) =
        algorithm name Promise.InEachState (fun mdp values ->
            movedBy Promise.InEachState Bound.Kl mdp values (step mdp values))

    /// A step to the maximiser of L subject to D_KL^max ≤ δ (TRPO, equation 11). δ must be positive.
    let maximumKl delta =
        requirePositive (nameof delta) delta
        improvingEachState $"max KL ≤ {delta}" (fun _ values -> withinMaximum delta values)

    /// The maximiser of L − price · Σ_s ρ(s) KL(s). The factor ρ(s) is common to both terms, so each state solves its own problem at
    /// the same price.
    let private atPrice price (values: Values) = stateByState values (fun row w -> (KlDual.atPrice price row w).Row)

    let private meanKlTo mdp (values: Values) policy = Divergence.mean mdp values (Divergence.kl values.Policy policy)

    /// The price in each state at which the mean KL is `target`.
    let private priceAt mdp target (values: Values) =
        KlDual.decreasingRoot target (Values.size values.Q) (fun price -> meanKlTo mdp values (atPrice price values))

    /// Returns the maximiser of L(π̃) − price · mean KL. A price that is not positive and finite throws `ArgumentException`.
    let penalisedMean mdp price (values: Values) =
        requirePositive (nameof price) price
        atPrice (price / Values.horizon mdp values) values

    /// Returns the price λ(δ) of the mean KL: the derivative of the best L within a mean KL of δ in δ. At this price `penalisedMean` has the
    /// solution of the constrained problem. It falls as δ rises; it is 0 if nothing is worth anything. δ must be positive.
    let meanKlPrice mdp delta (values: Values) =
        requirePositive (nameof delta) delta
        if Values.size values.Q = 0.0 then 0.0 else Values.horizon mdp values * priceAt mdp delta values

    /// Returns the maximiser of L subject to a mean KL of at most δ (TRPO, equation 12). δ must be positive.
    let withinMean mdp delta (values: Values) =
        requirePositive (nameof delta) delta

        if Values.size values.Q = 0.0 then
            values.Policy
        else
            KlDual.solveWithin delta (meanKlTo mdp values) (fun target -> atPrice (priceAt mdp target values) values)
            |> Option.defaultValue values.Policy

    /// A step to the maximiser of L subject to a mean KL of at most δ (TRPO, equation 12). δ must be positive.
    let meanKl delta =
        requirePositive (nameof delta) delta
        improvingEachState $"mean KL ≤ {delta}" (fun mdp values -> withinMean mdp delta values)

    /// The natural policy gradient with a fixed step (Kakade 2001), on the logits of a softmax policy. The learning rate must be
    /// positive.
    let naturalPolicyGradient learningRate =
        requirePositive (nameof learningRate) learningRate

        improvingEachState $"natural policy gradient, {learningRate}" (fun mdp values ->
            let direction, _ = Softmax.naturalGradient mdp 0.0 values
            TabularPolicy.tiltBy learningRate direction values.Policy)

    let internal requireRegion region =
        requirePositive (nameof region.Delta) region.Delta
        requireNotNegative (nameof region.Damping) region.Damping

    /// √(2δ / xᵀHx) for a direction with these xᵀFx and ‖x‖².
    let internal fullLength region fisherTerm squares =
        match region.Length with
        | Curvature.Damped -> sqrt (2.0 * region.Delta / (fisherTerm + region.Damping * squares))
        | Curvature.Undamped -> sqrt (2.0 * region.Delta / fisherTerm)

    /// The first of so many lengths, full · 0.8ⁱ, by which a change x of the logits gains more than `least` by L with a mean KL of at most δ.
    let internal backtracked tries mdp delta least full x (values: Values) =
        let ratio = 0.8

        let isAcceptable length =
            let policy = TabularPolicy.tiltBy length x values.Policy

            Values.policyAdvantage values policy > least
            && Divergence.mean mdp values (Divergence.kl values.Policy policy) <= delta

        Seq.init tries (fun i -> full * Math.Pow(ratio, float i))
        |> Seq.tryFind (fun length -> Double.IsFinite length && isAcceptable length)

    /// Returns the change of the logits by TRPO's step: √(2δ / xᵀHx) x with the damped natural gradient x, shortened by factors of 0.8
    /// until L gains and the mean KL is at most δ. Returns none if the gradient is 0, or if none of 20 lengths is acceptable.
    let trustRegionStep mdp region (values: Values) =
        requireRegion region
        let direction, _ = Softmax.naturalGradient mdp region.Damping values
        let size = Table.fold (fun largest xi -> max largest (abs xi)) 0.0 direction
        // Scaled by its largest component, so that squares do not overflow.
        let x = Table.map (fun xi -> xi / size) direction

        let tried () =
            let squares = Table.fold (fun sum xi -> sum + xi * xi) 0.0 x
            let full = fullLength region (Softmax.fisherQuadratic mdp values x) squares

            backtracked 20 mdp region.Delta 0.0 full x values
            |> Option.map (fun length -> Table.map (fun xi -> length * xi) x)

        if size > 0.0 then tried () else None

    let private byTrustRegion name promise region =
        requireRegion region

        algorithm name promise (fun mdp values ->
            match trustRegionStep mdp region values with
            | Some step -> movedBy promise Bound.Kl mdp values (TabularPolicy.tilt step values.Policy)
            | None -> Ok Stopped)

    /// TRPO with exact values and a damped Fisher matrix, as in practice. A step along a damped direction may be worse in some states,
    /// so η may decrease.
    let dampedTrustRegion region =
        let length = if region.Length = Curvature.Undamped then ", undamped length" else ""
        byTrustRegion $"TRPO, δ = {region.Delta}, damping {region.Damping}{length}" Promise.Nothing region

    /// TRPO with exact values and without damping. δ must be positive.
    let trustRegion delta =
        byTrustRegion
            $"TRPO, δ = {delta}"
            Promise.InEachState
            { Delta = delta; Damping = 0.0; Length = Curvature.Undamped }
