using System;

namespace FunTrpo.Kernels;

/// <summary>
/// The derivative f′ of a layer's activation function at each of its outputs y. For tanh, y is kept instead, because f′ = 1 − y². The
/// rows are padded like those of y.
/// </summary>
/// <param name="kept">f′, or y if f = tanh; empty if f′ is 1 everywhere.</param>
/// <param name="isTanh">Whether f = tanh, so that f′ = 1 − y².</param>
public readonly struct ActivationDerivatives(ReadOnlyMemory<float> kept, bool isTanh)
{
    /// <summary>Derivatives that are 1 everywhere. This is also the default value.</summary>
    public static ActivationDerivatives One => default;

    /// <summary>f′, or y if f = tanh; empty if f′ is 1 everywhere.</summary>
    public ReadOnlySpan<float> Kept => kept.Span;

    /// <summary>Whether f = tanh, so that f′ = 1 − y².</summary>
    public bool IsTanh => isTanh;

    /// <summary>
    /// Multiplies the numbers by f′, element by element. This turns a cotangent of y = f(z) into the cotangent of z.
    /// </summary>
    /// <exception cref="ArgumentException">There are not as many numbers as derivatives.</exception>
    public void Multiply(Span<float> numbers) => Multiply(Kept, isTanh, numbers);

    /// <summary>Does the same with the numbers of a part of the rows, the first of which is number <paramref name="first"/>.</summary>
    internal void Multiply(int first, Span<float> numbers) =>
        Multiply(Kept.IsEmpty ? Kept : Kept.Slice(first, numbers.Length), isTanh, numbers);

    /// <summary>Does the same with slopes as <see cref="Kept"/> has them.</summary>
    internal static void Multiply(ReadOnlySpan<float> slopes, bool isTanh, Span<float> numbers)
    {
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
