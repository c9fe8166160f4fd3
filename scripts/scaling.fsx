// Measures how training grows with the silos of a cluster, and writes the measured part of docs/scaling.md:
//
//     dotnet fsi scripts/scaling.fsx                  1 to 4 silos on this machine, simulators of 1 ms and 10 ms a step: four minutes
//     dotnet fsi scripts/scaling.fsx --out docs       the same, and writes its part of docs/scaling.md
//     dotnet fsi scripts/scaling.fsx --quick          one or two silos and short rollouts, to try the script
//
// The silos are processes of their own, which this script starts. It fails if the policies on the silos have other bits than the one that
// is trained in this process alone.
#load "load.fsx"
#r "../bin/FunTrpo.CSharp.dll"
// Orleans looks for these by their names.
#r "../bin/Orleans.Core.Abstractions.dll"
#r "../bin/Orleans.Core.dll"
#r "../bin/Orleans.Runtime.dll"
#r "../bin/Orleans.Serialization.Abstractions.dll"
#r "../bin/Orleans.Serialization.dll"
#r "../bin/Orleans.Persistence.Memory.dll"
#r "../bin/Orleans.Clustering.Redis.dll"
#r "../bin/FunTrpo.Orleans.dll"
#load "results.fsx"

open System
open System.Diagnostics
open System.IO
open System.Net
open System.Net.Sockets
open System.Threading
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Orleans
open Lesson
open Results

let isQuick = List.contains "--quick" arguments

// ---- The task ----

/// CartPole whose steps take so many milliseconds, in which the processor is free. Four steps wait at the same time in each process.
let waiting (milliseconds: int) =
    let inner = CartPole.environment

    { new Environment<_> with
        member _.Id = $"CartPole of {milliseconds} ms"
        member _.ObservationSpace = inner.ObservationSpace
        member _.ActionSpace = inner.ActionSpace
        member _.Reset key = inner.Reset key

        member _.Step(key, action, state) =
            if milliseconds > 0 then
                Thread.Sleep milliseconds

            inner.Step(key, action, state)

        member _.Observe(state, observation) = inner.Observe(state, observation) }
    |> Environment.inFlight (Some 4)

let environments = if isQuick then 16 else 48

let configuration horizon = { Configuration.standard with Environments = environments; Horizon = horizon }

// ---- A silo ----

/// Steps shares until the process that started this one ends it.
let serve port milliseconds =
    let runner = RolloutShare.runner 1 (waiting milliseconds) |> orFail
    let silo = ClusterSilo.StartRunnerAsync(runner, Cluster.Local port).Result
    printfn "ready"
    Console.In.ReadToEnd() |> ignore
    silo.DisposeAsync().AsTask().Wait()

match option "--serve" |> Option.map _.Split(',') with
| Some [| port; milliseconds |] ->
    serve (int port) (int milliseconds)
    exit 0
| _ -> ()

/// Starts a process with a silo, and waits until it is a member of the cluster.
let startSilo (port: int) (milliseconds: int) =
    let start =
        ProcessStartInfo(
            "dotnet",
            [ "fsi"; Path.Combine(__SOURCE_DIRECTORY__, "scaling.fsx"); "--serve"; $"{port},{milliseconds}" ]
            @ (if isQuick then [ "--quick" ] else []),
            RedirectStandardInput = true,
            RedirectStandardOutput = true
        )

    let silo = Process.Start start

    if silo.StandardOutput.ReadLine() <> "ready" then
        failwith "a silo did not start"

    silo

// ---- Measurements ----

/// The seconds of a rollout and of the rest of an iteration: medians. And the parameters at the end.
type Measured = { Rollout: float; Update: float; Parameters: string }

/// The number of iterations that are measured, and of those before them, in which new silos compile.
let counted, warmUp = if isQuick then 1, 1 else 5, 4

