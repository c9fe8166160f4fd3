using System.Runtime.Intrinsics;

namespace FunTrpo.Bench.Machine;

/// <summary>A vector of float32 of one of the widths, with the operation that is measured.</summary>
internal interface IFused<TSelf>
    where TSelf : IFused<TSelf>
{
    /// <summary>The number of elements of a vector.</summary>
    static abstract int Count { get; }

    static abstract TSelf Create(float value);

    /// <summary>Returns a·b + c, rounded once.</summary>
    static abstract TSelf MultiplyAdd(TSelf a, TSelf b, TSelf c);

    static abstract TSelf Add(TSelf a, TSelf b);

    float First { get; }
}

internal readonly struct Fused512(Vector512<float> value) : IFused<Fused512>
{
    private readonly Vector512<float> _value = value;

    public static int Count => Vector512<float>.Count;

    public float First => _value[0];

    public static Fused512 Create(float value) => new(Vector512.Create(value));

    public static Fused512 MultiplyAdd(Fused512 a, Fused512 b, Fused512 c) =>
        new(Vector512.FusedMultiplyAdd(a._value, b._value, c._value));

    public static Fused512 Add(Fused512 a, Fused512 b) => new(a._value + b._value);
}

internal readonly struct Fused256(Vector256<float> value) : IFused<Fused256>
{
    private readonly Vector256<float> _value = value;

    public static int Count => Vector256<float>.Count;

    public float First => _value[0];

    public static Fused256 Create(float value) => new(Vector256.Create(value));

    public static Fused256 MultiplyAdd(Fused256 a, Fused256 b, Fused256 c) =>
        new(Vector256.FusedMultiplyAdd(a._value, b._value, c._value));

    public static Fused256 Add(Fused256 a, Fused256 b) => new(a._value + b._value);
}

internal readonly struct Fused128(Vector128<float> value) : IFused<Fused128>
{
    private readonly Vector128<float> _value = value;

    public static int Count => Vector128<float>.Count;

    public float First => _value[0];

    public static Fused128 Create(float value) => new(Vector128.Create(value));

    public static Fused128 MultiplyAdd(Fused128 a, Fused128 b, Fused128 c) =>
        new(Vector128.FusedMultiplyAdd(a._value, b._value, c._value));

    public static Fused128 Add(Fused128 a, Fused128 b) => new(a._value + b._value);
}
