module FunTrpo.Tests.ExactMdpTests

open System
open Expecto
open FsCheck.FSharp
open MathNet.Numerics.LinearAlgebra
open FunTrpo
open FunTrpo.Exact
open FunTrpo.Tests.Generators
open FunTrpo.Tests.ExactCases

// ---- Building ----

/// A table that is right, and what is to be made wrong in it.
let private rightRow =
    [ { Next = 0; Probability = 0.25; Reward = 1.0 }; { Next = 1; Probability = 0.75; Reward = -1.0 } ]

let private damages =
    [ "a sum below 1", [ { rightRow[0] with Probability = 0.2499 }; rightRow[1] ]
      "a sum above 1", [ rightRow[0]; { rightRow[1] with Probability = 0.7500001 } ]
      "nothing that follows", []
      "a negative probability",
      [ { rightRow[0] with Probability = -0.25 }; rightRow[1]; { rightRow[1] with Probability = 0.5 } ]
      "a probability that is NaN", [ { rightRow[0] with Probability = nan }; rightRow[1] ]
      "an infinite probability", [ { rightRow[0] with Probability = infinity }; rightRow[1] ]
      "a state before the first", [ { rightRow[0] with Next = -1 }; rightRow[1] ]
      "a state after the last", [ rightRow[0]; { rightRow[1] with Next = 1_000_000 } ]
      "a reward that is NaN", [ { rightRow[0] with Reward = nan }; rightRow[1] ]
      "an infinite reward", [ rightRow[0]; { rightRow[1] with Reward = -infinity } ]
      "a reward whose return would overflow", [ rightRow[0]; { rightRow[1] with Reward = 1e308 } ] ]

let private table gamma start terminal branches = FiniteMdp.create "table" gamma 2 start terminal (fun _ _ -> branches)

let private isRefused result =
    match result with
    | Error(InvalidTable("table", _)) -> true
    | _ -> false

/// A process of few states in which an action of every row leads to one state or two; some end.
let private tangles =
    gen {
        let! states = Gen.choose (1, 4)
        let! terminal = Gen.arrayOfLength states (Gen.frequency [ 2, Gen.constant false; 1, Gen.constant true ])
        let! first = Gen.arrayOfLength (2 * states) (Gen.choose (0, states - 1))
        let! second = Gen.arrayOfLength (2 * states) (Gen.choose (0, states - 1))
        let! chance = Gen.elements [ 0.0; 0.5 ]

        return
            terminal,
            fun state action ->
                [ { Next = first[2 * state + action]; Probability = 1.0 - chance; Reward = 1.0 }
                  { Next = second[2 * state + action]; Probability = chance; Reward = 0.0 } ]
    }

/// Whether each deterministic policy of two actions ends from everywhere: a terminal state can be reached.
let private alwaysEnds (terminal: bool[]) (branches: int -> int -> Branch list) =
    let states = terminal.Length

    let ends policy =
        let step (reaching: bool[]) =
            Array.init states (fun state ->
                reaching[state]
                || branches state ((policy >>> state) &&& 1)
                   |> List.exists (fun branch -> branch.Probability > 0.0 && reaching[branch.Next]))

        Seq.init states id |> Seq.fold (fun reaching _ -> step reaching) terminal |> Array.forall id

    Seq.forall ends (seq { 0 .. (1 <<< states) - 1 })

