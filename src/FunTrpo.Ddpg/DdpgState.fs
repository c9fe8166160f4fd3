namespace FunTrpo.Ddpg

open System.Collections.Immutable
open FunTrpo
open FunTrpo.Kernels

/// Everything that a training with DDPG knows between two iterations. A state is a value: a program can keep it, and continue training from
/// it as often as it likes. The same state and setup always give the same next state.
[<NoComparison>]
type DdpgState<'State when 'State: equality> =
    {
        /// The root of all randomness.
        Key: Key
        /// The number of iterations so far.
        Iteration: int
        /// The number of environment steps so far.
        Steps: int64
        /// The number of updates so far.
        Updates: int64
        /// The number of episodes that have finished so far.
        Episodes: int64
        /// The network of the policy, and its target.
        Actor: Learned
        /// The network of the critic, and its target.
        Critic: Learned
        /// The running moments of the observations, if they are standardised.
        Normaliser: Normaliser
        /// The last experiences, with raw observations.
        Memory: ReplayMemory
        /// The noise of the last action, in units of its deviation.
        Noise: Vector
        /// The environment between two steps.
        Instance: Instance<'State>
        /// The returns of the last 100 finished episodes, oldest first.
        RecentReturns: ImmutableArray<float>
        /// The number of float32 in a vector of the kernels on the processor that made this state (`Lanes.Width`). With another width, rounding may
        /// differ.
        VectorWidth: int
    }

module DdpgState =

    /// The state before the first step. Returns a `FailedEnvironment` if the environment throws while the first episode starts.
    let start (setup: DdpgSetup<'State>) seed =
        let key = Key.ofSeed seed
        let environment, settings = setup.Environment, setup.Settings
        let actionWidth = Space.width environment.ActionSpace

        Rollout.start environment 1 (Key.named "start" key)
        |> Result.map (fun instances ->
            { Key = key
              Iteration = 0
              Steps = 0L
              Updates = 0L
              Episodes = 0L
              Actor = setup.Policy.Network.Initialise(Key.named "policy" key) |> TargetNetwork.start
              Critic = setup.Critic.Initialise(Key.named "critic" key) |> TargetNetwork.start
              Normaliser =
                if settings.NormaliseObservations then
                    Normaliser.start environment.ObservationSpace
                else
                    Unnormalised
              Memory = ReplayMemory.create (Space.width environment.ObservationSpace) actionWidth settings.Capacity
              Noise = ExplorationNoise.start actionWidth (Key.named "first noise" key)
              Instance = instances[0]
              RecentReturns = ImmutableArray.Empty
              VectorWidth = Lanes.Width })

    /// The policy of a state with its parameters and its normaliser. Its most probable action is the deterministic one.
    let actor (setup: DdpgSetup<'State>) (state: DdpgState<'State>) : Actor =
        { Policy = setup.Policy; Parameters = state.Actor.Parameters; Normaliser = state.Normaliser }

    /// The mean return of the last 100 finished episodes, or of all if fewer have finished.
    let meanReturn (state: DdpgState<'State>) = TrainingState.meanOf state.RecentReturns

    /// Whether 100 episodes have finished, and the last 100 have a mean return of at least `goal`.
    let hasReached goal (state: DdpgState<'State>) = TrainingState.haveReached goal state.RecentReturns

    /// Refuses a state that was made with another setup.
    let internal requireFit (setup: DdpgSetup<'State>) (state: DdpgState<'State>) =
        let memory = state.Memory
        let environment = setup.Environment

        let fits =
            state.Actor.Parameters.Length = setup.Policy.Network.ParameterCount
            && state.Critic.Parameters.Length = setup.Critic.ParameterCount
            && memory.ObservationWidth = Space.width environment.ObservationSpace
            && memory.ActionWidth = Space.width environment.ActionSpace
            && memory.Capacity = setup.Settings.Capacity
            && (state.Normaliser <> Unnormalised) =
                (setup.Settings.NormaliseObservations && not (Space.hasIndices environment.ObservationSpace))

        if fits then
            Ok()
        else
            Error(
                Mismatch
                    $"the state does not fit the setup: the networks, the spaces of {environment.Id}, capacity or normaliseObservations differ"
            )
