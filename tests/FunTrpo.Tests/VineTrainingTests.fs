/// Training on the rows of a vine.
module FunTrpo.Tests.VineTrainingTests

open System
open System.Collections.Immutable
open System.Threading
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks

open FunTrpo.Tests.VineTests

/// Small networks and batches: what is tested here does not depend on their size.
let private small =
    { Configuration.standard with
        Environments = 3
        Horizon = 20
        Branches = 2
        BranchSteps = 15
        Hidden = [ 6 ]
        CriticHidden = [ 5 ]
        CriticSteps = 2
        NormaliseObservations = true }

/// The steps of two iterations, which are finite, and count the environment's steps.
let private trains branches =
    { new EnvironmentUse<int64> with
        member _.With environment =
            let steps = ref 0
            let configuration = { small with Branches = branches }
            let setup = setupOf 2 configuration (counting steps environment)
            let results = iterations 2 setup (TrainingState.start setup 3L)
            let state, report = List.last results
            let ofBatches = 2L * int64 (small.Environments * small.Horizon)
            let branchesPerState = Vine.branchesIn environment branches
            let most = ofBatches + 2L * int64 (small.Environments * branchesPerState * small.BranchSteps)
            Expect.isTrue (Vector.isFinite state.PolicyParameters) "policy"
            Expect.isTrue (Vector.isFinite state.Critic.Parameters) "critic"
            Expect.isTrue (Double.IsFinite report.Improvement.Comparison.Gain) "gain"
            Expect.equal state.Steps (int64 steps.Value) "steps that were made"
            Expect.equal report.Steps state.Steps "reported steps"

            Expect.isGreaterThanOrEqual
                state.Steps
                (ofBatches + 2L * int64 (small.Environments * branchesPerState))
                "steps"

            Expect.isLessThanOrEqual state.Steps most "steps"

            for _, report in results do
                match report.Improvement.Outcome with
                | Moved _
                | LineSearchFailed _
                | NoGradient -> () // All branches of the first vine can be worth the same.
                | other -> failtest $"{other}"

            state.Steps }

/// What one iteration improves the policy to, put together once more from the stages.
let private improvedByHand (setup: Setup<'State>) (state: TrainingState<'State>) =
    let configuration = setup.Configuration
    let key = state.Key |> Key.named "iteration" |> Key.at (int64 state.Iteration)
    let batch, instances = Stages.rollout configuration.Horizon setup state |> expectOk
    let normaliser = Normaliser.orMomentsOf batch.Observations state.Normaliser
    let actor = { TrainingState.actor setup state with Normaliser = normaliser }
    let normalise = Normaliser.apply normaliser

    let struct (_, _, memory) =
        Critic.valuesOfBatch
            setup.Critic
            state.Critic
            batch
            (normalise batch.Observations)
            (normalise batch.BootstrapObservations)

    /// The critic remembers the rollout, and then each branch.
    let values (branch: Batch) =
        let struct (_, values, _) =
            Critic.valuesOfBatch
                setup.Critic
                { state.Critic with Memory = memory }
                branch
                (normalise branch.Observations)
                (normalise branch.BootstrapObservations)

        values

    let vine =
        Vine.sample
            setup.Environment
            actor
            (settingsOf configuration.Branches configuration.BranchSteps configuration.Gamma)
            values
            1
            (Key.named "vine" key)
            instances
        |> expectOk

    let advantages = Vine.advantages actor vine

    let settings = Configuration.improvement state.Steps configuration

    Surrogate.ofSequences
        1
        setup.Policy
        (Sequences.ofSingleRows vine.Memory)
        (Normaliser.apply normaliser vine.Observations)
        vine.Actions
        (if configuration.NormaliseAdvantages then Advantage.normalise advantages else advantages)
        state.PolicyParameters
    |> Surrogate.withEntropyBonus configuration.EntropyBonus
    |> TrustRegion.improve { settings with FisherFraction = settings.FisherFraction / float vine.Branches }
    |> Result.defaultWith failtest

let private everywhere =
    everywhereAnd (fun check -> [ test "a walk" { check.Check(walk (MultiDiscrete [ 2; 3 ]) 30 (ref 0)) } ])

