using System;
using System.IO;

namespace FunTrpo.Inference;

/// <summary>The activation functions of layers, by their names in files, with the rounding of the library.</summary>
internal static class Activation
{
    /// <summary>Returns the function of a name.</summary>
    public static Func<float, float> Named(string name) =>
        name switch
        {
            "tanh" => Tanh,
            "relu" => x => x < 0f ? 0f : x, // keeps NaN
            "sigmoid" => x => (float)Sigmoid(x),
            "elu" => x => x > 0f ? x : (float)(Math.Exp(x) - 1.0),
            "softplus" => x => (float)(Math.Max(x, 0.0) + Math.Log(1.0 + Math.Exp(-Math.Abs((double)x)))),
            "swish" => x => (float)(x * Sigmoid(x)),
            "identity" => x => x,
            _ => throw new InvalidDataException($"It names the unknown activation {name}."),
        };

    /// <summary>
    /// a · b + c, rounded once to float32 (but for a few in 10⁹, which float64 rounds first). A product of two float32 numbers is exact in
    /// float64.
    /// </summary>
    public static float MultiplyAdd(float a, float b, float c) => (float)(((double)a * b) + c);

    /// <summary>The sigmoid as ½ + ½ tanh(x / 2), as layers with memory compute it.</summary>
    public static float HalfTanhSigmoid(float x) => MultiplyAdd(0.5f, Tanh(0.5f * x), 0.5f);

    private static double Sigmoid(double x) => 1.0 / (1.0 + Math.Exp(-x));

    /// <summary>
    /// tanh x as the quotient of an odd polynomial of degree 13 and an even polynomial of degree 6, with an error of at most 3e-7. The
    /// coefficients are those of the library.
    /// </summary>
    public static float Tanh(float x)
    {
        const float limit = 7.90531110763549805f;
        x = Math.Clamp(x, -limit, limit);
        float square = x * x;

        float p = -2.76076847742355e-16f;
        p = MultiplyAdd(p, square, 2.00018790482477e-13f);
        p = MultiplyAdd(p, square, -8.60467152213735e-11f);
        p = MultiplyAdd(p, square, 5.12229709037114e-08f);
        p = MultiplyAdd(p, square, 1.48572235717979e-05f);
        p = MultiplyAdd(p, square, 6.37261928875436e-04f);
        p = MultiplyAdd(p, square, 4.89352455891786e-03f);

        float q = 1.19825839466702e-06f;
        q = MultiplyAdd(q, square, 1.18534705686654e-04f);
        q = MultiplyAdd(q, square, 2.26843463243900e-03f);
        q = MultiplyAdd(q, square, 4.89352518554385e-03f);

        return Math.Clamp(x * p / q, -1f, 1f);
    }
}
