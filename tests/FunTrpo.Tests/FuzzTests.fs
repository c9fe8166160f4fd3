/// Files from strangers: changed at random, also so that their checksums fit, they are refused or loaded, and nothing else happens.
module FunTrpo.Tests.FuzzTests

open System
open System.Diagnostics
open System.IO
open System.Security.Cryptography
open System.Text
open Expecto
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks
open FunTrpo.Tests.TestFiles

/// The number of changed files of each kind: 500 in the ordinary run, and more if the environment variable says so.
let private count =
    match Environment.GetEnvironmentVariable "FUNTRPO_TESTS_MUTANTS" with
    | null -> 500
    | number -> int number

// ---- Changes ----

let private interesting =
    [| 0UL
       1UL
       0x7FUL
       0x80UL
       0xFFUL
       0x7FFFFFFFUL
       0x80000000UL
       0xFFFFFFFFUL
       0x7FFFFFFFFFFFFFFFUL
       UInt64.MaxValue
       0x7FF8000000000000UL
       0x7F800000UL
       0x7FC00000UL |]

/// One random change: a bit, a number, a piece that is cut, repeated or moved, or random bytes.
let private change (random: Random) (bytes: byte[]) =
    let place limit = random.Next(max 1 limit)
    let changed = Array.copy bytes

    if bytes.Length = 0 then
        [| byte (random.Next 256) |]
    else
        match random.Next 7 with
        | 0 ->
            let i = place bytes.Length
            changed[i] <- changed[i] ^^^ byte (1 <<< random.Next 8)
            changed
        | 1 ->
            changed[place bytes.Length] <- byte (random.Next 256)
            changed
        | 2 ->
            let size = min bytes.Length (1 <<< random.Next 4)
            let number = BitConverter.GetBytes interesting[random.Next interesting.Length]
            Array.blit number 0 changed (place (bytes.Length - size + 1)) size
            changed
        | 3 -> Array.truncate (place bytes.Length) bytes
        | 4 ->
            let first = place bytes.Length
            let length = random.Next(min 64 (bytes.Length - first)) + 1
            Array.concat [ bytes[.. first + length - 1]; bytes[first..] ]
        | 5 ->
            let first = place bytes.Length
            let length = random.Next(min 64 (bytes.Length - first)) + 1
            Array.append bytes[.. first - 1] bytes[first + length ..]
        | _ ->
            let first = place bytes.Length
            random.NextBytes(changed.AsSpan(first, min 16 (bytes.Length - first)))
            changed

let private changes (random: Random) bytes =
    Seq.fold (fun bytes _ -> change random bytes) bytes (seq { 1 .. 1 + random.Next 3 })

// ---- What must hold ----

/// Loads the changed file. It takes less than a second and ten times the memory of the file, and throws nothing.
let private expectHarmless name (bytes: byte[]) (load: unit -> Result<unit, Fault>) =
    let clock = Stopwatch.StartNew()
    let before = GC.GetAllocatedBytesForCurrentThread()

    let result =
        try
            load ()
        with error ->
            failtest $"{name}: {error}"

    let allocated = GC.GetAllocatedBytesForCurrentThread() - before
    // A load of the smallest file takes some memory, too: for the networks and for messages.
    Expect.isLessThan allocated (10L * int64 bytes.Length + 2_000_000L) $"{name}: memory for {bytes.Length} bytes"
    Expect.isLessThan clock.Elapsed (TimeSpan.FromSeconds 5.0) $"{name}: time"

    match result with
    | Ok()
    | Error(Damaged _ | Mismatch _ | InvalidSetting _) -> result.IsOk
    | Error fault -> failtest $"{name}: %A{fault}"

// ---- Checkpoints ----

/// The sections of a checkpoint: name and content.
let private sectionsOf (bytes: byte[]) =
    let mutable offset = 16

    [ while offset < bytes.Length do
          let nameLength = int bytes[offset]
          let name = bytes[offset + 1 .. offset + nameLength]
          let length = int (BitConverter.ToInt64(bytes, offset + 1 + nameLength))
          let first = offset + 9 + nameLength
          name, bytes[first .. first + length - 1]
          offset <- first + length + 32 ]

