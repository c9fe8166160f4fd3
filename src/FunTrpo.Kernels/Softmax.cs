using System;

namespace FunTrpo.Kernels;

/// <summary>The metric (Fisher matrix) of the softmax of rows of logits.</summary>
public static unsafe class Softmax
{
    /// <summary>
    /// Replaces u by (diag(p) − p pᵀ) u = p ⊙ (u − ⟨p, u⟩) in the columns start … start + count − 1 of each row. This is the product of u
    /// and the Fisher matrix of a categorical distribution in its logits. <paramref name="stride"/> is the stride of the rows of both.
    /// </summary>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit, or the columns are not in a row.</exception>
    public static void ApplyMetric(
        int rows,
        int stride,
        int start,
        int count,
        ReadOnlySpan<float> probabilities,
        Span<float> u
    )
    {
        Check.SameLength(probabilities.Length, Check.Product(rows, stride));
        Check.SameLength(u.Length, probabilities.Length);
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((long)start + count, stride);
        fixed (
            float* pProbabilities = probabilities,
                pU = u
        )
        {
            float* p = pProbabilities + start;
            float* v = pU + start;
            for (int row = 0; row < rows; row++)
            {
                float mean = 0f;
                for (int i = 0; i < count; i++)
                {
                    mean += p[i] * v[i];
                }

                for (int i = 0; i < count; i++)
                {
                    v[i] = p[i] * (v[i] - mean);
                }

                p += stride;
                v += stride;
            }
        }
    }
}
