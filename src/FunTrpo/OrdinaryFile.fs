namespace FunTrpo

open System
open System.Formats.Tar
open System.IO
open System.Text

/// Recognises and reads ordinary files, and no folders, devices, pipes or sockets. To read these could block or never end.
module internal OrdinaryFile =

    /// The file of a path, after symbolic links are followed.
    let resolveLinks (path: string) =
        let file = FileInfo path

        match file.LinkTarget with
        | null -> file
        | _ -> FileInfo(file.ResolveLinkTarget(true).FullName)

    /// The type of an empty file, or `None` if no archive can hold such a file. The archive opens the file only if it is an ordinary one.
    let private typeInArchive (file: FileInfo) =
        try
            use archive = new MemoryStream()
            use writer = new TarWriter(archive, TarEntryFormat.Pax, true)
            writer.WriteEntry(file.FullName, "file")
            archive.Position <- 0L
            use reader = new TarReader(archive, true)
            Some(reader.GetNextEntry().EntryType)
        with
        // The error code is that of no system call.
        | :? IOException as e when e.HResult = IOException().HResult -> None
        // An ordinary file that may not be opened, or that is locked.
        | :? IOException
        | :? UnauthorizedAccessException -> Some TarEntryType.RegularFile

    /// Whether a file that exists and is no link is an ordinary file. Everything else has the length 0. .NET tells the type of a file only
    /// in an archive.
    let private isOrdinary (file: FileInfo) =
        OperatingSystem.IsWindows()
        || file.Length > 0L
        || typeInArchive file = Some TarEntryType.RegularFile

    /// What a path is instead of an ordinary file, directly or through links: the rest of a sentence. None if it is an ordinary file, or if
    /// there is no file.
    let reasonAgainst (path: string) =
        if Directory.Exists path then
            Some "is a folder, and not a file"
        else
            let file = resolveLinks path
            if file.Exists && not (isOrdinary file) then Some "is no ordinary file" else None

    /// The bytes of a file, without the mark of its encoding; or the reason why it is not read. Throws the exceptions of the file system.
    let read (largest: int64) (path: string) =
        match reasonAgainst path with
        | Some reason -> Error $"it {reason}"
        | None ->
            use stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1)

            // A link of /proc may lead to a pipe that has no name.
            if not stream.CanSeek || stream.Length = 0L then
                Error "it is empty, or no ordinary file"
            elif stream.Length > largest then
                Error $"it has {stream.Length} bytes, and at most {largest} are read"
            else
                let bytes = Array.zeroCreate<byte>(int stream.Length)
                let count = stream.ReadAtLeast(bytes.AsSpan(), bytes.Length, false)
                let mark = Encoding.UTF8.Preamble.Length
                let isMarked = bytes.AsSpan(0, count).StartsWith Encoding.UTF8.Preamble
                let text = ReadOnlyMemory(bytes, 0, count)
                Ok(if isMarked then text.Slice mark else text)
