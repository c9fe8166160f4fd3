/// The description of a sweep, its file, and its table.
module FunTrpo.Tests.SweepPlanTests

open System
open System.IO
open System.Text.Json
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Cli
open FunTrpo.Cli.SweepPlan
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.TestFiles
open Parquet

let private example =
    { Environments = [ "CartPole-v1"; "Pendulum-v1" ]
      Seeds = [ 0L .. 9L ]
      Grid = [ "delta", [ "0.003"; "0.01" ]; "hidden", [ "32,32"; "" ]; "dampedLength", [ "true"; "false" ] ]
      Set = [ "gamma", "0.98"; "activation", "relu" ]
      Steps = Some 20_000L
      StopAt = Some 475.5
      CheckpointEvery = Some 5
      Evaluation = Some { Every = 1000L; Episodes = 7; StopAt = None; Patience = Some 3 }
      ScoreEpisodes = 10 }

let private read (text: string) = inFolder (fun folder -> SweepFile.read (CommandRuns.file folder "sweep.json" text))

let private refusal result =
    match result with
    | Ok value -> failtest $"{value}"
    | Error fault -> Fault.message fault

let private somePlan =
    gen {
        let! environments = Gen.subListOf [ "CartPole-v1"; "Acrobot-v1"; "Pendulum-v1" ]
        let! seeds = Gen.listOf (Gen.choose (-20, 20))
        let! deltas = Gen.listOf (Gen.choose (1, 1000))
        let! isDamped = Gen.elements [ []; [ "dampedLength", "true" ] ]
        let! steps = Gen.optionOf (Gen.choose (1, 100_000))
        let! goal = Gen.optionOf (Gen.choose (-200, 500))
        let! every = Gen.optionOf (Gen.choose (1, 50))
        let! patience = Gen.optionOf (Gen.choose (1, 50))

        return
            { example with
                Environments = if environments.IsEmpty then [ "CartPole-v1" ] else environments
                Seeds = if seeds.IsEmpty then [ 7L ] else seeds |> List.distinct |> List.map int64
                Grid =
                    match List.distinct deltas with
                    | [] -> []
                    | deltas -> [ "delta", [ for delta in deltas -> string (float delta / 1000.0) ] ]
                Set = isDamped
                Steps = Option.map int64 steps
                StopAt = Option.map float goal
                CheckpointEvery = every
                Evaluation =
                    patience
                    |> Option.map (fun patience ->
                        { Every = 500L; Episodes = 2; StopAt = Option.map float goal; Patience = Some patience }) }
    }

let private files =
    [ propertyOf 60 "is read as it was written" somePlan (fun plan ->
          Expect.equal (read (SweepFile.print plan) |> expectOk) plan "the plan"
          Expect.equal (normalised plan |> expectOk) plan "in the form of fields")

      test "may leave out all but environments and seeds, and have seeds as numbers" {
          let plan = read """{ "environments": ["CartPole-v1"], "seeds": [3, 1] }""" |> expectOk

          Expect.equal
              plan
              { example with
                  Environments = [ "CartPole-v1" ]
                  Seeds = [ 3L; 1L ]
                  Grid = []
                  Set = []
                  Steps = None
                  StopAt = None
                  CheckpointEvery = None
                  Evaluation = None
                  ScoreEpisodes = 100 }
              "the plan"
      }

      test "is refused with the reason" {
          for text, parts in
              [ "", [ "empty" ]
                "[]", [ "not the description" ]
                "{", [ "not JSON" ]
                """{ "seeds": "0..2" }""", [ "no environments" ]
                """{ "environments": ["A"], "seeds": "0..2", "gird": {} }""", [ "gird"; "did you mean grid?" ]
                """{ "environments": ["A"], "seeds": "0..2", "steps": 0 }""", [ "steps = 0" ]
                """{ "environments": ["A"], "seeds": "2..0" }""", [ "--seeds = 2..0"; "0..9" ]
                """{ "environments": "A", "seeds": "0" }""", [ "environments is no array" ]
                """{ "environments": ["A"], "seeds": "0", "grid": { "delta": 1 } }""", [ "grid of delta is no array" ]
                """{ "environments": ["A"], "seeds": "0", "grid": { "delta": [null] } }""", [ "grid of delta" ]
                """{ "environments": ["A"], "seeds": "0", "evaluation": { "every": 3 } }""", [ "evaluation" ] ] do
              let why = refusal (read text)

              for part in parts do
                  Expect.stringContains why part text
      } ]

