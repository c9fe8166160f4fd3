/// DDPG: replay memory, noise, targets, gradients, an update, and training.
module FunTrpo.Tests.DdpgTests

open System
open System.Collections.Immutable
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Ddpg
open FunTrpo.Environments
open FunTrpo.Tests.Generators

// ---- Replay memory ----

/// Experience number n, which no other number has.
let private experience observationWidth actionWidth (n: int) =
    let numbers offset width = Vector.init width (fun i -> float32 n + float32 (offset + i) / 64f)

    { Observation = numbers 0 observationWidth
      Action = numbers 20 actionWidth
      Reward = float32 -n
      Terminated = n % 3 = 0
      Next = numbers 40 observationWidth }

/// Widths, a capacity, and numbers of experiences that are added one after another.
let private memoryCase =
    gen {
        let! widths = Gen.zip (Gen.choose (1, 4)) (Gen.choose (1, 3))

        let! capacity =
            Gen.frequency [ 3, Gen.choose (1, 12); 1, Gen.choose (1000, 1100); 1, Gen.choose (2040, 2100) ]

        let! parts = Gen.listOf (Gen.choose (0, max 3 (capacity / 2)))
        return widths, capacity, parts
    }

/// The memories after each of the parts.
let private memories ((observations, actions), capacity, parts) =
    let firsts = List.scan (+) 0 parts

    (ReplayMemory.create observations actions capacity, List.zip (List.take parts.Length firsts) parts)
    ||> List.scan (fun memory (first, count) ->
        memory
        |> ReplayMemory.add [ for n in first .. first + count - 1 -> experience observations actions n ])

let private contents (memory: ReplayMemory) = List.init memory.Count (fun age -> ReplayMemory.item age memory)

/// The last experiences that fit, of so many that were added.
let private expectedContents ((observations, actions), capacity, _) added =
    [ for n in max 0 (added - capacity) .. added - 1 -> experience observations actions n ]

let private replay =
    testList
        "the replay memory"
        [ property
              "keeps what was added last, in order; what was added to it later changes none"
              memoryCase
              (fun case ->
                  let _, _, parts = case

                  for memory, added in List.zip (memories case) (List.scan (+) 0 parts) do
                      Expect.equal (contents memory) (expectedContents case added) "contents")
          property "is the same value, however its experiences were cut" memoryCase (fun case ->
              let widths, capacity, parts = case
              let atOnce = memories (widths, capacity, [ List.sum parts ]) |> List.last
              Expect.equal (memories case |> List.last) atOnce "equal"

              let one = experience (fst widths) (snd widths) -1
              Expect.notEqual (ReplayMemory.add [ one ] atOnce) atOnce "with one more")
          property "draws with the same key the same of its experiences" (Gen.zip memoryCase key) (fun (case, key) ->
              let memory = memories case |> List.last

              if memory.Count > 0 then
                  let drawn = ReplayMemory.sample 9 key memory
                  Expect.sequenceEqual (ReplayMemory.sample 9 key memory) drawn "same"
                  let kept = contents memory
                  Expect.all drawn (fun one -> List.contains one kept) "kept"
              else
                  Expect.throwsT<ArgumentException> (fun () -> ReplayMemory.sample 1 key memory |> ignore) "empty")
          statisticOf 3 "draws each of its experiences equally often" key (fun key ->
              let memory = memories ((1, 1), 20, [ 27 ]) |> List.last
              let count = 20_000
              let drawn = ReplayMemory.sample count key memory |> Seq.countBy _.Reward |> List.ofSeq
              Expect.hasLength drawn 20 "all"
              let expected = float count / 20.0
              let chiSquare = drawn |> List.sumBy (fun (_, n) -> (float n - expected) ** 2.0 / expected)
              // With 19 degrees of freedom, 43.8 is exceeded once in a thousand.
              Expect.isLessThan chiSquare 43.8 "χ²")
          test "refuses vectors of other widths" {
              let memory = ReplayMemory.create 2 1 5

              for wrong in [ experience 3 1 0; experience 2 2 0; { experience 2 1 0 with Next = Vector.zero 3 } ] do
                  Expect.throwsT<ArgumentException> (fun () -> ReplayMemory.add [ wrong ] memory |> ignore) "add"

              for widths in [ 0, 1, 1; 1, 0, 1; 1, 1, 0 ] do
                  Expect.throwsT<ArgumentException> (fun () -> widths |||> ReplayMemory.create |> ignore) "create"

              Expect.throwsT<ArgumentOutOfRangeException> (fun () -> ReplayMemory.item 0 memory |> ignore) "item"
          } ]

