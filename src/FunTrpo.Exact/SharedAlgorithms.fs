/// The algorithms for softmax policies whose states share parameters. They change the parameters of the old policy, π(a|s) ∝ exp Σ φ(s, a) θ:
/// from a policy of this kind (the uniform one has θ = 0) they lead to policies of this kind.
///
/// A step that improves one state can make another state worse, so the policy improvement theorem promises nothing here. Only a bound can.
module FunTrpo.Exact.SharedAlgorithms

open System
open FunTrpo.Exact.RowFisher

/// A direction with its largest change of a logit scaled to 1, and this change of all logits. None if it changes no logit.
let private inUnits features (x: float[]) =
    let size = Features.logits features x |> Table.fold (fun largest xi -> max largest (abs xi)) 0.0
    if size > 0.0 then Some(scaled (1.0 / size) x) else None

/// The number of lengths that a line search tries: the last one is 10⁻¹⁹ of the first. From a policy that is nearly deterministic the
/// quadratic model of KL gives a step that is too long by many orders of magnitude.
let private tries = 200

/// Returns the change of the parameters by TRPO's step: √(2δ / xᵀHx) x with the damped natural gradient x, shortened by factors of 0.8 until
/// L gains and the mean KL is at most δ. Returns none if the gradient is 0, or if none of 200 lengths is acceptable.
let trustRegionStep mdp features region values =
    Algorithms.requireRegion region

    SharedSoftmax.naturalGradient mdp features region.Damping values
    |> inUnits features
    |> Option.bind (fun x ->
        let change = Features.logits features x
        let full = Algorithms.fullLength region (Softmax.fisherQuadratic mdp values change) (dot x x)

        Algorithms.backtracked tries mdp region.Delta (Algorithms.errorOf values) full change values
        |> Option.map (fun length -> scaled length x))

/// The policy after a change of the parameters.
let private changed features x (values: Values) = TabularPolicy.tilt (Features.logits features x) values.Policy

let private byTrustRegion name features region =
    Algorithms.requireRegion region

    Algorithms.algorithm name Promise.Nothing (fun mdp values ->
        match trustRegionStep mdp features region values with
        | Some step -> Algorithms.movedBy Promise.Nothing Bound.Kl mdp values (changed features step values)
        | None -> Ok Stopped)

/// TRPO with exact values and without damping: the natural gradient, the length √(2δ / xᵀFx), and a line search on L within a mean KL of δ.
/// η may decrease. δ must be positive.
let trustRegion features delta =
    byTrustRegion
        $"TRPO, shared parameters, δ = {delta}"
        features
        { Delta = delta; Damping = 0.0; Length = Curvature.Undamped }

/// TRPO with exact values and a damped Fisher matrix. η may decrease.
let dampedTrustRegion features region =
    byTrustRegion $"TRPO, shared parameters, δ = {region.Delta}, damping {region.Damping}" features region

/// The natural policy gradient with a fixed step (Kakade 2001). η may decrease. The learning rate must be positive.
let naturalPolicyGradient features learningRate =
    Algorithms.requirePositive (nameof learningRate) learningRate

    Algorithms.algorithm
        $"natural policy gradient, shared parameters, {learningRate}"
        Promise.Nothing
        (fun mdp values ->
            let x = SharedSoftmax.naturalGradient mdp features 0.0 values
            Algorithms.movedBy Promise.Nothing Bound.Kl mdp values (changed features (scaled learningRate x) values))

/// The policy gradient with a fixed step (REINFORCE, Williams 1992). η may decrease. The learning rate must be positive.
let policyGradient features learningRate =
    Algorithms.requirePositive (nameof learningRate) learningRate

    Algorithms.algorithm $"policy gradient, shared parameters, {learningRate}" Promise.Nothing (fun mdp values ->
        let x = SharedSoftmax.gradient features values
        Algorithms.movedBy Promise.Nothing Bound.Kl mdp values (changed features (scaled learningRate x) values))