let private variants =
    [ "as it is", small
      "nothing normalised",
      { small with NormaliseObservations = false; NormaliseReturns = false; NormaliseAdvantages = false }
      "memory",
      { small with
          Architecture = [ HiddenLayer.Gru 5 ]
          CriticArchitecture = [ HiddenLayer.Lstm 3 ]
          FisherFraction = 0.5 }
      "three branches, a part of the states, entropy",
      { small with Branches = 3; FisherFraction = 0.5; EntropyBonus = 0.1 } ]

let private training =
    testList
        "training"
        [ for registered in Registry.classic do
              for branches in [ 2; 3 ] do
                  test $"is finite and counts its steps on {registered.Id}, {branches} branches" {
                      registered.Use(trains branches) |> ignore
                  }

          propertyOf 30 "is finite and counts its steps in every action space" actionSpace (fun space ->
              match space with
              // There is nothing to choose, and so nothing to improve.
              | Discrete 1 -> ()
              | MultiDiscrete counts when List.forall ((=) 1) counts -> ()
              | _ -> (trains 3).With(walk space 12 (ref 0)) |> ignore)

          for name, configuration in variants do
              everywhere
                  $"is improve ∘ estimate ∘ rollout, on the rows of a vine: {name}"
                  { new OnEnvironment with
                      member _.Check environment =
                          let setup = setupOf 2 configuration environment
                          let start = TrainingState.start setup 17L
                          let results = iterations 3 setup start

                          for before, (after, report) in withBefore start results do
                              let byHand = improvedByHand setup before
                              Expect.equal after.PolicyParameters byHand.Parameters "policy"
                              Expect.isTrue (same report.Improvement byHand) "improvement" }

              everywhere
                  $"gives the same on any number of threads: {name}"
                  { new OnEnvironment with
                      member _.Check environment =
                          let run threads =
                              let setup = setupOf threads configuration environment
                              iterations 3 setup (TrainingState.start setup 1L)

                          let once = run 1

                          for threads in [ 1; 2; 3 ] do
                              Expect.isTrue (same once (run threads)) $"{threads} threads" }

              everywhere
                  $"leaves all but the policy to the single path: {name}"
                  { new OnEnvironment with
                      member _.Check environment =
                          let once configuration =
                              let setup = setupOf 1 configuration environment
                              iterations 1 setup (TrainingState.start setup 5L) |> List.exactlyOne |> fst

                          let vine, path = once configuration, once { configuration with Branches = 0 }
                          let start = TrainingState.start (setupOf 1 configuration environment) 5L

                          Expect.notEqual
                              path.PolicyParameters
                              start.PolicyParameters
                              "the single path moves the policy"

                          // The normaliser goes with the policy, and the streaks are those of its step.
                          let normaliser =
                              if vine.PolicyParameters = start.PolicyParameters then
                                  start.Normaliser
                              else
                                  path.Normaliser

                          Expect.notEqual vine.PolicyParameters path.PolicyParameters "the policy"
                          Expect.isGreaterThan vine.Steps path.Steps "steps"

                          Expect.isTrue
                              (same
                                  vine
                                  { path with
                                      PolicyParameters = vine.PolicyParameters
                                      Steps = vine.Steps
                                      Normaliser = normaliser
                                      Streaks = vine.Streaks })
                              "the rest" }

          for seed in 1L .. 2L do
              test $"clearly improves on CartPole-v1, seed {seed}" {
                  let configuration =
                      { Configuration.standard with
                          Environments = 16
                          Horizon = 16
                          Branches = 2
                          BranchSteps = 10
                          Delta = 0.03
                          Hidden = [ 32 ]
                          CriticHidden = [ 32 ] }

                  let setup = setupOf 2 configuration CartPole.environment
                  let start = TrainingState.start setup seed
                  let _, early = Training.run setup start |> Seq.item 1 |> expectOk
                  let trained, _ = Training.runFor 20_000L setup start |> Seq.last |> expectOk
                  let actor = TrainingState.actor setup trained
                  let scores = Evaluation.run 2 CartPole.environment actor 20 (Key.ofSeed 5L) |> expectOk
                  Expect.isLessThan early.MeanReturn.Value 30.0 "mean return of the first episodes"
                  Expect.isGreaterThan scores.Mean 200.0 "mean return of the trained policy"
              }

          propertyOf
              30
              "until a total is met to within a step of each environment and branch"
              (Gen.choose (1, 1000))
              (fun total ->
                  let setup = setupOf 1 { small with Branches = 3 } (walk (MultiBinary 2) 12 (ref 0))

                  let results =
                      Training.runFor (int64 total) setup (TrainingState.start setup 1L)
                      |> Seq.map expectOk
                      |> List.ofSeq

                  let made = (List.last results |> fst).Steps
                  Expect.isGreaterThanOrEqual made (int64 total) "met"
                  Expect.isLessThan made (int64 (total + small.Environments * (1 + 3))) "and little more")

          test "until a total is met makes whole iterations while there is room for them" {
              let setup = setupOf 1 small CartPole.environment
              let start = TrainingState.start setup 1L
              let most = int64 (small.Environments * (small.Horizon + small.Branches * small.BranchSteps))
              let total = 5L * most
              let results = Training.runFor total setup start |> Seq.map expectOk |> List.ofSeq
              let whole = results |> List.takeWhile (fun (state, _) -> state.Steps <= total - most)
              Expect.isGreaterThanOrEqual whole.Length 4 "whole iterations"
              // The last of them is the one that may leave too little for another whole one.
              Expect.isTrue (same whole (iterations whole.Length setup start)) "as without a total"
          }

          test "until the largest number of steps makes whole iterations" {
              let setup = setupOf 1 small CartPole.environment
              let start = TrainingState.start setup 1L

              let results =
                  Training.runFor Int64.MaxValue setup start |> Seq.truncate 2 |> Seq.map expectOk |> List.ofSeq

              Expect.isTrue (same results (iterations 2 setup start)) "as without a total"
          }

          test "asks the Fisher matrix for each state once" {
              let case = policyCase |> Gen.sample 40 |> Array.filter (fun case -> case.Observations.Rows > 1)
              Expect.isNonEmpty case "cases"

              for case in case do
                  for branches in [ 2; 3; 7 ] do
                      let repeat (m: Matrix) =
                          Matrix.init (m.Rows * branches) m.Columns (fun row column -> m[row / branches, column])

                      let repeated =
                          Surrogate.create
                              1
                              case.Policy
                              (repeat case.Observations)
                              (repeat case.Actions)
                              (ImmutableArray.CreateRange(Seq.init (case.Observations.Rows * branches) float))
                              case.Parameters

                      let v = Vector.init case.Parameters.Length (float >> sin >> float32)
                      use ofEach = Fisher.matrix 0.1 1.0 case.Surrogate
                      use ofRepeated = Fisher.matrix 0.1 (1.0 / float branches) repeated
                      Expect.equal (Fisher.product ofRepeated v) (Fisher.product ofEach v) "the product"
          } ]

