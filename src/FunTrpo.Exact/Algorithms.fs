namespace FunTrpo.Exact

open System
open FunTrpo

/// What a rung of the ladder makes of a policy.
type Step =
    /// Another policy, with what it is worth and what was guaranteed.
    | Stepped of Values * Certificate
    /// Nothing, as there is nothing left to gain that the rung could see.
    | Stopped
    /// Nothing, as the step's certificate, which is this one, promises less than rounding may take away: from here on nobody could say
    /// whether η rises or falls.
    | BelowRounding of Certificate

/// Why η never decreases, if it does not.
[<RequireQualifiedAccess>]
type Promise =
    /// Each step maximises a lower bound of η that touches it at the old policy. That needs no more than the bound, whatever the policy is made of.
    | ByItsBound
    /// No step is worse than the old policy in any state: Σ_a π̃(a|s) A(s, a) ≥ 0 (the policy improvement theorem). That needs exact advantages, and a
    /// policy whose states share no parameters: with samples, or with a network, it is lost.
    | InEachState
    /// Nothing promises it.
    | Nothing

/// An algorithm that improves a policy of a finite process, step by step.
[<NoComparison; NoEquality>]
type Algorithm =
    { Name: string
      Promise: Promise
      Step: FiniteMdp -> Values -> Result<Step, Fault> }

    /// Whether η never decreases.
    member this.IsMonotone = this.Promise <> Promise.Nothing

/// The curvature xᵀHx that the length √(2δ / xᵀHx) of TRPO's step is measured by.
[<RequireQualifiedAccess>]
type Curvature =
    /// H = F + c: the damped matrix, as the direction was solved with. The more damping, the less of δ is spent.
    | Damped
    /// H = F, so that the quadratic model of the mean KL is δ, whatever the damping.
    | Undamped

/// TRPO's trust region: δ, what is added to the diagonal of the Fisher matrix when the direction is solved for, and what the length is
/// measured by.
type Region = { Delta: float; Damping: float; Length: Curvature }

