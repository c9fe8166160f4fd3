/// `MinAtar/Breakout-v1`: a paddle keeps a ball in play that breaks bricks, on a board of 10 × 10 cells.
///
/// Source: Young and Tian, "MinAtar: an Atari-inspired testbed for thorough and reproducible reinforcement learning experiments" (2019). An
/// observation has a 1 for each cell and each thing in it: channel 0 is the paddle, 1 the ball, 2 its trail, 3 the bricks. The actions 0, 1
/// and 2 are none, left and right.
module FunTrpo.Environments.MinAtar.Breakout

open System
open FunTrpo

/// Where the ball is, and where it goes.
[<Struct>]
type Ball = { Row: int; Column: int; Down: int; Right: int }

[<Struct>]
type State =
    {
        /// The column of the paddle, which is in the last row.
        Paddle: int
        Ball: Ball
        /// The cell where the ball was before the last step.
        Trail: struct (int * int)
        Bricks: Cells
        /// Whether the ball was on a brick in the last step. It then flies through further ones.
        IsStriking: bool
    }

/// The probability that an action is replaced by the one before it.
let stickiness = 0.1

let private channels = 4
let private lastRow = Cells.side - 1
let private wall = Cells.block [ 1..3 ] [ 0..lastRow ]

/// The state before the first step. The ball comes from the left or from the right.
let start fromRight =
    let column = if fromRight then lastRow else 0

    { Paddle = 4
      Ball = { Row = 3; Column = column; Down = 1; Right = (if fromRight then -1 else 1) }
      Trail = struct (3, column)
      Bricks = wall
      IsStriking = false }

let private movePaddle action column =
    match action with
    | 1 -> max 0 (column - 1)
    | 2 -> min lastRow (column + 1)
    | _ -> column

/// The ball one step later, if nothing but the side walls is in its way.
let private fly ball =
    let column = ball.Column + ball.Right

    if column < 0 || column > lastRow then
        { ball with Row = ball.Row + ball.Down; Right = -ball.Right }
    else
        { ball with Row = ball.Row + ball.Down; Column = column }

/// The ball after it was thrown back up or down: it stays in the row where it was.
let private bounce row ball = { ball with Row = row; Down = -ball.Down }

/// In the last row. The ball is lost unless it meets the paddle.
let private atPaddle old (flown: Ball) state =
    let state = if Cells.isEmpty state.Bricks then { state with Bricks = wall } else state

    if state.Paddle = old.Column then
        struct ({ state with Ball = bounce old.Row flown }, 0.0, false)
    elif state.Paddle = flown.Column then
        let back = bounce old.Row flown
        struct ({ state with Ball = { back with Right = -back.Right } }, 0.0, false)
    else
        struct ({ state with Ball = flown }, 0.0, true)

/// The state after an action, the reward, and whether the ball is lost.
let step action state =
    let old = state.Ball
    let flown = fly old

    let state = { state with Paddle = movePaddle action state.Paddle; Trail = struct (old.Row, old.Column) }

    let onward = { state with IsStriking = false }

    if flown.Row < 0 then
        struct ({ onward with Ball = bounce 0 flown }, 0.0, false)
    elif Cells.contains flown.Row flown.Column state.Bricks then
        if state.IsStriking then
            struct ({ state with Ball = flown }, 0.0, false)
        else
            let bricks = Cells.except state.Bricks (Cells.one flown.Row flown.Column)
            struct ({ state with Ball = bounce old.Row flown; Bricks = bricks; IsStriking = true }, 1.0, false)
    elif flown.Row = lastRow then
        atPaddle old flown onward
    else
        struct ({ onward with Ball = flown }, 0.0, false)

let private observationSpace = Space.boxOfShape [ Cells.side; Cells.side; channels ] 0.0 1.0
let private actionSpace = Discrete 3

let private picture state =
    let struct (row, column) = state.Trail

    Board.picture
        [ state.Bricks, Colour.Body
          Cells.one row column, Colour.Goal
          Cells.one lastRow state.Paddle, Colour.Ink
          Cells.one state.Ball.Row state.Ball.Column, Colour.Accent ]

/// The environment without sticky actions and without a time limit.
[<Struct>]
type private Plain =
    interface Environment<State> with
        member _.Id = "MinAtar/Breakout-v1"
        member _.ObservationSpace = observationSpace
        member _.ActionSpace = actionSpace
        member _.Reset key = start (Key.uniform key < 0.5)

        member _.Step(_, action, state) =
            let struct (next, reward, isLost) = step (int action[0]) state
            { State = next; Reward = reward; Terminated = isLost; Truncated = false }

        member _.Observe(state, observation) =
            let struct (row, column) = state.Trail
            Cells.write channels 0 (Cells.one lastRow state.Paddle) observation
            Cells.write channels 1 (Cells.one state.Ball.Row state.Ball.Column) observation
            Cells.write channels 2 (Cells.one row column) observation
            Cells.write channels 3 state.Bricks observation

    interface PicturedEnvironment<State> with
        member _.Picture state = Some(picture state)

let environment = Plain() |> StickyActions.wrap stickiness |> Environment.withTimeLimit 10_000
