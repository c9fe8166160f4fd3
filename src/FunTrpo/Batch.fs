namespace FunTrpo

open System.Collections.Immutable

/// What follows a row of a batch.
type End =
    /// The next row belongs to the same episode.
    | Continues = 0uy
    /// The task ended: no reward follows.
    | Terminated = 1uy
    /// A time limit ended the episode: the value of what would have followed is bootstrapped.
    | Truncated = 2uy
    /// The rollout ended inside the episode, which the next rollout continues: the value of what follows is bootstrapped.
    | Interrupted = 3uy

/// The state of one of the environments that a rollout steps side by side, between two steps.
[<Struct>]
type Instance<'State> =
    {
        State: 'State
        /// The sum of the rewards of the current episode so far.
        Return: float
        /// The number of steps of the current episode so far.
        Length: int
        /// The number of steps of this instance since training began.
        Steps: int64
        /// What the policy remembers of the current episode; empty for policies without memory.
        Memory: Vector
    }

/// An episode that ended during a rollout.
[<Struct>]
type Episode =
    {
        /// The undiscounted sum of the rewards.
        Return: float
        /// The number of steps.
        Length: int
    }

/// The steps of a rollout as N = Instances · Horizon rows: instance after instance, and step after step within each instance. Row
/// i · Horizon + t is step t of instance i.
type Batch =
    {
        Instances: int
        /// The number of steps of each instance.
        Horizon: int
        /// The raw observations before each step: N × the width of the observation space.
        Observations: Matrix
        /// What the policy remembered before the first step of each instance: Instances × the memory of its network.
        Memory: Matrix
        /// The actions as the policy drew them, before scaling and clipping: N × the width of the action space.
        Actions: Matrix
        /// The reward of each step: N numbers.
        Rewards: ImmutableArray<float>
        /// What follows each row: N values.
        Ends: ImmutableArray<End>
        /// The raw observation after each truncated or interrupted row, in the order of those rows: M × the width of the observation
        /// space, where M is the number of these rows.
        BootstrapObservations: Matrix
        /// The episodes that ended, in the order in which they ended.
        Episodes: ImmutableArray<Episode>
    }

module Batch =

    /// Whether a row with this end is the last row of its episode.
    let endsEpisode ending = ending = End.Terminated || ending = End.Truncated

    /// Whether a row with this end has the value of what follows it as a bootstrap.
    let hasBootstrap ending = ending = End.Truncated || ending = End.Interrupted

    /// The rows of the batch as sequences for a network that had this memory before them; none for a network without memory.
    let sequences (memory: Matrix) (batch: Batch) =
        let begins row = row % batch.Horizon > 0 && endsEpisode batch.Ends[row - 1]

        if memory.Columns = 0 then
            None
        else
            Some
                { Count = batch.Instances
                  Length = batch.Horizon
                  Begins = ImmutableArray.CreateRange(Seq.init batch.Ends.Length begins)
                  Memory = memory }
