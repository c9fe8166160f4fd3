module FunTrpo.Tests.ExactAlgorithmsTests

open System
open System.Numerics
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Exact
open FunTrpo.Tests.Generators
open FunTrpo.Tests.ExactCases

/// What an algorithm makes of the values of a policy, where it steps.
let stepOf (algorithm: Algorithm) mdp values =
    match expectOk (algorithm.Step mdp values) with
    | Stepped(next, certificate) -> Some(next, certificate)
    | Stopped
    | BelowRounding _ -> None

let isStopped algorithm mdp values = stepOf algorithm mdp values = None

/// The size of L: max |Q| Σ ρ.
let sizeOfL (values: Values) = Seq.max (numbersOf (Table.map abs values.Q)) * (1e-9 + Seq.sum values.Visitation)

/// Whether no policy gains more than rounding over this one.
let isSettled (values: Values) =
    let gain = Values.policyAdvantage values (TabularPolicy.greedy values.Advantages)
    gain <= 1.0001e-12 * Seq.max (numbersOf (Table.map abs values.Q))

let klMax mdp (values: Values) other = Divergence.maximum mdp (Divergence.kl values.Policy other)
let klMean mdp (values: Values) other = Divergence.mean mdp values (Divergence.kl values.Policy other)

/// Policies to compare with, all the way from the old one to others: mixtures and tilts.
let candidates (mdp: FiniteMdp) (values: Values) key =
    [ for i in 0..5 do
          let key = Key.at (int64 i) key

          let other =
              if i = 0 then
                  TabularPolicy.greedy values.Advantages
              else
                  (if i % 2 = 0 then stochastic else withZeros) mdp key

          for n in 0..8 do
              let t = 10.0 ** (-0.5 * float n)
              TabularPolicy.mix t values.Policy other
              TabularPolicy.tilt (Table.map (fun a -> 10.0 * t * a) values.Advantages) values.Policy
              TabularPolicy.tilt (Table.map2 (fun a q -> 10.0 * t * a * q) values.Advantages other.Table) values.Policy ]

/// The policy as far from the old one towards another as the measure allows.
let asFarAs limit (measure: TabularPolicy -> float) (values: Values) other =
    let at t = TabularPolicy.mix t values.Policy other
    let mutable low, high = 0.0, 1.0

    if measure other <= limit then
        other
    else
        for _ in 1..60 do
            let middle = 0.5 * (low + high)
            if measure (at middle) <= limit then low <- middle else high <- middle

        at low

/// The algorithms whose bounds have a total variation.
let withTv =
    [ Algorithms.minorizationMaximizationTv
      Algorithms.safePolicyIteration
      Algorithms.conservativePolicyIterationMean
      Algorithms.minorizationMaximizationMeanTv
      Algorithms.minorizationMaximizationSafe ]

let cautious =
    [ Algorithms.conservativePolicyIteration 0.0
      Algorithms.minorizationMaximization
      Algorithms.minorizationMaximizationPinsker ]
    @ withTv

let constrained =
    [ Algorithms.maximumKl 0.01
      Algorithms.meanKl 0.01
      Algorithms.naturalPolicyGradient 0.1
      Algorithms.trustRegion 0.01 ]

/// Σ_a π̃(a|s) A(s, a) of the worst state.
let private worstState mdp (values: Values) (other: TabularPolicy) =
    going mdp |> List.map (Table.rowDot other.Table values.Advantages) |> List.min

let private risesBy mdp (before: Values) (after: Values) = exactEta mdp after.Policy - exactEta mdp before.Policy