let private creating =
    testList
        "tables"
        [ property
              "a wrong row is refused with its state and its action"
              (Gen.zip (Gen.elements damages) (Gen.zip (Gen.choose (0, 3)) (Gen.choose (0, 1))))
              (fun ((what, row), (wrongState, wrongAction)) ->
                  let create terminal =
                      FiniteMdp.create
                          "table"
                          0.9
                          2
                          (corner 4 0)
                          (Array.init 4 (fun state -> state = wrongState && terminal))
                          (fun state action -> if (state, action) = (wrongState, wrongAction) then row else rightRow)

                  match create false with
                  | Error(InvalidTable("table", why)) ->
                      Expect.stringContains why $"state {wrongState}, action {wrongAction}:" what
                  | _ -> failtest what

                  Expect.isOk (create true) "but what follows a terminal state is not looked at")

          testCase "a wrong γ, start or size is refused"
          <| fun () ->
              let half = [| 0.5; 0.5 |]
              let on = [| false; false |]
              Expect.isOk (table 0.9 half on rightRow) "the right one"

              for gamma in [ -0.1; 1.1; nan; infinity ] do
                  Expect.isTrue (table gamma half on rightRow |> isRefused) $"γ = {gamma}"

              for start in [ [| 0.5; 0.4 |]; [| 1.5; -0.5 |]; [| nan; 1.0 |]; [| infinity; 0.0 |]; [| 1.0 |]; [||] ] do
                  Expect.isTrue (table 0.9 start on rightRow |> isRefused) $"the start {List.ofArray start}"

              Expect.isTrue (table 0.9 half [| false |] rightRow |> isRefused) "one terminal state too few"

              let withoutActions = FiniteMdp.create "table" 0.9 0 half on (fun _ _ -> rightRow)
              Expect.isTrue (isRefused withoutActions) "no actions"

          property "probabilities of nine digits are made to sum to 1" key (fun key ->
              let rounded (x: float) = Math.Round(x, 10)
              let start = Key.named "start" key |> simplex 3 |> Array.map rounded

              let branches state action =
                  let p = Key.at (int64 (2 * state + action)) key |> simplex 3 |> Array.map rounded
                  [ for next in 0..2 -> { Next = next; Probability = p[next]; Reward = float next } ]

              let mdp = FiniteMdp.create "table" 0.9 2 start (Array.create 3 false) branches |> expectOk
              expectClose 1e-15 (Seq.sum mdp.Start) 1.0 "start"

              for state in 0..2 do
                  for action in 0..1 do
                      let row = mdp.Branches(state, action).ToArray()
                      expectClose 1e-15 (row |> Array.sumBy _.Probability) 1.0 "row"

                      expectClose
                          1e-14
                          mdp.Rewards[state, action]
                          (row |> Array.sumBy (fun branch -> branch.Probability * float branch.Next))
                          "r(s, a)")

          propertyOf
              1000
              "γ = 1 is refused exactly where some policy never comes to an end"
              tangles
              (fun (terminal, branches) ->
                  let states = terminal.Length
                  let start = Array.create states (1.0 / float states)
                  let created = FiniteMdp.create "table" 1.0 2 start terminal branches
                  Expect.equal (Result.isOk created) (alwaysEnds terminal branches) "as counted policy by policy"
                  Expect.isOk (FiniteMdp.create "table" 0.999 2 start terminal branches) "any γ below 1 is allowed")

          property
              "another discount changes nothing else, and back again nothing at all"
              (cases 0.99)
              (fun { Mdp = mdp; Values = values } ->
                  let other = FiniteMdp.withGamma 0.25 mdp |> expectOk
                  Expect.equal other.Gamma 0.25 "γ"
                  Expect.equal (other.Name, other.States, other.Actions) (mdp.Name, mdp.States, mdp.Actions) "sizes"
                  expectSame 1e-15 (numbersOf other.Rewards) (numbersOf mdp.Rewards) "rewards"
                  let back = FiniteMdp.withGamma mdp.Gamma other |> expectOk
                  // Probabilities may be rounded once more.
                  let again = Values.ofPolicy back values.Policy
                  expectClose (values.EtaError + again.EtaError) again.Eta values.Eta "η")

          property
              "a Garnet's actions lead to different states, with probabilities that sum to 1"
              (Gen.zip (Gen.zip (Gen.choose (1, 12)) (Gen.choose (1, 4))) key)
              (fun ((states, actions), key) ->
                  let branching = 1 + int (Key.uniform (Key.named "b" key) * float states)
                  let mdp = Builders.garnet 0.95 states actions branching key

                  for state in 0 .. states - 1 do
                      for action in 0 .. actions - 1 do
                          let row = mdp.Branches(state, action).ToArray()
                          let next = row |> Array.map _.Next
                          Expect.equal (Array.distinct next).Length branching "successors"
                          expectClose 1e-15 (row |> Array.sumBy _.Probability) 1.0 "sum"
                          Expect.all row (fun branch -> branch.Probability >= 0.0) "none is negative"
                          let r = mdp.Rewards[state, action]
                          Expect.isTrue (r >= 0.0 && r <= 1.0) "reward")

          testCase "what cannot be built is refused"
          <| fun () ->
              let key = Key.ofSeed 1L
              expectRefused "a Garnet without successors" (fun () -> Builders.garnet 0.9 3 2 0 key |> ignore)
              expectRefused "more successors than states" (fun () -> Builders.garnet 0.9 3 2 4 key |> ignore)
              expectRefused "a chain without states" (fun () -> Builders.chain 0.9 0.9 [||] |> ignore)
              expectRefused "a chain that succeeds too often" (fun () -> Builders.chain 0.9 1.1 [| 1.0 |] |> ignore)
              expectRefused "a grid without cells" (fun () -> Builders.grid "none" 0.9 0.0 [] |> ignore)
              expectRefused "a grid of rows without cells" (fun () -> Builders.grid "none" 0.9 0.0 [ "" ] |> ignore)
              expectRefused "a grid without a start" (fun () -> Builders.grid "none" 0.9 0.0 [ "FFG" ] |> ignore)

              expectRefused "a grid of unequal rows" (fun () -> Builders.grid "none" 0.9 0.0 [ "SF"; "FFG" ] |> ignore)

              expectRefused "a grid that slips too often" (fun () -> Builders.grid "none" 0.9 0.6 [ "SG" ] |> ignore)

          testCase "in a grid nobody walks through walls or beyond the edge"
          <| fun () ->
              let mdp = Builders.grid "walled" 0.9 0.0 [ "S#"; ".G" ]

              let next state action =
                  mdp.Branches(state, action).ToArray() |> Array.filter (fun branch -> branch.Probability > 0.0)

              let expected = [ 0, [ 0; 2; 0; 0 ]; 2, [ 2; 2; 3; 0 ] ] // left, down, right, up

              for state, targets in expected do
                  for action in 0..3 do
                      let only = next state action |> Array.exactlyOne

                      Expect.equal
                          (only.Next, only.Probability)
                          (targets[action], 1.0)
                          $"state {state}, action {action}"

                      Expect.equal only.Reward (if only.Next = 3 then 1.0 else 0.0) "the goal is worth 1"

              Expect.equal [ for state in 0..3 -> mdp.IsTerminal state ] [ false; true; false; true ] "terminal"
              Expect.equal (List.ofSeq mdp.Start) [ 1.0; 0.0; 0.0; 0.0 ] "start"

          testCase "who slips goes to either side, as often"
          <| fun () ->
              let mdp = Builders.grid "icy" 0.9 0.2 [ "..."; ".S."; "..." ]
              let sides = [ [ 1; 7 ]; [ 3; 5 ]; [ 7; 1 ]; [ 5; 3 ] ]
              let ahead = [ 3; 7; 5; 1 ]

              for action in 0..3 do
                  let chance next =
                      mdp.Branches(4, action).ToArray()
                      |> Array.sumBy (fun branch -> if branch.Next = next then branch.Probability else 0.0)

                  expectClose 1e-15 (chance ahead[action]) 0.6 "ahead"

                  for side in sides[action] do
                      expectClose 1e-15 (chance side) 0.2 "aside" ]

