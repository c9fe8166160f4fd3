using System;
using System.Runtime.CompilerServices;

namespace FunTrpo.Kernels;

/// <summary>
/// Gradient descent with adaptive moments. Kingma and Ba, "Adam: a method for stochastic optimization" (2014), algorithm 1.
/// </summary>
public static unsafe class Adam
{
    /// <summary>β₁, the decay rate of the running mean of the gradient.</summary>
    public const float MeanDecay = 0.9f;

    /// <summary>β₂, the decay rate of the running mean of the squared gradient.</summary>
    public const float SquareDecay = 0.999f;

    /// <summary>ε, which is added to the divisor so that it is not zero.</summary>
    public const float Epsilon = 1e-8f;

    /// <summary>
    /// Makes step t = <paramref name="step"/> (the first is 1) of Adam: m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g²,
    /// θ ← θ − α m̂ / (√v̂ + ε) with m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ). Updates m, v and θ in place.
    /// </summary>
    /// <param name="step">t, the number of the step, from 1.</param>
    /// <param name="learningRate">α</param>
    /// <param name="gradient">g</param>
    /// <param name="mean">m</param>
    /// <param name="square">v</param>
    /// <param name="parameters">θ</param>
    /// <exception cref="ArgumentException">The spans have different lengths.</exception>
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
                    Count = gradient.Length,
                    Rate = rate,
                    Scale = scale,
                    Gradient = g,
                    Mean = m,
                    Square = v,
                    Parameters = theta,
                }
            );
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

        /// <summary>
        /// Updates vector by vector. The last numbers, if they do not fill a vector, are copied to whole vectors and back.
        /// </summary>
        [MethodImpl(Compiled.Separately)]
        public readonly void Run<TVector>()
            where TVector : unmanaged, ISimdVector<TVector>
        {
            int rest = Count % TVector.Count;
            int whole = Count - rest;
            for (int i = 0; i < whole; i += TVector.Count)
            {
                Update<TVector>(Gradient + i, Mean + i, Square + i, Parameters + i);
            }

            if (rest > 0)
            {
                float* g = stackalloc float[4 * TVector.Count];
                float* m = g + TVector.Count;
                float* v = m + TVector.Count;
                float* theta = v + TVector.Count;
                Copy(rest, Gradient + whole, g);
                Copy(rest, Mean + whole, m);
                Copy(rest, Square + whole, v);
                Copy(rest, Parameters + whole, theta);
                Update<TVector>(g, m, v, theta);
                Copy(rest, m, Mean + whole);
                Copy(rest, v, Square + whole);
                Copy(rest, theta, Parameters + whole);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private readonly void Update<TVector>(float* gradient, float* mean, float* square, float* parameters)
            where TVector : unmanaged, ISimdVector<TVector>
        {
            TVector g = TVector.Load(gradient);
            TVector m = TVector.Load(mean);
            TVector v = TVector.Load(square);
            m.AddProduct(TVector.Create(1f - MeanDecay), g - m);
            v.AddProduct(TVector.Create(1f - SquareDecay), (g * g) - v);
            m.Store(mean);
            v.Store(square);
            TVector step =
                TVector.Create(Rate) * m / (TVector.SquareRoot(TVector.Create(Scale) * v) + TVector.Create(Epsilon));
            (TVector.Load(parameters) - step).Store(parameters);
        }

        private static void Copy(int count, float* source, float* target) =>
            new ReadOnlySpan<float>(source, count).CopyTo(new(target, count));
    }
}
