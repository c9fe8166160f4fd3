using System;
using System.Numerics;
using System.Runtime.InteropServices;

namespace FunTrpo.Kernels;

/// <summary>Sums over vectors of float32 in float64, and element-wise combinations of two vectors.</summary>
public static class Reductions
{
    /// <summary>⟨a, b⟩, with products and sums in float64.</summary>
    public static double Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        Check.SameLength(a.Length, b.Length);
        ReadOnlySpan<Vector<float>> va = MemoryMarshal.Cast<float, Vector<float>>(a);
        ReadOnlySpan<Vector<float>> vb = MemoryMarshal.Cast<float, Vector<float>>(b);
        Vector<double> even = Vector<double>.Zero;
        Vector<double> odd = Vector<double>.Zero;

        for (int i = 0; i < va.Length; i++)
        {
            Vector.Widen(va[i], out Vector<double> aLow, out Vector<double> aHigh);
            Vector.Widen(vb[i], out Vector<double> bLow, out Vector<double> bHigh);
            even += aLow * bLow;
            odd += aHigh * bHigh;
        }

        double sum = Vector.Sum(even + odd);
        for (int i = va.Length * Vector<float>.Count; i < a.Length; i++)
        {
            sum += (double)a[i] * b[i];
        }

        return sum;
    }

    /// <summary>sum = y + α x. <paramref name="sum"/> may be <paramref name="y"/> itself.</summary>
    public static void AddScaled(float alpha, ReadOnlySpan<float> x, ReadOnlySpan<float> y, Span<float> sum)
    {
        Check.SameLength(x.Length, y.Length);
        Check.SameLength(x.Length, sum.Length);
        ReadOnlySpan<Vector<float>> vx = MemoryMarshal.Cast<float, Vector<float>>(x);
        ReadOnlySpan<Vector<float>> vy = MemoryMarshal.Cast<float, Vector<float>>(y);
        Span<Vector<float>> vs = MemoryMarshal.Cast<float, Vector<float>>(sum);
        Vector<float> factor = new(alpha);

        for (int i = 0; i < vs.Length; i++)
        {
            vs[i] = Vector.FusedMultiplyAdd(factor, vx[i], vy[i]);
        }

        for (int i = vs.Length * Vector<float>.Count; i < sum.Length; i++)
        {
            sum[i] = MathF.FusedMultiplyAdd(alpha, x[i], y[i]);
        }
    }

    /// <summary>product = a ⊙ b, element by element. <paramref name="product"/> may be <paramref name="a"/> itself.</summary>
    public static void Multiply(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> product)
    {
        Check.SameLength(a.Length, b.Length);
        Check.SameLength(product.Length, b.Length);
        ReadOnlySpan<Vector<float>> va = MemoryMarshal.Cast<float, Vector<float>>(a);
        ReadOnlySpan<Vector<float>> vb = MemoryMarshal.Cast<float, Vector<float>>(b);
        Span<Vector<float>> vp = MemoryMarshal.Cast<float, Vector<float>>(product);

        for (int i = 0; i < vp.Length; i++)
        {
            vp[i] = va[i] * vb[i];
        }

        for (int i = vp.Length * Vector<float>.Count; i < product.Length; i++)
        {
            product[i] = a[i] * b[i];
        }
    }

    /// <summary>Adds the sum of each column of a row-major matrix to <paramref name="sums"/>, row after row.</summary>
    public static void AddColumnSums(int rows, int columns, ReadOnlySpan<float> matrix, Span<float> sums)
    {
        Check.SameLength(matrix.Length, rows * columns);
        for (int r = 0; r < rows; r++)
        {
            AddScaled(1f, matrix.Slice(r * columns, columns), sums, sums);
        }
    }

    /// <summary>Whether no element is NaN or infinite.</summary>
    public static bool AllFinite(ReadOnlySpan<float> values)
    {
        foreach (float value in values)
        {
            if (!float.IsFinite(value))
            {
                return false;
            }
        }

        return true;
    }
}
