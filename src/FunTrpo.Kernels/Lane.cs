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

    /// <summary>Adds a b, rounding once.</summary>
    void AddProduct(TLane a, TLane b);

    /// <summary>The square roots.</summary>
    static abstract TLane SquareRoot(TLane x);

    /// <summary>Two numbers again and again.</summary>
    static abstract TLane RepeatTwo(float* source);

    /// <summary>Four numbers again and again.</summary>
    static abstract TLane RepeatFour(float* source);

    /// <summary>The sum of the first two numbers, that of the next two, and so on; 0 in the second half.</summary>
    static abstract TLane PairSums(TLane x);

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

internal unsafe struct Lane512(Vector512<float> v) : ILane<Lane512>
{
    private Vector512<float> v = v;

    public static int Count => 16;

    public static int Registers => 32;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 Create(float x) => new(Vector512.Create(x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 Load(float* source) => new(Vector512.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(float* target) => v.Store(target);

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
    public void AddProduct(Lane512 a, Lane512 b) => v = Vector512.FusedMultiplyAdd(a.v, b.v, v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 SquareRoot(Lane512 x) => new(Vector512.Sqrt(x.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 RepeatTwo(float* source) => new(Vector512.Create(*(double*)source).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 RepeatFour(float* source) => new(Avx512F.BroadcastVector128ToVector512(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 PairSums(Lane512 x) =>
        new(
            Vector512.Shuffle(x.v, Vector512.CreateSequence(0, 2))
                + Vector512.Shuffle(x.v, Vector512.CreateSequence(1, 2))
        );

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 Clamp(Lane512 x, float low, float high) =>
        new(Vector512.MinNative(Vector512.Create(high), Vector512.MaxNative(Vector512.Create(low), x.v)));
}

internal unsafe struct Lane256(Vector256<float> v) : ILane<Lane256>
{
    private Vector256<float> v = v;

    public static int Count => 8;

    public static int Registers => 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane256 Create(float x) => new(Vector256.Create(x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane256 Load(float* source) => new(Vector256.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(float* target) => v.Store(target);

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
    public void AddProduct(Lane256 a, Lane256 b) => v = Vector256.FusedMultiplyAdd(a.v, b.v, v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane256 SquareRoot(Lane256 x) => new(Vector256.Sqrt(x.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane256 RepeatTwo(float* source) => new(Vector256.Create(*(double*)source).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane256 RepeatFour(float* source) => new(Avx.BroadcastVector128ToVector256(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane256 PairSums(Lane256 x) =>
        new(
            Vector256.Shuffle(x.v, Vector256.CreateSequence(0, 2))
                + Vector256.Shuffle(x.v, Vector256.CreateSequence(1, 2))
        );

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane256 Clamp(Lane256 x, float low, float high) =>
        new(Vector256.MinNative(Vector256.Create(high), Vector256.MaxNative(Vector256.Create(low), x.v)));
}

internal unsafe struct Lane128(Vector128<float> v) : ILane<Lane128>
{
    private Vector128<float> v = v;

    public static int Count => 4;

    public static int Registers => AdvSimd.IsSupported ? 32 : 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane128 Create(float x) => new(Vector128.Create(x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane128 Load(float* source) => new(Vector128.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(float* target) => v.Store(target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane128 operator +(Lane128 a, Lane128 b) => new(a.v + b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane128 operator -(Lane128 a, Lane128 b) => new(a.v - b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane128 operator *(Lane128 a, Lane128 b) => new(a.v * b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane128 operator /(Lane128 a, Lane128 b) => new(a.v / b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane128 FusedMultiplyAdd(Lane128 a, Lane128 b, Lane128 c) => new(Fused.MultiplyAdd(a.v, b.v, c.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AddProduct(Lane128 a, Lane128 b) => v = Fused.MultiplyAdd(a.v, b.v, v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane128 SquareRoot(Lane128 x) => new(Vector128.Sqrt(x.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane128 RepeatTwo(float* source) => new(Vector128.Create(*(double*)source).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane128 RepeatFour(float* source) => new(Vector128.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane128 PairSums(Lane128 x) =>
        new(
            Vector128.Shuffle(x.v, Vector128.CreateSequence(0, 2))
                + Vector128.Shuffle(x.v, Vector128.CreateSequence(1, 2))
        );

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane128 Clamp(Lane128 x, float low, float high) =>
        new(Vector128.MinNative(Vector128.Create(high), Vector128.MaxNative(Vector128.Create(low), x.v)));
}
