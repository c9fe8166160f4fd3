module FunTrpo.Tests.ExactPolicySequenceTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Exact
open FunTrpo.Tests.Generators
open FunTrpo.Tests.ExactCases
open FunTrpo.Tests.ExactAlgorithmsTests

let private sequences =
    testList
        "policy sequences"
        [ property
              "start at the uniform policy, count from 0, and each step goes on from the last"
              (processes 0.9)
              (fun mdp ->
                  for algorithm in cautious @ constrained do
                      let sequence =
                          PolicySequence.run mdp algorithm |> Seq.truncate 4 |> Seq.map expectOk |> List.ofSeq

                      Expect.equal [ for step in sequence -> step.Iteration ] [ 0 .. sequence.Length - 1 ] "iterations"
                      Expect.equal sequence.Head.Values.Policy (TabularPolicy.uniform mdp) "start"
                      Expect.equal sequence.Head.Certificate None "nothing certifies the start"

                      for before, after in List.pairwise sequence do
                          let next, certificate = (stepOf algorithm mdp before.Values).Value
                          Expect.equal after.Values.Policy next.Policy "the policy"
                          Expect.equal after.Certificate (Some certificate) "its certificate"

                      if sequence.Length < 4 then
                          Expect.isTrue
                              (isStopped algorithm mdp (List.last sequence).Values)
                              "it ends where the algorithm stops")

          property "take no step that nobody asked for" (Gen.choose (0, 6)) (fun asked ->
              let mutable steps = 0
              let algorithm = Algorithms.conservativePolicyIteration 0.0

              let counting =
                  { algorithm with
                      Step =
                          fun mdp values ->
                              steps <- steps + 1
                              algorithm.Step mdp values }

              let sequence = PolicySequence.run (Builders.chain4 0.9) counting
              Expect.equal steps 0 "before the first"
              Expect.equal (sequence |> Seq.truncate asked |> Seq.length) asked "as many as asked for"
              Expect.equal steps (max 0 (asked - 1)) "one between each and the next")

          property "end with what went wrong" (Gen.choose (0, 6)) (fun good ->
              let fault = BrokenGuarantee("test", "it had to come")
              let algorithm = Algorithms.conservativePolicyIteration 0.0

              let mutable taken = 0

              let failing =
                  { algorithm with
                      Step =
                          fun mdp values ->
                              taken <- taken + 1
                              if taken > good then Error fault else algorithm.Step mdp values }

              let sequence = PolicySequence.run (Builders.chain4 0.9) failing |> Seq.truncate 20 |> List.ofSeq
              Expect.equal sequence.Length (good + 2) "the start, the good ones, and the error"
              Expect.all (List.take (good + 1) sequence) Result.isOk "good ones"

              match List.last sequence with
              | Error found -> Expect.equal (string found) (string fault) "the error"
              | Ok _ -> failtest "no error")

          testCase "γ = 1: what only bounds could allow does not move, the others gain"
          <| fun () ->
              for algorithm in cautious do
                  let sequence = PolicySequence.run once algorithm |> Seq.truncate 10 |> Seq.map expectOk |> List.ofSeq
                  Expect.equal sequence.Length 1 algorithm.Name

              for algorithm in Algorithms.policyIteration :: constrained do
                  let sequence = PolicySequence.run once algorithm |> Seq.truncate 10 |> Seq.map expectOk |> List.ofSeq
                  Expect.isGreaterThan sequence.Length 1 algorithm.Name
                  Expect.isGreaterThan (List.last sequence).Values.Eta sequence.Head.Values.Eta algorithm.Name

                  for step in sequence.Tail do
                      Expect.equal step.Certificate.Value.Lower -infinity "without a bound"
                      Expect.isFalse (Double.IsNaN step.Certificate.Value.KlMean) "KL"

          testCase "a deterministic policy that a price holds is where MM stops"
          <| fun () ->
              // Leaving a sure action costs KL from the first bit on, at a price that is beyond what it gains.
              let mdp = Builders.frozenLake4 0.99 true
              let policy = deterministic mdp (Key.ofSeed 3L)

              for algorithm in [ Algorithms.minorizationMaximization; Algorithms.minorizationMaximizationPinsker ] do
                  Expect.equal
                      (PolicySequence.runFrom policy mdp algorithm |> Seq.truncate 3 |> Seq.length)
                      1
                      algorithm.Name

          testCase "MM on the ice of 4 × 4, at γ = 0.9, is worth what its curve shows"
          <| fun () ->
              let mdp = Builders.frozenLake4 0.9 true
              let after algorithm = (PolicySequence.run mdp algorithm |> Seq.item 50 |> expectOk).Values.Eta

              let full, half =
                  after Algorithms.minorizationMaximization, after Algorithms.minorizationMaximizationPinsker

              Expect.isTrue (0.004477 < full && full < half && half < 0.06889) $"{full} < {half}" ]

let tests = testList "Exact algorithms" [ sequences ]
