/// Observations that are indices: a lookup is a dense layer without biases on one-hot rows.
module FunTrpo.Tests.EmbeddingTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks

/// A lookup followed by what else there is, the same network on one-hot rows, and rows of indices.
type private Case =
    {
        Counts: int list
        Embedding: Network
        Dense: Network
        /// Of the lookup; those of the dense layers have zeros for the biases of the first as well.
        Parameters: Vector
        ToDense: Vector -> Vector
        Indices: Matrix
        OneHot: Matrix
        Key: Key
    }

let private cases =
    gen {
        let! counts = Gen.choose (1, 3) |> Gen.bind (fun n -> Gen.listOfLength n (Gen.choose (1, 6)))
        let! outputs = Gen.choose (1, 20)
        let! free = Gen.elements [ 0; 0; 2 ]
        let! activation = activation
        let! isDeeper = Gen.elements [ true; false ]
        let! rows = Gen.frequency [ 9, Gen.choose (1, 12); 1, Gen.choose (500, 600) ]
        let! key = key
        let table = List.sum counts
        let first layer : LayerBuilder = layer 1.0 outputs activation free 0.5
        let builder layer = if isDeeper then (>=>) (first layer) (Dense.linear 3) else first layer
        let lookup = Network.create [ counts.Length ] (builder (Embedding.layer counts))
        let dense = Network.create [ table ] (builder Dense.withStateIndependent)

        // The biases of the dense layer lie between the rows and the free outputs.
        let toDense (v: Vector) =
            Vector.concat
                [ v.Slice(0, table * outputs)
                  Vector.zero outputs
                  v.Slice(table * outputs, v.Length - table * outputs) ]

        let index row column =
            let key = key |> Key.named "indices" |> Key.at (int64 row) |> Key.at (int64 column)
            (Space.sample (Discrete counts[column]) key)[0]

        let indices = Matrix.init rows counts.Length index
        let starts = List.scan (+) 0 counts

        let oneHot =
            Matrix.init rows table (fun row place ->
                let isThere column = starts[column] + int indices[row, column] = place
                if Seq.exists isThere [ 0 .. counts.Length - 1 ] then 1f else 0f)

        return
            { Counts = counts
              Embedding = lookup
              Dense = dense
              Parameters = lookup.Initialise(Key.named "parameters" key)
              ToDense = toDense
              Indices = indices
              OneHot = oneHot
              Key = key }
    }

let private normals name count case = Key.named name case.Key |> Key.normals count |> Array.map float32

let private close what (expected: ReadOnlySpan<float32>) (actual: ReadOnlySpan<float32>) =
    Expect.equal actual.Length expected.Length $"{what}: size"

    for i in 0 .. expected.Length - 1 do
        let scale = 1.0 + abs (float expected[i])
        Expect.isLessThan (abs (float expected[i] - float actual[i])) (1e-5 * scale) $"{what} {i}"

let private matrixOf rows columns (values: float32[]) =
    Matrix.init rows columns (fun row column -> values[row * columns + column])

let private policyOn space hidden =
    let policy = Policy.create (Architecture.uniform hidden Activation.Tanh) 0.0 false space (Discrete 3)

    { Policy = policy
      Parameters = policy.Network.Initialise(Key.ofSeed 1L)
      Normaliser = Unnormalised }

/// An environment that shows its state, which counts upwards.
let private counting space (shown: int -> float32) =
    { new Environment<int> with
        member _.Id = "Counting-v0"
        member _.ObservationSpace = space
        member _.ActionSpace = Discrete 2
        member _.Reset _ = 0
        member _.Step(_, _, state) = { State = state + 1; Reward = 1.0; Terminated = false; Truncated = state >= 9 }
        member _.Observe(state, observation) = observation[0] <- shown state }

let private small = withFourUnits 2 16

