namespace FunTrpo

open System.Collections.Immutable
open System.Runtime.InteropServices

/// How the rows of a network with memory follow one another: row i · Length + t is step t of sequence i.
type Sequences =
    {
        Count: int
        /// The number of rows of each sequence.
        Length: int
        /// Whether each row is the first of an episode: then memory is 0 before it. Count · Length values.
        Begins: ImmutableArray<bool>
        /// The memory before the first row of each sequence, a constant: Count × the memory of the network.
        Memory: Matrix
    }

module Sequences =

    /// Throws an `ArgumentException` unless these are the sequences of so many rows, for a network with so much memory.
    let internal requireFit rows memory (sequences: Sequences) =
        let total = int64 sequences.Count * int64 sequences.Length

        if
            total <> int64 rows
            || sequences.Length < 1
            || total <> int64 sequences.Begins.Length
            || sequences.Memory.Rows <> sequences.Count
            || sequences.Memory.Columns <> memory
        then
            invalidArg
                (nameof sequences)
                $"{sequences.Count} sequences of {sequences.Length} rows, with {sequences.Begins.Length} starts and a memory of {sequences.Memory.Rows} × {sequences.Memory.Columns}, do not fit {rows} rows and a memory of {memory}"

    /// Sequences of a single row each, with these rows of memory before them; none for a network without memory.
    let ofSingleRows (memory: Matrix) =
        if memory.Columns = 0 then
            None
        else
            Some
                { Count = memory.Rows
                  Length = 1
                  Begins = ImmutableCollectionsMarshal.AsImmutableArray(Array.zeroCreate<bool> memory.Rows)
                  Memory = memory }

    /// Some of the sequences, in the order of their indices.
    let gather (indices: int[]) (sequences: Sequences) =
        let begins =
            [| for i in indices do
                   for t in 0 .. sequences.Length - 1 do
                       sequences.Begins[i * sequences.Length + t] |]

        { sequences with
            Count = indices.Length
            Begins = ImmutableCollectionsMarshal.AsImmutableArray begins
            Memory = Matrix.gather (ImmutableArray.CreateRange indices) sequences.Memory }

    /// The indices of the rows of some of the sequences.
    let rows (indices: int[]) (sequences: Sequences) =
        [| for i in indices do
               for t in 0 .. sequences.Length - 1 do
                   i * sequences.Length + t |]
