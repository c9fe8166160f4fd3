/// Networks with memory against their equations on dual numbers, and training with them.
module FunTrpo.Tests.RecurrentTests

open System
open System.Collections.Immutable
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments.Popgym
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Oracle

// ---- The equations on numbers with derivatives ----

let private one = constant 1.0
let private sigmoid (x: HyperDual) = one / (one + exp -x)

/// Takes so many numbers off the list.
let private take count numbers =
    let taken, rest = List.splitAt count numbers
    Array.ofList taken, rest

/// x W + b, where the columns of W follow one another in each row.
let private affine (weights: HyperDual[]) (biases: HyperDual[]) (x: HyperDual[]) =
    biases
    |> Array.mapi (fun j bias -> Array.fold (+) bias (x |> Array.mapi (fun i x -> x * weights[i * biases.Length + j])))

/// One step of a layer: its output and its memory after it.
let private stepOf layer (parameters: HyperDual list) (memory: HyperDual[]) (x: HyperDual[]) =
    match layer with
    | HiddenLayer.Gru units ->
        let w, rest = take (3 * units * x.Length) parameters
        let u, rest = take (3 * units * units) rest
        let b, rest = take (3 * units) rest
        let c, _ = take units rest
        let a = affine w b x
        let u = affine u (Array.append (Array.create (2 * units) HyperDual.Zero) c) memory

        let next =
            Array.init units (fun i ->
                let r = sigmoid (a[i] + u[i])
                let z = sigmoid (a[units + i] + u[units + i])
                let n = tanh (a[2 * units + i] + r * u[2 * units + i])
                (one - z) * n + z * memory[i])

        next, next
    | HiddenLayer.Lstm units ->
        let w, rest = take (4 * units * x.Length) parameters
        let u, rest = take (4 * units * units) rest
        let b, _ = take (4 * units) rest
        let h, c = Array.splitAt units memory
        let s = Array.map2 (+) (affine w b x) (affine u (Array.create (4 * units) HyperDual.Zero) h)

        let cells =
            Array.init units (fun i -> sigmoid s[units + i] * c[i] + sigmoid s[i] * tanh s[2 * units + i])

        let output = Array.init units (fun i -> sigmoid s[3 * units + i] * tanh cells[i])
        output, Array.append output cells
    | HiddenLayer.Dense(units, _) ->
        let w, rest = take (units * x.Length) parameters
        let b, _ = take units rest
        affine w b x |> Array.map tanh, [||]
    | other -> failwith $"no case has {other}"

let private parameterCount inputs layer =
    match layer with
    | HiddenLayer.Gru units -> 3 * units * (inputs + units) + 4 * units
    | HiddenLayer.Lstm units -> 4 * units * (inputs + units) + 4 * units
    | HiddenLayer.Dense(units, _) -> (inputs + 1) * units
    | other -> failwith $"no case has {other}"

let private unitsOf layer =
    match layer with
    | HiddenLayer.Gru units
    | HiddenLayer.Lstm units
    | HiddenLayer.Dense(units, _) -> units
    | other -> failwith $"no case has {other}"

/// One step of all layers, and of the linear layer behind them.
let private step (architecture: Architecture) outputs (parameters: HyperDual list) (memory: HyperDual[]) x =
    let rec through layers parameters (memory: HyperDual[]) (x: HyperDual[]) after =
        match layers with
        | layer :: rest ->
            let own, others = List.splitAt (parameterCount x.Length layer) parameters
            let ownMemory, otherMemory = Array.splitAt (HiddenLayer.memory layer) memory
            let y, next = stepOf layer own ownMemory x
            through rest others otherMemory y (Array.append after next)
        | [] ->
            let w, b = take (x.Length * outputs) parameters
            affine w (Array.ofList b) x, after

    through architecture parameters memory x [||]

type private Case =
    { Architecture: Architecture
      Outputs: int
      Network: Network
      Parameters: Vector
      Sequences: Sequences
      Observations: Matrix
      Tangent: Vector
      Cotangent: Matrix }

/// The outputs of all rows, one after another.
let private outputsOf case (parameters: HyperDual[]) =
    let parameters = List.ofArray parameters

    Array.init case.Sequences.Count (fun i ->
        let start = constants (case.Sequences.Memory.Row(i).ToArray())

        Array.mapFold
            (fun memory t ->
                let row = i * case.Sequences.Length + t
                let memory = if case.Sequences.Begins[row] then Array.map (fun _ -> HyperDual.Zero) memory else memory

                step
                    case.Architecture
                    case.Outputs
                    parameters
                    memory
                    (constants (case.Observations.Row(row).ToArray())))
            start
            [| 0 .. case.Sequences.Length - 1 |]
        |> fst
        |> Array.concat)
    |> Array.concat

