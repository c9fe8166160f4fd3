/// The steps with the total variation: the moves of a row, and the algorithms that maximise bounds with it.
module FunTrpo.Tests.ExactTvTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Exact
open FunTrpo.Tests.Generators
open FunTrpo.Tests.ExactCases
open FunTrpo.Tests.ExactAlgorithmsTests

/// A row of probabilities, some of them perhaps 0, and what its actions are worth, some of it perhaps equal.
let private problems =
    gen {
        let! actions = Gen.choose (1, 6)
        let! key = key
        let! make = Gen.elements [ simplex; sparseSimplex ]
        let! steps = Gen.elements [ 2.0; 5.0; 1e9 ]
        let! limit = Gen.choose (0, 12) |> Gen.map (fun n -> float n / 10.0)
        let w = Key.uniforms actions (Key.named "w" key) |> Array.map (fun u -> floor (steps * u) / steps - 0.5)
        return make actions (Key.named "p" key), w, limit
    }

let private dot = Array.fold2 (fun sum x y -> sum + x * y) 0.0

let private rows =
    testList
        "rows"
        [ propertyOf
              300
              "the gain within a total variation is the minimum of its dual, min over c ≥ 0 of t c + Σ p max(0, gap − c)"
              problems
              (fun (p, w, limit) ->
                  let row = TvDual.withinLimit limit p w
                  let gaps = w |> Array.map (fun wi -> Array.max w - wi)
                  let dual c = limit * c + dot p (gaps |> Array.map (fun gap -> max 0.0 (gap - c)))
                  expectClose 1e-14 (dot row w - dot p w) (Seq.min (Seq.map dual (Seq.append [ 0.0 ] gaps))) "gain"
                  expectClose 1e-15 (Array.sum row) 1.0 "its sum"
                  Expect.all row (fun x -> x >= 0.0) "probabilities"
                  Expect.isTrue (Divergence.tvOfRows p row <= limit + 1e-15) "within the limit")

          propertyOf
              300
              "the moves of a row make up the way to its best action, the steepest first"
              problems
              (fun (p, w, limit) ->
                  let moves = TvDual.moves p w
                  let gains = moves |> Array.map _.Gain
                  Expect.equal gains (Array.sortDescending gains) "the steepest first"
                  let whole = moves |> Array.sumBy (fun move -> move.Mass * move.Gain)
                  expectClose 1e-14 whole (Array.max w - dot p w) "the gain of all of them"
                  // Within a gain, without a price.
                  let most = limit * whole
                  let row = TvDual.withinLimit (TvDual.tvWithin 0.0 most moves) p w
                  expectClose 1e-14 (dot row w - dot p w) (min whole most) "a gain that was asked for"
                  // A price per unit is paid by those that gain more.
                  let price = if gains.Length = 0 then 0.0 else gains[gains.Length / 2]
                  let worthIt = moves |> Array.sumBy (fun move -> if move.Gain > price then move.Mass else 0.0)
                  expectClose 1e-15 (TvDual.tvWithin price infinity moves) worthIt "those that gain more") ]

/// Policies to compare a maximiser with.
let private others (mdp: FiniteMdp) (values: Values) key =
    [ yield! candidates mdp values key
      for n in 0..12 do
          let limit = 10.0 ** (-0.5 * float n)

          TabularPolicy.mapRows
              (fun state row -> TvDual.withinLimit limit row (Table.rowArray values.Advantages state))
              values.Policy ]

