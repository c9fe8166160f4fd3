namespace FunTrpo

open System.Collections.Immutable

/// When conjugate gradient stops.
type ConjugateGradientSettings =
    {
        Iterations: int
        /// Relative to the right-hand side: it stops at ‖b − A x‖ ≤ tolerance · ‖b‖.
        Tolerance: float
    }

/// Why conjugate gradient stopped.
type Stop =
    | Converged
    | IterationLimit
    /// Along some direction p, pᵀAp was zero, negative, or too small to be told from zero in float32: A is not positive
    /// definite there, and the solution is what the earlier directions gave.
    | VanishingCurvature of pAp: float
    /// A product was NaN or infinite; the solution is what the earlier directions gave.
    | NonFinite

/// What conjugate gradient found.
type Solution =
    {
        X: Vector
        /// ‖b − A x‖ / ‖b‖ as the recurrence has it, before the first iteration and after each.
        Residuals: ImmutableArray<float>
        /// pᵀAp / pᵀp of each direction that was tried.
        Curvatures: ImmutableArray<float>
        Stop: Stop
    }

    /// How many iterations changed x.
    member this.Iterations = this.Residuals.Length - 1

    /// The last of the residuals.
    member this.Residual = this.Residuals[this.Residuals.Length - 1]

module ConjugateGradient =

    let private dot (a: float[]) (b: float[]) =
        let mutable sum = 0.0

        for i in 0 .. a.Length - 1 do
            sum <- sum + a[i] * b[i]

        sum

    /// target ← target + α x
    let private add alpha (x: float[]) (target: float[]) =
        for i in 0 .. x.Length - 1 do
            target[i] <- target[i] + alpha * x[i]

    let private toFloat (v: Vector) = Array.init v.Length (fun i -> float v[i])

    let private ofFloat (values: float[]) = Vector.adopt (Array.map float32 values)

    /// Curvature below this fraction of the largest seen cannot be told from zero when products are float32.
    let private resolution = 1e-7

    /// Solves A x = b for a symmetric positive definite A, given as v ↦ A v, starting from x = 0
    /// (Hestenes and Stiefel, 1952). Products are float32; x, residuals and dot products are float64.
    let solve (settings: ConjugateGradientSettings) (apply: Vector -> Vector) (b: Vector) =
        let x = Array.zeroCreate b.Length
        let r = toFloat b
        let p = Array.copy r
        let initial = sqrt (dot r r)
        let residuals = ImmutableArray.CreateBuilder()
        let curvatures = ImmutableArray.CreateBuilder()
        let mutable squared = dot r r
        let mutable largest = 0.0

        let mutable stop = if initial = 0.0 then Some Converged else None

        residuals.Add(if initial = 0.0 then 0.0 else 1.0)

        if not (System.Double.IsFinite initial) then
            stop <- Some NonFinite

        while stop.IsNone && residuals.Count <= settings.Iterations do
            let product = toFloat (apply (ofFloat p))
            let pAp = dot p product
            let curvature = pAp / dot p p

            if not (System.Double.IsFinite pAp) then
                stop <- Some NonFinite
            else
                curvatures.Add curvature
                largest <- max largest curvature

                if curvature <= resolution * largest then
                    stop <- Some(VanishingCurvature pAp)
                else
                    let alpha = squared / pAp
                    add alpha p x
                    add -alpha product r
                    let next = dot r r
                    let beta = next / squared

                    for i in 0 .. p.Length - 1 do
                        p[i] <- r[i] + beta * p[i]

                    squared <- next
                    residuals.Add(sqrt next / initial)

                    if sqrt next <= settings.Tolerance * initial then
                        stop <- Some Converged

        { X = ofFloat x
          Residuals = residuals.ToImmutable()
          Curvatures = curvatures.ToImmutable()
          Stop = defaultArg stop IterationLimit }
