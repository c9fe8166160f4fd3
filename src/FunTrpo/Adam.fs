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
/// β₁ = 0.9, β₂ = 0.999 and ε = 10⁻⁸. The critic's fit and PPO make the same steps in place, on packed parameters.
module Adam =

    /// The state before the first step for parameters of this length.
    let init (parameters: Vector) =
        let zero = Vector.zero parameters.Length
        { FirstMoment = zero; SecondMoment = zero; Steps = 0L }

    /// No state: that of an optimiser which has not begun.
    let none = init (Vector.zero 0)

    /// The state, or that before the first step for these parameters if there is none.
    let orInit (parameters: Vector) (state: AdamState) = if state.FirstMoment.Length = 0 then init parameters else state

    /// Whether all moments are finite.
    let isFinite (state: AdamState) = Vector.isFinite state.FirstMoment && Vector.isFinite state.SecondMoment

    /// The parameters and the state after one step of descent on a loss with this gradient.
    let update learningRate (gradient: Vector) (state: AdamState) (parameters: Vector) =
        let steps = state.Steps + 1L
        let mean, square = Vector.toArray state.FirstMoment, Vector.toArray state.SecondMoment
        let next = Vector.toArray parameters
        FunTrpo.Kernels.Adam.Step(steps, learningRate, gradient.Span, mean.AsSpan(), square.AsSpan(), next.AsSpan())

        struct (Vector.adopt next,
                { FirstMoment = Vector.adopt mean; SecondMoment = Vector.adopt square; Steps = steps })

    /// Makes step number `steps` in place, on packed parameters whose moments 0 and 1 are those of Adam. The gradient is packed, too; its places
    /// that hold no parameter are cleared.
    let internal updatePacked steps learningRate (gradient: Memory<float32>) (packed: Network.Packed) =
        packed.ClearGaps gradient
        let parameters, mean, square = packed.Parameters, packed.Moment 0, packed.Moment 1

        packed.ForEachPart(fun first count ->
            FunTrpo.Kernels.Adam.Step(
                steps,
                learningRate,
                Span.op_Implicit (gradient.Span.Slice(first, count)),
                mean.Span.Slice(first, count),
                square.Span.Slice(first, count),
                parameters.Span.Slice(first, count)
            ))
