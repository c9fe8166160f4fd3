module FunTrpo.Tests.TrainingTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks

/// Episodes of one step, with the rewards that a function gives one after another.
let private oneStep (reward: unit -> float) =
    { new Environment<int> with
        member _.Id = "OneStep-v0"
        member _.ObservationSpace = Space.box 1 -1.0 1.0
        member _.ActionSpace = Discrete 2
        member _.Reset _ = 0
        member _.Step(_, _, _) = { State = 1; Reward = reward (); Terminated = true; Truncated = false }
        member _.Observe(_, observation) = observation[0] <- 0f }

let private determinism =
    testList
        "the same seed"
        [ for name, configuration in variants do
              everywhere
                  $"gives the same states and reports to the last bit, again and on more threads: {name}"
                  { new OnEnvironment with
                      member _.Check environment =
                          let run threads =
                              let setup = setupOf threads configuration environment
                              iterations 5 setup (TrainingState.start setup 1L)

                          let once = run 1

                          for threads in [ 1; 2; 3 ] do
                              for (state, report), (otherState, otherReport) in List.zip once (run threads) do
                                  Expect.isTrue (same state.PolicyParameters otherState.PolicyParameters) "policy"
                                  Expect.isTrue (same state.Critic otherState.Critic) "critic"
                                  Expect.isTrue (same state.Normaliser otherState.Normaliser) "normaliser"
                                  Expect.isTrue (same state otherState) "state"
                                  Expect.isTrue (same report otherReport) "report" }

          test "on a batch of many blocks gives the same on 1, 2 and 5 threads" {
              let configuration = { small with Horizon = 400 }

              let run threads =
                  let setup = setupOf threads configuration CartPole.environment
                  iterations 2 setup (TrainingState.start setup 3L)

              let once = run 1
              Expect.isTrue (same once (run 2)) "2 threads"
              Expect.isTrue (same once (run 5)) "5 threads"
          }

          testPropertyWithConfig (few 10) "is the only one to give these parameters"
          <| Prop.forAll (Gen.two (Gen.choose (Int32.MinValue, Int32.MaxValue)) |> Arb.fromGen) (fun (a, b) ->
              let setup = setupOf 1 small CartPole.environment

              let run (seed: int) =
                  let start = TrainingState.start setup (int64 seed)
                  start, iterations 2 setup start |> last

              let startA, afterA = run a
              let startB, afterB = run b

              a = b
              || startA.PolicyParameters <> startB.PolicyParameters
                 && List.ofSeq startA.Instances <> List.ofSeq startB.Instances
                 && afterA.PolicyParameters <> afterB.PolicyParameters
                 && afterA.Critic.Parameters <> afterB.Critic.Parameters) ]

let private values =
    testList
        "a state is a value"
        [ for name, configuration in variants do
              everywhere
                  $"training k, then m iterations from the kept state is training k + m: {name}"
                  { new OnEnvironment with
                      member _.Check environment =
                          let setup = setupOf 1 configuration environment
                          let start = TrainingState.start setup 5L
                          let through = iterations 6 setup start

                          for k in 1..5 do
                              let kept = iterations k setup start |> last
                              // Another setup, as in another process.
                              let resumed = iterations (6 - k) (setupOf 2 configuration environment) kept
                              Expect.isTrue (same (List.skip k through) resumed) $"resumed after {k}" }

          test "it may go on into several futures, which leave it and each other as they are" {
              let setup = setupOf 1 small Pendulum.environment
              let state = iterations 2 setup (TrainingState.start setup 7L) |> last
              let kept = Vector.toArray state.PolicyParameters, Vector.toArray state.Critic.Parameters, string state
              let future = iterations 2 setup state

              let otherFutures =
                  [ { small with Delta = 0.05 }; adam; naturalGradient; reinforce; { small with Horizon = 10 } ]
                  |> List.map (fun configuration ->
                      let setup = setupOf 1 configuration Pendulum.environment
                      (iterations 2 setup state |> last).PolicyParameters)

              Expect.equal
                  (Vector.toArray state.PolicyParameters, Vector.toArray state.Critic.Parameters, string state)
                  kept
                  "the state"

              Expect.isTrue (same future (iterations 2 setup state)) "the same future again"
              let all = (last future).PolicyParameters :: otherFutures
              Expect.hasLength (List.distinct all) all.Length "different futures"
          }

          test "TRPO, the natural gradient and REINFORCE start alike and move differently" {
              let first configuration =
                  let setup = setupOf 1 configuration CartPole.environment
                  let start = TrainingState.start setup 9L
                  let state, report = iterations 1 setup start |> List.head
                  start, state, report

              let states = [ small; naturalGradient; reinforce ] |> List.map first
              let starts = states |> List.map (fun (start, _, _) -> start.PolicyParameters)
              let ends = states |> List.map (fun (_, state, _) -> state.PolicyParameters)
              let norms = states |> List.map (fun (_, _, report) -> report.Improvement.GradientNorm)
              Expect.hasLength (List.distinct starts) 1 "starts"
              Expect.hasLength (List.distinct norms) 1 "gradients"
              Expect.hasLength (List.distinct ends) 3 "ends"

              for _, _, report in states do
                  match report.Improvement.Outcome with
                  | Moved _ -> ()
                  | other -> failtest $"{other}"

              let solutions = states |> List.map (fun (_, _, report) -> report.Improvement.Solution.IsSome)
              Expect.equal solutions [ true; true; false ] "conjugate gradient was used"
          } ]