// ---- Policies ----

/// What makes a row of two actions none of probabilities.
let private wrongRows =
    [ "numbers that sum to 2", [| 1.0; 1.0 |]
      "numbers that sum to a little less than 1", [| 0.5; 0.4999 |]
      "zeros", [| 0.0; 0.0 |]
      "a negative number", [| 1.5; -0.5 |]
      "NaN", [| nan; 1.0 |]
      "an infinite number", [| infinity; 0.0 |] ]

let private coin = table 0.9 [| 0.5; 0.5 |] [| false; false |] rightRow |> expectOk

let private isInvalid result =
    match result with
    | Error(InvalidTable _) -> true
    | _ -> false

let private writingPolicies =
    testList
        "policies"
        [ property
              "a row that is none of probabilities is refused with its state"
              (Gen.zip (Gen.elements wrongRows) (Gen.choose (0, 1)))
              (fun ((what, row), wrong) ->
                  let written = Table.initRows 2 2 (fun state -> if state = wrong then row else [| 0.25; 0.75 |])

                  match TabularPolicy.create coin written with
                  | Error(InvalidTable(_, why)) -> Expect.stringContains why $"state {wrong}" what
                  | _ -> failtest what)

          test "a negative number is refused with its action, and a table of another shape with both" {
              let why written = TabularPolicy.create coin written |> Result.mapError string

              match why (Table.initRows 2 2 (fun _ -> [| 1.5; -0.5 |])) with
              | Error message -> Expect.stringContains message "state 0, action 1: a probability is -0.5" "where"
              | Ok _ -> failtest "a negative number"

              match why (Table.init 3 2 (fun _ _ -> 0.5)) with
              | Error message -> Expect.stringContains message "3 × 2 probabilities, for 2 states and 2 actions" "shape"
              | Ok _ -> failtest "a table of three states"

              Expect.isTrue (isInvalid (TabularPolicy.create coin (Table.init 2 1 (fun _ _ -> 1.0)))) "one action"
          }

          property "rows of nine digits are made to sum to 1, and the others are left alone" (processes 0.9) (fun mdp ->
              let written = stochastic mdp (Key.ofSeed 1L)
              let again = TabularPolicy.create mdp written.Table |> expectOk
              expectSame 1e-15 (numbersOf again.Table) (numbersOf written.Table) "π"
              let rounded = written.Table |> Table.map (fun p -> Math.Round(p, 10))
              let ofRounded = TabularPolicy.create mdp rounded |> expectOk

              for state in 0 .. mdp.States - 1 do
                  expectClose 1e-15 (Array.sum (TabularPolicy.rowArray ofRounded state)) 1.0 "Σ π")

          test "a policy of another process has no values here, and no divergence" {
              let other = Builders.chain4 0.9
              let foreign = TabularPolicy.uniform other
              let own = TabularPolicy.uniform coin
              let values = Values.ofPolicy coin own
              expectRefused "values" (fun () -> Values.ofPolicy coin foreign |> ignore)
              expectRefused "L" (fun () -> Values.localApproximation values foreign |> ignore)
              expectRefused "KL" (fun () -> Divergence.kl own foreign |> ignore)
              expectRefused "TV" (fun () -> Divergence.tv own foreign |> ignore)
              expectRefused "a mixture" (fun () -> TabularPolicy.mix 0.5 own foreign |> ignore)
              expectRefused "a tilt" (fun () -> TabularPolicy.tilt foreign.Table own |> ignore)
          }

          test "numbers that no policy follows from are refused" {
              let own = TabularPolicy.uniform coin
              let rows row = Table.initRows 2 2 (fun _ -> row)

              for row in [ [| nan; 1.0 |]; [| infinity; 1.0 |]; [| -infinity; -infinity |] ] do
                  expectRefused $"logits {List.ofArray row}" (fun () -> TabularPolicy.ofLogits (rows row) |> ignore)
                  expectRefused $"a tilt by {List.ofArray row}" (fun () -> TabularPolicy.tilt (rows row) own |> ignore)

              expectRefused "NaN to be greedy on" (fun () -> TabularPolicy.greedy (rows [| nan; 1.0 |]) |> ignore)

              for number in [ nan; infinity ] do
                  expectRefused $"a length of {number}" (fun () -> TabularPolicy.tiltBy number own.Table own |> ignore)

              for alpha in [ -0.1; 1.1; nan ] do
                  expectRefused $"α = {alpha}" (fun () -> TabularPolicy.mix alpha own own |> ignore)

              let excluding = TabularPolicy.ofLogits (rows [| -infinity; 3.0 |])
              Expect.equal (TabularPolicy.rowArray excluding 0) [| 0.0; 1.0 |] "a logit of −∞ excludes an action"
          }

          property
              "whatever they are made from, rows sum to 1, and the longest tilt goes to the best action that is possible"
              (Gen.zip (cases 0.9) key)
              (fun ({ Mdp = mdp; Values = values }, key) ->
                  let isPolicy what (policy: TabularPolicy) =
                      for state in 0 .. mdp.States - 1 do
                          let row = TabularPolicy.rowArray policy state
                          Expect.all row (fun p -> p >= 0.0) what
                          expectClose 1e-14 (Array.sum row) 1.0 what

                  for length in [ 1e-308; 1.0; 1e3; 1e308; -1e308 ] do
                      isPolicy $"a tilt by {length}" (TabularPolicy.tiltBy length values.Advantages values.Policy)

                  isPolicy "a mixture" (TabularPolicy.mix 0.3 values.Policy (withZeros mdp key))
                  isPolicy "the best" (TabularPolicy.greedy values.Q)
                  let far = TabularPolicy.tiltBy 1e308 values.Advantages values.Policy

                  for state in 0 .. mdp.States - 1 do
                      let row, advantages = TabularPolicy.rowArray far state, Table.rowArray values.Advantages state

                      let best =
                          Seq.max (
                              seq {
                                  for action in 0 .. mdp.Actions - 1 do
                                      if values.Policy[state, action] > 0.0 then
                                          advantages[action]
                              }
                          )

                      for action in 0 .. mdp.Actions - 1 do
                          if advantages[action] < best - 1e-300 then
                              Expect.equal row[action] 0.0 "what is worse is left") ]