let private monotone =
    testList
        "guarantees"
        [ propertyOf
              200
              "however near γ is to 1, a step that its bound promises to gain has gained, to 512 places"
              (patient 0.9)
              (fun { Mdp = mdp; Values = values } ->
                  for algorithm in cautious do
                      match expectOk (algorithm.Step mdp values) with
                      | Stepped(next, certificate) ->
                          Expect.isTrue certificate.PromisesGain $"{algorithm.Name}: it says so"
                          Expect.isTrue (risesBy mdp values next > BigInteger.Zero) $"{algorithm.Name}: η has risen"
                      | BelowRounding certificate ->
                          Expect.isFalse certificate.PromisesGain $"{algorithm.Name}: it says so"
                          Expect.equal certificate.EtaBefore values.Eta $"{algorithm.Name}: of this policy"
                      | Stopped -> ())

          propertyOf
              200
              "however near γ is to 1, no step that no state is to lose by loses more than rounding"
              (patient 0.9)
              (fun { Mdp = mdp; Values = values } ->
                  for algorithm in Algorithms.policyIteration :: constrained do
                      match expectOk (algorithm.Step mdp values) with
                      | Stepped(next, certificate) ->
                          let rise = Fixed.toFloat (risesBy mdp values next)
                          Expect.isTrue (rise >= -certificate.Rounding - 1e-130) $"{algorithm.Name}: {rise}"
                      | _ -> ())

          testCase
              "where rounding is larger than what any bound promises, the certificate says so, and the algorithm stops"
          <| fun () ->
              for gamma, isSwamped in [ 0.9, false; 0.999, false; 1.0 - 1e-8, true; 1.0 - 1e-12, true ] do
                  let mdp = Builders.garnet gamma 6 3 2 (Key.ofSeed 1L)
                  let values = Values.ofPolicy mdp (TabularPolicy.uniform mdp)

                  for algorithm in cautious do
                      match expectOk (algorithm.Step mdp values) with
                      | BelowRounding certificate ->
                          Expect.isTrue isSwamped $"{algorithm.Name}, γ = {gamma}: there is something to promise"
                          Expect.isFalse certificate.PromisesGain "it says so"
                          Expect.hasLength (PolicySequence.run mdp algorithm |> Seq.truncate 5) 1 "it stops"
                      | _ -> Expect.isFalse isSwamped $"{algorithm.Name}, γ = {gamma}: {values.EtaError}"

          propertyOf
              200
              "no state loses by a step of the constrained algorithms, where each state has its own parameters"
              (cases 0.99)
              (fun { Mdp = mdp; Values = values } ->
                  for algorithm in Algorithms.policyIteration :: constrained do
                      match stepOf algorithm mdp values with
                      | Some(next, _) ->
                          let rounding = 1e-13 * (1.0 + size mdp)
                          Expect.isTrue (worstState mdp values next.Policy >= -rounding) algorithm.Name
                      | None -> ())

          propertyOf
              100
              "η never falls along a sequence of the constrained algorithms, from any policy"
              (cases 0.99)
              (fun { Mdp = mdp; Values = values } ->
                  for algorithm in constrained do
                      Expect.isTrue algorithm.IsMonotone algorithm.Name

                      let sequence =
                          PolicySequence.runFrom values.Policy mdp algorithm
                          |> Seq.truncate 6
                          |> Seq.map expectOk
                          |> List.ofSeq

                      for before, after in List.pairwise sequence do
                          let rounding = Bounds.rounding before.Values after.Values
                          Expect.isTrue (after.Values.Eta >= before.Values.Eta - rounding) algorithm.Name)

          propertyOf
              200
              "from γ = 1/5 on, and from 1/3 with half of the price, MM leaves no deterministic policy, however bad"
              (Gen.zip (processes 0.99) key)
              (fun (mdp, key) ->
                  // To give an action that has nothing a little costs as much KL, at a price of more than all that it can gain.
                  for least, algorithm in
                      [ 0.2, Algorithms.minorizationMaximization
                        1.0 / 3.0, Algorithms.minorizationMaximizationPinsker ] do
                      let mdp = FiniteMdp.withGamma (max least mdp.Gamma) mdp |> expectOk
                      let values = Values.ofPolicy mdp (deterministic mdp key)

                      match expectOk (algorithm.Step mdp values) with
                      | Stepped(next, _) ->
                          failtest $"{algorithm.Name} goes by {klMax mdp values next.Policy} at γ = {mdp.Gamma}"
                      | _ -> ())

          for algorithm in Algorithms.policyIteration :: cautious do
              propertyOf
                  150
                  $"{algorithm.Name}: η never decreases, from any policy"
                  (cases 0.99)
                  (fun { Mdp = mdp; Values = values } ->
                      let sequence =
                          PolicySequence.runFrom values.Policy mdp algorithm
                          |> Seq.truncate 6
                          |> Seq.map expectOk
                          |> List.ofSeq

                      for before, after in List.pairwise sequence do
                          let tolerance = Bounds.rounding before.Values after.Values
                          Expect.isTrue (after.Values.Eta >= before.Values.Eta - tolerance) "η"
                          let certificate = after.Certificate.Value
                          Expect.equal certificate.EtaBefore before.Values.Eta "η before"
                          Expect.equal certificate.EtaAfter after.Values.Eta "η after"
                          Expect.isTrue (after.Values.Eta >= certificate.Lower - tolerance) "η is above its bound"

                          if algorithm.Name <> Algorithms.policyIteration.Name then
                              Expect.isTrue
                                  (certificate.Lower >= before.Values.Eta - tolerance)
                                  "and the bound above the old η")

          propertyOf
              150
              "every step of every algorithm has a certificate that holds, and rows that sum to 1"
              (cases 0.95)
              (fun { Mdp = mdp; Values = values } ->
                  for algorithm in Algorithms.policyIteration :: cautious @ constrained do
                      match stepOf algorithm mdp values with
                      | None -> ()
                      | Some(next, certificate) ->
                          Expect.notEqual next.Policy values.Policy "a step goes somewhere"

                          Expect.isTrue
                              (certificate.EtaAfter >= certificate.Lower - Bounds.rounding values next)
                              "bound"

                          Expect.equal
                              certificate.KlMax
                              (klMax mdp values next.Policy)
                              "the certificate is of this step"

                          for state in 0 .. mdp.States - 1 do
                              let row = TabularPolicy.rowArray next.Policy state
                              Expect.all row (fun p -> p >= 0.0) algorithm.Name
                              expectClose 1e-12 (Array.sum row) 1.0 algorithm.Name

                              if
                                  values.Visitation[state] = 0.0
                                  && List.contains algorithm.Name [ for it in constrained -> it.Name ]
                              then
                                  expectSame
                                      1e-15
                                      row
                                      (TabularPolicy.rowArray values.Policy state)
                                      "nobody comes there")

          property "from an optimal policy nothing steps" (processes 0.99) (fun mdp ->
              let optimal = Values.optimal mdp

              for algorithm in Algorithms.policyIteration :: cautious @ constrained do
                  Expect.isTrue (isStopped algorithm mdp optimal) algorithm.Name)

          property
              "policy iteration comes to the optimum, from any policy"
              (cases 0.99)
              (fun { Mdp = mdp; Values = values } ->
                  let last =
                      PolicySequence.runFrom values.Policy mdp Algorithms.policyIteration
                      |> Seq.map expectOk
                      |> Seq.last
                  // It stops where no advantage is above 10⁻¹² of the largest |Q|, each of which counts 1/(1−γ) times.
                  let left = 1.1e-12 * Seq.max (numbersOf (Table.map abs last.Values.Q)) / (1.0 - mdp.Gamma)
                  expectSame (left + 1e-11 * (1.0 + size mdp)) last.Values.V (Values.optimal mdp).V "V") ]

