/// Random play finds what is wrong with an environment, and nothing else.
module FunTrpo.Tests.CheckTests

open System
open System.Threading
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks

/// An environment in parts, so that each can be spoiled by itself. Its state is a position and a time.
type private Parts =
    {
        Observations: Space
        Actions: Space
        Start: Key -> float
        /// From the key, the action, the position and the time: the next position.
        Move: Key -> float32 -> float -> int -> float
        See: float -> int -> float32[]
        Reward: float -> float
        /// Whether it terminates, and whether it is truncated, from the position and the time.
        Ends: float -> int -> bool * bool
    }

/// A point between −1 and 1, pushed to and fro, which falls off at the ends.
let private good =
    { Observations = Space.box 2 -1.0 1.0
      Actions = Space.box 1 -1.0 1.0
      Start = Key.uniformIn -0.5 0.5
      Move = fun key action x _ -> Math.Clamp(x + 0.1 * float action + 0.05 * Key.normal key, -1.0, 1.0)
      See = fun x time -> [| float32 x; float32 (sin (float time)) |]
      Reward = fun x -> -x * x
      Ends = fun x time -> abs x >= 1.0, time >= 60 }

let private environmentOf parts =
    { new Environment<struct (float * int)> with
        member _.Id = "Parts"
        member _.ObservationSpace = parts.Observations
        member _.ActionSpace = parts.Actions
        member _.Reset key = struct (parts.Start key, 0)

        member _.Step(key, action, struct (x, time)) =
            let next = parts.Move key action[0] x time
            let terminated, truncated = parts.Ends next (time + 1)

            { State = struct (next, time + 1)
              Reward = parts.Reward next
              Terminated = terminated
              Truncated = truncated }

        member _.Observe(struct (x, time), observation) = (parts.See x time).AsSpan().CopyTo observation }

let private kind finding =
    match finding with
    | Broken(NonFiniteEnvironment(what, _, _, _)) -> $"non-finite {what}"
    | Broken(OversizedEnvironment(what, _, _, _, _)) -> $"oversized {what}"
    | Broken(InvalidObservation _) -> "stray"
    | Broken(FailedEnvironment _) -> "failed"
    | Broken _ -> "broken"
    | ImproperSpace _ -> "improper"
    | OutsideSpace _ -> "outside"
    | NotReproducible _ -> "not from key"
    | ConstantObservations _ -> "constant observations"
    | MixedScales _ -> "unlike sizes"
    | UnusualScale _ -> "far from one"
    | UnreachedBounds _ -> "unreached bounds"
    | UnreachableActions _ -> "unreachable actions"
    | ConstantRewards _ -> "constant rewards"
    | NoEnd _ -> "no end"
    | TerminatedAlike _ -> "terminated alike"

let private everywhere = Space.box 2 -infinity infinity
let private draws = ref 0

