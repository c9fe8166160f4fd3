/// `MountainCarContinuous-v0`: the mountain car with a continuous throttle.
///
/// Source: Moore, "Efficient memory-based learning for robot control" (1990), in the form of Sutton and Barto (1998, section 8.4).
/// Constants, rewards and limits are Gymnasium's. Lengths and times have no units; one step takes one unit of time.
module FunTrpo.Environments.MountainCarContinuous

open System
open System.Runtime.CompilerServices
open FunTrpo

[<Struct>]
type State = { Position: float; Velocity: float }

let engine = 0.0015 // acceleration at full throttle
let gravity = 0.0025

let leftWall = -1.2
let rightEnd = 0.6
let goal = 0.45
let speedLimit = 0.07

/// The state one step later. The throttle lies between −1 (full, backwards) and 1 (full, forwards), and is clipped to this range.
let inline dynamics (throttle: float) state =
    // The height of the hills is sin 3x, so the acceleration due to gravity is −g cos 3x:
    //   v ← v + throttle · engine − g cos 3x,   x ← x + v
    let acceleration = Math.Clamp(throttle, -1.0, 1.0) * engine - gravity * cos (3.0 * state.Position)

    let velocity = Math.Clamp(state.Velocity + acceleration, -speedLimit, speedLimit)
    let position = Math.Clamp(state.Position + velocity, leftWall, rightEnd)

    // The left wall stops the car.
    { Position = position; Velocity = if position = leftWall && velocity < 0.0 then 0.0 else velocity }

let isAtGoal state = state.Position >= goal && state.Velocity >= 0.0

/// The state rounded to float32, as Gymnasium stores it between steps.
let private rounded state = { Position = float (float32 state.Position); Velocity = float (float32 state.Velocity) }

let private observationSpace =
    Space.between
        (Vector.ofArray [| float32 leftWall; float32 -speedLimit |])
        (Vector.ofArray [| float32 rightEnd; float32 speedLimit |])

let private actionSpace = Space.box 1 -1.0 1.0

let private picture state = Hill.picture leftWall rightEnd goal state.Position

/// The environment without its time limit.
[<Struct>]
type private Untimed =
    interface Environment<State> with
        member _.Id = "MountainCarContinuous-v0"
        member _.ObservationSpace = observationSpace
        member _.ActionSpace = actionSpace

        member _.Reset key = { Position = Key.uniformIn -0.6 -0.4 key; Velocity = 0.0 }

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        member _.Step(_, action, state) =
            let throttle = float action[0]
            let next = dynamics throttle state
            let terminated = isAtGoal next

            { State = rounded next
              Reward = (if terminated then 100.0 else 0.0) - throttle * throttle * 0.1
              Terminated = terminated
              Truncated = false }

        member _.Observe(state, observation) =
            observation[0] <- float32 state.Position
            observation[1] <- float32 state.Velocity

    interface PicturedEnvironment<State> with
        member _.Picture state = Some(picture state)

let environment = Untimed() |> Environment.withTimeLimit 999
