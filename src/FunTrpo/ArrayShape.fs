namespace FunTrpo

open System

/// The sizes of the axes of an array whose numbers are stored one row after another, so that the last axis is the fastest. A picture has the
/// shape height, width, channels.
type ArrayShape = int list

module ArrayShape =

    /// The number of numbers in an array of this shape, whose sizes are positive. A number beyond int32 need not be exact.
    let size (shape: ArrayShape) =
        (1L, shape)
        ||> List.fold (fun product size -> if product > int64 Int32.MaxValue then product else product * int64 size)

    /// The same for arrays that fit into memory. Throws an `OverflowException` for others.
    let length shape = Checked.int (size shape)

    /// Whether arrays of this shape have so many numbers: all sizes are positive, and their product is the number.
    let holds (count: int) (shape: ArrayShape) =
        not shape.IsEmpty && List.forall (fun size -> size >= 1) shape && size shape = int64 count

    /// The shape as text: 10 × 10 × 4.
    let describe (shape: ArrayShape) = shape |> List.map string |> String.concat " × "