/// Environments that are bad in one way each, what is found, and what its words name.
let private bad =
    [ "that is never observed as a number",
      { good with
          See = fun x time -> [| (if time = 3 then nanf else float32 x); float32 (sin (float time)) |] },
      "non-finite observation",
      [ "observation"; "float32"; "step 3" ]
      "with a reward of 0 / 0",
      { good with Reward = fun x -> (x - x) / (x - x) },
      "non-finite reward",
      [ "reward"; "step 1" ]
      "with a reward that float32 cannot hold",
      { good with Reward = fun x -> 1e160 * x },
      "oversized reward",
      [ "reward"; "E+1" ]
      "that throws",
      { good with Move = fun _ _ _ time -> failwith $"stuck at {time}" },
      "failed",
      [ "stuck at 0"; "step 1" ]
      "whose observations are longer than their space",
      { good with See = fun x time -> [| float32 x; float32 (sin (float time)); 1f |] },
      "failed",
      [ "failed" ]
      "whose observations are no index",
      { good with Observations = Discrete 4; See = fun _ time -> [| float32 (time % 5) |] },
      "stray",
      [ "outside its space"; "step 4" ]
      "without an action", { good with Actions = Discrete 0 }, "improper", [ "action space"; "Discrete(0)" ]
      "whose observations leave their space",
      { good with See = fun x time -> [| float32 x; 2f * float32 (sin (float time)) |] },
      "outside",
      [ "observation[1]"; "outside" ]
      "whose switches are no switches",
      { good with
          Observations = MultiBinary 2
          See = fun _ time -> [| float32 (time % 2); float32 (time % 3) |] },
      "outside",
      [ "observation[1] was 2" ]
      "that begins by a chance of its own",
      { good with Start = fun _ -> (float (Interlocked.Increment draws % 1000)) / 1000.0 - 0.5 },
      "not from key",
      [ "Episode 0"; "step 0" ]
      "that moves by a chance of its own",
      { good with
          Move = fun key action x time -> good.Move (Key.at (int64 (Interlocked.Increment draws)) key) action x time },
      "not from key",
      [ "Episode 0"; "step 1" ]
      "one of whose numbers never changes",
      { good with See = fun x _ -> [| float32 x; 0.5f |] },
      "constant observations",
      [ "observation[1] = 0.5" ]
      "with the seconds of the day beside kilowatts",
      { good with
          Observations = everywhere
          See = fun x time -> [| float32 x; float32 (40000 + 60 * time) |] },
      "unlike sizes",
      [ "observation[0] is about 0."; "observation[1] about 4" ]
      "all of whose numbers are large",
      { good with
          Observations = everywhere
          // The root mean square is 7000 for every number of steps.
          See = fun x time -> [| 1e4f * float32 x; (if time % 2 = 0 then 7000f else -7000f) |] },
      "far from one",
      [ "observation[1]"; "about 7000" ]
      "all of whose numbers are small",
      { good with
          Observations = everywhere
          See = fun x time -> [| 1e-4f * float32 x + 0.0002f; 1e-4f * float32 (sin (float time)) |] },
      "far from one",
      [ "observation["; "0.000" ]
      "with bounds that are never reached",
      { good with Observations = Space.box 2 -1e4 1e4 },
      "unreached bounds",
      [ "observation["; "of [-1E+04, 1E+04]" ]
      "with an action that begins beyond all that is tried",
      { good with
          Actions = Space.box 1 1000.0 infinity
          Move = fun key action -> good.Move key (0.1f * (action - 1005f)) },
      "unreachable actions",
      [ "action[0]"; "1000" ]
      "with the same reward and length everywhere",
      { good with Reward = (fun _ -> -1.0); Ends = fun _ time -> false, time >= 60 },
      "constant rewards",
      [ "was -1" ]
      "without any reward", { good with Reward = fun _ -> 0.0 }, "constant rewards", [ "was 0" ]
      "without an end", { good with Ends = fun _ _ -> false, false }, "no end", [ "2000 steps" ]
      "whose time limit is reported as a termination",
      { good with Ends = fun _ time -> time >= 60, false },
      "terminated alike",
      [ "60 steps" ] ]

let private findings =
    [ for name, parts, expected, words in bad do
          testProperty $"an environment {name}"
          <| fun (seed: int64) ->
              let found = Check.run (environmentOf parts) seed |> List.distinctBy kind
              Expect.equal (List.map kind found) [ expected ] "what is found"

              for word in words do
                  Expect.stringContains (Finding.message found.Head) word "its words"

              Expect.isGreaterThan (Finding.remedy found.Head).Length 20 "a remedy"

      testProperty "the step of a fault is the same whatever fails in it, and the same as in an evaluation"
      <| fun (time: byte) ->
          let time = int time % 20
          // The first failure is the fault; an episode has 60 steps or more, and nothing ends it before.
          let still = { good with Move = (fun _ _ x _ -> x); Ends = fun _ time -> false, time >= 60 }
          let failing _ _ x now = if now = time then failwith "broken" else x
          let throwing x now = if now = time + 1 then failwith "unseen" else good.See x now
          let unseen x now = if now = time + 1 then [| nanf; 0f |] else good.See x now
          let choose _ = Vector.zero 1

          for parts in [ { still with Move = failing }; { still with See = throwing }; { still with See = unseen } ] do
              let environment = environmentOf parts

              match Check.run environment 1L, Evaluation.play 1 environment choose 1 (Key.ofSeed 1L) with
              | [ Broken found ], Error evaluated ->
                  for fault in [ found; evaluated ] do
                      Expect.stringContains (Fault.message fault) $"environment 0, step {time + 1})" "the step"
              | found -> failtest $"{found}"

      test "of every kind there is a bad environment" {
          let kinds = Reflection.FSharpType.GetUnionCases typeof<Finding> |> Array.map _.Name |> Set

          let found =
              [ for _, parts, _, _ in bad do
                    for finding in Check.run (environmentOf parts) 1L do
                        (Reflection.FSharpValue.GetUnionFields(finding, typeof<Finding>) |> fst).Name ]

          Expect.equal (Set found) kinds "the kinds"
      } ]

