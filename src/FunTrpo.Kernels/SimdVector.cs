using System;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace FunTrpo.Kernels;

/// <summary>A SIMD vector of float32 of one of the widths, so that a kernel is written once for all widths.</summary>
internal unsafe interface ISimdVector<TVector>
    where TVector : unmanaged, ISimdVector<TVector>
{
    /// <summary>The number of elements of a vector.</summary>
    static abstract int Count { get; }

    /// <summary>The number of vector registers of the processor.</summary>
    static abstract int Registers { get; }

    /// <summary>Returns a vector whose elements are all x.</summary>
    static abstract TVector Create(float x);

    static abstract TVector Load(float* source);

    void Store(float* target);

    static abstract TVector operator +(TVector a, TVector b);

    static abstract TVector operator -(TVector a, TVector b);

    static abstract TVector operator *(TVector a, TVector b);

    static abstract TVector operator /(TVector a, TVector b);

    /// <summary>Returns a·b + c, rounded once if the processor has a fused instruction (<see cref="Fused"/>).</summary>
    static abstract TVector FusedMultiplyAdd(TVector a, TVector b, TVector c);

    /// <summary>Adds a·b to this vector, rounded as by <see cref="FusedMultiplyAdd"/>.</summary>
    void AddProduct(TVector a, TVector b);

    /// <summary>Returns the square root of each element.</summary>
    static abstract TVector SquareRoot(TVector x);

    /// <summary>Loads two numbers, repeated to fill a vector.</summary>
    static abstract TVector RepeatTwo(float* source);

    /// <summary>Loads four numbers, repeated to fill a vector.</summary>
    static abstract TVector RepeatFour(float* source);

    /// <summary>Returns the sums of the elements 0 and 1, 2 and 3, and so on, in the first half, and zeros in the second half.</summary>
    static abstract TVector PairSums(TVector x);

    /// <summary>Returns x limited to low … high, element by element; NaN stays NaN.</summary>
    static abstract TVector Clamp(TVector x, float low, float high);
}

/// <summary>A computation on vectors of any width.</summary>
internal interface IKernel
{
    void Run<TVector>()
        where TVector : unmanaged, ISimdVector<TVector>;
}

/// <summary>The compiler options of the inner loops of kernels.</summary>
internal static class Compiled
{
    /// <summary>
    /// Compiles a method at once with all optimisations and never inlines it. If a loop were inlined into a larger method, it could exceed
    /// the compiler's inlining budget, and the operators of its vectors would become calls.
    /// </summary>
    public const MethodImplOptions Separately = MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining;
}

/// <summary>The width of this processor's vectors, determined once at the start.</summary>
public static class Lanes
{
    /// <summary>The number of float32 in a vector: 16, 8 or 4.</summary>
    public static int Width { get; } =
        Vector512.IsHardwareAccelerated ? Simd512.Count
        : Vector256.IsHardwareAccelerated ? Simd256.Count
        : Simd128.Count;

    /// <summary>
    /// Returns the least multiple of <see cref="Width"/> that is at least <paramref name="count"/>. This is the stride of the rows of a
    /// padded matrix, so that each row consists of whole vectors.
    /// </summary>
    public static int Pad(int count) => (count + Width - 1) / Width * Width;

    /// <summary>Runs the kernel on the widest vectors.</summary>
    internal static void Run<TKernel>(in TKernel kernel)
        where TKernel : struct, IKernel
    {
        if (Vector512.IsHardwareAccelerated)
        {
            kernel.Run<Simd512>();
        }
        else if (Vector256.IsHardwareAccelerated)
        {
            kernel.Run<Simd256>();
        }
        else
        {
            kernel.Run<Simd128>();
        }
    }
}

internal unsafe struct Simd512(Vector512<float> v) : ISimdVector<Simd512>
{
    private Vector512<float> v = v;

    public static int Count => 16;

