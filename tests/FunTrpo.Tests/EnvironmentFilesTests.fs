/// The command with environments of callers' assemblies, which are built beside the tests.
module FunTrpo.Tests.EnvironmentFilesTests

open System
open System.IO
open System.Reflection.Metadata
open System.Reflection.Metadata.Ecma335
open System.Reflection.PortableExecutable
open System.Text.Json.Nodes
open Expecto
open FunTrpo
open FunTrpo.Environments
open FunTrpo.MuJoCo
open FunTrpo.Cli
open FunTrpo.Tests.CommandRuns
open FunTrpo.Tests.Generators
open FunTrpo.Tests.TestFiles

let private ofFSharp = callers "Callers.FSharp"
let private ofCSharp = callers "Callers.CSharp"
let private idsIn file = EnvironmentFiles.known [ file ] |> expectOk |> List.map _.Registered.Id

let private succeeded (ended: Ended) =
    Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
    ended.Output

/// The command refuses its arguments, and says these words.
let private refused folder arguments words =
    let ended = funtrpo folder arguments
    Expect.equal ended.Code 2 $"exit code, with\n{ended.Errors}"

    for word in words do
        Expect.stringContains ended.Errors word "errors"

let private found =
    let library = Registry.all @ PhysicsTasks.all |> List.map _.Id

    testList
        "finds"
        [ test "values of type Registered and lists of them, in a module of F#" {
              Expect.equal
                  (idsIn ofFSharp)
                  (library @ [ "TunedLine"; "Line"; "Counter"; "Chain-4"; "WaitingLine" ])
                  "ids"
          }
          test "public classes with a constructor without parameters that implement IEnvironment, in C#" {
              Expect.equal (idsIn ofCSharp) (library @ [ "Rail"; "DrawnRail"; "DistantRail"; "Unlicensed" ]) "ids"
          }
          inNewFolder "and lists and checks them" (fun folder ->
              let listed = funtrpo folder [ "list"; "--env-from"; ofFSharp ] |> succeeded

              for part in
                  [ "CartPole-v1"
                    "TunedLine"
                    "Chain-4"
                    "solved at a mean return of -1000; tuned for 600 steps"
                    "no goal; trains for 100000 steps" ] do
                  Expect.stringContains listed part "the list"

              let checks = funtrpo folder [ "check"; "--env"; "Rail"; "--env-from"; ofCSharp ] |> succeeded
              Expect.stringContains checks "Rail: nothing was found" "the check"

              let preset = funtrpo folder [ "config"; "--env"; "TunedLine"; "--env-from"; ofFSharp ] |> succeeded
              Expect.stringContains preset "horizon = 20" "the preset") ]

let private differences (a: JsonObject) (b: JsonObject) =
    [ for field in a do
          if not (JsonNode.DeepEquals(field.Value, b[field.Key])) then
              field.Key ]

let private trains =
    testList
        "trains"
        [ for file, id in [ ofFSharp, "TunedLine"; ofFSharp, "Counter"; ofCSharp, "Rail"; ofCSharp, "DistantRail" ] do
              inNewFolder $"on {id}, repeats the run from its config.json, and evaluates the policy" (fun folder ->
                  let from = [ "--env-from"; file ]

                  let train out more =
                      let path = Path.Combine(folder, out)
                      funtrpo folder ([ "train"; "--out"; out ] @ more) |> succeeded |> ignore
                      json (Path.Combine(path, "config.json")), expectConsistentFiles path

                  let config, summary = train "first" (from @ [ "--env"; id; "--steps"; "300"; "--seed"; "3" ])
                  Expect.equal (get<string> "environmentFrom" config) (Path.GetFileName file) "the file"
                  Expect.equal (get<string> "environment" summary) id "the environment"

                  let recorded = Path.Combine("first", "config.json")
                  let again, sameSummary = train "again" (from @ [ "--config"; recorded ])
                  Expect.isEmpty (differences config again) "the same settings"
                  Expect.isEmpty (differences summary sameSummary |> List.except [ "wallSeconds" ]) "the same run"
                  refused folder [ "train"; "--config"; recorded ] [ id; Path.GetFileName file; "--env-from" ]

                  let policy = [ "evaluate"; "--policy"; Path.Combine("first", "policy.json"); "--episodes"; "3" ]
                  let scores = funtrpo folder (policy @ from) |> succeeded
                  Expect.equal (JsonNode.Parse(scores).AsObject() |> get<int> "episodes") 3 "episodes"
                  refused folder policy [ id ])

          inNewFolder
              "and shows in the report an environment that draws itself, and says it of one that does not"
              (fun folder ->
                  let page id =
                      let run = [ "train"; "--env-from"; ofCSharp; "--env"; id; "--steps"; "200"; "--out"; id ]
                      funtrpo folder (run @ [ "--set"; "horizon=20" ]) |> succeeded |> ignore
                      File.ReadAllText(Path.Combine(folder, id, "report.html"))

                  let drawn = page "DrawnRail"
                  Expect.stringContains drawn "\"bounds\":[-10,10,-1,1]" "the frame"
                  Expect.stringContains drawn "An episode with the most probable actions" "the words"
                  let undrawn = page "Rail"
                  Expect.stringContains undrawn "Rail does not draw its states" "the words"
                  Expect.isFalse (undrawn.Contains "\"bounds\":[-10") "no episode")

          inNewFolder "until the steps are made that a preset is tuned for, or until its goal is reached" (fun folder ->
              // An episode has 20 steps. The goal is reached after 100 episodes, and at most five times 600 steps are made.
              let ended = funtrpo folder [ "train"; "--env-from"; ofFSharp; "--env"; "TunedLine"; "--out"; "goal" ]
              Expect.stringContains (succeeded ended) "TunedLine is solved" "with a goal"
              let steps = json (Path.Combine(folder, "goal", "summary.json")) |> get<int64> "steps"
              Expect.isTrue (2000L <= steps && steps < 3000L) $"{steps} steps"

              let sets = [ "--set"; "hidden=2"; "--set"; "criticHidden=2"; "--set"; "horizon=1000" ]
              let line = [ "train"; "--env-from"; ofFSharp; "--env"; "Line"; "--out"; "line" ]
              Expect.stringContains (funtrpo folder (line @ sets) |> succeeded) "Line was trained" "without a goal"
              let summary = json (Path.Combine(folder, "line", "summary.json"))
              Expect.equal (get<int64> "steps" summary, get<bool> "solved" summary) (100_000L, false) "steps") ]

