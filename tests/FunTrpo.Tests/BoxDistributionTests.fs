/// State-dependent Gaussians, squashed Gaussians and Beta distributions of actions in a box: what only they promise, and all that plays or
/// stores policies with them. `DistributionTests.fs` compares them with the oracle, as all families.
module FunTrpo.Tests.BoxDistributionTests

open System
open System.IO
open Expecto
open FsCheck.FSharp
open MathNet.Numerics
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.PolicyFileCases
open FunTrpo.Tests.Tasks
open FunTrpo.Tests.TestFiles

let private others =
    Distribution.kinds |> List.filter (fun (_, kind) -> kind <> DistributionKind.Gaussian)

let private squashing = others |> List.filter (snd >> Distribution.isSquashed)

let private one = Space.box 1 -1.0 1.0

// ---- Special functions ----

let private positive =
    seeds |> Gen.map (fun seed -> exp (Key.uniformIn (log 1e-3) (log 1e7) (Key.ofSeed seed)))

let private specialFunctions =
    testList
        "special functions"
        [ property "log Γ and ψ are those of Math.NET" positive (fun x ->
              let expectSame found expected what = expectClose (1e-13 * (1.0 + abs expected)) found expected what
              expectSame (FunTrpo.SpecialFunctions.lnGamma x) (SpecialFunctions.GammaLn x) "log Γ"
              expectSame (FunTrpo.SpecialFunctions.digamma x) (SpecialFunctions.DiGamma x) "ψ")
          property "ψ′ is the slope of ψ, and ψ′(x) = ψ′(x + 1) + 1/x²" positive (fun x ->
              let trigamma = FunTrpo.SpecialFunctions.trigamma
              let step = 1e-3 * x
              let at k = SpecialFunctions.DiGamma(x + float k * step)
              let slope = (8.0 * (at 1 - at -1) - (at 2 - at -2)) / (12.0 * step)
              // Differences of ψ lose what its size has more digits than its change.
              expectClose (1e-8 * slope + 1e-12 * (1.0 + abs (at 0)) / step) (trigamma x) slope "slope"
              expectClose (1e-13 * trigamma x) (trigamma x) (trigamma (x + 1.0) + 1.0 / (x * x)) "recurrence")
          test "ψ′(1) = π²/6 and ψ′(½) = π²/2" {
              let square = Math.PI * Math.PI
              expectClose 1e-14 (FunTrpo.SpecialFunctions.trigamma 1.0) (square / 6.0) "at 1"
              expectClose 1e-14 (FunTrpo.SpecialFunctions.trigamma 0.5) (square / 2.0) "at ½"
          }
          property
              "quantiles of Student's t are those of Math.NET"
              (Gen.zip (Gen.oneof [ Gen.choose (1, 9); Gen.choose (10, 5000) ]) (Gen.choose (0, 99)))
              (fun (degrees, percent) ->
                  let level = 0.5 + 0.005 * float percent
                  let expected = Distributions.StudentT.InvCDF(0.0, 1.0, float degrees, level)
                  let found = FunTrpo.SpecialFunctions.studentQuantile degrees level
                  expectClose (1e-8 * (1.0 + abs expected)) found expected "quantile")
          test "the 95 % quantiles of Student's t are those of its tables" {
              for degrees, expected in [ 1, 6.314; 2, 2.920; 3, 2.353; 10, 1.812; 30, 1.697; 120, 1.658 ] do
                  expectClose 5e-4 (FunTrpo.SpecialFunctions.studentQuantile degrees 0.95) expected $"{degrees}"
          }
          property "softplus is log(1 + eˣ), and its slope is logistic" (numbers 20.0 1) (fun x ->
              let x = float x[0]
              let expected = max x 0.0 + Math.Log(1.0 + exp -(abs x))
              expectClose (1e-15 * (1.0 + abs x)) (FunTrpo.SpecialFunctions.softplus x) expected "softplus"
              expectClose 1e-14 (FunTrpo.SpecialFunctions.logistic x) (exp (x - expected)) "logistic")
          test "softplus and log(1 + x) lose no small number" {
              expectClose 1e-38 (FunTrpo.SpecialFunctions.softplus -80.0) (exp -80.0) "softplus"
              Expect.equal (FunTrpo.SpecialFunctions.log1p 1e-20) 1e-20 "log(1 + x)"
          } ]

