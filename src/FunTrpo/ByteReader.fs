namespace FunTrpo

open System
open System.Buffers.Binary
open System.IO
open System.Text

/// Thrown where the content of a file does not have the expected form, and caught where the file is read.
exception internal Unreadable of why: string

/// Writes numbers and texts as bytes, in little-endian order: what `ByteReader` reads.
module internal ByteWriter =

    /// The bytes that `write` writes.
    let bytes (write: BinaryWriter -> unit) =
        use stream = new MemoryStream()
        use writer = new BinaryWriter(stream, Encoding.UTF8)
        write writer
        writer.Flush()
        stream.ToArray()

    /// Writes a text: its number of bytes, and the text in UTF-8.
    let writeText (writer: BinaryWriter) (text: string) =
        let utf8 = Encoding.UTF8.GetBytes text
        writer.Write utf8.Length
        writer.Write utf8

/// Reads numbers and texts from bytes, in little-endian order. A read beyond the end throws `Unreadable` with the name of the bytes and the
/// offset. `first` is the offset of the first byte: 0, or its place in the file that the bytes are from.
[<Sealed>]
type internal ByteReader(name: string, bytes: ReadOnlyMemory<byte>, first: int64) =
    let mutable offset = 0

    /// Where the value begins that was read last.
    let mutable last = 0

    new(name, bytes) = ByteReader(name, bytes, 0L)

    /// Throws `Unreadable`: "section x, byte n: why", with the offset of the value that was read last.
    member _.Fail(why: string) : 'T = raise (Unreadable $"{name}, byte {first + int64 last}: {why}")

    /// The number of bytes that have not been read.
    member _.Remaining = bytes.Length - offset

    /// The next `count` bytes. They are not copied.
    member this.Take count =
        last <- offset

        if count < 0 || count > this.Remaining then
            this.Fail $"it needs {count} more bytes, and {this.Remaining} are left"

        let taken = bytes.Slice(offset, count)
        offset <- offset + count
        taken

    member this.Byte() = this.Take(1).Span[0]
    member this.Int32() = BinaryPrimitives.ReadInt32LittleEndian(this.Take(4).Span)
    member this.Int64() = BinaryPrimitives.ReadInt64LittleEndian(this.Take(8).Span)
    member this.UInt64() = BinaryPrimitives.ReadUInt64LittleEndian(this.Take(8).Span)
    member this.Float32() = BinaryPrimitives.ReadSingleLittleEndian(this.Take(4).Span)
    member this.Float() = BinaryPrimitives.ReadDoubleLittleEndian(this.Take(8).Span)

    /// One byte, 0 or 1.
    member this.Bool() =
        match this.Byte() with
        | 0uy -> false
        | 1uy -> true
        | other -> this.Fail $"{other} is neither 0 nor 1"

    /// A number of items, each of which takes at least `size` bytes. A count that needs more bytes than are left is refused before memory is
    /// taken for the items.
    member this.Count size =
        let count = this.Int32()

        if count < 0 || int64 count * int64 size > int64 this.Remaining then
            this.Fail $"it has {count} items, and {this.Remaining} bytes are left"

        count

    /// A text: its number of bytes, and the text in UTF-8.
    member this.Text() =
        let utf8 = this.Take(this.Count 1)

        try
            UTF8Encoding(false, true).GetString utf8.Span
        with :? ArgumentException ->
            this.Fail "it is no text in UTF-8"

    /// Throws `Unreadable` if bytes are left.
    member this.End() =
        last <- offset

        if this.Remaining > 0 then
            this.Fail $"{this.Remaining} bytes are left over"