let private layer =
    Gen.oneof
        [ Gen.map HiddenLayer.Gru (Gen.choose (1, 5))
          Gen.map HiddenLayer.Lstm (Gen.choose (1, 5))
          Gen.map HiddenLayer.Gru (Gen.choose (15, 18))
          Gen.map (fun units -> HiddenLayer.Dense(units, Activation.Tanh)) (Gen.choose (1, 4)) ]

let private caseOf (counts: Gen<int>) (lengths: Gen<int>) =
    gen {
        let! first = Gen.elements [ HiddenLayer.Gru 3; HiddenLayer.Lstm 2 ]
        let! others = Gen.choose (0, 2) |> Gen.bind (fun count -> Gen.listOfLength count layer)
        let! isFirst = Gen.elements [ true; false ]
        let architecture = if isFirst then first :: others else others @ [ first ]
        let! inputs, outputs = Gen.zip (Gen.choose (1, 4)) (Gen.choose (1, 3))
        let! count = counts
        let! length = lengths
        let space = Box(Vector.init inputs (fun _ -> -1f), Vector.init inputs (fun _ -> 1f), [ inputs ])
        let network = Architecture.network space 1.0 outputs 0 0.0 architecture
        let! parameters = vector 0.7 network.ParameterCount
        let! observations = matrix 1.0 (count * length) inputs
        let! memory = matrix 0.9 count network.Memory

        let! begins =
            Gen.arrayOfLength (count * length) (Gen.frequency [ 4, Gen.constant false; 1, Gen.constant true ])

        let! tangent = vector 0.5 network.ParameterCount
        let! cotangent = matrix 1.0 (count * length) outputs

        return
            { Architecture = architecture
              Outputs = outputs
              Network = network
              Parameters = parameters
              Sequences =
                { Count = count; Length = length; Begins = ImmutableArray.CreateRange begins; Memory = memory }
              Observations = observations
              Tangent = tangent
              Cotangent = cotangent }
    }

let private short = caseOf (Gen.choose (1, 3)) (Gen.choose (1, 5))
let private several = caseOf (Gen.choose (1, 40)) (Gen.choose (1, 12))

let private linearize case =
    Network.linearizeSequences case.Network case.Parameters (Some case.Sequences) case.Observations

let private forward threads case =
    use at = Network.at (Network.onThreads threads case.Network) case.Parameters
    let outputs = Array.zeroCreate<float32>(case.Observations.Rows * case.Outputs)
    at.Forward(Some case.Sequences, case.Observations.Memory, outputs.AsMemory())
    outputs

let private scaleOf numbers = Array.fold (fun largest x -> max largest (abs x)) 1.0 numbers

let private derivatives =
    testList
        "derivatives"
        [ property "outputs and pushforward are those of dual numbers" short (fun case ->
              let v = floats case.Tangent
              let expected = outputsOf case (along v (Array.zeroCreate v.Length) (floats case.Parameters))
              use at = linearize case
              expectAllClose 2e-5 (at.Outputs.Span.ToArray()) (expected |> Array.map _.X) "outputs"
              let jv = expected |> Array.map _.E1
              expectAllClose (5e-5 * scaleOf jv) ((at.Pushforward case.Tangent).Span.ToArray()) jv "pushforward")
          property "the pullback of u is the gradient of ⟨u, outputs⟩ by dual numbers" short (fun case ->
              let u = constants (case.Cotangent.Span.ToArray())

              let expected =
                  floats case.Parameters
                  |> gradient (fun parameters ->
                      Array.map2 (*) u (outputsOf case parameters) |> Array.fold (+) HyperDual.Zero)

              use at = linearize case
              let actual = at.Pullback case.Cotangent
              expectAllClose (5e-5 * scaleOf expected) (Vector.toArray actual) expected "pullback")
          property "the pullback is the adjoint of the pushforward" several (fun case ->
              use at = linearize case
              let jv, jtu = Matrix.flatten (at.Pushforward case.Tangent), at.Pullback case.Cotangent
              LayerCases.expectAdjoint (Matrix.flatten case.Cotangent) jv jtu case.Tangent)
          property "curvature is a pushforward and a pullback, bit for bit" several (fun case ->
              use at = linearize case
              let expected = at.Pushforward case.Tangent |> at.Pullback
              let product = Array.zeroCreate case.Tangent.Length
              at.Curvature Metric.identity case.Tangent (product.AsMemory())
              Expect.equal (Vector.ofArray product) expected "product") ]

