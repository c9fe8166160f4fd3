namespace FunTrpo

open System
open System.Collections.Immutable
open System.Threading

/// Statistics of the returns of a number of episodes.
type Scores =
    {
        Mean: float
        /// The population standard deviation.
        Std: float
        Min: float
        Max: float
        Returns: ImmutableArray<float>
        /// The number of steps of each episode, in the order of the returns.
        Lengths: ImmutableArray<int>
    }

module Evaluation =

    let private scores (episodes: Episode[]) =
        let returns = episodes |> Array.map _.Return
        let mean = Array.average returns

        { Mean = mean
          Std = sqrt (returns |> Array.averageBy (fun r -> (r - mean) * (r - mean)))
          Min = Array.min returns
          Max = Array.max returns
          Returns = ImmutableArray.CreateRange returns
          Lengths = ImmutableArray.CreateRange(episodes |> Array.map _.Length) }

    /// The calls of an environment for one episode at a time.
    let private oneByOne (environment: Environment<'State>) =
        { new BatchSteps<'State> with
            member _.Size = 1
            member _.Reset keys = keys |> Array.map environment.Reset

            member _.Step(keys, actions, states) =
                let width = actions.Length / states.Length

                Array.init states.Length (fun i ->
                    environment.Step(keys[i], ReadOnlySpan(actions, i * width, width), states[i])) }

    let private playWith cancellation threads (environment: Environment<'State>) choose count (key: Key) =
        if count < 1 then
            invalidArg "count" $"{count} episodes have no scores: it must be at least 1"

        let misfit =
            Mask.misfit environment.ObservationSpace environment.ActionSpace
            |> Option.map (fun why -> Error(Mismatch $"{environment.Id} cannot be played: {why}"))

        let batch =
            BatchSteps.ofEnvironment<'State> environment |> Option.defaultWith (fun () -> oneByOne environment)

        let play () =
            InFlight.map environment threads (Parallel.blockCount batch.Size count) (fun group ->
                let first = group * batch.Size
                let keys = Array.init (min batch.Size (count - first)) (fun i -> Key.at (int64 (first + i)) key)
                EvaluationWorker(cancellation, environment, batch, choose, first, keys).Play())
            |> List.ofArray
            |> Result.all
            |> Result.map (Array.concat >> scores)

        misfit |> Option.defaultWith play

    /// The action of a rule, clipped to the action space, or a `Mismatch` if it is none: a row of another width, an index that does not
    /// exist, a number that is not finite, or an action that the mask of the observation forbids.
    let private requireAction (environment: Environment<'State>) observation (action: Vector) instance (step: int64) =
        let space = environment.ActionSpace
        let hasWidth = action.Length = Space.width space

        let clipped =
            if hasWidth then
                Vector.Create(action.Length, Fill(fun row -> Space.clip space action.Span row))
            else
                action

        let refuse why =
            let numbers = Vector.toArray action |> Array.map string |> String.concat ", "
            Error(Mismatch $"the rule gave [{numbers}] (environment {instance}, step {step}), and {why}")

        if not (Space.contains space clipped.Span && Vector.isFinite clipped) then
            refuse $"actions of {environment.Id} are {Space.describe space}"
        elif not (Mask.allows environment.ObservationSpace (observation: Vector).Span clipped.Span) then
            refuse $"{environment.Id} does not allow this action now"
        else
            Ok clipped

    /// Plays `count` episodes and returns their scores. `choose` returns the action for a raw observation, for example by a
    /// handwritten rule; the coordinates of a box are clipped to their bounds. Each episode has its own key, so the scores do not depend on
    /// the number of threads, and evaluations with the same key have the same start states.
    ///
    /// Faults: `EndlessEpisode` for an episode of a million steps, `Mismatch` for an action outside the action space, and the faults of
    /// the environment. A cancellation throws `OperationCanceledException` before the next step; a `count` below 1 throws
    /// `ArgumentException`. A state whose episode is abandoned is released (`Releasable`).
    let playCancellable cancellation threads (environment: Environment<'State>) (choose: Vector -> Vector) count key =
        let choose observation = requireAction environment observation (choose observation)
        playWith cancellation threads environment choose count key

    /// Does the same as `playCancellable` without cancellation.
    let play threads environment choose count key =
        playCancellable CancellationToken.None threads environment choose count key

    /// Plays with the actor's actions, which are drawn with the key of the instance and step that `draw` returns, or are the most probable ones
    /// if it returns none.
    let private act cancellation threads (environment: Environment<'State>) (actor: Actor) count key draw =
        Policy.requireFit "the policy" environment actor.Policy
        |> Result.bind (fun () ->
            let policy = InferencePolicy actor

            // One worker plays an episode from its first step to its last.
            let memories =
                Array.init (if policy.Memory > 0 then count else 0) (fun _ -> Array.zeroCreate policy.Memory)

            let memoryOf instance = if policy.Memory > 0 then Memory(Array.get memories instance) else Memory.Empty

            let choose (observation: Vector) instance steps =
                match policy.TryAct(observation, memoryOf instance, draw instance steps) with
                | ValueSome action -> Ok action
                | ValueNone -> Error(Actor.nonFiniteAction environment actor observation.Span instance steps)

            playWith cancellation threads environment choose count key)

    /// Does the same as `playCancellable` with the most probable actions of the actor. Faults: that of `Policy.requireFit` if the actor's
    /// spaces are not those of the environment; `NonFinitePolicy` or `OversizedEnvironment` if the actor has no finite action.
    let runCancellable cancellation threads (environment: Environment<'State>) (actor: Actor) count key =
        act cancellation threads environment actor count key (fun _ _ -> ValueNone)

    /// Does the same as `runCancellable` without cancellation.
    let run threads environment actor count key =
        runCancellable CancellationToken.None threads environment actor count key

    /// Does the same as `runCancellable` with actions that are drawn from the policy's distribution, as in training.
    let sampleCancellable cancellation threads (environment: Environment<'State>) (actor: Actor) count (key: Key) =
        let actionKey = Key.named "action" key

        act cancellation threads environment actor count key (fun instance steps ->
            ValueSome(actionKey |> Key.at (int64 instance) |> Key.at steps))

    /// Does the same as `playCancellable`, without cancellation, with actions that are drawn uniformly from the action space
    /// (`Space.sample`), or from its legal actions (`Mask.sample`): the scores with which those of policies can be compared.
    let random threads (environment: Environment<'State>) count (key: Key) =
        let actionKey = Key.named "action" key

        let choose (observation: Vector) instance steps =
            let key = actionKey |> Key.at (int64 instance) |> Key.at steps
            Ok(Mask.sample environment.ObservationSpace environment.ActionSpace observation.Span key)

        playWith CancellationToken.None threads environment choose count key

    /// Does the same as `sampleCancellable` without cancellation.
    let sample threads environment actor count key =
        sampleCancellable CancellationToken.None threads environment actor count key