let private conservative =
    testList
        "conservative policy iteration"
        [ propertyOf
              200
              "its share is the best there is by the bound, and gains what is promised"
              (pairs 0.99)
              (fun ({ Mdp = mdp; Values = values }, other) ->
                  let alpha = Algorithms.mixtureStep mdp values other
                  Expect.isTrue (alpha >= 0.0 && alpha <= 1.0) $"α = {alpha}"
                  let bound alpha = Bounds.ofMixture mdp values alpha other
                  let rounding = 1e-14 * sizeOfL values

                  for n in 0..100 do
                      Expect.isTrue (bound (float n / 100.0) <= bound alpha + rounding) $"α = {n}%%"
                      Expect.isTrue (bound (min 1.0 (alpha * float n / 50.0)) <= bound alpha + rounding) $"{n}/50 α"

                  let epsilon = largestOf mdp (fun s -> abs (Table.rowDot other.Table values.Advantages s))
                  let advantage = Values.policyAdvantage values other

                  if alpha = 0.0 then
                      Expect.isTrue (advantage <= 0.0) "nothing is promised by what is worse"
                  elif alpha < 1.0 then
                      let promised = advantage ** 2.0 * (1.0 - mdp.Gamma) ** 2.0 / (8.0 * epsilon * mdp.Gamma)
                      expectClose (rounding + 1e-12 * promised) (bound alpha - values.Eta) promised "gain"
                  else
                      let most = advantage * (1.0 - mdp.Gamma) ** 2.0
                      Expect.isTrue (most >= 4.0 * epsilon * mdp.Gamma * (1.0 - 1e-12)) "the whole way is not too far")

          property
              "steps to the mixture, and stops at its threshold"
              (cases 0.95)
              (fun { Mdp = mdp; Values = values } ->
                  let greedy = TabularPolicy.greedy values.Advantages
                  let advantage = max 0.0 (Values.policyAdvantage values greedy)

                  Expect.isTrue
                      (isStopped (Algorithms.conservativePolicyIteration advantage) mdp values)
                      "at the threshold"

                  let alpha = Algorithms.mixtureStep mdp values greedy
                  let bound = Bounds.ofMixture mdp values alpha greedy

                  match expectOk ((Algorithms.conservativePolicyIteration (0.999 * advantage)).Step mdp values) with
                  | Stepped(next, certificate) ->
                      Expect.equal next.Policy (TabularPolicy.mix alpha values.Policy greedy) "mixture"
                      Expect.equal certificate.By Bound.Mixture "by its bound"
                      Expect.equal certificate.Lower bound "bound"
                  | BelowRounding certificate ->
                      Expect.equal certificate.Lower bound "bound"
                      Expect.isFalse certificate.PromisesGain "the bound promises nothing beyond rounding"
                  | Stopped -> Expect.isTrue (isSettled values) "above the threshold")

          property
              "no policy is better by more than its shortfall, which is 𝔸 · max ρ*/ρ"
              (pairs 0.99)
              (fun ({ Mdp = mdp; Values = values }, other) ->
                  for best in [ Values.optimal mdp; Values.ofPolicy mdp other ] do
                      let shortfall = Bounds.shortfall values best
                      let rounding = 1e-11 * (1.0 + size mdp) / (1.0 - mdp.Gamma)
                      Expect.isTrue (best.Eta - values.Eta <= shortfall + rounding) $"{shortfall}"
                      Expect.isTrue (shortfall >= 0.0) "it is not negative"

                      // From the papers: all states with ρ* > 0 in the maximum. The library leaves out those in which nothing can be gained.
                      let gain state = Seq.max (Table.rowArray values.Advantages state)
                      let advantage = going mdp |> List.sumBy (fun state -> values.Visitation[state] * gain state)

                      let ratio =
                          largestOf mdp (fun state ->
                              if best.Visitation[state] > 0.0 then
                                  best.Visitation[state] / values.Visitation[state]
                              else
                                  0.0)

                      if Double.IsFinite ratio then
                          Expect.isTrue (shortfall <= advantage * ratio * (1.0 + 1e-12) + rounding) "it is no larger")

          propertyOf
              60
              "it stops after no more steps than promised, with a shortfall that its threshold limits"
              (Gen.zip (casesOf 0.6 interior) (Gen.choose (1, 9)))
              (fun ({ Mdp = mdp; Values = values }, tenths) ->
                  let greedy = TabularPolicy.greedy values.Advantages
                  let threshold = float tenths / 10.0 * Values.policyAdvantage values greedy

                  if threshold > 1e-9 * size mdp then
                      let most = Algorithms.conservativeSteps mdp threshold
                      let algorithm = Algorithms.conservativePolicyIteration threshold

                      let sequence =
                          PolicySequence.runFrom values.Policy mdp algorithm
                          |> Seq.truncate 3000
                          |> Seq.map expectOk
                          |> List.ofSeq

                      let last = List.last sequence
                      Expect.isTrue (float last.Iteration <= most) $"{last.Iteration} steps of {most}"

                      if sequence.Length < 3000 then
                          let best = Values.optimal mdp

                          let ratio =
                              largestOf mdp (fun s -> best.Visitation[s] / (1e-300 + last.Values.Visitation[s]))

                          Expect.isTrue (best.Eta - last.Values.Eta <= threshold * ratio + 1e-9 * size mdp) "shortfall") ]

