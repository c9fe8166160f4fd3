namespace FunTrpo

open System

/// How the rows of a batch are cut: into strips, whose sums are added in order, and strips into blocks, whose activations stay
/// in the cache. It depends on the rows and the size of the network alone, so the rounding does not depend on the threads.
module internal Partition =

    [<Struct>]
    type Block = { First: int; Count: int }

    /// Cuts the rows into `parts` blocks of nearly equal size. Each block starts at a multiple of `step` rows from the first.
    let private evenly step parts { First = first; Count = total } =
        let start part = if part = parts then total else int (int64 part * int64 total / int64 parts) / step * step

        Array.init parts (fun part -> { First = first + start part; Count = start (part + 1) - start part })

    /// The largest number of rows of a block, up to rounding to multiples of 8. So few rows stay in the second-level cache while they are
    /// pushed forward, multiplied and pulled back. Any number from 64 to 512 has the same speed.
    let blockRows = 256

    /// Longer rows have smaller blocks.
    let private longRow = 512

    /// The numbers in a block of long rows: 256 KiB, so that what one layer writes is still in the second-level cache when the next one reads it.
    /// If there are more parameters, there are as many numbers: then the parameters come from further away, and each must serve enough rows.
    let private blockNumbers = 1 <<< 16

    /// Each block begins at a multiple of so many rows, unless blocks have fewer: these are the rows of a kernel's tile.
    let private blockStep = 8

    /// The number of rows of a block, up to rounding to multiples of 8, of a network with so many packed parameters, the longest row of
    /// which has `widest` numbers.
    let blockRowsFor widest packedCount =
        let rows =
            if widest <= longRow then
                blockRows
            else
                Math.Clamp(max blockNumbers packedCount / widest, 1, blockRows)

        if rows < 2 * blockStep then min rows blockStep else rows / blockStep * blockStep

    let private maxStrips = 16

    /// The partial sums of all strips hold at most this many numbers together. Two strips are always allowed.
    let private maxSumNumbers = 1 <<< 20

    /// The length of a part of a vector: 64 KiB, which fit into the cache and take longer than the start of a parallel piece.
    let private partLength = 1 <<< 14

    /// Calls `work first count` for consecutive parts of a vector of this length, in parallel. A part has 2¹⁴ numbers.
    let forEachPart threads length (work: int -> int -> unit) = Parallel.iterBlocks threads partLength length work

    /// The largest number of strips of a network with so many packed parameters.
    let private limitOf packedCount = min maxStrips (max 2 (maxSumNumbers / max 1 packedCount))

    /// The blocks of each strip, for a network with so many packed parameters and this longest row.
    let strips rows packedCount widest =
        let stripCount = Math.Clamp(rows / blockRows, 1, limitOf packedCount)
        let ofBlock = blockRowsFor widest packedCount
        let step = if ofBlock > blockStep then blockStep else 1
        let blocksOf strip = evenly step (max 1 ((strip.Count + ofBlock - 1) / ofBlock)) strip
        { First = 0; Count = rows } |> evenly blockStep stripCount |> Array.map blocksOf

    /// The number of sequences of a block, whose rows of one time step are computed together. With more, fewer threads could share a batch.
    let private blockSequences = 8

    /// The blocks of each strip for a network with memory, the longest row of which has `widest` numbers: whole sequences of `length` rows, of which no
    /// more than fit into a buffer.
    let sequenceStrips count length packedCount widest =
        let fitting = int64 FunTrpo.Kernels.PooledBuffer.Largest / max 1L (int64 length * int64 widest)
        let ofBlock = int (Math.Clamp(fitting, 1L, int64 blockSequences))
        let blocksIn sequences = max 1 ((sequences + ofBlock - 1) / ofBlock)
        let ofRows block = { First = block.First * length; Count = block.Count * length }
        let blocksOf strip = evenly 1 (blocksIn strip.Count) strip |> Array.map ofRows

        { First = 0; Count = count }
        |> evenly 1 (Math.Clamp(blocksIn count, 1, limitOf packedCount))
        |> Array.map blocksOf