/// The case with its sequences in another order, or some of them.
let private gathered (indices: int[]) case =
    let rows = ImmutableArray.CreateRange(Sequences.rows indices case.Sequences)

    { case with
        Sequences = Sequences.gather indices case.Sequences
        Observations = Matrix.gather rows case.Observations
        Cotangent = Matrix.gather rows case.Cotangent }

let private order =
    testList
        "order"
        [ property "threads do not change the bits" several (fun case ->
              let everything threads =
                  poisonMemory ()
                  use at = linearize { case with Network = Network.onThreads threads case.Network }

                  {| Forward = forward threads case
                     Outputs = at.Outputs.Span.ToArray()
                     Pushforward = at.Pushforward case.Tangent
                     Pullback = at.Pullback case.Cotangent |}

              let single = everything 1
              Expect.equal single.Forward single.Outputs "forward"

              for threads in [ 2; 5 ] do
                  Expect.equal (everything threads) single $"{threads} threads")
          property "step by step, outputs are the same bits as at once" several (fun case ->
              let length, width = case.Sequences.Length, case.Network.Memory
              use at = Network.at case.Network case.Parameters
              let memory = case.Sequences.Memory.Span.ToArray()
              let expected = Matrix.ofRows (forward 1 case |> Array.chunkBySize case.Outputs)

              for t in 0 .. length - 1 do
                  for i in 0 .. case.Sequences.Count - 1 do
                      if case.Sequences.Begins[i * length + t] then
                          Array.Clear(memory, i * width, width)

                  let rows = ImmutableArray.CreateRange(Seq.init case.Sequences.Count (fun i -> i * length + t))
                  let outputs = Array.zeroCreate<float32>(case.Sequences.Count * case.Outputs)
                  at.Step((Matrix.gather rows case.Observations).Span, memory.AsMemory(), outputs.AsSpan())
                  Expect.equal outputs ((Matrix.gather rows expected).Span.ToArray()) $"step {t}")
          property "another order of the sequences gives the same rows in that order" several (fun case ->
              let reversed = Array.rev [| 0 .. case.Sequences.Count - 1 |]
              let rows = ImmutableArray.CreateRange(Sequences.rows reversed case.Sequences)
              let expected = Matrix.ofRows (forward 1 case |> Array.chunkBySize case.Outputs) |> Matrix.gather rows
              Expect.equal (forward 1 (gathered reversed case)) (expected.Span.ToArray()) "outputs")
          property "nothing before the start of an episode changes what follows it" several (fun case ->
              let length = case.Sequences.Length

              /// Whether an episode begins in the sequence of a row, at the row or before it.
              let follows row = Seq.exists (fun r -> case.Sequences.Begins[r]) (seq { row / length * length .. row })

              let other =
                  { case with
                      Observations =
                          Matrix.init case.Observations.Rows case.Observations.Columns (fun row column ->
                              let value = case.Observations.Row(row)[column]
                              if follows row then value else 1f - value)
                      Sequences =
                          { case.Sequences with
                              Memory = Matrix.init case.Sequences.Count case.Network.Memory (fun _ _ -> 0.25f) } }

              let before, after = forward 1 case, forward 1 other
              use at = linearize case
              use atOther = linearize other

              /// Only what follows counts.
              let cotangent =
                  Matrix.init case.Cotangent.Rows case.Outputs (fun row column ->
                      if follows row then case.Cotangent.Row(row)[column] else 0f)

              for row in 0 .. case.Observations.Rows - 1 do
                  if follows row then
                      Expect.equal
                          (Array.sub after (row * case.Outputs) case.Outputs)
                          (Array.sub before (row * case.Outputs) case.Outputs)
                          $"row {row}"

              Expect.equal (atOther.Pullback cotangent) (at.Pullback cotangent) "gradient") ]

