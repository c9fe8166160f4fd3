/// A table that another process adds lines to, read bit by bit.
module FunTrpo.Tests.GrowingTableTests

open System.IO
open Expecto
open FsCheck.FSharp
open FunTrpo.Plots
open FunTrpo.Tests.Generators
open FunTrpo.Tests.TestFiles

/// What happens to a file between two looks at it.
type private Change =
    | AddLines of count: int
    /// The beginning of a line, as a reader sees it while the line is written.
    | AddPart
    /// Another file takes its place, with so many lines.
    | Replace of lines: int
    /// All is lost behind so many bytes.
    | Shorten of bytes: int
    | Delete

let private changes =
    Gen.frequency
        [ 6, Gen.choose (0, 4) |> Gen.map AddLines
          3, Gen.constant AddPart
          1, Gen.choose (0, 8) |> Gen.map Replace
          1, Gen.choose (0, 60) |> Gen.map Shorten
          1, Gen.constant Delete ]
    |> Gen.listOf

let private header = "iteration,seconds\n"

/// The text of the file after a change. Each line has a number that no other has, as the times of a run are.
let private apply (next: unit -> int) text change =
    let lines count = String.init count (fun _ -> let number = next () in $"{number % 7},{number}.5ü\n")

    match change, text with
    | AddLines count, Some text -> Some(text + lines count)
    | AddPart, Some text -> Some(text + (lines 1).Substring(0, 2))
    | Shorten bytes, Some text -> Some(text.Substring(0, min bytes text.Length))
    | Replace count, _
    | AddLines count, None -> Some(header + lines count)
    | AddPart, None -> Some(header.Substring(0, 3))
    | Shorten _, None
    | Delete, _ -> None

let private name = "t.csv"

let private following =
    propertyOf 60 "is what the whole file says, whatever happens to it" changes (fun changes ->
        inFolder (fun folder ->
            let path = Path.Combine(folder, name)
            let mutable number = 0

            let next () =
                number <- number + 1
                number

            ((None, GrowingTable.empty), changes)
            ||> List.fold (fun (text, table) change ->
                let text = apply next text change

                match text with
                | Some text -> File.WriteAllText(path, text)
                | None -> File.Delete path

                let table = GrowingTable.read folder name table
                let whole = CsvTable.parse (defaultArg text "")
                Expect.equal table.Table whole $"after {change}"
                text, table)
            |> ignore))

let private appended =
    inNewFolder "reads only what was appended" (fun folder ->
        let path = Path.Combine(folder, name)
        File.WriteAllText(path, header + "1,0.1\n2,0.2\n")
        let before = GrowingTable.read folder name GrowingTable.empty
        // A change of what has been read is not seen: it does not happen to a table that only grows.
        File.WriteAllText(path, header + "9,0.1\n2,0.2\n3,0.3\n")
        let after = GrowingTable.read folder name before
        Expect.equal after.Table.Rows [| "1,0.1"; "2,0.2"; "3,0.3" |] "rows"
        Expect.equal after.Length (FileInfo(path).Length) "bytes")

let tests = testList "Growing table" [ following; appended ]
