/// `Acrobot-v1`: two links hang from a fixed joint, and a torque on the joint between them must swing the free end up.
///
/// Source: Sutton, "Generalization in reinforcement learning: successful examples using sparse coarse coding" (1996), with the
/// equations of Sutton and Barto's book. Constants, rewards and limits are Gymnasium's.
module FunTrpo.Environments.Acrobot

open System
open System.Runtime.CompilerServices
open FunTrpo

/// The angles and angular velocities of the links. `rate` also uses this type for their rates of change.
[<Struct>]
type State =
    {
        /// The angle of the first link from hanging straight down, in rad.
        Angle1: float
        /// The angle of the second link from the direction of the first, in rad.
        Angle2: float
        /// The rate of change of `Angle1`, in rad/s.
        Velocity1: float
        /// The rate of change of `Angle2`, in rad/s.
        Velocity2: float
    }

let gravity = 9.8 // m/s²
let mass1 = 1.0 // kg
let mass2 = 1.0 // kg
let length1 = 1.0 // m
let centre1 = 0.5 // m, from the first joint to the first link's centre of mass
let centre2 = 0.5 // m, from the second joint to the second link's centre of mass
let inertia1 = 1.0 // kg m²
let inertia2 = 1.0 // kg m²
let timeStep = 0.2 // s

let velocityLimit1 = 4.0 * Math.PI // rad/s
let velocityLimit2 = 9.0 * Math.PI // rad/s

/// The rate of change of the state when `torque` (N m) acts on the second joint.
let rate torque state =
    let struct (sine2, cosine2) = Math.SinCos state.Angle2
    let square1 = state.Velocity1 * state.Velocity1
    let square2 = state.Velocity2 * state.Velocity2

    // l is the length of the first link, r the distances of the centres of mass, and τ the torque (Sutton and Barto, 1998, section 11.3):
    //   d₁ = m₁ r₁² + m₂ (l² + r₂² + 2 l r₂ cos θ₂) + I₁ + I₂
    //   d₂ = m₂ (r₂² + l r₂ cos θ₂) + I₂
    //   φ₂ = m₂ r₂ g cos(θ₁ + θ₂ − π/2)
    //   φ₁ = −m₂ l r₂ θ̇₂² sin θ₂ − 2 m₂ l r₂ θ̇₂ θ̇₁ sin θ₂ + (m₁ r₁ + m₂ l) g cos(θ₁ − π/2) + φ₂
    //   θ̈₂ = (τ + d₂/d₁ φ₁ − m₂ l r₂ θ̇₁² sin θ₂ − φ₂) / (m₂ r₂² + I₂ − d₂²/d₁)
    //   θ̈₁ = −(d₂ θ̈₂ + φ₁) / d₁
    let d1 =
        mass1 * (centre1 * centre1)
        + mass2 * (length1 * length1 + centre2 * centre2 + 2.0 * length1 * centre2 * cosine2)
        + inertia1
        + inertia2

    let d2 = mass2 * (centre2 * centre2 + length1 * centre2 * cosine2) + inertia2

    let phi2 = mass2 * centre2 * gravity * cos (state.Angle1 + state.Angle2 - Math.PI / 2.0)

    let phi1 =
        -mass2 * length1 * centre2 * square2 * sine2
        - 2.0 * mass2 * length1 * centre2 * state.Velocity2 * state.Velocity1 * sine2
        + (mass1 * centre1 + mass2 * length1) * gravity * cos (state.Angle1 - Math.PI / 2.0)
        + phi2

    let acceleration2 =
        (torque + d2 / d1 * phi1 - mass2 * length1 * centre2 * square1 * sine2 - phi2)
        / (mass2 * (centre2 * centre2) + inertia2 - d2 * d2 / d1)

    { Angle1 = state.Velocity1
      Angle2 = state.Velocity2
      Velocity1 = -(d2 * acceleration2 + phi1) / d1
      Velocity2 = acceleration2 }

/// state + t · rate
let inline private along t state rate =
    { Angle1 = state.Angle1 + t * rate.Angle1
      Angle2 = state.Angle2 + t * rate.Angle2
      Velocity1 = state.Velocity1 + t * rate.Velocity1
      Velocity2 = state.Velocity2 + t * rate.Velocity2 }

