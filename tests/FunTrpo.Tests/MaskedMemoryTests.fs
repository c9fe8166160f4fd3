/// Policies with memory whose observations have masks: their networks, their rollouts, and the programs that play them.
module FunTrpo.Tests.MaskedMemoryTests

open System
open System.Collections.Immutable
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.MaskCases
open FunTrpo.Tests.Tasks

let private architectures =
    [ "gru 3"; "lstm 2"; "dense 4 tanh; gru 5; dense 3 tanh"; "gru 4; layernorm; lstm 3" ]

let private parsed text = Architecture.parse text |> Result.defaultWith failwith

// ---- Networks ----

/// A policy with masks and memory, the same without masks, and sequences whose rows have masks of their own.
type private Case =
    { Policy: Policy
      Unmasked: Policy
      Parameters: Vector
      Masks: bool[][]
      Observed: Matrix
      Sequences: Sequences
      Tangent: Vector
      Cotangent: Matrix }

    member this.Observations =
        Matrix.ofRows (
            Array.init this.Masks.Length (fun row ->
                Array.append (this.Observed.Row(row).ToArray()) (toNumbers this.Masks[row]))
        )

    /// The numbers of a matrix of logits, with 0 for those of illegal actions.
    member this.Masked(m: Matrix) =
        Matrix.init m.Rows m.Columns (fun row i -> if this.Masks[row][i] then m[row, i] else 0f)

let private case =
    gen {
        let! counts = someCounts
        let! text = Gen.elements architectures
        let! inputs, count, length = Gen.zip3 (Gen.choose (1, 4)) (Gen.choose (1, 9)) (Gen.choose (1, 7))
        let rows = count * length

        let policyFor observationSpace = Policy.create (parsed text) 0.0 false observationSpace (actionsOf counts)

        let unmasked = policyFor (numbersOf inputs)
        let! masks = Gen.arrayOfLength rows (maskOf counts)
        let! parameters = vector 0.7 unmasked.Network.ParameterCount
        let! observed = matrix 1.0 rows inputs
        let! memory = matrix 0.9 count unmasked.Network.Memory
        let! begins = Gen.arrayOfLength rows (Gen.frequency [ 4, Gen.constant false; 1, Gen.constant true ])
        let! tangent = vector 0.5 parameters.Length
        let! cotangent = matrix 1.0 rows (List.sum counts)

        return
            { Policy = policyFor (Masked(numbersOf inputs, counts))
              Unmasked = unmasked
              Parameters = parameters
              Masks = masks
              Observed = observed
              Sequences =
                { Count = count; Length = length; Begins = ImmutableArray.CreateRange begins; Memory = memory }
              Tangent = tangent
              Cotangent = cotangent }
    }

let private linearize (case: Case) (policy: Policy) observations =
    Network.linearizeSequences policy.Network case.Parameters (Some case.Sequences) observations

let private forward (case: Case) (policy: Policy) (observations: Matrix) =
    use at = Network.at policy.Network case.Parameters
    let outputs = Array.zeroCreate<float32>(observations.Rows * policy.Network.Outputs)
    at.Forward(Some case.Sequences, observations.Memory, outputs.AsMemory())
    Matrix.ofRows (Array.chunkBySize policy.Network.Outputs outputs)

/// The outputs for the rows, computed a step of all sequences at a time, as a rollout does it.
let private stepByStep (case: Case) =
    let network, sequences = case.Policy.Network, case.Sequences
    use at = Network.at network case.Parameters
    let memory = sequences.Memory.Span.ToArray()
    let outputs = Array.zeroCreate<float32[]> case.Masks.Length

    for t in 0 .. sequences.Length - 1 do
        let rows = Array.init sequences.Count (fun i -> i * sequences.Length + t)

        rows
        |> Array.iteri (fun i row ->
            if sequences.Begins[row] then
                Array.Clear(memory, i * network.Memory, network.Memory))

        let found = Array.zeroCreate<float32>(rows.Length * network.Outputs)
        let seen = Matrix.gather (ImmutableArray.CreateRange rows) case.Observations
        at.Step(seen.Span, memory.AsMemory(), found.AsSpan())
        Array.iter2 (fun row logits -> outputs[row] <- logits) rows (Array.chunkBySize network.Outputs found)

    Matrix.ofRows outputs

