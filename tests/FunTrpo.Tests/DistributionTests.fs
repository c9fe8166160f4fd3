module FunTrpo.Tests.DistributionTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open MathNet.Numerics.Distributions
open FunTrpo
open FunTrpo.Tests.Generators

// ---- The members of a family on arrays ----

let private logProbability (family: Family) (p: float32[]) (action: float32[]) =
    family.LogProbability(ReadOnlySpan p, ReadOnlySpan action)

let private entropy (family: Family) (p: float32[]) = family.Entropy(ReadOnlySpan p)

let private kl (family: Family) (p: float32[]) (q: float32[]) = family.Kl(ReadOnlySpan p, ReadOnlySpan q)

let private score (family: Family) (p: float32[]) (action: float32[]) =
    let score = Array.create family.ParameterWidth nanf
    family.Score(ReadOnlySpan p, ReadOnlySpan action, Span score)
    score

/// The rows one after another, so far apart, with NaN between them.
let private spread stride (rows: float32[] list) =
    rows
    |> List.map (fun row -> Array.append row (Array.create (stride - row.Length) nanf))
    |> Array.concat

/// M u of each row, where rows are so far apart.
let private metricOfRows (family: Family) stride (p: float32[] list) (u: float32[] list) =
    let factors = Array.create (p.Length * stride) nanf
    let product = spread stride u
    family.Metric.Factors(p.Length, stride, ReadOnlySpan(spread stride p), Span factors)
    family.Metric.Apply(p.Length, stride, ReadOnlySpan factors, Span product)
    List.init p.Length (fun row -> Array.sub product (row * stride) family.ParameterWidth)

let private metric (family: Family) p u = metricOfRows family family.ParameterWidth [ p ] [ u ] |> List.head

let private sample (family: Family) (p: float32[]) key =
    let action = Array.create family.ActionWidth nanf
    family.Sample(ReadOnlySpan p, key, Span action)
    action

let private mode (family: Family) (p: float32[]) =
    let action = Array.create family.ActionWidth nanf
    family.Mode(ReadOnlySpan p, Span action)
    action

/// All actions of a space, where they can be counted.
let private allActions space =
    let rec countsOf space =
        match space with
        | Discrete count -> Some [ count ]
        | MultiDiscrete counts -> Some counts
        | MultiBinary count -> Some(List.replicate count 2)
        | Parts parts ->
            let counts = parts |> List.map (snd >> countsOf)
            if List.forall Option.isSome counts then Some(List.collect Option.get counts) else None
        | Box _
        | Masked _ -> None

    countsOf space
    |> Option.map (fun counts ->
        List.foldBack
            (fun count rests ->
                [ for choice in 0 .. count - 1 do
                      for rest in rests -> float32 choice :: rest ])
            counts
            [ [] ]
        |> List.map Array.ofList)

// ---- Exact properties ----

type private Case =
    { Kind: DistributionKind
      Space: Space
      P: float32[]
      Q: float32[]
      U: float32[]
      Key: Key }

    member this.Family = Distribution.forSpace this.Kind this.Space

    /// An action drawn from the first distribution.
    member this.Action = sample this.Family this.P this.Key

let private caseWith (scale: float) =
    gen {
        let! kind, space = distributedSpace
        let width = (Distribution.forSpace kind space).ParameterWidth
        let! p = numbers scale width
        let! q = numbers scale width
        let! u = numbers 1.0 width
        let! key = key

        return { Kind = kind; Space = space; P = p; Q = q; U = u; Key = key }
    }

/// How far the entropy of a squashed Gaussian may be from its integral: as far as `Squash.meanLogSlope` says.
let private errorOfEntropy case =
    if case.Kind = DistributionKind.SquashedGaussian then
        let ofGaussian = entropy (Distribution.forSpace DistributionKind.Gaussian case.Space) case.P
        let sigma = exp (float (Array.max case.P[case.P.Length / 2 ..]))
        let share = 0.02 * abs (entropy case.Family case.P - ofGaussian)

        if sigma <= 1.0 then 1e-6
        elif sigma <= 2.0 then 1e-3
        else 0.01 + share
    else
        0.0

