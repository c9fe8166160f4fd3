namespace FunTrpo

open System
open System.Buffers
open System.Security.Cryptography
open System.Text.Json

/// Computes SHA-256 of all bytes that are written to it. It holds only the bytes of one write at a time.
[<Sealed>]
type private Hashing() =
    let hash = IncrementalHash.CreateHash HashAlgorithmName.SHA256
    let mutable buffer = Array.zeroCreate<byte> 4096

    let atLeast size =
        if size > buffer.Length then
            buffer <- Array.zeroCreate size

        buffer

    /// The hash in lower-case hexadecimal.
    member _.Result = Convert.ToHexStringLower(hash.GetCurrentHash())

    interface IBufferWriter<byte> with
        member _.GetMemory size = (atLeast size).AsMemory()
        member _.GetSpan size = (atLeast size).AsSpan()
        member _.Advance count = hash.AppendData(buffer, 0, count)

    interface IDisposable with
        member _.Dispose() = hash.Dispose()

/// SHA-256, in lower-case hexadecimal.
module Sha256 =

    /// Returns SHA-256 of the parameters as little-endian float32.
    let ofParameters parameters =
        use hash = IncrementalHash.CreateHash HashAlgorithmName.SHA256
        ParameterBytes.forEachPiece parameters (fun piece -> hash.AppendData(piece.Bytes, 0, piece.Count))
        Convert.ToHexStringLower(hash.GetCurrentHash())

    /// Returns SHA-256 of the JSON that `write` writes, without whitespace.
    let internal ofJson (write: Utf8JsonWriter -> unit) =
        use hashing = new Hashing()
        use writer = new Utf8JsonWriter(hashing :> IBufferWriter<byte>)
        write writer
        writer.Flush()
        hashing.Result
