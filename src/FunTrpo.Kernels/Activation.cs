using System;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace FunTrpo.Kernels;

/// <summary>The activation functions of a dense layer.</summary>
public enum Activation
{
    /// <summary>x</summary>
    Identity,

    /// <summary>tanh x</summary>
    Tanh,

    /// <summary>max(0, x)</summary>
    Relu,

    /// <summary>1 / (1 + e⁻ˣ)</summary>
    Sigmoid,

    /// <summary>x for x &gt; 0, eˣ − 1 otherwise</summary>
    Elu,

    /// <summary>log(1 + eˣ)</summary>
    Softplus,

    /// <summary>x / (1 + e⁻ˣ), also called SiLU</summary>
    Swish,
}

/// <summary>Applies an activation function and its derivative to a block of numbers.</summary>
public static unsafe class Activations
{
    /// <summary>
    /// Replaces every x of <paramref name="values"/> by f(x) and writes f′(x) to <paramref name="derivatives"/>, unless that span
    /// is empty.
    /// </summary>
    /// <exception cref="ArgumentException">The spans have different lengths.</exception>
    public static void Apply(Activation activation, Span<float> values, Span<float> derivatives)
    {
        if (!derivatives.IsEmpty)
        {
            Check.SameLength(derivatives.Length, values.Length);
        }

        switch (activation)
        {
            case Activation.Identity:
                derivatives.Fill(1f);
                break;
            case Activation.Tanh:
                ApplyTanh(values, derivatives);
                break;
            case Activation.Relu:
                ApplyRelu(values, derivatives);
                break;
            case Activation.Sigmoid:
                ApplyEach(values, derivatives, Sigmoid);
                break;
            case Activation.Elu:
                ApplyEach(values, derivatives, Elu);
                break;
            case Activation.Softplus:
                ApplyEach(values, derivatives, Softplus);
                break;
            case Activation.Swish:
                ApplyEach(values, derivatives, Swish);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(activation), activation, null);
        }
    }

    /// <summary>Returns f′, given the kept value: 1 − kept² if f is tanh, because then f itself is kept; otherwise kept.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static TVector Slope<TVector>(bool isTanh, TVector kept)
        where TVector : unmanaged, ISimdVector<TVector> => isTanh ? TanhSlope(kept) : kept;

    /// <summary>tanh′ = 1 − tanh²</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static TVector TanhSlope<TVector>(TVector tanh)
        where TVector : unmanaged, ISimdVector<TVector> => TVector.Create(1f) - (tanh * tanh);

    private static void ApplyTanh(Span<float> values, Span<float> derivatives)
    {
        int whole = values.Length / Lanes.Width * Lanes.Width;
        fixed (
            float* f = values,
                df = derivatives
        )
        {
            Lanes.Run(
                new TanhKernel
                {
                    Count = whole,
                    F = f,
                    Derivatives = df,
                }
            );
        }

        if (whole < values.Length)
        {
            Span<float> rest = stackalloc float[Lanes.Width];
            Span<float> restDerivatives = stackalloc float[Lanes.Width];
            rest.Clear();
            values[whole..].CopyTo(rest);
            ApplyTanh(rest, restDerivatives);
            rest[..(values.Length - whole)].CopyTo(values[whole..]);
            restDerivatives[..(values.Length - whole)].CopyTo(derivatives.IsEmpty ? rest : derivatives[whole..]);
        }
    }

    private struct TanhKernel : IKernel
    {
        public int Count;
        public float* F;

        /// <summary>Null if the derivatives are not wanted.</summary>
        public float* Derivatives;

        [MethodImpl(Compiled.Separately)]
        public readonly void Run<TVector>()
            where TVector : unmanaged, ISimdVector<TVector>
        {
            for (int i = 0; i < Count; i += TVector.Count)
            {
                TVector tanh = Tanh(TVector.Load(F + i));
                tanh.Store(F + i);
                if (Derivatives != null)
                {
                    Slope(true, tanh).Store(Derivatives + i);
                }
            }
        }
    }

    /// <summary>
    /// tanh x as the quotient of an odd polynomial of degree 13 and an even polynomial of degree 6. The error is at most 5 ulp (3e-7).
    /// The coefficients are those of the minimax fit that the Eigen library documents for float32.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static TVector Tanh<TVector>(TVector x)
        where TVector : unmanaged, ISimdVector<TVector>
    {
        // Beyond ±7.9 the float32 nearest to tanh x is ±1. Clamp leaves NaN unchanged.
        const float limit = 7.90531110763549805f;
        x = TVector.Clamp(x, -limit, limit);
        TVector square = x * x;

        TVector p = TVector.Create(-2.76076847742355e-16f);
        p = TVector.FusedMultiplyAdd(p, square, TVector.Create(2.00018790482477e-13f));
        p = TVector.FusedMultiplyAdd(p, square, TVector.Create(-8.60467152213735e-11f));
        p = TVector.FusedMultiplyAdd(p, square, TVector.Create(5.12229709037114e-08f));
        p = TVector.FusedMultiplyAdd(p, square, TVector.Create(1.48572235717979e-05f));
        p = TVector.FusedMultiplyAdd(p, square, TVector.Create(6.37261928875436e-04f));
        p = TVector.FusedMultiplyAdd(p, square, TVector.Create(4.89352455891786e-03f));

        TVector q = TVector.Create(1.19825839466702e-06f);
        q = TVector.FusedMultiplyAdd(q, square, TVector.Create(1.18534705686654e-04f));
        q = TVector.FusedMultiplyAdd(q, square, TVector.Create(2.26843463243900e-03f));
        q = TVector.FusedMultiplyAdd(q, square, TVector.Create(4.89352518554385e-03f));

        return TVector.Clamp(x * p / q, -1f, 1f);
    }

    private static void ApplyRelu(Span<float> values, Span<float> derivatives)
    {
        int i = 0;
        for (; i + Vector<float>.Count <= values.Length; i += Vector<float>.Count)
        {
            Vector<float> x = new(values[i..]);
            Vector.ConditionalSelect(Vector.LessThan(x, Vector<float>.Zero), Vector<float>.Zero, x).CopyTo(values[i..]);
            if (!derivatives.IsEmpty)
            {
                Vector<int> isPositive = Vector.GreaterThan(x, Vector<float>.Zero);
                Vector.ConditionalSelect(isPositive, Vector<float>.One, Vector<float>.Zero).CopyTo(derivatives[i..]);
            }
        }

        for (; i < values.Length; i++)
        {
            // This form keeps NaN, so that the stage that produced it reports it. So does the one above.
            float x = values[i];
            values[i] = x < 0f ? 0f : x;
            if (!derivatives.IsEmpty)
            {
                derivatives[i] = x > 0f ? 1f : 0f;
            }
        }
    }

    private static void ApplyEach(
        Span<float> values,
        Span<float> derivatives,
        Func<double, (double Value, double Derivative)> function
    )
    {
        for (int i = 0; i < values.Length; i++)
        {
            (double value, double derivative) = function(values[i]);
            values[i] = (float)value;
            if (!derivatives.IsEmpty)
            {
                derivatives[i] = (float)derivative;
            }
        }
    }

    private static (double Value, double Derivative) Sigmoid(double x)
    {
        double s = 1.0 / (1.0 + Math.Exp(-x));
        return (s, s * (1.0 - s));
    }

    private static (double Value, double Derivative) Elu(double x) =>
        x > 0.0 ? (x, 1.0) : (Math.Exp(x) - 1.0, Math.Exp(x));

    private static (double Value, double Derivative) Softplus(double x) =>
        (Math.Max(x, 0.0) + Math.Log(1.0 + Math.Exp(-Math.Abs(x))), Sigmoid(x).Value);

    private static (double Value, double Derivative) Swish(double x)
    {
        double s = Sigmoid(x).Value;
        return (x * s, s + (x * s * (1.0 - s)));
    }
}