let private maximisers =
    testList
        "maximisers with the total variation"
        [ property
              "no policy has a better L − price · (D_TV^max)²"
              (Gen.zip (cases 0.95) (Gen.zip (tens -4 3) key))
              (fun ({ Mdp = mdp; Values = values }, (scale, key)) ->
                  let price = scale * sizeOfL values

                  let worth policy =
                      let tv = Divergence.maximum mdp (Divergence.tv values.Policy policy)
                      Values.policyAdvantage values policy - price * tv * tv

                  expectBest values worth (Algorithms.penalisedTv price values) (others mdp values key))

          property
              "no policy has a better L − price · max_s |Σ π̃ A| · Σ ρ D_TV"
              (Gen.zip (cases 0.95) (Gen.zip (tens -3 2) key))
              (fun ({ Mdp = mdp; Values = values }, (price, key)) ->
                  let worth policy =
                      let tv = Divergence.tv values.Policy policy
                      let spread = going mdp |> List.sumBy (fun state -> values.Visitation[state] * tv[state])
                      Values.policyAdvantage values policy - price * Bounds.epsilonOf mdp values policy * spread

                  expectBest values worth (Algorithms.penalisedMeanTv price values) (others mdp values key))

          property
              "the share of a mixture is the best there is by the bound with the mean total variation"
              (pairs 0.99)
              (fun ({ Mdp = mdp; Values = values }, other) ->
                  let alpha = Algorithms.meanMixtureStep mdp values other
                  Expect.isTrue (alpha >= 0.0 && alpha <= 1.0) $"α = {alpha}"

                  let bound alpha =
                      Bounds.value mdp values (TabularPolicy.mix alpha values.Policy other) Bound.MeanTotalVariation

                  let rounding = 1e-12 * sizeOfL values + 1e-11 * (bound alpha - values.Eta)

                  for n in 0..50 do
                      Expect.isTrue (bound (float n / 50.0) <= bound alpha + rounding) $"α = {2 * n}%%"
                      Expect.isTrue (bound (min 1.0 (alpha * float n / 25.0)) <= bound alpha + rounding) $"{n}/25 α")

          property
              "safe policy iteration has the best limit of its shares, by the penalty that they have"
              (cases 0.95)
              (fun { Mdp = mdp; Values = values } ->
                  let greedy = TabularPolicy.greedy values.Advantages
                  let tv = Divergence.tv values.Policy greedy
                  let isOpen state = values.Visitation[state] > 0.0 && tv[state] > 0.0
                  // Σ π A is 0, but rounded; where TV is tiny, its rounding would count.
                  let change = Table.map2 (-) greedy.Table values.Policy.Table
                  let ratio state = Table.rowDot change values.Advantages state / tv[state]
                  let steepest = largestOf mdp (fun state -> if isOpen state then ratio state else 0.0)
                  let price = mdp.Gamma * steepest / (1.0 - mdp.Gamma) ** 2.0

                  let worth limit =
                      let gain state =
                          if isOpen state then values.Visitation[state] * ratio state * min limit tv[state] else 0.0

                      (going mdp |> List.sumBy gain) - price * limit * limit

                  match stepOf Algorithms.safePolicyIteration mdp values with
                  | None -> ()
                  | Some(next, certificate) ->
                      let rounding = leftAlone values + 1e-9 * worth certificate.TvMax
                      // The bound is at least what the step was chosen by.
                      Expect.isTrue (certificate.Lower - values.Eta >= worth certificate.TvMax - rounding) "the bound"
                      Expect.isTrue (certificate.AdvantageMin >= -rounding) "no state is worse"

                      for n in 0..100 do
                          Expect.isTrue (worth (float n / 100.0) <= worth certificate.TvMax + rounding) $"{n}%%"

                      for state in going mdp do
                          let share = if tv[state] > 0.0 then min 1.0 (certificate.TvMax / tv[state]) else 0.0
                          let row = TabularPolicy.rowArray values.Policy state
                          let towards = TabularPolicy.rowArray greedy state
                          let mixed = Array.map2 (fun p q -> (1.0 - share) * p + share * q) row towards
                          let found = TabularPolicy.rowArray next.Policy state

                          if found <> row then
                              expectSame 1e-9 found mixed "the mixture with the greedy policy") ]

let private leaving =
    testList
        "deterministic policies"
        [ propertyOf
              200
              "the bounds with the total variation leave any policy that can be improved beyond rounding"
              (Gen.zip (processes 0.95) key)
              (fun (mdp, key) ->
                  let values = Values.ofPolicy mdp (deterministic mdp key)

                  for algorithm in withTv do
                      match expectOk (algorithm.Step mdp values) with
                      | Stepped _
                      | BelowRounding _ -> ()
                      | Stopped -> Expect.isTrue (isSettled values) algorithm.Name)

          testCase "the steps to 99 % of the way on the ice of 4 × 4 at γ = 0.9"
          <| fun () ->
              let mdp = Builders.frozenLake4 0.9 true
              let start = (Values.ofPolicy mdp (TabularPolicy.uniform mdp)).Eta
              let goal = start + 0.99 * ((Values.optimal mdp).Eta - start)

              let stepsTo algorithm =
                  PolicySequence.run mdp algorithm
                  |> Seq.map (fun step -> (expectOk step).Values.Eta)
                  |> Seq.findIndex (fun eta -> eta >= goal)

              Expect.equal (stepsTo Algorithms.conservativePolicyIterationMean) 447 "mixtures, mean TV"

              let counts = [ for algorithm in withTv -> stepsTo algorithm ]
              Expect.all counts (fun count -> count < 2309) $"%A{counts}: fewer than conservative policy iteration"

              Expect.isLessThan
                  (stepsTo Algorithms.minorizationMaximizationSafe)
                  (stepsTo Algorithms.minorizationMaximizationMeanTv)
                  "half of the penalty" ]

let tests = testList "Exact algorithms" [ maximisers; leaving ]
let duals = testList "Exact duals" [ rows ]
