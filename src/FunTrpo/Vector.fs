namespace FunTrpo

open System
open System.Runtime.InteropServices

/// Writes the numbers of a new vector or matrix into the span. The span is valid only during the call.
type Fill = delegate of Span<float32> -> unit

module internal Size =

    /// rows × columns, computed in 64 bits so that it cannot overflow. Throws an `ArgumentException` if either is negative, or if the
    /// product is more than an array can hold.
    let product (rows: int) (columns: int) =
        let size = int64 rows * int64 columns

        if rows < 0 || columns < 0 || size > int64 Array.MaxLength then
            invalidArg (nameof rows) $"{rows} rows of {columns} numbers exceed the largest array"

        int size

    /// Throws for an index outside of a matrix. It is a function of its own so that the check in front of it is inlined.
    let throwOutside (row: int) (column: int) (rows: int) (columns: int) : unit =
        raise (IndexOutOfRangeException $"there is no element [{row}, {column}] in a matrix of {rows} × {columns}")

module internal Bits =
    let same (a: ReadOnlySpan<float32>) (b: ReadOnlySpan<float32>) =
        MemoryMarshal.AsBytes(a).SequenceEqual(MemoryMarshal.AsBytes b)

    let hash (a: ReadOnlySpan<float32>) =
        let mutable code = HashCode()
        code.AddBytes(MemoryMarshal.AsBytes a)
        code.ToHashCode()

/// A flat, read-only vector of float32: parameters, gradients, directions.
/// Two vectors are equal if they have the same length and the same bits: 0 differs from −0, and a NaN can equal itself.
[<Struct; CustomEquality; NoComparison>]
type Vector internal (memory: ReadOnlyMemory<float32>) =

    member _.Length = memory.Length
    member _.Memory = memory
    member _.Span = memory.Span

    /// The element with the index. Throws an `IndexOutOfRangeException` if there is none.
    member _.Item(index: int) = memory.Span[index]

    /// A new vector of the given length. It holds zeros, and then `fill` writes its elements. Throws if `length` is negative.
    static member Create(length: int, fill: Fill) =
        let values = Array.zeroCreate<float32> length
        fill.Invoke(values.AsSpan())
        Vector(ReadOnlyMemory values)

    /// Elements `offset … offset + length − 1`. The memory is shared, not copied. Throws an `ArgumentOutOfRangeException` if the vector does
    /// not have all of them.
    member _.Slice(offset: int, length: int) = Vector(memory.Slice(offset, length))

    member _.Equals(other: Vector) = Bits.same memory.Span other.Span

    override this.Equals(other: obj) =
        match other with
        | :? Vector as vector -> this.Equals vector
        | _ -> false

    override _.GetHashCode() = Bits.hash memory.Span
    override _.ToString() = $"Vector of {memory.Length}"

    interface IEquatable<Vector> with
        member this.Equals other = this.Equals other

module Vector =

    /// A vector that uses the array without copying it. The caller must not write to the array afterwards.
    let internal adopt (values: float32[]) = Vector(ReadOnlyMemory values)

    let empty = adopt [||]

    let zero length = adopt (Array.zeroCreate length)

    let init length (f: int -> float32) = adopt (Array.init length f)

    /// A copy of the array.
    let ofArray (values: float32[]) = adopt (Array.copy values)

    let ofSeq (values: seq<float32>) = adopt (Array.ofSeq values)

    let toArray (v: Vector) = v.Memory.ToArray()

    /// The elements of all the vectors, one vector after another.
    let concat (vectors: seq<Vector>) =
        let vectors = Array.ofSeq vectors
        let joined = Array.zeroCreate<float32>(vectors |> Array.sumBy _.Length)
        let mutable offset = 0

        for vector in vectors do
            vector.Span.CopyTo(joined.AsSpan offset)
            offset <- offset + vector.Length

        adopt joined

    let map (f: float32 -> float32) (v: Vector) =
        let memory = v.Memory
        init v.Length (fun i -> f memory.Span[i])

    /// ⟨a, b⟩, summed in float64. Throws an `ArgumentException` if the lengths differ.
    let dot (a: Vector) (b: Vector) = FunTrpo.Kernels.Reductions.Dot(a.Span, b.Span)

    /// The Euclidean norm, summed in float64.
    let norm v = sqrt (dot v v)

    /// y + α x, with α rounded to float32. Throws an `ArgumentException` if the lengths of x and y differ.
    let addScaled (alpha: float) (x: Vector) (y: Vector) =
        let sum = Array.zeroCreate<float32> y.Length
        FunTrpo.Kernels.Reductions.AddScaled(float32 alpha, x.Span, y.Span, sum.AsSpan())
        adopt sum

    /// α x, with α rounded to float32.
    let scale (alpha: float) (x: Vector) = map (fun xi -> float32 alpha * xi) x

    /// True if every element is finite.
    let isFinite (v: Vector) = FunTrpo.Kernels.Reductions.AllFinite v.Span
