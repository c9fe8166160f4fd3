module FunTrpo.Tests.ExactBoundTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Exact
open FunTrpo.Tests.Generators
open FunTrpo.Tests.ExactCases

// ---- Divergences ----

/// A row of probabilities and another one, as near as 10⁻⁹ or a few times off; some of the first may be 0.
let private near =
    gen {
        let! actions = Gen.choose (1, 6)
        let! key = key
        let! isSparse = Gen.elements [ true; false ]
        let! exponent = Gen.choose (0, 90)
        let p = (if isSparse then sparseSimplex else simplex) actions (Key.named "p" key)
        let scale = 10.0 ** (-float exponent / 10.0)

        let noise =
            Key.uniforms actions (Key.named "noise" key) |> Array.map (fun u -> 1.0 + scale * (1.4 * u - 0.7))

        let q = Array.map2 (*) p noise
        let sum = Array.sum q
        return p, q |> Array.map (fun x -> x / sum)
    }

/// Any two rows, with zeros, and with probabilities down to the smallest that there are.
let private rows =
    gen {
        let! actions = Gen.choose (1, 6)

        let row =
            gen {
                let! key = key
                let! make = Gen.elements [ simplex; sparseSimplex ]
                let! tiny = Gen.elements [ 1.0; 1.0; 1e-3; 1e-20; 1e-300; 1e-310; 5e-324 ]
                let row = make actions key
                return row |> Array.mapi (fun i x -> if i = 0 && actions > 1 then x * tiny else x)
            }

        return! Gen.zip row row
    }

let private divergences =
    testList
        "divergences"
        [ propertyOf 300 "KL at any distance is what it is to 512 places" near (fun (p, q) ->
              let exact = Fixed.kl p q
              expectClose (1e-11 * exact + 4e-16 * sqrt exact + 1e-30) (Divergence.klOfRows p q) exact "KL")

          propertyOf
              300
              "KL is Σ p log(p/q), infinite where q has lost an action, and never NaN or negative"
              rows
              (fun (p, q) ->
                  let p, q = p |> Array.map (fun x -> x / Array.sum p), q |> Array.map (fun x -> x / Array.sum q)
                  let kl = Divergence.klOfRows p q

                  if Array.exists2 (fun x y -> x > 0.0 && y = 0.0) p q then
                      Expect.equal kl infinity "an action is lost"
                  else
                      let sum = Array.fold2 (fun sum x y -> if x = 0.0 then sum else sum + x * (log x - log y)) 0.0 p q

                      expectClose (1e-13 * (1.0 + sum)) kl sum "KL"
                      Expect.isTrue (kl >= 0.0) "KL ≥ 0"

                  Expect.equal (Divergence.klOfRows p p) 0.0 "KL(p ‖ p)")

          propertyOf
              300
              "D_TV² ≤ D_KL/2 ≤ D_KL, and D_TV is the largest difference of any event"
              (Gen.oneof [ near; rows ])
              (fun (p, q) ->
                  let p, q = p |> Array.map (fun x -> x / Array.sum p), q |> Array.map (fun x -> x / Array.sum q)
                  let tv, kl = Divergence.tvOfRows p q, Divergence.klOfRows p q
                  Expect.isTrue (tv * tv <= 0.5 * kl * (1.0 + 1e-9) + 1e-30) $"{tv}² ≤ {kl}/2"

                  let event subset =
                      Seq.init p.Length (fun a -> if subset >>> a &&& 1 = 1 then p[a] - q[a] else 0.0) |> Seq.sum

                  expectClose 1e-15 tv (Seq.max (Seq.init (1 <<< p.Length) event)) "D_TV")

          property
              "of all states: those that are not terminal, and in the mean as often as they are visited"
              (pairs 0.99)
              (fun ({ Mdp = mdp; Values = values }, other) ->
                  let row = TabularPolicy.rowArray
                  let kl = Divergence.kl values.Policy other
                  let tv = Divergence.tv values.Policy other

                  for state in 0 .. mdp.States - 1 do
                      Expect.equal kl[state] (Divergence.klOfRows (row values.Policy state) (row other state)) "KL"
                      Expect.equal tv[state] (Divergence.tvOfRows (row values.Policy state) (row other state)) "TV"

                  Expect.equal (Divergence.maximum mdp kl) (largestOf mdp (fun state -> kl[state])) "maximum"

                  let weights = propagated mdp values.Policy |> Array.map (fun rho -> (1.0 - mdp.Gamma) * rho)

                  let mean =
                      going mdp
                      |> List.filter (fun state -> weights[state] > 0.0)
                      |> List.sumBy (fun state -> weights[state] * kl[state])

                  let found = Divergence.mean mdp values kl

                  if Double.IsFinite mean then
                      expectClose (1e-12 * mean) found mean "mean"
                  else
                      Expect.equal found mean "mean") ]