/// A file of these sections whose hashes fit.
let private fileOf (header: byte[]) sections =
    Array.concat
        [ header
          for name: byte[], content: byte[] in sections do
              [| byte name.Length |]
              name
              BitConverter.GetBytes(int64 content.Length)
              content
              SHA256.HashData(Array.append name content) ]

/// A changed checkpoint: any bytes, or those of one section with a hash that fits.
let private changedCheckpoint (random: Random) (bytes: byte[]) =
    if random.Next 3 = 0 then
        changes random bytes
    else
        let sections = sectionsOf bytes
        let chosen = random.Next sections.Length

        sections
        |> List.mapi (fun i (name, content) -> name, (if i = chosen then changes random content else content))
        |> fileOf bytes[..15]

let private checkpointsOf name (environment: Environment<'State>) configuration =
    inNewFolder name (fun folder ->
        let setup = setupOf 1 configuration environment
        let state = iterations 2 setup (TrainingState.start setup 1L) |> last
        let path = Path.Combine(folder, "checkpoint")
        Checkpoint.save path setup "{}" state |> expectOk
        let original = File.ReadAllBytes path
        Expect.equal (fileOf original[..15] (sectionsOf original)) original "the sections"
        let random = Random 1
        let mutable loaded = 0

        for i in 1..count do
            let bytes = changedCheckpoint random original
            File.WriteAllBytes(path, bytes)

            let load () =
                Checkpoint.load path setup
                |> Result.map (fun checkpoint ->
                    // What loads never acts NaN.
                    let actor = TrainingState.actor setup checkpoint.State
                    let observation = Environment.observation environment state.Instances[0].State

                    if Space.isValidObservation environment.ObservationSpace observation.Span then
                        try
                            let action = InferencePolicy(actor).Act observation
                            Expect.isTrue (Vector.isFinite action) $"change {i}: the action"
                        with :? ArithmeticException ->
                            ()) // It says so where there is no finite action.

            if expectHarmless $"change {i}" bytes load then
                loaded <- loaded + 1

        // The changes are small enough that some files are still checkpoints.
        Expect.isGreaterThan loaded 0 "files that load")

// ---- Policies ----

/// A changed policy file: any bytes, or a text with a value that has been changed.
let private changedPolicy (random: Random) (text: string) =
    let bytes = Encoding.UTF8.GetBytes text

    if random.Next 2 = 0 then
        changes random bytes
    else
        let lines = text.Split '\n'
        let i = random.Next lines.Length
        let values = [| "1e308"; "-1"; "null"; "[]"; "{}"; "\"\""; "99999999999"; "1e-320"; "true" |]
        let colon = lines[i].IndexOf ':'

        if colon > 0 then
            lines[i] <- $"{lines[i].Substring(0, colon)}: {values[random.Next values.Length]},"
        else
            lines[i] <- ""

        Encoding.UTF8.GetBytes(String.concat "\n" lines)

let private policiesOf name (environment: Environment<'State>) configuration =
    inNewFolder name (fun folder ->
        let setup = setupOf 1 configuration environment
        let state = iterations 1 setup (TrainingState.start setup 1L) |> last
        let text = PolicyFile.print { Environment = environment.Id; Actor = TrainingState.actor setup state }
        let path = Path.Combine(folder, "policy.json")
        let random = Random 2

        for i in 1..count do
            let bytes = changedPolicy random text
            File.WriteAllBytes(path, bytes)
            expectHarmless $"change {i}" bytes (fun () -> PolicyFile.load path |> Result.map ignore) |> ignore)

let tests =
    testList
        "changed files"
        [ testList
              "checkpoints"
              [ checkpointsOf "of CartPole-v1" CartPole.environment small
                checkpointsOf "of Pendulum-v1, with Adam" Pendulum.environment { small with Critic = CriticKind.Adam }
                checkpointsOf "of records of arrays and lists" CheckpointTests.board small
                checkpointsOf
                    "of mutable simulators"
                    (Simulator.environment (fun () -> CheckpointTests.Walk()) |> Environment.withTimeLimit 30)
                    small ]
          testList
              "policies"
              [ policiesOf "of CartPole-v1" CartPole.environment small
                policiesOf "of Pendulum-v1" Pendulum.environment small
                policiesOf "of records of arrays and lists" CheckpointTests.board small ] ]
