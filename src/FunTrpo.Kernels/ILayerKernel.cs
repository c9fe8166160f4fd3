using System;

namespace FunTrpo.Kernels;

/// <summary>
/// The operations of a layer y = f(z) with z linear in the parameters, on parameters that are packed into the order and padding that its
/// loops read. There is one row for each sample: rows of y, of its tangents and cotangents, and of f′ are <see cref="Stride"/> apart, rows
/// of x and its tangents <c>xStride</c>, and rows of the cotangent of x <c>Lanes.Pad(Inputs)</c>. A row has the same result, bit for bit,
/// whatever the other rows are.
/// </summary>
public interface ILayerKernel
{
    /// <summary>The number of columns of x.</summary>
    int Inputs { get; }

    /// <summary>The number of columns of y.</summary>
    int Outputs { get; }

    /// <summary>f</summary>
    Activation Activation { get; }

    /// <summary>The length of a parameter vector.</summary>
    int ParameterCount { get; }

    /// <summary>The stride of the rows of y.</summary>
    int Stride => Lanes.Pad(Outputs);

    /// <summary>The length of a packed parameter vector.</summary>
    int PackedCount { get; }

    /// <summary>The length of what <see cref="Transpose"/> writes.</summary>
    int TransposedCount { get; }

    /// <summary>Whether f′ is 1 everywhere. Then the spans of derivatives are empty.</summary>
    bool IsLinear => Activation == Activation.Identity;

    /// <summary>
    /// Whether f′ = 1 − y². Then the pushforward and the pullback take y in place of f′, which halves the memory to read and write.
    /// </summary>
    bool IsTanh => Activation == Activation.Tanh;

    /// <summary>Packs a parameter vector, or a tangent of one.</summary>
    void Pack(ReadOnlySpan<float> parameters, Span<float> packed);

    /// <summary>Unpacks packed parameters, or a tangent or cotangent of them.</summary>
    void Unpack(ReadOnlySpan<float> packed, Span<float> parameters);

    /// <summary>Writes the transposed weights of packed parameters, for <see cref="Pullback"/>.</summary>
    void Transpose(ReadOnlySpan<float> packed, Span<float> transposed);

    /// <summary>
    /// Writes y, and f′ to <paramref name="derivative"/> unless that span is empty. For tanh it may be empty, since f′ follows from y.
    /// </summary>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit the layer.</exception>
    void Forward(
        int rows,
        ReadOnlySpan<float> packed,
        ReadOnlySpan<float> x,
        int xStride,
        Span<float> y,
        Span<float> derivative
    );

    /// <summary>
    /// Writes the tangent of y, given the tangents of x and of the packed parameters. An empty <paramref name="xTangent"/> stands for zero.
    /// </summary>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit the layer.</exception>
    void Pushforward(
        int rows,
        ReadOnlySpan<float> packed,
        ReadOnlySpan<float> x,
        int xStride,
        ReadOnlySpan<float> derivative,
        ReadOnlySpan<float> xTangent,
        ReadOnlySpan<float> packedTangent,
        Span<float> yTangent
    );

    /// <summary>
    /// Computes the cotangents of the parameters and of x, given the cotangent δ of z. That of the parameters is <em>added</em> to
    /// <paramref name="packedCotangent"/>. <paramref name="xCotangent"/> becomes that of x, multiplied by f′ of the layer that computed x:
    /// this is the δ of that layer. If the span is empty, it is not computed.
    /// </summary>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit the layer.</exception>
    void Pullback(
        int rows,
        ReadOnlySpan<float> transposed,
        ReadOnlySpan<float> x,
        int xStride,
        ActivationDerivatives xSlopes,
        ReadOnlySpan<float> delta,
        Span<float> xCotangent,
        Span<float> packedCotangent
    );
}