/// Parts of a batch are whole sequences.
let private parts =
    testList
        "parts"
        [ property "a part of the Fisher matrix is that of evenly spaced sequences" several (fun case ->
              let policy =
                  let space = Space.box case.Network.Inputs -1.0 1.0
                  let policy = Policy.create case.Architecture 0.0 false space (Discrete case.Outputs)
                  { policy with Network = case.Network }

              let productOf fraction (case: Case) =
                  let rows = case.Observations.Rows
                  let actions = Matrix.init rows 1 (fun _ _ -> 0f)
                  let advantages = ImmutableArray.CreateRange(Seq.replicate rows 1.0)

                  use surrogate =
                      Surrogate.ofSequences
                          1
                          policy
                          (Some case.Sequences)
                          case.Observations
                          actions
                          advantages
                          case.Parameters

                  use fisher = Fisher.matrix 0.1 fraction surrogate
                  Fisher.product fisher case.Tangent

              let count = case.Sequences.Count
              let chosen = max 1 (int (round (0.4 * float count)))
              let some = gathered (Array.init chosen (fun i -> i * count / chosen)) case
              Expect.equal (productOf 0.4 case) (productOf 1.0 some) "product")
          property "a minibatch of all sequences is a step along the gradient of all rows" short (fun case ->
              let case = if case.Outputs = 1 then Some case else None

              case
              |> Option.iter (fun case ->
                  let rows = case.Observations.Rows
                  let returns = Array.init rows (fun row -> float (case.Cotangent.Row(row)[0]))
                  let start = Critic.start Plain case.Parameters
                  let settings = { LearningRate = 0.01; Epochs = 1; BatchSize = rows }: MinibatchAdamSettings

                  let fitted =
                      CriticFit.fitSequences
                          (MinibatchAdam settings)
                          case.Network
                          (Some case.Sequences)
                          case.Observations
                          (ImmutableArray.CreateRange returns)
                          (Key.ofSeed 3L)
                          start
                      |> Result.defaultWith failwith

                  use at = linearize case

                  let gradient =
                      Matrix.init rows 1 (fun row _ ->
                          float32 (2.0 / float rows * (float (at.Outputs.Row(row)[0]) - returns[row])))
                      |> at.Pullback

                  let struct (expected, _) = Adam.update 0.01 gradient start.Optimiser case.Parameters
                  let largest = Vector.toArray gradient |> Array.map abs |> Array.max |> float

                  for i in 0 .. gradient.Length - 1 do
                      let g = float gradient[i]
                      // The first moment after one step is 0.1 g.
                      expectClose
                          (1e-5 * largest + 1e-8)
                          (float fitted.Optimiser.FirstMoment[i])
                          (0.1 * g)
                          $"moment {i}"

                      // Adam divides by the size of each number of the gradient, which rounding changes where it is small.
                      if abs g > 1e-3 * largest + 1e-6 then
                          expectClose 2e-3 (float fitted.Parameters[i]) (float expected[i]) $"parameter {i}")) ]

let private refusals =
    let network = Network.create [ 2 ] (Recurrent.gru 3 >=> Dense.linear 1)
    let parameters = Vector.zero network.ParameterCount

    testList
        "refusals"
        [ test "rows without sequences" {
              Expect.throwsT<InvalidOperationException>
                  (fun () -> Network.forward network parameters (Matrix.init 4 2 (fun _ _ -> 0f)) |> ignore)
                  "forward"

              Expect.throwsT<InvalidOperationException>
                  (fun () -> Network.linearize network parameters (Matrix.init 4 2 (fun _ _ -> 0f)) |> ignore)
                  "linearize"
          }
          test "sequences of other rows" {
              let sequences =
                  { Count = 2
                    Length = 3
                    Begins = ImmutableArray.CreateRange(Array.zeroCreate<bool> 6)
                    Memory = Matrix.init 2 3 (fun _ _ -> 0f) }

              for wrong in [ 5; 7 ] do
                  Expect.throwsT<ArgumentException>
                      (fun () ->
                          Network.linearizeSequences
                              network
                              parameters
                              (Some sequences)
                              (Matrix.init wrong 2 (fun _ _ -> 0f))
                          |> ignore)
                      $"{wrong} rows"
          } ]

// ---- Training ----

