/// Finite processes to try things on.
module FunTrpo.Exact.Builders

open System
open FunTrpo

let private orFail result =
    match result with
    | Ok mdp -> mdp
    | Error fault -> invalidArg "mdp" (Fault.message fault)

let private uniform count = Array.create count (1.0 / float count)

/// States in a row, of which each is worth its reward for as long as it is occupied. The actions are a step to the left (0) and
/// to the right (1); one that fails goes the other way, and beyond the ends there is nowhere to go. It starts anywhere.
let chain gamma success (rewards: float[]) =
    let states = rewards.Length
    let clamp state = Math.Clamp(state, 0, states - 1)

    FiniteMdp.create $"Chain-{states}" gamma 2 (uniform states) (Array.create states false) (fun state action ->
        let direction = 2 * action - 1

        [ { Next = clamp (state + direction); Probability = success; Reward = rewards[state] }
          { Next = clamp (state - direction); Probability = 1.0 - success; Reward = rewards[state] } ])
    |> orFail

/// The chain of four states with the reward in the middle (Koller and Parr, 2000).
let chain4 gamma = chain gamma 0.9 [| 0.0; 1.0; 1.0; 0.0 |]

/// The chain of fifty states with rewards at the tenth from either end (Lagoudakis and Parr, 2003).
let chain50 gamma = chain gamma 0.9 (Array.init 50 (fun i -> if i = 9 || i = 40 then 1.0 else 0.0))

/// A grid of cells: S where it starts, H a hole and G the goal, in which it ends, # a wall, any other letter is free. The actions are
/// left, down, right, up; with the probability `slip` each, the move goes to one of the two sides instead. The goal is worth 1.
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

/// Gymnasium's FrozenLake of 4 × 4 cells: where it is slippery, a move goes where it should, or to either side, with 1/3 each.
let frozenLake4 = frozen "4x4" [ "SFFF"; "FHFH"; "FFFH"; "HFFG" ]

/// Gymnasium's FrozenLake of 8 × 8 cells.
let frozenLake8 =
    frozen "8x8" [ "SFFFFFFF"; "FFFFFFFF"; "FFFHFFFF"; "FFFFFHFF"; "FFFHFFFF"; "FHHFFFHF"; "FHFFHFHF"; "FFFHFFFG" ]

/// G(states, actions, branching): each action of each state leads to `branching` different states that are drawn uniformly, with
/// probabilities between sorted uniform cut points, and is worth a uniform reward in [0, 1]. It starts anywhere.
/// (Archibald, McKinnon and Thomas, 1995; Bhatnagar and others, 2009.)
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
