module FunTrpo.Tests.WarningTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks

/// Episodes of so many steps, whose reward depends on the action alone.
let private task actionSpace length (reward: float32[] -> float) =
    { new Environment<int> with
        member _.Id = "Task-v0"
        member _.ObservationSpace = Space.box 1 0.0 1.0
        member _.ActionSpace = actionSpace
        member _.Reset _ = 0

        member _.Step(_, action, time) =
            { State = time + 1
              Reward = reward (action.ToArray())
              Terminated = time + 1 >= length
              Truncated = false }

        member _.Observe(time, observation) = observation[0] <- float32 (time % 2) }

let private small = withFourUnits 2 8

/// The setup, the state at the start, and the states and reports of the first `count` iterations.
let private runOf configuration environment count =
    let setup = setupOf 1 configuration environment
    let start = TrainingState.start setup 3L
    setup, start, iterations count setup start

/// In which iterations there was such a warning.
let private warningsOf choose (reports: ('State * Report) list) =
    reports
    |> List.choose (fun (_, report) ->
        report.Warnings |> List.tryPick choose |> Option.map (fun it -> report.Iteration, it))

let private notMoving =
    function
    | NotMoving(iterations, reason) -> Some(iterations, reason)
    | _ -> None

let private doubling = [ 10; 20; 40; 80 ]

let tests =
    testList
        "Warnings"
        [ test "a run without a gradient says so after 10 iterations, and whenever that has doubled" {
              let setup, start, results = runOf small (task (Discrete 2) 1 (fun _ -> 5.0)) 100
              let warnings = warningsOf notMoving results
              Expect.equal (List.map fst warnings) doubling "iterations"

              for iteration, (count, reason) in warnings do
                  Expect.equal count iteration "count"
                  Expect.stringContains reason "same advantage" "reason"

              for state, report in results do
                  Expect.equal report.Improvement.Outcome NoGradient "outcome"
                  Expect.equal (TrainingState.actor setup state).Parameters start.PolicyParameters "parameters"
          }

          testProperty "a policy that has not moved acts as before, also where observations are standardised"
          <| Prop.forAll (Gen.choose (0, 4) |> Arb.fromGen) (fun moves ->
              let configuration = { small with NormaliseObservations = true }
              let environment = task (Discrete 2) 5 (fun action -> float action[0])
              let setup, start, results = runOf configuration environment moves
              let before = if results.IsEmpty then start else fst (List.last results)

              let refuse _ (surrogate: Surrogate) =
                  Ok
                      { Parameters = surrogate.Parameters
                        Outcome = LineSearchFailed 1
                        Comparison = Surrogate.compare surrogate surrogate.Parameters
                        GradientNorm = 1.0
                        SignalShare = None
                        Solution = None }

              let after, _ =
                  Training.updateFor 8 { setup with Improve = ImprovementRule.ofStep refuse } before |> expectOk

              after.PolicyParameters = before.PolicyParameters
              && after.Normaliser.Equals before.Normaliser
              && after.Steps > before.Steps)

          testProperty
              "a streak causes a warning when it is twice as long as the longest that caused one, and no earlier"
          <| Prop.forAll
              (Gen.listOf (Gen.frequency [ 30, Gen.constant true; 1, Gen.constant false ]) |> Arb.fromGen)
              (fun moves ->
                  let setup, start, _ = runOf small (task (Discrete 2) 1 (fun _ -> 1.0)) 0

                  let improvement isStuck =
                      { Parameters = start.PolicyParameters
                        Outcome = if isStuck then NoGradient else Moved(1.0, 1)
                        Comparison = { Gain = 0.0; GainError = 0.0; MeanKl = 0.01; MaxKl = 0.01; Entropy = 1.0 }
                        GradientNorm = 0.0
                        SignalShare = None
                        Solution = None }

                  let told =
                      (Streaks.none, moves)
                      ||> List.mapFold (fun streaks isStuck ->
                          let streaks, warnings = Streaks.next setup.Policy 0.01 0.0 (improvement isStuck) streaks
                          List.tryPick notMoving warnings |> Option.map fst, streaks)
                      |> fst

                  let expected =
                      ((0, 0), moves)
                      ||> List.mapFold (fun (count, longest) isStuck ->
                          let count = if isStuck then count + 1 else 0
                          let isNews = count >= 10 && count >= 2 * longest
                          (if isNews then Some count else None), (count, (if isNews then count else longest)))
                      |> fst

                  told = expected)

          test "one environment and one step give no gradient, for ever" {
              let configuration = { small with Environments = 1; Horizon = 1 }
              let _, _, results = runOf configuration (task (Discrete 2) 1 (fun action -> float action[0])) 30
              Expect.equal (warningsOf notMoving results |> List.map fst) [ 10; 20 ] "iterations"
          }

          test
              "an unused dimension of actions with an entropy bonus comes to a bound, which is a warning, and training goes on" {
              let configuration = { small with Delta = 1.0; EntropyBonus = 1.0; InitialLogSigma = 5.0; Horizon = 32 }

              let environment = task (Space.box 2 -1.0 1.0) 1 (fun action -> -abs(float action[0] - 0.3))
              let _, _, results = runOf configuration environment 200

              let bound =
                  warningsOf
                      (function
                      | SigmaAtBound(_, dimension, logSigma, bonus) -> Some(dimension, logSigma, bonus)
                      | _ -> None)
                      results

              Expect.isNonEmpty bound "warnings"

              for _, (_, logSigma, bonus) in bound do
                  Expect.isGreaterThanOrEqual logSigma (float Distribution.highestLogSigma) "log sigma"
                  Expect.equal bonus 1.0 "entropy bonus"

              for _, report in results do
                  for warning in report.Warnings do
                      match warning with
                      | SigmaAtBound _ -> Expect.stringContains (Warning.message warning) "entropyBonus" "remedy"
                      | _ -> ()
          }

          test "a σ at its bound comes back at once when the reward turns round" {
              let configuration = { small with Delta = 0.5; Hidden = []; InitialLogSigma = 5.0; Horizon = 32 }
              let sign = ref 1.0

              let environment =
                  task (Space.box 1 -infinity infinity) 1 (fun action -> sign.Value * log (1.0 + abs (float action[0])))

              let setup, _, results = runOf configuration environment 100
              let logSigmaOf (state: TrainingState<_>) = (Policy.logSigmas setup.Policy state.PolicyParameters).Span[0]

              for state, _ in results do
                  Expect.isLessThanOrEqual (logSigmaOf state) Distribution.highestLogSigma "log sigma"

              Expect.equal
                  (logSigmaOf (fst (List.last results)))
                  Distribution.highestLogSigma
                  "it has come to the bound"

              sign.Value <- -1.0

              let later =
                  Training.run setup (fst (List.last results)) |> Seq.take 20 |> Seq.map (expectOk >> fst) |> Seq.last

              Expect.isLessThan (logSigmaOf later) 9f "it has come back"
          }

          test "a policy that has decided says so" {
              let configuration = { small with Delta = 0.5; Horizon = 64 }
              let _, _, results = runOf configuration (task (Discrete 2) 1 (fun action -> float action[0])) 60

              let decided =
                  warningsOf
                      (function
                      | LowEntropy(count, entropy) -> Some(count, entropy)
                      | _ -> None)
                      results

              Expect.isNonEmpty decided "warnings"

              for _, (count, entropy) in decided do
                  Expect.contains doubling count "count"
                  Expect.isLessThan entropy 1e-3 "entropy"
          }

          property
              "a policy is warned of for its low entropy only if it has a choice"
              (Gen.oneof
                  [ Gen.choose (1, 3) |> Gen.map Discrete
                    Gen.choose (1, 3)
                    |> Gen.bind (fun length -> Gen.listOfLength length (Gen.choose (1, 2)))
                    |> Gen.map MultiDiscrete
                    Gen.choose (1, 2) |> Gen.map MultiBinary ])
              (fun actions ->
                  let policy = Policy.create [] 0.0 false (Space.box 1 0.0 1.0) actions

                  let improvement =
                      { Parameters = policy.Network.Initialise(Key.ofSeed 1L)
                        Outcome = Moved(1.0, 1)
                        Comparison = { Gain = 0.0; GainError = 0.0; MeanKl = 0.01; MaxKl = 0.01; Entropy = 0.0 }
                        GradientNorm = 1.0
                        SignalShare = None
                        Solution = None }

                  let warnings =
                      (Streaks.none, [ 1..10 ])
                      ||> List.mapFold (fun streaks _ ->
                          let streaks, warnings = Streaks.next policy 0.01 0.0 improvement streaks
                          warnings, streaks)
                      |> fst
                      |> List.concat

                  let hasChoice =
                      match actions with
                      | Discrete count -> count > 1
                      | MultiDiscrete counts -> List.max counts > 1
                      | _ -> true

                  Expect.equal warnings (if hasChoice then [ LowEntropy(10, 0.0) ] else []) "warnings")

          testProperty
              "an episode that goes on is a warning when it is as long as the configuration says, and when that has doubled"
          <| Prop.forAll (Gen.choose (3, 60) |> Arb.fromGen) (fun limit ->
              let configuration = { small with LongEpisode = limit }
              let environment = task (Discrete 2) Int32.MaxValue (fun action -> float action[0])
              let _, _, results = runOf configuration environment 40

              let lengths =
                  warningsOf
                      (function
                      | LongEpisode(_, _, steps) -> Some steps
                      | _ -> None)
                      results
                  |> List.map snd

              // A rollout of 8 steps can pass several doublings at once.
              let after iteration = 8 * iteration
              let passed length = if length < limit then -1 else int (Math.Log2(float length / float limit))

              let expected =
                  [ for iteration in 1..40 do
                        if passed (after iteration) > passed (after (iteration - 1)) then
                            after iteration ]

              lengths = expected) ]
