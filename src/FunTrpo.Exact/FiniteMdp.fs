namespace FunTrpo.Exact

open System
open System.Collections.Immutable
open System.Runtime.InteropServices
open FunTrpo

/// One possible transition of an action: the next state, its probability and the reward.
[<Struct>]
type Branch = { Next: int; Probability: float; Reward: float }

/// A finite Markov decision process: P(s′|s, a), r(s, a), the start distribution μ, and γ. Nothing follows a terminal state: its value
/// is 0, and maxima over states leave it out.
[<NoComparison; NoEquality>]
type FiniteMdp =
    private
        {
            Id: string
            Discount: float
            Count: int
            ActionCount: int
            StartDistribution: ImmutableArray<float>
            Terminal: ImmutableArray<bool>
            /// r(s, a), the expected reward over the next states.
            ExpectedRewards: Table
            /// The index of the first branch of each action: those of state s and action a go from `First[s·actions + a]` to the next
            /// index, exclusive.
            First: int[]
            All: Branch[]
        }

    member this.Name = this.Id
    member this.Gamma = this.Discount
    member this.States = this.Count
    member this.Actions = this.ActionCount
    member this.Start = this.StartDistribution
    member this.IsTerminal state = this.Terminal[state]

    /// r(s, a), the expected reward over the next states: one row a state, one column an action.
    member this.Rewards = this.ExpectedRewards

    /// The possible transitions of an action in a state. A terminal state has none.
    member this.Branches(state: int, action: int) =
        let i = state * this.ActionCount + action
        ReadOnlySpan(this.All, this.First[i], this.First[i + 1] - this.First[i])

    override this.ToString() = $"{this.Id} ({this.Count} states, {this.ActionCount} actions, γ = {this.Discount})"

module FiniteMdp =

    /// The allowed deviation of a sum of probabilities from 1, for tables with rounded numbers.
    let private tolerance = 1e-9

    /// The largest reward. The length of steps uses squares of returns, and with larger rewards these come near the limit of float64.
    let private largestReward = 1e100

    let private faultOfRow states (branches: Branch[]) =
        let sum = branches |> Array.sumBy _.Probability

        branches
        |> Array.tryPick (fun branch ->
            if branch.Next < 0 || branch.Next >= states then
                Some $"it leads to state {branch.Next}, of {states}"
            elif Double.IsNaN branch.Probability || branch.Probability < 0.0 then
                Some $"a probability is {branch.Probability}"
            elif Double.IsNaN branch.Reward || abs branch.Reward > largestReward then
                Some $"a reward is {branch.Reward}, which is not within ±{largestReward}"
            else
                None)
        |> Option.orElse (if abs (sum - 1.0) <= tolerance then None else Some $"its probabilities sum to {sum}")

    /// The states from which some policy never reaches a terminal state: the largest set in which each state has an action that stays
    /// in the set.
    let private canGoOnForever mdp =
        let inside = Array.init mdp.Count (fun state -> not mdp.Terminal[state])

        let staysInside state action =
            let mutable all = true

            for branch in mdp.Branches(state, action) do
                all <- all && (branch.Probability = 0.0 || inside[branch.Next])

            all

        let mutable isChanging = true

        while isChanging do
            isChanging <- false

            for state in 0 .. mdp.Count - 1 do
                if inside[state] && not (Seq.exists (staysInside state) [ 0 .. mdp.ActionCount - 1 ]) then
                    inside[state] <- false
                    isChanging <- true

        inside

    let private faultOfSizes name states actions gamma (start: float[]) (terminal: bool[]) =
        let refuse why = Some(InvalidTable(name, why))

        if states < 1 || actions < 1 then
            refuse $"it has {states} states and {actions} actions"
        elif not (gamma >= 0.0 && gamma <= 1.0) then
            refuse $"γ = {gamma} is not in [0, 1]"
        elif start.Length <> states || terminal.Length <> states then
            refuse $"start and terminal states have {start.Length} and {terminal.Length} numbers, for {states} states"
        else
            match Array.tryFindIndex (fun p -> Double.IsNaN p || p < 0.0) start with
            | Some state -> refuse $"the start probability of state {state} is {start[state]}"
            | None ->
                let sum = Array.sum start
                if abs (sum - 1.0) > tolerance then refuse $"the start probabilities sum to {sum}" else None

    let private build name gamma actions (start: float[]) (terminal: bool[]) (rows: Branch[][]) =
        // Probabilities that were rounded to nine digits are normalised to sum to 1.
        let normalised =
            rows
            |> Array.map (fun row ->
                let sum = row |> Array.sumBy _.Probability
                row |> Array.map (fun branch -> { branch with Probability = branch.Probability / sum }))

        let states = start.Length
        let sum = Array.sum start

        { Id = name
          Discount = gamma
          Count = states
          ActionCount = actions
          StartDistribution = PerState.adopt (start |> Array.map (fun p -> p / sum))
          Terminal = ImmutableArray.CreateRange terminal
          ExpectedRewards =
            Table.init states actions (fun state action ->
                normalised[state * actions + action]
                |> Array.sumBy (fun branch -> branch.Probability * branch.Reward))
          First = Array.scan (fun first (row: Branch[]) -> first + row.Length) 0 normalised
          All = Array.concat normalised }

    /// Returns the process with these tables. `branches state action` returns the possible transitions; it is not called for terminal
    /// states. `InvalidTable`, with the state and the action, if probabilities are negative or do not sum to 1, if rewards are not
    /// within ±10¹⁰⁰, or if γ = 1 and some policy never reaches a terminal state.
    let create name gamma actions (start: float[]) (terminal: bool[]) (branches: int -> int -> Branch list) =
        let states = start.Length

        match faultOfSizes name states actions gamma start terminal with
        | Some fault -> Error fault
        | None ->
            let rows =
                Array.init (states * actions) (fun i ->
                    if terminal[i / actions] then [||] else Array.ofList (branches (i / actions) (i % actions)))

            let faultOf i =
                if terminal[i / actions] then
                    None
                else
                    faultOfRow states rows[i]
                    |> Option.map (fun why -> InvalidTable(name, $"state {i / actions}, action {i % actions}: {why}"))

            match Seq.tryPick faultOf (seq { 0 .. rows.Length - 1 }) with
            | Some fault -> Error fault
            | None ->
                let mdp = build name gamma actions start terminal rows

                let endless = if gamma = 1.0 then Array.tryFindIndex id (canGoOnForever mdp) else None

                match endless with
                | Some state ->
                    Error(InvalidTable(name, $"γ = 1, and from state {state} some policy never comes to an end"))
                | None -> Ok mdp

    /// Returns the same process with another discount, or `InvalidTable` as `create` does.
    let withGamma gamma (mdp: FiniteMdp) =
        create
            mdp.Id
            gamma
            mdp.ActionCount
            (mdp.Start.AsSpan().ToArray())
            (mdp.Terminal.AsSpan().ToArray())
            (fun state action -> List.ofArray (mdp.Branches(state, action).ToArray()))
