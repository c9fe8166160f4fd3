using System;

namespace FunTrpo.Kernels;

/// <summary>f′ of every output of a layer, or what it follows from: y where f = tanh. The rows are padded as those of y.</summary>
/// <param name="kept">f′, or y for tanh; empty where f′ is 1 everywhere.</param>
/// <param name="isTanh">Whether f = tanh, so that f′ = 1 − y².</param>
public readonly struct ActivationDerivatives(ReadOnlyMemory<float> kept, bool isTanh)
{
    /// <summary>1 everywhere, which is also the default.</summary>
    public static ActivationDerivatives One => default;

    /// <summary>f′, or y for tanh; empty where f′ is 1 everywhere.</summary>
    public ReadOnlySpan<float> Kept => kept.Span;

    /// <summary>Whether f = tanh, so that f′ = 1 − y².</summary>
    public bool IsTanh => isTanh;

    /// <summary>Multiplies numbers by f′, one by one: a cotangent of y becomes that of what f is applied to.</summary>
    public void Multiply(Span<float> numbers)
    {
        ReadOnlySpan<float> slopes = Kept;
        if (slopes.IsEmpty)
        {
            return;
        }

        if (!isTanh)
        {
            Reductions.Multiply(numbers, slopes, numbers);
            return;
        }

        Check.SameLength(slopes.Length, numbers.Length);
        for (int i = 0; i < numbers.Length; i++)
        {
            numbers[i] *= 1f - (slopes[i] * slopes[i]);
        }
    }
}
