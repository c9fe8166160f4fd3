namespace FunTrpo

open System
open System.Collections.Immutable
open System.Runtime.InteropServices
open FunTrpo.Kernels

/// What a row of a batch is followed by.
type End =
    /// The next row, in the same episode.
    | Continues = 0uy
    /// Nothing: the task came to an end, and no further reward exists.
    | Terminated = 1uy
    /// A time limit stopped the episode: what would have followed has a value, which is bootstrapped.
    | Truncated = 2uy
    /// The rollout stopped here and the next one goes on: what follows is bootstrapped too.
    | Interrupted = 3uy

/// One of the environments that a rollout steps side by side, between two of its steps.
[<Struct>]
type Instance<'State> =
    {
        State: 'State
        /// The rewards of the episode so far, summed.
        Return: float
        /// The steps of the episode so far.
        Length: int
        /// All steps of this instance since training began.
        Steps: int64
    }

/// An episode that came to its end during a rollout.
[<Struct>]
type Episode =
    {
        /// Undiscounted.
        Return: float
        Length: int
    }

/// The steps of a rollout, as rows: instance after instance, and step after step within one.
type Batch =
    {
        Instances: int
        Horizon: int
        /// As the environment gave them.
        Observations: Matrix
        /// As the policy drew them, before any clipping.
        Actions: Matrix
        Rewards: ImmutableArray<float>
        Ends: ImmutableArray<End>
        /// The observation after each truncated or interrupted row, in the order of those rows.
        BootstrapObservations: Matrix
        /// In the order in which they finished.
        Episodes: ImmutableArray<Episode>
    }

