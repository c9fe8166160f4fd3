module FunTrpo.Tests.AtomicFileTests

open System
open System.IO
open System.Text
open System.Threading
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.PolicyFileCases
open FunTrpo.Tests.TestFiles

/// The names in a folder.
let private namesIn folder =
    Directory.EnumerateFileSystemEntries folder |> Seq.map Path.GetFileName |> Seq.sort |> List.ofSeq

exception private Interrupted

let private direct =
    testList
        "a write"
        [ propertyOf
              50
              "that is done has replaced the bytes, and one that fails has not; neither leaves another file"
              (Gen.zip3
                  (Gen.listOf (Gen.choose (0, 255) |> Gen.map byte))
                  (Gen.listOf (Gen.choose (0, 255) |> Gen.map byte))
                  (Gen.elements [ true; false ]))
              (fun (before, after, isThere) ->
                  inFolder (fun folder ->
                      let path = Path.Combine(folder, "file")

                      if isThere then
                          File.WriteAllBytes(path, Array.ofList before)

                      let write (stream: Stream) = stream.Write(ReadOnlySpan(Array.ofList after))

                      let interrupted () =
                          AtomicFile.replace path (fun stream ->
                              write stream
                              raise Interrupted)

                      Expect.throwsT<Interrupted> interrupted "it fails"
                      Expect.equal (namesIn folder) (if isThere then [ "file" ] else []) "files, after the failure"

                      if isThere then
                          Expect.equal (File.ReadAllBytes path) (Array.ofList before) "the old bytes"

                      AtomicFile.replace path write
                      Expect.equal (namesIn folder) [ "file" ] "files"
                      Expect.equal (File.ReadAllBytes path) (Array.ofList after) "the new bytes"))

          inNewFolder "to the stream of a created file goes on after its renaming" (fun folder ->
              let path = Path.Combine(folder, "file")
              File.WriteAllText(path, "old")

              do
                  use stream =
                      AtomicFile.create path (fun temporary ->
                          Expect.equal (Path.GetDirectoryName temporary) folder "a name in the same folder"
                          Expect.equal (File.ReadAllText path) "old" "the old file is there while the new one is made"
                          let stream = File.Create temporary
                          stream.Write(ReadOnlySpan("first, "B))
                          stream)

                  Expect.equal (namesIn folder) [ "file" ] "the new file has its name"
                  stream.Write(ReadOnlySpan("second"B))

              Expect.equal (File.ReadAllText path) "first, second" "both writes")

          inNewFolder "of a text is in UTF-8, without a mark" (fun folder ->
              let path = Path.Combine(folder, "file")
              AtomicFile.replaceText path "δ ≤ 𝛑"
              Expect.equal (File.ReadAllBytes path) (UTF8Encoding(false).GetBytes "δ ≤ 𝛑") "bytes") ]

