namespace FunTrpo.MuJoCo

open System
open System.Collections.Concurrent
open System.Collections.Generic
open FunTrpo
open FunTrpo.MuJoCo.Engine

/// A simulation with what belongs to it. One thread uses it at a time.
[<Sealed>]
type private Worker(model: Model) =
    // fsharplint:disable-next-line RedundantNewKeyword
    let simulation = new Simulation(model)
    let row = Row()
    member _.Simulation = simulation
    member _.Row = row

/// A task as an environment: functions over immutable states. The engine's simulations belong to the environment, which makes as many as
/// threads use it at the same time. Dispose of it to free them and the model.
///
/// An error of the engine, such as an unstable simulation, is a `MuJoCoException`. Making the environment throws a
/// `MuJoCoNotFoundException` without the engine, and what the task's model throws.
[<Sealed>]
type PhysicsEnvironment(task: PhysicsTask) =

    let model = task.Model()
    let dt = float task.FrameSkip * model.Timestep
    let idle = ConcurrentBag<Worker>()
    let made = List<Simulation>()

    let take () =
        match idle.TryTake() with
        | true, worker -> worker
        | _ ->
            let worker = Worker model
            lock made (fun () -> made.Add worker.Simulation)
            worker

    /// The result of `work` with a simulation that no other thread uses.
    let withWorker work =
        let worker = take ()

        try
            work worker
        finally
            idle.Add worker

    /// The state in which the simulation of a worker is.
    let stateOf (worker: Worker) =
        worker.Row.Clear()
        task.Observe worker.Simulation worker.Row
        PhysicsState.ofSimulation worker.Simulation (task.Measure worker.Simulation) (worker.Row.ToArray())

    /// The state before the first step, where `place` sets positions and velocities.
    let startBy (place: Simulation -> unit) (worker: Worker) =
        worker.Simulation.Reset()
        place worker.Simulation
        worker.Simulation.Forward()
        stateOf worker

    let start key = startBy (task.Start key)

    let setControls (controls: Span<float>) (action: ReadOnlySpan<float32>) =
        for i in 0 .. controls.Length - 1 do
            controls[i] <- float action[i]

    /// The transition after the step, for which the controls have been set.
    let step (state: PhysicsState) (worker: Worker) =
        let simulation = worker.Simulation
        simulation.Step task.FrameSkip

        if task.ExternalForces then
            simulation.ComputeExternalForces()

        let next = stateOf worker

        { State = next
          Reward = task.Reward { Simulation = simulation; Before = state.Measure; After = next.Measure; Dt = dt }
          Terminated = task.Terminated simulation
          Truncated = false }

    let picture (state: PhysicsState) (worker: Worker) =
        PhysicsState.restore worker.Simulation state
        worker.Simulation.Forward()
        PhysicsPicture.ofSimulation task.View worker.Simulation

    let observationWidth = withWorker (fun worker -> (start (Key.ofSeed 0L) worker).Observation.Length)

    let observationSpace = Space.box observationWidth Double.NegativeInfinity Double.PositiveInfinity

    let actionSpace = PhysicsTask.actionSpace model

    member _.Task = task

    /// The state of an episode that begins with these positions and velocities. Throws an `ArgumentException` if they are not as many as
    /// the model has.
    member _.StateAt(qpos: float[], qvel: float[]) =
        if qpos.Length <> model.Nq || qvel.Length <> model.Nv then
            invalidArg
                (nameof qpos)
                $"the model has {model.Nq} positions and {model.Nv} velocities, and these are {qpos.Length} and {qvel.Length}"

        withWorker (
            startBy (fun simulation ->
                qpos.AsSpan().CopyTo simulation.Qpos
                qvel.AsSpan().CopyTo simulation.Qvel)
        )

    interface Environment<PhysicsState> with
        member _.Id = task.Id
        member _.ObservationSpace = observationSpace
        member _.ActionSpace = actionSpace
        member _.Reset key = withWorker (start key)

        member _.Step(_, action, state) =
            let worker = take ()

            try
                PhysicsState.restore worker.Simulation state
                setControls worker.Simulation.Ctrl action
                step state worker
            finally
                idle.Add worker

        member _.Observe(state, observation) = state.Observation.AsSpan().CopyTo observation

    interface CheckpointableEnvironment<PhysicsState> with
        member _.StateCodec = Ok(PhysicsState.codec model observationWidth)

    interface PicturedEnvironment<PhysicsState> with
        member _.Picture state = Some(withWorker (picture state))

    interface IDisposable with
        member _.Dispose() =
            lock made (fun () ->
                for simulation in made do
                    simulation.Dispose()

                made.Clear()
                idle.Clear())

            model.Dispose()