let private networks =
    testList
        "networks"
        [ property
              "legal logits have the bits of the network without masks, illegal ones are the constant"
              case
              (fun case ->
                  let plain = forward case case.Unmasked case.Observed

                  let expected =
                      Matrix.init plain.Rows plain.Columns (fun row i ->
                          if case.Masks[row][i] then plain[row, i] else MaskedLayers.illegalLogit)

                  use at = linearize case case.Policy case.Observations
                  Expect.equal (forward case case.Policy case.Observations) expected "all rows at once"
                  Expect.equal at.Outputs expected "linearized"
                  Expect.equal (stepByStep case) expected "step by step")
          property "J v of illegal actions is 0, and Jᵀ u does not depend on their u" case (fun case ->
              use at = linearize case case.Policy case.Observations
              use plain = linearize case case.Unmasked case.Observed
              let u = case.Cotangent
              Expect.equal (at.Pushforward case.Tangent) (case.Masked(plain.Pushforward case.Tangent)) "J v"
              Expect.equal (at.Pullback u) (plain.Pullback(case.Masked u)) "Jᵀ u") ]

// ---- Rollouts ----

let private settings =
    { small with
        Environments = 6
        Horizon = 30
        Architecture = parsed "dense 9 tanh; gru 12"
        CriticArchitecture = parsed "lstm 6" }

let private rollouts =
    testList
        "rollouts"
        [ test "an update sees the probabilities of the rollout, and those of illegal actions are 0" {
              let setup = setupOf 1 settings (walk changing)
              let state = iterations 2 setup (TrainingState.start setup 4L) |> List.last |> fst
              let actor, key = TrainingState.actor setup state, Key.ofSeed 9L
              let family, horizon = actor.Policy.Family, 45

              let batch, _ = Rollout.collect setup.Environment actor horizon 1 key state.Instances |> expectOk

              Expect.isTrue (Seq.exists ((<>) 0f) (batch.Memory.Span.ToArray())) "something is remembered"
              Expect.isTrue (batch.Ends |> Seq.exists Batch.endsEpisode) "episodes end"
              let observations = Normaliser.apply actor.Normaliser batch.Observations
              let sequences = Batch.sequences batch.Memory batch
              use at = Network.linearizeSequences actor.Policy.Network actor.Parameters sequences observations
              let counts = walkCounts

              for i in 0 .. batch.Instances - 1 do
                  let actionKey = key |> Key.at (int64 i) |> Key.named "action"

                  for t in 0 .. horizon - 1 do
                      let row = i * horizon + t
                      let action = Array.zeroCreate<float32> family.ActionWidth
                      family.Sample(at.Outputs.Row row, Key.at (int64 t) actionKey, action.AsSpan())
                      Expect.equal action (batch.Actions.Row(row).ToArray()) $"the action of row {row}"
                      let mask = (Mask.ofRow setup.Environment.ObservationSpace (batch.Observations.Row row)).ToArray()

                      Array.iter2
                          (fun legal probability ->
                              Expect.equal (probability > 0.0) (legal = 1f) $"a probability of row {row}")
                          mask
                          (Distribution.probabilities counts (at.Outputs.Row row))
          }
          test "threads do not change the bits" {
              let run threads =
                  let setup = setupOf threads settings (walk changing)
                  iterations 3 setup (TrainingState.start setup 4L) |> List.last |> fst

              let one, three = run 1, run 3
              Expect.equal three.PolicyParameters one.PolicyParameters "policy"
              Expect.equal three.Critic one.Critic "critic"
          } ]

// ---- Programs that play ----

/// A policy, and an episode of observations with their masks.
type private Played =
    { Name: string
      Saved: SavedPolicy
      Seen: (float32[] * bool[])[] }

    member this.Row t = Array.append (fst this.Seen[t]) (toNumbers (snd this.Seen[t]))

let private played =
    [ for text in architectures do
          for actions in [ Discrete 5; MultiDiscrete [ 3; 1; 4 ] ] do
              let counts = countsOf actions
              let policy = Policy.create (parsed text) 0.0 false (Masked(numbersOf 3, counts)) actions
              let key = Key.named text (Key.ofSeed 6L)

              { Name = $"{text} → {Space.describe actions}"
                Saved =
                  Standardise(Moments.create 100.0 [ 3.0; -2.0; 0.1 ] [ 400.0; 1e3; 0.01 ])
                  |> savedAtRandom policy key
                Seen =
                  Array.init 40 (fun t ->
                      let key = Key.at (int64 t) key
                      let mask = Space.sample (Masked(Discrete 1, counts)) (Key.named "mask" key)

                      Key.normals 3 key |> Array.map float32, Vector.toArray mask |> Array.tail |> Array.map ((=) 1f)) } ]

/// The distributions and the actions of the library, step after step.
let private expectedOf (played: Played) =
    let episode = (InferencePolicy played.Saved.Actor).Begin()
    let action = Array.zeroCreate<float32>(Space.width played.Saved.ActionSpace)

    Array.init played.Seen.Length (fun t ->
        let row = played.Row t

        match episode.Distribution(ReadOnlySpan row) with
        | ActionDistribution.Choices probabilities ->
            episode.Act(ReadOnlySpan row, action.AsSpan())
            Array.ofSeq probabilities, Array.map int action
        | other -> failwith $"{other}")