// ---- Reference values ----

/// Name, process, and of its values those of ANCHORS with the number of digits given: η optimal, η uniform, ε, C.
let private references =
    [ "FrozenLake 4×4", Builders.frozenLake4 0.9 true, (0.06889, 5), (0.004477, 6), (0.20284, 5), (73.0, 1)
      "FrozenLake 4×4", Builders.frozenLake4 0.99 true, (0.54203, 5), (0.012356, 6), (0.18881, 5), (7477.0, 0)
      "FrozenLake 8×8", Builders.frozenLake8 0.9 true, (0.00641, 5), (3.1e-5, 6), (0.21463, 5), (77.3, 1)
      "FrozenLake 8×8", Builders.frozenLake8 0.99 true, (0.41464, 5), (0.0011, 4), (0.20641, 5), (8174.0, 0)
      "Chain-4", Builders.chain4 0.9, (8.6, 5), (5.0, 5), (0.36, 4), (129.6, 1)
      "Chain-50", Builders.chain50 0.9, (2.35236, 5), (0.4, 5), (0.5015, 4), (180.5, 1) ]

let private reproduces (name, mdp: FiniteMdp, optimal, uniform, epsilon, c) =
    testCase $"{name}, γ = {mdp.Gamma}"
    <| fun () ->
        let values = Values.ofPolicy mdp (TabularPolicy.uniform mdp)
        let found = Bounds.epsilon mdp values

        let agree what (actual: float) (expected, digits) =
            expectClose (0.5000001 * 10.0 ** float -digits) actual expected what

        agree "η optimal" (Values.optimal mdp).Eta optimal
        agree "η uniform" values.Eta uniform
        agree "ε" found epsilon
        agree "C" (Bounds.penalty mdp found) c

