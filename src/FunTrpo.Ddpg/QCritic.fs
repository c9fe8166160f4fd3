namespace FunTrpo.Ddpg

open System
open FunTrpo
open FunTrpo.Kernels

/// The critic Q(s, a): a network that reads an observation followed by an action in half-widths of the box, and has one output.
module QCritic =

    /// A small gain of the output weights, so that values start close to 0.
    let private outputGain = 0.01

    /// What the network reads: an observation without its mask, and an action between −1 and 1.
    let inputSpace observationSpace actionSpace =
        Parts
            [ "observation", Space.observed observationSpace
              "action", Space.box (Space.width actionSpace) -1.0 1.0 ]

    /// The network with these hidden layers. Throws an `ArgumentException` if a layer cannot read what comes before it.
    let create architecture observationSpace actionSpace =
        Architecture.network (inputSpace observationSpace actionSpace) outputGain 1 0 0.0 architecture

    /// Writes each observation followed by its action.
    let internal joinTo (joined: Memory<float32>) (observations: Matrix) (actions: Matrix) =
        let width = observations.Columns + actions.Columns
        let target = joined.Span
        PaddedRows.Copy(observations.Rows, observations.Columns, observations.Span, observations.Columns, target, width)

        PaddedRows.Copy(
            actions.Rows,
            actions.Columns,
            actions.Span,
            actions.Columns,
            target.Slice observations.Columns,
            width
        )

        Matrix(observations.Rows, width, Memory.op_Implicit joined)

    /// The rows that the network reads: each observation followed by its action. Throws an `ArgumentException` if there are not as many of
    /// both.
    let join (observations: Matrix) (actions: Matrix) =
        if observations.Rows <> actions.Rows then
            invalidArg (nameof actions) $"there are {actions.Rows}, and {observations.Rows} observations"

        let joined = Array.zeroCreate<float32>(observations.Rows * (observations.Columns + actions.Columns))
        joinTo (joined.AsMemory()) observations actions

    /// Q(s, a) of each row. The observations are normalised, and the actions in half-widths of the box.
    let values network parameters observations actions =
        join observations actions |> Network.forward network parameters |> Matrix.flatten

    /// The target of Q for one experience (algorithm 1): y = r + γ Q′(s′, μ′(s′)), and y = r where the task ended. A time limit ends no
    /// task: what would have followed is bootstrapped.
    let target (gamma: float) reward terminated nextValue = if terminated then reward else reward + gamma * nextValue

    /// The loss (1/N) Σ (Q − y)² of values against targets; writes its derivative 2 (Q − y) / N in each value.
    let internal lossTo (cotangents: Span<float32>) (values: ReadOnlySpan<float32>) (targets: ReadOnlySpan<float32>) =
        let count = float values.Length
        let mutable sum = 0.0

        for row in 0 .. values.Length - 1 do
            let error = float values[row] - float targets[row]
            sum <- sum + error * error
            cotangents[row] <- float32 (2.0 * error / count)

        sum / count

    /// The loss (1/N) Σ (Q(s, a) − y)² at parameters θ, and its gradient in θ. `rows` are those of `join`. Throws an `ArgumentException` if
    /// there are not as many targets, or the sizes do not fit the network.
    let loss network parameters (rows: Matrix) (targets: Vector) =
        if targets.Length <> rows.Rows then
            invalidArg (nameof targets) $"there are {targets.Length}, and {rows.Rows} rows"

        use at = Network.linearize network parameters rows
        let cotangents = Array.zeroCreate<float32> rows.Rows
        let loss = lossTo (cotangents.AsSpan()) at.Outputs.Span targets.Span
        struct (loss, at.Pullback(Matrix.adopt rows.Rows 1 cotangents))
