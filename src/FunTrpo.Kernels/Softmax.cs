using System;

namespace FunTrpo.Kernels;

/// <summary>What the softmax of rows of logits needs.</summary>
public static unsafe class Softmax
{
    /// <summary>
    /// In each of <paramref name="rows"/> rows, in the columns start … start + count − 1, replaces u by (diag(p) − p pᵀ) u = p ⊙ (u −
    /// ⟨p, u⟩), the Fisher information matrix of a categorical distribution in its logits times u. The rows of both are
    /// <paramref name="stride"/> apart.
    /// </summary>
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
