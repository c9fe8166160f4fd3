using System;
using System.Numerics;
using System.Runtime.InteropServices;

namespace FunTrpo.Kernels;

/// <summary>The non-linearities of a dense layer.</summary>
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

/// <summary>Applies an activation to a block of numbers, and gives its derivative at them.</summary>
public static class Activations
{
    /// <summary>
    /// Replaces every x of <paramref name="values"/> by f(x) and writes f′(x) to <paramref name="derivatives"/>.
    /// </summary>
    public static void Apply(Activation activation, Span<float> values, Span<float> derivatives)
    {
        Check.SameLength(derivatives.Length, values.Length);
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

    private static void ApplyTanh(Span<float> values, Span<float> derivatives)
    {
        Span<Vector<float>> f = MemoryMarshal.Cast<float, Vector<float>>(values);
        Span<Vector<float>> df = MemoryMarshal.Cast<float, Vector<float>>(derivatives);
        for (int i = 0; i < f.Length; i++)
        {
            Vector<float> tanh = Tanh(f[i]);
            f[i] = tanh;
            df[i] = Vector<float>.One - (tanh * tanh);
        }

        for (int i = f.Length * Vector<float>.Count; i < values.Length; i++)
        {
            float tanh = Tanh(new Vector<float>(values[i]))[0];
            values[i] = tanh;
            derivatives[i] = 1f - (tanh * tanh);
        }
    }

    /// <summary>
    /// tanh x as a quotient of an odd polynomial of degree 13 and an even one of degree 6, within 5 ulp (3e-7).
    /// The coefficients are those of the minimax fit that the Eigen library documents for float32.
    /// </summary>
    private static Vector<float> Tanh(Vector<float> x)
    {
        // Beyond ±7.9 the nearest float32 of tanh x is ±1; NaN passes through both bounds.
        Vector<float> limit = new(7.90531110763549805f);
        x = Vector.ConditionalSelect(Vector.GreaterThan(x, limit), limit, x);
        x = Vector.ConditionalSelect(Vector.LessThan(x, -limit), -limit, x);
        Vector<float> square = x * x;

        Vector<float> p = new(-2.76076847742355e-16f);
        p = Vector.FusedMultiplyAdd(p, square, new(2.00018790482477e-13f));
        p = Vector.FusedMultiplyAdd(p, square, new(-8.60467152213735e-11f));
        p = Vector.FusedMultiplyAdd(p, square, new(5.12229709037114e-08f));
        p = Vector.FusedMultiplyAdd(p, square, new(1.48572235717979e-05f));
        p = Vector.FusedMultiplyAdd(p, square, new(6.37261928875436e-04f));
        p = Vector.FusedMultiplyAdd(p, square, new(4.89352455891786e-03f));

        Vector<float> q = new(1.19825839466702e-06f);
        q = Vector.FusedMultiplyAdd(q, square, new(1.18534705686654e-04f));
        q = Vector.FusedMultiplyAdd(q, square, new(2.26843463243900e-03f));
        q = Vector.FusedMultiplyAdd(q, square, new(4.89352518554385e-03f));

        Vector<float> tanh = x * p / q;
        tanh = Vector.ConditionalSelect(Vector.GreaterThan(tanh, Vector<float>.One), Vector<float>.One, tanh);
        return Vector.ConditionalSelect(Vector.LessThan(tanh, -Vector<float>.One), -Vector<float>.One, tanh);
    }

    private static void ApplyRelu(Span<float> values, Span<float> derivatives)
    {
        for (int i = 0; i < values.Length; i++)
        {
            // Written so that NaN stays NaN and is noticed by the stage that made it.
            float x = values[i];
            derivatives[i] = x > 0f ? 1f : 0f;
            values[i] = x < 0f ? 0f : x;
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
            derivatives[i] = (float)derivative;
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