/// The family of the numbers that are drawn, which squashed numbers are the tanh of.
let private drawnFamily case =
    match case.Kind with
    | DistributionKind.SquashedGaussian -> Distribution.forSpace DistributionKind.Gaussian case.Space
    | _ -> case.Family

/// Up to this, no expected value below loses its precision.
let private case = caseWith 2.0

let private largest = Array.fold (fun most (x: float) -> max most (abs x)) 1.0
let private dot (a: float32[]) (b: float32[]) = Array.fold2 (fun sum x y -> sum + float x * float y) 0.0 a b

/// The sum over all actions of p(action) · f(action).
let private expectation (case: Case) actions (f: float32[] -> float[]) =
    actions
    |> List.map (fun action ->
        let p = exp (logProbability case.Family case.P action)
        f action |> Array.map (fun x -> p * x))
    |> List.reduce (Array.map2 (+))

let private countable = case |> Gen.where (fun case -> (allActions case.Space).IsSome)

let private identities =
    testList
        "identities"
        [ property "KL(p ‖ p) = 0, exactly" case (fun case -> Expect.equal (kl case.Family case.P case.P) 0.0 "KL")
          property "KL(p ‖ q) ≥ 0, also where p and q nearly agree" case (fun case ->
              Expect.isGreaterThanOrEqual (kl case.Family case.P case.Q) 0.0 "far"
              let near = Array.map2 (fun p u -> p + 1e-4f * u) case.P case.U
              Expect.isGreaterThanOrEqual (kl case.Family case.P near) 0.0 "near"

              // Where the KL is far below 1e-14, rounding alone decides the sign of its sum.
              for scale in [ 1f; 1e-3f ] do
                  let p = case.P |> Array.map (fun x -> scale * x)
                  let next = Array.map MathF.BitIncrement p
                  Expect.isGreaterThanOrEqual (kl case.Family p next) 0.0 "one ulp away")
          property
              "total variation is 0 between equals and at most 1, and of one choice at most √(KL/2)"
              case
              (fun case ->
                  let tv (p: float32[]) (q: float32[]) =
                      Family.totalVariation case.Family (ReadOnlySpan p) (ReadOnlySpan q)

                  Expect.equal (tv case.P case.P) 0.0 "equals"
                  let found = tv case.P case.Q
                  Expect.isTrue (found >= 0.0 && found <= 1.0) $"{found}"

                  match case.Space with
                  | Discrete _ ->
                      let pinsker = sqrt (0.5 * kl case.Family case.P case.Q)
                      Expect.isLessThanOrEqual found (pinsker + 1e-9) "Pinsker"
                  | _ -> ())
          property
              "total variation of counted actions is ½ Σ |p − q|, or above it for several choices"
              countable
              (fun case ->
                  let probability p action = exp (logProbability case.Family p action)

                  let exact =
                      0.5
                      * (allActions case.Space
                         |> Option.get
                         |> List.sumBy (fun action -> abs (probability case.P action - probability case.Q action)))

                  let found = Family.totalVariation case.Family (ReadOnlySpan case.P) (ReadOnlySpan case.Q)
                  Expect.isGreaterThanOrEqual found (exact - 1e-12) "at least"

                  match case.Space with
                  | Discrete _ -> expectClose 1e-12 found exact "one choice"
                  | _ -> ())
          property
              "total variation of Gaussians with the same σ is at least 2 Φ(‖Δμ/σ‖/2) − 1"
              (Gen.zip (Gen.choose (1, 4)) seeds)
              (fun (dimensions, seed) ->
                  let numbers name = Key.normals dimensions (Key.ofSeed seed |> Key.named name) |> Array.map float32
                  let sigmas = numbers "σ"
                  let p, q = Array.append (numbers "p") sigmas, Array.append (numbers "q") sigmas
                  let apart i = (float p[i] - float q[i]) / exp (float sigmas[i])
                  let distance = sqrt (Seq.init dimensions (fun i -> apart i ** 2.0) |> Seq.sum)
                  let exact = 2.0 * Normal.CDF(0.0, 1.0, distance / 2.0) - 1.0
                  let family = Distribution.diagonalGaussian dimensions
                  let found = Family.totalVariation family (ReadOnlySpan p) (ReadOnlySpan q)
                  Expect.isGreaterThanOrEqual found (exact - 1e-6) "at least"
                  // √(KL/2) = ‖Δμ/σ‖/2, which is furthest above where it reaches 1.
                  Expect.isLessThanOrEqual found (1.47 * exact + 1e-6) "not far above")
          property "KL(p ‖ q), entropy and log p are those of float64" case (fun case ->
              let p, q = Oracle.constants case.P, Oracle.constants case.Q
              let expected = (Oracle.kl case.Kind case.Space p q).X
              expectClose (1e-12 * (1.0 + expected)) (kl case.Family case.P case.Q) expected "KL"
              let ofEntropy = (Oracle.entropy case.Kind case.Space p).X
              expectClose (1e-12 + errorOfEntropy case) (entropy case.Family case.P) ofEntropy "entropy"
              let logP = (Oracle.logProbability case.Kind case.Space p case.Action).X
              expectClose (1e-12 * (1.0 + abs logP)) (logProbability case.Family case.P case.Action) logP "log p")
          property "KL(p ‖ q) of near distributions is ½ uᵀMu to second order" case (fun case ->
              let step = 1e-3f
              let q = Array.map2 (fun p u -> p + step * u) case.P case.U
              let moved = Array.map2 (-) q case.P
              let model = 0.5 * dot moved (metric case.Family case.P moved)
              // The third derivatives of KL are a few times the metric, which is at most 1/σ².
              let cube = (moved |> Array.sumBy (fun x -> abs (float x))) ** 3.0
              let steepest = case.P |> Array.fold (fun most x -> max most (exp (2.0 * abs (float x)))) 2.0
              expectClose (10.0 * steepest * cube + 1e-11) (kl case.Family case.P q) model "KL")
          property "the score is the derivative of log p by dual numbers" case (fun case ->
              let action = case.Action

              let expected =
                  toFloats case.P |> Oracle.gradient (fun p -> Oracle.logProbability case.Kind case.Space p action)

              expectAllClose (1e-6 * largest expected) (score case.Family case.P action) expected "score")
          property "M u is the Hessian of KL(p ‖ ·) at p times u, by hyper-dual numbers" case (fun case ->
              let expected =
                  Oracle.hessianTimes
                      (Oracle.kl case.Kind case.Space (Oracle.constants case.P))
                      (toFloats case.P)
                      (toFloats case.U)

              expectAllClose (1e-6 * largest expected) (metric case.Family case.P case.U) expected "M u")
          property "M is symmetric and positive semi-definite" case (fun case ->
              let w = Array.map2 (-) case.Q case.P
              let mu, mw = metric case.Family case.P case.U, metric case.Family case.P w
              let scale = sqrt (dot mu mu * dot w w) + sqrt (dot mw mw * dot case.U case.U)
              expectClose (1e-6 * (1.0 + scale)) (dot w mu) (dot case.U mw) "⟨w, Mu⟩ = ⟨u, Mw⟩"
              Expect.isGreaterThanOrEqual (dot case.U mu) (-1e-6 * (1.0 + scale)) "⟨u, Mu⟩ ≥ 0")
          property
              "a row's M u has the same bits alone and in a block, whatever lies between the rows"
              (Gen.zip case (Gen.choose (0, 20)))
              (fun (case, gap) ->
                  let p, u = [ case.P; case.Q; case.P; case.U ], [ case.U; case.P; case.Q; case.U ]
                  let together = metricOfRows case.Family (case.P.Length + gap) p u
                  let alone = List.map2 (metric case.Family) p u
                  Expect.equal (List.map bitsOf together) (List.map bitsOf alone) "bits")
          property "the metric of values is 1" case (fun case ->
              let u = Array.copy case.U
              let one = Metric.identity
              one.Factors(1, u.Length, ReadOnlySpan case.P, Span(Array.create u.Length nanf))
              one.Apply(1, u.Length, ReadOnlySpan(Array.create u.Length nanf), Span u)
              Expect.equal (bitsOf u) (bitsOf case.U) "1 u")
          property
              "no action is more probable than the mode"
              (Gen.zip case (Gen.listOfLength 20 key))
              (fun (case, keys) ->
                  let best = mode case.Family case.P
                  let drawn = keys |> List.map (sample case.Family case.P)

                  for action in defaultArg (allActions case.Space) drawn do
                      Expect.isLessThanOrEqual
                          (logProbability (drawnFamily case) case.P action)
                          (logProbability (drawnFamily case) case.P best)
                          "log p")
          property "a sample belongs to the space of an unbounded box or of counted actions" case (fun case ->
              let rec unbounded space =
                  match space with
                  | Box(low, _, _) -> Space.box low.Length -infinity infinity
                  | Parts parts -> Parts [ for name, part in parts -> name, unbounded part ]
                  | counted -> counted

              let space = unbounded case.Space
              Expect.isTrue (Space.contains space (ReadOnlySpan case.Action)) "contained"
              Expect.isTrue (Space.contains space (ReadOnlySpan(mode case.Family case.P))) "the mode")
          property "the same key gives the same action" case (fun case ->
              Expect.equal (bitsOf (sample case.Family case.P case.Key)) (bitsOf case.Action) "bits") ]

