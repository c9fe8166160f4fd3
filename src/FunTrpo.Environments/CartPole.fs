/// `CartPole-v1`: a pole is hinged to a cart, and pushes of the cart to the left or to the right must keep it upright.
///
/// Source: Barto, Sutton and Anderson, "Neuronlike adaptive elements that can solve difficult learning control problems" (1983),
/// without friction. Constants, rewards and limits are Gymnasium's.
module FunTrpo.Environments.CartPole

open System
open System.Runtime.CompilerServices
open FunTrpo

[<Struct>]
type State =
    {
        /// The position of the cart from the middle of the track, in m.
        Position: float
        /// The velocity of the cart, in m/s.
        Velocity: float
        /// The angle of the pole from the vertical, in rad.
        Angle: float
        /// The angular velocity of the pole, in rad/s.
        AngularVelocity: float
    }

let gravity = 9.8 // m/s²
let cartMass = 1.0 // kg
let poleMass = 0.1 // kg
let totalMass = poleMass + cartMass // kg
let halfLength = 0.5 // m, from the hinge to the pole's centre of mass
let push = 10.0 // N
let timeStep = 0.02 // s

let positionLimit = 2.4 // m
let angleLimit = 12.0 * 2.0 * Math.PI / 360.0 // rad

/// The state one time step later, when `force` (N) pushes the cart.
let inline dynamics force state =
    let struct (sine, cosine) = Math.SinCos state.Angle
    let poleMoment = poleMass * halfLength

    // M is the total mass, m the mass of the pole, and l half its length (Barto, Sutton and Anderson 1983, appendix):
    //   b = (F + m l θ̇² sin θ) / M
    //   θ̈ = (g sin θ − b cos θ) / (l (4/3 − m cos² θ / M))
    //   ẍ = b − m l θ̈ cos θ / M
    let b = (force + poleMoment * (state.AngularVelocity * state.AngularVelocity) * sine) / totalMass

    let angularAcceleration =
        (gravity * sine - cosine * b)
        / (halfLength * (4.0 / 3.0 - poleMass * (cosine * cosine) / totalMass))

    let acceleration = b - poleMoment * angularAcceleration * cosine / totalMass

    // The explicit Euler method: all rates are those at the start of the time step.
    { Position = state.Position + timeStep * state.Velocity
      Velocity = state.Velocity + timeStep * acceleration
      Angle = state.Angle + timeStep * state.AngularVelocity
      AngularVelocity = state.AngularVelocity + timeStep * angularAcceleration }

/// Whether the pole or the cart has exceeded its limit.
let hasFailed state = abs state.Position > positionLimit || abs state.Angle > angleLimit

// The bounds are twice the limits, so that the state in which an episode ends is still inside them.
let private observationSpace =
    let high =
        Vector.ofArray
            [| float32 (2.0 * positionLimit)
               Single.PositiveInfinity
               float32 (2.0 * angleLimit)
               Single.PositiveInfinity |]

    Space.between (Vector.map (~-) high) high

let private actionSpace = Discrete 2

/// The track, the cart, and the pole in its full length.
let private picture state =
    let struct (sine, cosine) = Math.SinCos state.Angle
    let x = state.Position
    let tip = struct (x + 2.0 * halfLength * sine, 0.1 + 2.0 * halfLength * cosine)

    { Left = -positionLimit - 0.3
      Right = positionLimit + 0.3
      Bottom = -0.6
      Top = 1.5
      Shapes =
        [ Shape.Line([ struct (-positionLimit, -0.2); (positionLimit, -0.2) ], 0.02, Colour.Muted)
          Picture.rectangle (x - 0.25) -0.15 (x + 0.25) 0.1 Colour.Body
          Shape.Circle(struct (x - 0.15, -0.15), 0.05, Colour.Ink)
          Shape.Circle(struct (x + 0.15, -0.15), 0.05, Colour.Ink)
          Shape.Line([ struct (x, 0.1); tip ], 0.08, Colour.Accent)
          Shape.Circle(struct (x, 0.1), 0.04, Colour.Ink) ] }

/// The environment without its time limit.
[<Struct>]
type private Untimed =
    interface Environment<State> with
        member _.Id = "CartPole-v1"
        member _.ObservationSpace = observationSpace
        member _.ActionSpace = actionSpace

        member _.Reset key =
            let start index = Key.uniformIn -0.05 0.05 (Key.at index key)

            { Position = start 0L; Velocity = start 1L; Angle = start 2L; AngularVelocity = start 3L }

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        member _.Step(_, action, state) =
            // The action 0 pushes to the left, 1 to the right.
            let force = push * (2.0 * float action[0] - 1.0)
            let next = dynamics force state

            { State = next; Reward = 1.0; Terminated = hasFailed next; Truncated = false }

        member _.Observe(state, observation) =
            observation[0] <- float32 state.Position
            observation[1] <- float32 state.Velocity
            observation[2] <- float32 state.Angle
            observation[3] <- float32 state.AngularVelocity

    interface PicturedEnvironment<State> with
        member _.Picture state = Some(picture state)

/// The environment without its time limit, for tasks that are made of it.
let internal untimed: Environment<State> = Untimed()

let environment = Untimed() |> Environment.withTimeLimit 500