let private normalising =
    testList
        "an iteration"
        [ testPropertyWithConfig
              (few 10)
              "has a normaliser of all that was ever observed, however long training goes on, but for what a refused step saw"
          <| Prop.forAll (Gen.zip (Gen.choose (0, 1000)) (Gen.choose (1, 80)) |> Arb.fromGen) (fun (seed, count) ->
              let configuration = { small with Horizon = 7 }
              let setup = setupOf 1 configuration Pendulum.environment
              let start = TrainingState.start setup (int64 seed)
              let results = iterations count setup start
              let states = start :: List.map fst results

              // The same rollouts once more, and the moments of all of their rows by plain sums. After a refused step nothing has been seen.
              let seen =
                  List.zip (List.take count states) (List.map snd results)
                  |> List.filter (snd >> hasMoved)
                  |> List.collect (fun (state, _) ->
                      let batch, _ = Stages.rollout configuration.Horizon setup state |> expectOk
                      List.init batch.Observations.Rows (fun row -> batch.Observations.Row(row).ToArray()))

              match (List.last states).Normaliser with
              | Standardise moments ->
                  Expect.equal moments.Count (float seen.Length) "rows"

                  for column in 0 .. moments.Width - 1 do
                      let numbers = seen |> List.map (fun row -> float row[column])
                      let mean = List.average numbers
                      let variance = numbers |> List.averageBy (fun x -> (x - mean) * (x - mean))
                      Expect.floatClose Accuracy.high (moments.Mean column) mean "mean"
                      Expect.floatClose Accuracy.high (moments.Variance column) variance "variance"
              | Unnormalised -> failtest "nothing is normalised")

          test "shows the normaliser each of its steps, once" {
              let setup = setupOf 1 small Pendulum.environment

              for state, _ in iterations 3 setup (TrainingState.start setup 1L) do
                  match state.Normaliser with
                  | Standardise seen -> Expect.equal seen.Count (float state.Steps) "observations"
                  | other -> failtest $"%A{other}"
          } ]

