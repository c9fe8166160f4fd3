namespace FunTrpo

open System
open System.Buffers
open System.Buffers.Binary
open System.Buffers.Text
open System.Text.Json
open FunTrpo.Json

/// Some of the parameters as bytes.
[<Struct>]
type internal ParameterPiece =
    {
        /// Little-endian float32, from the start of the array. The array is used again for the next piece.
        Bytes: byte[]
        /// The number of bytes.
        Count: int
        /// True for the last piece.
        IsLast: bool
    }

/// Parameters as bytes: little-endian float32, one after another. They are converted piece by piece.
module internal ParameterBytes =

    /// The number of parameters in a piece: a multiple of 3, so that the bytes of a piece are whole groups of base64.
    let pieceLength = 3072

    /// Calls `work` for each piece of the parameters, in order. Without parameters there is one empty piece.
    let forEachPiece (parameters: Vector) (work: ParameterPiece -> unit) =
        let bytes = Array.zeroCreate<byte>(4 * pieceLength)
        let mutable first = 0
        let mutable isLast = false

        while not isLast do
            let count = min pieceLength (parameters.Length - first)

            for i in 0 .. count - 1 do
                BitConverter.TryWriteBytes(bytes.AsSpan(4 * i), parameters[first + i]) |> ignore

                if not BitConverter.IsLittleEndian then
                    Array.Reverse(bytes, 4 * i, 4)

            first <- first + count
            isLast <- first >= parameters.Length
            work { Bytes = bytes; Count = 4 * count; IsLast = isLast }

    /// Writes the parameters as the property `parameters` in base64. `Utf8JsonWriter` escapes the `+` of base64, as in every JSON string.
    let writeBase64 (writer: Utf8JsonWriter) (parameters: Vector) =
        let text = Array.zeroCreate<byte>(Base64.GetMaxEncodedToUtf8Length(4 * pieceLength))
        writer.WritePropertyName "parameters"

        forEachPiece parameters (fun piece ->
            let _, _, written = Base64.EncodeToUtf8(ReadOnlySpan(piece.Bytes, 0, piece.Count), text.AsSpan())
            writer.WriteStringValueSegment(ReadOnlySpan(text, 0, written), piece.IsLast)
            writer.Flush())

    /// The parameters of a base64 text, which is overwritten.
    let ofBase64 (base64: Memory<byte>) =
        let mutable count = 0

        let status = Base64.DecodeFromUtf8InPlace(base64.Span, &count)

        if status <> OperationStatus.Done || count % 4 <> 0 then
            unreadable "its parameters are not float32 in base64"

        let bytes = base64.Slice(0, count)
        let read i = BinaryPrimitives.ReadSingleLittleEndian(Span.op_Implicit (bytes.Span.Slice(4 * i, 4)))
        let parameters = Vector.init (count / 4) read

        if not (Vector.isFinite parameters) then
            let bad = Seq.findIndex (Single.IsFinite >> not) (Seq.init parameters.Length (fun i -> parameters[i]))

            unreadable
                $"its parameters are not all finite: number {bad}, at byte {4 * bad} of them, is {parameters[bad]}"

        parameters