let private enumerations =
    testList
        "sums over all actions"
        [ property "the probabilities sum to 1" countable (fun case ->
              let total = expectation case (allActions case.Space).Value (fun _ -> [| 1.0 |])
              expectClose 1e-12 total[0] 1.0 "Σ p")
          property "E[−log p] is the entropy" countable (fun case ->
              let mean =
                  expectation case (allActions case.Space).Value (fun action ->
                      [| -(logProbability case.Family case.P action) |])

              expectClose 1e-12 (entropy case.Family case.P) mean[0] "entropy")
          property "E[log p − log q] is KL(p ‖ q)" countable (fun case ->
              let mean =
                  expectation case (allActions case.Space).Value (fun action ->
                      [| logProbability case.Family case.P action - logProbability case.Family case.Q action |])

              expectClose 1e-12 (kl case.Family case.P case.Q) mean[0] "KL")
          property "E[score] = 0 and E[score scoreᵀ] u = M u" countable (fun case ->
              let actions = (allActions case.Space).Value
              let mean = expectation case actions (score case.Family case.P >> toFloats)
              expectAllClose 1e-6 (Array.map float32 mean) (Array.zeroCreate mean.Length) "E[score]"

              let second =
                  expectation case actions (fun action ->
                      let s = score case.Family case.P action
                      let su = dot s case.U
                      s |> Array.map (fun x -> float x * su))

              expectAllClose 1e-6 (metric case.Family case.P case.U) second "M u") ]

