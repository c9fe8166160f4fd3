namespace FunTrpo

open System
open System.Collections.Immutable
open System.Runtime.InteropServices

/// Writes the numbers of a new vector or matrix into the span. The span is valid only during the call.
type Fill = delegate of Span<float32> -> unit

module internal Size =

    /// rows × columns, computed in 64 bits so that it cannot overflow. Throws an `ArgumentException` if either is negative, or if the
    /// product is more than an array can hold.
    let product (rows: int) (columns: int) =
        let size = int64 rows * int64 columns

        if rows < 0 || columns < 0 || size > int64 Array.MaxLength then
            invalidArg (nameof rows) $"{rows} rows of {columns} numbers are not what an array can hold"

        int size

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
    member _.Item(index: int) = memory.Span[index]

    /// A new vector of the given length. It holds zeros, and then `fill` writes its elements.
    static member Create(length: int, fill: Fill) =
        let values = Array.zeroCreate<float32> length
        fill.Invoke(values.AsSpan())
        Vector(ReadOnlyMemory values)

    /// Elements `offset … offset + length − 1`. The memory is shared, not copied.
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

/// A row-major, read-only matrix of float32, with one row for each sample.
/// Two matrices are equal if they have the same shape and the same bits.
[<Struct; CustomEquality; NoComparison>]
type Matrix internal (rows: int, columns: int, memory: ReadOnlyMemory<float32>) =

    member _.Rows = rows
    member _.Columns = columns
    member _.Memory = memory
    member _.Span = memory.Span

    member _.Item
        with get (row: int, column: int) = memory.Span[row * columns + column]

    member _.Row(row: int) = memory.Span.Slice(row * columns, columns)

    /// A new matrix of the given shape. It holds zeros, and then `fill` writes its elements, row after row.
    static member Create(rows: int, columns: int, fill: Fill) =
        let values = Array.zeroCreate<float32>(Size.product rows columns)
        fill.Invoke(values.AsSpan())
        Matrix(rows, columns, ReadOnlyMemory values)

    /// Rows `first … first + count − 1`. The memory is shared, not copied.
    member _.SliceRows(first: int, count: int) = Matrix(count, columns, memory.Slice(first * columns, count * columns))

    member _.Equals(other: Matrix) = rows = other.Rows && columns = other.Columns && Bits.same memory.Span other.Span

    override this.Equals(other: obj) =
        match other with
        | :? Matrix as matrix -> this.Equals matrix
        | _ -> false

    override _.GetHashCode() = HashCode.Combine(rows, columns, Bits.hash memory.Span)

    override _.ToString() = $"Matrix {rows} × {columns}"

    interface IEquatable<Matrix> with
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
        let span = v.Memory
        init v.Length (fun i -> f span.Span[i])

    /// ⟨a, b⟩, summed in float64.
    let dot (a: Vector) (b: Vector) = FunTrpo.Kernels.Reductions.Dot(a.Span, b.Span)

    /// The Euclidean norm, summed in float64.
    let norm v = sqrt (dot v v)

    /// y + α x, with α rounded to float32.
    let addScaled (alpha: float) (x: Vector) (y: Vector) =
        let sum = Array.zeroCreate<float32> y.Length
        FunTrpo.Kernels.Reductions.AddScaled(float32 alpha, x.Span, y.Span, sum.AsSpan())
        adopt sum

    /// α x, with α rounded to float32.
    let scale (alpha: float) (x: Vector) = map (fun xi -> float32 alpha * xi) x

    /// Whether no element is NaN or infinite.
    let isFinite (v: Vector) = FunTrpo.Kernels.Reductions.AllFinite v.Span

module Matrix =

    /// A matrix that uses the array without copying it. The caller must not write to the array afterwards.
    let internal adopt rows columns (values: float32[]) = Matrix(rows, columns, ReadOnlyMemory values)

    let zero rows columns = adopt rows columns (Array.zeroCreate (Size.product rows columns))

    let init rows columns (f: int -> int -> float32) =
        adopt rows columns (Array.init (Size.product rows columns) (fun i -> f (i / columns) (i % columns)))

    /// A copy of the rows, which must have equal lengths.
    let ofRows (rows: float32[][]) =
        let columns = if rows.Length = 0 then 0 else rows[0].Length
        adopt rows.Length columns (Array.concat rows)

    /// The numbers of the matrix as one vector, row after row.
    let flatten (m: Matrix) = Vector m.Memory

    /// Like `gather`, but writes the rows to `target`. The matrix shares that memory.
    let internal gatherTo (target: Memory<float32>) (indices: ReadOnlyMemory<int>) (m: Matrix) =
        let gathered = target.Slice(0, indices.Length * m.Columns)
        FunTrpo.Kernels.Rows.Gather(indices.Span, m.Columns, m.Span, gathered.Span)
        Matrix(indices.Length, m.Columns, Memory.op_Implicit gathered)

    /// The rows with the given indices, in that order.
    let gather (indices: ImmutableArray<int>) (m: Matrix) =
        gatherTo (Array.zeroCreate<float32>(Size.product indices.Length m.Columns).AsMemory()) (indices.AsMemory()) m

    /// Whether no element is NaN or infinite.
    let isFinite (m: Matrix) = FunTrpo.Kernels.Reductions.AllFinite m.Span