let private sequences =
    testList
        "the sequence of iterations"
        [ test "is lazy: nothing is computed that is not consumed" {
              let steps = ref 0
              let setup = setupOf 1 small (counting steps CartPole.environment)
              let batch = small.Environments * small.Horizon
              let all = Training.run setup (TrainingState.start setup 1L)
              Expect.equal steps.Value 0 "steps before the first"
              use iterations = all.GetEnumerator()
              Expect.equal steps.Value 0 "steps before the first"

              for i in 1..3 do
                  Expect.isTrue (iterations.MoveNext()) "there is a next"
                  Expect.equal steps.Value (i * batch) $"steps after {i}"

              Training.runFor 10_000L setup (TrainingState.start setup 1L) |> Seq.head |> ignore
              Expect.equal steps.Value (4 * batch) "steps after the first of runFor"
          }

          test "improves the policy by the rule of the setup, with the δ in force" {
              let configuration = { small with DeltaHalfLife = 1000 }
              let setup = setupOf 2 configuration CartPole.environment
              let start = TrainingState.start setup 1L
              let deltas = Collections.Generic.List<float>()

              let stay (settings: ImprovementSettings) (surrogate: Surrogate) =
                  match settings.StepRule with
                  | TrustRegionStep(delta, _) -> deltas.Add delta
                  | FixedStep _ -> ()

                  TrustRegion.improve settings surrogate
                  |> Result.map (fun improvement ->
                      { improvement with Parameters = surrogate.Parameters; Outcome = NoGradient })

              let steps = 2L * int64 (small.Environments * small.Horizon)

              let results =
                  Training.runFor steps { setup with Improve = ImprovementRule.ofStep stay } start
                  |> Seq.map expectOk
                  |> List.ofSeq

              let state, report = List.last results
              Expect.sequenceEqual deltas [ for _, report in results -> report.Delta ] "δ"
              Expect.isLessThan deltas[1] deltas[0] "δ shrinks"
              Expect.equal state.PolicyParameters start.PolicyParameters "the rule's parameters"
              Expect.equal report.Improvement.Outcome NoGradient "the rule's account"
              Expect.notEqual state.Critic start.Critic "the critic is fitted"
          }

          test "counts iterations, steps and episodes" {
              let setup = setupOf 1 small CartPole.environment
              let results = iterations 6 setup (TrainingState.start setup 1L)

              for number, (state, report) in List.indexed results do
                  Expect.equal state.Iteration (number + 1) "iteration"
                  Expect.equal state.Steps (int64 ((number + 1) * small.Environments * small.Horizon)) "steps"
                  Expect.equal (report.Iteration, report.Steps) (state.Iteration, state.Steps) "report"
                  Expect.equal report.Episodes state.Episodes "episodes"
                  Expect.equal report.MeanReturn (TrainingState.meanReturn state) "mean return"

              // A return of CartPole is the length of its episode.
              let state = last results
              let underWay = state.Instances |> Seq.sumBy _.Length
              Expect.equal (int (Seq.sum state.RecentReturns) + underWay) (int state.Steps) "steps of episodes"
              Expect.equal (int64 state.RecentReturns.Length) state.Episodes "episodes"
          }

          test "keeps the last 100 returns, and the best mean of 100 that there was" {
              let setup = setupOf 1 { small with Horizon = 400 } CartPole.environment
              let states = iterations 6 setup (TrainingState.start setup 2L) |> List.map fst
              let final = List.last states
              Expect.isGreaterThan final.Episodes 150L "episodes"
              Expect.hasLength final.RecentReturns TrainingState.window "returns"

              for state in states do
                  Expect.equal state.RecentReturns.Length (int (min 100L state.Episodes)) "returns"

                  if state.Episodes < 100L then
                      Expect.isNone state.BestMeanReturn "best mean"
                  else
                      Expect.isGreaterThanOrEqual
                          state.BestMeanReturn.Value
                          (Seq.average state.RecentReturns)
                          "best mean"

              let finishedBetween (before: TrainingState<_>) (after: TrainingState<_>) =
                  int (after.Episodes - before.Episodes)

              for before, after in List.pairwise states do
                  Expect.isTrue (before.BestMeanReturn <= after.BestMeanReturn) "the best only grows"
                  let finished = finishedBetween before after
                  let kept = max 0 (after.RecentReturns.Length - finished)

                  Expect.sequenceEqual
                      (Seq.truncate kept after.RecentReturns)
                      (Seq.skip (before.RecentReturns.Length - kept) before.RecentReturns)
                      "the newest of the earlier ones, before those that have just finished"

              // Every return, and the mean of every 100 in a row: no iteration has finished more.
              let returns =
                  [ for before, after in List.pairwise (TrainingState.start setup 2L :: states) do
                        let finished = finishedBetween before after
                        Expect.isLessThanOrEqual finished TrainingState.window "episodes of an iteration"
                        yield! Seq.skip (after.RecentReturns.Length - finished) after.RecentReturns ]

              let best = returns |> List.windowed TrainingState.window |> List.map List.average |> List.max
              Expect.floatClose Accuracy.high final.BestMeanReturn.Value best "best mean"
          }

          test "keeps a best mean that no enormous return rounds away" {
              let returns = [ 1e20; -1e20 ]

              for first in returns do
                  let isFirst = ref true

                  let environment =
                      oneStep (fun () ->
                          let reward = if isFirst.Value then first else -200.0
                          isFirst.Value <- false
                          reward)

                  let setup = setupOf 1 { small with Horizon = 200 } environment
                  let final = iterations 2 setup (TrainingState.start setup 1L) |> List.last |> fst
                  Expect.isGreaterThan final.Episodes 200L "episodes"

                  let best = if first > 0.0 then first / 100.0 else -200.0
                  Expect.floatClose Accuracy.high final.BestMeanReturn.Value best "best mean"
          }

          for size in [ -1e6; 1e10; -1e30 ] do
              test $"forgets one reward of {size} within two iterations, though V is bootstrapped" {
                  let steps = ref 0
                  let inner = CartPole.environment

                  let struck =
                      { new Wrapped<_>(inner) with
                          override _.Step(key, action, state) =
                              steps.Value <- steps.Value + 1
                              let next = inner.Step(key, action, state)
                              if steps.Value = 5000 then { next with Reward = size } else next }

                  let setup = setupOf 1 { Configuration.standard with CriticSteps = 1 } struck
                  let results = iterations 8 setup (TrainingState.start setup 1L)
                  let deviations = results |> List.map (fun (state, _) -> ReturnUnit.deviation state.Critic.Unit)
                  Expect.isGreaterThan deviations[4] (1e-3 * abs size) "the iteration of that reward"
                  Expect.isLessThan deviations[6] 100.0 "two iterations later"
              }

          testPropertyWithConfig (few 20) "runFor makes the steps it is asked for, to within one of each environment"
          <| Prop.forAll (Gen.zip (Gen.choose (1, 300)) (Gen.choose (1, 300)) |> Arb.fromGen) (fun (first, more) ->
              let setup = setupOf 1 small CartPole.environment
              let environments = small.Environments

              let run total state =
                  (state, Training.runFor (int64 total) setup state)
                  ||> Seq.fold (fun _ result -> expectOk result |> fst)

              let isMet total (state: TrainingState<_>) =
                  state.Steps >= int64 total && state.Steps < int64 (total + environments)

              let state = run first (TrainingState.start setup 1L)
              let total = max (int state.Steps) (first + more)

              isMet first state
              && isMet total (run total state)
              && Seq.isEmpty (Training.runFor (int64 first) setup state))

          test "runFor makes whole iterations until the largest number of steps, and none until the smallest" {
              let setup = setupOf 1 small CartPole.environment
              let start = TrainingState.start setup 1L
              let two total = Training.runFor total setup start |> Seq.truncate 2 |> Seq.map expectOk |> List.ofSeq

              for below in 0 .. small.Environments do
                  Expect.isTrue
                      (same (two (Int64.MaxValue - int64 below)) (iterations 2 setup start))
                      "as without a total"

              let later = two Int64.MaxValue |> List.last |> fst

              for total in [ Int64.MinValue; -1L; 0L; later.Steps ] do
                  Expect.isEmpty (Training.runFor total setup later) $"until {total}"
          }

          testPropertyWithConfig
              (few 10)
              "runFor makes full iterations as run does, and a last one of less than half more or less"
          <| Prop.forAll (Gen.choose (1, 200) |> Arb.fromGen) (fun steps ->
              let setup = setupOf 1 small CartPole.environment
              let start = TrainingState.start setup 1L
              let results = Training.runFor (int64 steps) setup start |> Seq.map expectOk |> List.ofSeq
              let made = 0L :: (results |> List.map (fun (state, _) -> state.Steps))
              let horizons = List.pairwise made |> List.map (fun (a, b) -> int (b - a) / small.Environments)
              let full = horizons.Length - 1

              same (List.take full results) (iterations full setup start)
              && List.forall (fun horizon -> horizon = small.Horizon) (List.take full horizons)
              && List.last horizons < small.Horizon + small.Horizon / 2
              && (full = 0 || List.last horizons >= small.Horizon / 2)) ]