// ---- Extreme parameters ----

let private extremes =
    let extreme = Gen.elements [ 0f; 1f; 80f; -80f; 1e4f; -1e4f; 1e30f; -1e30f ]

    let categoricals =
        gen {
            let! space = actionSpace |> Gen.where (fun space -> not space.IsBox)
            let width = (Distribution.forSpace DistributionKind.Gaussian space).ParameterWidth
            let! p = Gen.arrayOfLength width extreme
            let! q = Gen.arrayOfLength width extreme
            return space, p, q
        }

    // A box has a density, which may be arbitrarily low for an action that is drawn often.
    let choices = categoricals |> Gen.where (fun (space, _, _) -> (allActions space).IsSome)

    let gaussians =
        gen {
            let! dimensions = Gen.choose (1, 3)
            let logSigma = Gen.elements [ -40f; -20f; -1f; 0f; 5f; 20f; 40f ]
            let! means = Gen.arrayOfLength dimensions (Gen.elements [ 0f; 1f; -80f; 1e4f ])
            let! p = Gen.arrayOfLength dimensions logSigma
            let! q = Gen.arrayOfLength dimensions logSigma
            return Space.box dimensions -1.0 1.0, Array.append means p, Array.append means q
        }

    let isDefined (space, p, q) =
        let family = Distribution.forSpace DistributionKind.Gaussian space
        let action = sample family p (Key.ofSeed 5L)
        let isNumber (x: float) what = Expect.isFalse (Double.IsNaN x) $"%s{what} is a number"
        let areNumbers values what = values |> Array.iter (fun x -> isNumber (float (x: float32)) what)

        isNumber (kl family p q) "KL(p ‖ q)"
        Expect.isGreaterThanOrEqual (kl family p q) 0.0 "KL(p ‖ q)"
        Expect.equal (kl family p p) 0.0 "KL(p ‖ p)"
        isNumber (entropy family p) "the entropy"
        isNumber (logProbability family p action) "log p"
        areNumbers action "an action"
        areNumbers (mode family p) "the mode"
        areNumbers (score family p action) "the score"
        areNumbers (metric family p (Array.create p.Length 1f)) "M u"

    testList
        "extreme parameters"
        [ property "logits up to ±1e30 give numbers" categoricals isDefined
          property "an impossible choice is never taken" choices (fun (space, p, _) ->
              let family = Distribution.forSpace DistributionKind.Gaussian space

              for seed in 1L .. 20L do
                  let action = sample family p (Key.ofSeed seed)
                  Expect.isGreaterThan (logProbability family p action) -50.0 "log p")
          property "log σ between −40 and 40 gives numbers" gaussians isDefined

          property
              "log σ beyond a bound is the bound, and only the derivative that leads back is left"
              gaussians
              (fun (space, p, q) ->
                  let family = Distribution.forSpace DistributionKind.Gaussian space
                  let dimensions = p.Length / 2

                  let within (p: float32[]) =
                      p
                      |> Array.mapi (fun i x ->
                          if i < dimensions then
                              x
                          else
                              Math.Clamp(x, Distribution.lowestLogSigma, Distribution.highestLogSigma))

                  let action = sample family p (Key.ofSeed 5L)
                  Expect.equal action (sample family (within p) (Key.ofSeed 5L)) "action"
                  Expect.equal (logProbability family p action) (logProbability family (within p) action) "log p"
                  Expect.equal (entropy family p) (entropy family (within p)) "entropy"
                  Expect.equal (kl family p q) (kl family (within p) (within q)) "KL"
                  let free = score family (Array.create p.Length 0f) (Array.zeroCreate dimensions)
                  Expect.equal free[dimensions] -1f "within the bounds, an action at the mean asks for a smaller σ"

                  for i in dimensions .. p.Length - 1 do
                      let isLowest, isHighest =
                          p[i] <= Distribution.lowestLogSigma, p[i] >= Distribution.highestLogSigma

                      let scored = (score family p action)[i]
                      Expect.isFalse (isLowest && scored < 0f || isHighest && scored > 0f) "outward"
                      let gradient = Array.zeroCreate<float32> p.Length
                      family.EntropyGradient(ReadOnlySpan p, gradient.AsSpan())
                      Expect.equal gradient[i] (if isHighest then 0f else 1f) "entropy") ]

