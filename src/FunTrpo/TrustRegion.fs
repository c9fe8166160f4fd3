namespace FunTrpo

open System
open FunTrpo.Kernels

module TrustRegion =

    /// Returns true if a trust-region step may be taken: the surrogate gains, and the mean KL is at most `delta`.
    /// A comparison with a NaN is never acceptable.
    let acceptable delta (comparison: Comparison) =
        comparison.Gain > 0.0
        && comparison.MeanKl <= delta
        && Double.IsFinite comparison.Gain
        && Double.IsFinite comparison.Entropy

    /// xᵀFx below this fraction of xᵀHx cannot be distinguished from zero: products are float32. A sum of the 256 rows of a block has a
    /// rounding error of about √256 · 2⁻²⁴ ≈ 10⁻⁶ of it.
    let private resolution = 1e-6

    /// xᵀHx or, without `DampedLength`, xᵀFx of the direction x.
    let private curvatureOf settings (dampedFisher: Fisher) (direction: Vector) =
        use product = PooledBuffer.Rent direction.Length
        dampedFisher.Product direction product.Memory
        let damped = Vector.dot direction (Vector(Memory.op_Implicit product.Memory))

        if settings.DampedLength then
            damped
        else
            max (damped - settings.Damping * Vector.dot direction direction) (resolution * damped)

    /// The line search of a trust-region step along the direction.
    let private searchWithin delta lineSearch curvature (surrogate: Surrogate) direction =
        // A comparison holds no parameters, so each try may overwrite the memory of the last.
        let candidate = Array.zeroCreate<float32>(surrogate.Parameters.Length).AsMemory()

        LineSearch.withinTrustRegionIn
            (fun () -> candidate)
            lineSearch
            (Surrogate.compare surrogate)
            (acceptable delta)
            surrogate.Parameters
            { Delta = delta; Longest = infinity; Curvature = curvature; Direction = direction }

    /// Improves the policy by one step. A trust-region step along H⁻¹∇L is TRPO, a fixed step along H⁻¹∇L the natural policy gradient (Kakade
    /// 2001), and a fixed step along ∇L REINFORCE (Williams 1992), where H = F + damping · I.
    ///
    /// gradient ∇L → direction x (∇L, or H⁻¹∇L) → step (learning rate · x, or √(2δ/xᵀFx) · x) → line search → new or old parameters
    ///
    /// The length uses xᵀFx = xᵀHx − damping · ‖x‖², so the quadratic model of the KL reaches δ even if the damping dominates H. With
    /// `DampedLength`, the length uses xᵀHx instead.
    ///
    /// With `DeltaShrinkage`, δ is that of the settings times a power of the share of the signal in ∇L (`SignalShare`).
    ///
    /// Errors: "policy gradient" and "Fisher-vector product", if one of these is NaN or infinite.
    let improve (settings: ImprovementSettings) (surrogate: Surrogate) : Result<Improvement, string> =
        let old = surrogate.Parameters
        use scratch = PooledBuffer.Rent old.Length
        Surrogate.gradientTo scratch.Memory surrogate
        let gradient = Vector(Memory.op_Implicit scratch.Memory)
        let gradientNorm = Vector.norm gradient
        use dampedFisher = Fisher.matrix settings.Damping settings.FisherFraction surrogate

        let ended outcome parameters comparison solution =
            { Parameters = parameters
              Outcome = outcome
              Comparison = comparison
              GradientNorm = gradientNorm
              SignalShare = None
              Solution = solution }

        let unchanged outcome = ended outcome old (Surrogate.compare surrogate old)

        let stepFixed learningRate direction =
            let parameters = Vector.addScaled learningRate direction old

            if not (parameters.Span.SequenceEqual old.Span) then
                ended (Moved(1.0, 1)) parameters (Surrogate.compare surrogate parameters)
            elif Vector.norm direction = 0.0 then
                unchanged NoCurvature // Conjugate gradient found none along its first direction.
            else
                unchanged (LineSearchFailed 1) // The step is lost in the rounding of the parameters.

        /// The direction of a gradient, with the solution of conjugate gradient if it was used. None if a product is not finite.
        let directionOf gradient =
            match settings.Direction with
            | Gradient -> Some struct (gradient, None)
            | NaturalGradient conjugateGradient ->
                ConjugateGradient.solve conjugateGradient dampedFisher.Product gradient
                |> Option.map (fun solution -> struct (solution.X, Some solution))

        let signalShare direction =
            if settings.DeltaShrinkage = 0.0 then
                None
            else
                let directionOf = directionOf >> Option.map (fun struct (direction, _) -> direction)
                Some(SignalShare.estimate directionOf surrogate gradient direction)

        let stepWithin delta lineSearch direction solution =
            let share = signalShare direction
            let delta = delta * SignalShare.factor settings.DeltaShrinkage share
            let curvature = curvatureOf settings dampedFisher direction

            let improvement =
                match searchWithin delta lineSearch curvature surrogate direction with
                | Accepted(parameters, comparison, fraction, tries) ->
                    ended (Moved(fraction, tries)) parameters comparison solution
                | Refused(_, tries) -> unchanged (LineSearchFailed tries) solution
                | InvalidCurvature -> unchanged NoCurvature solution

            { improvement with SignalShare = share }

        let stepAlong direction solution =
            match settings.StepRule with
            | FixedStep learningRate -> stepFixed learningRate direction solution
            | TrustRegionStep(delta, lineSearch) -> stepWithin delta lineSearch direction solution

        if gradientNorm = 0.0 then
            Ok(unchanged NoGradient None)
        elif not (Double.IsFinite gradientNorm) then
            Error "policy gradient"
        else
            match directionOf gradient with
            | Some(struct (direction, solution)) -> Ok(stepAlong direction solution)
            | None -> Error "Fisher-vector product"
