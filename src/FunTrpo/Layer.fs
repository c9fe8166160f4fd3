namespace FunTrpo

open System
open FunTrpo.Kernels

type Activation = FunTrpo.Kernels.Activation

/// v ↦ A v: writes the product into memory that the caller owns.
type LinearMap = Vector -> Memory<float32> -> unit

/// A differentiable map y = f(θ, x) from parameters θ and one row of inputs x to one row of outputs y, with its two derivatives.
///
/// Inputs, outputs, tangents and cotangents are row-major, one row a sample, without gaps. A row is an array of the shape `InputShape` or
/// `OutputShape`, of which layers that only read rows use no more than the size. J_θ and J_x are the Jacobians of y in θ and in x, row by row. A method writes to the spans that it is given and keeps none of them.
/// Several threads call a layer at a time.
///
/// This is all that a layer of your own needs. The layers of the library are faster than the contract requires: they are `PackedLayer`s.
type Layer =

    /// The shape of a row of inputs.
    abstract InputShape: ArrayShape

    /// The shape of a row of outputs.
    abstract OutputShape: ArrayShape

    /// The length of the parameters θ.
    abstract ParameterCount: int

    /// Parameters to start from.
    abstract Initialise: Key -> Vector

    /// Writes y = f(θ, x).
    abstract Forward:
        parameters: ReadOnlySpan<float32> * rows: int * input: ReadOnlySpan<float32> * output: Span<float32> -> unit

    /// Writes the tangent of the output, J_x v_x + J_θ v_θ (the JVP). An empty input tangent v_x stands for zero.
    abstract Pushforward:
        parameters: ReadOnlySpan<float32> *
        rows: int *
        input: ReadOnlySpan<float32> *
        inputTangent: ReadOnlySpan<float32> *
        parameterTangent: ReadOnlySpan<float32> *
        outputTangent: Span<float32> ->
            unit

    /// For a cotangent u of the output (the VJP): writes J_xᵀ u to the input cotangent, unless that is empty, and adds Σ_rows J_θᵀ u to
    /// the parameter cotangent.
    abstract Pullback:
        parameters: ReadOnlySpan<float32> *
        rows: int *
        input: ReadOnlySpan<float32> *
        outputCotangent: ReadOnlySpan<float32> *
        inputCotangent: Span<float32> *
        parameterCotangent: Span<float32> ->
            unit

/// A layer for inputs of a given shape. Throws an `ArgumentException` if the layer cannot read this shape.
type LayerBuilder = ArrayShape -> Layer

[<AutoOpen>]
module LayerSizes =

    type Layer with

        /// The length of a row of inputs.
        member layer.Inputs = ArrayShape.length layer.InputShape

        /// The length of a row of outputs.
        member layer.Outputs = ArrayShape.length layer.OutputShape
