/// The natural gradient of softmax policies, and the steps along it.
module FunTrpo.Tests.ExactSoftmaxTests

open System
open Expecto
open FsCheck.FSharp
open MathNet.Numerics.LinearAlgebra
open FunTrpo
open FunTrpo.Exact
open FunTrpo.Tests.Generators
open FunTrpo.Tests.ExactCases
open FunTrpo.Tests.ExactAlgorithmsTests

/// The Fisher matrix of the logits, from the outer products of ∇ log π.
let private fisherOf (mdp: FiniteMdp) (values: Values) =
    let actions = mdp.Actions
    let fisher = Matrix<float>.Build.Dense(mdp.States * actions, mdp.States * actions)

    for state in going mdp do
        for taken in 0 .. actions - 1 do
            let score a = (if a = taken then 1.0 else 0.0) - values.Policy[state, a]
            let weight = (1.0 - mdp.Gamma) * values.Visitation[state] * values.Policy[state, taken]

            for a in 0 .. actions - 1 do
                for b in 0 .. actions - 1 do
                    let i, j = state * actions + a, state * actions + b
                    fisher[i, j] <- fisher[i, j] + weight * score a * score b

    fisher

/// ∂η/∂θ by central differences through the softmax, for logits θ.
let private gradientOf mdp (logits: Table) =
    let eta shift index =
        let shifted =
            Table.init logits.Rows logits.Columns (fun state action ->
                logits[state, action] + (if state * logits.Columns + action = index then shift else 0.0))

        (Values.ofPolicy mdp (TabularPolicy.ofLogits shifted)).Eta

    Array.init (logits.Rows * logits.Columns) (fun index ->
        let difference h = (eta h index - eta -h index) / (2.0 * h)
        (4.0 * difference 1e-3 - difference 2e-3) / 3.0)

/// xᵀF x by its meaning: how much x varies as the policy draws actions, on average.
let private spread (mdp: FiniteMdp) (values: Values) (x: Table) =
    going mdp
    |> List.sumBy (fun state ->
        let p, x = TabularPolicy.rowArray values.Policy state, Table.rowArray x state
        let mean = Array.sum (Array.map2 (*) p x)
        let variance = Array.sum (Array.map2 (fun pi xi -> pi * (xi - mean) ** 2.0) p x)
        (1.0 - mdp.Gamma) * values.Visitation[state] * variance)

