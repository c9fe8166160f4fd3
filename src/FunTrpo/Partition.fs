namespace FunTrpo

open System

/// How the rows of a batch are cut: into strips, whose sums are added in order, and strips into blocks, whose activations stay
/// in the cache. It depends on the rows and the size of the network alone, so the rounding does not depend on the threads.
module internal Partition =

    [<Struct>]
    type Block = { First: int; Count: int }

    /// Cuts the rows into `parts` blocks of nearly equal size. Each block starts at a multiple of 8 rows from the first.
    let private evenly parts { First = first; Count = total } =
        let start part = if part = parts then total else int (int64 part * int64 total / int64 parts) / 8 * 8

        Array.init parts (fun part -> { First = first + start part; Count = start (part + 1) - start part })

    /// The largest number of rows of a block, up to rounding to multiples of 8. So few rows stay in the second-level cache while they are
    /// pushed forward, multiplied and pulled back. Any number from 64 to 512 has the same speed.
    let blockRows = 256

    let private maxStrips = 16

    /// The partial sums of all strips hold at most this many numbers together. Two strips are always allowed.
    let private maxSumNumbers = 1 <<< 20

    /// The length of a part of a vector: 64 KiB, which fit into the cache and take longer than the start of a parallel piece.
    let private partLength = 1 <<< 14

    /// Calls `work first count` for consecutive parts of a vector of this length, in parallel. A part has 2¹⁴ numbers.
    let forEachPart threads length (work: int -> int -> unit) = Parallel.iterBlocks threads partLength length work

    /// The blocks of each strip.
    let strips rows packedCount =
        let limit = min maxStrips (max 2 (maxSumNumbers / max 1 packedCount))
        let stripCount = Math.Clamp(rows / blockRows, 1, limit)

        { First = 0; Count = rows }
        |> evenly stripCount
        |> Array.map (fun strip -> evenly (max 1 ((strip.Count + blockRows - 1) / blockRows)) strip)
