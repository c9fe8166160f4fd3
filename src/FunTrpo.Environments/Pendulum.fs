/// A pendulum to be swung up, and held upright, by a torque too weak to lift it at once: `Pendulum-v1`.
///
/// Constants, rewards and limits are Gymnasium's. It never terminates: the time limit truncates it.
module FunTrpo.Environments.Pendulum

open System
open System.Runtime.CompilerServices
open FunTrpo

[<Struct>]
type State =
    {
        /// rad, from upright; grows beyond π as the pendulum turns
        Angle: float
        /// rad/s
        AngularVelocity: float
    }

let gravity = 10.0 // m/s²
let mass = 1.0 // kg
let length = 1.0 // m
let timeStep = 0.05 // s

let torqueLimit = 2.0 // N m
let velocityLimit = 8.0 // rad/s

/// The state one time step later, when `torque` (N m) acts on the joint.
let inline dynamics torque state =
    // A rod of inertia m l²/3, with θ = 0 upright:  θ̈ = 3g/(2l) sin θ + 3/(m l²) τ
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

/// θ² + θ̇²/10 + τ²/1000, with θ between −π and π.
let cost (torque: float) state =
    let angle = wrap state.Angle

    angle * angle + 0.1 * (state.AngularVelocity * state.AngularVelocity) + 0.001 * (torque * torque)

let private observationSpace =
    let high = Vector.ofArray [| 1f; 1f; float32 velocityLimit |]
    Box(Vector.map (~-) high, high)

let private actionSpace = Space.box 1 -torqueLimit torqueLimit

/// What there is without the time limit.
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

let environment = Untimed() |> Environment.withTimeLimit 200
