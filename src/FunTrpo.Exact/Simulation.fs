/// Finite processes as environments. Observations and actions are the indices of states and actions.
module FunTrpo.Exact.Simulation

open System
open FunTrpo

/// Draws an index by a uniform number u, with weights that sum to `total`. If rounding puts u beyond all weights, the result is the last
/// index with a positive weight.
let inline private draw count total ([<InlineIfLambda>] weight: int -> float) u =
    let mutable chosen = -1
    let mutable remaining = u * total
    let mutable i = 0

    while i < count && (chosen < 0 || remaining >= 0.0) do
        let w = weight i

        if w > 0.0 then
            chosen <- i
            remaining <- remaining - w

        i <- i + 1

    chosen

/// The states as cells in reading order, in a square if their number allows it. Terminal states are marked: those that are entered with a
/// reward are goals.
let private picture (mdp: FiniteMdp) =
    let root = int (sqrt (float mdp.States))
    let columns = if root * root = mdp.States then root else min mdp.States 10
    let rows = (mdp.States + columns - 1) / columns
    let place state = float (state % columns), float (rows - 1 - state / columns)

    let isGoal =
        let goals = System.Collections.Generic.HashSet<int>()

        for state in 0 .. mdp.States - 1 do
            for action in 0 .. mdp.Actions - 1 do
                for branch in mdp.Branches(state, action).ToArray() do
                    if branch.Reward > 0.0 then
                        goals.Add branch.Next |> ignore

        goals.Contains

    let cells =
        [ for state in 0 .. mdp.States - 1 do
              let x, y = place state

              let colour =
                  if not (mdp.IsTerminal state) then Colour.Muted
                  elif isGoal state then Colour.Goal
                  else Colour.Danger

              Picture.rectangle (x - 0.46) (y - 0.46) (x + 0.46) (y + 0.46) colour ]

    fun state ->
        let x, y = place state

        { Left = -0.6
          Right = float columns - 0.4
          Bottom = -0.6
          Top = float rows - 0.4
          Shapes = cells @ [ Shape.Circle(struct (x, y), 0.25, Colour.Accent) ] }

/// The largest number of states that are drawn.
let private mostDrawn = 400

/// The process as an environment. `endOf` determines the end of a step that does not lead to a terminal state, from the key `end` of the
/// step.
let private environment (endOf: Key -> End) (mdp: FiniteMdp) =
    let startOf state = if mdp.IsTerminal state then 0.0 else mdp.Start[state]
    let started = Seq.sum (Seq.init mdp.States startOf)

    if started = 0.0 then
        invalidArg (nameof mdp) $"{mdp.Name} starts in terminal states alone: it has no steps"

    let drawing = lazy (picture mdp)

    { new Environment<int> with
        member _.Id = mdp.Name
        member _.ObservationSpace = Discrete mdp.States
        member _.ActionSpace = Discrete mdp.Actions

        member _.Reset key = draw mdp.States started startOf (Key.uniform key)

        member _.Step(key, action, state) =
            let branches = mdp.Branches(state, int action[0]).ToArray()
            let u = Key.uniform (Key.named "next" key)
            let next = branches[draw branches.Length 1.0 (fun i -> branches[i].Probability) u]
            let ending = if mdp.IsTerminal next.Next then End.Terminated else endOf (Key.named "end" key)

            { State = next.Next
              Reward = next.Reward
              Terminated = (ending = End.Terminated)
              Truncated = (ending = End.Truncated) }

        member _.Observe(state, observation) = observation[0] <- float32 state
      interface PicturedEnvironment<int> with
          member _.Picture state = if mdp.States <= mostDrawn then Some(drawing.Value state) else None }

/// Returns the process as an environment for training. The rewards are not discounted: the learner applies the γ of its configuration.
/// Episodes start only in states that are not terminal, so mean returns are those of the process divided by 1 − μ(terminal). An
/// episode may be endless; use a time limit in that case.
let ofMdp mdp = environment (fun _ -> End.Continues) mdp

/// `ending` with the probability 1 − γ, else `End.Continues`.
let private endWithProbability (mdp: FiniteMdp) ending key =
    if Key.uniform key < mdp.Gamma then End.Continues else ending

/// Returns the process that terminates after each step with the probability 1 − γ. The expected number of visits to a state is ρ(s),
/// and the expected sum of the rewards, without discount, is the expected discounted sum of the original process.
let discounted mdp = environment (endWithProbability mdp End.Terminated) mdp

/// Returns the process that is truncated after each step with the probability 1 − γ: the value of the next state still counts, as after
/// a time limit. The expected number of visits to a state is ρ(s).
let truncated mdp = environment (endWithProbability mdp End.Truncated) mdp

/// Draws a state from the discounted visitation of a policy: state s has the probability ρ(s) / Σ ρ.
let visited (values: Values) key =
    let total = Seq.sum values.Visitation

    if total = 0.0 then
        invalidArg (nameof values) "no state is ever visited"

    draw values.Visitation.Length total (fun state -> values.Visitation[state]) (Key.uniform key)
