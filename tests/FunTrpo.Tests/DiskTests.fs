/// Durable writes, on the disk of this machine and on one whose power is cut.
module FunTrpo.Tests.DiskTests

open System
open System.IO
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.TestFiles

exception private PowerCut

/// A file: the bytes that a reader sees, and those that are on the disk.
type private Inode = { mutable Seen: byte[]; mutable Flushed: byte[] option }

/// A disk that keeps bytes and names in memory until they are flushed. After `operations` operations the power is cut. `flushes` is false
/// for a disk that does not flush bytes.
type private FragileDisk(operations: int, flushes: bool) =
    let mutable remaining = operations
    let mutable names: Map<string, Inode> = Map.empty
    // The names that are on the disk, and after them those after each later change.
    let mutable history: Map<string, Inode> list = [ Map.empty ]

    let operate () =
        if remaining = 0 then
            raise PowerCut

        remaining <- remaining - 1

    let change next =
        names <- next
        history <- history @ [ next ]

    /// What may be found when the power is back: the names after one of the changes since the last flush, and of a file that was not
    /// flushed, any part of its beginning.
    member _.AfterPowerCut(name, chooseNames: int, chooseLength: int) =
        history[chooseNames % history.Length]
        |> Map.tryFind name
        |> Option.map (fun inode ->
            match inode.Flushed with
            | Some bytes -> bytes
            | None -> Array.truncate (chooseLength % (inode.Seen.Length + 1)) inode.Seen)

    interface Disk with
        member _.Create(path, _, write) =
            operate ()
            use stream = new MemoryStream()
            write stream
            change (Map.add path { Seen = stream.ToArray(); Flushed = None } names)
            // The power may be cut between the write and the flush.
            operate ()

            if flushes then
                names[path].Flushed <- Some names[path].Seen

        member _.Rename(path, target) =
            operate ()
            change (names |> Map.add target names[path] |> Map.remove path)

        member _.FlushFolder _ =
            operate ()
            history <- [ names ]

        member _.Delete path =
            if remaining > 0 then
                change (Map.remove path names)

/// Replaces a file with one content after another until the power is cut, and returns the number of contents that were written whole.
let private replaceUntilCut (disk: FragileDisk) (contents: byte[] list) =
    let mutable whole = 0

    try
        for content in contents do
            AtomicFile.replaceOn disk "/run/file" ValueNone (fun stream -> stream.Write(ReadOnlySpan content))
            whole <- whole + 1
    with PowerCut ->
        ()

    whole

let private powerCuts =
    gen {
        let! count = Gen.choose (1, 4)
        let! lengths = Gen.listOfLength count (Gen.choose (1, 50))
        let! operations = Gen.choose (0, 4 * count + 1)
        let! chooseNames = Gen.choose (0, 100)
        let! chooseLength = Gen.choose (0, 100)
        return List.mapi (fun i length -> Array.create length (byte i)) lengths, operations, chooseNames, chooseLength
    }

/// Whether the file is the one that was written last as a whole, or the one that was being written.
let private isSafe flushes (contents: byte[] list, operations, chooseNames, chooseLength) =
    let disk = FragileDisk(operations, flushes)
    let whole = replaceUntilCut disk contents

    match disk.AfterPowerCut("/run/file", chooseNames, chooseLength) with
    | None -> whole = 0
    | Some found -> (whole > 0 && found = contents[whole - 1]) || (whole < contents.Length && found = contents[whole])

/// The operations of a durable write.
type private Operation =
    | Create
    | Rename
    | FlushFolder
    | Delete

/// The disk of this machine, on which some operations fail.
let private failing (error: unit -> exn) (operations: Operation list) =
    let attempt operation (work: unit -> unit) =
        if List.contains operation operations then
            raise (error ())

        work ()

    { new Disk with
        member _.Create(path, mode, write) = attempt Create (fun () -> Disk.real.Create(path, mode, write))
        member _.Rename(path, target) = attempt Rename (fun () -> Disk.real.Rename(path, target))
        member _.FlushFolder path = attempt FlushFolder (fun () -> Disk.real.FlushFolder path)
        member _.Delete path = attempt Delete (fun () -> Disk.real.Delete path) }

