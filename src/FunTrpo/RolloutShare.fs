namespace FunTrpo

open System
open System.Collections.Generic
open System.Collections.Immutable

/// Where shares of a rollout are stepped: other processes, maybe on other machines. A share is a task in bytes, and its answer is the bytes
/// that a `ShareRunner` of the same environment gives for it.
type ShareWorkers =

    /// The number of processes that can step shares now.
    abstract Count: int

    /// The answers to the tasks, which are at most as many as `Count` was; in their order. If a process fails, its task goes to another one:
    /// wherever a task runs, its answer has the same bits. An exception ends the iteration with a fault.
    abstract Answers: tasks: byte[][] -> byte[][]

/// Steps shares of the rollouts of an environment.
type ShareRunner =

    /// The answer to a task. A task that is damaged or of another training is answered by the fault.
    abstract Answer: task: byte[] -> byte[]

    /// Releases what the runner holds of the environments that it has stepped.
    inherit IDisposable

/// Rollouts whose instances are stepped by several processes. A rollout is a function of keys, so where an instance is stepped changes no bit.
module RolloutShare =

    let private codecOf (environment: Environment<'State>) =
        let what = $"other processes cannot step {environment.Id}, because its states cannot be sent"
        StateCodec.required<'State> what environment

    // ---- The process that steps a share ----

    /// The states of the last answer, by their instance and bytes. A simulator whose episode goes on need not play it again from its start.
    type private KnownStates<'State>(codec: StateCodec<'State>) =
        let known = Dictionary<int, struct (byte[] * 'State)>()

        member _.Decode number (bytes: ReadOnlyMemory<byte>) =
            match known.TryGetValue number with
            | true, struct (earlier: byte[], state) when bytes.Span.SequenceEqual(ReadOnlySpan earlier) ->
                known.Remove number |> ignore
                state
            | _ -> codec.Decode bytes

        /// Forgets all states that were not asked for.
        member _.Clear() =
            for struct (_, state) in known.Values do
                Releasable.release state

            known.Clear()

        /// The bytes of a state, which is known from now on.
        member _.Encode number state =
            let bytes = codec.Encode state
            known[number] <- struct (bytes, state)
            bytes

    /// Returns a setup of the environment for the configuration of a task, or why the task is one of another training.
    let private setupOf threads (environment: Environment<'State>) origin =
        let ours = Space.describe environment.ObservationSpace, Space.describe environment.ActionSpace

        if origin.Environment <> environment.Id || (origin.ObservationSpace, origin.ActionSpace) <> ours then
            Error(
                Mismatch
                    $"the training is one on {origin.Environment} with observations {origin.ObservationSpace} and actions {origin.ActionSpace}; this process steps {environment.Id} with observations {fst ours} and actions {snd ours}"
            )
        else
            Setup.create threads origin.Configuration environment

    /// The fault with a place before all others.
    let private beforeAll fault = struct (struct (0, RolloutPhase.Observation, 0), fault)

    /// Steps shares of the rollouts of an environment, on so many threads and one share at a time. Returns a `Mismatch` if its states cannot be
    /// sent.
    let runner threads (environment: Environment<'State>) : Result<ShareRunner, Fault> =
        codecOf environment
        |> Result.map (fun codec ->
            let gate = obj ()
            let known = KnownStates<'State> codec
            let mutable last: (CheckpointOrigin * Result<Setup<'State>, Fault>) option = None

            /// The last setup, if the task is of the same training.
            let setupFor origin =
                match last with
                | Some(before, setup) when before = origin -> setup
                | _ ->
                    let setup = setupOf threads environment origin
                    last <- Some(origin, setup)
                    setup

            let collect (task: ShareTask<'State>) =
                Rollout.collectPlaced task.First environment task.Actor task.Horizon threads task.Key task.Instances

            let answer bytes =
                let struct (header, sections) = ShareBytes.readTask bytes

                match setupFor header.Origin with
                | Error fault -> ShareBytes.writeFault (beforeAll fault)
                | Ok setup ->
                    let task = ShareBytes.readRest setup known.Decode header sections
                    known.Clear()

                    match collect task with
                    | Error fault -> ShareBytes.writeFault fault
                    | Ok rows -> rows |> ShareBytes.writeRows (fun i -> known.Encode(task.First + i))

            { new ShareRunner with
                member _.Answer task =
                    lock gate (fun () ->
                        try
                            answer task
                        with Unreadable why ->
                            ShareBytes.writeFault (beforeAll (Mismatch why)))

                member _.Dispose() = lock gate known.Clear })

    // ---- The process that trains ----

    /// The parts of a rollout, each with about the same number of instances.
    let private tasksOf parts horizon key actor (instances: ImmutableArray<Instance<'State>>) =
        let edge part = int (int64 part * int64 instances.Length / int64 parts)

        Array.init parts (fun part ->
            { First = edge part
              Horizon = horizon
              Key = key
              Actor = actor
              Instances = instances.Slice(edge part, edge (part + 1) - edge part) })

    /// The rollout of the answers, or the first fault of all shares.
    let private joined instances answers =
        let faults =
            answers
            |> Array.choose (fun answer ->
                match answer with
                | Error fault -> Some fault
                | Ok _ -> None)

        if faults.Length = 0 then
            answers |> Array.choose Result.toOption |> Rollout.join instances |> Ok
        else
            let struct (_, fault) = faults |> Array.minBy (fun struct (place, _) -> place)
            Error fault

    /// A setup whose rollouts are stepped by other processes: a share by each. Results have the same bits as those of `Rollout.collect`,
    /// whatever the number of processes. Branches of a vine and evaluations are played in this process. Returns a `Mismatch` if the states of the
    /// environment cannot be sent.
    let onWorkers (workers: ShareWorkers) (setup: Setup<'State>) : Result<Setup<'State>, Fault> =
        codecOf setup.Environment
        |> Result.map (fun codec ->
            let collect environment actor horizon _ key (instances: ImmutableArray<Instance<'State>>) =
                try
                    let setup = { setup with Environment = environment }
                    let tasks = tasksOf (Math.Clamp(workers.Count, 1, instances.Length)) horizon key actor instances

                    tasks
                    |> Array.map (ShareBytes.writeTask codec setup)
                    |> workers.Answers
                    |> Array.map2 (ShareBytes.readAnswer codec setup) tasks
                    |> joined instances
                with
                | Unreadable why ->
                    Error(Mismatch $"a process that steps shares of {environment.Id} gave no proper answer: {why}")
                | error -> Error(FailedEnvironment(error, environment.Id, 0, instances[0].Steps))

            { setup with Collect = collect })
