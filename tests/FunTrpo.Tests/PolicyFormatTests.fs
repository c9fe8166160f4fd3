/// docs/policy-format.md says enough to play a policy in another language: its reader in Python acts as the library does.
module FunTrpo.Tests.PolicyFormatTests

open System
open System.Globalization
open System.IO
open System.Text.RegularExpressions
open Expecto
open FunTrpo
open FunTrpo.Tests.CommandRuns
open FunTrpo.Tests.DocumentationTests
open FunTrpo.Tests.TestFiles

let private python = tryFindProgram "python3"

let private code = blocks "python" "docs/policy-format.md" |> List.exactlyOne |> snd

/// The reader acts on an observation: it prints numbers.
let private printed program folder (observation: ReadOnlyMemory<float32>) =
    let numbers =
        [ for x in observation.ToArray() -> (float x).ToString("R", CultureInfo.InvariantCulture) ]

    runProgram folder program ("act.py" :: "policy.json" :: numbers)

/// The policies that the reader is for.
let private readable =
    PlayingCases.all 12
    |> List.filter (fun case ->
        let saved = case.Saved

        let isFinite =
            match saved.ActionSpace with
            | Discrete _ -> true
            | Box(low, high, _) -> Vector.isFinite low && Vector.isFinite high && low.Length = 2
            | MultiDiscrete _
            | MultiBinary _
            | Masked _
            | Parts _ -> false

        let isKnown =
            match Architecture.tryUniform saved.Architecture with
            | Some(_, f) -> f = Activation.Tanh || f = Activation.Relu
            | None -> false

        let isGaussian = (saved.Actor.Policy.Distribution = DistributionKind.Gaussian)
        isGaussian && isFinite && isKnown && not (Space.hasIndices saved.ObservationSpace))

let private numbersIn text =
    [ for found in Regex.Matches(text, @"-?\d+(\.\d+)?(e-?\d+)?") ->
          Double.Parse(found.Value, CultureInfo.InvariantCulture) ]

let private acting =
    [ for case in readable do
          inNewFolder case.Name (fun folder ->
              match python with
              | None -> skiptest "there is no python3 here"
              | Some program ->
                  File.WriteAllText(Path.Combine(folder, "act.py"), code)
                  PolicyFile.save (Path.Combine(folder, "policy.json")) case.Saved
                  let player = InferencePolicy case.Saved.Actor

                  for row in [ 0; 2; 3 ] do
                      let observation = case.Observations.SliceRows(row, 1).Memory
                      let action = player.Act(Vector.ofArray (observation.ToArray()))
                      let ended = printed program folder observation
                      Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
                      let found = numbersIn ended.Output
                      Expect.hasLength found action.Length "numbers"

                      for i in 0 .. action.Length - 1 do
                          Expect.isLessThan (abs (found[i] - float action[i])) 1e-5 $"row {row}, number {i}") ]

let private damaged =
    inNewFolder "notices damage" (fun folder ->
        match python with
        | None -> skiptest "there is no python3 here"
        | Some program ->
            File.WriteAllText(Path.Combine(folder, "act.py"), code)
            let text = (PolicyFile.print PolicyFileCases.example).Replace("Example-v0", "Example-v1")
            File.WriteAllText(Path.Combine(folder, "policy.json"), text)
            let ended = printed program folder (ReadOnlyMemory [| 0f; 0f |])
            Expect.equal ended.Code 1 "exit code"
            Expect.stringContains ended.Errors "The file is damaged" "errors")

let private length =
    test "the reader has 15 lines, and loads nothing but the standard library" {
        let lines = code.TrimEnd().Split '\n'
        Expect.hasLength lines 15 "lines"
        Expect.equal lines[0] "import base64, hashlib, json, math, re, struct, sys" "what it loads"
        Expect.hasLength (Regex.Matches(code, "import")) 1 "and nothing later"
    }

let tests =
    testList "The format of policies" [ testList "the reader in Python acts:" acting; damaged; length ]
