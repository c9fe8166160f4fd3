namespace FunTrpo

open System
open System.Collections.Immutable

/// How the critic is fitted to the returns of a batch.
type CriticSettings =
    /// Minibatch gradient descent with adaptive moments (Kingma and Ba, 2014).
    | Adam of learningRate: float * epochs: int * batchSize: int
    /// Gauss–Newton steps within a trust region (Schulman et al. 2015, "High-dimensional continuous control using
    /// generalized advantage estimation", section 5): minimise the mean squared error subject to
    /// (1/N) Σ (V(s) − V_old(s))² / 2σ² ≤ δ, where σ² is the mean squared error of the old values.
    | GaussNewton of
        delta: float *
        steps: int *
        damping: float *
        conjugateGradient: ConjugateGradientSettings *
        lineSearch: LineSearchSettings

/// The critic's parameters, and the moments that Adam goes on with.
type CriticState = { Parameters: Vector; FirstMoment: Vector; SecondMoment: Vector; AdamSteps: int64 }

module CriticFit =

    /// Untrained parameters, or others to go on from.
    let start parameters =
        let zero = Vector.zero (parameters: Vector).Length

        { Parameters = parameters; FirstMoment = zero; SecondMoment = zero; AdamSteps = 0L }

    /// Column of values − targets, times a factor.
    let private differences (factor: float) (values: Matrix) (target: int -> float) =
        Matrix.init values.Rows 1 (fun row _ -> float32 (factor * (float values[row, 0] - target row)))

    let private meanSquare (values: Matrix) (target: int -> float) =
        let mutable sum = 0.0

        for row in 0 .. values.Rows - 1 do
            let difference = float values[row, 0] - target row
            sum <- sum + difference * difference

        sum / float values.Rows

    /// One Adam step along the gradient of the loss.
    let private adamStep learningRate (gradient: Vector) (state: CriticState) =
        let beta1, beta2, epsilon = 0.9, 0.999, 1e-8
        let steps = state.AdamSteps + 1L
        let count = gradient.Length

        let blend beta (moment: Vector) (value: int -> float) =
            Vector.init count (fun i -> float32 (beta * float moment[i] + (1.0 - beta) * value i))

        let first = blend beta1 state.FirstMoment (fun i -> float gradient[i])

        let second = blend beta2 state.SecondMoment (fun i -> float gradient[i] * float gradient[i])

        let correction1 = 1.0 - Math.Pow(beta1, float steps)
        let correction2 = 1.0 - Math.Pow(beta2, float steps)

        let parameters =
            Vector.init count (fun i ->
                let move = (float first[i] / correction1) / (sqrt (float second[i] / correction2) + epsilon)
                float32 (float state.Parameters[i] - learningRate * move))

        { Parameters = parameters; FirstMoment = first; SecondMoment = second; AdamSteps = steps }

    /// Adam on the mean squared error, over `epochs` random orders of the rows.
    let private byAdam learningRate epochs batchSize (network: Network) (observations: Matrix) returns key state =
        let fitMinibatch (state: CriticState) (rows: ImmutableArray<int>) =
            let at = network.At state.Parameters (Matrix.gather rows observations)

            let gradient =
                differences (2.0 / float rows.Length) at.Forward (fun row ->
                    (returns: ImmutableArray<float>)[rows[row]])
                |> at.Pullback

            adamStep learningRate gradient state

        let epoch state (number: int) =
            let order = Key.permutation observations.Rows (Key.at (int64 number) key)

            seq { 0..batchSize .. order.Length - 1 }
            |> Seq.map (fun first -> order.Slice(first, min batchSize (order.Length - first)))
            |> Seq.fold fitMinibatch state

        Seq.fold epoch state (seq { 1..epochs })

    /// How a critic compares with the one that an update began with.
    [<Struct>]
    type private Fit =
        {
            Error: float
            /// (1/N) Σ (V(s) − V_old(s))² / 2σ²
            Distance: float
        }

    let private byGaussNewton
        delta
        steps
        damping
        conjugateGradient
        lineSearch
        (network: Network)
        observations
        (returns: ImmutableArray<float>)
        (state: CriticState)
        =
        let target row = returns[row]
        let rows = float returns.Length
        let oldValues = (network.At state.Parameters observations).Forward
        let sigmaSquared = meanSquare oldValues target

        let fitOf (values: Matrix) =
            { Error = meanSquare values target
              Distance = meanSquare values (fun row -> float oldValues[row, 0]) / (2.0 * sigmaSquared) }

        let evaluate parameters = fitOf (network.At parameters observations).Forward

        /// Minimises ½·(1/N)·‖V + J s − R‖² + ½·damping·‖s‖² over s, and no further than the trust region.
        let step parameters =
            let at = network.At parameters observations
            let current = fitOf at.Forward
            let descent = differences (-1.0 / rows) at.Forward target |> at.Pullback

            let gaussNewton v =
                let tangents = at.Pushforward v

                Matrix.init tangents.Rows 1 (fun row _ -> float32 (float tangents[row, 0] / rows))
                |> at.Pullback
                |> Vector.addScaled damping v

            let solution = ConjugateGradient.solve conjugateGradient gaussNewton descent
            let curvature = Vector.dot solution.X (gaussNewton solution.X)

            if not (curvature > 0.0 && Double.IsFinite curvature) then
                None
            else
                // The quadratic model of Distance along s is curvature / 2σ²; a full Gauss–Newton step is never lengthened.
                let length = min 1.0 (sqrt (2.0 * sigmaSquared * delta / curvature))

                let acceptable fit = fit.Error < current.Error && fit.Distance <= delta

                match
                    LineSearch.backtrack lineSearch evaluate acceptable parameters (Vector.scale length solution.X)
                with
                | Accepted(next, _, _, _) -> Some next
                | Refused _ -> None

        let rec improve remaining parameters =
            if remaining = 0 || sigmaSquared = 0.0 then
                parameters
            else
                match step parameters with
                | Some next -> improve (remaining - 1) next
                | None -> parameters

        { state with Parameters = improve steps state.Parameters }

    /// The critic fitted to the returns of the batch, one a row of the (normalised) observations.
    let fit settings network observations returns key state =
        match settings with
        | Adam(learningRate, epochs, batchSize) ->
            byAdam learningRate epochs batchSize network observations returns key state
        | GaussNewton(delta, steps, damping, conjugateGradient, lineSearch) ->
            byGaussNewton delta steps damping conjugateGradient lineSearch network observations returns state