/// Saves a checkpoint over an older one, on a disk on which these operations fail. Returns the fault and the two states, and the one that is
/// there after it.
let private saveOver folder error operations =
    let path = Path.Combine(folder, "checkpoint")
    let setup = Tasks.setupOf 1 Tasks.small CartPole.environment
    let first = TrainingState.start setup 1L
    let second = Tasks.iterations 1 setup first |> Tasks.last
    Checkpoint.save path setup "" first |> expectOk
    let result = Checkpoint.saveOn (failing error operations) path setup "" second
    let there = (Checkpoint.load path setup |> expectOk).State
    result, (if there.Iteration = 0 then "the old one" else "the new one")

let private noSpace () = IOException("No space left on device", 28) :> exn
let private readOnlySystem () = IOException("Read-only file system", 30) :> exn
let private denied () = UnauthorizedAccessException "Access to the path is denied." :> exn
let private gone () = DirectoryNotFoundException "Could not find a part of the path." :> exn
let private removed () = FileNotFoundException "Could not find file." :> exn
let private broken () = IOException "Input/output error" :> exn

/// Every operation that fails, with each error: what is there afterwards, and what the message says.
let private failures =
    testList
        "a checkpoint whose write fails"
        [ for name, error, part in
              [ "because the disk is full", noSpace, "is full. Make room, or save elsewhere"
                "because the file system is read-only", readOnlySystem, "is read-only. Save elsewhere"
                "because it is not allowed", denied, "forbid it. Change the permissions, or save elsewhere"
                "because its folder was removed",
                gone,
                "was it removed or moved? Make the folder again, or save elsewhere"
                "because its new file was removed",
                removed,
                "was it removed or moved? Make the folder again, or save elsewhere"
                "because the disk is broken", broken, "Input/output error" ] do
              for operations in [ [ Create ]; [ Create; Delete ]; [ Rename ]; [ Rename; Delete ] ] do
                  inNewFolder
                      $"%A{operations}, {name}: the old one is unchanged, and the message says what to do"
                      (fun folder ->
                          match saveOver folder error operations with
                          | Error(NotSaved(path, _) as fault), there ->
                              Expect.equal there "the old one" "what is there"

                              Expect.stringStarts
                                  (Fault.message fault)
                                  $"{path} could not be written: "
                                  "what happened"

                              Expect.stringContains (Fault.message fault) part "what to do"
                              let left = if List.contains Delete operations && operations.Head = Rename then 2 else 1
                              Expect.hasLength (Directory.GetFiles folder) left "files"
                          | other -> failtest $"%A{other}")

              inNewFolder $"after it has its name, {name}: the new one is there, and the message says so" (fun folder ->
                  match saveOver folder error [ FlushFolder ] with
                  | Error(NotConfirmed(path, why) as fault), there ->
                      Expect.equal there "the new one" "what is there"

                      Expect.equal
                          (Fault.message fault)
                          $"{path} was written, but after a power cut the earlier file may be there again, because the disk did not confirm the new one ({why}). Save again, or elsewhere"
                          "what happened, and what to do"
                  | other -> failtest $"%A{other}") ]

let tests =
    testList
        "disks"
        [ propertyOf
              1000
              "after a power cut at any operation, a file is the old one or the new one"
              powerCuts
              (fun case -> Expect.isTrue (isSafe true case) "it is safe")

          // The property sees what it is for.
          test "on a disk that does not flush bytes, the property fails" {
              Expect.exists (Gen.sample 1000 powerCuts) (isSafe false >> not) "a lost file"
          }

          inNewFolder "a file of this machine is replaced, keeps its mode, and nothing else is left" (fun folder ->
              let path = Path.Combine(folder, "file")
              File.WriteAllText(path, "old")
              let mode = UnixFileMode.UserRead ||| UnixFileMode.UserWrite

              if not (OperatingSystem.IsWindows()) then
                  File.SetUnixFileMode(path, mode)

              AtomicFile.replaceDurably Disk.real path (fun stream -> stream.Write(ReadOnlySpan "new"B))
              Expect.equal (File.ReadAllText path) "new" "the content"
              Expect.hasLength (Directory.GetFiles folder) 1 "files"

              if not (OperatingSystem.IsWindows()) then
                  Expect.equal (File.GetUnixFileMode path) mode "the mode")

          inNewFolder "if the writer throws, the old file is there and nothing else" (fun folder ->
              let path = Path.Combine(folder, "file")
              File.WriteAllText(path, "old")

              Expect.throwsT<InvalidOperationException>
                  (fun () -> AtomicFile.replaceDurably Disk.real path (fun _ -> invalidOp "no"))
                  "the exception"

              Expect.equal (File.ReadAllText path) "old" "the content"
              Expect.hasLength (Directory.GetFiles folder) 1 "files")

          failures ]
