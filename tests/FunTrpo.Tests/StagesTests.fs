/// The stages of an iteration: each by itself, and all of them put together once more by hand.
module FunTrpo.Tests.StagesTests

open System
open System.Collections.Immutable
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks

/// One iteration, put together once more from the stages.
let private byHand (setup: Setup<'State>) (state: TrainingState<'State>) =
    let configuration = setup.Configuration
    let key = state.Key |> Key.named "iteration" |> Key.at (int64 state.Iteration)

    let batch, instances =
        Rollout.collect
            setup.Environment
            (TrainingState.actor setup state)
            configuration.Horizon
            1
            (Key.named "rollout" key)
            state.Instances
        |> expectOk

    // The first batch is seen by its own moments.
    let normaliser = Normaliser.orMomentsOf batch.Observations state.Normaliser

    let values observations = Critic.values setup.Critic state.Critic (Normaliser.apply normaliser observations)

    let baseline = values batch.Observations

    let estimated =
        Advantage.gae
            configuration.Gamma
            configuration.Lambda
            batch.Rewards
            batch.Ends
            baseline
            (values batch.BootstrapObservations)

    let observations = Normaliser.apply normaliser batch.Observations

    let critic = { state.Critic with Unit = ReturnUnit.update estimated.Returns state.Critic.Unit }

    // The rows of the instances that are not held out.
    let held = HeldOut.instances configuration.HeldOut configuration.Environments (Key.named "heldOut" key)

    let rows =
        ImmutableArray.CreateRange(
            seq { 0 .. batch.Actions.Rows - 1 }
            |> Seq.filter (fun row -> not (Array.contains (row / configuration.Horizon) held))
        )

    let seen (numbers: ImmutableArray<float>) = ImmutableArray.CreateRange(rows |> Seq.map (fun row -> numbers[row]))
    let ofRows = seen estimated.Advantages

    let advantages =
        if configuration.NormaliseAdvantages then
            Advantage.normalise ofRows
        elif configuration.NormaliseReturns then
            let unit = ReturnUnit.update (seen estimated.Returns) state.Critic.Unit
            ImmutableArray.CreateRange(ofRows |> Seq.map (fun a -> a / ReturnUnit.deviation unit))
        else
            ofRows

    let improvement, optimiser =
        Surrogate.create
            1
            setup.Policy
            (Matrix.gather rows observations)
            (Matrix.gather rows batch.Actions)
            advantages
            state.PolicyParameters
        |> Surrogate.withEntropyBonus (Configuration.entropyBonusAt state.Steps configuration)
        |> ImprovementRule.standard
            (Configuration.improvement state.Steps configuration)
            (Key.named "improvement" key)
            state.PolicyOptimiser
        |> Result.defaultWith failtest

    let critic =
        CriticFit.fit
            (Configuration.critic configuration)
            setup.Critic
            observations
            estimated.Returns
            (Key.named "critic" key)
            critic
        |> Result.defaultWith failtest

    {| Improvement = improvement
       Optimiser = optimiser
       Critic = critic
       Normaliser = Normaliser.observe batch.Observations state.Normaliser
       Instances = List.ofSeq instances
       Returns = batch.Episodes |> Seq.map _.Return |> List.ofSeq
       ExplainedVariance = Advantage.explainedVariance estimated.Returns baseline |}

let private composition =
    testList
        "an iteration, put together by hand,"
        [ for name, configuration in variants do
              everywhere
                  $"is improve ∘ estimate ∘ rollout, to the last bit: {name}"
                  { new OnEnvironment with
                      member _.Check environment =
                          let setup = setupOf 2 configuration environment
                          let start = TrainingState.start setup 17L
                          let results = iterations 30 setup start

                          for before, (after, report) in withBefore start results do
                              let parts = byHand setup before
                              Expect.isTrue (same report.Improvement parts.Improvement) "improvement"
                              Expect.equal after.PolicyParameters parts.Improvement.Parameters "policy"
                              Expect.equal after.PolicyOptimiser parts.Optimiser "the policy's optimiser"
                              Expect.isTrue (same after.Critic parts.Critic) "critic"
                              Expect.isTrue (same after.Normaliser parts.Normaliser) "normaliser"
                              Expect.equal (List.ofSeq after.Instances) parts.Instances "instances"

                              let returns = List.ofSeq before.RecentReturns @ parts.Returns
                              let recent = returns |> List.skip (max 0 (returns.Length - TrainingState.window))
                              Expect.equal (List.ofSeq after.RecentReturns) recent "returns"

                              Expect.isTrue (same report.ExplainedVariance parts.ExplainedVariance) "explained variance" } ]