let private dry =
    testCase "where nobody slips, the goal is as far as its steps"
    <| fun () ->
        for gamma in [ 0.5; 0.9; 0.99 ] do
            let eta mdp = (Values.optimal mdp).Eta
            expectClose 1e-14 (eta (Builders.frozenLake4 gamma false)) (gamma ** 5.0) "six steps"
            expectClose 1e-14 (eta (Builders.frozenLake8 gamma false)) (gamma ** 13.0) "fourteen steps"

let private reproducing =
    testList "reference values, to every digit given" (dry :: List.map reproduces references)

// ---- Values ----

/// States in a row, each action of which leads somewhere further on; the last state ends. γ = 1.
let private downhill states actions key =
    FiniteMdp.create
        "downhill"
        1.0
        actions
        (simplex states (Key.named "start" key))
        (Array.init states (fun state -> state = states - 1))
        (fun state action ->
            let key = Key.at (int64 (state * actions + action)) key
            let p = sparseSimplex (states - 1 - state) (Key.named "p" key)
            let rewards = Key.normals p.Length (Key.named "r" key)
            [ for i in 0 .. p.Length - 1 -> { Next = state + 1 + i; Probability = p[i]; Reward = rewards[i] } ])
    |> expectOk

let private downhills =
    gen {
        let! states = Gen.choose (2, 9)
        let! actions = Gen.choose (1, 4)
        let! key = key
        let mdp = downhill states actions key
        let! policy = policies mdp
        return mdp, policy
    }