let private expectNear what (legal: bool[]) (expected: float[]) (found: float[]) =
    for i in 0 .. expected.Length - 1 do
        if legal[i] then
            expectClose 1e-4 found[i] expected[i] what
        else
            Expect.equal (found[i], expected[i]) (0.0, 0.0) $"{what}: illegal"

let private programs =
    testList
        "played by"
        [ test "the facade, and FunTrpo.Inference" {
              for played in played do
                  let json = PolicyFile.print played.Saved
                  let large = (FunTrpo.CSharp.Policy.FromJson json).Begin()
                  let small = (FunTrpo.Inference.Policy.FromJson json).Begin()
                  let action = Array.zeroCreate<int>(Space.width played.Saved.ActionSpace)

                  for (observation, legal), (probabilities, right) in Array.zip played.Seen (expectedOf played) do
                      let ofLarge = large.Distribution(ReadOnlySpan observation, ReadOnlySpan legal)
                      let ofSmall = small.Distribution(ReadOnlySpan observation, ReadOnlySpan legal)
                      Expect.equal (Array.ofSeq ofLarge.Probabilities) probabilities played.Name
                      expectNear played.Name legal probabilities (Array.ofSeq ofSmall.Probabilities)
                      large.Act(ReadOnlySpan observation, ReadOnlySpan legal, action.AsSpan())
                      Expect.equal action right $"{played.Name}: the action of the facade"
                      small.Sample(ReadOnlySpan observation, ReadOnlySpan legal, Random 3, action.AsSpan())
                      let row = Array.append [| 0f |] (toNumbers legal)
                      let space = Masked(Discrete 1, countsOf played.Saved.ActionSpace)

                      Expect.isTrue
                          (Mask.allows space (ReadOnlySpan row) (ReadOnlySpan(Array.map float32 action)))
                          "a drawn action is legal"
          }
          test "ONNX Runtime, which is given the memory and the mask" {
              for played in played do
                  use session = OnnxRuns.session (OnnxRuns.bytesOf played.Saved)
                  let mutable memory = Matrix.init 1 played.Saved.Actor.Policy.Network.Memory (fun _ _ -> 0f)

                  expectedOf played
                  |> Array.iteri (fun t (probabilities, _) ->
                      let found = OnnxRuns.runFrom memory session (Matrix.ofRows [| played.Row t |])
                      memory <- Matrix.ofRows [| found.Floats["nextMemory"] |]
                      let probabilitiesFound = found.Floats["probabilities"] |> Array.map float
                      expectNear played.Name (snd played.Seen[t]) probabilities probabilitiesFound)
          }
          test "neither outside of an episode, nor without a mask, nor without a legal action" {
              let played = List.head played
              let json = PolicyFile.print played.Saved
              let large, small = FunTrpo.CSharp.Policy.FromJson json, FunTrpo.Inference.Policy.FromJson json
              let seen, legal = played.Seen[0]
              let none = Array.create legal.Length false

              for act in
                  [ fun () -> large.Act(ReadOnlySpan seen, ReadOnlySpan legal)
                    fun () -> small.Act(ReadOnlySpan seen, ReadOnlySpan legal)
                    fun () -> small.Sample(ReadOnlySpan seen, ReadOnlySpan legal, Random 1)
                    fun () -> large.Begin().Act(ReadOnlySpan seen)
                    fun () -> small.Begin().Act(ReadOnlySpan seen)
                    fun () -> large.Begin().Sample(ReadOnlySpan seen, Random 1)
                    fun () -> small.Begin().Sample(ReadOnlySpan seen, Random 1)
                    fun () -> large.Begin().Distribution(ReadOnlySpan seen).Probabilities.Count
                    fun () -> small.Begin().Distribution(ReadOnlySpan seen).Probabilities.Count ] do
                  Expect.throwsT<InvalidOperationException> (fun () -> act () |> ignore) "without a mask"

              for act in
                  [ fun () -> large.Begin().Act(ReadOnlySpan seen, ReadOnlySpan none)
                    fun () -> small.Begin().Act(ReadOnlySpan seen, ReadOnlySpan none)
                    fun () -> large.Begin().Sample(ReadOnlySpan seen, ReadOnlySpan [| true |], Random 1)
                    fun () -> small.Begin().Sample(ReadOnlySpan seen, ReadOnlySpan [| true |], Random 1) ] do
                  Expect.throwsT<ArgumentException> (fun () -> act () |> ignore) "no legal action, or another length"
          } ]

let tests = testList "masks with memory" [ networks; rollouts; programs ]