/// A state after `iterations` iterations, and what the stages that need no network step make of it.
let private stagesOf iterations configuration environment =
    let setup = setupOf 1 configuration environment
    let start = TrainingState.start setup (int64 iterations)

    let state =
        if iterations = 0 then
            start
        else
            Training.run setup start |> Seq.item (iterations - 1) |> expectOk |> fst

    let batch, instances = Stages.rollout setup.Configuration.Horizon setup state |> expectOk
    let advantages = Stages.advantageBatch setup state batch
    let rows = Stages.updateBatch setup state batch advantages instances |> expectOk

    {| Setup = setup
       State = state
       Batch = batch
       Instances = instances
       Advantages = advantages
       Rows = rows |}

/// All numbers that the stages are given, copied.
let private numbersOf (state: TrainingState<'State>) (batch: Batch) (advantages: AdvantageBatch) (rows: UpdateBatch) =
    let moments =
        match state.Normaliser with
        | Standardise moments -> List.init moments.Width (fun i -> moments.Mean i, moments.SquaredDeviations i)
        | Unnormalised -> []

    [ for vector in
          [ state.PolicyParameters
            state.Critic.Parameters
            state.Critic.Optimiser.FirstMoment
            state.Critic.Optimiser.SecondMoment ] -> Vector.toArray vector
      for matrix in
          [ batch.Observations
            batch.Actions
            batch.BootstrapObservations
            advantages.Observations
            rows.Observations
            rows.Actions
            yield!
                rows.HeldOut
                |> Option.toList
                |> List.collect (fun out -> [ out.Rows.Observations; out.Rows.Actions ]) ] -> matrix.Span.ToArray() ],
    [ for numbers in
          [ state.RecentReturns
            batch.Rewards
            advantages.Values
            advantages.Advantages
            advantages.Returns
            rows.Advantages
            yield! rows.HeldOut |> Option.toList |> List.map _.Rows.Advantages ] -> Array.ofSeq numbers ],
    (moments, List.ofSeq state.Instances, List.ofSeq batch.Ends)

/// Every stage once, with the state and the results of the stages before it.
let private runAll (setup: Setup<'State>) (state: TrainingState<'State>) batch advantages rows instances =
    use surrogate = Stages.surrogate setup state rows
    let critic, error = Stages.fitCritic setup state advantages |> expectOk

    {| Rollout = Stages.rollout setup.Configuration.Horizon setup state |> expectOk |> fst |> _.Observations
       Values = Stages.advantageBatch setup state batch |> _.Values |> List.ofSeq
       Rows = (Stages.updateBatch setup state batch advantages instances |> expectOk).Advantages |> List.ofSeq
       Gradient = Surrogate.gradient surrogate
       Improvement = Stages.improve setup state rows |> expectOk
       Certificate = Stages.certificate setup state rows (Vector.map (fun x -> 1.01f * x) state.PolicyParameters)
       Critic = critic
       Error = error |}

let private purity =
    testList
        "leave their arguments as they are, and give the same again"
        [ for name, configuration in ("a vine", { small with Branches = 2; BranchSteps = 5 }) :: variants do
              everywhere
                  name
                  { new OnEnvironment with
                      member _.Check environment =
                          for iterations in [ 0; 2 ] do
                              let it = stagesOf iterations configuration environment
                              let numbers () = numbersOf it.State it.Batch it.Advantages it.Rows
                              let all () = runAll it.Setup it.State it.Batch it.Advantages it.Rows it.Instances
                              let before = numbers ()
                              let once = all ()
                              Expect.equal (numbers ()) before "the arguments"
                              poisonMemory ()
                              Expect.isTrue (same (all ()) once) "the same again" } ]

let private advantages =
    testList
        "advantages"
        [ for name, configuration in variants do
              everywhere
                  $"are the λ-returns less the values, in the unit that is configured: {name}"
                  { new OnEnvironment with
                      member _.Check environment =
                          for iterations in [ 0; 1; 3 ] do
                              let it = (stagesOf iterations configuration environment).Advantages
                              let differences = Seq.map2 (-) it.Returns it.Values |> Array.ofSeq
                              let mean = Array.average differences
                              let deviation = sqrt (differences |> Array.averageBy (fun x -> (x - mean) ** 2.0))

                              let inUnit difference =
                                  if configuration.NormaliseAdvantages then
                                      (difference - mean) / deviation
                                  elif configuration.NormaliseReturns then
                                      difference / ReturnUnit.deviation it.CriticToFit.Unit
                                  else
                                      difference

                              for row in 0 .. differences.Length - 1 do
                                  let expected = inUnit differences[row]
                                  expectClose (1e-9 * (1.0 + abs expected)) it.Advantages[row] expected $"row {row}" }

          testProperty "the first batch is seen by its own moments, and so as it will be seen afterwards"
          <| fun (seed: int64) ->
              let setup = setupOf 1 small CartPole.environment
              let start = TrainingState.start setup seed
              let batch, _ = Stages.rollout small.Horizon setup start |> expectOk
              let next, _ = Training.update setup start |> expectOk
              let seen = (Stages.advantageBatch setup start batch).Observations
              seen = Normaliser.apply next.Normaliser batch.Observations && seen <> batch.Observations ]

let private improving =
    testList
        "the improvement"
        [ for name, configuration in variants do
              everywhere
                  $"starts where the surrogate of the batch gains nothing, and goes along its gradient: {name}"
                  { new OnEnvironment with
                      member _.Check environment =
                          let it = stagesOf 1 configuration environment
                          use surrogate = Stages.surrogate it.Setup it.State it.Rows
                          let here = Surrogate.compare surrogate it.State.PolicyParameters
                          Expect.equal here.MeanKl 0.0 "mean KL"
                          expectClose 1e-9 here.Gain 0.0 "gain"
                          let improvement, _ = Stages.improve it.Setup it.State it.Rows |> expectOk
                          let gradient = Surrogate.gradient surrogate
                          Expect.equal improvement.GradientNorm (Vector.norm gradient) "gradient"
                          Expect.isTrue improvement.Outcome.IsMoved "it moves"
                          let step = Vector.addScaled -1.0 it.State.PolicyParameters improvement.Parameters
                          Expect.isGreaterThan (Vector.dot gradient step) 0.0 "uphill" }

          property "has the entropy bonus in force" (Gen.two (Gen.choose (0, 5000))) (fun (steps, halfLife) ->
              let configuration = { small with EntropyBonus = 0.2; EntropyHalfLife = halfLife; DeltaHalfLife = 77 }
              let it = stagesOf 1 configuration CartPole.environment
              use surrogate = Stages.surrogate it.Setup { it.State with Steps = int64 steps } it.Rows
              let bonus = if halfLife = 0 then 0.2 else 0.2 * 0.5 ** (float steps / float halfLife)
              expectClose (1e-12 * bonus) surrogate.EntropyBonus bonus "β")

          property
              "has the δ in force, and asks the Fisher matrix for each state once"
              (Gen.zip3 (Gen.choose (0, 5000)) (Gen.choose (0, 5000)) (Gen.elements [ 0; 2; 5 ]))
              (fun (steps, halfLife, branches) ->
                  let configuration =
                      { small with Delta = 0.02; DeltaHalfLife = halfLife; Branches = branches; FisherFraction = 0.5 }

                  for environment, ofState in
                      [ withSpaces "Two-v0" (Space.box 2 -1.0 1.0) (Discrete 2), min 2 branches
                        withSpaces "Box-v0" (Space.box 2 -1.0 1.0) (Space.box 1 -1.0 1.0), branches ] do
                      let setup = setupOf 1 configuration environment
                      let state = { TrainingState.start setup 1L with Steps = int64 steps }
                      let settings = Stages.improvementSettings setup state

                      let delta = if halfLife = 0 then 0.02 else 0.02 * 0.5 ** (float steps / float halfLife)

                      match settings.StepRule with
                      | TrustRegionStep(found, _) -> expectClose (1e-12 * delta) found delta "δ"
                      | FixedStep _ -> failtest "the step is that of a trust region"

                      let fraction = if branches = 0 then 0.5 else 0.5 / float ofState
                      Expect.equal settings.FisherFraction fraction "fraction of the rows") ]

let private keys =
    testProperty
        "another iteration draws other actions and another order of minibatches, and the same iteration the same"
    <| fun (seed: int64) ->
        let setup = setupOf 1 adam CartPole.environment
        let state = TrainingState.start setup seed
        let advantages = Stages.rollout 20 setup state |> expectOk |> fst |> Stages.advantageBatch setup state

        let drawn iteration =
            let state = { state with Iteration = iteration }
            let batch, _ = Stages.rollout 20 setup state |> expectOk
            let critic, _ = Stages.fitCritic setup state advantages |> expectOk
            batch.Actions, critic.Parameters

        let actions, critic = drawn 1
        let otherActions, otherCritic = drawn 2
        actions <> otherActions && critic <> otherCritic && drawn 1 = (actions, critic)

// ---- What is not finite ----

let private faults =
    let afterTwo configuration = stagesOf 2 configuration CartPole.environment

    /// The stage and the iteration that a fault names.
    let named result =
        match result with
        | Error(NonFiniteStage(stage, "CartPole-v1", iteration)) -> stage, iteration
        | other -> failtest $"%A{Result.map ignore other}"

    let withOne value (numbers: ImmutableArray<float>) = numbers.SetItem(numbers.Length / 2, value)

    testList
        "a stage whose result is not finite is named, with the iteration:"
        [ for value in [ nan; infinity; -infinity; 1e39 ] do
              test $"returns and advantages, with one of {value}" {
                  let it = afterTwo small

                  let update advantages =
                      Stages.updateBatch it.Setup it.State it.Batch advantages it.Instances |> Result.map ignore

                  Expect.isOk (update it.Advantages) "as they are"
                  let returns = { it.Advantages with Returns = withOne value it.Advantages.Returns }
                  Expect.equal (update returns |> named) ("returns", 3) "returns"
                  let advantages = { it.Advantages with Advantages = withOne value it.Advantages.Advantages }
                  Expect.equal (update advantages |> named) ("advantages", 3) "advantages"
              }

          test "the policy, and whatever else the rule names" {
              let it = afterTwo small

              let improve rule =
                  Stages.improve { it.Setup with Improve = ImprovementRule.ofStep rule } it.State it.Rows
                  |> Result.map ignore

              let spoiled settings surrogate =
                  TrustRegion.improve settings surrogate
                  |> Result.map (fun improvement ->
                      { improvement with Parameters = Vector.map (fun _ -> infinityf) improvement.Parameters })

              Expect.isOk (improve TrustRegion.improve) "the rule of the setup"
              Expect.equal (improve spoiled |> named) ("policy", 3) "policy"
              Expect.equal (improve (fun _ _ -> Error "gradient") |> named) ("gradient", 3) "the rule's own"
          }

          test "the critic" {
              let it = afterTwo adam

              let fit configuration =
                  Stages.fitCritic { it.Setup with Configuration = configuration } it.State it.Advantages
                  |> Result.map ignore

              Expect.isOk (fit adam) "as configured"
              Expect.equal (fit { adam with CriticLearningRate = 1e300 } |> named) ("critic", 3) "critic"
          }

          test "but a state whose environment did not start fails by that fault, and no environment is stepped" {
              let steps = ref 0
              let setup = setupOf 1 small (counting steps CartPole.environment)
              let fault = Mismatch "no licence"
              let state = { TrainingState.start setup 1L with Failure = Some fault }

              match Stages.rollout small.Horizon setup state with
              | Error found -> Expect.equal found fault "fault"
              | Ok _ -> failtest "it went on"

              Expect.equal steps.Value 0 "steps"
          }

          test "a step that makes the policy infinite is an error that names the stage and the iteration" {
              let setup = setupOf 1 { reinforce with LearningRate = 1e300 } CartPole.environment

              match Training.run setup (TrainingState.start setup 1L) |> Seq.truncate 5 |> List.ofSeq with
              | [ Error(NonFiniteStage(stage, "CartPole-v1", iteration)) ] ->
                  Expect.equal (stage, iteration) ("policy", 1) "stage and iteration"
              | results -> failtest $"%A{results}"
          }

          test "a critic's fit that becomes infinite is an error that names the stage and the iteration" {
              let inner = failing "nothing" 0

              let large =
                  { new Wrapped<int>(inner) with
                      override _.Id = "Large-v0"

                      override _.Observe(time, observation) =
                          inner.Observe(time, observation)

                          for i in 0 .. observation.Length - 1 do
                              observation[i] <- 1e16f * (observation[i] + 1f) }

              let unmoved: ImprovementRule =
                  fun _ _ optimiser surrogate ->
                      Ok(
                          { Parameters = surrogate.Parameters
                            Outcome = NoGradient
                            Comparison = Surrogate.compare surrogate surrogate.Parameters
                            GradientNorm = 0.0
                            SignalShare = None
                            Solution = None },
                          optimiser
                      )

              let configuration = { small with NormaliseObservations = false; CriticHidden = [] }
              let setup = { setupOf 1 configuration large with Improve = unmoved }

              match Training.update setup (TrainingState.start setup 1L) with
              | Error(NonFiniteStage("critic's Gauss-Newton product", "Large-v0", 1)) -> ()
              | result -> failtest $"%A{Result.map fst result}"
          }

          for reward in [ 3e38; 1e39; 1e308 ] do
              test
                  $"rewards of {reward}, which do not fit into float32 or whose returns do not, are an error that says so" {
                  let inner = failing "nothing" 0

                  let huge =
                      { new Wrapped<int>(inner) with
                          override _.Id = "Huge-v0"
                          override _.Step(key, action, time) = { inner.Step(key, action, time) with Reward = reward } }

                  let setup = setupOf 1 { small with NormaliseReturns = false } huge

                  match Training.update setup (TrainingState.start setup 1L) with
                  | Error(NonFiniteStage("returns", "Huge-v0", 1)) -> Expect.equal reward 3e38 "a reward that fits"
                  | Error fault ->
                      Expect.equal fault (OversizedEnvironment("reward", reward, "Huge-v0", 0, 1L)) "the fault"
                  | other -> failtest $"%A{Result.map fst other}"
              } ]

let tests = testList "Stages" [ composition; purity; advantages; improving; keys; faults ]
