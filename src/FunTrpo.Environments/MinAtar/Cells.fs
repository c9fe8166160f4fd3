namespace FunTrpo.Environments.MinAtar

open System
open System.Numerics

/// A set of cells of a board of 10 × 10: a bit for each cell. Rows are counted from the top, columns from the left.
[<Struct>]
type Cells =
    {
        /// The rows 0 to 4: the cell of a row and a column is the bit 10 · row + column.
        Top: uint64
        /// The rows 5 to 9, in the same way.
        Bottom: uint64
    }

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Cells =

    /// The number of rows, and of columns.
    let side = 10

    let private half = side / 2
    let private halfMask = (1UL <<< side * half) - 1UL
    let private rowMask = (1UL <<< side) - 1UL

    let empty = { Top = 0UL; Bottom = 0UL }

    /// The set of one cell.
    let one row column =
        if row < half then
            { Top = 1UL <<< side * row + column; Bottom = 0UL }
        else
            { Top = 0UL; Bottom = 1UL <<< side * (row - half) + column }

    let union a b = { Top = a.Top ||| b.Top; Bottom = a.Bottom ||| b.Bottom }
    let intersect a b = { Top = a.Top &&& b.Top; Bottom = a.Bottom &&& b.Bottom }

    /// The cells of `a` that are not in `b`.
    let except a b = { Top = a.Top &&& ~~~b.Top; Bottom = a.Bottom &&& ~~~b.Bottom }

    let isEmpty cells = cells.Top ||| cells.Bottom = 0UL
    let count cells = BitOperations.PopCount cells.Top + BitOperations.PopCount cells.Bottom

    /// Whether the sets have a cell in common.
    let meet a b = not (isEmpty (intersect a b))

    /// Whether the cell is in the set.
    let contains row column cells = meet (one row column) cells

    /// All cells of these rows and columns.
    let block (rows: int seq) (columns: int seq) =
        (empty, Seq.allPairs rows columns)
        ||> Seq.fold (fun cells (row, column) -> union cells (one row column))

    /// The cells of a row.
    let row index = block [ index ] [ 0 .. side - 1 ]

    /// The cells of a column.
    let column index = block [ 0 .. side - 1 ] [ index ]

    /// Each cell one row higher. Those of the top row leave the board.
    let up cells =
        { Top = (cells.Top >>> side) ||| ((cells.Bottom &&& rowMask) <<< side * (half - 1))
          Bottom = cells.Bottom >>> side }

    /// Each cell one row lower. Those of the bottom row leave the board.
    let down cells =
        { Top = (cells.Top <<< side) &&& halfMask
          Bottom = ((cells.Bottom <<< side) &&& halfMask) ||| (cells.Top >>> side * (half - 1)) }

    /// Each cell one column to the left. No cell may be in the first column.
    let left cells = { Top = cells.Top >>> 1; Bottom = cells.Bottom >>> 1 }

    /// Each cell one column to the right. No cell may be in the last column.
    let right cells = { Top = cells.Top <<< 1; Bottom = cells.Bottom <<< 1 }

    let private writeHalf channels channel firstCell (half: uint64) (observation: Span<float32>) =
        let mutable rest = half

        while rest <> 0UL do
            observation[(firstCell + BitOperations.TrailingZeroCount rest) * channels + channel] <- 1f
            rest <- rest &&& (rest - 1UL)

    /// Sets the cells to 1 in a channel of an observation: the number of a cell and a channel is (10 · row + column) · channels + channel.
    let write channels channel cells (observation: Span<float32>) =
        writeHalf channels channel 0 cells.Top observation
        writeHalf channels channel (side * half) cells.Bottom observation

    /// The row and the column of each cell, row by row.
    let toList cells =
        [ for row in 0 .. side - 1 do
              for column in 0 .. side - 1 do
                  if contains row column cells then
                      struct (row, column) ]
