/// `popgym-PositionOnlyCartPole…-v0` and `popgym-NoisyPositionOnlyCartPole…-v0`: CartPole-v1, of which a policy sees the position of the cart and
/// the angle of the pole, but no velocities; in the noisy variants, with normal noise.
///
/// Source: POPGym (see `Difficulty`).
module FunTrpo.Environments.Popgym.PositionOnlyCartPole

open System
open FunTrpo
open FunTrpo.Environments

[<Struct>]
type State =
    {
        Inner: CartPole.State
        /// The noise on the position that is seen, in the unit of the position.
        PositionNoise: float
        /// The noise on the angle that is seen, in rad.
        AngleNoise: float
    }

let private positionBound = 2.0 * CartPole.positionLimit
let private angleBound = 2.0 * CartPole.angleLimit

let private observationSpace =
    let high = Vector.ofArray [| float32 positionBound; float32 angleBound |]
    Space.between (Vector.map (~-) high) high

let private actionSpace = Discrete 2

let private clipped bound (number: float) = Math.Clamp(number, -bound, bound)

/// The environment without its time limit: a step has the reward 1/limit.
[<Sealed>]
type private Untimed(id, limit: int, deviation: float) =
    let inner = CartPole.untimed

    let seen key state =
        if deviation = 0.0 then
            { Inner = state; PositionNoise = 0.0; AngleNoise = 0.0 }
        else
            let noise = Key.normals 2 key
            { Inner = state; PositionNoise = deviation * noise[0]; AngleNoise = deviation * noise[1] }

    interface Environment<State> with
        member _.Id = id
        member _.ObservationSpace = observationSpace
        member _.ActionSpace = actionSpace
        member _.Reset key = inner.Reset(Key.named "start" key) |> seen (Key.named "noise" key)

        member _.Step(key, action, state) =
            let next = inner.Step(key, action, state.Inner)

            { State = seen key next.State
              Reward = 1.0 / float limit
              Terminated = next.Terminated
              Truncated = false }

        member _.Observe(state, observation) =
            observation[0] <- float32 (clipped positionBound (state.Inner.Position + state.PositionNoise))
            observation[1] <- float32 (clipped angleBound (state.Inner.Angle + state.AngleNoise))

    interface PicturedEnvironment<State> with
        member _.Picture state = Picture.ofState inner state.Inner

let private make task difficulty limit deviation =
    Untimed(Difficulty.id task difficulty, limit, deviation) |> Environment.withTimeLimit limit

/// The number of steps of an episode.
let limit = Difficulty.pick (200, 400, 600)

/// The standard deviation of the noise on both numbers of the noisy variant.
let deviation = Difficulty.pick (0.1, 0.2, 0.3)

let environment difficulty = make "PositionOnlyCartPole" difficulty (limit difficulty) 0.0

/// The variant with noise, in which an episode has 200 steps.
let noisy difficulty = make "NoisyPositionOnlyCartPole" difficulty (limit Easy) (deviation difficulty)