/// The gradient of PPO's clipped surrogate in the logits, Σ_s ρ(s) Σ_a π(a|s) min(r A, clip(r, 1 − ε, 1 + ε) A) with r = π̃(a|s) / π(a|s), at
/// the policy π̃.
let private clippedGradient clipRange (values: Values) (at: TabularPolicy) =
    // π r is π̃, so a row that still gains has the weight A π̃, and one that is clipped 0.
    let weight state action =
        let advantage, ratio =
            values.Advantages[state, action], at[state, action] / values.Policy[state, action]

        let isClipped = if advantage > 0.0 then ratio > 1.0 + clipRange else ratio < 1.0 - clipRange
        if isClipped then 0.0 else values.Visitation[state] * advantage

    Table.initRows at.Rows at.Columns (fun state ->
        let weights = Array.init at.Columns (weight state)
        let row = TabularPolicy.rowArray at state
        let mean = dot row weights
        Array.map2 (fun p w -> p * (w - mean)) row weights)

/// PPO with exact values (Schulman et al. 2017): so many steps of gradient ascent with a learning rate on the clipped surrogate. η may
/// decrease. The clip range, the learning rate and the number of steps must be positive.
let clippedSurrogate features clipRange learningRate steps =
    Algorithms.requirePositive (nameof clipRange) clipRange
    Algorithms.requirePositive (nameof learningRate) learningRate
    Algorithms.requirePositive (nameof steps) (float steps)

    Algorithms.algorithm $"PPO, shared parameters, {learningRate}" Promise.Nothing (fun mdp values ->
        let ascend (policy: TabularPolicy) _ =
            let x = Features.pullback features (clippedGradient clipRange values policy)
            TabularPolicy.tilt (Features.logits features (scaled learningRate x)) policy

        List.fold ascend values.Policy [ 1..steps ]
        |> Algorithms.movedBy Promise.Nothing Bound.Kl mdp values)

/// Returns the length t ≥ 0 that maximises a bound along a change x of the logits, whose largest number is 1. Where γ is small there is hardly a
/// penalty, and the bound may have several maxima. So the best of 360 lengths, four to an octave from 1024 downward, comes first, and then golden
/// sections between its neighbours.
let private bestLength mdp (values: Values) bound x =
    let worth length = Bounds.value mdp values (TabularPolicy.tiltBy length x values.Policy) bound
    let toNext = Math.Pow(2.0, 0.25)
    let middle = Seq.init 360 (fun i -> 1024.0 * Math.Pow(toNext, float -i)) |> Seq.maxBy worth
    let ratio = 0.5 * (sqrt 5.0 - 1.0)

    let rec narrow count low high =
        let left, right = high - ratio * (high - low), low + ratio * (high - low)

        if count = 0 then 0.5 * (low + high)
        elif worth left >= worth right then narrow (count - 1) low right
        else narrow (count - 1) left high

    [ middle; narrow 40 (middle / toNext) (middle * toNext) ] |> List.maxBy worth

/// An algorithm that goes along a direction as far as the bound is best.
let private certified name features bound direction =
    Algorithms.algorithm name Promise.ByItsBound (fun mdp values ->
        match direction mdp values |> inUnits features with
        | None -> Ok Stopped
        | Some x ->
            let change = Features.logits features x

            TabularPolicy.tiltBy (bestLength mdp values bound change) change values.Policy
            |> Algorithms.movedBy Promise.ByItsBound bound mdp values)

/// Minorization-maximization with half of the penalty, L − ½ C · D_KL^max. The direction is that of the bound's maximiser in the quadratic
/// model of KL (`WorstCase.step`), and the length has the best bound along it. η never decreases.
let minorizationMaximization features =
    certified "minorization-maximization, shared parameters" features Bound.KlPinsker (fun mdp values ->
        match
            WorstCase.step 1e-3 1.0 (SharedSoftmax.gradient features values) (SharedSoftmax.rows mdp features values)
        with
        | Some step -> step.X
        | None -> Array.zeroCreate features.Parameters)

