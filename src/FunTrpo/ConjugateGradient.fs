namespace FunTrpo

open System
open System.Collections.Immutable
open FunTrpo.Kernels

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

    let private dot (a: PooledBuffer) (b: PooledBuffer) =
        Reductions.Dot(Span.op_Implicit a.Doubles, Span.op_Implicit b.Doubles)

    /// sum ← y + α x
    let private addScaled (alpha: float) (x: PooledBuffer) (y: PooledBuffer) (sum: PooledBuffer) =
        Reductions.AddScaled(alpha, Span.op_Implicit x.Doubles, Span.op_Implicit y.Doubles, sum.Doubles)

    /// Curvature below this fraction of the largest seen cannot be told from zero when products are float32.
    let private resolution = 1e-7

    /// As `solve`; but x is written to `solution`, and the vector X is that memory.
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

        /// product ← A p
        let multiply () =
            Reductions.Narrow(Span.op_Implicit p.Doubles, narrowP.Span)
            apply (Vector(Memory.op_Implicit narrowP.Memory)) narrowProduct.Memory
            Reductions.Widen(Span.op_Implicit narrowProduct.Span, product.Doubles)

        x.Doubles.Clear()
        Reductions.Widen(b.Span, r.Doubles)
        r.Doubles.CopyTo p.Doubles
        let mutable squared = dot r r
        let initial = sqrt squared
        let residuals = ImmutableArray.CreateBuilder()
        let curvatures = ImmutableArray.CreateBuilder()
        let mutable largest = 0.0
        let mutable stop = if initial = 0.0 then Some Converged else None

        residuals.Add(if initial = 0.0 then 0.0 else 1.0)

        if not (Double.IsFinite initial) then
            stop <- Some NonFinite

        while stop.IsNone && residuals.Count <= settings.Iterations do
            multiply ()
            let pAp = dot p product
            let curvature = pAp / dot p p

            if not (Double.IsFinite pAp) then
                stop <- Some NonFinite
            else
                curvatures.Add curvature
                largest <- max largest curvature

                if curvature <= resolution * largest then
                    stop <- Some(VanishingCurvature pAp)
                else
                    let alpha = squared / pAp
                    addScaled alpha p x x
                    addScaled -alpha product r r
                    let next = dot r r
                    addScaled (next / squared) p r p
                    squared <- next
                    residuals.Add(sqrt next / initial)

                    if sqrt next <= settings.Tolerance * initial then
                        stop <- Some Converged

        Reductions.Narrow(Span.op_Implicit x.Doubles, solution.Span)

        { X = Vector(Memory.op_Implicit solution)
          Residuals = residuals.ToImmutable()
          Curvatures = curvatures.ToImmutable()
          Stop = defaultArg stop IterationLimit }

    /// Solves A x = b for a symmetric positive definite A, given as v ↦ A v, starting from x = 0
    /// (Hestenes and Stiefel, 1952). Products are float32; x, residuals and dot products are float64.
    let solve settings apply (b: Vector) = solveTo (Array.zeroCreate<float32>(b.Length).AsMemory()) settings apply b
