/// Checkpoints of format version 1, which an earlier build wrote: every later one reads them. `tests/fixtures/checkpoints/make.fsx` made them.
module FunTrpo.Tests.CheckpointGoldenTests

open System.IO
open System.Runtime.InteropServices
open System.Text
open Expecto
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Kernels
open FunTrpo.Tests.Generators
open FunTrpo.Tests.FileChanges
open FunTrpo.Tests.Tasks
open FunTrpo.Tests.TestFiles

let private pathOf name = fixture [ "checkpoints"; name ]

/// The setup and the checkpoint of a file.
let private load name (environment: Environment<'State>) =
    let path = pathOf name
    let origin = Checkpoint.origin path |> expectOk
    Expect.equal origin.Environment environment.Id "environment"
    let setup = setupOf 1 origin.Configuration environment
    setup, Checkpoint.load path setup |> expectOk

/// The number of rows, and the first mean and sum of squares.
let private summary (moments: Moments) = moments.Width, moments.Count, moments.Mean 0, moments.SquaredDeviations 0

let private firstAndLast (vector: Vector) = vector[0], vector[vector.Length - 1]

/// The parameters after one more iteration, on processors with vectors of 16, 8 and 4 numbers.
let private expectNext setup state (wide: string) (narrow: string) =
    let next, _ = Training.update setup state |> expectOk
    Expect.equal next.Iteration (state.Iteration + 1) "the next iteration"
    Expect.isTrue (Vector.isFinite next.PolicyParameters) "its parameters"

    // Other processors fuse other multiplications and additions.
    if RuntimeInformation.ProcessArchitecture = Architecture.X64 then
        let expected = if Lanes.Width > 4 then wide else narrow
        Expect.equal (Sha256.ofParameters next.PolicyParameters) expected $"parameters, with vectors of {Lanes.Width}"

/// Saved again, each section has the same bytes. Only the configuration may have more fields now.
let private expectSameBytes name setup (checkpoint: Checkpoint<'State>) =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "again")
        Checkpoint.save path setup checkpoint.Note checkpoint.State |> expectOk
        let text (name: byte[]) = Encoding.ASCII.GetString name
        let bytes, again = File.ReadAllBytes(pathOf name), File.ReadAllBytes path
        Expect.equal again[..15] bytes[..15] "the header"

        for (section, content), (sectionAgain, contentAgain) in List.zip (sectionsOf bytes) (sectionsOf again) do
            Expect.equal (text sectionAgain) (text section) "the section"

            if text section <> "configuration" then
                Expect.equal contentAgain content $"the bytes of {text section}"

        let configuration path = (Checkpoint.origin path |> expectOk).Configuration
        Expect.equal (configuration path) (configuration (pathOf name)) "the configuration")

let private key = { K0 = 694425389876213036UL; K1 = 5680635827822775176UL }

let private cartPole =
    test "of CartPole-v1: a struct with a time limit, and 100 recent returns" {
        let name = "version-1-cartpole.checkpoint"
        let setup, checkpoint = load name CartPole.environment
        let state = checkpoint.State
        Expect.equal checkpoint.Note "a note: π ≤ 4" "the note"
        Expect.equal (state.Key, state.VectorWidth) (key, 16) "the key and the vector width"
        Expect.equal (state.Iteration, state.Steps, state.Episodes) (130, 9750L, 114L) "the counters"
        Expect.equal state.Streaks Streaks.none "the streaks"
        let returns = List.ofSeq state.RecentReturns
        Expect.equal (returns.Length, returns[0], returns[99], List.sum returns) (100, 20.0, 29.0, 9410.0) "the returns"
        Expect.equal state.BestMeanReturn (Some 94.78) "the best mean return"
        Expect.equal state.PolicyParameters.Length 30 "the policy's parameters"
        Expect.equal (firstAndLast state.PolicyParameters) (-0.779437184f, -1.35449791f) "two of them"

        match state.Normaliser, state.Critic.Unit with
        | Standardise observations, Standardised returns ->
            Expect.equal
                (summary observations)
                (4, 9750.0, -0.36244688410365439, 6183.996230650444)
                "the moments of observations"

            Expect.equal (summary returns) (1, 9750.0, 62.894763687349595, 8128856.6399560468) "the moments of returns"
        | other -> failtest $"%A{other}"

        Expect.equal (state.Critic.Parameters.Length, state.Critic.Parameters[0]) (19, 0.384068102f) "the critic"
        Expect.equal state.Critic.Optimiser.Steps 0L "the steps of Adam, which is not used"

        let instances =
            [ for instance in state.Instances ->
                  instance.Return, instance.Length, instance.Steps, instance.State.Elapsed ]

        Expect.equal
            instances
            [ 13.0, 13, 3250L, 13; 10.0, 10, 3250L, 10; 2.0, 2, 3250L, 2 ]
            "the episodes of the instances"

        let inner = state.Instances[0].State.Inner
        Expect.floatClose Accuracy.high inner.Position -0.1417126606 "the position"
        Expect.floatClose Accuracy.high inner.AngularVelocity 0.04641976853 "the angular velocity"
        expectSameBytes name setup checkpoint

        expectNext
            setup
            state
            "98e72803053c2289d7822e0b11291d5c8815e644750974916e2dc087ce9c0868"
            "cd15be22532c6a2f2f677986343a56b07261f101cc4164f1bc43ff6e616b7a29"
    }

let private pendulum =
    test "of Pendulum-v1: continuous actions, and the moments of Adam" {
        let name = "version-1-pendulum.checkpoint"
        let setup, checkpoint = load name Pendulum.environment
        let state = checkpoint.State
        Expect.equal (state.Iteration, state.Steps, state.Episodes) (9, 675L, 3L) "the counters"
        Expect.equal setup.Configuration.Critic CriticKind.Adam "the configuration"
        Expect.equal setup.Configuration.InitialLogSigma -0.5 "the configuration"
        Expect.equal state.RecentReturns.Length 3 "the returns"
        let returns: float list = List.ofSeq state.RecentReturns
        Expect.floatClose Accuracy.high (List.sum returns) -2997.532766 "their sum"
        Expect.equal state.BestMeanReturn None "no best mean return"
        Expect.equal state.PolicyParameters.Length 22 "the policy's parameters"
        Expect.equal (firstAndLast state.PolicyParameters) (-1.15789545f, -0.42104131f) "two of them"
        let optimiser = state.Critic.Optimiser
        Expect.equal optimiser.Steps 90L "the steps of Adam"

        Expect.equal
            (optimiser.FirstMoment[0], optimiser.SecondMoment[0])
            (0.0140932389f, 0.000206708413f)
            "the moments of Adam"

        let instances =
            [ for instance in state.Instances -> instance.Return, instance.Length, instance.State.Elapsed ]

        Expect.equal
            instances
            [ -155.95275688471139, 25, 25; -224.12258782313506, 25, 25; -120.77591185691151, 25, 25 ]
            "the episodes of the instances"

        Expect.floatClose Accuracy.high state.Instances[0].State.Inner.Angle -3.285086655 "an angle"
        expectSameBytes name setup checkpoint

        expectNext
            setup
            state
            "807bbf21a92a0176020c84f24844f174905cac789843ad8640360911838e970f"
            "395734dd6f1e5124e6a33b08f32cbb2e30dd40c5f45adfa9a9ace21501bae50a"
    }

let tests = testList "a checkpoint of version 1" [ cartPole; pendulum ]
