namespace FunTrpo.Plots

open System
open System.IO
open System.Text

/// What has been read of a table that another process adds lines to.
type internal GrowingTable =
    {
        Table: CsvTable
        /// The number of bytes that have been read: whole lines.
        Length: int64
        /// The last of these lines as bytes, with its line break.
        LastLine: byte[]
    }

module internal GrowingTable =

    let empty = { Table = CsvTable.empty; Length = 0L; LastLine = [||] }

    let private bytesFrom (position: int64) (stream: Stream) count =
        let bytes = Array.zeroCreate<byte> count
        stream.Position <- position
        let read = stream.ReadAtLeast(bytes.AsSpan(), count, false)
        bytes.AsSpan(0, read).ToArray()

    /// Whether the file still begins with what has been read, as far as its last line tells. Another run has other times in its lines, so a file
    /// that was replaced has another line there.
    let private isContinued (stream: Stream) earlier =
        let count = earlier.LastLine.Length

        stream.Length >= earlier.Length
        && bytesFrom (earlier.Length - int64 count) stream count = earlier.LastLine

    /// Adds the whole lines in the bytes that follow.
    let private addBytes (bytes: byte[]) earlier =
        match Array.LastIndexOf(bytes, byte '\n') with
        | -1 -> earlier
        | last ->
            let before = bytes.AsSpan(0, last).LastIndexOf(byte '\n')

            { Table = earlier.Table |> CsvTable.add (CsvTable.linesOf (Encoding.UTF8.GetString(bytes, 0, last + 1)))
              Length = earlier.Length + int64 (last + 1)
              LastLine = bytes[before + 1 .. last] }

    /// The table in a file as it is now, of which `earlier` was read before: only what has been appended is read. A file that has become shorter or
    /// was replaced is read from its beginning. Throws the exceptions of the file system.
    let read folder name earlier =
        match RunFiles.tryOpen folder name with
        | None -> empty
        | Some stream ->
            use stream = stream
            let known = if isContinued stream earlier then earlier else empty
            addBytes (bytesFrom known.Length stream (int (stream.Length - known.Length))) known
