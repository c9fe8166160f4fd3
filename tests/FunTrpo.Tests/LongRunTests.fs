/// Short versions of what `build.fsx torture` does for long: other machines, many iterations, and many trainings in one process.
module FunTrpo.Tests.LongRunTests

open System
open System.Diagnostics
open System.IO
open System.Threading.Tasks
open Expecto
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.CommandRuns
open FunTrpo.Tests.TestFiles
open FunTrpo.Tests.Tasks

let private tiny =
    { Configuration.standard with
        Environments = 1
        Horizon = 4
        Hidden = []
        CriticHidden = []
        CriticSteps = 1 }

let private iterate count setup state =
    (state, seq { 1..count })
    ||> Seq.fold (fun state _ -> Training.update setup state |> Generators.expectOk |> fst)

let private train folder variables out steps =
    let arguments = [ "train"; "--seed"; "5"; "--out"; out; "--steps"; steps; "--checkpoint-every"; "2" ]

    let ended = funtrpoWith variables folder arguments
    Expect.equal ended.Code 0 ended.Errors

let private sha folder out = json (Path.Combine(folder, out, "summary.json")) |> get<string> "parametersSha256"

let private machines =
    [ for name, variables in
          [ "one core", [ ("DOTNET_PROCESSOR_COUNT", "1") ]
            "one thread in the pool", [ ("DOTNET_ThreadPool_ForceMaxWorkerThreads", "1") ]
            "a garbage collection every 64 kB", [ ("DOTNET_GCgen0size", "10000") ]
            "narrow vectors", [ ("DOTNET_EnableAVX512", "0"); ("DOTNET_EnableAVX2", "0") ] ] do
          inNewFolder $"a run in two parts is the run in one part with {name}" (fun folder ->
              train folder variables "once" "8192"
              train folder variables "parts" "4096"
              let resumed = funtrpoWith variables folder [ "resume"; "parts"; "--steps"; "8192" ]
              Expect.equal resumed.Code 0 resumed.Errors
              Expect.equal (sha folder "parts") (sha folder "once") "parameters") ]

let private memory () =
    GC.Collect()
    GC.WaitForPendingFinalizers()
    GC.GetTotalMemory true

let private long =
    testSequenced (
        test "20,000 iterations need no more memory and no more handles at their end" {
            let setup = setupOf 1 tiny CartPole.environment
            let state = iterate 2_000 setup (TrainingState.start setup 1L)
            let before, handles = memory (), Process.GetCurrentProcess().HandleCount
            let last = iterate 18_000 setup state
            let growth = memory () - before
            Expect.isLessThan growth 1_000_000L "bytes"
            Expect.isLessThan (Process.GetCurrentProcess().HandleCount - handles) 20 "handles"
            GC.KeepAlive last
        }
    )

let private many =
    test "8 trainings at once have the bits of each alone" {
        let once seed =
            let setup = setupOf 1 { tiny with Environments = 2; Hidden = [ 4 ] } Pendulum.environment
            Sha256.ofParameters (iterate 5 setup (TrainingState.start setup (int64 seed))).PolicyParameters

        let seeds = [| 1..24 |]
        let alone = seeds |> Array.map once

        let together =
            seeds
            |> Array.chunkBySize 8
            |> Array.collect (fun chunk ->
                let tasks = chunk |> Array.map (fun seed -> Task.Run(fun () -> once seed))
                tasks |> Array.map _.Result)

        Expect.equal together alone "parameters"
        Expect.hasLength (Array.distinct alone) seeds.Length "each seed is another training"
    }

let tests = testList "long runs" [ testList "machines" machines; long; many ]
