namespace FunTrpo

open System

/// How the rows of a batch are cut: into strips, whose sums are added in order, and strips into blocks, whose activations stay
/// in the cache. It depends on the rows and the size of the network alone, so the rounding does not depend on the threads.
module internal Partition =

    [<Struct>]
    type Block = { First: int; Count: int }

    /// The items first … first + total − 1 in so many parts of about the same size, which begin at multiples of eight.
    let private evenly parts { First = first; Count = total } =
        let start part = if part = parts then total else int (int64 part * int64 total / int64 parts) / 8 * 8

        Array.init parts (fun part -> { First = first + start part; Count = start (part + 1) - start part })

    let blockRows = 256
    let private mostStrips = 16

    /// The sums of all strips together hold no more than so many numbers, if two of them do not.
    let private mostSums = 1 <<< 20

    let private partLength = 1 <<< 14

    /// Does work first count with the parts of a vector that is so long, if that is long enough to be shared out.
    let forEachPart threads length (work: int -> int -> unit) =
        Parallel.iter threads ((length + partLength - 1) / partLength) (fun part ->
            let first = part * partLength
            work first (min partLength (length - first)))

    /// The blocks of each strip.
    let strips rows packedCount =
        let most = min mostStrips (max 2 (mostSums / max 1 packedCount))
        let strips = Math.Clamp(rows / blockRows, 1, most)

        { First = 0; Count = rows }
        |> evenly strips
        |> Array.map (fun strip -> evenly (max 1 ((strip.Count + blockRows - 1) / blockRows)) strip)