// ---- Statistics, each on fixed keys ----

/// Fails unless the mean of the numbers is within five standard errors of what is expected.
let private expectMean (values: float[]) expected what =
    let mean = Array.average values
    let variance = values |> Array.averageBy (fun x -> (x - mean) ** 2.0)
    let error = sqrt (variance / float values.Length)
    expectClose (5.0 * error + 1e-6) mean expected what

let private samples = 20_000

let private draw family p =
    let key = Key.ofSeed 2027L
    Array.init samples (fun i -> sample family p (Key.at (int64 i) key))

/// Fails unless χ² of the counts is below a bound that is exceeded once in a million times.
let private expectFrequencies (counts: int[]) (probabilities: float[]) =
    let expected = probabilities |> Array.map (fun p -> p * float (Array.sum counts))
    Expect.all expected (fun count -> count > 5.0) "enough is expected of each"

    let chiSquared =
        Array.map2 (fun count mean -> (float count - mean) ** 2.0 / mean) counts expected |> Array.sum

    let bound = ChiSquared.InvCDF(float (counts.Length - 1), 1.0 - 1e-6)
    Expect.isLessThan chiSquared bound "χ²"

/// The probability that a number drawn for coordinate i is at most this one.
let private distributionFunction kind (p: float32[]) i (drawn: float32) =
    let first, second = float p[i], float p[p.Length / 2 + i]

    if kind = DistributionKind.Beta then
        let shape output = 1.0 + log (1.0 + exp output)
        Beta.CDF(shape first, shape second, 1.0 / (1.0 + exp (-2.0 * float drawn)))
    else
        Normal.CDF(first, exp second, float drawn)