/// The largest residual of Bellman's equation, and of the equation of ρ.
let private residuals (mdp: FiniteMdp) (values: Values) =
    let policy = values.Policy

    let incoming =
        Array.init mdp.States (fun state -> if mdp.IsTerminal state then 0.0 else mdp.Start[state])

    let mutable worst = 0.0

    for state in going mdp do
        let mutable v = 0.0

        for action in 0 .. mdp.Actions - 1 do
            v <-
                v
                + policy[state, action]
                  * (mdp.Rewards[state, action] + mdp.Gamma * expectation mdp state action (fun next -> values.V[next]))

            for branch in mdp.Branches(state, action).ToArray() do
                if not (mdp.IsTerminal branch.Next) then
                    incoming[branch.Next] <-
                        incoming[branch.Next]
                        + mdp.Gamma * values.Visitation[state] * policy[state, action] * branch.Probability

        worst <- max worst (abs (v - values.V[state]))

    worst, Seq.max (Seq.map2 (fun x y -> abs (x - y)) incoming values.Visitation)

/// Systems that are solved by sweeps: sparse, of positive weights whose rows sum to less than 1.
let private systems =
    gen {
        let! count = Gen.choose (LinearSystem.alwaysEliminated + 1, LinearSystem.alwaysEliminated + 120)
        let! perRow = Gen.choose (1, 6)
        let! most = Gen.elements [ 0.5; 0.9; 0.99 ]
        let! key = key
        let columns = Key.uniforms (count * perRow) (Key.named "columns" key)
        let weights = Key.uniforms (count * perRow) (Key.named "weights" key)

        let entries =
            [| for i in 0 .. count * perRow - 1 ->
                   struct (i / perRow, int (columns[i] * float count), most * weights[i] / float perRow) |]

        return count, entries, Key.normals count (Key.named "b" key)
    }

let private valuing =
    testList
        "values"
        [ propertyOf
              200
              "V, Q, A and η are those of value iteration"
              (cases 0.99)
              (fun { Mdp = mdp; Values = values } ->
                  let v = iteratedV mdp values.Policy
                  let tolerance = 1e-13 * (1.0 + size mdp)
                  expectSame tolerance values.V v "V"
                  expectClose tolerance values.Eta (Seq.sum (Seq.map2 (*) mdp.Start v)) "η"

                  for state in 0 .. mdp.States - 1 do
                      for action in 0 .. mdp.Actions - 1 do
                          let q =
                              mdp.Rewards[state, action]
                              + mdp.Gamma * expectation mdp state action (fun next -> v[next])

                          let advantage = if mdp.IsTerminal state then 0.0 else q - v[state]
                          expectClose tolerance values.Q[state, action] q "Q"
                          expectClose tolerance values.Advantages[state, action] advantage "A")

          propertyOf
              200
              "ρ is where the start distribution goes, and η what it collects there"
              (cases 0.99)
              (fun { Mdp = mdp; Values = values } ->
                  expectSame (1e-13 / (1.0 - mdp.Gamma)) values.Visitation (propagated mdp values.Policy) "ρ"

                  let collected =
                      going mdp
                      |> List.sumBy (fun state ->
                          values.Visitation[state] * Table.rowDot values.Policy.Table mdp.Rewards state)

                  expectClose (1e-13 * (1.0 + size mdp)) collected values.Eta "Σ ρ r")

          property "a policy has no advantage over itself" (cases 0.99) (fun { Mdp = mdp; Values = values } ->
              for state in 0 .. mdp.States - 1 do
                  expectClose
                      (1e-13 * (1.0 + size mdp))
                      (Table.rowDot values.Policy.Table values.Advantages state)
                      0.0
                      $"Σ π A in state {state}"

              expectClose
                  (1e-13 * (1.0 + size mdp) / (1.0 - mdp.Gamma))
                  (Values.localApproximation values values.Policy)
                  values.Eta
                  "L(π)")

          propertyOf
              200
              "η of a policy follows from the advantages of any other"
              (pairs 0.99)
              (fun ({ Mdp = mdp; Values = values }, other) ->
                  let ofOther = Values.ofPolicy mdp other
                  let tolerance = 1e-13 * (1.0 + size mdp) / (1.0 - mdp.Gamma)
                  expectClose tolerance (Values.byIdentity values ofOther) ofOther.Eta "η(π̃)"
                  // and the other way round, with ρ of the propagated start
                  let rho = propagated mdp values.Policy

                  let gain =
                      going mdp |> List.sumBy (fun s -> rho[s] * Table.rowDot values.Policy.Table ofOther.Advantages s)

                  expectClose tolerance (ofOther.Eta + gain) values.Eta "η(π)")

          property "L has the slope of η in every direction" (pairs 0.9) (fun ({ Mdp = mdp; Values = values }, other) ->
              // η is a rational function of the step: its slope at 0 by Richardson's extrapolation of forward differences.
              let eta h = (Values.ofPolicy mdp (TabularPolicy.mix h values.Policy other)).Eta
              let difference h = (eta h - values.Eta) / h
              let h = 1e-3
              let d1, d2, d4 = difference h, difference (h / 2.0), difference (h / 4.0)
              let slope = (8.0 * d4 - 6.0 * d2 + d1) / 3.0
              let ofL h = Values.localApproximation values (TabularPolicy.mix h values.Policy other)
              let size = (1.0 + size mdp) / (1.0 - mdp.Gamma)
              expectClose (1e-6 * size) (ofL 1.0 - values.Eta) slope "slope"
              expectClose (1e-12 * size) (ofL 0.25 - values.Eta) (0.25 * (ofL 1.0 - values.Eta)) "L is linear")

          property "γ = 1: values of processes that end, from the last state back" downhills (fun (mdp, policy) ->
              let values = Values.ofPolicy mdp policy
              let v = Array.zeroCreate mdp.States
              let rho = Array.init mdp.States (fun state -> if mdp.IsTerminal state then 0.0 else mdp.Start[state])

              for state in mdp.States - 2 .. -1 .. 0 do
                  for action in 0 .. mdp.Actions - 1 do
                      for branch in mdp.Branches(state, action).ToArray() do
                          v[state] <-
                              v[state] + policy[state, action] * branch.Probability * (branch.Reward + v[branch.Next])

              for state in 0 .. mdp.States - 2 do
                  for action in 0 .. mdp.Actions - 1 do
                      for branch in mdp.Branches(state, action).ToArray() do
                          if not (mdp.IsTerminal branch.Next) then
                              rho[branch.Next] <-
                                  rho[branch.Next] + rho[state] * policy[state, action] * branch.Probability

              expectSame 1e-12 values.V v "V"
              expectSame 1e-12 values.Visitation rho "ρ")

          property
              "optimal values satisfy Bellman's equation, and no policy is worth more"
              (cases 0.99)
              (fun { Mdp = mdp; Values = values } ->
                  let optimal = Values.optimal mdp
                  let tolerance = 1e-11 * (1.0 + size mdp)

                  for state in going mdp do
                      expectClose tolerance (Seq.max (Table.rowArray optimal.Q state)) optimal.V[state] "max Q = V"
                      Expect.isTrue (optimal.V[state] >= values.V[state] - tolerance) "V* ≥ V")

          property
              "optimal policies do not see the unit of the reward"
              (Gen.zip (processes 0.99) (Gen.choose (-12, 12)))
              (fun (mdp, exponent) ->
                  let unit = 10.0 ** float exponent

                  let scaled = inUnit unit mdp
                  expectClose (1e-11 * size mdp) ((Values.optimal scaled).Eta / unit) (Values.optimal mdp).Eta "η*") ]