/// An exponent of ten, to scale a price or a limit by.
let tens low high = Gen.choose (10 * low, 10 * high) |> Gen.map (fun n -> 10.0 ** (float n / 10.0))

/// What maximisers may leave: a state whose advantages differ by less than 10⁻¹² of the largest |Q| stays as it is, as rounding could have made them differ.
let leftAlone values = 1.1e-12 * sizeOfL values

/// The chosen policy is worth at least as much as the old one, whose worth is 0, and as each candidate.
let expectBest values worth chosen candidates =
    let best = worth chosen
    let rounding = leftAlone values + 1e-9 * abs best
    Expect.isTrue (best >= -rounding) "it is no worse than to stay"

    for candidate in candidates do
        Expect.isTrue (worth candidate <= best + rounding) "a better one"

/// No policy within a KL of some kind has a better L than the algorithm's: `klOf` is the certificate's KL, and `kl` measures it.
let private noneIsBetter name (algorithm: float -> Algorithm) (klOf: Certificate -> float) kl =
    property
        name
        (Gen.zip (cases 0.95) (Gen.zip (tens -12 0) key))
        (fun ({ Mdp = mdp; Values = values }, (delta, key)) ->
            match stepOf (algorithm delta) mdp values with
            | None -> Expect.isTrue (isSettled values) "there is nothing to gain"
            | Some(next, certificate) ->
                let gain = Values.policyAdvantage values
                let best = gain next.Policy
                let rounding = leftAlone values + 1e-8 * abs best
                Expect.isTrue (klOf certificate <= delta) $"KL = {klOf certificate}"
                Expect.isTrue (best >= 0.0) "gain"

                for candidate in candidates mdp values key do
                    let candidate = asFarAs delta (kl mdp values) values candidate
                    Expect.isTrue (gain candidate <= best + rounding) "a better one")