let private texts =
    [ test "seeds are integers and ranges" {
          for text, seeds in
              [ "0..3", [ 0L; 1L; 2L; 3L ]; "5", [ 5L ]; "0,3, 7..8", [ 0L; 3L; 7L; 8L ]; "-2..-1", [ -2L; -1L ] ] do
              Expect.equal (SweepFile.parseSeeds text |> expectOk) seeds text

          for text in [ ""; "x"; "3..1"; "0..20000"; "0..5000,6000..12000"; "1..2..3"; "1.5"; "0..9223372036854775807" ] do
              Expect.stringContains (refusal (SweepFile.parseSeeds text)) "--seeds" text
      }

      test "grids are values with commas between, or with | if they have commas" {
          for text, expected in
              [ "delta=0.1,0.2", ("delta", [ "0.1"; "0.2" ])
                "delta = 0.1", ("delta", [ "0.1" ])
                "hidden=32,32|64", ("hidden", [ "32,32"; "64" ]) ] do
              Expect.equal (SweepFile.parseGrid text |> expectOk) expected text

          for text in [ "delta"; "=3" ] do
              Expect.stringContains (refusal (SweepFile.parseGrid text)) "--grid" text
      } ]

let private plans =
    [ test "have every combination once, the last setting first" {
          Expect.equal
              (points [ "a", [ "1"; "2" ]; "b", [ "x"; "y" ] ])
              [ [ "a", "1"; "b", "x" ]; [ "a", "1"; "b", "y" ]; [ "a", "2"; "b", "x" ]; [ "a", "2"; "b", "y" ] ]
              "points"

          Expect.equal (points []) [ [] ] "none"
          let known = EnvironmentFiles.known [] |> expectOk
          let runs = runs known "out" (normalised example |> expectOk) |> expectOk
          Expect.hasLength runs (2 * 10 * 8) "runs"
          Expect.hasLength (runs |> List.distinctBy _.Options.Folder) runs.Length "folders of their own"
          let first = runs.Head

          Expect.equal
              first.Options.Folder
              (Path.Combine("out", "CartPole-v1", "delta=0.003,hidden=32,32,dampedLength=true", "seed-0"))
              "folder"

          Expect.equal first.Options.Configuration.Delta 0.003 "the grid"
          Expect.equal first.Options.Configuration.Gamma 0.98 "what is the same"
          // What the plan does not set is as in the preset.
          let last = List.last runs
          let preset = (Registry.tryFind "Pendulum-v1").Value.Preset

          Expect.equal
              last.Options.Configuration
              { preset with
                  Delta = 0.01
                  Hidden = []
                  DampedLength = false
                  Gamma = 0.98
                  Activation = Activation.Relu }
              "the last"
      }

      test "have one form of each value, and are refused if something is there twice or unknown" {
          let plan = normalised { example with Grid = [ "delta", [ "0.010"; "1e-3" ] ] } |> expectOk
          Expect.equal plan.Grid [ "delta", [ "0.01"; "0.001" ] ] "the form of the field"

          for plan, part in
              [ { example with Grid = [ "delta", [ "0.01"; "0.010" ] ] }, "it is there twice"
                { example with Grid = [ "delta", [] ] }, "at least one"
                { example with Seeds = [ 1L; 1L ] }, "it is there twice"
                { example with Environments = [] }, "at least one"
                { example with Environments = [ "A"; "A" ] }, "it is there twice"
                { example with Set = [ "delta", "0.1" ] }, "it is there twice"
                { example with Grid = [ "detla", [ "0.1" ] ] }, "did you mean delta?"
                { example with Grid = [ "delta", [ "x" ] ] }, "delta = x"
                { example with Seeds = [ 0L .. 9_999L ]; Grid = [ "delta", [ for i in 1..20 -> string i ] ] },
                "at most 100000" ] do
              Expect.stringContains (refusal (normalised plan)) part $"{plan.Grid}"

          let known = EnvironmentFiles.known [] |> expectOk

          Expect.stringContains
              (refusal (runs known "" { example with Environments = [ "CartPol" ] }))
              "did you mean CartPole-v1?"
              "the environment"
      }

      propertyOf 60 "agree with themselves and with smaller ones, and differ from all others" somePlan (fun plan ->
          Expect.isNone (difference plan plan) "the same"

          let more =
              { plan with
                  Seeds = 1000L :: plan.Seeds
                  Environments = plan.Environments @ [ "MountainCar-v0" ]
                  Grid = [ for name, values in plan.Grid -> name, values @ [ "0.5555" ] ] }

          Expect.isNone (difference plan more) "more"
          Expect.isSome (difference more plan) "less"

          for other, part in
              [ { plan with Steps = Some 123_456L }, "steps"
                { plan with StopAt = Some 1234.5 }, "stopAt"
                { plan with CheckpointEvery = Some 777 }, "checkpointEvery"
                { plan with ScoreEpisodes = 11 }, "scoreEpisodes"
                { plan with Evaluation = Some { Every = 1L; Episodes = 1; StopAt = None; Patience = None } },
                "evaluation"
                { plan with Set = [ "gamma", "0.5" ] }, "set"
                { plan with Grid = ("lambda", [ "0.9" ]) :: plan.Grid }, "grid"
                { plan with Seeds = [ 999L ] }, "seed" ] do
              Expect.stringContains (difference plan other).Value part "the difference")

      test "give unusual values folders of their own" {
          let names =
              [ "a b"; "a_b"; "a%20b"; "a/b"; "a\\b"; ".."; "å" ]
              |> List.map (fun value -> folderOf "E" [ "x", value ] 0L)

          Expect.hasLength (List.distinct names) names.Length "different"

          for name in names do
              Expect.hasLength (name.Split Path.DirectorySeparatorChar) 3 "no folder more"

          Expect.equal (folderOf "E" [] -3L) (Path.Combine("E", "seed--3")) "without a grid"
      } ]