let tests =
    testList
        "Embedding"
        [ property
              "gives what a dense layer gives of one-hot rows, forward, pushed forward and pulled back"
              cases
              (fun case ->
                  use lookup = Network.linearize case.Embedding case.Parameters case.Indices
                  use dense = Network.linearize case.Dense (case.ToDense case.Parameters) case.OneHot
                  close "forward" dense.Outputs.Span lookup.Outputs.Span

                  close
                      "forward alone"
                      dense.Outputs.Span
                      (Network.forward case.Embedding case.Parameters case.Indices).Span

                  let tangent = normals "tangent" case.Parameters.Length case |> Vector.ofArray
                  close "pushforward" (dense.Pushforward(case.ToDense tangent)).Span (lookup.Pushforward tangent).Span

                  let rows, outputs = case.Indices.Rows, case.Embedding.Outputs
                  let cotangent = matrixOf rows outputs (normals "cotangent" (rows * outputs) case)
                  let ofLookup = case.ToDense(lookup.Pullback cotangent)
                  let ofDense = Vector.toArray (dense.Pullback cotangent)

                  // The biases of the first dense layer are the only parameters that the lookup has none for.
                  for i in 0 .. ofDense.Length - 1 do
                      if (case.ToDense(Vector.init case.Parameters.Length (fun _ -> 1f)))[i] = 0f then
                          ofDense[i] <- 0f

                  close "pullback" (ReadOnlySpan ofDense) ofLookup.Span)

          property "is the same, bit for bit, on any number of threads" cases (fun case ->
              let on threads =
                  use it = Network.linearize (Network.onThreads threads case.Embedding) case.Parameters case.Indices

                  let outputs =
                      Matrix.init it.Outputs.Rows it.Outputs.Columns (fun row column -> it.Outputs[row, column])

                  outputs, it.Pullback outputs

              Expect.equal (on 3) (on 1) "outputs and pullback")

          property
              "refuses what is not an index, by name"
              (Gen.zip cases (Gen.elements [ -1f; 0.5f; nanf; infinityf; 1e9f; 6f ]))
              (fun (case, bad) ->
                  let spoilt = Matrix.init 1 case.Counts.Length (fun _ column -> if column = 0 then bad else 0f)

                  Expect.throwsT<ArgumentException>
                      (fun () -> Network.forward case.Embedding case.Parameters spoilt |> ignore)
                      "a bad index")

          test "is the first layer of policies and critics whose observations are indices" {
              let units hidden = (policyOn (Discrete 7) hidden).Parameters.Length
              Expect.equal (units []) (7 * 3) "a table of seven rows"
              Expect.equal (units [ 5 ]) (7 * 5 + 5 * 3 + 3) "looked up, then dense"
              let choices = (policyOn (MultiDiscrete [ 2; 3 ]) [ 5 ]).Parameters.Length
              Expect.equal choices (5 * 5 + 5 * 3 + 3) "the rows of two tables"
              let critic = Critic.create (Architecture.uniform [] Activation.Tanh) (Discrete 7)
              Expect.allEqual (Vector.toArray (critic.Initialise(Key.ofSeed 1L))) 0f "a table of values"
          }

          test "acts, and refuses what it cannot act on" {
              let player = InferencePolicy(policyOn (Discrete 7) [])
              let action = player.Sample(Vector.ofArray [| 6f |], Key.ofSeed 1L)
              Expect.isTrue (Space.contains (Discrete 3) action.Span) "an action"
              Expect.throwsT<ArgumentException> (fun () -> player.Act(Vector.ofArray [| 7f |]) |> ignore) "one too many"
          }

          test "tables, and networks of layers, that are larger than memory are refused, also where 32 bits wrap around" {
              for counts, outputs in
                  [ [ 1 <<< 24 ], 256; [ 1 <<< 24; 1 <<< 24 ], 128; List.replicate 128 (1 <<< 25), 1 ] do
                  expectRefused "tables" (fun () ->
                      Embedding.layer counts 1.0 outputs Activation.Identity 0 0.0 |> ignore)

              // 3 · (2³⁰ − 2²⁸) numbers, and more than 2³¹.
              let wide = 28377

              let layer = Dense.hidden wide Activation.Tanh
              expectRefused "a network" (fun () -> Network.create [ wide ] (layer >=> layer >=> layer) |> ignore)
          }

          test "more indices than there can be parameters for are refused before any are made" {
              for space, hidden, part in
                  [ Discrete 67_108_865, [ 64 ], "2²⁴"
                    MultiDiscrete [ 1 <<< 24; 2_000_000_000 ], [], "2²⁴"
                    Discrete(1 <<< 24), [ 64 ], "parameters"
                    MultiDiscrete(List.replicate 100 (1 <<< 24)), [], "parameters" ] do
                  match Setup.create 1 { small with Hidden = hidden } (counting space float32) with
                  | Error(Mismatch why) -> Expect.stringContains why part "why"
                  | Error fault -> failtest (Fault.message fault)
                  | Ok _ -> failtest $"{space}"
          }

          test "a policy for other indices is not played" {
              match Evaluation.run 1 (counting (Discrete 11) float32) (policyOn (Discrete 12) []) 1 (Key.ofSeed 1L) with
              | Error(Mismatch why) -> Expect.stringContains why "Discrete(12)" "why"
              | Error fault -> failtest (Fault.message fault)
              | Ok _ -> failtest "it was played"
          }

          test "leaves indices as they are, also where observations are standardised" {
              let setup =
                  counting (Discrete 11) float32
                  |> Setup.create 1 { small with NormaliseObservations = true }
                  |> Result.defaultWith (fun fault -> failwith (Fault.message fault))

              let state = TrainingState.start setup 1L
              Expect.equal state.Normaliser Unnormalised "the normaliser"

              match Training.update setup state with
              | Ok(next, _) -> Expect.notEqual next.PolicyParameters state.PolicyParameters "it learns"
              | Error fault -> failtest (Fault.message fault)
          }

          test "an observation that is no index of its space is a fault that names instance and step" {
              for bad in [ 11f; -1f; 2.5f; nanf ] do
                  let environment = counting (Discrete 11) (fun state -> if state = 3 then bad else float32 state)
                  let fault = InvalidObservation("Counting-v0", 0, 3L)

                  match Setup.create 1 small environment with
                  | Ok setup ->
                      match Training.update setup (TrainingState.start setup 1L) with
                      | Error found -> Expect.equal found fault "training"
                      | Ok _ -> failtest "it trained"
                  | Error found -> failtest (Fault.message found)

                  match Evaluation.play 1 environment (fun _ -> Vector.zero 1) 1 (Key.ofSeed 1L) with
                  | Error found -> Expect.equal found fault "evaluation"
                  | Ok _ -> failtest "it was played"
          } ]