// ---- Bounds ----

let private allBounds =
    [ Bound.Mixture
      Bound.TotalVariation
      Bound.Kl
      Bound.KlPinsker
      Bound.MeanTotalVariation
      Bound.Safe
      Bound.SafeMean ]

/// max_s |Σ_a π̃(a|s) A(s, a)|
let private epsilonOf mdp (values: Values) (other: TabularPolicy) =
    largestOf mdp (fun state -> abs (Table.rowDot other.Table values.Advantages state))

/// The bounds as the papers write them, without their degenerate cases.
let private written (mdp: FiniteMdp) (values: Values) (other: TabularPolicy) bound =
    let gamma = mdp.Gamma
    let row = TabularPolicy.rowArray
    let tv state = 0.5 * Array.sum (Array.map2 (fun x y -> abs (x - y)) (row values.Policy state) (row other state))
    let kl state = Divergence.klOfRows (row values.Policy state) (row other state)

    let epsilon =
        largestOf mdp (fun state -> Seq.max (Seq.map abs (Table.rowArray values.Advantages state)))

    let c = 4.0 * epsilon * gamma / (1.0 - gamma) ** 2.0
    let rho = propagated mdp values.Policy
    let gain = going mdp |> List.sumBy (fun s -> rho[s] * Table.rowDot other.Table values.Advantages s)
    let l = values.Eta + gain

    // Over all states, where nothing is to be gained in those that are terminal.
    let gains =
        [ for state in 0 .. mdp.States - 1 ->
              if mdp.IsTerminal state then 0.0 else Table.rowDot other.Table values.Advantages state ]

    let range = List.max gains - List.min gains

    match bound with
    | Bound.Mixture -> l - 2.0 * epsilonOf mdp values other * gamma / (1.0 - gamma) ** 2.0
    | Bound.TotalVariation -> l - c * largestOf mdp tv ** 2.0
    | Bound.Kl -> l - c * largestOf mdp kl
    | Bound.KlPinsker -> l - 0.5 * c * largestOf mdp kl
    | Bound.MeanTotalVariation ->
        let spread = going mdp |> List.sumBy (fun state -> rho[state] * tv state)
        l - 2.0 * gamma * epsilonOf mdp values other / (1.0 - gamma) * spread
    | Bound.Safe -> l - gamma / (1.0 - gamma) ** 2.0 * range * largestOf mdp tv
    | Bound.SafeMean ->
        l - gamma / (1.0 - gamma) * range * (going mdp |> List.sumBy (fun state -> rho[state] * tv state))

