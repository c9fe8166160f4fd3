/// Builds finite processes for tests and experiments. Wrong arguments throw `ArgumentException`.
module FunTrpo.Exact.Builders

open System
open FunTrpo

let private orFail result =
    match result with
    | Ok mdp -> mdp
    | Error fault -> invalidArg "mdp" (string fault)

let private uniform count = Array.create count (1.0 / float count)

/// Returns a chain of states. Every step in a state has the reward of that state. Action 0 moves left, and action 1 moves right. An
/// action succeeds with the probability `success`, and else moves the other way; a move beyond an end keeps the state. The start
/// distribution is uniform.
let chain gamma success (rewards: float[]) =
    let states = rewards.Length
    let clamp state = Math.Clamp(state, 0, states - 1)

    FiniteMdp.create $"Chain-{states}" gamma 2 (uniform states) (Array.create states false) (fun state action ->
        let direction = 2 * action - 1

        [ { Next = clamp (state + direction); Probability = success; Reward = rewards[state] }
          { Next = clamp (state - direction); Probability = 1.0 - success; Reward = rewards[state] } ])
    |> orFail

/// Returns the chain of four states with rewards in the two middle states (Koller and Parr, 2000).
let chain4 gamma = chain gamma 0.9 [| 0.0; 1.0; 1.0; 0.0 |]

/// Returns the chain of fifty states with rewards in the tenth state from each end (Lagoudakis and Parr, 2003).
let chain50 gamma = chain gamma 0.9 (Array.init 50 (fun i -> if i = 9 || i = 40 then 1.0 else 0.0))

/// Returns a grid of cells. In the map, S is a start, H a hole and G the goal, # a wall, and any other letter a free cell. Episodes end
/// in holes and in the goal. The actions are left, down, right and up. With the probability `slip` for each of the two sides, a move
/// goes to that side instead. A step to the goal has the reward 1.
let grid name gamma slip (map: string list) =
    let map = Array.ofList map
    let rows, columns = map.Length, (if map.Length = 0 then 0 else map[0].Length)

    if map |> Array.exists (fun row -> row.Length <> columns) then
        invalidArg (nameof map) "the rows of a map have as many cells, each"

    if not (Array.exists (Seq.contains 'S') map) then
        invalidArg (nameof map) "a map has an S, where it starts"

    let cell state = map[state / columns][state % columns]
    let states = rows * columns
    let starts = Array.init states (fun state -> if cell state = 'S' then 1.0 else 0.0)

    let move state direction =
        let row, column = state / columns, state % columns

        let row, column =
            match direction with
            | 0 -> row, max 0 (column - 1)
            | 1 -> min (rows - 1) (row + 1), column
            | 2 -> row, min (columns - 1) (column + 1)
            | _ -> max 0 (row - 1), column

        let next = row * columns + column
        if map[row][column] = '#' then state else next

    let terminal = Array.init states (fun state -> cell state = 'H' || cell state = 'G' || cell state = '#')

    let count = Array.sum starts

    FiniteMdp.create name gamma 4 (starts |> Array.map (fun start -> start / count)) terminal (fun state action ->
        let towards direction probability =
            let next = move state ((direction + 4) % 4)
            { Next = next; Probability = probability; Reward = (if cell next = 'G' then 1.0 else 0.0) }

        [ towards (action - 1) slip; towards action (1.0 - 2.0 * slip); towards (action + 1) slip ])
    |> orFail

let private frozen name map gamma isSlippery =
    grid $"""FrozenLake-{name}{(if isSlippery then "" else "-dry")}""" gamma (if isSlippery then 1.0 / 3.0 else 0.0) map

/// Returns Gymnasium's FrozenLake of 4 × 4 cells. If it is slippery, a move goes in its own direction or to either side with the
/// probability 1/3 each.
let frozenLake4 = frozen "4x4" [ "SFFF"; "FHFH"; "FFFH"; "HFFG" ]

/// Returns Gymnasium's FrozenLake of 8 × 8 cells.
let frozenLake8 =
    frozen "8x8" [ "SFFFFFFF"; "FFFFFFFF"; "FFFHFFFF"; "FFFFFHFF"; "FFFHFFFF"; "FHHFFFHF"; "FHFFHFHF"; "FFFHFFFG" ]

/// Returns a random Garnet process G(states, actions, branching). Each action of each state leads to `branching` distinct states that
/// are drawn uniformly. Their probabilities are the gaps between sorted uniform cut points. The reward of the action is uniform in
/// [0, 1], and the start distribution is uniform (Archibald, McKinnon and Thomas, 1995; Bhatnagar et al., 2009).
let garnet gamma states actions branching key =
    if branching < 1 || branching > states then
        invalidArg (nameof branching) $"an action leads to 1 … {states} states, and not to {branching}"

    let branches state action =
        let key = Key.at (int64 (state * actions + action)) key
        let successors = Key.permutation states (Key.named "successors" key)
        let cuts = Array.sort (Key.uniforms (branching - 1) (Key.named "cuts" key))
        let edges = Array.concat [ [| 0.0 |]; cuts; [| 1.0 |] ]
        let reward = Key.uniform (Key.named "reward" key)

        [ for i in 0 .. branching - 1 ->
              { Next = successors[i]; Probability = edges[i + 1] - edges[i]; Reward = reward } ]

    FiniteMdp.create
        $"Garnet({states}, {actions}, {branching})"
        gamma
        actions
        (uniform states)
        (Array.create states false)
        branches
    |> orFail
