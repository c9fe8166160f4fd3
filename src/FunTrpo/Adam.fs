namespace FunTrpo

open System

/// The state of Adam between two steps.
type AdamState =
    {
        /// The running mean of the gradients.
        FirstMoment: Vector
        /// The running mean of the squared gradients.
        SecondMoment: Vector
        /// The number of steps so far.
        Steps: int64
    }

/// Gradient descent with adaptive moments (Kingma and Ba 2014, "Adam: a method for stochastic optimization", algorithm 1), with
/// β₁ = 0.9, β₂ = 0.999 and ε = 10⁻⁸. The critic's fit makes the same steps in place, on packed parameters (`CriticFit`).
module Adam =

    /// The state before the first step for parameters of this length.
    let init (parameters: Vector) =
        let zero = Vector.zero parameters.Length
        { FirstMoment = zero; SecondMoment = zero; Steps = 0L }

    /// The parameters and the state after one step of descent on a loss with this gradient.
    let update learningRate (gradient: Vector) (state: AdamState) (parameters: Vector) =
        let steps = state.Steps + 1L
        let mean, square = Vector.toArray state.FirstMoment, Vector.toArray state.SecondMoment
        let next = Vector.toArray parameters
        FunTrpo.Kernels.Adam.Step(steps, learningRate, gradient.Span, mean.AsSpan(), square.AsSpan(), next.AsSpan())

        struct (Vector.adopt next,
                { FirstMoment = Vector.adopt mean; SecondMoment = Vector.adopt square; Steps = steps })
