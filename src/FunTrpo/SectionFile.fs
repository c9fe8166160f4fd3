namespace FunTrpo

open System
open System.Buffers.Binary
open System.IO
open System.Runtime.InteropServices
open System.Security.Cryptography
open System.Text

/// Receives some of the bytes of a section. The span is valid only during the call.
type internal Emit = delegate of ReadOnlySpan<byte> -> unit

/// One section of a file: a name, and `Length` bytes that `Write` emits.
type internal Section = { Name: string; Length: int64; Write: Emit -> unit }

module internal Section =

    /// A section of bytes that are there.
    let ofBytes name (bytes: byte[]) =
        { Name = name; Length = int64 bytes.Length; Write = fun emit -> emit.Invoke(ReadOnlySpan bytes) }

    /// A section that a writer writes: small, because it is held in memory.
    let written name write = ofBytes name (ByteWriter.bytes write)

    /// A section of float32 numbers, which are not copied.
    let ofVector name (vector: Vector) =
        { Name = name
          Length = 4L * int64 vector.Length
          Write =
            fun emit ->
                if BitConverter.IsLittleEndian then
                    emit.Invoke(MemoryMarshal.AsBytes vector.Span)
                else
                    ParameterBytes.forEachPiece vector (fun piece ->
                        emit.Invoke(ReadOnlySpan(piece.Bytes, 0, piece.Count))) }

/// A binary file of sections: a mark, a version, the number of sections, and for each section its name, its length, its bytes and the SHA-256
/// of name and bytes. All numbers are little-endian. docs/checkpoint-format.md describes it.
module internal SectionFile =

    let private writeSection (stream: Stream) section =
        use hash = IncrementalHash.CreateHash HashAlgorithmName.SHA256
        let name = Encoding.ASCII.GetBytes section.Name
        stream.WriteByte(byte name.Length)
        stream.Write name
        let length = Array.zeroCreate<byte> 8
        BinaryPrimitives.WriteInt64LittleEndian(length.AsSpan(), section.Length)
        stream.Write length
        hash.AppendData name
        let mutable written = 0L

        section.Write(
            Emit(fun bytes ->
                written <- written + int64 bytes.Length
                hash.AppendData bytes
                stream.Write bytes)
        )

        if written <> section.Length then
            invalidOp $"section {section.Name} has {section.Length} bytes, and {written} were written"

        stream.Write(hash.GetHashAndReset())

    /// Writes a file with the mark (8 bytes) and the version.
    let write (mark: string) version (sections: Section list) (stream: Stream) =
        stream.Write(Encoding.ASCII.GetBytes mark)
        let header = Array.zeroCreate<byte> 8
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(0, 4), version)
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(4, 4), sections.Length)
        stream.Write header
        sections |> List.iter (writeSection stream)