// ---- Noise ----

let private noise =
    let correlations = Gen.elements [ 0.0; 0.5; 0.85; 0.97 ]

    testList
        "exploration noise"
        [ statisticOf 4 "has mean 0, variance 1, and its correlation" (Gen.zip correlations key) (fun (rho, key) ->
              let count, dimensions = 4000, 8

              let path =
                  (ExplorationNoise.start dimensions (Key.named "start" key), seq { 1 .. count - 1 })
                  ||> Seq.scan (fun noise t -> ExplorationNoise.next rho (Key.at (int64 t) key) noise)
                  |> Seq.map Oracle.floats
                  |> Array.ofSeq

              let mean (f: float -> float -> float) =
                  path |> Seq.pairwise |> Seq.collect (fun (before, after) -> Seq.map2 f before after) |> Seq.average

              // The effective number of independent numbers is that of all, times (1 − ρ) / (1 + ρ).
              let error = 4.0 / sqrt (float (count * dimensions) * (1.0 - rho) / (1.0 + rho))
              expectClose error (mean (fun _ x -> x)) 0.0 "mean"
              expectClose (2.0 * error) (mean (fun _ x -> x * x)) 1.0 "variance"
              expectClose (2.0 * error) (mean (*)) rho "correlation")
          property "is x′ = ρ x + √(1 − ρ²) ξ" (Gen.zip3 correlations key (vector 2.0 3)) (fun (rho, key, noise) ->
              let fresh = Oracle.floats (ExplorationNoise.start 3 key)

              let expected =
                  Array.map2 (fun x xi -> rho * x + sqrt (1.0 - rho * rho) * xi) (Oracle.floats noise) fresh

              expectAllClose 1e-5 (Vector.toArray (ExplorationNoise.next rho key noise)) expected "next")
          test "has a deviation that moves in a line and then stays" {
              let settings = { Deviation = 1.0; FinalDeviation = 0.2; Steps = 400; Correlation = 0.0 }

              for steps, expected in [ 0L, 1.0; 100L, 0.8; 200L, 0.6; 400L, 0.2; 1000L, 0.2 ] do
                  expectClose 1e-12 (ExplorationNoise.deviationAt steps settings) expected "deviation"

              expectClose 1e-12 (ExplorationNoise.deviationAt 0L { settings with Steps = 0 }) 0.2 "final from the start"
          }
          test "is added to actions and clipped to the box" {
              let action = [| 0.5f; -0.9f; 0.2f |]
              ExplorationNoise.addTo (action.AsSpan()) 0.5 (Vector.ofArray [| 2f; -1f; 0.2f |])
              expectAllClose 1e-7 action [| 1.0; -1.0; 0.3 |] "action"
          } ]

// ---- Critic and actor ----

let private smooth =
    Gen.elements [ Activation.Tanh; Activation.Swish; Activation.Softplus; Activation.Sigmoid; Activation.Elu ]

let private smoothArchitecture =
    Gen.choose (0, 2)
    |> Gen.bind (fun depth -> Gen.zip (Gen.listOfLength depth (Gen.choose (1, 9))) smooth)
    |> Gen.map (fun (hidden, activation) -> Architecture.uniform hidden activation)

/// A policy and a critic at random parameters, with observations, actions and targets.
type private NetworksCase =
    { Actor: Architecture
      Critic: Architecture
      ActionWidth: int
      Policy: Policy
      PolicyParameters: Vector
      CriticNetwork: Network
      CriticParameters: Vector
      Observations: Matrix
      Actions: Matrix
      Targets: Vector }

let private networksCase =
    gen {
        let! actor = smoothArchitecture
        let! critic = smoothArchitecture
        let! observationWidth = Gen.choose (1, 4)
        let! actionWidth = Gen.choose (1, 3)
        let observations, actions = numbersOf observationWidth, Space.box actionWidth -2.0 3.0
        let policy = DeterministicActor.create actor -2.0 observations actions
        let network = QCritic.create critic observations actions
        let! policyParameters = vector 1.0 policy.Network.ParameterCount
        let! criticParameters = vector 1.0 network.ParameterCount
        let! rows = Gen.frequency [ 9, Gen.choose (1, 9); 1, Gen.choose (500, 530) ]
        let! observations = matrix 1.0 rows observationWidth
        let! actions = matrix 1.0 rows actionWidth
        let! targets = vector 3.0 rows

        return
            { Actor = actor
              Critic = critic
              ActionWidth = actionWidth
              Policy = policy
              PolicyParameters = policyParameters
              CriticNetwork = network
              CriticParameters = criticParameters
              Observations = observations
              Actions = actions
              Targets = targets }
    }

