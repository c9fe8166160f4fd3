namespace FunTrpo

open System
open System.IO

/// The exceptions of the file system as reasons: what happened, and what to do.
module internal FileFailure =

    /// The error codes of Unix and of Windows for a full disk.
    let private isFull code = code = 28 || code = 0x80070070

    /// The error codes of Unix and of Windows for a file system that is read-only.
    let private isReadOnly code = code = 30 || code = 0x80070013

    /// Why a file cannot be written, and what to do. The file system's own message often names a temporary file, which nobody knows.
    let reasonOfWrite (path: string) (error: exn) =
        let folder () = Path.GetDirectoryName(Path.GetFullPath path)

        match error with
        | :? DirectoryNotFoundException ->
            $"the folder {folder ()} is not there. Was it removed or moved? Make it again, or save elsewhere"
        | :? UnauthorizedAccessException ->
            $"the permissions of the file or of its folder {folder ()} forbid it. Change them, or save elsewhere"
        | :? IOException as error when isFull error.HResult -> "the disk is full. Make room, or save elsewhere"
        | :? IOException as error when isReadOnly error.HResult ->
            $"the file system of {folder ()} is read-only. Save elsewhere"
        | error -> error.Message

    /// Recognises the exceptions of the file system, and those of .NET for paths that the file system cannot have.
    let isOfFiles (error: exn) =
        match error with
        | :? IOException
        | :? UnauthorizedAccessException
        | :? ArgumentException
        | :? NotSupportedException -> true
        | _ -> false
