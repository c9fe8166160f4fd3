namespace FunTrpo.Bench

open System
open System.Collections.Concurrent
open System.Runtime.InteropServices
open System.Threading.Tasks
open FunTrpo
open FunTrpo.Environments
open FunTrpo.MuJoCo
open FunTrpo.MuJoCo.Engine

/// The steps of a training run on a task of MuJoCo, which can be made again in three ways.
[<NoComparison; NoEquality>]
type PhysicsSubject =
    {
        /// The number of environment steps.
        Steps: int
        /// Makes the steps by the engine alone: a loop that sets the state and the controls and calls `mj_step`.
        Engine: unit -> unit
        /// Makes the steps through `Environment`, with observations and rewards.
        Environment: unit -> unit
        /// Trains again: rollouts, critic and policy.
        Training: unit -> unit
    }

/// The physics of MuJoCo's tasks through FunTrpo, and by the engine alone.
module Physics =

    [<NoComparison; NoEquality>]
    type private Step = { State: PhysicsState; Action: float32[] }

    /// The environment, with a function that is told of each step.
    let private observed (told: Step -> unit) (inner: Environment<PhysicsState>) =
        { new Environment<PhysicsState> with
            member _.Id = inner.Id
            member _.ObservationSpace = inner.ObservationSpace
            member _.ActionSpace = inner.ActionSpace
            member _.Reset key = inner.Reset key
            member _.Observe(state, observation) = inner.Observe(state, observation)

            member _.Step(key, action, state) =
                told { State = state; Action = action.ToArray() }
                inner.Step(key, action, state) }

    /// Makes this number of iterations with the preset of a task.
    let private train threads iterations (registered: RegisteredTask) (environment: Environment<PhysicsState>) =
        let limited = Environment.withTimeLimit registered.Limit environment
        let setup = Setup.create threads (registered :> Registered).Preset limited |> Subjects.orFail

        (TrainingState.start setup 0L, seq { 1..iterations })
        ||> Seq.fold (fun state _ -> Training.update setup state |> Subjects.orFail |> fst)
        |> ignore

    /// Calls `work` on each of the threads: with its number, and the first index and the end of its share of `count`.
    let private shared threads count (work: int -> int -> int -> unit) =
        Parallel.For(
            0,
            threads,
            ParallelOptions(MaxDegreeOfParallelism = threads),
            fun thread -> work thread (count * thread / threads) (count * (thread + 1) / threads)
        )
        |> ignore

    let private byEngine threads (task: PhysicsTask) (environment: PhysicsEnvironment) (steps: Step[]) =
        let codec = StateCodec.ofEnvironment environment |> Result.defaultWith failwith
        let model = task.Model()

        // A state as bytes begins with the numbers of the engine.
        let states =
            steps
            |> Array.map (fun step ->
                let bytes = codec.Encode step.State
                MemoryMarshal.Cast<byte, float>(bytes.AsSpan(0, sizeof<float> * model.StateWidth)).ToArray())

        // fsharplint:disable-next-line RedundantNewKeyword
        let simulations = Array.init threads (fun _ -> new Simulation(model))

        let loop (simulation: Simulation) first last =
            for i in first .. last - 1 do
                simulation.SetState states[i]
                let controls = simulation.Ctrl

                for j in 0 .. controls.Length - 1 do
                    controls[j] <- float steps[i].Action[j]

                simulation.Step task.FrameSkip

        fun () -> shared threads steps.Length (fun thread first last -> loop simulations[thread] first last)

    let private byEnvironment threads (environment: Environment<PhysicsState>) (steps: Step[]) =
        let width = Space.width environment.ObservationSpace

        let loop _ first last =
            let observation = Array.zeroCreate<float32> width

            for i in first .. last - 1 do
                let next = environment.Step(Key.ofSeed 0L, ReadOnlySpan steps[i].Action, steps[i].State)
                environment.Observe(next.State, observation)

        fun () -> shared threads steps.Length loop

    /// The subject of the first iterations of a training run with a task's preset. None without the engine.
    let ofTask threads iterations (registered: RegisteredTask) =
        try
            let environment = new PhysicsEnvironment(registered.Task)
            let steps = ConcurrentQueue<Step>()
            observed steps.Enqueue environment |> train threads iterations registered
            let steps = steps.ToArray()

            Some
                { Steps = steps.Length
                  Engine = byEngine threads registered.Task environment steps
                  Environment = byEnvironment threads environment steps
                  Training = fun () -> train threads iterations registered environment }
        with :? MuJoCoNotFoundException ->
            None
