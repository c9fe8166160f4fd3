namespace FunTrpo

open System
open System.IO

/// The exceptions of the file system: which they are, what they mean, and what to do.
module internal FileFailure =

    /// The error codes of Unix and of Windows for a full disk.
    let private isFull code = code = 28 || code = 0x80070070

    /// The error codes of Unix and of Windows for a file system that is read-only.
    let private isReadOnly code = code = 30 || code = 0x80070013

    /// What to do about an exception when a file was written: a sentence, or nothing.
    let remedy (error: exn) =
        match error with
        | :? DirectoryNotFoundException
        | :? FileNotFoundException -> "Make the folder again, or save elsewhere"
        | :? UnauthorizedAccessException -> "Change the permissions, or save elsewhere"
        | :? IOException as error when isFull error.HResult -> "Make room, or save elsewhere"
        | :? IOException as error when isReadOnly error.HResult -> "Save elsewhere"
        | _ -> ""

    /// What an exception means when the file at a path was written. The file system's own message often names a temporary file, which nobody
    /// knows.
    let private meaning (path: string) (error: exn) =
        let folder () = Path.GetDirectoryName(Path.GetFullPath path)

        match error with
        | :? DirectoryNotFoundException -> $"the folder {folder ()} is not there; was it removed or moved?"
        | :? FileNotFoundException -> $"the new file in {folder ()} is not there; was it removed or moved?"
        | :? UnauthorizedAccessException -> $"the permissions of the file or of its folder {folder ()} forbid it."
        | :? IOException as error when isFull error.HResult -> $"the disk of {folder ()} is full."
        | :? IOException as error when isReadOnly error.HResult -> $"the file system of {folder ()} is read-only."
        | error -> error.Message

    /// Why the file at a path cannot be written, and what to do.
    let reasonOfWrite path error = $"{meaning path error} {remedy error}".TrimEnd()

    /// Recognises the exceptions of the file system, and those of .NET for paths that the file system cannot have.
    let isOfFiles (error: exn) =
        match error with
        | :? IOException
        | :? UnauthorizedAccessException
        | :? ArgumentException
        | :? NotSupportedException -> true
        | _ -> false
