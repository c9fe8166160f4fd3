/// Fixtures, temporary folders, and files that are not regular ones.
module FunTrpo.Tests.TestFiles

open System
open System.IO
open System.Net.Sockets
open Expecto

/// A file of `tests/fixtures`, which the build copies beside the test program (a deterministic build hides the source folder).
let fixture (parts: string list) = Path.Combine(Array.ofList (AppContext.BaseDirectory :: "fixtures" :: parts))

/// Calls `body` with the path of a new folder, and deletes the folder afterwards.
let inFolder (body: string -> 'T) =
    let folder = Directory.CreateTempSubdirectory "funtrpo-"

    try
        body folder.FullName
    finally
        folder.Delete true

/// A test that has a folder of its own.
let inNewFolder name body = testCase name (fun () -> inFolder body)

/// The path of a program, if it is here.
let tryFindProgram (program: string) =
    (Environment.GetEnvironmentVariable "PATH").Split Path.PathSeparator
    |> Seq.map (fun folder -> Path.Combine(folder, program))
    |> Seq.tryFind File.Exists

/// Makes what is no regular file in a folder, as far as the system can, and calls `body` with the names: a pipe, a socket, a device, and a
/// link to a pipe.
let withStrangeFiles folder (body: string list -> unit) =
    let at name = Path.Combine(folder, name)

    let isMade program arguments =
        use made =
            Diagnostics.Process.Start(
                Diagnostics.ProcessStartInfo(program, (arguments: string list), RedirectStandardError = true)
            )

        made.WaitForExit()
        made.ExitCode = 0

    use socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
    socket.Bind(UnixDomainSocketEndPoint(at "socket"))
    Expect.isTrue (isMade "mkfifo" [ at "pipe" ]) "mkfifo"
    File.CreateSymbolicLink(at "link", at "pipe") |> ignore
    // Only a privileged user may make a device: this one takes what is written to it, and is always empty.
    let devices = if isMade "mknod" [ at "device"; "c"; "1"; "3" ] then [ "device" ] else []
    body ([ "pipe"; "link"; "socket" ] @ devices)

/// Whether the file of a name, after links are followed, is as it was made: replaced, it would have a length.
let isStrange path =
    let target = FileInfo(path).ResolveLinkTarget true |> Option.ofObj
    let name = target |> Option.map _.FullName |> Option.defaultValue path
    FileInfo(name).Length = 0L
