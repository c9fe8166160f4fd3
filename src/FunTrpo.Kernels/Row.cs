using System.Runtime.CompilerServices;

namespace FunTrpo.Kernels;

/// <summary>
/// One to four vectors side by side: a row of a tile. A kernel is then written once for all widths of a tile, and the compiler keeps each
/// vector in a register.
/// </summary>
internal unsafe interface IRow<TRow, TVector>
    where TRow : unmanaged, IRow<TRow, TVector>
    where TVector : unmanaged, ISimdVector<TVector>
{
    /// <summary>The number of elements.</summary>
    static abstract int Count { get; }

    static abstract TRow Load(float* source);

    void Store(float* target);

    static abstract TRow operator +(TRow a, TRow b);

    /// <summary>Adds a·b, rounded as by <c>ISimdVector.FusedMultiplyAdd</c>.</summary>
    void AddProduct(TVector a, TRow b);

    /// <summary>Multiplies by the derivative of the activation, given the kept values (<see cref="Activations.Slope"/>).</summary>
    void MultiplyBySlope(bool isTanh, float* kept);
}

internal unsafe struct OneVector<TVector>(TVector v0) : IRow<OneVector<TVector>, TVector>
    where TVector : unmanaged, ISimdVector<TVector>
{
    private TVector v0 = v0;

    public static int Count => TVector.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static OneVector<TVector> Load(float* source) => new(TVector.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(float* target)
    {
        v0.Store(target);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static OneVector<TVector> operator +(OneVector<TVector> a, OneVector<TVector> b) => new(a.v0 + b.v0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AddProduct(TVector a, OneVector<TVector> b)
    {
        v0.AddProduct(a, b.v0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void MultiplyBySlope(bool isTanh, float* kept)
    {
        if (isTanh)
        {
            v0 *= Activations.TanhSlope(TVector.Load(kept));
        }
        else
        {
            v0 *= TVector.Load(kept);
        }
    }
}

internal unsafe struct TwoVectors<TVector>(TVector v0, TVector v1) : IRow<TwoVectors<TVector>, TVector>
    where TVector : unmanaged, ISimdVector<TVector>
{
    private TVector v0 = v0;
    private TVector v1 = v1;

    public static int Count => 2 * TVector.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TwoVectors<TVector> Load(float* source) =>
        new(TVector.Load(source), TVector.Load(source + TVector.Count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(float* target)
    {
        v0.Store(target);
        v1.Store(target + TVector.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TwoVectors<TVector> operator +(TwoVectors<TVector> a, TwoVectors<TVector> b) =>
        new(a.v0 + b.v0, a.v1 + b.v1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AddProduct(TVector a, TwoVectors<TVector> b)
    {
        v0.AddProduct(a, b.v0);
        v1.AddProduct(a, b.v1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void MultiplyBySlope(bool isTanh, float* kept)
    {
        if (isTanh)
        {
            v0 *= Activations.TanhSlope(TVector.Load(kept));
            v1 *= Activations.TanhSlope(TVector.Load(kept + TVector.Count));
        }
        else
        {
            v0 *= TVector.Load(kept);
            v1 *= TVector.Load(kept + TVector.Count);
        }
    }
}

internal unsafe struct ThreeVectors<TVector>(TVector v0, TVector v1, TVector v2) : IRow<ThreeVectors<TVector>, TVector>
    where TVector : unmanaged, ISimdVector<TVector>
{
    private TVector v0 = v0;
    private TVector v1 = v1;
    private TVector v2 = v2;

    public static int Count => 3 * TVector.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ThreeVectors<TVector> Load(float* source) =>
        new(TVector.Load(source), TVector.Load(source + TVector.Count), TVector.Load(source + (2 * TVector.Count)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(float* target)
    {
        v0.Store(target);
        v1.Store(target + TVector.Count);
        v2.Store(target + (2 * TVector.Count));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ThreeVectors<TVector> operator +(ThreeVectors<TVector> a, ThreeVectors<TVector> b) =>
        new(a.v0 + b.v0, a.v1 + b.v1, a.v2 + b.v2);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AddProduct(TVector a, ThreeVectors<TVector> b)
    {
        v0.AddProduct(a, b.v0);
        v1.AddProduct(a, b.v1);
        v2.AddProduct(a, b.v2);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void MultiplyBySlope(bool isTanh, float* kept)
    {
        if (isTanh)
        {
            v0 *= Activations.TanhSlope(TVector.Load(kept));
            v1 *= Activations.TanhSlope(TVector.Load(kept + TVector.Count));
            v2 *= Activations.TanhSlope(TVector.Load(kept + (2 * TVector.Count)));
        }
        else
        {
            v0 *= TVector.Load(kept);
            v1 *= TVector.Load(kept + TVector.Count);
            v2 *= TVector.Load(kept + (2 * TVector.Count));
        }
    }
}

internal unsafe struct FourVectors<TVector>(TVector v0, TVector v1, TVector v2, TVector v3)
    : IRow<FourVectors<TVector>, TVector>
    where TVector : unmanaged, ISimdVector<TVector>
{
    private TVector v0 = v0;
    private TVector v1 = v1;
    private TVector v2 = v2;
    private TVector v3 = v3;

    public static int Count => 4 * TVector.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector> Load(float* source) =>
        new(
            TVector.Load(source),
            TVector.Load(source + TVector.Count),
            TVector.Load(source + (2 * TVector.Count)),
            TVector.Load(source + (3 * TVector.Count))
        );

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(float* target)
    {
        v0.Store(target);
        v1.Store(target + TVector.Count);
        v2.Store(target + (2 * TVector.Count));
        v3.Store(target + (3 * TVector.Count));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector> operator +(FourVectors<TVector> a, FourVectors<TVector> b) =>
        new(a.v0 + b.v0, a.v1 + b.v1, a.v2 + b.v2, a.v3 + b.v3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AddProduct(TVector a, FourVectors<TVector> b)
    {
        v0.AddProduct(a, b.v0);
        v1.AddProduct(a, b.v1);
        v2.AddProduct(a, b.v2);
        v3.AddProduct(a, b.v3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void MultiplyBySlope(bool isTanh, float* kept)
    {
        if (isTanh)
        {
            v0 *= Activations.TanhSlope(TVector.Load(kept));
            v1 *= Activations.TanhSlope(TVector.Load(kept + TVector.Count));
            v2 *= Activations.TanhSlope(TVector.Load(kept + (2 * TVector.Count)));
            v3 *= Activations.TanhSlope(TVector.Load(kept + (3 * TVector.Count)));
        }
        else
        {
            v0 *= TVector.Load(kept);
            v1 *= TVector.Load(kept + TVector.Count);
            v2 *= TVector.Load(kept + (2 * TVector.Count));
            v3 *= TVector.Load(kept + (3 * TVector.Count));
        }
    }
}
