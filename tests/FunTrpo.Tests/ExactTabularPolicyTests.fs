module FunTrpo.Tests.ExactTabularPolicyTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Exact
open FunTrpo.Tests.Generators
open FunTrpo.Tests.ExactCases
open FunTrpo.Tests.ExactFiniteMdpTests

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

let tests = testList "Exact processes" [ writingPolicies ]
