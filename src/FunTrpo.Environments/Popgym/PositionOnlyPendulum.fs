/// `popgym-PositionOnlyPendulum…-v0`: Pendulum-v1, of which a policy sees the angle but not the velocity.
///
/// Source: POPGym (see `Difficulty`).
module FunTrpo.Environments.Popgym.PositionOnlyPendulum

open System
open FunTrpo
open FunTrpo.Environments

let private observationSpace = Space.box 2 -1.0 1.0

/// Half of the largest cost of a step: that of a pendulum that hangs down and turns at full speed with full torque.
let private halfCost =
    let hanging: Pendulum.State = { Angle = -Math.PI; AngularVelocity = Pendulum.velocityLimit }
    Pendulum.cost Pendulum.torqueLimit hanging / 2.0

/// The environment without its time limit. Its rewards are those of Pendulum-v1, moved and scaled to [−1/limit, 1/limit].
[<Sealed>]
type private Untimed(id, limit: int) =
    let inner = Pendulum.untimed

    interface Environment<Pendulum.State> with
        member _.Id = id
        member _.ObservationSpace = observationSpace
        member _.ActionSpace = inner.ActionSpace
        member _.Reset key = inner.Reset key

        member _.Step(key, action, state) =
            let next = inner.Step(key, action, state)
            { next with Reward = (next.Reward + halfCost) / halfCost / float limit }

        member _.Observe(state, observation) =
            observation[0] <- float32 (cos state.Angle)
            observation[1] <- float32 (sin state.Angle)

    interface PicturedEnvironment<Pendulum.State> with
        member _.Picture state = Picture.ofState inner state

/// The number of steps of an episode.
let limit = Difficulty.pick (200, 150, 100)

let environment difficulty =
    let limit = limit difficulty
    Untimed(Difficulty.id "PositionOnlyPendulum" difficulty, limit) |> Environment.withTimeLimit limit