/// Reads the sections of a file in their order. Lengths are compared with the size of the file before memory is taken for them, and bytes are
/// compared with their hash before they are used. Everything that is wrong throws `Unreadable`, with the section and the offset in the file.
[<Sealed>]
type internal SectionReader(stream: Stream, mark: string, version: int) =

    /// Throws `Unreadable`, with the offset of what is wrong.
    let failAt section (offset: int64) (why: string) : 'T = raise (Unreadable $"{section}, byte {offset}: {why}")

    let fail section why : 'T = failAt section stream.Position why

    let read section (count: int) =
        let bytes = Array.zeroCreate<byte> count

        if stream.ReadAtLeast(bytes.AsSpan(), count, false) < count then
            fail section "the file ends here"

        bytes

    let header =
        let expected = Encoding.ASCII.GetBytes mark
        let start = Array.zeroCreate<byte> expected.Length

        if stream.ReadAtLeast(start.AsSpan(), start.Length, false) < start.Length || start <> expected then
            failAt "header" 0L "it does not begin as such a file does"

        let found = BinaryPrimitives.ReadInt32LittleEndian(read "header" 4)

        if found <> version then
            failAt
                "header"
                (int64 expected.Length)
                $"it has version {found} of the format, and this FunTrpo reads version {version}"

        BinaryPrimitives.ReadInt32LittleEndian(read "header" 4)

    let mutable remaining = header

    /// The length of the next section, which must have this name.
    let start name =
        if remaining <= 0 then
            fail $"section {name}" "it is missing"

        remaining <- remaining - 1
        let section = $"section {name}"
        let nameAt = stream.Position
        let nameLength = read section 1
        let found = read section (int nameLength[0]) |> Encoding.ASCII.GetString

        if found <> name then
            failAt section nameAt $"it is expected here, and there is {Fault.printable found}"

        let lengthAt = stream.Position
        let length = BinaryPrimitives.ReadInt64LittleEndian(read section 8)
        let left = stream.Length - stream.Position - int64 SHA256.HashSizeInBytes

        if length < 0L || length > left || length > int64 Array.MaxLength then
            failAt section lengthAt $"it has {length} bytes, and the file has {max 0L left} more"

        int length

    /// Reads the bytes of the section, and compares them with its hash. Returns the offset of the first one.
    let fill name (bytes: Span<byte>) =
        let section = $"section {name}"
        let first = stream.Position

        if stream.ReadAtLeast(bytes, bytes.Length, false) < bytes.Length then
            fail section "the file ends here"

        use hash = IncrementalHash.CreateHash HashAlgorithmName.SHA256
        hash.AppendData(Encoding.ASCII.GetBytes(name: string))
        hash.AppendData(Span.op_Implicit bytes: ReadOnlySpan<byte>)

        if hash.GetHashAndReset() <> read section SHA256.HashSizeInBytes then
            failAt section first "its bytes do not have the SHA-256 that follows them"

        first

    /// Whether there is a next section, and it has this name.
    member _.IsNext(name: string) =
        let position = stream.Position
        let expected = Array.append [| byte name.Length |] (Encoding.ASCII.GetBytes name)
        let found = Array.zeroCreate<byte> expected.Length
        let count = stream.ReadAtLeast(found.AsSpan(), found.Length, false)
        stream.Position <- position
        remaining > 0 && count = expected.Length && found = expected

    /// The bytes of the next section.
    member _.Bytes name =
        let bytes = Array.zeroCreate<byte>(start name)
        let first = fill name (bytes.AsSpan())
        ByteReader($"section {name}", bytes.AsMemory(), first)

    /// The float32 numbers of the next section, all of them finite.
    member _.Vector(name, count) =
        let length = start name
        let first = stream.Position

        if int64 length <> 4L * int64 count then
            failAt $"section {name}" first $"it has {length} bytes, and {count} numbers of four bytes are expected"

        let numbers = Array.zeroCreate<float32> count
        let bytes = MemoryMarshal.AsBytes(numbers.AsSpan())
        fill name bytes |> ignore

        if not BitConverter.IsLittleEndian then
            for i in 0 .. count - 1 do
                bytes.Slice(4 * i, 4).Reverse()

        let bad = Array.FindIndex(numbers, (fun number -> not (Single.IsFinite number)))

        if bad >= 0 then
            failAt $"section {name}" (first + 4L * int64 bad) $"its number {bad} is {numbers[bad]}, which is not finite"

        Vector.adopt numbers

    /// Throws `Unreadable` if there are more sections or bytes.
    member _.End() =
        if remaining <> 0 || stream.Position <> stream.Length then
            fail "the end" "the file has more sections or bytes than it should"

/// Files of sections on a disk, with faults as values.
module internal SectionDisk =

    /// Replaces a file durably. `NotSaved` if the file system refuses it, and `NotConfirmed` if it may not survive a power cut.
    let save disk path mark version sections =
        try
            Ok(AtomicFile.replaceDurably disk path (SectionFile.write mark version sections))
        with
        | AtomicFile.NotConfirmed why -> Error(NotConfirmed(path, why))
        | error when FileFailure.isOfFiles error -> Error(NotSaved(path, FileFailure.reasonOfWrite path error))

    /// Opens a file and reads from it. What is wrong with the file is `Damaged`.
    let reading path mark version (read: SectionReader -> Result<'T, Fault>) =
        try
            match RegularFile.reasonAgainst path with
            | Some reason -> Error(Damaged(path, $"it {reason}"))
            | None ->
                use stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read ||| FileShare.Delete)
                read (SectionReader(stream, mark, version))
        with
        | Unreadable why -> Error(Damaged(path, why))
        | error when FileFailure.isOfFiles error -> Error(Damaged(path, error.Message))
