/// Trainings whose environments are stepped by a cluster of processes.
module FunTrpo.Tests.ClusterTests

open System
open System.Diagnostics
open System.IO
open System.Net
open System.Net.Sockets
open System.Text.Json.Nodes
open System.Threading
open Expecto
open FunTrpo
open FunTrpo.Kernels
open FunTrpo.Tests.CommandRuns
open FunTrpo.Tests.TestFiles

// ---- Processes ----

/// A port that is free, and the next one. It is below those that Linux gives to connections.
let rec private freePorts () =
    let isFree port =
        try
            use listener = new TcpListener(IPAddress.Loopback, port)
            listener.Start()
            true
        with :? SocketException ->
            false

    let port = Random.Shared.Next(20_000, 32_000)
    if isFree port && isFree (port + 1) then port else freePorts ()

/// What chooses the environment: a simulator that waits in each step.
let private waiting = [ "--env-from"; callers "Callers.FSharp"; "--env"; "WaitingLine" ]

/// A silo that has joined the cluster, and is killed at the end.
type private Silo(folder, cluster: string, environment, ?variables) =
    let running =
        startWith (defaultArg variables []) folder ([ "silo"; "--threads"; "1"; "--cluster"; cluster ] @ environment)

    let said = running.StandardOutput.ReadLine()

    do
        if isNull said || not (said.StartsWith "The silo at") then
            failtest $"the silo says {said} {running.StandardError.ReadToEnd()}"

    /// Ends the process at once, as a power cut does: SIGKILL.
    member _.Kill() = running.Kill()

    /// Ends the process as Ctrl-C does.
    member _.Interrupt() =
        use sent = Process.Start("kill", [ "-INT"; string running.Id ])
        sent.WaitForExit()

    member _.HasEnded = running.HasExited
    member _.Code = running.ExitCode

    interface IDisposable with
        member _.Dispose() =
            if not running.HasExited then
                running.Kill()

            running.Dispose()

let private trainArguments environment out more =
    [ "train"; "--plain"; "--no-report"; "--threads"; "1"; "--out"; out ] @ environment @ more

/// Eight iterations, of which each takes longer than a second on one process that steps one simulator at a time.
let private waitingTraining out more =
    trainArguments waiting out ([ "--steps"; "4800"; "--set"; "environments=6"; "--set"; "horizon=100" ] @ more)

let private parametersOf folder name =
    let summary = Path.Combine(folder, name, "summary.json") |> File.ReadAllText |> JsonNode.Parse
    summary["parametersSha256"].GetValue<string>()

/// The parameters of the same training in one process.
let private alone =
    lazy
        (inFolder (fun folder ->
            let run = funtrpo folder (waitingTraining "alone" [])
            Expect.equal run.Code 0 run.Errors
            parametersOf folder "alone"))

let private isAlone folder (run: Ended) =
    Expect.equal run.Code 0 $"{run.Output} {run.Errors}"
    Expect.equal (parametersOf folder "shared") alone.Value "the parameters"

let private iterationsIn folder =
    let progress = Path.Combine(folder, "shared", "progress.csv")
    linesOf progress - 1

let private local () = $"local:{freePorts ()}"

let private oneSilo =
    testCase "one silo gives the bits of one process" (fun () ->
        inFolder (fun folder ->
            let cluster = local ()
            use _ = new Silo(folder, cluster, waiting)
            funtrpo folder (waitingTraining "shared" [ "--cluster"; cluster ]) |> isAlone folder))

let private killed =
    testCase
        "three silos give the same bits, although one is killed in the middle of an iteration, and another one joins"
        (fun () ->
            inFolder (fun folder ->
                let cluster = local ()
                use _ = new Silo(folder, cluster, waiting)
                use second = new Silo(folder, cluster, waiting)
                use third = new Silo(folder, cluster, waiting)
                use training = start folder (waitingTraining "shared" [ "--cluster"; cluster ])

                try
                    waitFor "an iteration" (fun () -> training.HasExited || iterationsIn folder >= 1)
                    Expect.isFalse training.HasExited "the training has more iterations"
                    second.Kill()
                    use _ = new Silo(folder, cluster, waiting)
                    third.Interrupt()
                    let ended = ended training
                    waitFor "the silo that leaves" (fun () -> third.HasEnded)
                    Expect.equal third.Code 0 "the silo that leaves"
                    isAlone folder ended
                finally
                    if not training.HasExited then
                        training.Kill()))

/// A runner whose answer to any task is its number.
let private numbered (number: byte) =
    { new ShareRunner with
        member _.Answer _ = [| number |]
        member _.Dispose() = () }

