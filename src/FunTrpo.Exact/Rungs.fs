namespace FunTrpo.Exact

open System
open FunTrpo

/// What a rung of the ladder makes of a policy.
type Step =
    /// Another policy, with what it is worth and what was guaranteed.
    | Stepped of Values * Certificate
    /// Nothing, as there is nothing left to gain that the rung could see.
    | Stopped

/// An algorithm that improves a policy of a finite process, step by step.
[<NoComparison; NoEquality>]
type Rung =
    {
        Name: string
        /// Whether its own theory promises that η never decreases.
        IsMonotone: bool
        Step: FiniteMdp -> Values -> Result<Step, Fault>
    }

/// The algorithms, from the most careful to the most practical. Each uses exact values, and its certificate says what the bounds know.
module Rungs =

    let private requirePositive name (value: float) =
        if value <= 0.0 || Double.IsNaN value then
            invalidArg name $"{name} = {value} is not positive"

    let private advantageOfGreedy (values: Values) =
        let greedy = TabularPolicy.greedy values.Advantages
        greedy, Values.policyAdvantage values greedy

    /// A step to a policy, unless that is the old one.
    let private moved mdp (values: Values) bound lower policy =
        if policy = values.Policy then
            Ok Stopped
        else
            let next = Values.ofPolicy mdp policy

            Bounds.certify mdp values next bound lower
            |> Result.map (fun certificate -> Stepped(next, certificate))

    /// A step to a policy, certified by the bound.
    let private movedBy bound mdp (values: Values) policy =
        moved mdp values bound (Bounds.value mdp values policy bound) policy

    /// The policy in which each state that is visited has the row that `choose` gives for its old row and its advantages; but where these are all
    /// the same, up to rounding, there is nothing to choose.
    let private stateByState (values: Values) (choose: int -> float[] -> float[] -> float[]) =
        let rounding = Values.rounding values.Q

        Table.initRows values.Policy.Rows values.Policy.Columns (fun state ->
            let row, advantages = Table.rowArray values.Policy state, Table.rowArray values.Advantages state
            let spread = Array.max advantages - Array.min advantages

            if values.Visitation[state] > 0.0 && spread > rounding then choose state row advantages else row)

    /// A rung that steps unless no policy has an advantage over the present one, beyond rounding.
    let private rung name isMonotone (step: FiniteMdp -> Values -> Result<Step, Fault>) =
        { Name = name
          IsMonotone = isMonotone
          Step =
            fun mdp values ->
                let _, advantage = advantageOfGreedy values
                if advantage <= Values.rounding values.Q then Ok Stopped else step mdp values }

    /// The greedy policy, all at once. That η does not decrease is the policy improvement theorem, which needs exact values in
    /// every state: no bound on the step stands behind it. States that the old policy never visits count, too: what is better
    /// there may make it worth to go there.
    let policyIteration =
        { Name = "policy iteration"
          IsMonotone = true
          Step =
            fun mdp values ->
                let best = Table.fold max 0.0 values.Advantages

                if best <= Values.rounding values.Q then
                    Ok Stopped
                else
                    movedBy Bound.TotalVariation mdp values (TabularPolicy.greedy values.Advantages) }

    /// The α in [0, 1] that maximises the bound of the mixture: 𝔸(1−γ)²/(4εγ), at most 1, and 0 where 𝔸 is not positive.
    let mixtureStep (mdp: FiniteMdp) (values: Values) other =
        let advantage = Values.policyAdvantage values other
        let c = Bounds.penalty mdp (Bounds.epsilonOf mdp values other)
        if advantage <= 0.0 then 0.0 else min 1.0 (advantage / c)

    /// Conservative policy iteration (Kakade and Langford 2002): the mixture with the greedy policy whose bound is best. It stops
    /// where the policy advantage is at most the threshold.
    let conservativePolicyIteration threshold =
        rung "conservative policy iteration" true (fun mdp values ->
            let greedy, advantage = advantageOfGreedy values

            if advantage <= threshold then
                Ok Stopped
            else
                let alpha = mixtureStep mdp values greedy
                let lower = Bounds.ofMixture mdp values alpha greedy
                moved mdp values Bound.Mixture lower (TabularPolicy.mix alpha values.Policy greedy))

    /// The KL in nats that a step takes where it costs nothing.
    let private mostKl = 50.0

    /// The KL in nats of policies between which float64 cannot tell: their total variation is below 10⁻¹⁵.
    let private leastKl = 1e-30

    /// Σ_s ρ(s) λ_s: what a nat more in every state would be worth.
    let private worth (values: Values) limit =
        let mutable sum = 0.0

        for state in 0 .. values.Policy.Rows - 1 do
            if values.Visitation[state] > 0.0 then
                let row, w = Table.rowArray values.Policy state, Table.rowArray values.Advantages state
                sum <- sum + values.Visitation[state] * (KlDual.withinLimit limit row w).Multiplier

        sum

    let private withinMaximum limit (values: Values) =
        stateByState values (fun _ row w -> (KlDual.withinLimit limit row w).Row)

    /// The maximiser of L(π̃) − price · D_KL^max(π ‖ π̃): a concave function of the one number that D_KL^max is, whose slope is the
    /// worth of a nat less its price.
    let penalised price (values: Values) =
        if worth values leastKl <= price then values.Policy
        elif worth values mostKl >= price then withinMaximum mostKl values
        else withinMaximum (KlDual.whereItFallsTo price 1e-4 (worth values)) values

    /// Minorization-maximization: the exact maximiser of L − C · D_KL^max, which is a lower bound of η that touches it at the old
    /// policy (TRPO, algorithm 1).
    let minorizationMaximization =
        rung "minorization-maximization" true (fun mdp values ->
            let price = Bounds.penalty mdp (Bounds.epsilon mdp values)
            movedBy Bound.Kl mdp values (penalised price values))

    /// The same with half of the penalty, by Pinsker's inequality.
    let minorizationMaximizationPinsker =
        rung "minorization-maximization, Pinsker" true (fun mdp values ->
            let price = 0.5 * Bounds.penalty mdp (Bounds.epsilon mdp values)
            movedBy Bound.KlPinsker mdp values (penalised price values))

    /// The maximiser of L subject to D_KL^max ≤ δ (TRPO, equation 11).
    let maximumKl delta =
        requirePositive (nameof delta) delta
        rung $"max KL ≤ {delta}" false (fun mdp values -> movedBy Bound.Kl mdp values (withinMaximum delta values))

    /// The maximiser of L at a price of the KL that all states share: ρ(s) is the same on both sides, so that each state pays it for
    /// its own KL.
    let private atPrice price (values: Values) = stateByState values (fun _ row w -> (KlDual.atPrice price row w).Row)

    /// The maximiser of L subject to a mean KL of at most δ (TRPO, equation 12).
    let withinMean mdp delta (values: Values) =
        let meanAt price = Divergence.mean mdp values (Divergence.kl values.Policy (atPrice price values))
        atPrice (KlDual.whereItFallsTo delta (Values.size values.Q) meanAt) values

    let meanKl delta =
        requirePositive (nameof delta) delta
        rung $"mean KL ≤ {delta}" false (fun mdp values -> movedBy Bound.Kl mdp values (withinMean mdp delta values))

    let private along (direction: Table) length (values: Values) =
        TabularPolicy.tilt (Table.map (fun x -> length * x) direction) values.Policy

    /// The natural policy gradient with a fixed step (Kakade 2001), on the logits of a softmax policy.
    let naturalPolicyGradient learningRate =
        requirePositive (nameof learningRate) learningRate

        rung $"natural policy gradient, {learningRate}" false (fun mdp values ->
            let direction, _ = Softmax.naturalGradient mdp 0.0 values
            movedBy Bound.Kl mdp values (along direction learningRate values))

    /// What the step of TRPO adds to the logits: √(2δ / xᵀHx) x along the damped natural gradient, and less by a fifth as long as L does
    /// not gain or the mean KL is beyond δ. None where no length will do.
    let trustRegionStep mdp damping delta (values: Values) =
        let tries, ratio = 20, 0.8
        let direction, quadratic = Softmax.naturalGradient mdp damping values
        let full = sqrt (2.0 * delta / quadratic)

        let isAcceptable length =
            let policy = along direction length values

            Values.policyAdvantage values policy > 0.0
            && Divergence.mean mdp values (Divergence.kl values.Policy policy) <= delta

        Seq.init tries (fun i -> full * Math.Pow(ratio, float i))
        |> Seq.tryFind isAcceptable
        |> Option.map (fun length -> Table.map (fun x -> length * x) direction)

    /// TRPO with exact values.
    let trustRegion delta =
        requirePositive (nameof delta) delta

        rung $"TRPO, δ = {delta}" false (fun mdp values ->
            match trustRegionStep mdp 0.0 delta values with
            | Some step -> movedBy Bound.Kl mdp values (TabularPolicy.tilt step values.Policy)
            | None -> Ok Stopped)