/// Q of a row, by the oracle.
let private oracleQ case parameters (observation: Oracle.HyperDual[]) action =
    let layers = Layers.ofArchitecture (Dense(1, Activation.Identity)) case.Critic
    (Oracle.output layers parameters (Array.append observation action))[0]

/// μ of a row, by the oracle.
let private oracleMu case parameters observation =
    let head = LinearThenStateIndependent(case.ActionWidth, case.ActionWidth)
    let outputs = Oracle.output (Layers.ofArchitecture head case.Actor) parameters observation
    outputs |> Array.take case.ActionWidth |> Array.map tanh

let private meanOverRows (case: NetworksCase) (ofRow: int -> Oracle.HyperDual) =
    let rows = case.Observations.Rows

    Seq.init rows ofRow
    |> Seq.fold (+) Oracle.HyperDual.Zero
    |> (*) (Oracle.constant (1.0 / float rows))

let private rowOf (m: Matrix) row = Oracle.constants (m.Row(row).ToArray())

let private expectGradient (actual: Vector) (expected: float[]) =
    let scale = Array.fold (fun largest x -> max largest (abs x)) 1.0 expected
    expectAllClose (5e-5 * scale) (Vector.toArray actual) expected "gradient"

let private networks =
    testList
        "critic and actor"
        [ for reward, terminated, next, expected in
              [ 1.0, false, 10.0, 10.9; 1.0, true, 10.0, 1.0; -2.0, false, -4.0, -5.96; 0.5, false, 0.0, 0.5 ] do
              test $"the target of reward {reward}, terminated {terminated}, Q′ = {next}" {
                  expectClose 1e-12 (QCritic.target 0.99 reward terminated next) expected "y"
              }

          propertyOf 60 "Q is that of float64" networksCase (fun case ->
              let parameters = Oracle.constants (Vector.toArray case.CriticParameters)
              let values = QCritic.values case.CriticNetwork case.CriticParameters case.Observations case.Actions

              for row in 0 .. min 9 (values.Length - 1) do
                  let expected = oracleQ case parameters (rowOf case.Observations row) (rowOf case.Actions row)
                  expectClose (2e-5 * (1.0 + abs expected.X)) (float values[row]) expected.X "Q")

          propertyOf 60 "the loss and its gradient are those of dual numbers" networksCase (fun case ->
              let rows = QCritic.join case.Observations case.Actions
              let struct (loss, gradient) = QCritic.loss case.CriticNetwork case.CriticParameters rows case.Targets

              let expected parameters =
                  meanOverRows case (fun row ->
                      let q = oracleQ case parameters (rowOf case.Observations row) (rowOf case.Actions row)
                      let error = q - Oracle.constant (float case.Targets[row])
                      error * error)

              let exact = (expected (Oracle.constants (Vector.toArray case.CriticParameters))).X
              expectClose (5e-5 * (1.0 + exact)) loss exact "loss"
              expectGradient gradient (Oracle.gradient expected (Oracle.floats case.CriticParameters)))

          propertyOf 60 "the deterministic policy gradient is that of dual numbers" networksCase (fun case ->
              let struct (mean, gradient) =
                  DeterministicActor.gradient
                      case.Policy
                      case.PolicyParameters
                      case.CriticNetwork
                      case.CriticParameters
                      case.Observations

              let critic = Oracle.constants (Vector.toArray case.CriticParameters)

              let expected parameters =
                  meanOverRows case (fun row ->
                      let observation = rowOf case.Observations row
                      oracleQ case critic observation (oracleMu case parameters observation))

              let exact = (expected (Oracle.constants (Vector.toArray case.PolicyParameters))).X
              expectClose (5e-5 * (1.0 + abs exact)) mean exact "J"
              expectGradient gradient (Oracle.gradient expected (Oracle.floats case.PolicyParameters)))

          property "μ is the most probable action of the policy" networksCase (fun case ->
              let actor: Actor =
                  { Policy = case.Policy; Parameters = case.PolicyParameters; Normaliser = Unnormalised }

              let played = InferencePolicy actor
              let mu = DeterministicActor.actions case.Policy case.PolicyParameters case.Observations

              for row in 0 .. min 9 (mu.Rows - 1) do
                  let action = played.Act(Vector.ofArray (case.Observations.Row(row).ToArray()))
                  let inUnits (a: float32) = 0.5 + 2.5 * float a // The box is [−2, 3].
                  let expected = mu.Row(row).ToArray() |> Array.map inUnits
                  expectAllClose 2e-6 (Vector.toArray action) expected "action") ]

