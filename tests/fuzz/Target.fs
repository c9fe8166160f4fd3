/// The program that afl-fuzz calls with one file after another: reads each as a file of a kind, with checksums that fit.
///
///     Target KIND                    as the target of afl-fuzz
///     Target KIND --original FILE    writes a file of the kind that loads
///     Target KIND --read FILE        reads a file as the target does, and fails if it does not go as it must
///     Target --list                  the kinds
module FunTrpo.Fuzz.Target

#nowarn "9" // It takes memory that afl-fuzz can see.

open System
open System.IO
open System.Runtime.InteropServices
open Microsoft.FSharp.NativeInterop
open SharpFuzz
open FunTrpo.Tests

let private find name = HostileFiles.kinds |> List.find (fun kind -> kind.Name = name)

/// Reads the bytes as a file of the kind. An exception is what afl-fuzz calls a crash.
let private read (kind: HostileFiles.Kind) path bytes =
    HostileFiles.expectHarmless kind "the file" path (kind.Seal bytes) |> ignore

/// The file that is read: in a folder of this process, below the one that the variable names.
let private newPath () =
    let parent =
        match Environment.GetEnvironmentVariable "FUNTRPO_FUZZ_FOLDER" with
        | null -> Path.GetTempPath()
        | folder -> folder

    let folder = Directory.CreateDirectory(Path.Combine(parent, $"{Environment.ProcessId}")).FullName
    Path.Combine(folder, "file")

/// The number of bytes in which afl-fuzz counts branches.
let private mapSize = 65536un

/// The instrumented code counts its branches in this memory until afl-fuzz's own is there.
let private countBranches () =
    SharpFuzz.Common.Trace.SharedMem <- NativeMemory.AllocZeroed mapSize |> NativePtr.ofVoidPtr<byte>

[<EntryPoint>]
let main arguments =
    countBranches ()

    match arguments with
    | [| "--list" |] ->
        HostileFiles.kinds |> List.iter (fun kind -> printfn "%s" kind.Name)
        0
    | [| name; "--original"; file |] ->
        File.WriteAllBytes(file, (find name).Original.Value)
        0
    | [| name; "--read"; file |] ->
        read (find name) (newPath ()) (File.ReadAllBytes file)
        0
    | [| name |] ->
        let kind = find name
        let path = newPath ()
        // What is computed once is computed before the coverage of a file is measured.
        read kind path kind.Original.Value

        Fuzzer.OutOfProcess.Run(fun (stream: Stream) ->
            use bytes = new MemoryStream()
            stream.CopyTo bytes
            read kind path (bytes.ToArray()))

        0
    | _ ->
        eprintfn "Target KIND [--original FILE | --read FILE], or Target --list"
        2