/// The algorithms, from the most careful to the most practical. Each uses exact values, and its certificate says what the bounds know.
module Algorithms =

    let private requirePositive name (value: float) =
        if not (value > 0.0 && Double.IsFinite value) then
            invalidArg name $"{name} = {value} is not positive and finite"

    let private requireNotNegative name (value: float) =
        if not (value >= 0.0 && Double.IsFinite value) then
            invalidArg name $"{name} = {value} is negative or not finite"

    let private advantageOfGreedy (values: Values) =
        let greedy = TabularPolicy.greedy values.Advantages
        greedy, Values.policyAdvantage values greedy

    /// By how much less than nothing a step may be worth in a state, and in all, and it is rounding.
    let private errorOf (values: Values) = max (Values.rounding values.Q) values.EtaError

    /// The step with its certificate, if the rung's promise can be seen to be kept. One that is broken by more than rounding is an error.
    let private promised promise (mdp: FiniteMdp) (values: Values) (next: Values) (certificate: Certificate) =
        let falls = values.Eta - next.Eta

        match promise with
        | Promise.ByItsBound when not certificate.PromisesGain -> Ok(BelowRounding certificate)
        | Promise.InEachState when falls > certificate.Rounding ->
            Error(BrokenGuarantee(mdp.Name, $"η falls by {falls}, where no state is worth less"))
        | _ -> Ok(Stepped(next, certificate))

    /// A step to a policy, unless that is the old one.
    let private moved promise mdp (values: Values) bound lower policy =
        if policy = values.Policy then
            Ok Stopped
        else
            let next = Values.ofPolicy mdp policy
            Bounds.certify mdp values next bound lower |> Result.bind (promised promise mdp values next)

    /// A step to a policy, certified by the bound.
    let private movedBy promise bound mdp (values: Values) policy =
        moved promise mdp values bound (Bounds.value mdp values policy bound) policy

    /// The policy in which each state that is visited has the row that `choose` gives for its old row and its advantages; but where these are all
    /// the same, up to rounding, there is nothing to choose.
    let private stateByState (values: Values) (choose: float[] -> float[] -> float[]) =
        let rounding = Values.rounding values.Q

        values.Policy
        |> TabularPolicy.mapRows (fun state row ->
            let advantages = Table.rowArray values.Advantages state
            let spread = Array.max advantages - Array.min advantages
            if values.Visitation[state] > 0.0 && spread > rounding then choose row advantages else row)

    /// A rung that steps unless no policy has an advantage over the present one, beyond rounding.
    let private rung name promise (step: FiniteMdp -> Values -> Result<Step, Fault>) =
        { Name = name
          Promise = promise
          Step =
            fun mdp values ->
                let _, advantage = advantageOfGreedy values
                if advantage <= errorOf values then Ok Stopped else step mdp values }

    /// The greedy policy, all at once. That η does not decrease is the policy improvement theorem, which needs exact values in
    /// every state: no bound on the step stands behind it. States that the old policy never visits count, too: what is better
    /// there may make it worth to go there.
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

    /// The α in [0, 1] that maximises the bound of the mixture: 𝔸(1−γ)²/(4εγ), at most 1, and 0 where 𝔸 is not positive.
    let mixtureStep (mdp: FiniteMdp) (values: Values) other =
        let advantage = Values.policyAdvantage values other
        let c = Bounds.penalty mdp (Bounds.epsilonOf mdp values other)
        if advantage <= 0.0 then 0.0 else min 1.0 (advantage / c)

    /// Conservative policy iteration (Kakade and Langford 2002): the mixture with the greedy policy whose bound is best. It stops
    /// where the policy advantage is at most the threshold.
    let conservativePolicyIteration threshold =
        requireNotNegative (nameof threshold) threshold

        rung "conservative policy iteration" Promise.ByItsBound (fun mdp values ->
            let greedy, advantage = advantageOfGreedy values

            if advantage <= threshold then
                Ok Stopped
            else
                let alpha = mixtureStep mdp values greedy
                let lower = Bounds.ofMixture mdp values alpha greedy

                TabularPolicy.mix alpha values.Policy greedy
                |> moved Promise.ByItsBound mdp values Bound.Mixture lower)

    /// The KL in nats that a step takes where it costs nothing.
    let private mostKl = 50.0

    /// The KL in nats of policies between which float64 cannot tell: their total variation is below 10⁻¹⁵.
    let private leastKl = 1e-30

    /// Σ_s ρ(s) λ_s: what a nat more in every state would be worth.
    let private worth (values: Values) limit =
        let mutable sum = 0.0

        for state in 0 .. values.Policy.Rows - 1 do
            if values.Visitation[state] > 0.0 then
                let row, w = TabularPolicy.rowArray values.Policy state, Table.rowArray values.Advantages state
                sum <- sum + values.Visitation[state] * KlDual.worthAt limit row w

        sum

    let private withinMaximum limit (values: Values) =
        stateByState values (fun row w -> (KlDual.withinLimit limit row w).Row)

    /// The maximiser of L(π̃) − price · D_KL^max(π ‖ π̃): a concave function of the one number that D_KL^max is, whose slope is the
    /// worth of a nat less its price.
    let penalised price (values: Values) =
        if price < 0.0 || Double.IsNaN price then
            invalidArg (nameof price) $"price = {price} is negative or NaN"

        if worth values leastKl <= price then values.Policy
        elif worth values mostKl >= price then withinMaximum mostKl values
        else withinMaximum (KlDual.whereItFallsTo price 1e-4 (worth values)) values

    /// Minorization-maximization: the exact maximiser of L − C · D_KL^max, which is a lower bound of η that touches it at the old
    /// policy (TRPO, algorithm 1).
    let minorizationMaximization =
        rung "minorization-maximization" Promise.ByItsBound (fun mdp values ->
            let price = Bounds.penalty mdp (Bounds.epsilon mdp values)
            movedBy Promise.ByItsBound Bound.Kl mdp values (penalised price values))

    /// The same with half of the penalty, by Pinsker's inequality.
    let minorizationMaximizationPinsker =
        rung "minorization-maximization, Pinsker" Promise.ByItsBound (fun mdp values ->
            let price = 0.5 * Bounds.penalty mdp (Bounds.epsilon mdp values)
            movedBy Promise.ByItsBound Bound.KlPinsker mdp values (penalised price values))

    /// A rung whose step, from exact advantages and without damping, is worth no less than the old policy in any state: each of them goes, in a state,
    /// where advantages are larger.
    let private onTables name (step: FiniteMdp -> Values -> TabularPolicy) =
        rung name Promise.InEachState (fun mdp values ->
            movedBy Promise.InEachState Bound.Kl mdp values (step mdp values))

    /// The maximiser of L subject to D_KL^max ≤ δ (TRPO, equation 11).
    let maximumKl delta =
        requirePositive (nameof delta) delta
        onTables $"max KL ≤ {delta}" (fun _ values -> withinMaximum delta values)

    /// The maximiser of L at a price of the KL that all states share: ρ(s) is the same on both sides, so that each state pays it for
    /// its own KL.
    let private atPrice price (values: Values) = stateByState values (fun row w -> (KlDual.atPrice price row w).Row)

    /// The maximiser of L subject to a mean KL of at most δ (TRPO, equation 12).
    let withinMean mdp delta (values: Values) =
        requirePositive (nameof delta) delta
        let klMean policy = Divergence.mean mdp values (Divergence.kl values.Policy policy)

        let at target =
            let price =
                KlDual.whereItFallsTo target (Values.size values.Q) (fun price -> klMean (atPrice price values))

            atPrice price values

        if Values.size values.Q = 0.0 then
            values.Policy
        else
            KlDual.keeping delta klMean at |> Option.defaultValue values.Policy

    let meanKl delta =
        requirePositive (nameof delta) delta
        onTables $"mean KL ≤ {delta}" (fun mdp values -> withinMean mdp delta values)

    /// The natural policy gradient with a fixed step (Kakade 2001), on the logits of a softmax policy.
    let naturalPolicyGradient learningRate =
        requirePositive (nameof learningRate) learningRate

        onTables $"natural policy gradient, {learningRate}" (fun mdp values ->
            let direction, _ = Softmax.naturalGradient mdp 0.0 values
            TabularPolicy.tiltBy learningRate direction values.Policy)

    let private requireRegion region =
        requirePositive (nameof region.Delta) region.Delta
        requireNotNegative (nameof region.Damping) region.Damping

    /// xᵀHx
    let private curvature mdp region values (x: Table) =
        let ofFisher = Softmax.fisherQuadratic mdp values x

        match region.Length with
        | Curvature.Damped -> ofFisher + region.Damping * Table.fold (fun sum xi -> sum + xi * xi) 0.0 x
        | Curvature.Undamped -> ofFisher

    /// What the step of TRPO adds to the logits: √(2δ / xᵀHx) x along the damped natural gradient, and less by a fifth as long as L does
    /// not gain or the mean KL is beyond δ. None where no length will do.
    let trustRegionStep mdp region (values: Values) =
        requireRegion region
        let tries, ratio = 20, 0.8
        let direction, _ = Softmax.naturalGradient mdp region.Damping values
        let size = Table.fold (fun largest xi -> max largest (abs xi)) 0.0 direction
        // In units of its largest part, whose square is always a number.
        let x = Table.map (fun xi -> xi / size) direction

        let isAcceptable length =
            let policy = TabularPolicy.tiltBy length x values.Policy

            Values.policyAdvantage values policy > 0.0
            && Divergence.mean mdp values (Divergence.kl values.Policy policy) <= region.Delta

        let tried () =
            let full = sqrt (2.0 * region.Delta / curvature mdp region values x)

            Seq.init tries (fun i -> full * Math.Pow(ratio, float i))
            |> Seq.tryFind (fun length -> Double.IsFinite length && isAcceptable length)
            |> Option.map (fun length -> Table.map (fun xi -> length * xi) x)

        if size > 0.0 then tried () else None

    let private byTrustRegion name promise region =
        requireRegion region

        rung name promise (fun mdp values ->
            match trustRegionStep mdp region values with
            | Some step -> movedBy promise Bound.Kl mdp values (TabularPolicy.tilt step values.Policy)
            | None -> Ok Stopped)

    /// TRPO with exact values and a damped Fisher matrix, as practice has it. A damped direction may be worth less in some state.
    let dampedTrustRegion region =
        let length = if region.Length = Curvature.Undamped then ", undamped length" else ""
        byTrustRegion $"TRPO, δ = {region.Delta}, damping {region.Damping}{length}" Promise.Nothing region

    /// TRPO with exact values.
    let trustRegion delta =
        byTrustRegion
            $"TRPO, δ = {delta}"
            Promise.InEachState
            { Delta = delta; Damping = 0.0; Length = Curvature.Undamped }
