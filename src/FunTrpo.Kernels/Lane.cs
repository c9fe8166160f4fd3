using System;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace FunTrpo.Kernels;

/// <summary>A vector of float32 as wide as some processor has it, so that a kernel is written once for all widths.</summary>
internal unsafe interface ILane<TLane>
    where TLane : unmanaged, ILane<TLane>
{
    /// <summary>How many numbers it holds.</summary>
    static abstract int Count { get; }

    /// <summary>How many of them the processor keeps in registers.</summary>
    static abstract int Registers { get; }

    /// <summary>The same number in every place.</summary>
    static abstract TLane Create(float x);

    static abstract TLane Load(float* source);

    void Store(float* target);

    static abstract TLane operator +(TLane a, TLane b);

    static abstract TLane operator -(TLane a, TLane b);

    static abstract TLane operator *(TLane a, TLane b);

    static abstract TLane operator /(TLane a, TLane b);

    /// <summary>a b + c, rounded once.</summary>
    static abstract TLane FusedMultiplyAdd(TLane a, TLane b, TLane c);

    /// <summary>The sums of the numbers of each of four vectors.</summary>
    static abstract Vector128<float> Sums(TLane a, TLane b, TLane c, TLane d);

    /// <summary>x, and the nearest bound where x is outside; NaN where x is NaN.</summary>
    static abstract TLane Clamp(TLane x, float low, float high);
}

/// <summary>What is computed on vectors of any width.</summary>
internal interface IKernel
{
    void Run<TLane>()
        where TLane : unmanaged, ILane<TLane>;
}

/// <summary>How the inner loops of kernels are compiled.</summary>
internal static class Compiled
{
    /// <summary>
    /// At once with all optimisations, and by itself: inlined elsewhere, a loop could exceed what the compiler is ready to inline into one
    /// method, and would call the operators of its vectors one by one.
    /// </summary>
    public const MethodImplOptions ByItself = MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining;
}

/// <summary>The width of this processor's vectors, chosen once.</summary>
public static class Lanes
{
    /// <summary>How many float32 one vector holds: 16, 8 or 4.</summary>
    public static int Width { get; } =
        Vector512.IsHardwareAccelerated ? Lane512.Count
        : Vector256.IsHardwareAccelerated ? Lane256.Count
        : Lane128.Count;

    /// <summary>
    /// The least multiple of <see cref="Width"/> that is not below <paramref name="count"/>: how far apart the rows of a
    /// padded matrix lie, so that each starts and ends with a whole vector.
    /// </summary>
    public static int Pad(int count) => (count + Width - 1) / Width * Width;

    /// <summary>Runs the kernel on the widest vectors.</summary>
    internal static void Run<TKernel>(in TKernel kernel)
        where TKernel : struct, IKernel
    {
        if (Vector512.IsHardwareAccelerated)
        {
            kernel.Run<Lane512>();
        }
        else if (Vector256.IsHardwareAccelerated)
        {
            kernel.Run<Lane256>();
        }
        else
        {
            kernel.Run<Lane128>();
        }
    }
}

