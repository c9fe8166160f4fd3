module FunTrpo.Tests.RegularFileTests

open System
open System.IO
open System.Text
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.PolicyFileCases
open FunTrpo.Tests.TestFiles

/// The bytes of any file but an empty one; some begin with the mark of UTF-8, or with a part of it.
let private contents =
    gen {
        let! mark = Gen.elements [ [||]; [| 0xEFuy; 0xBBuy |]; [| 0xEFuy; 0xBBuy; 0xBFuy |] ]
        let! length = Gen.choose (1, 5000)
        let! bytes = Gen.arrayOfLength length (Gen.choose (0, 255) |> Gen.map byte)
        return Array.append mark bytes
    }

let private withoutMark (bytes: byte[]) =
    if Array.truncate 3 bytes = [| 0xEFuy; 0xBBuy; 0xBFuy |] then Array.skip 3 bytes else bytes

/// The reason why a file is not read.
let private refusal largest path =
    match RegularFile.read largest path with
    | Error why -> why
    | Ok _ -> failtest $"{path} was read"

let private content =
    testList
        "an ordinary file"
        [ propertyOf
              50
              "is read byte by byte, without the mark of its encoding, through links, too"
              contents
              (fun bytes ->
                  inFolder (fun folder ->
                      let path name = Path.Combine(folder, name)
                      File.WriteAllBytes(path "file", bytes)
                      File.CreateSymbolicLink(path "second", "file") |> ignore
                      File.CreateSymbolicLink(path "first", "second") |> ignore

                      for name in [ "file"; "second"; "first" ] do
                          let read = RegularFile.read (int64 bytes.Length) (path name) |> expectOk
                          Expect.equal (read.ToArray()) (withoutMark bytes) name
                          Expect.isNone (RegularFile.reasonAgainst (path name)) name
                          Expect.equal (RegularFile.resolveLinks (path name)).FullName (path "file") name))

          propertyOf 50 "of more bytes than are to be read is refused with both numbers" contents (fun bytes ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "file")
                  File.WriteAllBytes(path, bytes)
                  let why = refusal (int64 bytes.Length - 1L) path
                  Expect.stringContains why $"{bytes.Length} bytes" "its size"
                  Expect.stringContains why $"at most {bytes.Length - 1}" "the limit"))

          inNewFolder "that is empty says so" (fun folder ->
              let path = Path.Combine(folder, "file")
              File.WriteAllText(path, "")
              Expect.stringContains (refusal 10L path) "it is empty" "why"
              Expect.isNone (RegularFile.reasonAgainst path) "it may be replaced")

          inNewFolder "that is not there may be made, but not read" (fun folder ->
              let path = Path.Combine(folder, "missing")
              Expect.isNone (RegularFile.reasonAgainst path) "it may be made"
              Expect.throwsT<FileNotFoundException> (fun () -> RegularFile.read 10L path |> ignore) "it is not read") ]

let private others =
    testList
        "what is no regular file"
        [ inNewFolder "is told from one, directly and through a link" (fun folder ->
              let path name = Path.Combine(folder, name)
              Directory.CreateDirectory(path "folder") |> ignore
              File.CreateSymbolicLink(path "to-folder", "folder") |> ignore

              for name in [ "folder"; "to-folder" ] do
                  Expect.equal (RegularFile.reasonAgainst (path name)) (Some "is a folder, and not a file") name
                  Expect.equal (refusal 10L (path name)) "it is a folder, and not a file" name

              if not (OperatingSystem.IsWindows()) then
                  withStrangeFiles folder (fun names ->
                      for name in names do
                          Expect.equal (RegularFile.reasonAgainst (path name)) (Some "is no regular file") name
                          Expect.equal (refusal 10L (path name)) "it is no regular file" name)) ]

let private policies =
    testList
        "reading a file"
        [ test "that is too large, or has no end, ends at once" {
              inFolder (fun folder ->
                  let large, pipe = Path.Combine(folder, "large"), Path.Combine(folder, "pipe")

                  do
                      use file = File.Create large
                      file.SetLength 1_000_000_001L

                  let pipes =
                      if OperatingSystem.IsWindows() then
                          []
                      else
                          (use made = Diagnostics.Process.Start("mkfifo", pipe)
                           made.WaitForExit())

                          File.CreateSymbolicLink(Path.Combine(folder, "link"), pipe) |> ignore
                          [ pipe; Path.Combine(folder, "link"); "/dev/zero" ]

                  for path, part in (large, "1000000001 bytes") :: [ for pipe in pipes -> pipe, "no regular file" ] do
                      let allocated, result = allocating (fun () -> PolicyFile.load path)
                      Expect.stringContains (why result) part path
                      Expect.isLessThan allocated 1_000_000L "bytes")
          }
          test "that is a folder says so" {
              inFolder (fun folder -> Expect.stringContains (PolicyFile.load folder |> why) "it is a folder" "why")
          }
          test "that begins with a mark of its encoding" {
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "policy.json")
                  File.WriteAllText(path, PolicyFile.print example, UTF8Encoding true)
                  Expect.isOk (PolicyFile.load path) "it is read")
          } ]

let tests = testList "Regular file" [ content; others; policies ]
