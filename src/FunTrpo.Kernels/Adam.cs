using System;
using System.Numerics;
using System.Runtime.InteropServices;

namespace FunTrpo.Kernels;

/// <summary>
/// Gradient descent with adaptive moments. Kingma and Ba, "Adam: a method for stochastic optimization" (2014), algorithm 1.
/// </summary>
public static class Adam
{
    /// <summary>β₁, how much of the mean gradient a step keeps.</summary>
    public const float MeanDecay = 0.9f;

    /// <summary>β₂, how much of the mean squared gradient a step keeps.</summary>
    public const float SquareDecay = 0.999f;

    /// <summary>ε, which keeps the division finite.</summary>
    public const float Epsilon = 1e-8f;

    /// <summary>
    /// Step number <paramref name="step"/> (the first is 1) along the gradient: m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g²,
    /// θ ← θ − α m̂ / (√v̂ + ε) with m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ).
    /// </summary>
    public static void Step(
        long step,
        double learningRate,
        ReadOnlySpan<float> gradient,
        Span<float> mean,
        Span<float> square,
        Span<float> parameters
    )
    {
        Check.SameLength(mean.Length, gradient.Length);
        Check.SameLength(square.Length, gradient.Length);
        Check.SameLength(parameters.Length, gradient.Length);
        float rate = (float)(learningRate / (1.0 - Math.Pow(MeanDecay, step)));
        float scale = (float)(1.0 / (1.0 - Math.Pow(SquareDecay, step)));

        ReadOnlySpan<Vector<float>> g = MemoryMarshal.Cast<float, Vector<float>>(gradient);
        Span<Vector<float>> m = MemoryMarshal.Cast<float, Vector<float>>(mean);
        Span<Vector<float>> v = MemoryMarshal.Cast<float, Vector<float>>(square);
        Span<Vector<float>> theta = MemoryMarshal.Cast<float, Vector<float>>(parameters);
        for (int i = 0; i < g.Length; i++)
        {
            Update(g[i], ref m[i], ref v[i], ref theta[i], rate, scale);
        }

        for (int i = g.Length * Vector<float>.Count; i < gradient.Length; i++)
        {
            Vector<float> lastM = new(mean[i]);
            Vector<float> lastV = new(square[i]);
            Vector<float> lastTheta = new(parameters[i]);
            Update(new(gradient[i]), ref lastM, ref lastV, ref lastTheta, rate, scale);
            mean[i] = lastM[0];
            square[i] = lastV[0];
            parameters[i] = lastTheta[0];
        }
    }

    private static void Update(
        Vector<float> g,
        ref Vector<float> m,
        ref Vector<float> v,
        ref Vector<float> theta,
        float rate,
        float scale
    )
    {
        m = Fused.MultiplyAdd(new(1f - MeanDecay), g - m, m);
        v = Fused.MultiplyAdd(new(1f - SquareDecay), (g * g) - v, v);
        theta -= rate * m / (Vector.SquareRoot(scale * v) + new Vector<float>(Epsilon));
    }
}