let private silence =
    [ testProperty "nothing is found in a good environment, nor with another space that fits"
      <| fun (seed: int64) ->
          Expect.isEmpty (Check.run (environmentOf good) seed) "as it is"
          Expect.isEmpty (Check.run (environmentOf { good with Observations = everywhere }) seed) "without bounds"

          Expect.isEmpty
              (Check.run
                  (environmentOf { good with Actions = Discrete 2; Move = (fun key a -> good.Move key (2f * a - 1f)) })
                  seed)
              "with two actions"

          let seen x _ = [| float32 (int (10.0 * (x + 1.0)) % 20) |]
          Expect.isEmpty (Check.run (environmentOf { good with Observations = Discrete 20; See = seen }) seed) "indices"

      testProperty "a cost of time is no constant reward where episodes differ, nor one step a time limit"
      <| fun (seed: int64) ->
          let far key action x _ = Math.Clamp(x + 0.1 * float (action: float32) + 0.3 * Key.normal key, -1.0, 1.0)

          Expect.isEmpty
              (Check.run (environmentOf { good with Move = far; Reward = fun _ -> -1.0 }) seed)
              "a cost of time"

          Expect.isEmpty
              (Check.run
                  (environmentOf
                      { good with
                          Ends = fun _ _ -> true, false
                          See = fun x _ -> [| float32 x; float32 -x |] })
                  seed)
              "a bandit"

      testProperty "the same seed finds the same"
      <| fun (seed: int64) ->
          let environment = environmentOf { good with Observations = Space.box 2 -1e4 1e4 }
          Expect.equal (Check.run environment seed) (Check.run environment seed) "findings"

      test "sizes are of no account where observations are normalised" {
          let environment =
              environmentOf
                  { good with
                      Observations = everywhere
                      See = fun x time -> [| float32 x; float32 (40000 + 60 * time) |] }

          let found normalise =
              Check.runFor { Configuration.standard with NormaliseObservations = normalise } environment 1L
              |> List.map kind

          Expect.equal (found false, found true) ([ "unlike sizes" ], []) "findings"
      }

      // Where random play never meets the goal, it is true that every step costs the same: their presets explore.
      test "of the tasks of classic control, two have a goal that random play does not meet, and nothing else is found" {
          for registered in Registry.classic do
              for seed in 0L .. 9L do
                  let found =
                      registered.Use
                          { new EnvironmentUse<_> with
                              member _.With environment = Check.run environment seed |> List.map kind }

                  let allowed =
                      if List.contains registered.Id [ "Acrobot-v1"; "MountainCar-v0" ] then
                          [ []; [ "constant rewards" ] ]
                      else
                          [ [] ]

                  Expect.contains allowed found $"{registered.Id}, seed {seed}"
      } ]

let private releases =
    property
        "gives back what the states of abandoned episodes hold, also after a fault"
        troubles
        (fun (trouble, at, length) ->
            let held = ref 0
            // The second length is longer than all steps of a check.
            for length in [ length; 10_000 ] do
                Check.run (holding held length trouble at) 1L |> ignore
                Expect.equal held.Value 0 "resources")

let tests = testList "Check" [ releases; testList "finds" findings; testList "is silent" silence ]
