module FunTrpo.Tests.EvaluationTests

open System
open System.Threading
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Kernels
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks

/// Two numbers per episode, both drawn at its reset; it ends after four steps, and is worth what was heard of the actions.
let private echoing =
    { new Environment<struct (float * int)> with
        member _.Id = "Echoing-v0"
        member _.ObservationSpace = Space.box 2 -1.0 4.0
        member _.ActionSpace = Space.box 1 -0.01 0.01
        member _.Reset key = struct (Key.uniformIn -1.0 1.0 key, 0)

        member _.Step(key, action, struct (tag, time)) =
            { State = struct (tag, time + 1)
              Reward = 1000.0 * float action[0] + tag + Key.uniform key
              Terminated = time = 3 && tag < 0.0
              Truncated = time = 3 && tag >= 0.0 }

        member _.Observe(struct (tag, time), observation) =
            observation[0] <- float32 tag
            observation[1] <- float32 time }

let tests =
    let actor =
        let policy =
            Policy.create
                (Architecture.uniform [ 3 ] Activation.Tanh)
                1.0
                false
                (Space.box 2 -10.0 10.0)
                (Space.box 1 -0.01 0.01)

        let parameters = policy.Network.Initialise(Key.ofSeed 1L)

        { Policy = policy
          Parameters = Vector.map (fun x -> 5f * x) parameters
          Normaliser = Standardise(Moments.create 10.0 [ 0.1; 2.0 ] [ 5.0; 20.0 ]) }

    let scoresOf threads count seed = Evaluation.run threads echoing actor count (Key.ofSeed seed) |> expectOk

    testList
        "evaluation"
        [ test "gives the returns of episodes in which the most probable action is taken, clipped" {
              for total in (scoresOf 1 30 2L).Returns do
                  // 4·tag + noise in [0, 4), and the actions: ±10 each where they are clipped, which they mostly are.
                  Expect.isLessThan (abs total) 48.0 "a return"

              let mode = Actor.distributions actor (Matrix.ofRows [| [| 0.5f; 0f |] |])
              Expect.isGreaterThan (abs mode[0, 0]) 0.01f "an action beyond its space"
          }

          test "plays other episodes each time, and the same under the same key on any number of threads" {
              let scores = scoresOf 1 20 3L
              Expect.hasLength (Seq.distinct scores.Returns) 20 "different returns"

              for threads in [ 1; 2; 3; 8 ] do
                  Expect.sequenceEqual (scoresOf threads 20 3L).Returns scores.Returns "returns"

              Expect.sequenceEqual (scoresOf 2 7 3L).Returns (Seq.truncate 7 scores.Returns) "the first ones"

              Expect.isEmpty
                  (Seq.filter (fun r -> Seq.contains r scores.Returns) (scoresOf 1 20 4L).Returns)
                  "other key"
          }

          test "sums them up as mean, population standard deviation, minimum and maximum" {
              let scores = scoresOf 1 50 5L
              let mean = Seq.average scores.Returns
              let variance = scores.Returns |> Seq.averageBy (fun r -> (r - mean) ** 2.0)
              Expect.floatClose Accuracy.high scores.Mean mean "mean"
              Expect.floatClose Accuracy.high scores.Std (sqrt variance) "standard deviation"
              Expect.equal (scores.Min, scores.Max) (Seq.min scores.Returns, Seq.max scores.Returns) "extremes"
          }

          test "never draws an action: its returns are those of the modes, played by hand" {
              let deterministic =
                  { new Environment<int> with
                      member _.Id = "Counting-v0"
                      member _.ObservationSpace = Space.box 2 0.0 4.0
                      member _.ActionSpace = Space.box 1 -0.01 0.01
                      member _.Reset _ = 0

                      member _.Step(_, action, time) =
                          { State = time + 1
                            Reward = float (time + 1) * float action[0]
                            Terminated = false
                            Truncated = time = 3 }

                      member _.Observe(time, observation) = observation.Fill(float32 time) }

              let reward time =
                  let mode = Actor.distributions actor (Matrix.init 1 2 (fun _ _ -> float32 time))
                  float (time + 1) * float (MathF.Min(MathF.Max(mode[0, 0], -0.01f), 0.01f))

              let scores = Evaluation.run 2 deterministic actor 5 (Key.ofSeed 1L) |> expectOk
              let expected = List.sumBy reward [ 0..3 ]

              for total in scores.Returns do
                  Expect.floatClose Accuracy.high total expected "return"
          }

          testProperty "plays a rule as it plays an actor: the same episodes, and actions clipped to their space"
          <| fun (NormalFloat action) (seed: int64) ->
              let played threads choose =
                  (Evaluation.play threads echoing choose 5 (Key.ofSeed seed) |> expectOk).Returns

              let always action = fun _ -> Vector.ofArray [| float32 action |]
              let clipped = Math.Clamp(action, -0.01, 0.01)

              for total, atRest in Seq.zip (played 2 (always action)) (played 1 (always 0.0)) do
                  // Four steps, each worth a thousand times the action.
                  Expect.floatClose Accuracy.medium total (atRest + 4000.0 * clipped) "a return"

              Expect.sequenceEqual (played 2 (InferencePolicy actor).Act) (scoresOf 1 5 seed).Returns "an actor"

          test "of an environment that gives NaN, or throws, is an error that names it and the step" {
              let discrete =
                  let policy =
                      Policy.create
                          (Architecture.uniform [] Activation.Tanh)
                          0.0
                          false
                          (Space.box 1 -10.0 10.0)
                          (Discrete 2)

                  { Policy = policy
                    Parameters = policy.Network.Initialise(Key.ofSeed 1L)
                    Normaliser = Unnormalised }

              let breakdown = exn "it broke"

              for failAt in [ 1; 3; 50 ] do
                  for failure, expected in
                      [ (fun () -> nan), NonFiniteEnvironment("reward", "Failing-v0", 0, int64 failAt)
                        (fun () -> 1e160), OversizedEnvironment("reward", 1e160, "Failing-v0", 0, int64 failAt)
                        (fun () -> raise breakdown), FailedEnvironment(breakdown, "Failing-v0", 0, int64 failAt) ] do
                      match Evaluation.run 2 (failingWith failure failAt) discrete 3 (Key.ofSeed 1L) with
                      | Error fault -> Expect.equal fault expected "fault"
                      | Ok _ -> failtest "it went on"
          }

          test "of an actor without a finite action says whether the observation or the policy is at fault" {
              let policy =
                  Policy.create
                      (Architecture.uniform [] Activation.Tanh)
                      0.0
                      false
                      (Space.box 1 -1.0 1.0)
                      (Space.box 1 -1.0 1.0)

              let faultOf weight (observation: float32) =
                  let environment =
                      { new Environment<int> with
                          member _.Id = "Loud-v0"
                          member _.ObservationSpace = Space.box 1 -infinity infinity
                          member _.ActionSpace = Space.box 1 -1.0 1.0
                          member _.Reset _ = 0

                          member _.Step(_, _, time) =
                              { State = time + 1; Reward = 0.0; Terminated = false; Truncated = false }

                          member _.Observe(time, seen) = seen[0] <- (if time = 2 then observation else 0.5f) }

                  let parameters = Vector.Create(policy.Network.ParameterCount, Fill(fun span -> span.Fill weight))
                  let actor = { Policy = policy; Parameters = parameters; Normaliser = Unnormalised }

                  match Evaluation.run 1 environment actor 1 (Key.ofSeed 1L) with
                  | Error fault -> fault
                  | Ok _ -> failtest "it went on"

              Expect.equal
                  (faultOf 2f -3e38f)
                  (OversizedEnvironment("observation", float -3e38f, "Loud-v0", 0, 2L))
                  "a policy that is finite elsewhere"

              Expect.equal (faultOf nanf 0.5f) (NonFinitePolicy("Loud-v0", 0, 0L)) "a policy that is NaN everywhere"
          }

          test "of an environment whose episodes never end is an error, after many steps" {
              let environment =
                  { new Environment<int> with
                      member _.Id = "Endless-v0"
                      member _.ObservationSpace = Space.box 1 -1.0 1.0
                      member _.ActionSpace = Discrete 2
                      member _.Reset _ = 0

                      member _.Step(_, _, state) =
                          { State = state; Reward = 0.0; Terminated = false; Truncated = false }

                      member _.Observe(_, row) = row.Clear() }

              let setup = setupOf 1 { withFourUnits 1 1 with Hidden = [] } environment
              let actor = TrainingState.actor setup (TrainingState.start setup 1L)

              match Evaluation.run 1 environment actor 1 (Key.ofSeed 1L) with
              | Error(EndlessEpisode("Endless-v0", _)) -> ()
              | _ -> failtest "no error"
          }

          property
              "releases the state in which an episode is abandoned, and no other"
              (Gen.zip troubles (Gen.elements [ true; false ]))
              (fun ((trouble, at, length), isCancelled) ->
                  let held = ref 0
                  use source = new CancellationTokenSource()
                  let mutable actions = 0

                  let choose _ =
                      actions <- actions + 1

                      if isCancelled && actions > 2 * at then
                          source.Cancel()

                      Vector.zero 1

                  let play () =
                      Evaluation.playCancellable
                          source.Token
                          1
                          (holding held length trouble at)
                          choose
                          3
                          (Key.ofSeed 1L)

                  try
                      play () |> ignore
                  with :? OperationCanceledException ->
                      Expect.isTrue isCancelled "a cancellation"

                  Expect.equal held.Value 0 "resources")

          test "releases the state of an endless episode, and of one whose rule throws" {
              let held = ref 0
              let endless = holding held Int32.MaxValue Untroubled 0
              let result = Evaluation.play 1 endless (fun _ -> Vector.zero 1) 1 (Key.ofSeed 1L)
              Expect.isTrue result.IsError "a fault"
              Expect.equal held.Value 0 "resources"

              Expect.throws
                  (fun () -> Evaluation.play 1 endless (fun _ -> failwith "no idea") 1 (Key.ofSeed 1L) |> ignore)
                  "the rule"

              Expect.equal held.Value 0 "resources, after the rule"
          }

          property
              "gives an environment nothing but actions: others of a rule are a fault"
              (Gen.zip
                  (Gen.oneof
                      [ Gen.choose (1, 3) |> Gen.map Discrete
                        Gen.constant (MultiDiscrete [ 2; 3 ])
                        Gen.choose (1, 3) |> Gen.map MultiBinary
                        Gen.choose (1, 3) |> Gen.map (fun width -> Space.box width -1.0 1.0)
                        Gen.choose (1, 3) |> Gen.map (fun width -> Space.box width 0.0 infinity) ])
                  (Gen.choose (0, 3)
                   |> Gen.bind (fun width ->
                       Gen.arrayOfLength width (Gen.elements [ 0f; 1f; 2f; -1f; 0.5f; nanf; infinityf; -infinityf ]))))
              (fun (space, numbers) ->
                  let isAction (row: float32[]) =
                      Space.contains space (ReadOnlySpan row) && Array.forall Single.IsFinite row

                  let environment =
                      { new Wrapped<int>(failingWith (fun () -> 0.0) Int32.MaxValue) with
                          override _.ActionSpace = space

                          override this.Step(key, action, state) =
                              Expect.isTrue (isAction (action.ToArray())) "an action"
                              { State = state + 1; Reward = 1.0; Terminated = state = 2; Truncated = false } }

                  // The coordinates of a box are clipped.
                  let taken =
                      match space with
                      | Box(low, high, _) when low.Length = numbers.Length ->
                          numbers
                          |> Array.mapi (fun i x -> if Single.IsNaN x then x else Math.Clamp(x, low[i], high[i]))
                      | _ -> numbers

                  match
                      isAction taken, Evaluation.play 1 environment (fun _ -> Vector.ofArray numbers) 1 (Key.ofSeed 1L)
                  with
                  | true, Ok scores -> Expect.equal scores.Mean 3.0 "return"
                  | false, Error(Mismatch why) -> Expect.stringContains why (Space.describe space) "why"
                  | _, other -> failtest $"{numbers}: %A{other}")

          propertyOf
              20
              "at random draws every action from the whole space, with a key for each episode and step"
              (Gen.zip (Gen.choose (2, 5000)) (Gen.choose (1, 1000)))
              (fun (count, seed) ->
                  // The reward is the action, so that the returns show which actions were drawn.
                  let environment =
                      { new Wrapped<int>(failingWith (fun () -> 0.0) Int32.MaxValue) with
                          override _.ActionSpace = Discrete count

                          override _.Step(_, action, time) =
                              { State = time + 1
                                Reward = float action[0]
                                Terminated = (time = 3)
                                Truncated = false } }

                  let key = Key.ofSeed (int64 seed)
                  let scores = Evaluation.random 1 environment 30 key |> expectOk
                  Expect.equal (Evaluation.random 2 environment 30 key |> expectOk) scores "on two threads"

                  let drawn (episode: int) (step: int) =
                      let key = Key.named "action" key |> Key.at (int64 episode) |> Key.at (int64 step)
                      floor (float count * Key.uniform (Key.at 0L key))

                  let expected = [ for episode in 0..29 -> List.sumBy (drawn episode) [ 0..3 ] ]
                  Expect.equal (Seq.toList scores.Returns) expected "returns"
                  // However the keys are derived: 120 draws have the mean of the space, to six deviations.
                  let mean = Seq.sum scores.Returns / 120.0
                  let deviation = sqrt (float (count * count - 1) / 12.0)
                  Expect.isLessThan (abs (mean - float (count - 1) / 2.0)) (6.0 * deviation / sqrt 120.0) "the mean") ]