let private wait (task: Tasks.Task<'T>) = task.GetAwaiter().GetResult()
let private leave (part: IAsyncDisposable) = part.DisposeAsync().AsTask().GetAwaiter().GetResult()

let private spread =
    testCase "each of three silos steps one of three shares" (fun () ->
        let cluster = Orleans.Cluster.Local(freePorts ())

        let silos =
            [ for number in 0uy .. 2uy -> Orleans.ClusterSilo.StartRunnerAsync(numbered number, cluster) |> wait ]

        let workers = Orleans.ClusterWorkers.ConnectAsync cluster |> wait

        try
            waitFor "three silos" (fun () -> workers.Count = 3)

            for _ in 1..5 do
                let answers = workers.Shares.Answers(Array.create 3 [| 9uy |]) |> Array.concat
                Expect.equal (Array.sort answers) [| 0uy; 1uy; 2uy |] "the silos that answer"
        finally
            leave workers
            silos |> List.rev |> List.iter leave)

/// A silo that has just been killed is still a member, and the directory of grains has a part on it.
let private stillListed =
    testCase "all shares are answered while a silo that was killed is still a member" (fun () ->
        inFolder (fun folder ->
            let port = freePorts ()
            let cluster = Orleans.Cluster.Local port
            let first = Orleans.ClusterSilo.StartRunnerAsync(numbered 1uy, cluster) |> wait
            use killed = new Silo(folder, $"local:{port}", waiting)
            let workers = Orleans.ClusterWorkers.ConnectAsync cluster |> wait

            try
                waitFor "two silos" (fun () -> workers.Count = 2)
                killed.Kill()
                let answers = workers.Shares.Answers(Array.create 100 [| 9uy |])
                Expect.allEqual (Array.concat answers) 1uy "the silo that answers"
            finally
                leave workers
                leave first))

/// Expects that a training on a silo ends with an error that says so.
let private refuses (says: string) environment variables =
    inFolder (fun folder ->
        let cluster = local ()
        use _ = new Silo(folder, cluster, environment, variables)
        let run = funtrpo folder (waitingTraining "shared" [ "--cluster"; cluster ])
        Expect.equal run.Code 1 run.Output
        Expect.stringContains run.Errors says "the message")

let private otherEnvironment =
    testCase "a silo that serves another environment refuses the training" (fun () ->
        refuses "this process steps Pendulum-v1" [ "--env"; "Pendulum-v1" ] [])

let private otherVectors =
    testCase "a silo on a processor with other vectors refuses the training" (fun () ->
        if Lanes.Width = 4 then
            skiptest "the vectors of this processor cannot be narrower"

        refuses "results would be rounded differently" waiting [ "DOTNET_EnableAVX2", "0" ])

let private redis =
    testCase "silos that a Redis lists give the bits of one process" (fun () ->
        let server = "/usr/bin/redis-server"

        if not (File.Exists server) then
            skiptest $"there is no {server}"

        inFolder (fun folder ->
            let port = string (freePorts ())
            let settings = [ "--port"; port; "--save"; ""; "--appendonly"; "no"; "--bind"; "127.0.0.1" ]

            use listing =
                Process.Start(
                    ProcessStartInfo(server, settings, RedirectStandardOutput = true, WorkingDirectory = folder)
                )

            try
                let cluster = $"redis:127.0.0.1:{port}"
                let at = [ "--address"; "127.0.0.1" ]
                use _ = new Silo(folder, cluster, waiting @ at)
                use _ = new Silo(folder, cluster, waiting @ at)
                funtrpo folder (waitingTraining "shared" [ "--cluster"; cluster ]) |> isAlone folder
            finally
                listing.Kill()))

let private badArguments =
    testCase "a text that names no cluster is refused with what it must be" (fun () ->
        for text in [ "mars"; "local:"; "local:0"; "local:65535"; "local:x"; "redis:" ] do
            match Cli.Clusters.parse text with
            | Ok cluster -> failtest $"{text} is {cluster}"
            | Error fault -> Expect.stringContains (Fault.message fault) "local, local:PORT or redis:HOST:PORT" text

        inFolder (fun folder ->
            let run = funtrpo folder [ "silo"; "--cluster"; "mars" ]
            Expect.equal run.Code 2 run.Output
            Expect.stringContains run.Errors "--cluster = mars is not allowed" "the message"))

let tests =
    // One after another and alone: a silo that gets no time to answer is taken for dead.
    testSequenced (
        testList "Cluster" [ oneSilo; killed; spread; stillListed; otherEnvironment; otherVectors; redis; badArguments ]
    )
