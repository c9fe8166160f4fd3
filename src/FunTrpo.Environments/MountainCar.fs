/// `MountainCar-v0`: a car in a valley must reach the top of a hill. Its engine is too weak to climb directly, so it must swing back and
/// forth.
///
/// Source: Moore, "Efficient memory-based learning for robot control" (1990), in the form of Sutton and Barto (1998, section 8.4).
/// Constants, rewards and limits are Gymnasium's. Lengths and times have no units; one step takes one unit of time.
module FunTrpo.Environments.MountainCar

open System
open System.Runtime.CompilerServices
open FunTrpo

[<Struct>]
type State = { Position: float; Velocity: float }

let engine = 0.001 // acceleration at full throttle
let gravity = 0.0025

let leftWall = -1.2
let rightEnd = 0.6
let goal = 0.5
let speedLimit = 0.07

/// The state one step later. The throttle is −1 (backwards), 0 or 1 (forwards).
let inline dynamics throttle state =
    // The height of the hills is sin 3x, so the acceleration due to gravity is −g cos 3x:
    //   v ← v + throttle · engine − g cos 3x,   x ← x + v
    let pull = cos (3.0 * state.Position) * -gravity

    let velocity = Math.Clamp(state.Velocity + (throttle * engine + pull), -speedLimit, speedLimit)

    let position = Math.Clamp(state.Position + velocity, leftWall, rightEnd)

    // The left wall stops the car.
    { Position = position; Velocity = if position = leftWall && velocity < 0.0 then 0.0 else velocity }

let isAtGoal state = state.Position >= goal && state.Velocity >= 0.0

let private observationSpace =
    Space.between
        (Vector.ofArray [| float32 leftWall; float32 -speedLimit |])
        (Vector.ofArray [| float32 rightEnd; float32 speedLimit |])

let private actionSpace = Discrete 3

let private picture state = Hill.picture leftWall rightEnd goal state.Position

/// The environment without its time limit.
[<Struct>]
type private Untimed =
    interface Environment<State> with
        member _.Id = "MountainCar-v0"
        member _.ObservationSpace = observationSpace
        member _.ActionSpace = actionSpace

        member _.Reset key = { Position = Key.uniformIn -0.6 -0.4 key; Velocity = 0.0 }

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        member _.Step(_, action, state) =
            // The actions 0, 1 and 2 are full throttle backwards, no throttle, and full throttle forwards.
            let next = dynamics (float action[0] - 1.0) state

            { State = next; Reward = -1.0; Terminated = isAtGoal next; Truncated = false }

        member _.Observe(state, observation) =
            observation[0] <- float32 state.Position
            observation[1] <- float32 state.Velocity

    interface PicturedEnvironment<State> with
        member _.Picture state = Some(picture state)

let environment = Untimed() |> Environment.withTimeLimit 200
