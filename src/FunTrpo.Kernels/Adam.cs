using System;
using System.Runtime.CompilerServices;

namespace FunTrpo.Kernels;

/// <summary>
/// Gradient descent with adaptive moments. Kingma and Ba, "Adam: a method for stochastic optimization" (2014), algorithm 1.
/// </summary>
public static unsafe class Adam
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
        int whole = gradient.Length / Lanes.Width * Lanes.Width;
        fixed (
            float* g = gradient,
                m = mean,
                v = square,
                theta = parameters
        )
        {
            Lanes.Run(
                new Kernel
                {
                    Count = whole,
                    Rate = rate,
                    Scale = scale,
                    Gradient = g,
                    Mean = m,
                    Square = v,
                    Parameters = theta,
                }
            );
        }

        for (int i = whole; i < gradient.Length; i++)
        {
            float g = gradient[i];
            mean[i] = Fused.MultiplyAdd(1f - MeanDecay, g - mean[i], mean[i]);
            square[i] = Fused.MultiplyAdd(1f - SquareDecay, (g * g) - square[i], square[i]);
            parameters[i] -= rate * mean[i] / (MathF.Sqrt(scale * square[i]) + Epsilon);
        }
    }

    private struct Kernel : IKernel
    {
        public int Count;
        public float Rate;
        public float Scale;
        public float* Gradient;
        public float* Mean;
        public float* Square;
        public float* Parameters;

        [MethodImpl(Compiled.ByItself)]
        public readonly void Run<TLane>()
            where TLane : unmanaged, ILane<TLane>
        {
            TLane rate = TLane.Create(Rate);
            TLane scale = TLane.Create(Scale);
            for (int i = 0; i < Count; i += TLane.Count)
            {
                TLane g = TLane.Load(Gradient + i);
                TLane m = TLane.Load(Mean + i);
                TLane v = TLane.Load(Square + i);
                m.AddProduct(TLane.Create(1f - MeanDecay), g - m);
                v.AddProduct(TLane.Create(1f - SquareDecay), (g * g) - v);
                m.Store(Mean + i);
                v.Store(Square + i);
                TLane step = rate * m / (TLane.SquareRoot(scale * v) + TLane.Create(Epsilon));
                (TLane.Load(Parameters + i) - step).Store(Parameters + i);
            }
        }
    }
}
