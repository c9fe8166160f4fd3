/// States of DDPG in files: they come back in every bit, and training goes on from them as if nothing had happened.
module FunTrpo.Tests.DdpgCheckpointTests

open System.IO
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Ddpg
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.TestFiles

let private small =
    { DdpgTests.small with Noise = { DdpgSettings.standard.Noise with Correlation = 0.9 } }

let private setupOf settings environment = DdpgSetup.create 1 settings environment |> expectOk

/// The state after so many more steps.
let private after (steps: int64) (setup: DdpgSetup<'State>) (state: DdpgState<'State>) =
    DdpgTraining.runFor (state.Steps + steps) setup state |> Seq.map (expectOk >> fst) |> Seq.last

let private trained setup seed steps = DdpgState.start setup seed |> expectOk |> after steps setup

/// The bytes of the file of a state.
let private bytesOf setup state =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "checkpoint")
        DdpgCheckpoint.save path setup "note" state |> expectOk
        File.ReadAllBytes path)

/// What a file of these bytes is read as.
let private read setup (bytes: byte[]) =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "checkpoint")
        File.WriteAllBytes(path, bytes)
        DdpgCheckpoint.load path setup)

let private cases =
    Gen.zip3 seeds (Gen.elements [ false; true ]) (Gen.elements [ 0L; 60L; 120L; 180L; 240L ])

let private settingsOf normalises = { small with NormaliseObservations = normalises; Warmup = 60 }

let private roundTrips =
    testList
        "files"
        [ propertyOf 15 "give back the state in every bit" cases (fun (seed, normalises, steps) ->
              let setup = setupOf (settingsOf normalises) Pendulum.environment

              let state = if steps = 0L then DdpgState.start setup seed |> expectOk else trained setup seed steps

              let bytes = bytesOf setup state
              let checkpoint = read setup bytes |> expectOk
              Expect.equal checkpoint.State state "state"
              Expect.equal checkpoint.Note "note" "note"
              Expect.equal (bytesOf setup checkpoint.State) bytes "the same file again")
          propertyOf
              10
              "let training go on with the bytes of a run that was not cut"
              cases
              (fun (seed, normalises, steps) ->
                  let setup = setupOf (settingsOf normalises) MountainCarContinuous.environment
                  let whole = trained setup seed (steps + 120L)

                  let cut = if steps = 0L then DdpgState.start setup seed |> expectOk else trained setup seed steps

                  let resumed = (read setup (bytesOf setup cut) |> expectOk).State |> after 120L setup
                  Expect.equal (bytesOf setup resumed) (bytesOf setup whole) "the bytes")
          test "hold more than a chunk of experiences" {
              let settings = { small with Capacity = 2500; Warmup = 10_000; IterationSteps = 700 }
              let setup = setupOf settings Pendulum.environment
              let state = trained setup 3L 2100L
              Expect.equal (read setup (bytesOf setup state) |> expectOk).State state "state"
          }
          test "say what they belong to" {
              let setup = setupOf small Pendulum.environment

              inFolder (fun folder ->
                  let path = Path.Combine(folder, "checkpoint")
                  DdpgCheckpoint.save path setup "" (trained setup 1L 60L) |> expectOk
                  let origin = DdpgCheckpoint.origin path |> expectOk
                  Expect.equal origin.Environment "Pendulum-v1" "environment"
                  Expect.equal origin.Settings small "settings")
          } ]

let private refusals =
    let setup = setupOf small Pendulum.environment
    let bytes = lazy (bytesOf setup (trained setup 5L 240L))

    let isDamaged (result: Result<DdpgCheckpoint<_>, Fault>) =
        match result with
        | Error(Damaged _) -> true
        | _ -> false

    testList
        "what is refused"
        [ property
              "a file in which a byte differs"
              (Gen.zip (Gen.choose (0, 1_000_000)) (Gen.choose (1, 255)))
              (fun (at, change) ->
                  let changed = Array.copy bytes.Value
                  let at = at % changed.Length
                  changed[at] <- changed[at] ^^^ byte change
                  Expect.isTrue (isDamaged (read setup changed)) $"byte {at}")
          property "a file that ends early, or goes on" (Gen.choose (0, 1_000_000)) (fun length ->
              let length = length % bytes.Value.Length
              Expect.isTrue (isDamaged (read setup bytes.Value[.. length - 1])) $"{length} bytes"
              Expect.isTrue (isDamaged (read setup (Array.append bytes.Value [| byte length |]))) "one more")
          test "a checkpoint of TRPO, and no file" {
              let trpo = Setup.create 1 Configuration.standard CartPole.environment |> expectOk

              inFolder (fun folder ->
                  let path = Path.Combine(folder, "checkpoint")
                  Expect.isTrue (isDamaged (DdpgCheckpoint.load path setup)) "no file"
                  Checkpoint.save path trpo "" (TrainingState.start trpo 1L) |> expectOk
                  Expect.isTrue (isDamaged (DdpgCheckpoint.load path setup)) "TRPO")
          }
          test "another environment, and other settings of what a state consists of" {
              let refused (result: Result<DdpgCheckpoint<'State>, Fault>) =
                  match result with
                  | Error fault -> Fault.message fault
                  | Ok _ -> failtest "it was accepted"

              let other = read (setupOf small MountainCarContinuous.environment) bytes.Value
              Expect.stringContains (refused other) "is one of Pendulum-v1" "environment"

              for name, settings in
                  [ "actor", { small with Actor = Architecture.uniform [ 13 ] Activation.Tanh }
                    "critic", { small with Critic = [] }
                    "capacity", { small with Capacity = 151 }
                    "normaliseObservations", { small with NormaliseObservations = true; Warmup = 60 }
                    "logSigma", { small with LogSigma = 0.0 } ] do
                  Expect.stringStarts (refused (read (setupOf settings Pendulum.environment) bytes.Value)) name name

              let faster = { small with ActorLearningRate = 0.01; Tau = 0.1; BatchSize = 20 }
              Expect.isOk (read (setupOf faster Pendulum.environment) bytes.Value) "others may change"
          } ]

let tests = testList "DDPG checkpoints" [ roundTrips; refusals ]
