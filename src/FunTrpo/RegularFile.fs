namespace FunTrpo

open System
open System.Formats.Tar
open System.IO
open System.Text

/// Reads regular files only: reading a device, pipe or socket could block forever.
module internal RegularFile =

    /// The file of a path, after symbolic links are followed.
    let resolveLinks (path: string) =
        let file = FileInfo path

        match file.LinkTarget with
        | null -> file
        | _ -> FileInfo(file.ResolveLinkTarget(true).FullName)

    /// The file's type. .NET reveals it only through a tar entry, so this writes one. None for types that tar cannot hold, such as sockets.
    /// The file must be empty: a tar entry holds the content, too.
    let private typeOfEmpty (file: FileInfo) =
        try
            use archive = new MemoryStream()
            use writer = new TarWriter(archive, TarEntryFormat.Pax, true)
            writer.WriteEntry(file.FullName, "file")
            archive.Position <- 0L
            use reader = new TarReader(archive, true)
            Some(reader.GetNextEntry().EntryType)
        with
        // TarWriter throws an IOException with the default HResult for types it does not support.
        | :? IOException as e when e.HResult = IOException().HResult -> None
        // A regular file that may not be opened, or that is locked: TarWriter opens no others.
        | :? IOException
        | :? UnauthorizedAccessException -> Some TarEntryType.RegularFile

    /// Whether a file that exists and is no link is a regular file. All others have the length 0.
    let private isRegular (file: FileInfo) =
        OperatingSystem.IsWindows() || file.Length > 0L || typeOfEmpty file = Some TarEntryType.RegularFile

    /// What a path is instead of a regular file, directly or through links: the rest of a sentence. None if it is a regular file, or if there
    /// is no file.
    let reasonAgainst (path: string) =
        if Directory.Exists path then
            Some "is a folder, and not a file"
        else
            let file = resolveLinks path
            if file.Exists && not (isRegular file) then Some "is no regular file" else None

    /// The bytes of a file, without the mark of its encoding; or the reason why it is not read, for example that it has more than `maxBytes`
    /// bytes. Throws the exceptions of the file system.
    let read (maxBytes: int64) (path: string) =
        match reasonAgainst path with
        | Some reason -> Error $"it {reason}"
        | None ->
            use stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1)

            // A link of /proc may lead to a pipe that has no name.
            if not stream.CanSeek || stream.Length = 0L then
                Error "it is empty, or no regular file"
            elif stream.Length > maxBytes then
                Error $"it has {stream.Length} bytes, and at most {maxBytes} are read"
            else
                let bytes = Array.zeroCreate<byte>(int stream.Length)
                let count = stream.ReadAtLeast(bytes.AsSpan(), bytes.Length, false)
                let mark = Encoding.UTF8.Preamble.Length
                let isMarked = bytes.AsSpan(0, count).StartsWith Encoding.UTF8.Preamble
                let text = ReadOnlyMemory(bytes, 0, count)
                Ok(if isMarked then text.Slice mark else text)