let measure (setup: Setup<'State>) =
    let results =
        Training.run setup (TrainingState.start setup 1L)
        |> Seq.take (warmUp + counted)
        |> Seq.map orFail
        |> List.ofSeq

    let seconds read = results |> List.skip warmUp |> List.map (snd >> read) |> Array.ofList |> median

    { Rollout = seconds (fun (report: Report) -> report.Seconds.Rollout)
      Update = seconds (fun (report: Report) -> report.Seconds.Total - report.Seconds.Rollout)
      Parameters = (fst (List.last results)).PolicyParameters |> Sha256.ofParameters }

let setupOf milliseconds horizon = Setup.create 1 (configuration horizon) (waiting milliseconds) |> orFail

let freePort () =
    use listener = new TcpListener(IPAddress.Loopback, 0)
    listener.Start()
    (listener.LocalEndpoint :?> IPEndPoint).Port

/// Training alone, and then with 1, 2 … silos, which join one after another.
let grow silos milliseconds horizon =
    let alone = measure (setupOf milliseconds horizon)
    let port = freePort ()
    let mutable processes = []

    try
        let first = startSilo port milliseconds
        processes <- [ first ]
        let workers = ClusterWorkers.ConnectAsync(Cluster.Local port).Result
        let setup = setupOf milliseconds horizon |> RolloutShare.onWorkers workers.Shares |> orFail

        let measured =
            [ for count in 1..silos do
                  while processes.Length < count do
                      processes <- startSilo port milliseconds :: processes

                  while workers.Count < count do
                      Thread.Sleep 100

                  let measured = measure setup

                  if measured.Parameters <> alone.Parameters then
                      failwith $"{count} silos gave other parameters"

                  printfn
                      "%2d ms, %d silos: rollout %.3f s, rest %.3f s"
                      milliseconds
                      count
                      measured.Rollout
                      measured.Update

                  count, measured ]

        workers.DisposeAsync().AsTask().Wait()
        alone, measured
    finally
        for silo in processes do
            silo.StandardInput.Close()

            if not (silo.WaitForExit 20_000) then
                silo.Kill true

let most = if isQuick then 2 else 4
/// The milliseconds of a step, and the steps of each simulator in a rollout.
let tasks = if isQuick then [ (1, 8) ] else [ (0, 128); (1, 128); (10, 32) ]

let grown =
    [ for milliseconds, horizon in tasks -> milliseconds, horizon, grow most milliseconds horizon ]

// ---- The model ----

let rowsOf horizon = environments * horizon

/// The seconds that the cluster adds to a row of a rollout: to encode, to send and to decode it.
let perRow =
    grown
    |> List.map (fun (_, horizon, (alone, silos)) ->
        (snd silos.Head).Rollout - alone.Rollout |> max 0.0 |> fun more -> more / float (rowsOf horizon))
    |> List.head

/// The seconds of a rollout on so many silos, each of which steps four simulators at the same time.
let predicted step horizon silos =
    let rounds = ceil (ceil (float environments / float silos) / 4.0)
    rounds * float horizon * step + perRow * float (rowsOf horizon)

let measuredRows =
    [ for milliseconds, horizon, (alone, silos) in grown do
          if milliseconds > 0 then
              let step = alone.Rollout / (float (rowsOf horizon) / 4.0)
              let one = (snd silos.Head).Rollout

              for count, measured in silos do
                  let whole = measured.Rollout + measured.Update

                  [ $"{milliseconds} ms"
                    $"{count}"
                    $"{measured.Rollout:F3}"
                    $"{predicted step horizon count:F3}"
                    $"**{100.0 * one / float count / measured.Rollout:F0} %%**"
                    $"{float (rowsOf horizon) / whole:N0}" ] ]

let update =
    let _, horizon, (alone, _) = grown.Head
    alone.Update / float (rowsOf horizon)

/// The steps a second of training whose simulators compute, on machines that step four of them at the same time.
let speed step machines = 1.0 / (step / (4.0 * float machines) + perRow + update)

/// The machines up to which twice as many machines make training one and a half times as fast.
let paying step =
    [ 1; 2; 4; 8; 16; 32; 64; 128; 256; 512 ]
    |> List.takeWhile (fun machines -> machines = 1 || speed step machines >= 1.5 * speed step (machines / 2))
    |> List.last

let paperRows =
    [ for step, name in [ 1e-6, "1 µs"; 1e-4, "100 µs"; 1e-3, "1 ms"; 1e-2, "10 ms" ] do
          [ name
            for machines in [ 1; 4; 16; 64 ] do
                $"{speed step machines:N0}"
            $"{paying step}"
            $"{1.0 / (perRow + update):N0}" ] ]

let lines =
    [ "Made by `scripts/scaling.fsx`: .NET "
      + string Environment.Version
      + $", {Environment.ProcessorCount} cores, which all silos and the training share. CartPole whose steps wait, {environments} simulators, four of"
      "them at the same time in each silo, a policy of 2 × 64 units. *Model* is the formula above. *Efficiency* is the time of a rollout on one silo over"
      "the number of silos times the time on so many. *Steps a second* are those of whole iterations, with their updates. Each row gave the bits of one process."
      $"Times are medians of {counted} iterations, after {warmUp} in which new silos compile."
      ""
      yield!
          markdownTable
              [ "a step takes"; "silos"; "rollout, s"; "model, s"; "efficiency"; "steps a second" ]
              measuredRows
      ""
      $"A cluster adds {1e6 * perRow:F1} µs to a row, and the update takes {1e6 * update:F1} µs for each. With these numbers, the model says for simulators that"
      "compute, on machines that step four of them at the same time:"
      ""
      yield!
          markdownTable
              [ "a step takes"
                "1 machine, steps/s"
                "4 machines"
                "16 machines"
                "64 machines"
                "machines that pay"
                "never more than" ]
              paperRows
      ""
      "*Machines that pay* are the most for which the last doubling made training one and a half times as fast." ]

lines |> List.iter (printfn "%s")

option "--out"
|> Option.iter (fun folder -> writePart (Path.Combine(folder, "scaling.md")) "measured" lines)
