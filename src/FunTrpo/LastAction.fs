namespace FunTrpo

open System

/// The last action and the last reward as a part of the observation. A policy with memory needs them where the observations do not tell what
/// was done, or whether it was good.
///
/// Source: Wang et al., "Learning to reinforcement learn" (2016); Duan et al., "RL²" (2016).
module LastAction =

    /// The part with what `inner` shows, the part with the last action, and the part with the last reward.
    let private partsOf observed actions =
        Parts [ "observation", observed; "lastAction", actions; "lastReward", Space.box 1 -infinity infinity ]

    /// Observations of this space with the last action and the last reward.
    let space observed actions =
        match observed with
        | Masked(observed, counts) -> Masked(partsOf observed actions, counts)
        | _ -> partsOf observed actions

    /// The environment `inner`, whose observations have the parts `observation`, `lastAction` and `lastReward`. Before the first step, the
    /// action is that of zeros, or the nearest one in a box without it, and the reward is 0.
    let wrap (inner: 'Inner :> Environment<'State>) : Environment<WithRow<'State>> =
        let observed = Space.width (Space.observed inner.ObservationSpace)
        let whole = Space.width inner.ObservationSpace
        let actions = Space.width inner.ActionSpace

        let start =
            let row = Array.zeroCreate<float32>(actions + 1)
            Space.clip inner.ActionSpace (ReadOnlySpan(row, 0, actions)) (row.AsSpan(0, actions))
            Vector.adopt row

        let keeper =
            { new RowKeeper<'State>() with
                member _.ObservationSpace = space inner.ObservationSpace inner.ActionSpace
                member _.Width = actions + 1
                member _.Start _ = start

                member _.Next(_, action, next) =
                    let row = Array.zeroCreate<float32>(actions + 1)
                    action.CopyTo(row.AsSpan())
                    row[actions] <- float32 next.Reward
                    Vector.adopt row

                member _.Observe(state, observation) =
                    inner.Observe(state.Inner, observation.Slice(0, whole))
                    // A mask stays the last.
                    let mask = observation.Slice(observed, whole - observed)
                    mask.CopyTo(observation.Slice(observed + actions + 1))
                    state.Row.Span.CopyTo(observation.Slice observed) }

        RowWrapper.wrap keeper inner
