namespace FunTrpo.MuJoCo

open System

/// An observation that is being written, number by number. Numbers become float32.
[<Sealed>]
type Row internal () =
    let mutable numbers: float32[] = Array.zeroCreate 16
    let mutable length = 0

    /// The number of numbers so far.
    member _.Length = length

    /// Adds a number.
    member _.Add(number: float) =
        if length = numbers.Length then
            Array.Resize(&numbers, 2 * length)

        numbers[length] <- float32 number
        length <- length + 1

    /// Adds numbers.
    member this.Add(added: ReadOnlySpan<float>) =
        for number in added do
            this.Add number

    /// Adds numbers, each clipped to ±`limit`.
    member this.AddClipped(limit: float, added: ReadOnlySpan<float>) =
        for number in added do
            this.Add(Math.Clamp(number, -limit, limit))

    /// Begins another observation.
    member internal _.Clear() = length <- 0

    /// The observation, in an array of its own.
    member internal _.ToArray() = numbers.AsSpan(0, length).ToArray()
