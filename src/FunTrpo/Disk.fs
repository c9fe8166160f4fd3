namespace FunTrpo

open System.IO

/// The operations that a durable write needs of a disk. Tests put a disk here that loses what was not flushed when the power is cut.
type internal Disk =

    /// Creates a new file of this name, with the permissions of `mode` if there are any, and writes it. Returns when its bytes are on the
    /// disk.
    abstract Create: path: string * mode: UnixFileMode voption * write: (Stream -> unit) -> unit

    /// Gives the file the name `target`. A file of that name is replaced.
    abstract Rename: path: string * target: string -> unit

    /// Returns when the names of the files in the folder are on the disk.
    abstract FlushFolder: path: string -> unit

    /// Deletes the file, if it exists.
    abstract Delete: path: string -> unit

module internal Disk =

    /// Creates a new file, with the permissions of `mode` if there are any.
    let createNew (mode: UnixFileMode voption) (path: string) =
        let options = FileStreamOptions(Mode = FileMode.CreateNew, Access = FileAccess.Write)
        mode |> ValueOption.iter (fun mode -> options.UnixCreateMode <- mode)
        let stream = new FileStream(path, options)

        try
            // The process's umask may have removed permissions from the mode when the file was created.
            mode |> ValueOption.iter (fun mode -> File.SetUnixFileMode(stream.SafeFileHandle, mode))
            stream
        with _ ->
            stream.Dispose()
            reraise ()

    /// The disk of this machine.
    let real =
        { new Disk with
            member _.Create(path, mode, write) =
                use stream = createNew mode path
                write stream
                stream.Flush true

            member _.Rename(path, target) = File.Move(path, target, true)

            member _.FlushFolder path = FunTrpo.Kernels.Folder.Flush path

            member _.Delete path =
                if File.Exists path then
                    File.Delete path }