/// Processes with any γ up to 1 − 10⁻¹², and a policy.
let private patient =
    gen {
        let! mdp = processes 0.9
        let! tenths = Gen.choose (0, 120)
        let mdp = FiniteMdp.withGamma (1.0 - 10.0 ** (-float tenths / 10.0)) mdp |> expectOk
        let! policy = policies mdp
        return { Mdp = mdp; Values = Values.ofPolicy mdp policy }
    }

let private rounding =
    testList
        "rounding"
        [ propertyOf 300 "η is what it is to 512 places, but for the error that is said" patient (fun case ->
              let { Mdp = mdp; Values = values } = case
              let exact = exactEta mdp values.Policy
              let error = Fixed.ofFloat values.Eta - exact |> Fixed.toFloat |> abs
              Expect.isTrue (error <= values.EtaError + 1e-130) $"{error} ≤ {values.EtaError}"

              // Each state's own error, counted 1/(1−γ) times.
              let most = 1e-13 * (1.0 + size mdp) / (1.0 - mdp.Gamma)
              Expect.isTrue (values.EtaError <= most) $"{values.EtaError} ≤ {most}") ]

/// Dense systems, which sweeps solve as slowly as `most` is near to 1.
let private dense count most key =
    let weights = Key.uniforms (count * count) key

    [| for row in 0 .. count - 1 do
           let sum = Array.sum weights[row * count .. row * count + count - 1]

           for column in 0 .. count - 1 -> struct (row, column, most * weights[row * count + column] / sum) |]

