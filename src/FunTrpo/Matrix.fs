namespace FunTrpo

open System
open System.Collections.Immutable

/// A row-major, read-only matrix of float32, with one row for each sample.
/// Two matrices are equal if they have the same shape and the same bits.
[<Struct; CustomEquality; NoComparison>]
type Matrix internal (rows: int, columns: int, memory: ReadOnlyMemory<float32>) =

    member _.Rows = rows
    member _.Columns = columns
    member _.Memory = memory
    member _.Span = memory.Span

    /// The element in the row and the column. Throws an `IndexOutOfRangeException` if there is none.
    member _.Item
        with get (row: int, column: int) =
            // An unsigned comparison refuses negative indices, too.
            if uint row >= uint rows || uint column >= uint columns then
                Size.throwOutside row column rows columns

            memory.Span[row * columns + column]

    /// The elements of a row. Throws an `ArgumentOutOfRangeException` if the matrix does not have it.
    member _.Row(row: int) = memory.Span.Slice(row * columns, columns)

    /// A new matrix of the given shape. It holds zeros, and then `fill` writes its elements, row after row. Throws an `ArgumentException` if
    /// `rows` or `columns` is negative, or if their product exceeds the largest array.
    static member Create(rows: int, columns: int, fill: Fill) =
        let values = Array.zeroCreate<float32>(Size.product rows columns)
        fill.Invoke(values.AsSpan())
        Matrix(rows, columns, ReadOnlyMemory values)

    /// Rows `first … first + count − 1`. The memory is shared, not copied. Throws an `ArgumentOutOfRangeException` if the matrix does not
    /// have all of them.
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

module Matrix =

    /// A matrix that uses the array without copying it. The caller must not write to the array afterwards.
    let internal adopt rows columns (values: float32[]) = Matrix(rows, columns, ReadOnlyMemory values)

    /// The matrix with the elements `f row column`. Throws as `Matrix.Create` does.
    let init rows columns (f: int -> int -> float32) =
        adopt rows columns (Array.init (Size.product rows columns) (fun i -> f (i / columns) (i % columns)))

    /// A copy of the rows. Without rows, the matrix has no columns. Throws an `ArgumentException` if the rows have different lengths.
    ///
    /// For callers, who have observations as arrays: the library itself fills matrices in place.
    let ofRows (rows: float32[][]) =
        let columns = if rows.Length = 0 then 0 else rows[0].Length

        for i in 0 .. rows.Length - 1 do
            if rows[i].Length <> columns then
                invalidArg (nameof rows) $"row {i} has {rows[i].Length} elements, and row 0 has {columns}"

        adopt rows.Length columns (Array.concat rows)

    /// The numbers of the matrix as one vector, row after row.
    let flatten (m: Matrix) = Vector m.Memory

    /// The rows of all matrices, one after another. Throws an `ArgumentException` if there is no matrix or if their columns differ.
    let concat (matrices: seq<Matrix>) =
        let matrices = Array.ofSeq matrices

        match matrices |> Array.map _.Columns |> Array.distinct with
        | [| columns |] ->
            let numbers = matrices |> Seq.map flatten |> Vector.concat
            Matrix(matrices |> Array.sumBy _.Rows, columns, numbers.Memory)
        | different ->
            invalidArg (nameof matrices) $"they must have the same columns, and have %A{List.ofArray different}"

    /// Like `gather`, but writes the rows to `target`. The matrix shares that memory.
    let internal gatherTo (target: Memory<float32>) (indices: ReadOnlyMemory<int>) (m: Matrix) =
        let gathered = target.Slice(0, indices.Length * m.Columns)
        FunTrpo.Kernels.Rows.Gather(indices.Span, m.Columns, m.Span, gathered.Span)
        Matrix(indices.Length, m.Columns, Memory.op_Implicit gathered)

    /// The rows with the given indices, in that order. Throws an `ArgumentException` if the matrix does not have one of them.
    let gather (indices: ImmutableArray<int>) (m: Matrix) =
        gatherTo (Array.zeroCreate<float32>(Size.product indices.Length m.Columns).AsMemory()) (indices.AsMemory()) m

    /// True if every element is finite.
    let isFinite (m: Matrix) = FunTrpo.Kernels.Reductions.AllFinite m.Span
