namespace FunTrpo

open System
open System.Collections.Immutable
open FunTrpo.Kernels

/// The settings of Gauss–Newton steps within a trust region.
[<RequireQualifiedAccess>]
type GaussNewtonSettings =
    {
        /// δ: the maximum of (1/N) Σ (V(s) − V_old(s))² / 2σ².
        Delta: float
        /// The maximum number of steps.
        Steps: int
        /// The number that is added to the diagonal of JᵀJ/N.
        Damping: float
        ConjugateGradient: ConjugateGradientSettings
        LineSearch: LineSearchSettings
    }

/// The method that fits the critic to the returns of a batch.
type CriticSettings =
    /// Minibatch gradient descent with Adam (Kingma and Ba, 2014).
    | MinibatchAdam of MinibatchAdamSettings
    /// Gauss–Newton steps within a trust region (Schulman et al. 2015, "High-dimensional continuous control using
    /// generalized advantage estimation", section 5). They minimise the mean squared error subject to
    /// (1/N) Σ (V(s) − V_old(s))² / 2σ² ≤ δ, where σ² is the mean squared error of the old values.
    | GaussNewton of GaussNewtonSettings

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

    /// Adam on the mean squared error.
    let private byAdam
        (settings: MinibatchAdamSettings)
        network
        sequences
        observations
        (target: int -> float)
        key
        (state: CriticState)
        =
        let errorsTo (rows: ReadOnlyMemory<int>) (at: Linearization) (result: Memory<float32>) =
            differencesTo result (2.0 / float rows.Length) (Matrix.flatten at.Outputs) (fun row ->
                target rows.Span[row])

            true

        let struct (parameters, optimiser, _) =
            Minibatches.descend settings network sequences observations key errorsTo state.Parameters state.Optimiser

        { state with Parameters = parameters; Optimiser = optimiser }

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
    type private LeastSquares
        (
            settings: GaussNewtonSettings,
            network: Network,
            sequences,
            observations: Matrix,
            target: int -> float,
            old: Vector
        ) =
        let rows = float observations.Rows
        let rentColumn () = PooledBuffer.Rent observations.Rows
        let rentParameters () = PooledBuffer.Rent network.ParameterCount
        let oldScratch, scratch, errors = rentColumn (), rentColumn (), rentColumn ()
        let descent, direction, product = rentParameters (), rentParameters (), rentParameters ()
        let current, candidate = rentParameters (), rentParameters ()

        let valuesAt parameters (values: PooledBuffer) =
            use network = Network.at network parameters
            network.Forward(sequences, observations.Memory, values.Memory)
            asVector values.Memory

        let oldValues = valuesAt old oldScratch
        let sigmaSquared = meanSquare oldValues target

        let fitOf (values: Vector) =
            { Error = meanSquare values target
              Distance = meanSquare values (fun row -> float oldValues[row]) / (2.0 * sigmaSquared) }

        let evaluate parameters = fitOf (valuesAt parameters scratch)

        /// (1/N) JᵀJ v + damping · v
        let productWith (curvature: LinearMap) (v: Vector) (product: Memory<float32>) =
            curvature v product

            Reductions.Combine(
                float32 (1.0 / rows),
                Span.op_Implicit product.Span,
                float32 settings.Damping,
                v.Span,
                product.Span
            )

        /// σ², the mean squared error of the old values.
        member _.SigmaSquared = sigmaSquared

        /// One step: minimises ½·(1/N)·‖V + J s − R‖² + ½·damping·‖s‖² over s, and shortens s to stay in the trust region. None if no step
        /// reduces the error there. The error names a quantity that became NaN or infinite.
        member _.Step parameters =
            use at = Network.linearizeSequences network parameters sequences observations
            let values = Matrix.flatten at.Outputs
            let fit = fitOf values
            differencesTo errors.Memory (-1.0 / rows) values target
            at.Pullback(asColumn errors.Memory, descent.Memory)
            let gaussNewtonProduct = productWith (at.Curvature Metric.identity)
            let acceptable next = next.Error < fit.Error && next.Distance <= settings.Delta

            let search (x: Vector) curvature =
                // curvature = xᵀ(JᵀJ/N + damping I)x, so curvature / 2σ² is the quadratic model of Distance plus the damping. With damping
                // the step is shorter. A step is never longer than the Gauss–Newton step.
                let step: FullStep =
                    { Delta = sigmaSquared * settings.Delta; Longest = 1.0; Curvature = curvature; Direction = x }

                let buffer () = candidate.Memory

                match LineSearch.withinTrustRegionIn buffer settings.LineSearch evaluate acceptable parameters step with
                | Accepted(next, _, _, _) ->
                    next.Span.CopyTo current.Span
                    Some(asVector current.Memory)
                | Refused _
                | InvalidCurvature -> None

            let solve () =
                ConjugateGradient.solveTo
                    direction.Memory
                    settings.ConjugateGradient
                    gaussNewtonProduct
                    (asVector descent.Memory)

            if not (Reductions.AllFinite(Span.op_Implicit descent.Span)) then
                Error "critic's gradient"
            else
                match solve () with
                | None -> Error "critic's Gauss-Newton product"
                | Some solution ->
                    gaussNewtonProduct solution.X product.Memory
                    let curvature = Vector.dot solution.X (asVector product.Memory)

                    if Double.IsFinite curvature then
                        Ok(search solution.X curvature)
                    else
                        Error "critic's Gauss-Newton product"

        interface IDisposable with
            member _.Dispose() =
                for buffer in [ oldScratch; scratch; errors; descent; direction; product; current; candidate ] do
                    buffer.Dispose()

    let private byGaussNewton
        (settings: GaussNewtonSettings)
        network
        sequences
        observations
        target
        (state: CriticState)
        =
        use problem = new LeastSquares(settings, network, sequences, observations, target, state.Parameters)

        let rec improve remaining parameters =
            if remaining = 0 || problem.SigmaSquared = 0.0 then
                Ok parameters
            else
                match problem.Step parameters with
                | Ok(Some next) -> improve (remaining - 1) next
                | Ok None -> Ok parameters
                | Error what -> Error what

        // A copy: the memory of `problem` is pooled.
        improve settings.Steps state.Parameters
        |> Result.map (fun parameters -> { state with Parameters = parameters |> Vector.toArray |> Vector.adopt })

    /// The critic fitted to one target for each row of the (normalised) observations. Targets are in the unit of its network.
    let private fitOutputs settings network sequences observations (target: int -> float) key (state: CriticState) =
        match settings with
        | MinibatchAdam settings -> Ok(byAdam settings network sequences observations target key state)
        | GaussNewton settings -> byGaussNewton settings network sequences observations target state

    /// Returns the critic fitted to the returns of the batch: one for each row of the (normalised) observations, which are the rows of the
    /// sequences if the network has memory. The key determines the order of Adam's minibatches; those of networks with memory are whole
    /// sequences.
    ///
    /// Errors: "critic's gradient" and "critic's Gauss-Newton product", if one of these is NaN or infinite. If no Gauss–Newton step reduces the
    /// error within the trust region, the result is the critic as it was. Adam has no errors, but its parameters may become NaN or infinite.
    let fitSequences
        settings
        network
        sequences
        observations
        (returns: ImmutableArray<float>)
        key
        (state: CriticState)
        : Result<CriticState, string> =
        if ReturnUnit.deviation state.Unit = 0.0 then
            Ok state // All returns seen so far are equal, and V(s) = mean is exact.
        else
            let toUnit = ReturnUnit.ofReturn state.Unit
            fitOutputs settings network sequences observations (fun row -> toUnit returns[row]) key state

    /// The same for a network without memory.
    let fit settings network observations returns key state =
        fitSequences settings network None observations returns key state