// ---- Integrals over the actions of one coordinate ----

type private Case =
    { Kind: DistributionKind
      P: float32[]
      Q: float32[]
      U: float32[] }

    member this.Family = Distribution.forSpace this.Kind one

/// Distributions whose densities the rule below integrates: no σ is above e or below e⁻².
let private cases =
    gen {
        let! _, kind = Gen.elements squashing
        let bounded = numbers 1.5 2 |> Gen.map (Array.map (fun x -> Math.Clamp(x, -2f, 1f)))
        let! p = bounded
        let! q = bounded
        let! u = numbers 1.0 2
        return { Kind = kind; P = p; Q = q; U = u }
    }

/// ∫ p(a) f(u) da over all actions a = tanh u, by the trapezoidal rule in u, with da/du = 1/cosh² u.
let private integral (case: Case) (f: float32[] -> float[]) =
    let step = 1.0 / 64.0

    [| -18.0 .. step .. 18.0 |]
    |> Array.map (fun u ->
        // Where float32 has this u exactly.
        let action = [| float32 u |]
        let density = exp (case.Family.LogProbability(ReadOnlySpan case.P, ReadOnlySpan action))
        f action |> Array.map (fun value -> value * density * step / (cosh u * cosh u)))
    |> Array.reduce (Array.map2 (+))

let private score (family: Family) (p: float32[]) (action: float32[]) =
    let score = Array.zeroCreate<float32> p.Length
    family.Score(ReadOnlySpan p, ReadOnlySpan action, score.AsSpan())
    toFloats score

let private metricTimes (family: Family) (p: float32[]) (u: float32[]) =
    let factors, product = Array.zeroCreate<float32> p.Length, Array.copy u
    family.Metric.Factors(1, p.Length, ReadOnlySpan p, factors.AsSpan())
    family.Metric.Apply(1, p.Length, ReadOnlySpan factors, product.AsSpan())
    product

let private integrals =
    testList
        "integrals over a in (−1, 1)"
        [ property "the density has the integral 1" cases (fun case ->
              let total = integral case (fun _ -> [| 1.0 |])
              expectClose 1e-6 total[0] 1.0 "∫ p")
          property "−∫ p log p is the entropy" cases (fun case ->
              let logP (action: float32[]) = case.Family.LogProbability(ReadOnlySpan case.P, ReadOnlySpan action)
              let expected = integral case (fun action -> [| -(logP action) |])
              expectClose 1e-2 (case.Family.Entropy(ReadOnlySpan case.P)) expected[0] "entropy")
          property "∫ p (log p − log q) is KL(p ‖ q)" cases (fun case ->
              let logOf (p: float32[]) (action: float32[]) =
                  case.Family.LogProbability(ReadOnlySpan p, ReadOnlySpan action)

              let expected = integral case (fun a -> [| logOf case.P a - logOf case.Q a |])
              let kl = case.Family.Kl(ReadOnlySpan case.P, ReadOnlySpan case.Q)
              expectClose (1e-5 * (1.0 + expected[0])) kl expected[0] "KL")
          property "E[score] = 0, and E[score scoreᵀ] u = M u" cases (fun case ->
              let scoreOf = score case.Family case.P
              let mean = integral case scoreOf
              expectAllClose 1e-4 (Array.map float32 mean) [| 0.0; 0.0 |] "E[score]"

              let second =
                  integral case (fun action ->
                      let s = scoreOf action
                      let along = s[0] * float case.U[0] + s[1] * float case.U[1]
                      Array.map (fun x -> along * x) s)

              let scale = second |> Array.fold (fun most x -> max most (abs x)) 1.0
              expectAllClose (1e-4 * scale) (metricTimes case.Family case.P case.U) second "M u")
          property "the gradient of the entropy is that of the integral" cases (fun case ->
              let gradient = Array.zeroCreate<float32> 2
              case.Family.EntropyGradient(ReadOnlySpan case.P, gradient.AsSpan())
              let expected = toFloats case.P |> Oracle.gradient (Oracle.entropy case.Kind one)
              let tolerance = if case.Kind = DistributionKind.Beta then 1e-6 else 1e-2
              expectAllClose tolerance gradient expected "∂H")
          property "for σ ≤ 1, the entropy of a squashed Gaussian has six digits" (numbers 1.0 2) (fun p ->
              let p = [| p[0]; -(abs p[1]) |]
              let kind = DistributionKind.SquashedGaussian
              let family = Distribution.forSpace kind one
              let expected = (Oracle.entropy kind one (Oracle.constants p)).X
              expectClose 1e-6 (family.Entropy(ReadOnlySpan p)) expected "entropy"
              let gradient = Array.zeroCreate<float32> 2
              family.EntropyGradient(ReadOnlySpan p, gradient.AsSpan())
              expectAllClose 2e-6 gradient (toFloats p |> Oracle.gradient (Oracle.entropy kind one)) "∂H") ]