let private bounding =
    testList
        "bounds"
        [ propertyOf
              400
              "η of any policy is above every bound of it"
              (pairs 0.99)
              (fun ({ Mdp = mdp; Values = values }, other) ->
                  let next = Values.ofPolicy mdp other

                  for bound in allBounds do
                      let lower = Bounds.value mdp values other bound
                      Expect.isFalse (Double.IsNaN lower) $"{bound}"
                      Expect.isTrue (next.Eta >= lower - Bounds.rounding values next) $"{bound}: {next.Eta} ≥ {lower}")

          propertyOf
              200
              "every bound is what the papers write"
              (pairs 0.99)
              (fun ({ Mdp = mdp; Values = values }, other) ->
                  for bound in allBounds do
                      let expected = written mdp values other bound
                      let found = Bounds.value mdp values other bound

                      if Double.IsFinite expected then
                          expectClose
                              (1e-11 * (1.0 + size mdp + abs expected) / (1.0 - mdp.Gamma))
                              found
                              expected
                              $"{bound}"
                      else // ∞, or 0 · ∞ where γ = 0
                          Expect.equal found -infinity $"{bound}")

          property
              "the range with the mean total variation is the tightest of the bounds with a total variation"
              (pairs 0.99)
              (fun ({ Mdp = mdp; Values = values }, other) ->
                  let value = Bounds.value mdp values other
                  let rounding = 1e-11 * (1.0 + size mdp) / (1.0 - mdp.Gamma) ** 2.0

                  for bound in [ Bound.Safe; Bound.MeanTotalVariation; Bound.TotalVariation ] do
                      Expect.isTrue (value Bound.SafeMean >= value bound - rounding) $"{bound}")

          propertyOf
              300
              "η of a mixture is above its bound and as near as the bound says, for any share"
              (Gen.zip (pairs 0.99) (Gen.choose (0, 60)))
              (fun (({ Mdp = mdp; Values = values }, other), n) ->
                  let alpha = if n = 60 then 0.0 else 10.0 ** (-float n / 10.0)
                  let mixture = TabularPolicy.mix alpha values.Policy other
                  let ofMixture = Values.ofPolicy mdp mixture
                  let eta = ofMixture.Eta
                  let l = Values.localApproximation values mixture
                  let lower = Bounds.ofMixture mdp values alpha other
                  let slack = 2.0 * epsilonOf mdp values other * mdp.Gamma / (1.0 - mdp.Gamma) ** 2.0 * alpha * alpha
                  let rounding = 1e-13 * (1.0 + size mdp) / (1.0 - mdp.Gamma)
                  expectClose (rounding + 1e-12 * slack) lower (l - slack) "L − 2εγα²/(1−γ)²"
                  expectClose (rounding + slack) eta l "η and L agree to first order"
                  Expect.isTrue (eta >= lower - Bounds.rounding values ofMixture) "η ≥ bound")

          property
              "a mixture is also a policy like any other"
              (Gen.zip (pairs 0.99) (Gen.choose (0, 10)))
              (fun (({ Mdp = mdp; Values = values }, other), tenths) ->
                  let alpha = float tenths / 10.0
                  let mixture = TabularPolicy.mix alpha values.Policy other
                  let tv = Divergence.maximum mdp (Divergence.tv values.Policy mixture)
                  let whole = Divergence.maximum mdp (Divergence.tv values.Policy other)
                  expectClose 1e-15 tv (alpha * whole) "D_TV^max is α of the whole"

                  Expect.equal
                      (Bounds.value mdp values other Bound.Mixture)
                      (Bounds.ofMixture mdp values 1.0 other)
                      "the whole way")

          property "every bound touches η at the policy itself" (cases 0.99) (fun { Mdp = mdp; Values = values } ->
              for bound in List.except [ Bound.Mixture ] allBounds do
                  expectClose
                      (1e-13 * (1.0 + size mdp) / (1.0 - mdp.Gamma))
                      (Bounds.value mdp values values.Policy bound)
                      values.Eta
                      $"{bound}")

          property
              "γ = 0: L is η, but an infinite KL still makes a bound −∞"
              (pairs 0.0)
              (fun ({ Mdp = mdp; Values = values }, other) ->
                  let l = Values.localApproximation values other
                  expectClose (1e-14 * (1.0 + size mdp)) (Values.ofPolicy mdp other).Eta l "L"
                  let isLost = Divergence.maximum mdp (Divergence.kl values.Policy other) = infinity

                  for bound in allBounds do
                      let isOfKl = bound = Bound.Kl || bound = Bound.KlPinsker
                      let expected = if isOfKl && isLost then -infinity else l
                      Expect.equal (Bounds.value mdp values other bound) expected $"{bound}")

          property "γ = 1: there is no bound but where nothing is to be lost" (Gen.zip key key) (fun (key, other) ->
              let loop reward =
                  FiniteMdp.create "once" 1.0 2 [| 1.0; 0.0 |] [| false; true |] (fun _ action ->
                      [ { Next = 0; Probability = 0.5; Reward = 0.0 }
                        { Next = 1; Probability = 0.5; Reward = reward * float action } ])
                  |> expectOk

              let value reward bound =
                  let mdp = loop reward
                  let values = Values.ofPolicy mdp (stochastic mdp key)
                  values.Eta, Bounds.value mdp values (stochastic mdp other) bound

              for bound in allBounds do
                  Expect.equal (snd (value 1.0 bound)) -infinity $"{bound}"
                  Expect.equal (value 0.0 bound) (0.0, 0.0) $"{bound}, where all is worth nothing"

              let mdp = loop 1.0
              let values = Values.ofPolicy mdp (stochastic mdp key)
              let standing = Bounds.ofMixture mdp values 0.0 (stochastic mdp other)

              let touching =
                  List.except [ Bound.Mixture ] allBounds |> List.map (Bounds.value mdp values values.Policy)

              for lower in standing :: touching do
                  expectClose 1e-14 lower values.Eta "who stays loses nothing")

          propertyOf
              200
              "a certificate says what its step was worth"
              (pairs 0.99)
              (fun ({ Mdp = mdp; Values = values }, other) ->
                  let next = Values.ofPolicy mdp other

                  for bound in allBounds do
                      let lower = Bounds.value mdp values other bound
                      let certificate = Bounds.certify mdp values next bound lower |> expectOk
                      let kl = Divergence.kl values.Policy other
                      let largest = Seq.max (numbersOf (Table.map abs values.Advantages))
                      Expect.equal (certificate.EtaBefore, certificate.EtaAfter) (values.Eta, next.Eta) "η"
                      Expect.equal (certificate.By, certificate.Lower) (bound, lower) "the bound"
                      Expect.equal certificate.L (Values.localApproximation values other) "L"
                      Expect.equal certificate.Epsilon largest "ε"

                      expectClose
                          (1e-14 * certificate.C)
                          certificate.C
                          (4.0 * largest * mdp.Gamma / (1.0 - mdp.Gamma) ** 2.0)
                          "C"

                      Expect.equal certificate.KlMax (Divergence.maximum mdp kl) "D_KL^max"
                      Expect.equal certificate.KlMean (Divergence.mean mdp values kl) "mean KL"

                      let gains = going mdp |> List.map (Table.rowDot other.Table values.Advantages)
                      Expect.equal certificate.AdvantageMin (List.min gains) "the least advantage"

                      if certificate.AdvantageMin >= 0.0 then
                          Expect.isTrue (next.Eta >= values.Eta - certificate.Rounding) "policy improvement theorem"

                      Expect.equal
                          certificate.TvMax
                          (Divergence.maximum mdp (Divergence.tv values.Policy other))
                          "D_TV^max"

                      Expect.isTrue
                          (certificate.KlMean <= certificate.KlMax * (1.0 + 1e-12) || certificate.KlMax = infinity)
                          "the mean is no more than the maximum")

          property
              "a guarantee that does not hold is an error, and NaN is none that holds"
              (pairs 0.99)
              (fun ({ Mdp = mdp; Values = values }, other) ->
                  let next = Values.ofPolicy mdp other

                  for lower in [ next.Eta + 1e-6 * (1.0 + size mdp) / (1.0 - mdp.Gamma); infinity; nan ] do
                      match Bounds.certify mdp values next Bound.Kl lower with
                      | Error(BrokenGuarantee(what, _)) -> Expect.equal what mdp.Name "whose"
                      | _ -> failtest $"{lower} was believed"

                  Expect.isOk (Bounds.certify mdp values next Bound.Kl next.Eta) "η itself is a bound of η") ]

let tests = testList "Exact bounds" [ divergences; bounding ]
