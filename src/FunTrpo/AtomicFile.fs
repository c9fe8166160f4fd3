namespace FunTrpo

open System
open System.IO
open System.Text

/// Creates and replaces files atomically: a reader never sees a part of a new file, and a crash leaves the old one. The file is written
/// under a temporary name and then renamed. After an error, the temporary file is deleted.
module internal AtomicFile =

    /// Creates a file, in place of the file or link that has this name. `create` receives the temporary name; it creates the file and writes
    /// to it. Returns the stream of `create`; if that is still open, it writes to the file after its renaming, too.
    let create (path: string) (create: string -> FileStream) =
        let written = $"{path}.{Path.GetRandomFileName()}"

        try
            let file = create written

            try
                File.Move(written, path, true)
                file
            with _ ->
                file.Dispose()
                reraise ()
        with _ ->
            if File.Exists written then
                File.Delete written

            reraise ()

    /// Creates and writes a new file, with the permissions of `mode` if there are any. Returns its stream, closed.
    let private writeNew (mode: UnixFileMode voption) (write: Stream -> unit) path =
        let options = FileStreamOptions(Mode = FileMode.CreateNew, Access = FileAccess.Write)
        mode |> ValueOption.iter (fun mode -> options.UnixCreateMode <- mode)
        use stream = new FileStream(path, options)
        // The process's umask may have removed permissions from the mode when the file was created.
        mode |> ValueOption.iter (fun mode -> File.SetUnixFileMode(stream.SafeFileHandle, mode))
        write stream
        stream

    /// Replaces a file with the bytes that `write` writes. The new file keeps the mode of the old one. A symbolic link is kept, and its target
    /// is replaced. Throws the exceptions of the file system, and an `IOException` if the path is no ordinary file: to replace a folder, device,
    /// pipe or socket would destroy it.
    let replace (path: string) write =
        OrdinaryFile.reasonAgainst path
        |> Option.iter (fun reason -> raise (IOException $"{path} {reason}"))

        let file = OrdinaryFile.resolveLinks path

        let mode =
            if file.Exists && not (OperatingSystem.IsWindows()) then ValueSome file.UnixFileMode else ValueNone

        create file.FullName (writeNew mode write) |> ignore

    /// Replaces a file with the text in UTF-8, as `replace` does.
    let replaceText path (content: string) =
        replace path (fun stream -> stream.Write(ReadOnlySpan(Encoding.UTF8.GetBytes content)))

    /// As `replace`, and the new file is on the disk when the function returns.
    let replaceDurably path (write: Stream -> unit) = replace path write