let private optimising =
    testList
        "maximisers"
        [ property
              "no policy has a better L − price · D_KL^max"
              (Gen.zip (cases 0.95) (Gen.zip (tens -4 3) key))
              (fun ({ Mdp = mdp; Values = values }, (scale, key)) ->
                  let price = scale * sizeOfL values
                  let worth policy = Values.policyAdvantage values policy - price * klMax mdp values policy

                  let limited =
                      [ for n in -12 .. 1 do
                            match stepOf (Algorithms.maximumKl (10.0 ** float n)) mdp values with
                            | Some(next, _) -> next.Policy
                            | None -> () ]

                  expectBest values worth (Algorithms.penalised price values) (candidates mdp values key @ limited))

          noneIsBetter "no policy within a maximum KL has a better L" Algorithms.maximumKl _.KlMax klMax

          noneIsBetter "no policy within a mean KL has a better L" Algorithms.meanKl _.KlMean klMean

          property
              "from a policy in which all is possible, the limits are reached"
              (Gen.zip (casesOf 0.95 interior) (tens -9 -2))
              (fun ({ Mdp = mdp; Values = values }, delta) ->
                  // A state whose other actions have the probability q can spend 690 q at most: probabilities end at 10⁻³⁰⁰.
                  let delta =
                      let tv = Divergence.tv values.Policy (TabularPolicy.greedy values.Advantages)

                      let most = largestOf mdp (fun state -> (1.0 - mdp.Gamma) * values.Visitation[state] * tv[state])
                      if most > 0.0 then min delta (300.0 * most) else delta

                  for algorithm, spent in
                      [ Algorithms.maximumKl delta, (fun (certificate: Certificate) -> certificate.KlMax)
                        Algorithms.meanKl delta, _.KlMean ] do
                      match stepOf algorithm mdp values with
                      | None -> Expect.isTrue (isSettled values) "there is nothing to gain"
                      | Some(_, certificate) -> expectClose (1e-8 * delta) (spent certificate) delta algorithm.Name) ]

