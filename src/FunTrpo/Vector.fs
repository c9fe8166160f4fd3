namespace FunTrpo

open System
open System.Collections.Immutable
open System.Runtime.InteropServices

/// Fills a row or a whole block of numbers that has just been made; the span does not outlive the call.
type Fill = delegate of Span<float32> -> unit

module internal Size =

    /// How many numbers so many rows of so many are. More than an array can hold are refused; in 32 bits they would wrap around.
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
/// Two vectors are equal when every bit of them is.
[<Struct; CustomEquality; NoComparison>]
type Vector internal (memory: ReadOnlyMemory<float32>) =

    member _.Length = memory.Length
    member _.Memory = memory
    member _.Span = memory.Span
    member _.Item(index: int) = memory.Span[index]

    /// The vector of the given length that `fill` writes (it starts as zeros).
    static member Create(length: int, fill: Fill) =
        let values = Array.zeroCreate<float32> length
        fill.Invoke(values.AsSpan())
        Vector(ReadOnlyMemory values)

    /// Elements `offset … offset + length − 1`, shared and not copied.
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

/// A row-major, read-only matrix of float32: one row a sample.
/// Two matrices are equal when their shapes and every bit of them are.
[<Struct; CustomEquality; NoComparison>]
type Matrix internal (rows: int, columns: int, memory: ReadOnlyMemory<float32>) =

    member _.Rows = rows
    member _.Columns = columns
    member _.Memory = memory
    member _.Span = memory.Span

    member _.Item
        with get (row: int, column: int) = memory.Span[row * columns + column]

    member _.Row(row: int) = memory.Span.Slice(row * columns, columns)

    /// The matrix of the given shape that `fill` writes, row after row (it starts as zeros).
    static member Create(rows: int, columns: int, fill: Fill) =
        let values = Array.zeroCreate<float32>(Size.product rows columns)
        fill.Invoke(values.AsSpan())
        Matrix(rows, columns, ReadOnlyMemory values)

    /// Rows `first … first + count − 1`, shared and not copied.
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

    /// Takes the array over without copying it: the caller must not write to it again.
    let internal adopt (values: float32[]) = Vector(ReadOnlyMemory values)

    let empty = adopt [||]

    let zero length = adopt (Array.zeroCreate length)

    let init length (f: int -> float32) = adopt (Array.init length f)

    let ofArray (values: float32[]) = adopt (Array.copy values)

    let ofSeq (values: seq<float32>) = adopt (Array.ofSeq values)

    let toArray (v: Vector) = v.Memory.ToArray()

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

    /// y + α x
    let addScaled (alpha: float) (x: Vector) (y: Vector) =
        let sum = Array.zeroCreate<float32> y.Length
        FunTrpo.Kernels.Reductions.AddScaled(float32 alpha, x.Span, y.Span, sum.AsSpan())
        adopt sum

    let scale (alpha: float) (x: Vector) = map (fun xi -> float32 alpha * xi) x

    let isFinite (v: Vector) = FunTrpo.Kernels.Reductions.AllFinite v.Span

module Matrix =

    /// Takes the array over without copying it: the caller must not write to it again.
    let internal adopt rows columns (values: float32[]) = Matrix(rows, columns, ReadOnlyMemory values)

    let zero rows columns = adopt rows columns (Array.zeroCreate (Size.product rows columns))

    let init rows columns (f: int -> int -> float32) =
        adopt rows columns (Array.init (Size.product rows columns) (fun i -> f (i / columns) (i % columns)))

    let ofRows (rows: float32[][]) =
        let columns = if rows.Length = 0 then 0 else rows[0].Length
        adopt rows.Length columns (Array.concat rows)

    /// The numbers of the matrix as one vector, row after row.
    let flatten (m: Matrix) = Vector m.Memory

    /// As `gather`; but the rows are written to `target`, and the matrix is that memory.
    let internal gatherTo (target: Memory<float32>) (indices: ReadOnlyMemory<int>) (m: Matrix) =
        let gathered = target.Slice(0, indices.Length * m.Columns)
        FunTrpo.Kernels.Rows.Gather(indices.Span, m.Columns, m.Span, gathered.Span)
        Matrix(indices.Length, m.Columns, Memory.op_Implicit gathered)

    /// The rows with the given indices, in that order.
    let gather (indices: ImmutableArray<int>) (m: Matrix) =
        gatherTo (Array.zeroCreate<float32>(Size.product indices.Length m.Columns).AsMemory()) (indices.AsMemory()) m

    let isFinite (m: Matrix) = FunTrpo.Kernels.Reductions.AllFinite m.Span