// ---- What goes wrong ----

let private failures =
    testList
        "an environment that fails"
        [ for what in [ "reward"; "observation" ] do
              testPropertyWithConfig
                  (few 15)
                  $"with a NaN {what} ends the sequence with that, and the last good state is intact"
              <| Prop.forAll (Gen.choose (1, 90) |> Arb.fromGen) (fun failAt ->
                  let results environment =
                      let setup = setupOf 2 small environment
                      Training.run setup (TrainingState.start setup 1L)

                  let broken = results (failing what failAt) |> List.ofSeq
                  let good = (failAt - 1) / small.Horizon
                  let healthy = results (failing "nothing" failAt) |> Seq.take good |> List.ofSeq
                  let fault = NonFiniteEnvironment(what, "Failing-v0", 0, int64 failAt)

                  let endsSo =
                      match List.last broken with
                      | Error found -> found = fault
                      | Ok _ -> false

                  endsSo && same (List.take (broken.Length - 1) broken) healthy)

          test "fails again, and alike, when its last good state is tried again" {
              let setup = setupOf 1 small (failing "reward" 40)
              let results = Training.run setup (TrainingState.start setup 1L) |> List.ofSeq

              match results with
              | [ Ok(state, _); Error fault ] ->
                  match Training.update setup state with
                  | Error again -> Expect.equal again fault "the fault"
                  | Ok _ -> failtest "it went on"

                  let healthy = setupOf 1 small (failing "nothing" 0)
                  Expect.isOk (Training.update healthy state |> Result.map ignore) "the state goes on elsewhere"
              | _ -> failtest $"{results.Length} results"
          } ]

