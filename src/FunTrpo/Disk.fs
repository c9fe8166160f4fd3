namespace FunTrpo

open System
open System.ComponentModel
open System.IO
open System.Runtime.InteropServices

/// The operations that a durable write needs of a disk. Tests put a disk here that loses what was not flushed when the power is cut.
type internal Disk =

    /// Creates a new file of this name, with the permissions of `mode` if there are any, and writes it.
    abstract Create: path: string * mode: UnixFileMode voption * write: (Stream -> unit) -> unit

    /// Returns when the bytes of the file are on the disk.
    abstract Flush: path: string -> unit

    /// Gives the file the name `target`. A file of that name is replaced.
    abstract Rename: path: string * target: string -> unit

    /// Returns when the names of the files in the folder are on the disk.
    abstract FlushFolder: path: string -> unit

    /// Deletes the file, if it exists.
    abstract Delete: path: string -> unit

/// The functions of the C library that .NET has no equal for: it cannot flush a folder.
module private LibC =

    [<DllImport("libc", EntryPoint = "open", SetLastError = true)>]
    extern int openFile(string path, int flags)

    [<DllImport("libc", SetLastError = true)>]
    extern int fsync(int file)

    [<DllImport("libc", SetLastError = true)>]
    extern int close(int file)

    /// The error code of a file system that cannot flush folders.
    let invalid = 22

module internal Disk =

    let private flushFolder (path: string) =
        let folder = LibC.openFile (path, 0)

        if folder < 0 then
            raise (IOException($"{path} cannot be opened", Win32Exception()))

        let flushed = LibC.fsync folder
        let code = Marshal.GetLastPInvokeError()
        LibC.close folder |> ignore

        if flushed < 0 && code <> LibC.invalid then
            raise (IOException($"{path} cannot be flushed", Win32Exception code))

    /// The disk of this machine. Windows flushes the names of files with their bytes.
    let real =
        { new Disk with
            member _.Create(path, mode, write) =
                let options = FileStreamOptions(Mode = FileMode.CreateNew, Access = FileAccess.Write, BufferSize = 0)
                mode |> ValueOption.iter (fun mode -> options.UnixCreateMode <- mode)
                use stream = new FileStream(path, options)
                // The process's umask may have removed permissions from the mode when the file was created.
                mode |> ValueOption.iter (fun mode -> File.SetUnixFileMode(stream.SafeFileHandle, mode))
                write stream

            member _.Flush path =
                use handle = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite)
                RandomAccess.FlushToDisk handle

            member _.Rename(path, target) = File.Move(path, target, true)

            member _.FlushFolder path =
                if not (OperatingSystem.IsWindows()) then
                    flushFolder path

            member _.Delete path = File.Delete path }