let private setupOf threads settings (environment: Environment<'State>) =
    (Configuration.standard, settings)
    ||> List.fold (fun configuration (name, value) ->
        Configuration.set name value configuration |> Result.defaultWith (Fault.message >> failwith))
    |> fun configuration -> Setup.create threads configuration environment
    |> Result.defaultWith (Fault.message >> failwith)

let private architectures =
    [ [ "architecture", "dense 7 tanh; gru 6"; "criticArchitecture", "dense 6 tanh; lstm 5" ]
      [ "architecture", "dense 6 tanh; gru 5"
        "criticArchitecture", "dense 4 tanh; lstm 3"
        "rule", "ppo"
        "minibatchSize", "80" ]
      [ "architecture", "dense 5 tanh; lstm 4"; "criticArchitecture", "dense 4 tanh" ]
      [ "architecture", "dense 5 tanh"
        "criticArchitecture", "dense 6 relu; gru 4; dense 3 relu"
        "critic", "gauss-newton" ] ]

let private common = [ "environments", "10"; "horizon", "40"; "fisherFraction", "0.5" ]

/// The states after each of the first iterations.
let private states count threads settings environment : TrainingState<'State> list =
    let setup = setupOf threads settings environment

    Training.run setup (TrainingState.start setup 3L)
    |> Seq.truncate count
    |> Seq.map (Result.map fst >> Result.defaultWith (Fault.message >> failwith))
    |> List.ofSeq

let private training =
    testList
        "training"
        [ for architecture in architectures do
              let settings = common @ architecture
              let name = snd architecture.Head + ", " + snd architecture[1]

              test $"{name}: threads and checkpoints do not change the bits" {
                  let environment = RepeatPrevious.environment Difficulty.Easy
                  let run = states 3 1 settings environment
                  let last = List.last run

                  let onThreads = List.last (states 3 3 settings environment)
                  Expect.equal onThreads.PolicyParameters last.PolicyParameters "threads"
                  Expect.equal onThreads.Critic last.Critic "the critic, threads"

                  let setup = setupOf 1 settings environment
                  let path = IO.Path.GetTempFileName()

                  try
                      Checkpoint.save path setup "" run[1] |> Result.defaultWith (Fault.message >> failwith)
                      let loaded = Checkpoint.load path setup |> Result.defaultWith (Fault.message >> failwith)
                      let loaded = loaded.State
                      Expect.equal loaded.Critic run[1].Critic "critic"
                      Expect.equal loaded.Instances run[1].Instances "instances"
                      let next, _ = Training.update setup loaded |> Result.defaultWith (Fault.message >> failwith)
                      Expect.equal next.PolicyParameters last.PolicyParameters "policy"
                      Expect.equal next.PolicyOptimiser last.PolicyOptimiser "the policy's optimiser"
                      Expect.equal next.Critic last.Critic "critic"
                  finally
                      IO.File.Delete path
              }

          test "a network reads the sequences of a batch as the policy and the critic saw them" {
              let environment = PositionOnlyCartPole.environment Difficulty.Easy |> Environment.withTimeLimit 25
              let setup = setupOf 1 (common @ architectures.Head) environment
              let states = states 2 1 (common @ architectures.Head) environment
              let state = states[1]
              let actor = TrainingState.actor setup state
              let critic = state.Critic
              let key = Key.ofSeed 9L
              let horizon, count = 80, 10

              let batch, after =
                  Rollout.collect environment actor horizon 1 key state.Instances
                  |> Result.defaultWith (Fault.message >> failwith)

              Expect.isTrue (batch.Ends |> Seq.exists Batch.endsEpisode) "episodes end"
              Expect.isTrue (Seq.exists ((<>) 0f) (batch.Memory.Span.ToArray())) "something is remembered"
              let observations = Normaliser.apply actor.Normaliser batch.Observations

              /// The outputs for the rows of a network that remembers this.
              let outputs (network: Network) parameters memory =
                  let outputs = Array.zeroCreate<float32>(observations.Rows * network.Outputs)
                  use at = Network.at network parameters
                  at.Forward(Batch.sequences memory batch, observations.Memory, outputs.AsMemory())
                  Matrix.ofRows (Array.chunkBySize network.Outputs outputs)

              // The policy's distributions: the same keys draw the same actions.
              let distributions = outputs actor.Policy.Network actor.Parameters batch.Memory

              for i in 0 .. count - 1 do
                  let actionKey = key |> Key.at (int64 i) |> Key.named "action"

                  for t in 0 .. horizon - 1 do
                      let row = i * horizon + t
                      let action = [| nanf |]
                      actor.Policy.Family.Sample(distributions.Row row, Key.at (int64 t) actionKey, action.AsSpan())
                      Expect.equal action[0] (batch.Actions.Row(row)[0]) $"the action of row {row}"

              // The critic's values, and what it remembers afterwards.
              let bootstraps = Normaliser.apply actor.Normaliser batch.BootstrapObservations

              let struct (values, ofBootstraps, memory) =
                  Critic.valuesOfBatch setup.Critic critic batch observations bootstraps

              let inUnit = outputs setup.Critic critic.Parameters critic.Memory
              let toReturn = ReturnUnit.toReturn critic.Unit

              Expect.equal
                  (List.ofSeq values)
                  [ for row in 0 .. observations.Rows - 1 -> toReturn (float (inUnit.Row(row)[0])) ]
                  "values"

              // A bootstrap is one step more, from the memory after the row.
              use at = Network.at setup.Critic critic.Parameters
              let mutable bootstrap = 0
              Expect.contains batch.Ends End.Truncated "episodes that were truncated"

              for i in 0 .. count - 1 do
                  let remembered = critic.Memory.Row(i).ToArray()
                  let value = [| nanf |]

                  for t in 0 .. horizon - 1 do
                      let row = i * horizon + t
                      at.Step(observations.Row row, remembered.AsMemory(), value.AsSpan())

                      if batch.Ends[row] = End.Truncated || batch.Ends[row] = End.Interrupted then
                          let copy = Array.copy remembered
                          at.Step(bootstraps.Row bootstrap, copy.AsMemory(), value.AsSpan())
                          Expect.equal ofBootstraps[bootstrap] (toReturn (float value[0])) $"bootstrap {bootstrap}"
                          bootstrap <- bootstrap + 1

                      if Batch.endsEpisode batch.Ends[row] then
                          Array.Clear remembered

                  Expect.equal (memory.Row(i).ToArray()) remembered $"what the critic remembers of instance {i}"

              Expect.equal bootstrap bootstraps.Rows "bootstraps"

              // Shorter rollouts remember as a longer one does.
              let first, between =
                  Rollout.collect environment actor 30 1 key state.Instances
                  |> Result.defaultWith (Fault.message >> failwith)

              for i in 0 .. count - 1 do
                  for t in 0..29 do
                      Expect.equal
                          (first.Actions.Row(i * 30 + t)[0])
                          (batch.Actions.Row(i * horizon + t)[0])
                          $"step {t} of instance {i}"

              // What an instance remembers is what its rows since the last start leave.
              use policy = Network.at actor.Policy.Network actor.Parameters

              for i in 0 .. count - 1 do
                  let remembered = batch.Memory.Row(i).ToArray()
                  let ignored = Array.zeroCreate<float32> actor.Policy.Network.Outputs

                  for t in 0..29 do
                      let row = i * horizon + t
                      policy.Step(observations.Row row, remembered.AsMemory(), ignored.AsSpan())

                      if Batch.endsEpisode batch.Ends[row] then
                          Array.Clear remembered

                  Expect.equal (Vector.toArray between[i].Memory) remembered $"the memory of instance {i}"

              Expect.hasLength after count "instances"
          }

          test "an evaluation plays as an episode of the policy does" {
              let environment = PositionOnlyCartPole.environment Difficulty.Easy
              let settings = common @ architectures.Head
              let setup = setupOf 1 settings environment
              let actor = TrainingState.actor setup (List.last (states 2 1 settings environment))
              let key = Key.ofSeed 4L
              let scores = Evaluation.run 2 environment actor 3 key |> Result.defaultWith (Fault.message >> failwith)
              let policy = InferencePolicy actor

              for i in 0..2 do
                  let episode = policy.Begin()
                  let own = Key.at (int64 i) key
                  let stepKey = Key.named "environment" own
                  let action = [| 0f |]

                  let rec play time state total =
                      episode.Act((Environment.observation environment state).Span, action.AsSpan())
                      let next = environment.Step(Key.at time stepKey, ReadOnlySpan action, state)
                      let total = total + next.Reward
                      if next.Terminated || next.Truncated then total else play (time + 1L) next.State total

                  Expect.equal (play 0L (environment.Reset(Key.named "reset" own)) 0.0) scores.Returns[i] $"episode {i}"

              Expect.throwsT<InvalidOperationException>
                  (fun () -> policy.Act(Vector.zero 2) |> ignore)
                  "observations without an episode"
          } ]

// ---- Programs that play policies with memory ----

/// A policy whose parameters are as large as those of one that has learned.
let private savedWith (text: string) observationSpace (actionSpace: Space) =
    let architecture = Architecture.parse text |> Result.defaultWith failwith

    let policy =
        Policy.create architecture 0.0 (Distribution.hasDensity actionSpace) observationSpace actionSpace

    let key = Key.named text (Key.ofSeed 1L)
    let start = policy.Network.Initialise key
    let noise = Key.normals start.Length (Key.named "noise" key)

    let normaliser =
        match observationSpace with
        | Box _ -> Standardise(Moments.create 50.0 [| 0.5; 100.0; -3.0 |] [| 50.0; 5.0; 200.0 |])
        | _ -> Unnormalised

    { Environment = "Case-v0"
      Actor =
        { Policy = policy
          Parameters = Vector.init start.Length (fun i -> start[i] + 0.3f * float32 noise[i])
          Normaliser = normaliser } }

let private played =
    [ for text in [ "gru 7"; "lstm 6"; "dense 9 relu; gru 18; layernorm; lstm 5; dense 4 tanh" ] do
          for actionSpace in [ Discrete 3; MultiDiscrete [ 2; 4 ]; Space.box 2 -2.0 1.0 ] do
              $"{text} → {Space.describe actionSpace}",
              savedWith text (Space.box 3 Double.NegativeInfinity Double.PositiveInfinity) actionSpace
      "dense 5 tanh; gru 8 on indices", savedWith "dense 5 tanh; gru 8" (Discrete 6) (Discrete 3)
      "memory inside of parts",
      savedWith
          "parts { a: gru 4; b: dense 5 tanh; lstm 3; c: parts { d: gru 2 } }; gru 6"
          (Parts [ "a", Space.box 3 -1.0 1.0; "b", Discrete 4; "c", Parts [ "d", MultiBinary 2; "e", Discrete 3 ] ])
          (Parts [ "gear", Discrete 3; "steer", Space.box 2 -2.0 1.0; "lamps", MultiBinary 2 ])
      "memory inside of parts in another order",
      savedWith
          "parts { c: parts { e: dense 3 relu; gru 5; d: gru 2 }; b: dense 5 tanh; lstm 3; a: gru 6 }"
          (Parts [ "a", Space.box 3 -1.0 1.0; "b", Discrete 4; "c", Parts [ "d", MultiBinary 2; "e", Discrete 3 ] ])
          (Discrete 3) ]

/// The observations of an episode.
let private observationsOf (saved: SavedPolicy) count =
    [| for t in 0 .. count - 1 do
           let key = Key.at (int64 t) (Key.ofSeed 8L)

           match saved.ObservationSpace with
           | Box _ ->
               let numbers = Key.normals 3 key

               [| float32 (0.5 + numbers[0])
                  float32 (100.0 + 0.3 * numbers[1])
                  float32 (-3.0 + 2.0 * numbers[2]) |]
           | space -> Vector.toArray (Space.sample space key) |]

/// The numbers of a distribution.
let rec private numbersOf distribution =
    match distribution with
    | ActionDistribution.Parts parts -> parts |> Seq.map (snd >> numbersOf) |> Array.concat
    | ActionDistribution.Choices probabilities -> Array.ofSeq probabilities
    | ActionDistribution.Normals(means, deviations)
    | ActionDistribution.SquashedNormals(means, deviations) -> Array.append (Array.ofSeq means) (Array.ofSeq deviations)
    | ActionDistribution.Betas(alphas, betas, _, _) -> Array.append (Array.ofSeq alphas) (Array.ofSeq betas)

/// The same of FunTrpo.Inference.
let rec private numbersOfSmall (found: FunTrpo.Inference.ActionDistribution) : float[] =
    [| yield! found.Probabilities
       yield! found.Mean
       yield! found.StandardDeviation

       for part in found.Parts do
           yield! numbersOfSmall part.Distribution |]

/// The same of a model, whose outputs for a part begin with its path.
let rec private numbersOfModel space prefix (found: OnnxRuns.Outputs) : float[] =
    let numbers name = found.Floats[prefix + name] |> Array.map float

    match space with
    | Parts parts -> parts |> Seq.map (fun (name, part) -> numbersOfModel part $"{prefix}{name}." found) |> Array.concat
    | Box _ -> Array.append (numbers "mean") (numbers "std")
    | _ -> numbers "probabilities"

let private expectNear tolerance (expected: float[]) (found: seq<float>) what =
    let found = Array.ofSeq found
    Expect.hasLength found expected.Length what

    for i in 0 .. found.Length - 1 do
        let isNear = abs (expected[i] - found[i]) <= tolerance * max 1.0 (abs expected[i])

        if not isNear then
            failtest $"{what}: {expected[i]} and {found[i]} at {i}"

let private playing =
    testList
        "played by"
        [ for name, saved in played do
              let observations = observationsOf saved 60
              let width = Space.width saved.ActionSpace

              /// The distributions and the actions of the library.
              let expected () =
                  let episode = (InferencePolicy saved.Actor).Begin()

                  [| for observation in observations do
                         let action = Array.zeroCreate<float32> width
                         episode.Act(ReadOnlySpan observation, action.AsSpan())
                         action |]

              let distributions () =
                  let episode = (InferencePolicy saved.Actor).Begin()
                  let action = Array.zeroCreate<float32> width

                  observations
                  |> Array.map (fun observation ->
                      let numbers = numbersOf (episode.Distribution(ReadOnlySpan observation))
                      episode.Act(ReadOnlySpan observation, action.AsSpan())
                      numbers)

              test $"{name}: the facade, bit for bit, and again after a restart" {
                  let policy = FunTrpo.CSharp.Policy.FromJson(PolicyFile.print saved)
                  let episode = policy.Begin()
                  Expect.isTrue policy.HasMemory "memory"

                  for _ in 1..2 do
                      for observation, right in Array.zip observations (expected ()) do
                          let action = Array.zeroCreate<float32> width
                          episode.Act(ReadOnlySpan observation, action.AsSpan())
                          Expect.equal action right "action"

                      episode.Restart()

                  Expect.throwsT<InvalidOperationException>
                      (fun () ->
                          let action = Array.zeroCreate<float32> width
                          policy.Act(ReadOnlySpan observations[0], action.AsSpan()))
                      "outside of an episode"
              }

              test $"{name}: FunTrpo.Inference" {
                  let policy = FunTrpo.Inference.Policy.FromJson(PolicyFile.print saved)
                  let episode = policy.Begin()
                  Expect.isTrue policy.HasMemory "memory"

                  let action = Array.zeroCreate<float32> width

                  for observation, right in Array.zip observations (distributions ()) do
                      let found = episode.Distribution(ReadOnlySpan observation)
                      episode.Act(ReadOnlySpan observation, action.AsSpan())

                      expectNear 1e-5 right (numbersOfSmall found) "distribution"

                  Expect.throwsT<InvalidOperationException>
                      (fun () ->
                          let action = Array.zeroCreate<float32> width
                          policy.Act(ReadOnlySpan observations[0], action.AsSpan()))
                      "outside of an episode"
              }

              test $"{name}: ONNX Runtime, which is given the memory" {
                  use session = OnnxRuns.session (OnnxRuns.bytesOf saved)
                  let mutable memory = Matrix.init 1 saved.Actor.Policy.Network.Memory (fun _ _ -> 0f)

                  for observation, right in Array.zip observations (distributions ()) do
                      let found = OnnxRuns.runFrom memory session (Matrix.ofRows [| observation |])
                      memory <- Matrix.ofRows [| found.Floats["nextMemory"] |]

                      expectNear 2e-5 right (numbersOfModel saved.ActionSpace "" found) "distribution"
              }

              test $"{name}: ONNX Runtime, several episodes in one batch" {
                  use session = OnnxRuns.session (OnnxRuns.bytesOf saved)
                  let memoryWidth = saved.Actor.Policy.Network.Memory
                  let episodes = observations |> Array.chunkBySize 12
                  let noMemory rows = Matrix.init rows memoryWidth (fun _ _ -> 0f)
                  let rowsOf width numbers = Array.chunkBySize width numbers |> Matrix.ofRows

                  /// The memories of all episodes after each step, which are in one batch.
                  let together =
                      [| 0..11 |]
                      |> Array.scan
                          (fun memory t ->
                              let seen = episodes |> Array.map (Array.item t) |> Matrix.ofRows
                              rowsOf memoryWidth (OnnxRuns.runFrom memory session seen).Floats["nextMemory"])
                          (noMemory episodes.Length)

                  for i in 0 .. episodes.Length - 1 do
                      let mutable memory = noMemory 1

                      for t in 0..11 do
                          memory <-
                              Matrix.ofRows
                                  [| (OnnxRuns.runFrom memory session (Matrix.ofRows [| episodes[i][t] |])).Floats["nextMemory"] |]

                          expectNear
                              1e-5
                              (memory.Span.ToArray() |> Array.map float)
                              (together[t + 1].Row(i).ToArray() |> Seq.map float)
                              $"episode {i}, step {t}"
              } ]

let tests = testList "Recurrent" [ derivatives; order; parts; refusals; training; playing ]