let private targets =
    let vectors =
        Gen.choose (1, 70) |> Gen.bind (fun length -> Gen.zip (vector 3.0 length) (vector 3.0 length))

    testList
        "target networks"
        [ property
              "follow as θ′ ← τ θ + (1 − τ) θ′"
              (Gen.zip vectors (Gen.elements [ 0.001; 0.005; 0.1; 0.5 ]))
              (fun ((parameters, target), tau) ->
                  let expected =
                      Array.map2
                          (fun a b -> tau * a + (1.0 - tau) * b)
                          (Oracle.floats parameters)
                          (Oracle.floats target)

                  let actual = Vector.toArray (TargetNetwork.follow tau parameters target)
                  expectAllClose 1e-6 actual expected "target")
          property "with τ = 0 stay, and with τ = 1 are copies" vectors (fun (parameters, target) ->
              // Compared as numbers: the sum of −0 and 0 is 0.
              let numbers = Vector.toArray
              Expect.equal (numbers (TargetNetwork.follow 0.0 parameters target)) (numbers target) "τ = 0"
              Expect.equal (numbers (TargetNetwork.follow 1.0 parameters target)) (numbers parameters) "τ = 1") ]

// ---- Environments ----

/// Episodes of `length` steps, which terminate or are cut off by a time limit. The reward is −(a − s / 2)², where s is the observation, which
/// each step draws anew.
let private halving length isTask =
    { new Environment<struct (int * float)> with
        member _.Id = "Halving-v0"
        member _.ObservationSpace = Space.box 1 -1.0 1.0
        member _.ActionSpace = Space.box 1 -1.0 1.0
        member _.Reset key = struct (0, Key.uniformIn -1.0 1.0 key)

        member _.Step(key, action, struct (time, position)) =
            let error = float action[0] - position / 2.0
            let isOver = time + 1 = length

            { State = struct (time + 1, Key.uniformIn -1.0 1.0 key)
              Reward = -error * error
              Terminated = isOver && isTask
              Truncated = isOver && not isTask }

        member _.Observe(struct (_, position), observation) = observation[0] <- float32 position }

/// The same with episodes that terminate, in states that cannot be observed.
let private unseenEnd length =
    let inner: Environment<struct (int * float)> = halving length true

    { new Environment<struct (int * float)> with
        member _.Id = "UnseenEnd-v0"
        member _.ObservationSpace = inner.ObservationSpace
        member _.ActionSpace = inner.ActionSpace
        member _.Reset key = inner.Reset key
        member _.Step(key, action, state) = inner.Step(key, action, state)

        member _.Observe(state, observation) =
            let struct (time, _) = state

            if time = length then
                failwith "the episode has ended"

            inner.Observe(state, observation) }

/// Settings with which a test takes little time.
let small =
    { DdpgSettings.standard with
        Actor = Architecture.uniform [ 12 ] Activation.Tanh
        Critic = Architecture.uniform [ 16 ] Activation.Tanh
        BatchSize = 16
        Capacity = 150
        Warmup = 40
        IterationSteps = 60 }

let private setupOf settings environment = DdpgSetup.create 1 settings environment |> expectOk
let private startOf setup seed = DdpgState.start setup seed |> expectOk
let private last results = results |> Seq.map expectOk |> Seq.last

// ---- One update ----

