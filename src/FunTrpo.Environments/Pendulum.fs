/// `Pendulum-v1`: a torque must swing a pendulum up and hold it upright. The torque is too weak to lift it directly.
///
/// Constants, rewards and limits are Gymnasium's. Episodes never terminate: the time limit truncates them.
module FunTrpo.Environments.Pendulum

open System
open System.Runtime.CompilerServices
open FunTrpo

[<Struct>]
type State =
    {
        /// The angle from upright, in rad. It is not wrapped, so it exceeds π when the pendulum turns over.
        Angle: float
        /// The angular velocity, in rad/s.
        AngularVelocity: float
    }

let gravity = 10.0 // m/s²
let mass = 1.0 // kg
let length = 1.0 // m
let timeStep = 0.05 // s

let torqueLimit = 2.0 // N m
let velocityLimit = 8.0 // rad/s

/// The state one time step later if `torque` (N m) acts on the joint.
let inline dynamics torque state =
    // A rod with the moment of inertia m l²/3, and θ = 0 upright:  θ̈ = 3g/(2l) sin θ + 3/(m l²) τ
    let acceleration =
        3.0 * gravity / (2.0 * length) * sin state.Angle + 3.0 / (mass * (length * length)) * torque

    let velocity =
        Math.Clamp(state.AngularVelocity + acceleration * timeStep, -velocityLimit, velocityLimit)

    { Angle = state.Angle + velocity * timeStep; AngularVelocity = velocity }

/// The same angle in [−π, π).
let private wrap angle =
    let turn = 2.0 * Math.PI
    let rest = (angle + Math.PI) % turn
    (if rest < 0.0 then rest + turn else rest) - Math.PI

/// The cost of a step, θ² + θ̇²/10 + τ²/1000, with θ wrapped to [−π, π).
let cost (torque: float) state =
    let angle = wrap state.Angle

    angle * angle + 0.1 * (state.AngularVelocity * state.AngularVelocity) + 0.001 * (torque * torque)

let private observationSpace =
    let high = Vector.ofArray [| 1f; 1f; float32 velocityLimit |]
    Space.between (Vector.map (~-) high) high

let private actionSpace = Space.box 1 -torqueLimit torqueLimit

/// The pendulum, and its pivot.
let private picture state =
    let struct (sine, cosine) = Math.SinCos state.Angle

    { Left = -1.3
      Right = 1.3
      Bottom = -1.3
      Top = 1.3
      Shapes =
        [ Shape.Circle(struct (0.0, length), 0.05, Colour.Goal)
          Shape.Line([ struct (0.0, 0.0); (length * -sine, length * cosine) ], 0.15, Colour.Accent)
          Shape.Circle(struct (0.0, 0.0), 0.06, Colour.Ink) ] }

/// The environment without its time limit.
[<Struct>]
type private Untimed =
    interface Environment<State> with
        member _.Id = "Pendulum-v1"
        member _.ObservationSpace = observationSpace
        member _.ActionSpace = actionSpace

        member _.Reset key =
            let struct (forAngle, forVelocity) = Key.split key

            { Angle = Key.uniformIn -Math.PI Math.PI forAngle
              AngularVelocity = Key.uniformIn -1.0 1.0 forVelocity }

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        member _.Step(_, action, state) =
            let torque = Math.Clamp(float action[0], -torqueLimit, torqueLimit)

            { State = dynamics torque state
              Reward = -(cost torque state)
              Terminated = false
              Truncated = false }

        member _.Observe(state, observation) =
            observation[0] <- float32 (cos state.Angle)
            observation[1] <- float32 (sin state.Angle)
            observation[2] <- float32 state.AngularVelocity

    interface PicturedEnvironment<State> with
        member _.Picture state = Some(picture state)

/// The environment without its time limit, for tasks that are made of it.
let internal untimed: Environment<State> = Untimed()

let environment = Untimed() |> Environment.withTimeLimit 200