// ---- The table ----

let private someColumns =
    let text = Gen.elements [ "a"; "b,c"; "say \"no\""; ""; "δ"; "two\nlines" ]

    gen {
        let! count = Gen.choose (1, 12)
        let! texts = Gen.arrayOfLength count text
        let! truths = Gen.arrayOfLength count (Gen.elements [ true; false ])
        let! wholes = Gen.arrayOfLength count (Gen.optionOf (ArbMap.defaults |> ArbMap.generate<int64>))

        let! numbers =
            Gen.arrayOfLength count (Gen.optionOf (ArbMap.defaults |> ArbMap.generate<FsCheck.NormalFloat>))

        return
            [ { SweepTable.Name = "text"; SweepTable.Cells = SweepTable.Texts texts }
              { Name = "truth"; Cells = SweepTable.Truths truths }
              { Name = "whole"; Cells = SweepTable.Wholes wholes }
              { Name = "number"; Cells = SweepTable.Numbers(numbers |> Array.map (Option.map _.Get)) } ]
    }

/// The cells of a CSV text, read by the rules of RFC 4180.
let csvCells (text: string) =
    let rows = Collections.Generic.List<string list>()
    let cell = Text.StringBuilder()
    let mutable row = []
    let mutable isQuoted = false
    let mutable i = 0

    let endCell () =
        row <- string cell :: row
        cell.Clear() |> ignore

    while i < text.Length do
        match text[i] with
        | '"' when isQuoted && i + 1 < text.Length && text[i + 1] = '"' ->
            cell.Append '"' |> ignore
            i <- i + 1
        | '"' -> isQuoted <- not isQuoted
        | ',' when not isQuoted -> endCell ()
        | '\n' when not isQuoted ->
            endCell ()
            rows.Add(List.rev row)
            row <- []
        | c -> cell.Append c |> ignore

        i <- i + 1

    List.ofSeq rows

/// The columns of a Parquet file, as Parquet.Net reads them: each cell as CSV writes it, and the type of the column.
let parquetColumns (stream: Stream) =
    let orEmpty (print: 'T -> string) (cell: Nullable<'T>) = if cell.HasValue then print cell.Value else ""

    let read =
        task {
            use! reader = ParquetReader.CreateAsync(stream)
            use group = reader.OpenRowGroupReader 0
            let count = int group.RowCount
            let columns = Collections.Generic.List<string * Type * string list>()

            for field in reader.Schema.GetDataFields() do
                let mutable cells = []
                // Parquet.Net reads texts as memory, too.
                let clr = if field.ClrType = typeof<ReadOnlyMemory<char>> then typeof<string> else field.ClrType

                if clr = typeof<string> then
                    let values = Array.zeroCreate<string> count
                    do! group.ReadAsync(field, Memory values)
                    cells <- List.ofArray values
                elif clr = typeof<bool> then
                    let values = Array.zeroCreate<bool> count
                    do! group.ReadAsync(field, Memory values)
                    cells <- [ for value in values -> if value then "true" else "false" ]
                elif clr = typeof<int64> then
                    let values = Array.zeroCreate<Nullable<int64>> count
                    do! group.ReadAsync(field, Memory values)
                    cells <- values |> Array.map (orEmpty string) |> List.ofArray
                else
                    let values = Array.zeroCreate<Nullable<float>> count
                    do! group.ReadAsync(field, Memory values)

                    cells <-
                        values
                        |> Array.map (orEmpty _.ToString("R", Globalization.CultureInfo.InvariantCulture))
                        |> List.ofArray

                columns.Add(field.Name, clr, cells)

            return List.ofSeq columns
        }

    read.GetAwaiter().GetResult()

let private tables =
    [ propertyOf 40 "is the same in CSV and in Parquet, with numbers as numbers" someColumns (fun columns ->
          use stream = new MemoryStream()
          SweepTable.writeParquet stream columns
          stream.Position <- 0L
          let ofParquet = parquetColumns stream
          let rows = csvCells (SweepTable.csv columns)
          Expect.equal rows.Head [ for name, _, _ in ofParquet -> name ] "names"
          Expect.equal (List.transpose rows.Tail) [ for _, _, cells in ofParquet -> cells ] "cells"

          Expect.equal
              [ for _, clr, _ in ofParquet -> clr ]
              [ typeof<string>; typeof<bool>; typeof<int64>; typeof<float> ]
              "types") ]

let tests =
    testList
        "Sweep"
        [ testList "files" files
          testList "texts" texts
          testList "plans" plans
          testList "the table" tables ]