module Rollout =

    /// Instances at the start of an episode each.
    let start (environment: Environment<'State>) count key =
        ImmutableArray.CreateRange(
            Seq.init count (fun i ->
                { State = environment.Reset(Key.at (int64 i) key)
                  Return = 0.0
                  Length = 0
                  Steps = 0L })
        )

    /// What one thread gathers of its instances.
    [<NoComparison; NoEquality>]
    type private Share<'State> =
        { Instances: Instance<'State>[]
          Bootstraps: struct (int * float32[]) list
          Finished: struct (int * int * Episode) list }

    /// Steps each of the instances `horizon` times under the actor, and gives the batch and the instances as they are
    /// then. Instance i draws everything from its own key, so the result does not depend on the number of threads.
    let collect
        (environment: Environment<'State>)
        (actor: Actor)
        horizon
        threads
        (key: Key)
        (instances: ImmutableArray<Instance<'State>>)
        : Result<Batch * ImmutableArray<Instance<'State>>, Fault> =
        let count = instances.Length
        let rows = count * horizon
        let observationWidth = Space.width environment.ObservationSpace
        let actionWidth = actor.Policy.Family.ActionWidth
        let observations = Array.zeroCreate<float32> (rows * observationWidth)
        let actions = Array.zeroCreate<float32> (rows * actionWidth)
        let rewards = Array.zeroCreate<float> rows
        let ends = Array.create rows End.Continues

        /// Writes what is seen of the state to a row of a block, and says whether all of it is finite.
        let observe (state: 'State) (block: float32[]) row =
            let observation = block.AsSpan(row * observationWidth, observationWidth)
            environment.Observe(state, observation)
            Reductions.AllFinite(Span.op_Implicit observation)

        /// Steps instances first … last − 1 side by side, so that the policy is evaluated for all of them at once.
        let share first last =
            let width = last - first
            let current = Array.init width (fun i -> instances[first + i])
            let actionKeys = Array.init width (fun i -> key |> Key.at (int64 (first + i)) |> Key.named "action")
            let stepKeys = Array.init width (fun i -> key |> Key.at (int64 (first + i)) |> Key.named "environment")
            let resetKeys = Array.init width (fun i -> key |> Key.at (int64 (first + i)) |> Key.named "reset")
            let clipped = Array.zeroCreate<float32> actionWidth
            let mutable bootstraps = []
            let mutable finished = []
            let mutable failure = None
            let mutable t = 0

            let fail what (instance: int) (steps: int64) =
                if failure.IsNone then
                    failure <- Some(NonFiniteEnvironment(what, environment.Id, instance, steps))

            while t < horizon && failure.IsNone do
                let seen = Array.zeroCreate<float32> (width * observationWidth)

                for i in 0 .. width - 1 do
                    let row = (first + i) * horizon + t

                    if not (observe current[i].State observations row) then
                        fail "observation" (first + i) current[i].Steps

                    Array.blit observations (row * observationWidth) seen (i * observationWidth) observationWidth

                let distributions = Actor.distributions actor (Matrix.adopt width observationWidth seen)

                for i in 0 .. width - 1 do
                    let row = (first + i) * horizon + t
                    let action = actions.AsSpan(row * actionWidth, actionWidth)
                    actor.Policy.Family.Sample(distributions.Row i, Key.at (int64 t) actionKeys[i], action)
                    Space.clip environment.ActionSpace (Span.op_Implicit action) (clipped.AsSpan())

                    let before = current[i]

                    let next =
                        environment.Step(Key.at (int64 t) stepKeys[i], ReadOnlySpan clipped, before.State)

                    let steps = before.Steps + 1L

                    if not (Double.IsFinite next.Reward) then
                        fail "reward" (first + i) steps

                    rewards[row] <- next.Reward

                    let after =
                        { State = next.State
                          Return = before.Return + next.Reward
                          Length = before.Length + 1
                          Steps = steps }

                    let over = next.Terminated || next.Truncated

                    if next.Terminated then
                        ends[row] <- End.Terminated
                    elif next.Truncated then
                        ends[row] <- End.Truncated
                    elif t = horizon - 1 then
                        ends[row] <- End.Interrupted

                    if ends[row] = End.Truncated || ends[row] = End.Interrupted then
                        let following = Array.zeroCreate<float32> observationWidth

                        if not (observe next.State following 0) then
                            fail "observation" (first + i) steps

                        bootstraps <- struct (row, following) :: bootstraps

                    if over then
                        finished <-
                            struct (t,
                                    first + i,
                                    { Return = after.Return
                                      Length = after.Length })
                            :: finished

                    current[i] <-
                        if over then
                            { State = environment.Reset(Key.at (int64 t) resetKeys[i])
                              Return = 0.0
                              Length = 0
                              Steps = steps }
                        else
                            after

                t <- t + 1

            match failure with
            | Some failure -> Error failure
            | None ->
                Ok
                    { Instances = current
                      Bootstraps = bootstraps
                      Finished = finished }

        let shares = min (max 1 threads) count

        let results =
            Parallel.map threads shares (fun s -> share (s * count / shares) ((s + 1) * count / shares))

        let firstFailure =
            results
            |> Array.tryPick (fun result ->
                match result with
                | Error failure -> Some failure
                | Ok _ -> None)

        match firstFailure with
        | Some failure -> Error failure
        | None ->
            let gathered =
                results
                |> Array.choose (fun result ->
                    match result with
                    | Ok share -> Some share
                    | Error _ -> None)

            let bootstraps =
                gathered
                |> Seq.collect _.Bootstraps
                |> Seq.sortBy (fun struct (row, _) -> row)
                |> Seq.map (fun struct (_, observation) -> observation)
                |> Array.ofSeq

            let episodes =
                gathered
                |> Seq.collect _.Finished
                |> Seq.sortBy (fun struct (t, instance, _) -> struct (t, instance))
                |> Seq.map (fun struct (_, _, episode) -> episode)

            let batch =
                { Instances = count
                  Horizon = horizon
                  Observations = Matrix.adopt rows observationWidth observations
                  Actions = Matrix.adopt rows actionWidth actions
                  Rewards = ImmutableCollectionsMarshal.AsImmutableArray rewards
                  Ends = ImmutableCollectionsMarshal.AsImmutableArray ends
                  BootstrapObservations =
                    Matrix.adopt bootstraps.Length observationWidth (Array.concat bootstraps)
                  Episodes = ImmutableArray.CreateRange episodes }

            Ok(batch, ImmutableArray.CreateRange(gathered |> Seq.collect _.Instances))