/// The update of a state whose settings have one, by the public functions alone.
let private updateByHand (setup: DdpgSetup<'State>) (before: DdpgState<'State>) (memory: ReplayMemory) number =
    let settings = setup.Settings

    let drawn =
        ReplayMemory.sample settings.BatchSize (before.Key |> Key.named "update" |> Key.at number) memory

    let rows (vector: Experience -> Vector) =
        Matrix.ofRows [| for one in drawn -> Vector.toArray (vector one) |]
        |> Normaliser.apply before.Normaliser

    let observations, following = rows _.Observation, rows _.Next
    let actions = Matrix.ofRows [| for one in drawn -> Vector.toArray one.Action |]
    let nextActions = DeterministicActor.actions setup.Policy before.Actor.Target following
    let nextValues = QCritic.values setup.Critic before.Critic.Target following nextActions

    let targets =
        drawn
        |> Seq.mapi (fun i one ->
            let reward = settings.RewardScale * float one.Reward
            float32 (QCritic.target settings.Gamma reward one.Terminated (float nextValues[i])))
        |> Vector.ofSeq

    let struct (_, ofCritic) =
        QCritic.loss setup.Critic before.Critic.Parameters (QCritic.join observations actions) targets

    let struct (critic, criticOptimiser) =
        Adam.update settings.CriticLearningRate ofCritic before.Critic.Optimiser before.Critic.Parameters

    let struct (_, ofActor) =
        DeterministicActor.gradient setup.Policy before.Actor.Parameters setup.Critic critic observations

    let struct (actor, actorOptimiser) =
        Adam.update
            settings.ActorLearningRate
            (Vector.scale -1.0 ofActor)
            before.Actor.Optimiser
            before.Actor.Parameters

    let learned parameters optimiser (before: Learned) =
        { Parameters = parameters
          Target = TargetNetwork.follow settings.Tau parameters before.Target
          Optimiser = optimiser }

    learned actor actorOptimiser before.Actor, learned critic criticOptimiser before.Critic

let private expectLearned (actual: Learned) (expected: Learned) what =
    let close a e name = expectAllClose 2e-6 (Vector.toArray a) (Oracle.floats e) $"{what}: {name}"
    close actual.Parameters expected.Parameters "θ"
    close actual.Target expected.Target "θ′"
    close actual.Optimiser.FirstMoment expected.Optimiser.FirstMoment "first moment"
    close actual.Optimiser.SecondMoment expected.Optimiser.SecondMoment "second moment"
    Expect.equal actual.Optimiser.Steps expected.Optimiser.Steps "steps"

let private update =
    testList
        "an update"
        [ for normalises in [ false; true ] do
              propertyOf
                  12
                  $"is critic, actor and targets by their own functions (normalised: {normalises})"
                  (Gen.zip seeds (Gen.elements [ 0.1; 1.0 ]))
                  (fun (seed, scale) ->
                      // The second iteration has its one update after its last step.
                      let settings =
                          { small with
                              Warmup = 60
                              IterationSteps = 60
                              UpdateEvery = 60
                              RewardScale = scale
                              NormaliseObservations = normalises
                              BatchSize = 40 }

                      let setup = setupOf settings (halving 7 true)
                      let first, _ = DdpgTraining.update setup (startOf setup seed) |> expectOk
                      let second, report = DdpgTraining.update setup first |> expectOk
                      Expect.equal (first.Updates, second.Updates) (1L, 2L) "updates"
                      let actor, critic = updateByHand setup first second.Memory 1L
                      expectLearned second.Actor actor "actor"
                      expectLearned second.Critic critic "critic"
                      Expect.isTrue (Double.IsFinite report.CriticLoss) "loss") ]

// ---- Training ----

let private steps = Gen.choose (1, 4)

