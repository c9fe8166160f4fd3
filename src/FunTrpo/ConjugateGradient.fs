namespace FunTrpo

open System
open System.Collections.Immutable
open FunTrpo.Kernels

/// The stopping rules of conjugate gradient.
type ConjugateGradientSettings =
    {
        /// The maximum number of iterations.
        Iterations: int
        /// The relative residual at which it stops: ‖b − A x‖ ≤ tolerance · ‖b‖.
        Tolerance: float
    }

/// The reason why conjugate gradient stopped.
type Stop =
    /// The relative residual is at most the tolerance.
    | Converged
    /// The maximum number of iterations is reached.
    | IterationLimit
    /// Along some direction p, pᵀAp was zero, negative, or too small to be distinguished from zero in float32: A is not
    /// positive definite there. The solution is that of the earlier directions.
    | VanishingCurvature of pAp: float

/// The result of conjugate gradient.
type Solution =
    {
        X: Vector
        /// ‖b − A x‖ / ‖b‖ from the recurrence, before the first iteration and after each one.
        Residuals: ImmutableArray<float>
        /// pᵀAp / pᵀp of each direction that was tried.
        Curvatures: ImmutableArray<float>
        Stop: Stop
    }

    /// The number of iterations that changed x.
    member this.Iterations = this.Residuals.Length - 1

    /// The last residual.
    member this.Residual = this.Residuals[this.Residuals.Length - 1]

module ConjugateGradient =

    let private dot (a: PooledBuffer) (b: PooledBuffer) =
        Reductions.Dot(Span.op_Implicit a.Doubles, Span.op_Implicit b.Doubles)

    /// sum ← y + α x
    let private addScaled (alpha: float) (x: PooledBuffer) (y: PooledBuffer) (sum: PooledBuffer) =
        Reductions.AddScaled(alpha, Span.op_Implicit x.Doubles, Span.op_Implicit y.Doubles, sum.Doubles)

    /// product ← A p. `narrowP` and `narrowProduct` are memory for the float32 vectors that A works on.
    let private multiply
        (apply: LinearMap)
        p
        (narrowP: PooledBuffer)
        (narrowProduct: PooledBuffer)
        (product: PooledBuffer)
        =
        Reductions.Narrow(Span.op_Implicit (p: PooledBuffer).Doubles, narrowP.Span)
        apply (Vector(Memory.op_Implicit narrowP.Memory)) narrowProduct.Memory
        Reductions.Widen(Span.op_Implicit narrowProduct.Span, product.Doubles)

    /// One iteration, given A p and ‖r‖²: x ← x + α p and r ← r − α A p with α = ‖r‖²/pᵀAp, then p ← r + β p with β = ‖r_new‖²/‖r‖².
    /// Returns ‖r_new‖².
    let private advance squared pAp (product: PooledBuffer) x r p =
        let alpha = squared / pAp
        addScaled alpha p x x
        addScaled -alpha product r r
        let next = dot r r
        addScaled (next / squared) p r p
        next

    /// A curvature below this fraction of the largest one cannot be distinguished from zero: products are float32, whose rounding error is
    /// up to 2⁻²⁴ ≈ 6 · 10⁻⁸ of the largest curvature.
    let private resolution = 1e-7

    /// Does the same as `solve`, but writes x to `solution`, and the vector X refers to that memory.
    let internal solveTo
        (solution: Memory<float32>)
        (settings: ConjugateGradientSettings)
        (apply: LinearMap)
        (b: Vector)
        =
        let count = b.Length
        use x = PooledBuffer.RentDoubles count
        use r = PooledBuffer.RentDoubles count
        use p = PooledBuffer.RentDoubles count
        use product = PooledBuffer.RentDoubles count
        use narrowP = PooledBuffer.Rent count
        use narrowProduct = PooledBuffer.Rent count

        x.Doubles.Clear()
        Reductions.Widen(b.Span, r.Doubles)
        r.Doubles.CopyTo p.Doubles
        let mutable squared = dot r r
        let initial = sqrt squared
        let residuals = ImmutableArray.CreateBuilder()
        let curvatures = ImmutableArray.CreateBuilder()
        let mutable largest = 0.0
        let mutable stop = if initial = 0.0 then Some Converged else None
        let mutable isFinite = Double.IsFinite initial

        residuals.Add(if initial = 0.0 then 0.0 else 1.0)

        while isFinite && stop.IsNone && residuals.Count <= settings.Iterations do
            multiply apply p narrowP narrowProduct product
            let pAp = dot p product
            let curvature = pAp / dot p p

            isFinite <- Double.IsFinite pAp

            if isFinite then
                curvatures.Add curvature
                largest <- max largest curvature

                if curvature <= resolution * largest then
                    stop <- Some(VanishingCurvature pAp)
                else
                    squared <- advance squared pAp product x r p
                    residuals.Add(sqrt squared / initial)

                    if sqrt squared <= settings.Tolerance * initial then
                        stop <- Some Converged

        Reductions.Narrow(Span.op_Implicit x.Doubles, solution.Span)

        if isFinite then
            Some
                { X = Vector(Memory.op_Implicit solution)
                  Residuals = residuals.ToImmutable()
                  Curvatures = curvatures.ToImmutable()
                  Stop = defaultArg stop IterationLimit }
        else
            None

    /// Solves A x = b for a symmetric positive definite matrix A by conjugate gradient from x = 0 (Hestenes and Stiefel, 1952).
    /// `apply` computes v ↦ A v in float32; x, residuals and dot products are float64. None if b or a product is NaN or infinite.
    let solve settings apply (b: Vector) = solveTo (Array.zeroCreate<float32>(b.Length).AsMemory()) settings apply b
