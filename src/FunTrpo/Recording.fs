namespace FunTrpo

open System.Collections.Immutable

/// An episode of a policy, for pages that show it.
type Recording =
    {
        /// The picture of the first state, and of the state after each step. Empty if the environment does not draw its states.
        Pictures: ImmutableArray<Picture>
        /// The action of each step.
        Actions: ImmutableArray<Vector>
        /// The reward of each step.
        Rewards: ImmutableArray<float>
    }

    /// The undiscounted return of the episode.
    member this.Return = Seq.sum this.Rewards

module Recording =

    /// The environment, which tells of each first state and of each step.
    let private watched (inner: Environment<'State>) onReset onStep =
        { new Environment<'State> with
            member _.Id = inner.Id
            member _.ObservationSpace = inner.ObservationSpace
            member _.ActionSpace = inner.ActionSpace

            member _.Reset key =
                let state = inner.Reset key
                onReset state
                state

            member _.Step(key, action, state) =
                let next = inner.Step(key, action, state)
                onStep (Vector.ofArray (action.ToArray())) next
                next

            member _.Observe(state, observation) = inner.Observe(state, observation) }

    /// Whether the environment draws its states: an episode begins, and is left. Throws what the environment throws.
    let isDrawn (environment: Environment<'State>) key =
        match box environment with
        | :? PicturedEnvironment<'State> as pictured ->
            let state = environment.Reset key

            try
                (pictured.Picture state).IsSome
            finally
                Releasable.release state
        | _ -> false

    /// Plays one episode with the most probable actions of the actor. Faults: those of `Evaluation.run`.
    let play (environment: Environment<'State>) actor key =
        let pictures = ImmutableArray.CreateBuilder<Picture>()
        let actions = ImmutableArray.CreateBuilder<Vector>()
        let rewards = ImmutableArray.CreateBuilder<float>()
        let draw state = Picture.ofState environment state |> Option.iter pictures.Add

        let onStep action (next: Transition<'State>) =
            actions.Add action
            rewards.Add next.Reward
            draw next.State

        Evaluation.run 1 (watched environment draw onStep) actor 1 key
        |> Result.map (fun _ ->
            { Pictures = pictures.ToImmutable()
              Actions = actions.ToImmutable()
              Rewards = rewards.ToImmutable() })