let private natural =
    testList
        "natural gradient"
        [ property
              "the length of a damped step spends δ by the curvature that it is measured by"
              (Gen.zip (casesOf 0.9 interior) (Gen.zip (tens -4 1) (tens -9 -6)))
              (fun ({ Mdp = mdp; Values = values }, (damping, delta)) ->
                  for length in [ Curvature.Damped; Curvature.Undamped ] do
                      match
                          Algorithms.trustRegionStep mdp { Delta = delta; Damping = damping; Length = length } values
                      with
                      | None -> Expect.isTrue (isSettled values) "there is nothing to gain"
                      | Some step ->
                          let square = Array.sumBy (fun x -> x * x) (numbersOf step)

                          let own =
                              0.5 * spread mdp values step
                              + (if length = Curvature.Damped then 0.5 * damping * square else 0.0)

                          let direction, _ = Softmax.naturalGradient mdp damping values
                          let cosine = Array.sum (Array.map2 (*) (numbersOf step) (numbersOf direction))

                          expectClose
                              (1e-9 * cosine)
                              (cosine * cosine)
                              (square * Array.sumBy (fun x -> x * x) (numbersOf direction))
                              "along the damped natural gradient"

                          // All of δ, or what some tries of the line search leave of it.
                          let tries = log (own / delta) / (2.0 * log 0.8)
                          expectClose 1e-6 tries (round tries) $"{own} of {delta}"
                          Expect.isTrue (tries < 19.5) "within its tries")

          property
              "F x = ∇η, and xᵀFx is what the step is measured by"
              (casesOf 0.9 (softmax 1.0 >> fun make -> Gen.map make key))
              (fun { Mdp = mdp; Values = values } ->
                  let direction, quadratic = Softmax.naturalGradient mdp 0.0 values
                  let x = Vector<float>.Build.Dense(numbersOf direction)
                  let fisher = fisherOf mdp values
                  let gradient = gradientOf mdp (Table.map log values.Policy.Table)
                  let tolerance = 1e-7 * (1.0 + size mdp) / (1.0 - mdp.Gamma) ** 2.0
                  expectSame tolerance (fisher * x) gradient "F x"
                  expectClose (1e-9 * quadratic + 1e-20) quadratic (x * fisher * x) "xᵀFx"

                  for state in 0 .. mdp.States - 1 do
                      let row = Table.rowArray direction state

                      expectClose
                          (1e-12 * (1.0 + Array.max row))
                          (Array.sum row)
                          0.0
                          "the smallest solution has mean 0")

          property
              "a fixed step adds its multiple of x to the logits"
              (Gen.zip (casesOf 0.9 interior) (tens -3 1))
              (fun ({ Mdp = mdp; Values = values }, rate) ->
                  match stepOf (Algorithms.naturalPolicyGradient rate) mdp values with
                  | None -> Expect.isTrue (isSettled values) "there is nothing to gain"
                  | Some(next, _) ->
                      let direction, _ = Softmax.naturalGradient mdp 0.0 values

                      let expected =
                          TabularPolicy.ofLogits (
                              Table.map2 (fun p x -> log p + rate * x) values.Policy.Table direction
                          )

                      expectSame 1e-12 (numbersOf next.Policy.Table) (numbersOf expected.Table) "π")

          property
              "TRPO's step keeps its limit and gains, by the longest of its tries"
              (Gen.zip (cases 0.95) (tens -6 0))
              (fun ({ Mdp = mdp; Values = values }, delta) ->
                  let direction, _ = Softmax.naturalGradient mdp 0.0 values
                  let full = sqrt (2.0 * delta / spread mdp values direction)

                  let tried n =
                      TabularPolicy.tilt (Table.map (fun x -> full * 0.8 ** float n * x) direction) values.Policy

                  let isGood policy = Values.policyAdvantage values policy > 0.0 && klMean mdp values policy <= delta

                  match stepOf (Algorithms.trustRegion delta) mdp values with
                  | Some(next, certificate) ->
                      Expect.isTrue (certificate.KlMean <= delta) "mean KL"
                      Expect.isTrue (Values.policyAdvantage values next.Policy > 0.0) "gain"
                      let n = Seq.initInfinite id |> Seq.find (tried >> isGood)
                      expectSame 1e-10 (numbersOf next.Policy.Table) (numbersOf (tried n).Table) $"try {n}"
                  | None ->
                      let isNew policy = policy <> values.Policy
                      let all = if Double.IsFinite full then List.init 20 tried |> List.filter isNew else []
                      Expect.isTrue (isSettled values || not (List.exists isGood all)) "no try was good")

          property
              "for a small limit all of it is spent, by the quadratic model"
              (casesOf 0.9 interior)
              (fun { Mdp = mdp; Values = values } ->
                  // so small that no logit changes by more than 0.001
                  let direction, quadratic = Softmax.naturalGradient mdp 0.0 values
                  let largest = Seq.max (numbersOf (Table.map abs direction))
                  let delta = 0.5 * quadratic * (1e-3 / (1e-20 + largest)) ** 2.0

                  match (if delta > 0.0 then stepOf (Algorithms.trustRegion delta) mdp values else None) with
                  | None -> Expect.isTrue (isSettled values) "there is nothing to gain"
                  | Some(_, certificate) ->
                      Expect.isTrue (certificate.KlMean >= 0.63 * delta) $"{certificate.KlMean} of {delta}") ]

let tests = testList "Exact algorithms" [ natural ]
