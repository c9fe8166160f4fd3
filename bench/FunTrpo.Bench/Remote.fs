namespace FunTrpo.Bench

open System
open System.IO.Pipes
open System.Threading
open FunTrpo
open FunTrpo.Remote

/// Simulators behind a pipe.
module Remote =

    /// A simulator that costs nothing, with the spaces of CartPole.
    let private idle () =
        { new Simulator with
            member _.Id = "Idle"
            member _.ObservationSpace = Space.box 4 -1.0 1.0
            member _.ActionSpace = Discrete 2
            member _.Reset(_, _) = ()
            member _.Step(_, _) = { Reward = 0.0; Terminated = false; Truncated = false } }

    /// The seconds that a step of so many simulators takes behind a pipe, in one message.
    let secondsPerStep effort count =
        use requests = new AnonymousPipeServerStream(PipeDirection.Out)
        use answers = new AnonymousPipeServerStream(PipeDirection.In)
        use received = new AnonymousPipeClientStream(PipeDirection.In, requests.ClientSafePipeHandle)
        use sent = new AnonymousPipeClientStream(PipeDirection.Out, answers.ClientSafePipeHandle)

        let server =
            Thread((fun () -> RemoteServer.ServeSimulators(received, sent, Func<Simulator> idle)), IsBackground = true)

        server.Start()
        use remote = RemoteSimulators.Over(answers, requests)
        let indices = Array.init count id
        let observations = Array.zeroCreate<float32>(4 * count)
        let actions = Array.zeroCreate<float32> count
        let results = Array.zeroCreate<SimulatorStep> count
        remote.Reset(ReadOnlySpan indices, ReadOnlySpan indices, observations.AsSpan())
        let steps = 2000

        let play () =
            for _ in 1..steps do
                remote.Step(ReadOnlySpan indices, ReadOnlySpan actions, observations.AsSpan(), results.AsSpan())

        Timing.warmUp play
        Timing.median (Timing.repeated effort play) / float steps