/// One step of length t of the classic fourth-order Runge–Kutta method.
let inline private rungeKutta t ([<InlineIfLambda>] rate: State -> State) state =
    let k1 = rate state
    let k2 = rate (along (t / 2.0) state k1)
    let k3 = rate (along (t / 2.0) state k2)
    let k4 = rate (along t state k3)

    let inline sum (part: State -> float) = part k1 + 2.0 * part k2 + 2.0 * part k3 + part k4

    along
        (t / 6.0)
        state
        { Angle1 = sum _.Angle1
          Angle2 = sum _.Angle2
          Velocity1 = sum _.Velocity1
          Velocity2 = sum _.Velocity2 }

/// The same angle between −π and π. The velocity limits bound the angle before wrapping, so the recursion is short.
let rec private wrap angle =
    if angle > Math.PI then wrap (angle - 2.0 * Math.PI)
    elif angle < -Math.PI then wrap (angle + 2.0 * Math.PI)
    else angle

/// The state one time step later, when `torque` (N m) acts on the second joint.
let dynamics torque state =
    let next = rungeKutta timeStep (fun state -> rate torque state) state

    { Angle1 = wrap next.Angle1
      Angle2 = wrap next.Angle2
      Velocity1 = Math.Clamp(next.Velocity1, -velocityLimit1, velocityLimit1)
      Velocity2 = Math.Clamp(next.Velocity2, -velocityLimit2, velocityLimit2) }

/// Whether the free end is more than the length of one link above the fixed joint.
let hasSwungUp state = -(cos state.Angle1) - cos (state.Angle2 + state.Angle1) > 1.0

let private observationSpace =
    let high = Vector.ofArray [| 1f; 1f; 1f; 1f; float32 velocityLimit1; float32 velocityLimit2 |]

    Space.between (Vector.map (~-) high) high

let private actionSpace = Discrete 3

/// The two links, and the height that the tip has to pass.
let private picture state =
    let x1, y1 = length1 * sin state.Angle1, -length1 * cos state.Angle1
    let angle = state.Angle1 + state.Angle2
    let x2, y2 = x1 + 2.0 * centre2 * sin angle, y1 - 2.0 * centre2 * cos angle

    { Left = -2.2
      Right = 2.2
      Bottom = -2.2
      Top = 2.2
      Shapes =
        [ Shape.Line([ struct (-2.2, 1.0); (2.2, 1.0) ], 0.02, Colour.Goal)
          Shape.Line([ struct (0.0, 0.0); (x1, y1) ], 0.15, Colour.Body)
          Shape.Line([ struct (x1, y1); (x2, y2) ], 0.15, Colour.Accent)
          Shape.Circle(struct (0.0, 0.0), 0.1, Colour.Ink)
          Shape.Circle(struct (x1, y1), 0.1, Colour.Ink) ] }

/// The environment without its time limit.
[<Struct>]
type private Untimed =
    interface Environment<State> with
        member _.Id = "Acrobot-v1"
        member _.ObservationSpace = observationSpace
        member _.ActionSpace = actionSpace

        member _.Reset key =
            // Gymnasium rounds the start, and only the start, to float32.
            let start index = Key.uniformIn -0.1 0.1 (Key.at index key) |> float32 |> float

            { Angle1 = start 0L; Angle2 = start 1L; Velocity1 = start 2L; Velocity2 = start 3L }

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        member _.Step(_, action, state) =
            // The actions 0, 1 and 2 are torques of −1, 0 and 1 N m.
            let next = dynamics (float action[0] - 1.0) state
            let terminated = hasSwungUp next

            { State = next
              Reward = if terminated then 0.0 else -1.0
              Terminated = terminated
              Truncated = false }

        member _.Observe(state, observation) =
            observation[0] <- float32 (cos state.Angle1)
            observation[1] <- float32 (sin state.Angle1)
            observation[2] <- float32 (cos state.Angle2)
            observation[3] <- float32 (sin state.Angle2)
            observation[4] <- float32 state.Velocity1
            observation[5] <- float32 state.Velocity2

    interface PicturedEnvironment<State> with
        member _.Picture state = Some(picture state)

let environment = Untimed() |> Environment.withTimeLimit 500