// ---- The trust region, and learning ----

let private trustRegion =
    testList
        "the trust region"
        [ everywhere
              "holds: every update has gained within δ, or has left the policy as it was"
              { new OnEnvironment with
                  member _.Check environment =
                      let moves delta =
                          let configuration = { small with Delta = delta; Damping = 1e-3; LineSearchTries = 3 }

                          let setup = setupOf 1 configuration environment
                          let start = TrainingState.start setup 11L
                          let results = iterations 15 setup start

                          for before, (state, report) in withBefore start results do
                              let comparison = report.Improvement.Comparison
                              Expect.equal report.Improvement.Parameters state.PolicyParameters "parameters"

                              match report.Improvement.Outcome with
                              | Moved _ ->
                                  Expect.isLessThanOrEqual comparison.MeanKl delta "mean KL"
                                  Expect.isGreaterThan comparison.Gain 0.0 "gain"
                                  Expect.isGreaterThan comparison.MeanKl 0.0 "mean KL"
                                  Expect.isGreaterThanOrEqual comparison.MaxKl comparison.MeanKl "maximum KL"
                              | _ ->
                                  Expect.equal state.PolicyParameters before.PolicyParameters "parameters"
                                  Expect.equal comparison.MeanKl 0.0 "mean KL"

                          results |> List.filter (snd >> hasMoved) |> List.length

                      // Of 15 updates about 15, 12 and 9 move; the last number is any from 3 to 15, as the seed has it.
                      let moved = List.sumBy moves [ 1e-4; 0.01; 0.3 ]
                      Expect.isGreaterThan moved 22 "updates that moved, of 45" } ]

let private learning =
    let base' = { Configuration.standard with Hidden = [ 32 ]; CriticHidden = [ 32 ] }

    let meanReturnAfter steps configuration seed =
        let setup = setupOf 2 configuration CartPole.environment
        let start = TrainingState.start setup seed
        let results = Training.runFor steps setup start |> Seq.map expectOk |> List.ofSeq
        (results |> List.pick (fun (_, report) -> report.MeanReturn)), (last results |> TrainingState.meanReturn).Value

    testList
        "learning on CartPole-v1"
        [ for name, configuration in
              [ "TRPO with a Gauss–Newton critic", base'
                "TRPO with an Adam critic", { base' with Critic = CriticKind.Adam }
                "the natural gradient", { base' with Step = StepKind.Fixed; LearningRate = 0.6 }
                "REINFORCE",
                { base' with Direction = DirectionKind.Gradient; Step = StepKind.Fixed; LearningRate = 2.0 } ] do
              for seed in 1L .. 2L do
                  test $"{name} clearly improves, seed {seed}" {
                      let first, final = meanReturnAfter 10_000L configuration seed
                      Expect.isLessThan first 30.0 "mean return of the first iteration"
                      Expect.isGreaterThan final 45.0 "mean return of the last 100 episodes"
                  } ]

let private named =
    testList
        "what is not finite is named:"
        [ test "a policy that gives no distribution, and not the environment that cannot act on it" {
              let setup = setupOf 1 { small with Hidden = []; NormaliseObservations = false } Pendulum.environment

              let wild =
                  { Policy = setup.Policy
                    Parameters = Vector.init setup.Policy.Network.ParameterCount (fun _ -> Single.MaxValue)
                    Normaliser = Unnormalised }

              match TrainingState.startFrom setup 1L wild |> Result.bind (Training.update setup) with
              | Error(NonFinitePolicy("Pendulum-v1", instance, 0L)) ->
                  Expect.isLessThan instance small.Environments "instance"
              | Error other -> failtest (Fault.message other)
              | Ok _ -> failtest "no error"
          } ]

let tests =
    testList "Training" [ determinism; values; normalising; sequences; failures; trustRegion; learning; named ]
