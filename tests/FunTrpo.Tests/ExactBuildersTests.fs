module FunTrpo.Tests.ExactBuildersTests

open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Exact
open FunTrpo.Tests.Generators
open FunTrpo.Tests.ExactCases

let private building =
    testList
        "builders"
        [ property
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

let tests = testList "Exact processes" [ building; reproducing ]
