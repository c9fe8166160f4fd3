using System.Runtime.CompilerServices;

namespace FunTrpo.Kernels;

/// <summary>
/// One to four vectors side by side: a row of a tile. A kernel is then written once for all widths of a tile, and the compiler keeps each
/// vector in a register.
/// </summary>
internal unsafe interface IRow<TRow, TLane>
    where TRow : unmanaged, IRow<TRow, TLane>
    where TLane : unmanaged, ILane<TLane>
{
    /// <summary>The number of elements.</summary>
    static abstract int Count { get; }

    static abstract TRow Load(float* source);

    void Store(float* target);

    static abstract TRow operator +(TRow a, TRow b);

    /// <summary>Adds a·b, rounded as by <c>ILane.FusedMultiplyAdd</c>.</summary>
    void AddProduct(TLane a, TRow b);

    /// <summary>Multiplies by the derivative of the activation, given the kept values (<see cref="Activations.Slope"/>).</summary>
    void MultiplyBySlope(bool isTanh, float* kept);
}

internal unsafe struct OneVector<TLane>(TLane v0) : IRow<OneVector<TLane>, TLane>
    where TLane : unmanaged, ILane<TLane>
{
    private TLane v0 = v0;

    public static int Count => TLane.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static OneVector<TLane> Load(float* source) => new(TLane.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(float* target)
    {
        v0.Store(target);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static OneVector<TLane> operator +(OneVector<TLane> a, OneVector<TLane> b) => new(a.v0 + b.v0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AddProduct(TLane a, OneVector<TLane> b)
    {
        v0.AddProduct(a, b.v0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void MultiplyBySlope(bool isTanh, float* kept)
    {
        if (isTanh)
        {
            v0 *= Activations.TanhSlope(TLane.Load(kept));
        }
        else
        {
            v0 *= TLane.Load(kept);
        }
    }
}

internal unsafe struct TwoVectors<TLane>(TLane v0, TLane v1) : IRow<TwoVectors<TLane>, TLane>
    where TLane : unmanaged, ILane<TLane>
{
    private TLane v0 = v0;
    private TLane v1 = v1;

    public static int Count => 2 * TLane.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TwoVectors<TLane> Load(float* source) => new(TLane.Load(source), TLane.Load(source + TLane.Count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(float* target)
    {
        v0.Store(target);
        v1.Store(target + TLane.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TwoVectors<TLane> operator +(TwoVectors<TLane> a, TwoVectors<TLane> b) =>
        new(a.v0 + b.v0, a.v1 + b.v1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AddProduct(TLane a, TwoVectors<TLane> b)
    {
        v0.AddProduct(a, b.v0);
        v1.AddProduct(a, b.v1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void MultiplyBySlope(bool isTanh, float* kept)
    {
        if (isTanh)
        {
            v0 *= Activations.TanhSlope(TLane.Load(kept));
            v1 *= Activations.TanhSlope(TLane.Load(kept + TLane.Count));
        }
        else
        {
            v0 *= TLane.Load(kept);
            v1 *= TLane.Load(kept + TLane.Count);
        }
    }
}

internal unsafe struct ThreeVectors<TLane>(TLane v0, TLane v1, TLane v2) : IRow<ThreeVectors<TLane>, TLane>
    where TLane : unmanaged, ILane<TLane>
{
    private TLane v0 = v0;
    private TLane v1 = v1;
    private TLane v2 = v2;

    public static int Count => 3 * TLane.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ThreeVectors<TLane> Load(float* source) =>
        new(TLane.Load(source), TLane.Load(source + TLane.Count), TLane.Load(source + (2 * TLane.Count)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(float* target)
    {
        v0.Store(target);
        v1.Store(target + TLane.Count);
        v2.Store(target + (2 * TLane.Count));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ThreeVectors<TLane> operator +(ThreeVectors<TLane> a, ThreeVectors<TLane> b) =>
        new(a.v0 + b.v0, a.v1 + b.v1, a.v2 + b.v2);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AddProduct(TLane a, ThreeVectors<TLane> b)
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
            v0 *= Activations.TanhSlope(TLane.Load(kept));
            v1 *= Activations.TanhSlope(TLane.Load(kept + TLane.Count));
            v2 *= Activations.TanhSlope(TLane.Load(kept + (2 * TLane.Count)));
        }
        else
        {
            v0 *= TLane.Load(kept);
            v1 *= TLane.Load(kept + TLane.Count);
            v2 *= TLane.Load(kept + (2 * TLane.Count));
        }
    }
}

internal unsafe struct FourVectors<TLane>(TLane v0, TLane v1, TLane v2, TLane v3) : IRow<FourVectors<TLane>, TLane>
    where TLane : unmanaged, ILane<TLane>
{
    private TLane v0 = v0;
    private TLane v1 = v1;
    private TLane v2 = v2;
    private TLane v3 = v3;

    public static int Count => 4 * TLane.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TLane> Load(float* source) =>
        new(
            TLane.Load(source),
            TLane.Load(source + TLane.Count),
            TLane.Load(source + (2 * TLane.Count)),
            TLane.Load(source + (3 * TLane.Count))
        );

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(float* target)
    {
        v0.Store(target);
        v1.Store(target + TLane.Count);
        v2.Store(target + (2 * TLane.Count));
        v3.Store(target + (3 * TLane.Count));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TLane> operator +(FourVectors<TLane> a, FourVectors<TLane> b) =>
        new(a.v0 + b.v0, a.v1 + b.v1, a.v2 + b.v2, a.v3 + b.v3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AddProduct(TLane a, FourVectors<TLane> b)
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
            v0 *= Activations.TanhSlope(TLane.Load(kept));
            v1 *= Activations.TanhSlope(TLane.Load(kept + TLane.Count));
            v2 *= Activations.TanhSlope(TLane.Load(kept + (2 * TLane.Count)));
            v3 *= Activations.TanhSlope(TLane.Load(kept + (3 * TLane.Count)));
        }
        else
        {
            v0 *= TLane.Load(kept);
            v1 *= TLane.Load(kept + TLane.Count);
            v2 *= TLane.Load(kept + (2 * TLane.Count));
            v3 *= TLane.Load(kept + (3 * TLane.Count));
        }
    }
}
