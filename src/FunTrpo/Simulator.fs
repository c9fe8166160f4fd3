namespace FunTrpo

open System

/// The result of one step of a simulator.
[<Struct>]
type SimulatorStep =
    {
        /// The reward of the step, finite also in float32.
        Reward: float
        /// The task ended with this step: no reward follows, and the value of what would follow is 0.
        Terminated: bool
        /// A time limit ended the episode: the critic estimates the value of what would have followed.
        Truncated: bool
    }

/// A simulator that you implement as a mutable class, in the manner of Gymnasium. `Simulator.environment` (in `SimulatorEnvironment.fs`)
/// makes an environment with immutable states of it. A simulator that implements `IDisposable` is disposed of with that environment.
///
/// Several instances are stepped side by side. No two threads use an instance at the same time. An exception ends training with a
/// `FailedEnvironment`.
type Simulator =

    /// The name of the simulator in reports and errors. It is the same for all instances.
    abstract Id: string

    /// The set of possible observations. It is the same for all instances and never changes.
    abstract ObservationSpace: Space

    /// The set of possible actions. It is the same for all instances and never changes.
    abstract ActionSpace: Space

    /// Begins a new episode and writes its first observation to `observation`, which has the width of `ObservationSpace` and holds zeros.
    /// All randomness of the episode must come from `seed`: the same seed and the same actions must give the same episode.
    abstract Reset: seed: int * observation: Span<float32> -> unit

    /// Takes `action`, an element of the action space, and writes the next observation to `observation`, as `Reset` does. Every episode
    /// must end: use `Environment.withTimeLimit` for a task that does not terminate by itself.
    abstract Step: action: ReadOnlySpan<float32> * observation: Span<float32> -> SimulatorStep

/// A simulator that can draw the state in which it is. It is optional: pages then show the policy playing.
type PicturedSimulator =
    inherit Simulator

    /// The picture of the current state, or none if it cannot be drawn. The frame should be the same for all states of an episode.
    abstract Picture: unit -> Picture option
