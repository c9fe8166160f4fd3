namespace FunTrpo

open System
open System.IO
open System.Text

/// Creates and replaces files atomically: a reader never sees a part of a new file, and if the process ends at any moment, the old file is
/// still there. The new file is written under a temporary name in the same folder and then renamed. After an error, the temporary file is
/// deleted.
///
/// `replaceDurably` also survives a power cut: the bytes reach the disk before the new name does.
module internal AtomicFile =

    /// Thrown if a new file is in its place, but the disk did not confirm its name: after a power cut, the old file may be there again.
    exception NotConfirmed of why: string

    /// Creates a file, in place of the file or link that has this name. `write` receives the temporary name, creates a file of that name and
    /// writes to it. Returns the result of `write`. If that is an open stream, it stays valid after the rename. If the rename fails, the
    /// result is disposed of.
    let create (path: string) (write: string -> 'Result) =
        let temporary = $"{path}.{Path.GetRandomFileName()}"

        try
            let result = write temporary

            try
                File.Move(temporary, path, true)
                result
            with _ ->
                match box result with
                | :? IDisposable as disposable -> disposable.Dispose()
                | _ -> ()

                reraise ()
        with _ ->
            if File.Exists temporary then
                File.Delete temporary

            reraise ()

    /// Creates and writes a new file, with the permissions of `mode` if there are any. Returns the result of `write`.
    let private writeNew (mode: UnixFileMode voption) (write: FileStream -> 'Result) path =
        use stream = Disk.createNew mode path
        write stream

    /// The file that is to be replaced: that of the path, or the one that a symbolic link leads to; and its mode, if it has one. Throws an
    /// `IOException` if it is no regular file.
    let private targetOf (path: string) =
        RegularFile.reasonAgainst path |> Option.iter (fun reason -> raise (IOException $"{path} {reason}"))
        let file = RegularFile.resolveLinks path

        let mode =
            if file.Exists && not (OperatingSystem.IsWindows()) then ValueSome file.UnixFileMode else ValueNone

        struct (file.FullName, mode)

    /// Replaces a file with the bytes that `write` writes, and returns the result of `write`. The new file keeps the mode of the old one. A
    /// symbolic link is kept, and its target is replaced. Throws the exceptions of the file system, and an `IOException` if the path is no
    /// regular file: to replace a folder, device, pipe or socket would destroy it.
    let replace (path: string) (write: FileStream -> 'Result) =
        let struct (target, mode) = targetOf path
        create target (writeNew mode write)

    /// Replaces a file with the text in UTF-8, as `replace` does.
    let replaceText path (content: string) =
        replace path (fun stream -> stream.Write(ReadOnlySpan(Encoding.UTF8.GetBytes content)))

    /// Deletes a temporary file, if the disk lets it: the error that came before matters more.
    let private tryDelete (disk: Disk) temporary =
        try
            disk.Delete temporary
        with error when FileFailure.isOfFiles error ->
            ()

    /// Replaces the file on the disk so that the new file survives a power cut after the function has returned, and the old or the new file
    /// one at any moment before: the bytes are flushed before the file has its name, and then the name is. After an error, the temporary
    /// file is deleted. Throws `NotConfirmed` if the name cannot be flushed; after any other exception, the old file is unchanged.
    let replaceOn (disk: Disk) (path: string) mode write =
        let temporary = $"{path}.{Path.GetRandomFileName()}"

        try
            disk.Create(temporary, mode, write)
            disk.Rename(temporary, path)
        with _ ->
            tryDelete disk temporary
            reraise ()

        try
            disk.FlushFolder(Path.GetDirectoryName path)
        with error when FileFailure.isOfFiles error ->
            raise (NotConfirmed error.Message)

    /// As `replace`, and the new file is on the disk when the function returns (`replaceOn`).
    let replaceDurably disk path (write: Stream -> unit) =
        let struct (target, mode) = targetOf path
        replaceOn disk target mode write