/// Writes a copy of an assembly that was built for FunTrpo 99.
let private forAnotherVersion (source: string) copy =
    let bytes = File.ReadAllBytes source
    use file = new PEReader(new MemoryStream(bytes))
    let metadata = file.GetMetadataReader()
    let table = file.PEHeaders.MetadataStartOffset + metadata.GetTableMetadataOffset TableIndex.AssemblyRef

    for handle in metadata.AssemblyReferences do
        if metadata.GetString(metadata.GetAssemblyReference(handle).Name).StartsWith "FunTrpo" then
            let row = MetadataTokens.GetRowNumber handle - 1
            // A row begins with the major version, in two bytes.
            bytes[table + row * metadata.GetTableRowSize TableIndex.AssemblyRef] <- 99uy

    File.WriteAllBytes(copy, bytes)

let private refusals =
    inNewFolder "refuses what cannot be used, and says why" (fun folder ->
        let list (file: string) = [ "list"; "--env-from"; file ]
        refused folder (list "no.dll") [ "no.dll"; "no such file" ]
        refused folder (list folder) [ "folder" ]
        File.WriteAllText(Path.Combine(folder, "text.dll"), "text")
        refused folder (list "text.dll") [ "text.dll"; "not a .NET assembly" ]
        refused folder (list (typeof<Fault>.Assembly.Location)) [ "registers no environment"; "IEnvironment" ]
        forAnotherVersion ofCSharp (Path.Combine(folder, "other.dll"))
        refused folder (list "other.dll") [ "other.dll"; "built for FunTrpo.CSharp 99" ]

        // Copied without the assembly that it needs.
        File.Copy(ofFSharp, Path.Combine(folder, "alone.dll"))
        refused folder (list "alone.dll") [ "alone.dll"; "FunTrpo.Exact"; "lie beside it" ]

        let train more = [ "train"; "--env-from"; ofCSharp; "--steps"; "100" ] @ more
        refused folder (train []) [ "several"; "--env"; "Rail" ]
        refused folder (train [ "--env"; "Rial" ]) [ "Rial"; "did you mean Rail?" ]
        refused folder (train [ "--env"; "Unlicensed" ]) [ "Unlicensed could not be made"; "no licence" ]

        let copy = Path.Combine(folder, "copy.dll")
        File.Copy(ofCSharp, copy)
        refused folder (list copy @ [ "--env-from"; ofCSharp ]) [ "two environments"; "Rail"; copy; ofCSharp ])

let private registration =
    test "registered simulators are made for each use, and disposed of at its end" {
        let alive = ref 0

        let make () =
            alive.Value <- alive.Value + 1

            { new Simulator with
                member _.Id = "Idle"
                member _.ObservationSpace = Space.box 1 -1.0 1.0
                member _.ActionSpace = Discrete 2
                member _.Reset(_, _) = ()
                member _.Step(_, _) = { Reward = 0.0; Terminated = true; Truncated = false }
              interface IDisposable with
                  member _.Dispose() = alive.Value <- alive.Value - 1 }

        let registered = Registered.ofSimulators Tuning.standard make
        Expect.equal (registered.Id, alive.Value) ("Idle", 0) "after the id"

        for _ in 1..2 do
            let used =
                registered.Use
                    { new EnvironmentUse<_> with
                        member _.With environment =
                            environment.Reset(Key.ofSeed 1L) |> ignore
                            alive.Value }

            Expect.equal (used, alive.Value) (1, 0) "during and after a use"

        let failing = Registered.ofSimulators Tuning.standard (fun () -> failwith<Simulator> "no licence")

        Expect.throwsC (fun () -> failing.Id |> ignore) (fun error ->
            Expect.stringContains error.Message "could not be made: no licence" "the message")
    }

let tests = testList "EnvironmentFiles" [ found; trains; refusals; registration ]