let private statisticsOf name kind space (p: float32[]) (q: float32[]) =
    let family = Distribution.forSpace kind space
    let actions = lazy draw family p

    testList
        name
        [ match allActions space with
          | Some all ->
              testCase "actions are drawn as often as they are probable, choices independently" (fun () ->
                  let drawn = actions.Value |> Array.countBy id |> Map.ofArray
                  let counts = all |> List.map (fun action -> defaultArg (drawn.TryFind action) 0)
                  Expect.equal (List.sum counts) samples "every action is one of all"

                  expectFrequencies
                      (Array.ofList counts)
                      (all |> List.map (logProbability family p >> exp) |> Array.ofList))
          | None ->
              let dimensions = p.Length / 2

              let quantiles = lazy (actions.Value |> Array.map (Array.mapi (distributionFunction kind p)))

              testCase "actions fill the quantiles of the distribution evenly" (fun () ->
                  for i in 0 .. dimensions - 1 do
                      let bins = 50
                      let counts = Array.zeroCreate bins

                      for quantile in quantiles.Value do
                          let bin = int (float bins * quantile[i])
                          counts[min (bins - 1) bin] <- counts[min (bins - 1) bin] + 1

                      expectFrequencies counts (Array.create bins (1.0 / float bins)))

              testCase "dimensions are independent" (fun () ->
                  for i in 0 .. dimensions - 1 do
                      for j in 0 .. i - 1 do
                          let product (quantile: float[]) = (quantile[i] - 0.5) * (quantile[j] - 0.5)
                          expectMean (quantiles.Value |> Array.map product) 0.0 $"the product of {i} and {j}")
          testCase "the mean of −log p is the entropy" (fun () ->
              let values = actions.Value |> Array.map (fun action -> -(logProbability family p action))
              expectMean values (entropy family p) "entropy")
          testCase "the mean of log p − log q is KL(p ‖ q)" (fun () ->
              let values =
                  actions.Value
                  |> Array.map (fun action -> logProbability family p action - logProbability family q action)

              expectMean values (kl family p q) "KL")
          testCase "the score has mean 0, and its second moments are the metric" (fun () ->
              let scores = actions.Value |> Array.map (score family p >> toFloats)

              for i in 0 .. p.Length - 1 do
                  expectMean (scores |> Array.map (fun s -> s[i])) 0.0 $"E[s{i}]"
                  let column = metric family p (Oracle.unit p.Length i |> Array.map float32)

                  for j in 0 .. p.Length - 1 do
                      expectMean (scores |> Array.map (fun s -> s[i] * s[j])) (float column[j]) $"E[s{i} s{j}]") ]

let private statistics =
    testList
        "sampling"
        [ statisticsOf
              "categorical"
              DistributionKind.Gaussian
              (Discrete 4)
              [| 0.3f; -1.2f; 1.1f; 0f |]
              [| 0f; 0.5f; 0.5f; -0.5f |]
          statisticsOf
              "categoricals"
              DistributionKind.Gaussian
              (MultiDiscrete [ 3; 1; 2 ])
              [| 0.3f; -1.2f; 1.1f; 0.7f; -0.4f; 0.4f |]
              [| 0f; 0f; 0.5f; 0.1f; 0.2f; -0.3f |]
          statisticsOf
              "binary"
              DistributionKind.Gaussian
              (MultiBinary 3)
              [| 0.3f; -0.2f; 1.1f; 0f; -0.4f; 0.9f |]
              [| 0f; 0f; 0.5f; 1f; 0.2f; -0.3f |]
          statisticsOf
              "squashed Gaussian"
              DistributionKind.SquashedGaussian
              (Space.box 3 -1.0 1.0)
              [| 0.5f; -2f; 1f; 0.4f; -1f; 0f |]
              [| 0.2f; -2.1f; 0.9f; 0.5f; -0.9f; 0.2f |]
          statisticsOf
              "Beta"
              DistributionKind.Beta
              (Space.box 3 -1.0 1.0)
              [| 0.5f; -2f; 9f; 0.4f; -1f; 30f |]
              [| 0.2f; -2.1f; 9.5f; 0.5f; -0.9f; 29f |]
          statisticsOf
              "diagonal Gaussian"
              DistributionKind.Gaussian
              (Space.box 3 -1.0 1.0)
              [| 0.5f; -2f; 10f; 0.4f; -1f; 0f |]
              [| 0.2f; -2.1f; 9.5f; 0.5f; -0.9f; 0.2f |] ]

let tests = testList "distributions" [ identities; enumerations; extremes; statistics ]
