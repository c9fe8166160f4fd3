using System;
using System.Numerics;
using System.Runtime.InteropServices;

namespace FunTrpo.Kernels;

/// <summary>Dot products, and element-wise combinations and conversions of vectors.</summary>
public static class Reductions
{
    /// <summary>Returns the dot product ⟨a, b⟩, with products and sums in float64.</summary>
    /// <exception cref="ArgumentException">The spans have different lengths.</exception>
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

    /// <summary>Returns the sum of the numbers, in float64.</summary>
    public static double Sum(ReadOnlySpan<float> numbers)
    {
        ReadOnlySpan<Vector<float>> vectors = MemoryMarshal.Cast<float, Vector<float>>(numbers);
        Vector<double> even = Vector<double>.Zero;
        Vector<double> odd = Vector<double>.Zero;
        foreach (Vector<float> vector in vectors)
        {
            Vector.Widen(vector, out Vector<double> low, out Vector<double> high);
            even += low;
            odd += high;
        }

        double sum = Vector.Sum(even + odd);
        for (int i = vectors.Length * Vector<float>.Count; i < numbers.Length; i++)
        {
            sum += numbers[i];
        }

        return sum;
    }

    /// <summary>Writes sum = y + α x. <paramref name="sum"/> may be <paramref name="y"/>.</summary>
    /// <exception cref="ArgumentException">The spans have different lengths.</exception>
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
            vs[i] = Fused.MultiplyAdd(factor, vx[i], vy[i]);
        }

        for (int i = vs.Length * Vector<float>.Count; i < sum.Length; i++)
        {
            sum[i] = Fused.MultiplyAdd(alpha, x[i], y[i]);
        }
    }

    /// <summary>Returns the dot product ⟨a, b⟩ of float64 vectors.</summary>
    /// <exception cref="ArgumentException">The spans have different lengths.</exception>
    public static double Dot(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        Check.SameLength(a.Length, b.Length);
        ReadOnlySpan<Vector<double>> va = MemoryMarshal.Cast<double, Vector<double>>(a);
        ReadOnlySpan<Vector<double>> vb = MemoryMarshal.Cast<double, Vector<double>>(b);
        Vector<double> even = Vector<double>.Zero;
        Vector<double> odd = Vector<double>.Zero;
        int i = 0;
        for (; i + 1 < va.Length; i += 2)
        {
            even = Fused.MultiplyAdd(va[i], vb[i], even);
            odd = Fused.MultiplyAdd(va[i + 1], vb[i + 1], odd);
        }

        double sum = Vector.Sum(even + odd);
        for (int rest = i * Vector<double>.Count; rest < a.Length; rest++)
        {
            sum += a[rest] * b[rest];
        }

        return sum;
    }

    /// <summary>sum = y + α x of float64 vectors. <paramref name="sum"/> may be <paramref name="x"/> or <paramref name="y"/>.</summary>
    public static void AddScaled(double alpha, ReadOnlySpan<double> x, ReadOnlySpan<double> y, Span<double> sum)
    {
        Check.SameLength(x.Length, y.Length);
        Check.SameLength(x.Length, sum.Length);
        ReadOnlySpan<Vector<double>> vx = MemoryMarshal.Cast<double, Vector<double>>(x);
        ReadOnlySpan<Vector<double>> vy = MemoryMarshal.Cast<double, Vector<double>>(y);
        Span<Vector<double>> vs = MemoryMarshal.Cast<double, Vector<double>>(sum);
        Vector<double> factor = new(alpha);
        for (int i = 0; i < vs.Length; i++)
        {
            vs[i] = Fused.MultiplyAdd(factor, vx[i], vy[i]);
        }

        for (int i = vs.Length * Vector<double>.Count; i < sum.Length; i++)
        {
            sum[i] = Fused.MultiplyAdd(alpha, x[i], y[i]);
        }
    }

    /// <summary>Converts float32 to float64.</summary>
    /// <exception cref="ArgumentException">The spans have different lengths.</exception>
    public static void Widen(ReadOnlySpan<float> source, Span<double> target)
    {
        Check.SameLength(source.Length, target.Length);
        for (int i = 0; i < source.Length; i++)
        {
            target[i] = source[i];
        }
    }

    /// <summary>Rounds float64 to the nearest float32.</summary>
    /// <exception cref="ArgumentException">The spans have different lengths.</exception>
    public static void Narrow(ReadOnlySpan<double> source, Span<float> target)
    {
        Check.SameLength(source.Length, target.Length);
        for (int i = 0; i < source.Length; i++)
        {
            target[i] = (float)source[i];
        }
    }

    /// <summary>Writes sum = α x + β y. <paramref name="sum"/> may be <paramref name="x"/> or <paramref name="y"/>.</summary>
    /// <exception cref="ArgumentException">The spans have different lengths.</exception>
    public static void Combine(float alpha, ReadOnlySpan<float> x, float beta, ReadOnlySpan<float> y, Span<float> sum)
    {
        Check.SameLength(x.Length, y.Length);
        Check.SameLength(x.Length, sum.Length);
        ReadOnlySpan<Vector<float>> vx = MemoryMarshal.Cast<float, Vector<float>>(x);
        ReadOnlySpan<Vector<float>> vy = MemoryMarshal.Cast<float, Vector<float>>(y);
        Span<Vector<float>> vs = MemoryMarshal.Cast<float, Vector<float>>(sum);
        for (int i = 0; i < vs.Length; i++)
        {
            vs[i] = Fused.MultiplyAdd(new Vector<float>(alpha), vx[i], beta * vy[i]);
        }

        for (int i = vs.Length * Vector<float>.Count; i < sum.Length; i++)
        {
            sum[i] = Fused.MultiplyAdd(alpha, x[i], beta * y[i]);
        }
    }

    /// <summary>Writes product = a ⊙ b, element by element. <paramref name="product"/> may be <paramref name="a"/>.</summary>
    /// <exception cref="ArgumentException">The spans have different lengths.</exception>
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

    /// <summary>Returns whether all elements are finite: neither NaN nor infinite.</summary>
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