// ---- What only these promise ----

let private ofFamily (family: Family) (p: float32[]) (q: float32[]) key =
    let action, mode =
        Array.zeroCreate<float32> family.ActionWidth, Array.zeroCreate<float32> family.ActionWidth

    family.Sample(ReadOnlySpan p, key, action.AsSpan())
    family.Mode(ReadOnlySpan p, mode.AsSpan())
    let gradient = Array.zeroCreate<float32> p.Length
    family.EntropyGradient(ReadOnlySpan p, gradient.AsSpan())

    action,
    mode,
    score family p action,
    family.Kl(ReadOnlySpan p, ReadOnlySpan q),
    metricTimes family p (Array.create p.Length 1f),
    family.Entropy(ReadOnlySpan p),
    family.LogProbability(ReadOnlySpan p, ReadOnlySpan action),
    gradient

let private extremeOutputs =
    let output = Gen.elements [ 0f; 3f; -19f; -20f; -21f; -1e30f; 1e3f; 1e6f; 1e7f; 1e30f ]
    Gen.zip3 (Gen.arrayOfLength 2 output) (Gen.arrayOfLength 2 output) key

let private families =
    testList
        "families"
        [ property
              "a squashed Gaussian differs from a Gaussian in densities and entropies only"
              (Gen.zip3 (numbers 2.0 6) (numbers 2.0 6) key)
              (fun (p, q, key) ->
                  let squashed, gaussian = Distribution.squashedGaussian 3, Distribution.diagonalGaussian 3
                  let action, mode, score, kl, metric, _, _, _ = ofFamily squashed p q key
                  let action', mode', score', kl', metric', _, _, _ = ofFamily gaussian p q key
                  Expect.equal (action, mode, score, kl, metric) (action', mode', score', kl', metric') "bits")
          property "outputs of any size give finite numbers" extremeOutputs (fun (p, q, key) ->
              let family = Distribution.betas 1
              let action, mode, score, kl, metric, entropy, logP, gradient = ofFamily family p q key
              let numbers = Array.concat [ toFloats action; toFloats mode; score; toFloats metric; toFloats gradient ]
              Expect.all (Array.append numbers [| kl; entropy; logP |]) Double.IsFinite "finite"
              Expect.isGreaterThanOrEqual kl 0.0 "KL"
              Expect.equal (family.Kl(ReadOnlySpan p, ReadOnlySpan p)) 0.0 "KL(p ‖ p)")
          property
              "an output beyond a bound is the bound, and only the derivative that leads back is left"
              extremeOutputs
              (fun (p, q, key) ->
                  let family = Distribution.betas 1
                  let within = Array.map (fun x -> Math.Clamp(x, BetaFamily.lowestOutput, BetaFamily.highestOutput))
                  let action, mode, score, kl, metric, entropy, logP, gradient = ofFamily family p q key
                  let action', mode', _, kl', metric', entropy', logP', _ = ofFamily family (within p) (within q) key
                  Expect.equal (action, mode, kl, metric) (action', mode', kl', metric') "actions, KL, M"
                  Expect.equal (entropy, logP) (entropy', logP') "entropy, log p"

                  for i in 0..1 do
                      for derivative in [ score[i]; float gradient[i] ] do
                          let isOutward =
                              p[i] <= BetaFamily.lowestOutput && derivative < 0.0
                              || p[i] >= BetaFamily.highestOutput && derivative > 0.0

                          Expect.isFalse isOutward "outward")
          property
              "every action of a squashing distribution is in the box, however wide it is"
              (Gen.zip3 (Gen.elements squashing) (numbers 30.0 6) key)
              (fun ((_, kind), p, key) ->
                  let space =
                      Space.between
                          (Vector.ofArray [| -2f; 999f; Single.MinValue |])
                          (Vector.ofArray [| 2f; 1001f; Single.MaxValue |])

                  let policy = Policy.createWith kind [] 0.0 false (numbersOf 1) space
                  let p = p |> Array.map (fun x -> Math.Clamp(x, -10f, 10f))
                  let drawn, mode, _, _, _, _, _, _ = ofFamily policy.Family p p key

                  for row in [ drawn; mode ] do
                      let action = Array.zeroCreate<float32> 3
                      Policy.toAction policy (ReadOnlySpan row) (action.AsSpan())
                      Expect.isTrue (Space.contains space (ReadOnlySpan action)) "inside") ]

// ---- Policies ----

let private misfits =
    [ Space.box 2 -1.0 infinity, squashing
      Space.box 1 -infinity infinity, squashing
      Discrete 3, others
      MultiBinary 2, others ]

let private policies =
    testList
        "policies"
        [ test "each log σ starts at initialLogSigma, also in a table of indices" {
              for name, kind in Distribution.kinds |> List.filter (fun (_, kind) -> kind <> DistributionKind.Beta) do
                  for space in [ numbersOf 3; Discrete 4; MultiDiscrete [ 2; 3 ] ] do
                      for layers in [ []; Architecture.uniform [ 5 ] Activation.Tanh ] do
                          let policy = Policy.createWith kind layers -1.5 true space (Space.box 2 -1.0 1.0)
                          let parameters = policy.Network.Initialise(Key.ofSeed 3L)
                          let observation = Space.sample space (Key.ofSeed 4L) |> Vector.toArray
                          let row = (Network.forward policy.Network parameters (Matrix.ofRows [| observation |])).Row 0
                          let what = $"{name} {Space.describe space}"
                          expectAllClose 0.1 (row.ToArray()) [| 0.0; 0.0; -1.5; -1.5 |] what
                          let free = if kind = DistributionKind.StateDependentGaussian then 0 else 2

                          Expect.equal
                              (Policy.logSigmas policy parameters).Length
                              free
                              $"state-independent log σ: {what}"
          }
          test "the number of parameters is known before a policy is made" {
              for _, kind in Distribution.kinds do
                  let layers = Architecture.uniform [ 5 ] Activation.Tanh
                  let policy = Policy.createWith kind layers 0.0 true (numbersOf 3) (Space.box 2 -1.0 1.0)
                  let count = Policy.parameterCount kind layers (numbersOf 3) (Space.box 2 -1.0 1.0)
                  Expect.equal count (float policy.Network.ParameterCount) "count"
          }
          test "outputs that are not numbers are refused, and nothing is drawn from them" {
              for name, kind in Distribution.kinds do
                  let policy = Policy.createWith kind [] 0.0 true (numbersOf 2) one
                  let parameters = policy.Network.Initialise(Key.ofSeed 1L)
                  let actor = { Policy = policy; Parameters = parameters; Normaliser = Unnormalised }
                  let player = InferencePolicy actor
                  let observation = Vector.ofArray [| nanf; 0f |]

                  Expect.throwsT<ArithmeticException>
                      (fun () -> player.Sample(observation, Key.ofSeed 2L) |> ignore)
                      name

                  let action = Array.zeroCreate<float32> policy.Family.ActionWidth
                  let outputs = Array.create policy.Family.ParameterWidth nanf
                  policy.Family.Sample(ReadOnlySpan outputs, Key.ofSeed 2L, action.AsSpan())
                  Expect.all action Single.IsNaN $"{name}, of the family"
          }
          test "actions that a distribution is not for are refused, naming the setting" {
              for space, kinds in misfits do
                  let environment =
                      { new Wrapped<Timed<CartPole.State>>(CartPole.environment) with
                          override _.ActionSpace = space }

                  for name, kind in kinds do
                      match Setup.create 1 { small with Distribution = kind } environment with
                      | Error(InvalidSetting("distribution", value, why)) ->
                          Expect.equal value name "value"
                          Expect.stringContains why (Space.describe space) "the actions"
                          Expect.stringContains why environment.Id "the environment"
                      | other -> failtest $"%A{other |> Result.map ignore}"

                      Expect.throwsT<ArgumentException>
                          (fun () -> Policy.createWith kind [] 0.0 true (numbersOf 1) space |> ignore)
                          "a policy"
          }
          test "training does not start from a policy with another distribution" {
              let setup kind = setupOf 1 { small with Distribution = kind } Pendulum.environment
              let gaussian = setup DistributionKind.Gaussian
              let actor = TrainingState.actor gaussian (TrainingState.start gaussian 1L)

              match TrainingState.startFrom (setup DistributionKind.SquashedGaussian) 1L actor with
              | Error(InvalidSetting("distribution", _, _)) -> ()
              | other -> failtest $"%A{other |> Result.map ignore}"
          } ]

let private savedOf kind actionSpace =
    let policy =
        Policy.createWith kind (Architecture.uniform [ 2 ] Activation.Tanh) -0.5 true (numbersOf 2) actionSpace

    { Environment = "Example-v0"
      Actor =
        { Policy = policy
          Parameters = policy.Network.Initialise(Key.ofSeed 1L)
          Normaliser = Unnormalised } }

let private files =
    testList
        "files"
        [ test "only a policy with a distribution of its own has one in its file, and version 4" {
              for name, kind in Distribution.kinds do
                  let node = PolicyFile.print (savedOf kind one) |> Text.Json.Nodes.JsonNode.Parse
                  let isStandard = (kind = DistributionKind.Gaussian)
                  Expect.equal (node["version"].GetValue<int>()) (if isStandard then 3 else 4) "version"
                  Expect.equal (isNull node["distribution"]) isStandard "distribution"

                  if not isStandard then
                      Expect.equal (node["distribution"].GetValue<string>()) name "name"
          }
          test "a distribution that is unknown or does not fit is refused, by the library and by FunTrpo.Inference" {
              let unbounded = savedOf DistributionKind.Gaussian (Space.box 1 -1.0 infinity)

              for saved, name in
                  [ savedOf DistributionKind.Beta one, "cauchy"
                    unbounded, "beta"
                    unbounded, "squashed-gaussian"
                    savedOf DistributionKind.Gaussian (Discrete 2), "state-dependent-gaussian" ] do
                  let text =
                      saved |> resealed (fun node -> node["distribution"] <- Text.Json.Nodes.JsonValue.Create name)

                  Expect.isTrue (isRefused "x" (PolicyFile.parse "x" text)) name

                  Expect.throwsT<InvalidDataException> (fun () -> FunTrpo.Inference.Policy.FromJson text |> ignore) name
          }
          test "what FunTrpo.Inference draws has the mean and the deviation of the distribution" {
              for name, kind in others do
                  let saved = savedOf kind (Space.box 1 5.0 9.0)
                  let player = FunTrpo.Inference.Policy.FromJson(PolicyFile.print saved)
                  let library = InferencePolicy saved.Actor
                  let observation = [| 0.3f; -0.7f |]
                  let random = Random 7
                  let count = 20_000

                  let drawn (draw: int -> float32[] -> unit) =
                      Array.init count (fun i ->
                          let action = [| 0f |]
                          draw i action
                          float action[0])

                  let ofPlayer =
                      drawn (fun _ action -> player.Sample(ReadOnlySpan observation, random, action.AsSpan()))

                  let ofLibrary =
                      drawn (fun i action ->
                          library.Sample(ReadOnlySpan observation, Key.ofSeed (int64 i), action.AsSpan()))

                  let mean, deviation = Array.average ofLibrary, sqrt (Statistics.Statistics.Variance ofLibrary)
                  let error = deviation / sqrt (float count)
                  expectClose (7.0 * error) (Array.average ofPlayer) mean $"{name}: mean"

                  expectClose
                      (0.05 * deviation)
                      (sqrt (Statistics.Statistics.Variance ofPlayer))
                      deviation
                      $"{name}: deviation"

                  Expect.all ofPlayer (fun action -> 5.0 <= action && action <= 9.0) "inside"
          } ]

// ---- Training ----

let private configuration kind =
    { Configuration.standard with
        Environments = 4
        Horizon = 512
        Gamma = 0.95
        Lambda = 0.9
        Delta = 0.02
        NormaliseObservations = false
        DampedLength = true
        Distribution = kind }

let private training =
    testList
        "training"
        [ for name, kind in others do
              test $"{name} learns to swing a pendulum up" {
                  let setup = setupOf 2 (configuration kind) Pendulum.environment
                  let reports = iterations 26 setup (TrainingState.start setup 1L)
                  let mean states = last states |> TrainingState.meanReturn |> Option.get
                  let first, learned = mean (List.truncate 3 reports), mean reports
                  Expect.isGreaterThan learned (first + 200.0) "the mean return"
              }

              test $"{name}: threads change no bit, and neither does a checkpoint on the way" {
                  inFolder (fun folder ->
                      let configuration = { small with Distribution = kind; EntropyBonus = 0.01 }
                      let on threads = setupOf threads configuration Pendulum.environment
                      let setup = on 1
                      let straight = iterations 4 setup (TrainingState.start setup 2L) |> last
                      let threaded = iterations 4 (on 3) (TrainingState.start setup 2L) |> last
                      Expect.isTrue (same threaded.PolicyParameters straight.PolicyParameters) "three threads"
                      let path = Path.Combine(folder, "half.checkpoint")
                      let half = iterations 2 setup (TrainingState.start setup 2L) |> last
                      Checkpoint.save path setup "" half |> expectOk
                      let origin = Checkpoint.origin path |> expectOk
                      Expect.equal origin.Configuration.Distribution kind "the distribution in the file"
                      let resumed = (Checkpoint.load path setup |> expectOk).State
                      let continued = iterations 2 setup resumed |> last
                      Expect.isTrue (same continued.PolicyParameters straight.PolicyParameters) "policy"

                      let other =
                          setupOf
                              1
                              { configuration with Distribution = DistributionKind.Gaussian }
                              Pendulum.environment

                      let expectRefused result =
                          match result with
                          | Error(InvalidSetting("distribution", _, _)) -> ()
                          | found -> failtest $"%A{found}"

                      Checkpoint.load path other |> Result.map ignore |> expectRefused
                      Setup.change 1 other.Configuration setup |> Result.map ignore |> expectRefused)
              } ]

let tests =
    testList "box distributions" [ specialFunctions; integrals; families; policies; files; training ]
