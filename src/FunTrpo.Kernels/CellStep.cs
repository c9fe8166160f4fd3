using System.Runtime.CompilerServices;

namespace FunTrpo.Kernels;

/// <summary>
/// The rows of one time step of a <see cref="GatedLayer"/>, one for each sequence, with the distance from each row to the next. Each row
/// consists of parts of <see cref="Units"/> numbers, which are whole vectors.
/// </summary>
internal unsafe struct CellStep
{
    /// <summary>The number of sequences.</summary>
    public int Rows;

    /// <summary>The padded number of units.</summary>
    public int Units;

    /// <summary>a = x W + b, one part for each gate; or a tangent or cotangent of it.</summary>
    public float* Input;
    public nint InputRow;

    /// <summary>u = h U; or a tangent or cotangent of it. Where a cell uses only a + u, this is <see cref="Input"/>, which holds the sum.</summary>
    public float* Recurrent;
    public nint RecurrentRow;

    /// <summary>The memory after the step; or the tangent or cotangent that a step replaces.</summary>
    public float* Memory;
    public nint MemoryRow;

    /// <summary>The memory before the step.</summary>
    public float* Before;
    public nint BeforeRow;

    /// <summary>What the derivatives need.</summary>
    public float* Kept;
    public nint KeptRow;

    /// <summary>σ(x) = 1 / (1 + e⁻ˣ) = ½ + ½ tanh(x / 2)</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Sigmoid<TVector>(TVector x)
        where TVector : unmanaged, ISimdVector<TVector>
    {
        TVector half = TVector.Create(0.5f);
        return TVector.FusedMultiplyAdd(half, Activations.Tanh(half * x), half);
    }

    /// <summary>σ′ = σ (1 − σ)</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector SigmoidSlope<TVector>(TVector sigmoid)
        where TVector : unmanaged, ISimdVector<TVector> => sigmoid * (TVector.Create(1f) - sigmoid);
}