/// The relative difference of policies that two ways to solve one problem may leave, in total variation.
let private expectSamePolicy (a: TabularPolicy) (b: TabularPolicy) what =
    expectSame 1e-5 (numbersOf a.Table) (numbersOf b.Table) what

let private equivalence =
    testList
        "penalty and constraint"
        [ property
              "at the price λ(δ) the penalised problem has the solution of the constrained one"
              (Gen.zip (casesOf 0.95 interior) (tens -6 -2))
              (fun ({ Mdp = mdp; Values = values }, delta) ->
                  if not (isSettled values) then
                      let price = Algorithms.maximumKlPrice delta values

                      match stepOf (Algorithms.maximumKl delta) mdp values with
                      | Some(next, _) -> expectSamePolicy (Algorithms.penalised price values) next.Policy "max KL"
                      | None -> ()

                      let price = Algorithms.meanKlPrice mdp delta values
                      let constrained = Algorithms.withinMean mdp delta values
                      expectSamePolicy (Algorithms.penalisedMean mdp price values) constrained "mean KL")

          property
              "λ(δ) is the derivative of the best L in δ, and falls as δ rises"
              (Gen.zip (casesOf 0.95 interior) (tens -5 -2))
              (fun ({ Mdp = mdp; Values = values }, delta) ->
                  if not (isSettled values) then
                      let maximum delta =
                          stepOf (Algorithms.maximumKl delta) mdp values
                          |> Option.map (fun (next, _) -> Values.policyAdvantage values next.Policy)

                      let mean delta = Some(Values.policyAdvantage values (Algorithms.withinMean mdp delta values))

                      for name, best, price in
                          [ "max KL", maximum, (fun delta -> Algorithms.maximumKlPrice delta values)
                            "mean KL", mean, (fun delta -> Algorithms.meanKlPrice mdp delta values) ] do
                          let h = 1e-3

                          match best (delta * (1.0 - h)), best (delta * (1.0 + h)) with
                          | Some low, Some high when high > 1e-9 * sizeOfL values ->
                              let slope = (high - low) / (2.0 * h * delta)
                              let rounding = 1e-10 * sizeOfL values / delta
                              expectClose (1e-4 * price delta + rounding) slope (price delta) name
                          | _ -> ()

                          Expect.isTrue (price (2.0 * delta) <= price delta * (1.0 + 1e-9)) $"{name}: it falls")

          property
              "a step of MM is that of the trust region with its own max KL"
              (casesOf 0.9 interior)
              (fun { Mdp = mdp; Values = values } ->
                  match stepOf Algorithms.minorizationMaximization mdp values with
                  | Some(next, certificate) when certificate.KlMax > 1e-12 ->
                      match stepOf (Algorithms.maximumKl certificate.KlMax) mdp values with
                      | Some(other, _) -> expectSamePolicy next.Policy other.Policy "the policy"
                      | None -> failtest "no step"

                      let price = Algorithms.maximumKlPrice certificate.KlMax values
                      // With γ near 0 the price is so low that all of a state goes to its best action. Then many prices have the same KL.
                      if Table.fold min 1.0 next.Policy.Table > 1e-8 then
                          expectClose (1e-4 * certificate.C) price certificate.C "λ(δ) = C"
                  | _ -> ()) ]