// ---- What goes wrong in a branch ----

/// Steps on and on; from so many steps on something is wrong with each of them.
let private failing (failure: string) failAt =
    let wrongAt what time = failure = what && time >= failAt

    { new Environment<int> with
        member _.Id = "Failing-v0"
        member _.ObservationSpace = Space.box 1 -1.0 1.0
        member _.ActionSpace = Discrete 2
        member _.Reset _ = 0

        member _.Step(_, action, time) =
            let time = time + 1

            if wrongAt "exception" time then
                failwith "broken"

            { State = time
              Reward =
                if wrongAt "reward" time then nan
                elif wrongAt "size" time then 3e38 * float action[0]
                else float action[0] + sin (float time)
              Terminated = false
              Truncated = false }

        member _.Observe(time, observation) =
            observation[0] <- if wrongAt "observation" time then nanf else float32 (sin (float time)) }

/// Each episode has as many steps as a rollout, and something is wrong where the second one begins, which the rollout does not see.
let private failingStart throws =
    let begun = ref 0

    { new Environment<struct (int * int)> with
        member _.Id = "FailingStart-v0"
        member _.ObservationSpace = Space.box 1 -1.0 1.0
        member _.ActionSpace = Discrete 2
        member _.Reset _ = struct (Interlocked.Increment &begun.contents, 0)

        member _.Step(_, _, struct (episode, time)) =
            { State = struct (episode, time + 1)
              Reward = 1.0
              Terminated = time + 1 = small.Horizon
              Truncated = false }

        member _.Observe(struct (episode, time), observation) =
            let isWrong = episode > small.Environments

            if isWrong && throws then
                failwith "broken"

            observation[0] <- if isWrong then nanf else float32 time }

