module FunTrpo.Tests.ConfigurationTests

open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.ConfigurationFieldsTests

let private standard = Configuration.standard

let private validation =
    testList
        "validate"
        [ test "accepts the standard configuration and every preset as they are" {
              Expect.equal (Configuration.validate standard) (Ok standard) "standard"

              for registered in Registry.all do
                  Expect.equal (Configuration.validate registered.Preset) (Ok registered.Preset) registered.Id
          }

          testProperty "accepts whatever its fields accept, as it is"
          <| Prop.forAll (Arb.fromGen configurations) (fun c -> Configuration.validate c = Ok c)

          for name, value, bad in
              [ "gamma", "1.2", { standard with Gamma = 1.2 }
                "gamma", "NaN", { standard with Gamma = nan }
                "lambda", "-0.1", { standard with Lambda = -0.1 }
                "delta", "-1", { standard with Delta = -1.0 }
                "delta", "0", { standard with Delta = 0.0 }
                "delta", "Infinity", { standard with Delta = infinity }
                "hidden", "0", { standard with Hidden = [ 0 ] }
                "hidden", "64,-3", { standard with Hidden = [ 64; -3 ] }
                "criticHidden", "0", { standard with CriticHidden = [ 0 ] }
                "environments", "0", { standard with Environments = 0 }
                "horizon", "-1", { standard with Horizon = -1 }
                "branches", "1", { standard with Branches = 1 }
                "branches", "-2", { standard with Branches = -2 }
                "branchSteps", "0", { standard with BranchSteps = 0 }
                "damping", "-1", { standard with Damping = -1.0 }
                "fisherFraction", "0", { standard with FisherFraction = 0.0 }
                "initialLogSigma", "-Infinity", { standard with InitialLogSigma = -infinity }
                "lineSearchRatio", "1", { standard with LineSearchRatio = 1.0 }
                "learningRate", "NaN", { standard with LearningRate = nan }
                "cgIterations", "0", { standard with CgIterations = 0 }
                "criticBatchSize", "0", { standard with CriticBatchSize = 0 }
                "criticEpochs", "0", { standard with CriticEpochs = 0 } ] do
              test $"refuses a record with {name} = {value}, and so does Setup.create" {
                  let allowed = (fieldOf name).Allowed
                  Configuration.validate bad |> expectRefused name value allowed

                  Setup.create 1 bad CartPole.environment |> Result.map ignore |> expectRefused name value allowed
              }

          test "refuses an activation that does not exist, as an error and not as an exception" {
              let bad = { standard with Activation = enum<Activation> 99 }
              Configuration.validate bad |> expectRefused "activation" "99" (fieldOf "activation").Allowed
          } ]

let private unknown =
    testList
        "an unknown field"
        [ testProperty "is refused by its name, with the names that there are"
          <| Prop.forAll (ArbMap.defaults |> ArbMap.arbitrary<NonNull<string>>) (fun name ->
              List.exists (fun field -> field.Name = name.Get) Configuration.fields
              || match Configuration.set name.Get "1" standard with
                 | Ok _ -> false
                 | Error fault ->
                     let message = Fault.message fault

                     message.Contains(Fault.printable name.Get)
                     && Configuration.fields |> List.forall (fun field -> message.Contains field.Name))

          test "is one in other letters, too" {
              for name in [ "Gamma"; "GAMMA"; "gamma "; "γ"; "" ] do
                  Expect.isError (Configuration.set name "0.5" standard) name
          } ]

