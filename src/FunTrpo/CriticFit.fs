namespace FunTrpo

open System
open System.Collections.Immutable
open FunTrpo.Kernels

/// The method that fits the critic to the returns of a batch.
type CriticSettings =
    /// Minibatch gradient descent with Adam (Kingma and Ba, 2014).
    | Adam of learningRate: float * epochs: int * batchSize: int
    /// Gauss–Newton steps within a trust region (Schulman et al. 2015, "High-dimensional continuous control using
    /// generalized advantage estimation", section 5). They minimise the mean squared error subject to
    /// (1/N) Σ (V(s) − V_old(s))² / 2σ² ≤ δ, where σ² is the mean squared error of the old values.
    | GaussNewton of
        delta: float *
        steps: int *
        damping: float *
        conjugateGradient: ConjugateGradientSettings *
        lineSearch: LineSearchSettings

module CriticFit =

    /// Writes factor · (values − targets) to `result`.
    let private differencesTo (result: Memory<float32>) (factor: float) (values: Vector) (target: int -> float) =
        let result = result.Span
        let values = values.Span

        for row in 0 .. values.Length - 1 do
            result[row] <- float32 (factor * (float values[row] - target row))

    let private meanSquare (values: Vector) (target: int -> float) =
        let values = values.Span
        let mutable sum = 0.0

        for row in 0 .. values.Length - 1 do
            let difference = float values[row] - target row
            sum <- sum + difference * difference

        sum / float values.Length

    // Both are views of the memory, so they change with it.
    let private asColumn (memory: Memory<float32>) = Matrix(memory.Length, 1, Memory.op_Implicit memory)

    let private asVector (memory: Memory<float32>) = Vector(Memory.op_Implicit memory)

    /// Adam on the mean squared error, over `epochs` random orders of the rows.
    let private byAdam
        learningRate
        epochs
        batchSize
        (network: Network)
        (observations: Matrix)
        (target: int -> float)
        key
        (state: CriticState)
        =
        let batchSize = min batchSize (max 1 observations.Rows)
        let moments = [ state.Optimiser.FirstMoment; state.Optimiser.SecondMoment ]
        use packed = new Network.Packed(network, state.Parameters, moments)
        let parameters, mean, square = packed.Parameters, packed.Moment 0, packed.Moment 1
        use gradient = PooledBuffer.Rent packed.Count
        use inputs = PooledBuffer.Rent(batchSize, network.Inputs)
        use errors = PooledBuffer.Rent batchSize
        let mutable steps = state.Optimiser.Steps

        /// One step of Adam, as `Adam.update`, on packed parameters in place, with the gradient of the loss on a minibatch.
        let fitMinibatch (rows: ReadOnlyMemory<int>) =
            let minibatch = Matrix.gatherTo inputs.Memory rows observations
            let errors = errors.Memory.Slice(0, rows.Length)
            use at = packed.Linearize minibatch
            let values = Matrix.flatten at.Outputs
            differencesTo errors (2.0 / float rows.Length) values (fun row -> target rows.Span[row])
            at.PullbackPacked(asColumn errors, gradient.Memory)
            steps <- steps + 1L

            packed.ForEachPart(fun first count ->
                FunTrpo.Kernels.Adam.Step(
                    steps,
                    learningRate,
                    Span.op_Implicit (gradient.Span.Slice(first, count)),
                    mean.Span.Slice(first, count),
                    square.Span.Slice(first, count),
                    parameters.Span.Slice(first, count)
                ))

        for epoch in 1..epochs do
            let order = (Key.permutation observations.Rows (Key.at (int64 epoch) key)).AsMemory()

            for first in 0..batchSize .. order.Length - 1 do
                fitMinibatch (order.Slice(first, min batchSize (order.Length - first)))

        { state with
            Parameters = packed.UnpackParameters()
            Optimiser = { FirstMoment = packed.UnpackMoment 0; SecondMoment = packed.UnpackMoment 1; Steps = steps } }

    /// A comparison of a critic with the one before the fit.
    [<Struct>]
    type private Fit =
        {
            /// The mean squared error against the targets.
            Error: float
            /// (1/N) Σ (V(s) − V_old(s))² / 2σ²
            Distance: float
        }

    /// The least-squares problem of a fit, with the memory for its steps.
    type private LeastSquares(network: Network, observations: Matrix, target: int -> float, old: Vector) =
        let rows = float observations.Rows
        let rentColumn () = PooledBuffer.Rent observations.Rows
        let rentParameters () = PooledBuffer.Rent network.ParameterCount
        let oldScratch, scratch, errors = rentColumn (), rentColumn (), rentColumn ()
        let descent, direction, product = rentParameters (), rentParameters (), rentParameters ()
        let current, candidate = rentParameters (), rentParameters ()

        let valuesAt parameters (values: PooledBuffer) =
            use network = Network.at network parameters
            network.Forward(observations.Memory, values.Memory)
            asVector values.Memory

        let oldValues = valuesAt old oldScratch
        let sigmaSquared = meanSquare oldValues target

        let fitOf (values: Vector) =
            { Error = meanSquare values target
              Distance = meanSquare values (fun row -> float oldValues[row]) / (2.0 * sigmaSquared) }

        let evaluate parameters = fitOf (valuesAt parameters scratch)

        /// (1/N) JᵀJ v + damping · v
        let gaussNewton damping (curvature: LinearMap) (v: Vector) (product: Memory<float32>) =
            curvature v product

            Reductions.Combine(
                float32 (1.0 / rows),
                Span.op_Implicit product.Span,
                float32 damping,
                v.Span,
                product.Span
            )

        /// σ², the mean squared error of the old values.
        member _.SigmaSquared = sigmaSquared

        /// One step: minimises ½·(1/N)·‖V + J s − R‖² + ½·damping·‖s‖² over s, and shortens s to stay in the trust region. None if no step
        /// reduces the error there.
        member _.Step(delta, damping, conjugateGradient, lineSearch, parameters) =
            use at = Network.linearize network parameters observations
            let values = Matrix.flatten at.Outputs
            let fit = fitOf values
            differencesTo errors.Memory (-1.0 / rows) values target
            at.Pullback(asColumn errors.Memory, descent.Memory)
            let gaussNewton = gaussNewton damping (at.Curvature Metric.identity)
            let acceptable next = next.Error < fit.Error && next.Distance <= delta

            let search (x: Vector) =
                gaussNewton x product.Memory
                let curvature = Vector.dot x (asVector product.Memory)
                // The quadratic model of Distance at x is curvature / 2σ². A step is never longer than the Gauss–Newton step.
                let delta = sigmaSquared * delta
                let buffer () = candidate.Memory
                LineSearch.withinTrustRegionIn buffer lineSearch evaluate acceptable parameters delta 1.0 curvature x

            ConjugateGradient.solveTo direction.Memory conjugateGradient gaussNewton (asVector descent.Memory)
            |> Option.bind (fun solution ->
                match search solution.X with
                | Accepted(next, _, _, _) ->
                    next.Span.CopyTo current.Span
                    Some(asVector current.Memory)
                | Refused _
                | NoLength -> None)

        interface IDisposable with
            member _.Dispose() =
                for buffer in [ oldScratch; scratch; errors; descent; direction; product; current; candidate ] do
                    buffer.Dispose()

    let private byGaussNewton
        delta
        steps
        damping
        conjugateGradient
        lineSearch
        network
        observations
        target
        (state: CriticState)
        =
        use problem = new LeastSquares(network, observations, target, state.Parameters)

        let rec improve remaining parameters =
            if remaining = 0 || problem.SigmaSquared = 0.0 then
                parameters
            else
                match problem.Step(delta, damping, conjugateGradient, lineSearch, parameters) with
                | Some next -> improve (remaining - 1) next
                | None -> parameters

        { state with Parameters = improve steps state.Parameters |> Vector.toArray |> Vector.adopt }

    /// The critic fitted to one target for each row of the (normalised) observations. Targets are in the unit of its network.
    let private fitOutputs settings network observations (target: int -> float) key (state: CriticState) =
        match settings with
        | Adam(learningRate, epochs, batchSize) ->
            byAdam learningRate epochs batchSize network observations target key state
        | GaussNewton(delta, steps, damping, conjugateGradient, lineSearch) ->
            byGaussNewton delta steps damping conjugateGradient lineSearch network observations target state

    /// Returns the critic fitted to the returns of the batch: one for each row of the (normalised) observations. The key
    /// determines the order of Adam's minibatches.
    let fit settings network observations (returns: ImmutableArray<float>) key (state: CriticState) =
        if ReturnUnit.deviation state.Unit = 0.0 then
            state // All returns seen so far are equal, and V(s) = mean is exact.
        else
            let toUnit = ReturnUnit.ofReturn state.Unit
            fitOutputs settings network observations (fun row -> toUnit returns[row]) key state

    /// If one deviation is larger than another by more than this factor, the returns have another scale.
    let private otherScale = 1000.0

    /// Returns the critic to be used on a batch. If its return unit is more than a thousand times larger than the rewards of the batch, as
    /// after an enormous reward, the unit is unknown again and V is 0. Otherwise bootstraps would keep the large values for a hundred iterations.
    let forRewards gamma (rewards: ImmutableArray<float>) (ends: ImmutableArray<End>) (state: CriticState) =
        let before = ReturnUnit.deviation state.Unit

        if state.Unit = Plain || before = 0.0 then
            state
        else
            let now = Advantage.deviationOfSums gamma rewards ends
            if now > 0.0 && before > otherScale * now then { state with Unit = ReturnUnit.unknown } else state

    /// The exponent of the weights iterationᵑ with which batches count in the return unit.
    let private decay = 3.0

    /// Returns the critic with its return unit updated by the returns of a batch. Its network stays the same.
    ///
    /// The mean and the deviation average over all batches with polynomial decay (Shamir and Zhang 2013, "Stochastic gradient descent for
    /// non-smooth optimization", section 3.2): about the last quarter of the batches counts. The first batches, in which V still approaches
    /// its level, are forgotten, and later changes are small. The average starts again from the batch if its deviation is more than a
    /// thousand times larger: at the first returns, and at an enormous reward.
    let updateReturnUnit (returns: ImmutableArray<float>) (state: CriticState) =
        match state.Unit with
        | Plain -> state
        | Standardised earlier ->
            let batch = Moments.ofNumbers (returns.AsMemory())
            let before = ReturnUnit.deviation state.Unit

            let moments =
                if before = 0.0 || ReturnUnit.deviation (Standardised batch) > otherScale * before then
                    batch
                else
                    Moments.merge (Moments.withCount (earlier.Count / (decay + 1.0)) earlier) batch
                    |> Moments.withCount (earlier.Count + batch.Count)

            { state with Unit = Standardised moments }