let private faults =
    let plain = { small with NormaliseReturns = false }

    let update environment =
        let setup = setupOf 2 plain environment
        Training.update setup (TrainingState.start setup 1L)

    let horizon = small.Horizon

    testList
        "a fault in a branch"
        [ for step in [ horizon + 1; horizon + 2; horizon + small.BranchSteps ] do
              for what in [ "reward"; "observation" ] do
                  test $"is an error that names the step: a NaN {what} in step {step}" {
                      match update (failing what step) with
                      | Error fault ->
                          Expect.equal fault (NonFiniteEnvironment(what, "Failing-v0", 0, int64 step)) "the fault"
                      | Ok _ -> failtest "it went on"
                  }

              test $"is an error that names the step: an exception in step {step}" {
                  match update (failing "exception" step) with
                  | Error(FailedEnvironment(error, "Failing-v0", 0, at)) ->
                      Expect.equal (error.Message, at) ("broken", int64 step) "the fault"
                  | other -> failtest $"%A{Result.map fst other}"
              }

          test "is no error after the end of the branches" {
              for what in [ "reward"; "observation"; "exception" ] do
                  Expect.isOk (update (failing what (horizon + small.BranchSteps + 1)) |> Result.map ignore) what
          }

          test "is one of the returns where they do not fit into float32" {
              match update (failing "size" (horizon + 1)) with
              | Error(NonFiniteStage("branches' returns", "Failing-v0", 1)) -> ()
              | other -> failtest $"%A{Result.map fst other}"
          }

          for throws in [ false; true ] do
              test $"is an error where an episode begins whose observation is not finite, or throws: throws = {throws}" {
                  match update (failingStart throws), throws with
                  | Error(NonFiniteEnvironment("observation", "FailingStart-v0", 0, step)), false
                  | Error(FailedEnvironment(_, "FailingStart-v0", 0, step)), true ->
                      Expect.equal step (int64 horizon) "step"
                  | other, _ -> failtest $"%A{Result.map fst other}"
              } ]

/// A state that counts how often it is released.
[<Sealed>]
type private Borrowed(count: int ref) =
    interface Releasable with
        member _.Release() = Threading.Interlocked.Increment count |> ignore

let private borrowing =
    testList
        "a state that holds a resource"
        [ for limit in [ None; Some 1000 ] do
              test $"is released where a branch is left before its end (time limit {limit})" {
                  let count = ref 0

                  let endless =
                      { new Environment<Borrowed> with
                          member _.Id = "Borrowing-v0"
                          member _.ObservationSpace = Space.box 1 -1.0 1.0
                          member _.ActionSpace = Discrete 2
                          member _.Reset _ = Borrowed count

                          member _.Step(_, _, _) =
                              { State = Borrowed count; Reward = 1.0; Terminated = false; Truncated = false }

                          member _.Observe(_, observation) = observation[0] <- 0f }

                  let configuration =
                      { Configuration.standard with
                          Environments = 4
                          Horizon = 3
                          Hidden = [ 2 ]
                          CriticHidden = [ 2 ]
                          Branches = 2
                          BranchSteps = 5 }

                  let update environment =
                      let setup = setupOf 1 configuration environment
                      Training.update setup (TrainingState.start setup 1L) |> Result.isOk

                  let isDone =
                      match limit with
                      | None -> update endless
                      | Some limit -> update (Environment.withTimeLimit limit endless)

                  Expect.isTrue isDone "an update"
                  Expect.equal count.Value 8 "two branches of four instances"
              } ]

let tests = testList "Vine" [ training; faults; borrowing ]