/// What the words of a configuration come to in the algorithm.
let private meaning =
    testList
        "means"
        [ test "a direction and a step rule" {
              let c =
                  { standard with
                      Delta = 0.02
                      LearningRate = 0.3
                      Damping = 0.4
                      DampedLength = false
                      FisherFraction = 0.5
                      DeltaShrinkage = 1.5
                      CgIterations = 7
                      CgTolerance = 1e-3
                      LineSearchTries = 4
                      LineSearchRatio = 0.6 }

              let natural = NaturalGradient { Iterations = 7; Tolerance = 1e-3 }
              let trustRegion = TrustRegionStep(0.02, { Tries = 4; Ratio = 0.6 })

              for direction, step, expectedDirection, expectedStep in
                  [ DirectionKind.Natural, StepKind.TrustRegion, natural, trustRegion
                    DirectionKind.Natural, StepKind.Fixed, natural, FixedStep 0.3
                    DirectionKind.Gradient, StepKind.TrustRegion, Gradient, trustRegion
                    DirectionKind.Gradient, StepKind.Fixed, Gradient, FixedStep 0.3 ] do
                  let improvement = Configuration.improvement 0L { c with Direction = direction; Step = step }

                  Expect.equal
                      improvement
                      { Direction = expectedDirection
                        StepRule = expectedStep
                        Damping = 0.4
                        DampedLength = false
                        FisherFraction = 0.5
                        DeltaShrinkage = 1.5
                        Ppo = None }
                      "improvement"
          }

          testProperty "a trust region that shrinks to a half in each half-life, and stays as it is without one"
          <| fun (delta: byte) (halfLife: byte) (steps: byte) ->
              let c =
                  { standard with Delta = 0.001 * float (int delta + 1); DeltaHalfLife = 100 * (int halfLife + 1) }

              let steps = 7L * int64 steps
              let at steps c = Configuration.deltaAt steps c
              let half = at steps c / 2.0

              at 0L c = c.Delta
              && abs (at (steps + int64 c.DeltaHalfLife) c - half) <= 1e-12 * half
              && at (steps + 1L) c < at steps c
              && at steps { c with DeltaHalfLife = 0 } = c.Delta
              && abs (at 0L { c with PreviousSteps = c.DeltaHalfLife } - c.Delta / 2.0) <= 1e-12 * c.Delta
              && (Configuration.improvement steps c).StepRule =
                  TrustRegionStep(at steps c, { Tries = c.LineSearchTries; Ratio = c.LineSearchRatio })

          test "PPO instead of a single step" {
              let c =
                  { standard with
                      Rule = RuleKind.Ppo
                      ClipRange = 0.3
                      Epochs = 4
                      MinibatchSize = 32
                      PpoLearningRate = 0.002
                      TargetKl = 0.015 }

              let expected =
                  { ClipRange = 0.3; Adam = { LearningRate = 0.002; Epochs = 4; BatchSize = 32 }; TargetKl = 0.015 }

              Expect.equal (Configuration.improvement 0L c).Ppo (Some expected) "PPO"
              Expect.equal (Configuration.improvement 0L { c with Rule = RuleKind.SingleStep }).Ppo None "a single step"
              Expect.equal (Configuration.ppo 0L { c with TargetKl = 0.0 }).TargetKl infinity "no target"
          }

          testProperty "learning rates that shrink to a half in each half-life, and stay as they are without one"
          <| fun (halfLife: byte) (steps: byte) ->
              let c = { standard with Step = StepKind.Fixed; LearningRateHalfLife = 100 * (int halfLife + 1) }

              let steps = 7L * int64 steps

              let at steps c =
                  match (Configuration.improvement steps c).StepRule with
                  | FixedStep rate -> rate, (Configuration.ppo steps c).Adam.LearningRate
                  | TrustRegionStep _ -> failtest "the step is fixed"

              let isHalf (a, b) (halfA, halfB) =
                  abs (2.0 * halfA - a) <= 1e-12 * a && abs (2.0 * halfB - b) <= 1e-12 * b

              at 0L c = (c.LearningRate, c.PpoLearningRate)
              && isHalf (at steps c) (at (steps + int64 c.LearningRateHalfLife) c)
              && isHalf (at steps c) (at steps { c with PreviousSteps = c.LearningRateHalfLife })
              && at steps { c with LearningRateHalfLife = 0 } = (c.LearningRate, c.PpoLearningRate)

          testProperty "an entropy bonus that shrinks to a half in each half-life, and stays as it is without one"
          <| fun (bonus: byte) (halfLife: byte) (steps: byte) ->
              let c = { standard with EntropyBonus = 0.001 * float bonus; EntropyHalfLife = 100 * (int halfLife + 1) }

              let steps = 7L * int64 steps
              let at steps c = Configuration.entropyBonusAt steps c
              let half = at steps c / 2.0

              at 0L c = c.EntropyBonus
              && abs (at (steps + int64 c.EntropyHalfLife) c - half) <= 1e-12 * half
              && (at (steps + 1L) c < at steps c || c.EntropyBonus = 0.0)
              && at steps { c with EntropyHalfLife = 0 } = c.EntropyBonus
              && abs (at 0L { c with PreviousSteps = c.EntropyHalfLife } - c.EntropyBonus / 2.0)
                 <= 1e-12 * c.EntropyBonus

          test "a way to fit the critic" {
              let c =
                  { standard with
                      CriticLearningRate = 0.01
                      CriticEpochs = 3
                      CriticBatchSize = 5
                      CriticDelta = 0.2
                      CriticSteps = 6
                      CriticDamping = 0.7
                      CriticCgIterations = 8
                      CgTolerance = 1e-3
                      LineSearchTries = 4
                      LineSearchRatio = 0.6 }

              Expect.equal
                  (Configuration.critic { c with Critic = CriticKind.Adam })
                  (MinibatchAdam { LearningRate = 0.01; Epochs = 3; BatchSize = 5 })
                  "Adam"

              Expect.equal
                  (Configuration.critic { c with Critic = CriticKind.GaussNewton })
                  (GaussNewton
                      { Delta = 0.2
                        Steps = 6
                        Damping = 0.7
                        ConjugateGradient = { Iterations = 8; Tolerance = 1e-3 }
                        LineSearch = { Tries = 4; Ratio = 0.6 } })
                  "Gauss–Newton"
          } ]

let tests = testList "Configuration" [ validation; unknown; meaning ]