/// A process of one step or several, γ = 1, with something to gain.
let once =
    FiniteMdp.create "once" 1.0 2 [| 0.5; 0.5; 0.0 |] [| false; false; true |] (fun _ action ->
        [ { Next = 1; Probability = 0.3; Reward = 0.0 }
          { Next = 2; Probability = 0.7; Reward = float action } ])
    |> expectOk

/// An algorithm with any δ that there is, down to where float64 knows no policy so near.
let private limiting =
    testList
        "limits"
        [ propertyOf
              200
              "no δ is exceeded, however small it is"
              (Gen.zip (cases 0.95) (tens -34 1))
              (fun ({ Mdp = mdp; Values = values }, delta) ->
                  let region = { Delta = delta; Damping = 0.1; Length = Curvature.Undamped }

                  for algorithm, spent in
                      [ Algorithms.maximumKl delta, (fun (certificate: Certificate) -> certificate.KlMax)
                        Algorithms.meanKl delta, _.KlMean
                        Algorithms.trustRegion delta, _.KlMean
                        Algorithms.dampedTrustRegion region, _.KlMean ] do
                      match stepOf algorithm mdp values with
                      | Some(_, certificate) ->
                          Expect.isTrue (spent certificate <= delta) $"{algorithm.Name}: {spent certificate}"
                      | None -> ())

          test "a δ, a rate, a threshold and a price that mean nothing are refused" {
              for number in [ 0.0; -1.0; infinity; nan ] do
                  let region = { Delta = number; Damping = 0.0; Length = Curvature.Damped }
                  expectRefused $"max KL ≤ {number}" (fun () -> Algorithms.maximumKl number |> ignore)
                  expectRefused $"mean KL ≤ {number}" (fun () -> Algorithms.meanKl number |> ignore)
                  expectRefused $"a rate of {number}" (fun () -> Algorithms.naturalPolicyGradient number |> ignore)

                  expectRefused $"{number} as a threshold" (fun () ->
                      Algorithms.conservativeSteps once number |> ignore)

                  let values = Values.ofPolicy once (TabularPolicy.uniform once)
                  expectRefused $"λ({number})" (fun () -> Algorithms.maximumKlPrice number values |> ignore)
                  expectRefused $"λ({number}), mean" (fun () -> Algorithms.meanKlPrice once number values |> ignore)
                  expectRefused $"{number} as a price" (fun () -> Algorithms.penalisedMean once number values |> ignore)
                  expectRefused $"TRPO with δ = {number}" (fun () -> Algorithms.trustRegion number |> ignore)

                  expectRefused $"damped TRPO with δ = {number}" (fun () ->
                      Algorithms.dampedTrustRegion region |> ignore)

              let values = Values.ofPolicy once (TabularPolicy.uniform once)

              for number in [ -1.0; nan; infinity ] do
                  let region = { Delta = 0.01; Damping = number; Length = Curvature.Damped }
                  expectRefused $"a damping of {number}" (fun () -> Algorithms.dampedTrustRegion region |> ignore)

                  expectRefused $"a threshold of {number}" (fun () ->
                      Algorithms.conservativePolicyIteration number |> ignore)

                  expectRefused $"a gradient damped by {number}" (fun () ->
                      Softmax.naturalGradient once number values |> ignore)

              for number in [ -1.0; nan ] do
                  for penalised in [ Algorithms.penalised; Algorithms.penalisedTv; Algorithms.penalisedMeanTv ] do
                      expectRefused $"a price of {number}" (fun () -> penalised number values |> ignore)
          }

          property
              "a rate without end is the greedy policy of what is possible, and breaks nothing"
              (casesOf 0.95 interior)
              (fun { Mdp = mdp; Values = values } ->
                  match stepOf (Algorithms.naturalPolicyGradient 1e308) mdp values with
                  | Some(next, certificate) ->
                      Expect.isTrue (next.Eta >= values.Eta - certificate.Rounding) "η"

                      for state in going mdp do
                          if values.Visitation[state] > 0.0 then
                              let advantages = Table.rowArray values.Advantages state
                              let taken = Table.rowDot next.Policy.Table values.Advantages state
                              expectClose (1e-12 * (1.0 + size mdp)) taken (Array.max advantages) "the best action"
                  | None -> Expect.isTrue (isSettled values) "there is nothing to gain")

          test "where no price is low enough to spend δ, the lowest there is is taken, in any unit" {
              // An action that has all but 10⁻⁸ already can spend some 10⁻⁶ at most.
              for unit in [ 1e-99; 1.0; 1e99 ] do
                  let mdp =
                      FiniteMdp.create "bandit" 0.5 2 [| 1.0; 0.0 |] [| false; true |] (fun _ action ->
                          [ { Next = 1; Probability = 1.0; Reward = unit * float action } ])
                      |> expectOk

                  let policy = policyOf mdp (fun _ -> [| 1e-8; 1.0 - 1e-8 |])

                  match stepOf (Algorithms.meanKl 0.01) mdp (Values.ofPolicy mdp policy) with
                  | Some(next, certificate) ->
                      Expect.isLessThan certificate.KlMean 1e-5 "what there is to spend"
                      Expect.isLessThan next.Policy[0, 0] 1e-150 "and it is spent"
                  | None -> failtest $"no step in units of {unit}"

                  let nothing = Values.ofPolicy once (TabularPolicy.uniform once)
                  let zero = { nothing with Q = Table.map (fun _ -> 0.0) nothing.Q }

                  Expect.equal
                      (Algorithms.withinMean once 0.01 zero)
                      zero.Policy
                      "where nothing is worth anything, nothing changes"
          }

          propertyOf
              300
              "the unit of rewards changes no step, from 10⁻¹⁰⁰ to 10¹⁰⁰"
              (Gen.zip (cases 0.95) (Gen.elements [ -330; -200; -40; 40; 200; 330 ]))
              (fun ({ Mdp = mdp; Values = values }, power) ->
                  // A power of two rounds nothing.
                  let unit = Math.ScaleB(1.0, power)

                  let scaled = inUnit unit mdp
                  // The process itself, by the same way: what is normalised twice may be rounded once more.
                  let same = FiniteMdp.withGamma mdp.Gamma mdp |> expectOk
                  let region = { Delta = 0.01; Damping = 0.0; Length = Curvature.Undamped }

                  for algorithm in
                      Algorithms.policyIteration
                      :: Algorithms.maximumKl 0.01
                      :: Algorithms.meanKl 0.01
                      :: Algorithms.dampedTrustRegion region
                      :: cautious do
                      let next mdp =
                          stepOf algorithm mdp (Values.ofPolicy mdp values.Policy)
                          |> Option.map (fun (v, _) -> v.Policy)

                      match next same, next scaled with
                      | Some a, Some b -> expectSame 1e-9 (numbersOf b.Table) (numbersOf a.Table) algorithm.Name
                      | a, b -> Expect.equal b.IsSome a.IsSome $"{algorithm.Name}: both step, or none") ]

let tests = testList "Exact algorithms" [ monotone; conservative; optimising; equivalence; limiting ]
