/// Finite processes as environments: the observation is the number of the state, as is the action's.
module FunTrpo.Exact.Simulation

open System
open FunTrpo

/// The index that a uniform number u falls to, with weights that sum to `total`; where rounding leaves u beyond all of them, the last
/// possible.
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

/// Plays the process; `beyond` says how a step that does not lead to a terminal state ends, given the key for that.
let private playing (beyond: Key -> End) (mdp: FiniteMdp) =
    let startOf state = if mdp.IsTerminal state then 0.0 else mdp.Start[state]
    let started = Seq.sum (Seq.init mdp.States startOf)

    if started = 0.0 then
        invalidArg (nameof mdp) $"{mdp.Name} starts in terminal states alone: there is nothing to play"

    { new Environment<int> with
        member _.Id = mdp.Name
        member _.ObservationSpace = Discrete mdp.States
        member _.ActionSpace = Discrete mdp.Actions

        member _.Reset key = draw mdp.States started startOf (Key.uniform key)

        member _.Step(key, action, state) =
            let branches = mdp.Branches(state, int action[0]).ToArray()
            let u = Key.uniform (Key.named "next" key)
            let next = branches[draw branches.Length 1.0 (fun i -> branches[i].Probability) u]
            let ending = if mdp.IsTerminal next.Next then End.Terminated else beyond (Key.named "end" key)

            { State = next.Next
              Reward = next.Reward
              Terminated = (ending = End.Terminated)
              Truncated = (ending = End.Truncated) }

        member _.Observe(state, observation) = observation[0] <- float32 state }

/// The process as a task to be trained on: rewards are discounted by whoever learns, with the γ of their configuration. It starts in states that
/// are not terminal, so where μ knows such, returns are those of the process over 1 − μ(terminal). Give it a time limit where it may go on for
/// ever.
let ofMdp mdp = playing (fun _ -> End.Continues) mdp

/// With the probability 1 − γ.
let private atEnd (mdp: FiniteMdp) ending key = if Key.uniform key < mdp.Gamma then End.Continues else ending

/// The process that ends after each step with the probability 1 − γ. So a state is met as often as ρ says, and the sum of the rewards, not
/// discounted, has the expectation that the discounted one has in the process itself.
let discounted mdp = playing (atEnd mdp End.Terminated) mdp

/// The process that is watched for a while: each step is the last one with the probability 1 − γ, but what would have followed keeps its
/// value, as behind any time limit. States are met as often as ρ says.
let watched mdp = playing (atEnd mdp End.Truncated) mdp

/// A state drawn from the discounted visitation of a policy: with the probability ρ(s) / Σ ρ.
let visited (values: Values) key =
    let total = Seq.sum values.Visitation

    if total = 0.0 then
        invalidArg (nameof values) "no state is ever visited"

    draw values.Visitation.Length total (fun state -> values.Visitation[state]) (Key.uniform key)
