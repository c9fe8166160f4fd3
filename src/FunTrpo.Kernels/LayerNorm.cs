using System;

namespace FunTrpo.Kernels;

/// <summary>
/// Layer normalisation: y = g ⊙ x̂ + b with x̂ = (x − μ) / √(σ² + 10⁻⁵), where μ and σ² are the mean and the variance of a row x (Ba, Kiros,
/// Hinton, "Layer normalization", 2016). The parameters are g and then b, n numbers each. Means are computed in float64.
/// </summary>
/// <remarks>
/// Rows of x and its tangents are <c>xStride</c> apart, all others <c>Lanes.Pad(n)</c>; their padding is 0. <c>normalised</c> holds the rows
/// x̂, and <c>scales</c> the factor 1 / √(σ² + 10⁻⁵) of each row.
/// </remarks>
public static class LayerNorm
{
    /// <summary>Added to the variance, so that a row of equal numbers is not divided by 0.</summary>
    public const double Epsilon = 1e-5;

    /// <summary>Writes y, x̂ and the scales.</summary>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit.</exception>
    public static void Forward(
        int rows,
        ReadOnlySpan<float> parameters,
        ReadOnlySpan<float> x,
        int xStride,
        Span<float> y,
        Span<float> normalised,
        Span<float> scales
    )
    {
        int n = CheckRows(rows, parameters.Length, normalised.Length, scales.Length);
        Check.SameLength(y.Length, normalised.Length);
        y.Clear();
        normalised.Clear();
        for (int row = 0; row < rows; row++)
        {
            Span<float> ofRow = normalised.Slice(row * Lanes.Pad(n), n);
            scales[row] = Normalise(x.Slice(row * xStride, n), ofRow);
            Span<float> result = y.Slice(row * Lanes.Pad(n), n);
            parameters[n..].CopyTo(result);
            AddProduct(parameters[..n], ofRow, result);
        }
    }

    /// <summary>
    /// Writes the tangent of y, given those of x and of the parameters. An empty <paramref name="xTangent"/> stands for zero.
    /// </summary>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit.</exception>
    public static void Pushforward(
        int rows,
        ReadOnlySpan<float> parameters,
        ReadOnlySpan<float> normalised,
        ReadOnlySpan<float> scales,
        ReadOnlySpan<float> xTangent,
        int xStride,
        ReadOnlySpan<float> parameterTangent,
        Span<float> yTangent
    )
    {
        int n = CheckRows(rows, parameters.Length, normalised.Length, scales.Length);
        Check.SameLength(parameterTangent.Length, parameters.Length);
        Check.SameLength(yTangent.Length, normalised.Length);
        using PooledBuffer tangent = PooledBuffer.Rent(n);
        yTangent.Clear();
        for (int row = 0; row < rows; row++)
        {
            ReadOnlySpan<float> ofRow = normalised.Slice(row * Lanes.Pad(n), n);
            Span<float> result = yTangent.Slice(row * Lanes.Pad(n), n);
            parameterTangent[n..].CopyTo(result);
            AddProduct(parameterTangent[..n], ofRow, result);
            if (!xTangent.IsEmpty)
            {
                xTangent.Slice(row * xStride, n).CopyTo(tangent.Span);
                MultiplyByJacobian(ofRow, scales[row], tangent.Span);
                AddProduct(parameters[..n], tangent.Span, result);
            }
        }
    }

    /// <summary>
    /// For a cotangent u of y: adds that of the parameters, and writes that of x, unless <paramref name="xCotangent"/> is empty.
    /// </summary>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit.</exception>
    public static void Pullback(
        int rows,
        ReadOnlySpan<float> parameters,
        ReadOnlySpan<float> normalised,
        ReadOnlySpan<float> scales,
        ReadOnlySpan<float> yCotangent,
        Span<float> xCotangent,
        Span<float> parameterCotangent
    )
    {
        int n = CheckRows(rows, parameters.Length, normalised.Length, scales.Length);
        Check.SameLength(parameterCotangent.Length, parameters.Length);
        Check.SameLength(yCotangent.Length, normalised.Length);
        Check.SameLength(xCotangent.Length, xCotangent.IsEmpty ? 0 : normalised.Length);
        xCotangent.Clear();
        for (int row = 0; row < rows; row++)
        {
            ReadOnlySpan<float> ofRow = normalised.Slice(row * Lanes.Pad(n), n);
            ReadOnlySpan<float> u = yCotangent.Slice(row * Lanes.Pad(n), n);
            AddProduct(ofRow, u, parameterCotangent[..n]);
            Span<float> shifts = parameterCotangent[n..];
            Reductions.AddScaled(1f, u, shifts, shifts);
            if (!xCotangent.IsEmpty)
            {
                Span<float> result = xCotangent.Slice(row * Lanes.Pad(n), n);
                Reductions.Multiply(parameters[..n], u, result);
                MultiplyByJacobian(ofRow, scales[row], result);
            }
        }
    }

    /// <summary>Writes x̂ of a row, and returns its scale.</summary>
    private static float Normalise(ReadOnlySpan<float> x, Span<float> normalised)
    {
        float mean = (float)(Reductions.Sum(x) / x.Length);
        for (int i = 0; i < x.Length; i++)
        {
            normalised[i] = x[i] - mean;
        }

        float scale = (float)(1.0 / Math.Sqrt((Reductions.Dot(normalised, normalised) / x.Length) + Epsilon));
        for (int i = 0; i < x.Length; i++)
        {
            normalised[i] *= scale;
        }

        return scale;
    }

    /// <summary>
    /// Replaces a row v by scale · (v − mean(v) − x̂ · mean(x̂ ⊙ v)). The Jacobian of x̂ in x is symmetric, so this pushes tangents of x
    /// forward, and pulls cotangents of x̂ back.
    /// </summary>
    private static void MultiplyByJacobian(ReadOnlySpan<float> normalised, float scale, Span<float> v)
    {
        float mean = (float)(Reductions.Sum(v) / v.Length);
        float along = (float)(Reductions.Dot(normalised, v) / v.Length);
        for (int i = 0; i < v.Length; i++)
        {
            v[i] = scale * (v[i] - mean - (normalised[i] * along));
        }
    }

    /// <summary>sum ← sum + a ⊙ b</summary>
    private static void AddProduct(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> sum)
    {
        for (int i = 0; i < sum.Length; i++)
        {
            sum[i] = Fused.MultiplyAdd(a[i], b[i], sum[i]);
        }
    }

    /// <summary>Returns n.</summary>
    private static int CheckRows(int rows, int parameters, int normalised, int scales)
    {
        int n = parameters / 2;
        Check.SameLength(parameters, 2L * n);
        Check.SameLength(normalised, Check.Product(rows, Lanes.Pad(n)));
        Check.SameLength(scales, rows);
        return n;
    }
}
