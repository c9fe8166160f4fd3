/// Finite processes as environments: the observation is the number of the state, as is the action's.
module FunTrpo.Exact.Simulation

open System
open FunTrpo

/// The index that a uniform number u falls to, with these weights; where rounding leaves u beyond all of them, the last possible.
let private draw count (weight: int -> float) u =
    let mutable chosen = -1
    let mutable remaining = u * Seq.sum (Seq.init count weight)
    let mutable i = 0

    while i < count && (chosen < 0 || remaining >= 0.0) do
        let w = weight i

        if w > 0.0 then
            chosen <- i
            remaining <- remaining - w

        i <- i + 1

    if chosen < 0 then
        invalidArg (nameof weight) "there is nothing to draw: every weight is 0"

    chosen

/// Plays the process; `beyond` says how a step that does not lead to a terminal state ends, given the key for that.
let private playing (beyond: Key -> End) (mdp: FiniteMdp) =
    { new Environment<int> with
        member _.Id = mdp.Name
        member _.ObservationSpace = Discrete mdp.States
        member _.ActionSpace = Discrete mdp.Actions

        member _.Reset key =
            let weight state = if mdp.IsTerminal state then 0.0 else mdp.Start[state]
            draw mdp.States weight (Key.uniform key)

        member _.Step(key, action, state) =
            let branches = mdp.Branches(state, int action[0]).ToArray()
            let probability i = branches[i].Probability
            let next = branches[draw branches.Length probability (Key.uniform (Key.named "next" key))]
            let ending = if mdp.IsTerminal next.Next then End.Terminated else beyond (Key.named "end" key)

            { State = next.Next
              Reward = next.Reward
              Terminated = (ending = End.Terminated)
              Truncated = (ending = End.Truncated) }

        member _.Observe(state, observation) = observation[0] <- float32 state }

/// The process as a task to be trained on: rewards are discounted by whoever learns. It starts in states that are not terminal. Give it
/// a time limit where it may go on for ever.
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
    draw values.Visitation.Length (fun state -> values.Visitation[state]) (Key.uniform key)
