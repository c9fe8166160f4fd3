/// What the functions that write files return.
module FunTrpo.Tests.AtomicFileResultTests

open System
open System.IO
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.TestFiles

let tests =
    testList
        "atomic file"
        [ property
              "returns what its writer returns, which may see the bytes on the disk before the file has its name"
              (Gen.listOf (Gen.choose (0, 255) |> Gen.map byte))
              (fun bytes ->
                  inFolder (fun folder ->
                      let path = Path.Combine(folder, "file")
                      File.WriteAllText(path, "old")

                      let length, seen =
                          AtomicFile.replace path (fun stream ->
                              stream.Write(ReadOnlySpan(Array.ofList bytes))
                              stream.Flush true
                              stream.Length, File.ReadAllText path)

                      Expect.equal (length, seen) (int64 bytes.Length, "old") "result"
                      Expect.equal (File.ReadAllBytes path) (Array.ofList bytes) "bytes"))

          test "disposes of the result, and deletes the file, if that cannot have its name" {
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "taken")
                  Directory.CreateDirectory path |> ignore
                  let mutable disposed = 0

                  let write temporary =
                      File.WriteAllText(temporary, "text")

                      { new IDisposable with
                          member _.Dispose() = disposed <- disposed + 1 }

                  Expect.throwsT<IOException>
                      (fun () -> AtomicFile.create path write |> ignore)
                      "a folder has the name"

                  Expect.equal disposed 1 "disposals"
                  Expect.equal (Directory.GetFileSystemEntries folder) [| path |] "what is there")
          } ]