    public static int Registers => 32;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd512 Create(float x) => new(Vector512.Create(x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd512 Load(float* source) => new(Vector512.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(float* target) => v.Store(target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd512 operator +(Simd512 a, Simd512 b) => new(a.v + b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd512 operator -(Simd512 a, Simd512 b) => new(a.v - b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd512 operator *(Simd512 a, Simd512 b) => new(a.v * b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd512 operator /(Simd512 a, Simd512 b) => new(a.v / b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd512 FusedMultiplyAdd(Simd512 a, Simd512 b, Simd512 c) =>
        new(Vector512.FusedMultiplyAdd(a.v, b.v, c.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AddProduct(Simd512 a, Simd512 b) => v = Vector512.FusedMultiplyAdd(a.v, b.v, v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd512 SquareRoot(Simd512 x) => new(Vector512.Sqrt(x.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd512 RepeatTwo(float* source) => new(Vector512.Create(*(double*)source).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd512 RepeatFour(float* source) => new(Avx512F.BroadcastVector128ToVector512(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd512 PairSums(Simd512 x) =>
        new(
            Vector512.Shuffle(x.v, Vector512.CreateSequence(0, 2))
                + Vector512.Shuffle(x.v, Vector512.CreateSequence(1, 2))
        );

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd512 Clamp(Simd512 x, float low, float high) =>
        new(Vector512.MinNative(Vector512.Create(high), Vector512.MaxNative(Vector512.Create(low), x.v)));
}

internal unsafe struct Simd256(Vector256<float> v) : ISimdVector<Simd256>
{
    private Vector256<float> v = v;

    public static int Count => 8;

    public static int Registers => 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd256 Create(float x) => new(Vector256.Create(x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd256 Load(float* source) => new(Vector256.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(float* target) => v.Store(target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd256 operator +(Simd256 a, Simd256 b) => new(a.v + b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd256 operator -(Simd256 a, Simd256 b) => new(a.v - b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd256 operator *(Simd256 a, Simd256 b) => new(a.v * b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd256 operator /(Simd256 a, Simd256 b) => new(a.v / b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd256 FusedMultiplyAdd(Simd256 a, Simd256 b, Simd256 c) =>
        new(Vector256.FusedMultiplyAdd(a.v, b.v, c.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AddProduct(Simd256 a, Simd256 b) => v = Vector256.FusedMultiplyAdd(a.v, b.v, v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd256 SquareRoot(Simd256 x) => new(Vector256.Sqrt(x.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd256 RepeatTwo(float* source) => new(Vector256.Create(*(double*)source).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd256 RepeatFour(float* source) => new(Avx.BroadcastVector128ToVector256(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd256 PairSums(Simd256 x) =>
        new(
            Vector256.Shuffle(x.v, Vector256.CreateSequence(0, 2))
                + Vector256.Shuffle(x.v, Vector256.CreateSequence(1, 2))
        );

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd256 Clamp(Simd256 x, float low, float high) =>
        new(Vector256.MinNative(Vector256.Create(high), Vector256.MaxNative(Vector256.Create(low), x.v)));
}

internal unsafe struct Simd128(Vector128<float> v) : ISimdVector<Simd128>
{
    private Vector128<float> v = v;

    public static int Count => 4;

    public static int Registers => AdvSimd.IsSupported ? 32 : 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd128 Create(float x) => new(Vector128.Create(x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd128 Load(float* source) => new(Vector128.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(float* target) => v.Store(target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd128 operator +(Simd128 a, Simd128 b) => new(a.v + b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd128 operator -(Simd128 a, Simd128 b) => new(a.v - b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd128 operator *(Simd128 a, Simd128 b) => new(a.v * b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd128 operator /(Simd128 a, Simd128 b) => new(a.v / b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd128 FusedMultiplyAdd(Simd128 a, Simd128 b, Simd128 c) => new(Fused.MultiplyAdd(a.v, b.v, c.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AddProduct(Simd128 a, Simd128 b) => v = Fused.MultiplyAdd(a.v, b.v, v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd128 SquareRoot(Simd128 x) => new(Vector128.Sqrt(x.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd128 RepeatTwo(float* source) => new(Vector128.Create(*(double*)source).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd128 RepeatFour(float* source) => new(Vector128.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd128 PairSums(Simd128 x) =>
        new(
            Vector128.Shuffle(x.v, Vector128.CreateSequence(0, 2))
                + Vector128.Shuffle(x.v, Vector128.CreateSequence(1, 2))
        );

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Simd128 Clamp(Simd128 x, float low, float high) =>
        new(Vector128.MinNative(Vector128.Create(high), Vector128.MaxNative(Vector128.Create(low), x.v)));
}