internal readonly unsafe struct Lane512(Vector512<float> v) : ILane<Lane512>
{
    private readonly Vector512<float> v = v;

    public static int Count => 16;

    public static int Registers => 32;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 Create(float x) => new(Vector512.Create(x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 Load(float* source) => new(Vector512.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* target) => v.Store(target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 operator +(Lane512 a, Lane512 b) => new(a.v + b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 operator -(Lane512 a, Lane512 b) => new(a.v - b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 operator *(Lane512 a, Lane512 b) => new(a.v * b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 operator /(Lane512 a, Lane512 b) => new(a.v / b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 FusedMultiplyAdd(Lane512 a, Lane512 b, Lane512 c) =>
        new(Vector512.FusedMultiplyAdd(a.v, b.v, c.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Sums(Lane512 a, Lane512 b, Lane512 c, Lane512 d)
    {
        // Every 128 bits of ab hold sums of a and b in turn; of abcd, one of each.
        Vector512<float> ab = Avx512F.UnpackLow(a.v, b.v) + Avx512F.UnpackHigh(a.v, b.v);
        Vector512<float> cd = Avx512F.UnpackLow(c.v, d.v) + Avx512F.UnpackHigh(c.v, d.v);
        Vector512<float> abcd =
            Avx512F.UnpackLow(ab.AsDouble(), cd.AsDouble()).AsSingle()
            + Avx512F.UnpackHigh(ab.AsDouble(), cd.AsDouble()).AsSingle();
        Vector256<float> half = abcd.GetLower() + abcd.GetUpper();
        return half.GetLower() + half.GetUpper();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 Clamp(Lane512 x, float low, float high)
    {
        Vector512<float> bounded = Vector512.ConditionalSelect(
            Vector512.LessThan(x.v, Vector512.Create(low)),
            Vector512.Create(low),
            x.v
        );
        return new(
            Vector512.ConditionalSelect(
                Vector512.GreaterThan(bounded, Vector512.Create(high)),
                Vector512.Create(high),
                bounded
            )
        );
    }
}

internal readonly unsafe struct Lane256(Vector256<float> v) : ILane<Lane256>
{
    private readonly Vector256<float> v = v;

    public static int Count => 8;

    public static int Registers => 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane256 Create(float x) => new(Vector256.Create(x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane256 Load(float* source) => new(Vector256.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* target) => v.Store(target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane256 operator +(Lane256 a, Lane256 b) => new(a.v + b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane256 operator -(Lane256 a, Lane256 b) => new(a.v - b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane256 operator *(Lane256 a, Lane256 b) => new(a.v * b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane256 operator /(Lane256 a, Lane256 b) => new(a.v / b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane256 FusedMultiplyAdd(Lane256 a, Lane256 b, Lane256 c) =>
        new(Vector256.FusedMultiplyAdd(a.v, b.v, c.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Sums(Lane256 a, Lane256 b, Lane256 c, Lane256 d)
    {
        // Every 128 bits of ab hold sums of a and b in turn; of abcd, one of each.
        Vector256<float> ab = Avx.UnpackLow(a.v, b.v) + Avx.UnpackHigh(a.v, b.v);
        Vector256<float> cd = Avx.UnpackLow(c.v, d.v) + Avx.UnpackHigh(c.v, d.v);
        Vector256<float> abcd =
            Avx.UnpackLow(ab.AsDouble(), cd.AsDouble()).AsSingle()
            + Avx.UnpackHigh(ab.AsDouble(), cd.AsDouble()).AsSingle();
        return abcd.GetLower() + abcd.GetUpper();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane256 Clamp(Lane256 x, float low, float high)
    {
        Vector256<float> bounded = Vector256.ConditionalSelect(
            Vector256.LessThan(x.v, Vector256.Create(low)),
            Vector256.Create(low),
            x.v
        );
        return new(
            Vector256.ConditionalSelect(
                Vector256.GreaterThan(bounded, Vector256.Create(high)),
                Vector256.Create(high),
                bounded
            )
        );
    }
}

internal readonly unsafe struct Lane128(Vector128<float> v) : ILane<Lane128>
{
    private readonly Vector128<float> v = v;

    public static int Count => 4;

    public static int Registers => AdvSimd.IsSupported ? 32 : 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane128 Create(float x) => new(Vector128.Create(x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane128 Load(float* source) => new(Vector128.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* target) => v.Store(target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane128 operator +(Lane128 a, Lane128 b) => new(a.v + b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane128 operator -(Lane128 a, Lane128 b) => new(a.v - b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane128 operator *(Lane128 a, Lane128 b) => new(a.v * b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane128 operator /(Lane128 a, Lane128 b) => new(a.v / b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane128 FusedMultiplyAdd(Lane128 a, Lane128 b, Lane128 c) =>
        new(Vector128.FusedMultiplyAdd(a.v, b.v, c.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Sums(Lane128 a, Lane128 b, Lane128 c, Lane128 d) =>
        Vector128.Create(Vector128.Sum(a.v), Vector128.Sum(b.v), Vector128.Sum(c.v), Vector128.Sum(d.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane128 Clamp(Lane128 x, float low, float high)
    {
        Vector128<float> bounded = Vector128.ConditionalSelect(
            Vector128.LessThan(x.v, Vector128.Create(low)),
            Vector128.Create(low),
            x.v
        );
        return new(
            Vector128.ConditionalSelect(
                Vector128.GreaterThan(bounded, Vector128.Create(high)),
                Vector128.Create(high),
                bounded
            )
        );
    }
}