/// The natural gradient with the length that has the best bound `SafeMean`, L − γΔ/(1−γ) Σ ρ D_TV. η never decreases.
let naturalSafe features =
    certified "natural gradient by the safe mean TV, shared parameters" features Bound.SafeMean (fun mdp values ->
        SharedSoftmax.naturalGradient mdp features 0.0 values)

/// The values as a policy sees them that does not tell the states of a class apart: the advantages are the means of each class, weighted by
/// visits, and the visits of a class are divided equally. For policies of this kind L and the mean KL do not change by this. So what
/// maximises L with a limit or a price of KL in each state maximises it for each class.
let private seenBy (classOf: int -> int) (values: Values) =
    let classes = Array.init values.Policy.Rows classOf
    let members = Array.countBy id classes |> Map.ofArray
    let visits = Array.zeroCreate (1 + Array.max classes)
    let gains = Array2D.zeroCreate visits.Length values.Policy.Columns

    for state in 0 .. classes.Length - 1 do
        let weight = values.Visitation[state]
        visits[classes[state]] <- visits[classes[state]] + weight

        for action in 0 .. values.Policy.Columns - 1 do
            gains[classes[state], action] <- gains[classes[state], action] + weight * values.Advantages[state, action]

    { values with
        Visitation = PerState.init classes.Length (fun state -> visits[classes[state]] / float members[classes[state]])
        Advantages =
            Table.init classes.Length values.Policy.Columns (fun state action ->
                let visited = visits[classes[state]]
                if visited > 0.0 then gains[classes[state], action] / visited else 0.0) }

/// An algorithm for policies with one row for each class of states, by the step that the values of the classes give. Since the policy must
/// not tell the states of a class apart, it starts from one that does not.
let private ofClasses name promise bound classOf step =
    Algorithms.algorithm name promise (fun mdp values ->
        let seen = seenBy classOf values

        // The gain of the best row of each class, where rounding may decide which one looks better.
        if snd (Algorithms.advantageOfGreedy seen) <= Algorithms.errorOf values then
            Ok Stopped
        else
            Algorithms.movedBy promise bound mdp values (step mdp values seen))

/// A step to the maximiser of L subject to a mean KL of at most δ (TRPO, equation 12), for policies with one row for each class of states;
/// `classOf state` is the class, counted from 0. η may decrease. δ must be positive.
let meanKlOfClasses classOf delta =
    Algorithms.requirePositive (nameof delta) delta

    ofClasses $"mean KL ≤ {delta}, classes" Promise.Nothing Bound.Kl classOf (fun mdp _ seen ->
        Algorithms.withinMean mdp delta seen)

/// A step to the maximiser of L subject to D_KL^max ≤ δ (TRPO, equation 11), for policies with one row for each class of states. η may
/// decrease. δ must be positive.
let maximumKlOfClasses classOf delta =
    Algorithms.requirePositive (nameof delta) delta

    ofClasses $"max KL ≤ {delta}, classes" Promise.Nothing Bound.Kl classOf (fun _ _ seen ->
        Algorithms.withinMaximum delta seen)

/// Minorization-maximization with half of the penalty: a step to the exact maximiser of L − ½ C · D_KL^max among the policies with one row
/// for each class of states. η never decreases.
let minorizationMaximizationOfClasses classOf =
    ofClasses "minorization-maximization, classes" Promise.ByItsBound Bound.KlPinsker classOf (fun mdp values seen ->
        Algorithms.penalised (0.5 * Bounds.penalty mdp (Bounds.epsilon mdp values)) seen)

/// Conservative policy iteration with the bound `MeanTotalVariation`, for policies with one row for each class of states: a step to the
/// mixture with the policy that is greedy in each class. η never decreases.
let conservativePolicyIterationOfClasses classOf =
    ofClasses
        "conservative policy iteration, mean TV, classes"
        Promise.ByItsBound
        Bound.MeanTotalVariation
        classOf
        (fun mdp values seen ->
            let greedy, _ = Algorithms.advantageOfGreedy seen
            TabularPolicy.mix (Algorithms.meanMixtureStep mdp values greedy) values.Policy greedy)