let private large =
    testList
        "many states"
        [ testCase "sweeps that would take longer than elimination are given up for it"
          <| fun () ->
              let count = LinearSystem.alwaysEliminated + 50
              let b = Key.normals count (Key.ofSeed 1L)
              let ones = Array.create count 1.0

              for most, pays in [ 0.1, true; 0.5, true; 0.99, false; 0.999, false; 1.0 - 1e-6, false ] do
                  let entries = dense count most (Key.ofSeed 2L)
                  Expect.equal (LinearSystem.sweep b entries b).IsSome pays $"sweeps pay at {most}"
                  // x = 1 / (1 − most) for b = 1, since the rows sum to `most`.
                  let x = LinearSystem.solve entries ones
                  expectSame (1e-14 / (1.0 - most) ** 2.0) x (Array.create count (1.0 / (1.0 - most))) "x"

              // What is far from dense is swept for as long as it takes.
              let sparse =
                  [| for row in 0 .. count - 1 do
                         struct (row, (row + 1) % count, 0.9)
                         struct (row, (7 * row + 3) % count, 0.099) |]

              Expect.isTrue (LinearSystem.sweep b sparse b).IsSome "few entries are swept"

          propertyOf 20 "sweeps come to where elimination comes" systems (fun (count, entries, b) ->
              let matrix = Matrix<float>.Build.DenseIdentity count

              for struct (row, column, weight) in entries do
                  matrix[row, column] <- matrix[row, column] - weight

              let solve (matrix: Matrix<float>) = matrix.Solve(Vector<float>.Build.DenseOfArray b).ToArray()
              expectSame 1e-11 (LinearSystem.solve entries b) (solve matrix) "x"

              expectSame
                  1e-11
                  (LinearSystem.solve (LinearSystem.transpose entries) b)
                  (solve (matrix.Transpose()))
                  "x of the transpose")

          testCase "10 000 cells of ice"
          <| fun () ->
              let row i = String.init 100 (fun j -> if i % 7 = 3 && j % 5 = 2 then "H" else "F")

              let map =
                  List.init 100 (fun i ->
                      match i with
                      | 0 -> "S" + (row i).Substring 1
                      | 99 -> (row i).Substring 1 + "G"
                      | _ -> row i)

              let mdp = Builders.grid "ice" 0.99 (1.0 / 3.0) map

              let check (values: Values) what =
                  let ofV, ofRho = residuals mdp values
                  expectClose 1e-13 ofV 0.0 $"{what}: residual of V"
                  expectClose 1e-11 ofRho 0.0 $"{what}: residual of ρ"

                  let collected =
                      Seq.init mdp.States (fun state ->
                          values.Visitation[state] * Table.rowDot values.Policy.Table mdp.Rewards state)

                  expectClose 1e-13 (Seq.sum collected) values.Eta $"{what}: η"

              check (Values.ofPolicy mdp (TabularPolicy.uniform mdp)) "uniform"
              let optimal = Values.optimal mdp
              check optimal "optimal"
              expectClose 1e-11 (Seq.max (numbersOf optimal.Advantages)) 0.0 "nothing is better"

          testCase "10 000 states without any order"
          <| fun () ->
              let count = 10_000

              let mdp =
                  FiniteMdp.create "random" 0.95 2 (corner count 0) (Array.create count false) (fun state action ->
                      let key = Key.at (int64 (2 * state + action)) (Key.ofSeed 5L)
                      let p, next = simplex 3 (Key.named "p" key), Key.uniforms 3 (Key.named "next" key)

                      [ for i in 0..2 ->
                            { Next = int (next[i] * float count); Probability = p[i]; Reward = next[i] - 0.5 } ])
                  |> expectOk

              let values = Values.ofPolicy mdp (stochastic mdp (Key.ofSeed 6L))
              let ofV, ofRho = residuals mdp values
              expectClose 1e-13 ofV 0.0 "residual of V"
              expectClose 1e-12 ofRho 0.0 "residual of ρ"
              expectClose 1e-10 (Seq.sum values.Visitation) 20.0 "Σ ρ = 1/(1−γ)" ]

let tests =
    testList "Exact processes" [ creating; writingPolicies; reproducing; valuing; rounding; large ]