let private saving =
    testList
        "saving"
        [ test "where it cannot be done leaves nothing behind" {
              inFolder (fun folder ->
                  let below = Path.Combine(folder, "folder")
                  Directory.CreateDirectory below |> ignore
                  File.WriteAllText(Path.Combine(folder, "file"), "old")

                  for path in
                      [ below; Path.Combine(folder, "missing", "policy.json"); Path.Combine(folder, "file", "below") ] do
                      try
                          PolicyFile.save path example
                          failtest $"{path} was written"
                      with :? IOException ->
                          ()

                  // What fails while it is written: this activation has no name.
                  for nameless in
                      [ Architecture.uniform [ 2 ] (enum<Activation> 99)
                        [ HiddenLayer.Dense(2, Activation.Tanh); HiddenLayer.Dense(2, enum<Activation> 99) ] ] do
                      let unwritable =
                          { example with
                              Actor =
                                  { example.Actor with Policy = { example.Actor.Policy with Architecture = nameless } } }

                      Expect.throws (fun () -> PolicyFile.save (Path.Combine(folder, "file")) unwritable) "no text"

                  Expect.equal (namesIn folder) [ "file"; "folder" ] "what is there"
                  Expect.equal (File.ReadAllText(Path.Combine(folder, "file"))) "old" "the old file")
          }
          if not (OperatingSystem.IsWindows()) then
              test "over a pipe, a socket or a device is refused, and leaves it as it is" {
                  inFolder (fun folder ->
                      withStrangeFiles folder (fun names ->
                          let before = namesIn folder

                          for name in names do
                              let path = Path.Combine(folder, name)

                              let saves =
                                  [ (fun () -> PolicyFile.save path example)
                                    (fun () -> AtomicFile.replaceText path "") ]

                              for save in saves do
                                  Expect.throwsC save (fun error ->
                                      Expect.isTrue (error :? IOException) name
                                      Expect.equal error.Message $"{path} is no regular file" name)

                              Expect.isTrue (isStrange path) name
                              Expect.stringContains (PolicyFile.load path |> why) "it is no regular file" name

                          Expect.equal (namesIn folder) before "what is there"))
              }
          test "over an empty file replaces it, even if it is locked or may not be read" {
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "policy.json")

                  let save () =
                      PolicyFile.save path example
                      Expect.isGreaterThan (FileInfo(path).Length) 0L "the new file"

                  File.WriteAllText(path, "")
                  save ()

                  if not (OperatingSystem.IsWindows()) then
                      File.WriteAllText(path, "")
                      File.SetUnixFileMode(path, UnixFileMode.None)
                      save ()
                      File.SetUnixFileMode(path, UnixFileMode.UserRead ||| UnixFileMode.UserWrite)
                      File.WriteAllText(path, "")
                      use _ = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None)
                      save ())
          }
          test "over a symbolic link replaces what it leads to, and not the link" {
              inFolder (fun folder ->
                  let path name = Path.Combine(folder, name)
                  Directory.CreateDirectory(path "there") |> ignore
                  File.WriteAllText(path "there/policy.json", "old")
                  File.CreateSymbolicLink(path "there/second", "policy.json") |> ignore
                  File.CreateSymbolicLink(path "first", "there/second") |> ignore
                  File.CreateSymbolicLink(path "dangling", "there/new.json") |> ignore

                  for link, target in [ "first", "there/policy.json"; "dangling", "there/new.json" ] do
                      PolicyFile.save (path link) example
                      Expect.isNotNull (FileInfo(path link).LinkTarget) $"{link} is a link"
                      Expect.isNull (FileInfo(path target).LinkTarget) $"{target} is none"
                      Expect.equal (File.ReadAllText(path target)) (PolicyFile.print example) target

                  Expect.equal (namesIn (path "there")) [ "new.json"; "policy.json"; "second" ] "what is there")
          }
          testPropertyWithConfig (few 20) "keeps the mode of the file"
          <| Prop.forAll (Gen.choose (0, 0o777) |> Arb.fromGen) (fun mode ->
              inFolder (fun folder ->
                  if not (OperatingSystem.IsWindows()) then
                      let path = Path.Combine(folder, "policy.json")
                      File.WriteAllText(path, "old")
                      let mode: UnixFileMode = enum mode
                      File.SetUnixFileMode(path, mode)
                      PolicyFile.save path example
                      Expect.equal (File.GetUnixFileMode path) mode "mode"
                      AtomicFile.replaceText path "text"
                      Expect.equal (File.GetUnixFileMode path) mode "mode, after a text")) ]

let private atomic =
    testList
        "replacing a file"
        [ inNewFolder
              "never shows a part of a file: who has opened the old one reads on in it, and its name is always there"
              (fun folder ->
                  let path = Path.Combine(folder, "file")
                  let content (letter: char) = String(letter, 200_000)
                  AtomicFile.replaceText path (content 'a')

                  use old =
                      new StreamReader(
                          new FileStream(
                              path,
                              FileMode.Open,
                              FileAccess.Read,
                              FileShare.ReadWrite ||| FileShare.Delete
                          )
                      )

                  AtomicFile.replaceText path (content 'b')
                  Expect.equal (old.ReadToEnd()) (content 'a') "the old file, whole"
                  Expect.equal (File.ReadAllText path) (content 'b') "the new file, whole"

                  use stop = new CancellationTokenSource()

                  let reader =
                      System.Threading.Tasks.Task.Run(fun () ->
                          while not stop.IsCancellationRequested do
                              let text = File.ReadAllText path

                              Expect.equal
                                  (text.Length, Seq.length (Seq.distinct text))
                                  (200_000, 1)
                                  "one of the files, whole")

                  for i in 1..200 do
                      AtomicFile.replaceText path (content (if i % 2 = 0 then 'a' else 'b'))

                  stop.Cancel()
                  reader.Wait()
                  Expect.hasLength (Directory.GetFileSystemEntries folder) 1 "files") ]

let tests = testList "Atomic file" [ direct; saving; atomic ]
