/// `MinAtar/SpaceInvaders-v1`: a cannon shoots at rows of aliens that come down and shoot back, on a board of 10 × 10 cells.
///
/// Source: Young and Tian, "MinAtar: an Atari-inspired testbed for thorough and reproducible reinforcement learning experiments" (2019). An
/// observation has a 1 for each cell and each thing in it: channel 0 is the cannon, 1 the aliens, 2 the aliens while they move to the left,
/// 3 while they move to the right, 4 the cannon's bullets, 5 the aliens' bullets. The actions 0, 1, 2 and 3 are none, left, right and fire.
module FunTrpo.Environments.MinAtar.SpaceInvaders

open System
open FunTrpo

[<Struct>]
type State =
    {
        /// The column of the cannon, which is in the last row.
        Cannon: int
        Aliens: Cells
        AreMovingLeft: bool
        /// The bullets of the cannon.
        Bullets: Cells
        AlienBullets: Cells
        /// The number of steps until the cannon may shoot again.
        CoolDown: int
        /// The number of steps until the aliens move.
        MoveTimer: int
        /// The largest number of steps between two moves of the aliens. Few aliens move more often.
        MoveInterval: int
        /// The number of steps until an alien shoots.
        ShotTimer: int
    }

/// The probability that an action is replaced by the one before it.
let stickiness = 0.1

let private channels = 6
let private lastRow = Cells.side - 1
let private coolDown = 5
let private shotInterval = 10
let private firstMoveInterval, shortestMoveInterval = 12, 6
let private wave = Cells.block [ 0..3 ] [ 2..7 ]
let private leftWall = Cells.column 0
let private rightWall = Cells.column lastRow
let private ground = Cells.row lastRow
let private columns = Array.init Cells.side Cells.column

let start =
    { Cannon = 5
      Aliens = wave
      AreMovingLeft = true
      Bullets = Cells.empty
      AlienBullets = Cells.empty
      CoolDown = 0
      MoveTimer = firstMoveInterval
      MoveInterval = firstMoveInterval
      ShotTimer = shotInterval }

let private cannon state = Cells.one lastRow state.Cannon

let private act action state =
    match action with
    | 1 -> { state with Cannon = max 0 (state.Cannon - 1) }
    | 2 -> { state with Cannon = min lastRow (state.Cannon + 1) }
    | 3 when state.CoolDown = 0 ->
        { state with Bullets = Cells.union state.Bullets (cannon state); CoolDown = coolDown }
    | _ -> state

let private moveBullets state =
    { state with Bullets = Cells.up state.Bullets; AlienBullets = Cells.down state.AlienBullets }

/// The aliens after a move, and whether one of them was on the ground and moved down.
let private advance state =
    let wall = if state.AreMovingLeft then leftWall else rightWall

    if Cells.meet state.Aliens wall then
        struct ({ state with AreMovingLeft = not state.AreMovingLeft; Aliens = Cells.down state.Aliens },
                Cells.meet state.Aliens ground)
    elif state.AreMovingLeft then
        struct ({ state with Aliens = Cells.left state.Aliens }, false)
    else
        struct ({ state with Aliens = Cells.right state.Aliens }, false)

/// The aliens when it is time for them to move, and whether they have reached the ground.
let private moveAliens state =
    if state.MoveTimer > 0 then
        struct (state, false)
    else
        advance { state with MoveTimer = min (Cells.count state.Aliens) state.MoveInterval }

/// The lowest alien in the column that is nearest to the cannon; of two columns, the left one.
let private shooter state =
    seq { 0..lastRow }
    |> Seq.collect (fun distance -> [ state.Cannon - distance; state.Cannon + distance ])
    |> Seq.filter (fun column -> column >= 0 && column <= lastRow)
    |> Seq.map (fun column -> Cells.intersect columns[column] state.Aliens)
    |> Seq.tryFind (Cells.isEmpty >> not)
    |> Option.map (fun aliens ->
        let struct (row, column) = Cells.toList aliens |> List.last
        Cells.one row column)

let private shoot state =
    if state.ShotTimer > 0 then
        state
    else
        let bullet = shooter state |> Option.defaultValue Cells.empty
        { state with AlienBullets = Cells.union state.AlienBullets bullet; ShotTimer = shotInterval }

let private countDown state =
    { state with
        MoveTimer = state.MoveTimer - 1
        ShotTimer = state.ShotTimer - 1
        CoolDown = max 0 (state.CoolDown - 1) }

let private nextWave state =
    if Cells.isEmpty state.Aliens then
        { state with Aliens = wave; MoveInterval = max shortestMoveInterval (state.MoveInterval - 1) }
    else
        state

/// The state after an action, the number of aliens that were hit, and whether the cannon is lost.
let step action state =
    let state = state |> act action |> moveBullets

    let isHit = Cells.meet state.AlienBullets (cannon state) || Cells.meet state.Aliens (cannon state)

    let struct (state, haveLanded) = moveAliens state
    let isLost = isHit || haveLanded || Cells.meet state.Aliens (cannon state)
    let state = shoot state
    let hit = Cells.intersect state.Aliens state.Bullets

    let next =
        { state with Aliens = Cells.except state.Aliens hit; Bullets = Cells.except state.Bullets hit }
        |> countDown
        |> nextWave

    struct (next, float (Cells.count hit), isLost)

let private observationSpace = Space.boxOfShape [ Cells.side; Cells.side; channels ] 0.0 1.0
let private actionSpace = Discrete 4

let private picture state =
    Board.picture
        [ state.Aliens, Colour.Body
          state.AlienBullets, Colour.Danger
          state.Bullets, Colour.Accent
          cannon state, Colour.Ink ]

/// The environment without sticky actions and without a time limit.
[<Struct>]
type private Plain =
    interface Environment<State> with
        member _.Id = "MinAtar/SpaceInvaders-v1"
        member _.ObservationSpace = observationSpace
        member _.ActionSpace = actionSpace
        member _.Reset _ = start

        member _.Step(_, action, state) =
            let struct (next, hit, isLost) = step (int action[0]) state
            { State = next; Reward = hit; Terminated = isLost; Truncated = false }

        member _.Observe(state, observation) =
            let moving = if state.AreMovingLeft then 2 else 3
            Cells.write channels 0 (cannon state) observation
            Cells.write channels 1 state.Aliens observation
            Cells.write channels moving state.Aliens observation
            Cells.write channels 4 state.Bullets observation
            Cells.write channels 5 state.AlienBullets observation

    interface PicturedEnvironment<State> with
        member _.Picture state = Some(picture state)

let environment = Plain() |> StickyActions.wrap stickiness |> Environment.withTimeLimit 10_000