let private training =
    testList
        "training"
        [ propertyOf 10 "gives the same bits with the same seed, and leaves its states as they are" seeds (fun seed ->
              let setup = setupOf small (halving 7 true)
              let run () = DdpgTraining.runFor 170L setup (startOf setup seed) |> last
              let state, report = run ()
              let again, reportAgain = run ()
              Expect.equal again state "state"
              Expect.equal { reportAgain with Seconds = report.Seconds } report "report"
              let next, _ = DdpgTraining.update setup state |> expectOk
              Expect.notEqual next.Actor state.Actor "it goes on"
              Expect.equal state again "unchanged"
              let nextAgain, _ = DdpgTraining.update setup state |> expectOk
              Expect.equal nextAgain next "the same future")
          propertyOf 10 "does not depend on where iterations begin" (Gen.zip seeds steps) (fun (seed, count) ->
              let whole = setupOf small (halving 7 true)
              let cut = setupOf { small with IterationSteps = 13 * count } (halving 7 true)
              let ofWhole, _ = DdpgTraining.runFor 150L whole (startOf whole seed) |> last
              let ofCut, _ = DdpgTraining.runFor 150L cut (startOf cut seed) |> last
              Expect.equal { ofCut with Iteration = ofWhole.Iteration } ofWhole "state")
          test "does not ask for the observation of a state in which an episode has terminated" {
              let setup = setupOf small (unseenEnd 7)
              let state, _ = DdpgTraining.runFor 100L setup (startOf setup 1L) |> last

              for experience in contents state.Memory do
                  if experience.Terminated then
                      Expect.equal (Vector.toArray experience.Next) [| 0f |] "zeros stand for it"
          }
          test "refuses updates before there are moments to normalise by" {
              match DdpgSetup.create 1 { small with NormaliseObservations = true } Pendulum.environment with
              | Error(InvalidSetting("iterationSteps", _, why)) -> Expect.stringContains why "warmup" "why"
              | other -> failtest $"%A{Result.map ignore other}"
          }
          test "refuses a replay memory that is larger than the memory of any machine" {
              let pictures =
                  { new Environment<int64> with
                      member _.Id = "Pictures-v0"
                      member _.ObservationSpace = Space.boxOfShape [ 96; 96; 3 ] 0.0 1.0
                      member _.ActionSpace = Space.box 3 -1.0 1.0
                      member _.Reset _ = 0L
                      member _.Step(_, _, time) = { State = time; Reward = 0.0; Terminated = false; Truncated = true }
                      member _.Observe(_, _) = () }

              let refusedFor settings =
                  match DdpgSetup.create 1 settings pictures with
                  | Error(InvalidSetting(name, _, _)) -> Some name
                  | _ -> None

              let most = { small with Capacity = 100_000 }
              Expect.equal (refusedFor { most with Capacity = 1_000_000 }) (Some "capacity") "capacity"
              Expect.equal (refusedFor { most with BatchSize = 50_000 }) (Some "batchSize") "batch size"
              Expect.equal (refusedFor most) None "22 GB are allowed"
          }
          test "does not depend on the number of threads" {
              let settings =
                  { small with
                      BatchSize = 1030
                      NormaliseObservations = true
                      Warmup = 60
                      Critic = Architecture.uniform [ 40; 30 ] Activation.Relu }

              let run threads =
                  let setup = DdpgSetup.create threads settings Pendulum.environment |> expectOk
                  DdpgTraining.runFor 130L setup (startOf setup 3L) |> last |> fst

              Expect.equal (run 3) (run 1) "state"
          }
          propertyOf 10 "remembers what happened" (Gen.zip seeds (Gen.elements [ true; false ])) (fun (seed, isTask) ->
              let setup = setupOf { small with Capacity = 1000 } (halving 7 isTask)
              let state, _ = DdpgTraining.runFor 100L setup (startOf setup seed) |> last
              Expect.equal state.Memory.Count 100 "count"
              let kept = contents state.Memory |> Array.ofList

              for i in 0..99 do
                  Expect.equal kept[i].Terminated (isTask && i % 7 = 6) "terminated"
                  let error = float kept[i].Action[0] - float kept[i].Observation[0] / 2.0
                  expectClose 1e-5 (float kept[i].Reward) (-error * error) "reward"

                  if i < 99 && i % 7 <> 6 then
                      Expect.equal kept[i].Next kept[i + 1].Observation "the next observation"

              Expect.equal state.Episodes 14L "episodes"

              let returns =
                  kept |> Array.chunkBySize 7 |> Array.take 14 |> Array.map (Array.sumBy (_.Reward >> float))

              expectClose 1e-4 (DdpgState.meanReturn state).Value (Array.average returns) "mean return")
          test "acts by its policy alone without noise" {
              let quiet = { small with Noise = { small.Noise with FinalDeviation = 0.0 }; Warmup = 1000 }
              let setup = setupOf quiet (halving 7 true)
              let state, _ = DdpgTraining.runFor 30L setup (startOf setup 5L) |> last
              let played = InferencePolicy(DdpgState.actor setup state)

              for one in contents state.Memory do
                  expectAllClose 1e-6 (Vector.toArray one.Action) (Oracle.floats (played.Act one.Observation)) "action"
          }
          test "finds the best action of each observation" {
              let settings =
                  { small with
                      Actor = Architecture.uniform [ 32 ] Activation.Tanh
                      Critic = Architecture.uniform [ 64 ] Activation.Tanh
                      BatchSize = 64
                      Gamma = 0.5
                      Noise = { small.Noise with FinalDeviation = 0.4 }
                      Capacity = 10_000 }

              let setup = setupOf settings (halving 7 true)
              let state, report = DdpgTraining.runFor 8000L setup (startOf setup 1L) |> last
              let played = InferencePolicy(DdpgState.actor setup state)

              for position in [ -0.9; -0.5; 0.0; 0.4; 0.8 ] do
                  let action = played.Act(Vector.ofArray [| float32 position |])
                  expectClose 0.1 (float action[0]) (position / 2.0) $"at {position}"

              Expect.isLessThan report.CriticLoss 0.1 "loss"
          }
          test "ends with the fault of an environment, and its last state is still good" {
              let setup = setupOf small (halving 7 true)
              let good = startOf setup 2L

              let failing what failsAt =
                  let inner = halving 1000 true

                  { new Tasks.Wrapped<_>(inner) with
                      override _.Step(key, action, state) =
                          let next = inner.Step(key, action, state)
                          let struct (time, position) = next.State

                          match what with
                          | "reward" when time = failsAt -> { next with Reward = nan }
                          | "exception" when time = failsAt -> failwith "no more"
                          | "observation" when time = failsAt -> { next with State = struct (time, nan) }
                          | _ -> { next with State = struct (time, position) } }

              for what in [ "reward"; "exception"; "observation" ] do
                  let broken = setupOf small (failing what 75)
                  let results = DdpgTraining.run broken (startOf broken 2L) |> List.ofSeq
                  Expect.hasLength results 2 "one iteration, and the fault"

                  match results[1], what with
                  | Error(NonFiniteEnvironment("reward", "Halving-v0", 0, 74L)), "reward"
                  | Error(NonFiniteEnvironment("observation", "Halving-v0", 0, 74L)), "observation"
                  | Error(FailedEnvironment(_, "Halving-v0", 0, 74L)), "exception" -> ()
                  | other, _ -> failtest $"{what}: %A{other}"

              Expect.isOk (DdpgTraining.update setup good) "the good one goes on"
          }
          test "refuses actions and settings that it is not for" {
              let refused (result: Result<'T, Fault>) =
                  match result with
                  | Error fault -> Fault.message fault
                  | Ok _ -> failtest "it was accepted"

              let withActions actions = Tasks.withSpaces "Other-v0" (Space.box 1 -1.0 1.0) actions

              for actions in [ Discrete 3; MultiBinary 2; Space.box 2 0.0 infinity; partsOf [ Space.box 1 0.0 1.0 ] ] do
                  Expect.stringContains
                      (refused (DdpgSetup.create 1 small (withActions actions)))
                      "box of actions"
                      "actions"

              let remembering = Architecture.parse "gru 4" |> expectOk
              let environment = halving 7 true

              for name, settings in
                  [ "actor", { small with Actor = remembering }
                    "critic", { small with Critic = remembering }
                    "tau", { small with Tau = 1.5 }
                    "noiseCorrelation", { small with Noise = { small.Noise with Correlation = 1.0 } }
                    "batchSize", { small with BatchSize = 0 } ] do
                  Expect.stringStarts (refused (DdpgSetup.create 1 settings environment)) name "settings"

              let setup, other = setupOf small environment, setupOf { small with Capacity = 151 } environment
              Expect.stringContains (refused (DdpgTraining.update other (startOf setup 1L))) "capacity" "state"
          }
          test "has settings that are texts, and reports whose quantities have names" {
              for field in DdpgSettings.fields do
                  Expect.equal
                      (field.Set (field.Get small) DdpgSettings.standard |> Result.map field.Get)
                      (Ok(field.Get small))
                      field.Name

              let byTexts =
                  (DdpgSettings.standard, DdpgSettings.fields)
                  ||> List.fold (fun settings field ->
                      DdpgSettings.set field.Name (field.Get small) settings |> expectOk)

              Expect.equal byTexts small "all fields"
              Expect.isError (DdpgSettings.set "nothing" "1" small) "unknown"
              let setup = setupOf small (halving 7 true)
              let _, report = DdpgTraining.update setup (startOf setup 1L) |> expectOk
              let names = DdpgReport.fields |> List.map _.Name
              Expect.equal (List.distinct names) names "names"

              for field in DdpgReport.fields do
                  Expect.notEqual (field.Read report) ReportValue.Missing field.Name
          } ]

let tests = testList "DDPG" [ replay; noise; networks; targets; update; training ]
