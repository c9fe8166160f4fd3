/// Rollouts of environments that break: what is not finite, too large or thrown is a fault with its instance and its step.
module FunTrpo.Tests.RolloutFailureTests

open System
open System.Collections.Immutable
open System.Threading
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks
open FunTrpo.Tests.RolloutTests

/// Which instance gives what at which of its steps: a number, or an exception.
type private Break = { Instance: int; Step: int; InReward: bool; Value: float option }

let private breakdown = exn "it broke"

[<Struct>]
type private Counter = { Number: int; Time: int }

let private breaking (breaks: Break list) =
    let valueOf inReward number time otherwise =
        match breaks |> List.tryFind (fun b -> b.InReward = inReward && b.Instance = number && b.Step = time) with
        | Some { Value = Some value } -> value
        | Some { Value = None } -> raise breakdown
        | None -> otherwise

    { new Environment<Counter> with
        member _.Id = "Breaking-v0"

        member _.ObservationSpace = Space.box 2 Double.NegativeInfinity Double.PositiveInfinity

        member _.ActionSpace = Discrete 2
        member _.Reset _ = { Number = 0; Time = 0 }

        member _.Step(_, _, state) =
            let next = { state with Time = state.Time + 1 }

            { State = next
              Reward = valueOf true next.Number next.Time 1.0
              Terminated = false
              Truncated = false }

        member _.Observe(state, observation) =
            observation[0] <- float32 state.Time / 10f
            observation[1] <- float32 (valueOf false state.Number state.Time 0.5) }

let private numbered count =
    ImmutableArray.CreateRange(
        Seq.init count (fun i ->
            { State = { Number = i; Time = 0 }; Return = 0.0; Length = 0; Steps = 0L; Memory = Vector.zero 0 })
    )

let private collectBreaking breaks horizon threads instances =
    Rollout.collect
        (breaking breaks)
        (actorFor 2 (Discrete 2) (Key.ofSeed 1L))
        horizon
        threads
        (Key.ofSeed 2L)
        instances

let private breakOf (instances, horizon) =
    Gen.map4
        (fun instance step inReward value -> { Instance = instance; Step = step; InReward = inReward; Value = value })
        (Gen.choose (0, instances - 1))
        (Gen.choose (1, horizon))
        (Gen.elements [ true; false ])
        (Gen.elements [ Some nan; Some infinity; Some -infinity; None ])

let private shapes = Gen.zip (Gen.choose (1, 7)) (Gen.choose (1, 12))

let private faultOf b =
    match b.Value with
    | Some _ ->
        let what = if b.InReward then "reward" else "observation"
        NonFiniteEnvironment(what, "Breaking-v0", b.Instance, int64 b.Step)
    | None -> FailedEnvironment(breakdown, "Breaking-v0", b.Instance, int64 b.Step)

let private isError fault result =
    match result with
    | Error found -> found = fault
    | Ok _ -> false

let private unboundedActions = Space.box 1 Double.NegativeInfinity Double.PositiveInfinity

/// An actor for observations (t, i) that draws `number` at the given places (t, i), and 0 elsewhere. All its distributions are finite.
let private drawing number (places: Set<int * int>) =
    let gaussian = Distribution.forSpace DistributionKind.Gaussian unboundedActions

    let family =
        { new Family with
            member _.ParameterWidth = gaussian.ParameterWidth
            member _.ActionWidth = gaussian.ActionWidth

            member _.Sample(parameters, _, action) =
                let place = int parameters[0] / 100, int parameters[0] % 100
                action[0] <- if places.Contains place then number else 0f

            member _.Mode(parameters, action) = gaussian.Mode(parameters, action)
            member _.LogProbability(parameters, action) = gaussian.LogProbability(parameters, action)
            member _.Score(parameters, action, score) = gaussian.Score(parameters, action, score)
            member _.Entropy parameters = gaussian.Entropy parameters
            member _.EntropyGradient(parameters, gradient) = gaussian.EntropyGradient(parameters, gradient)
            member _.Kl(before, after) = gaussian.Kl(before, after)
            member _.Metric = gaussian.Metric }

    let policy = Policy.create [] 0.0 false (numbersOf 2) unboundedActions

    { Policy = { policy with Family = family }
      // The mean is 100 t + i. The bias and log σ are 0.
      Parameters = Vector.ofArray [| 100f; 1f; 0f; 0f |]
      Normaliser = Unnormalised }

let private failures =
    testList
        "a number that is not finite, or an exception,"
        [ testProperty
              "ends the rollout with what it was, the environment, the instance and the step, on any number of threads"
          <| Prop.forAll
              (shapes |> Gen.bind (fun shape -> Gen.zip (Gen.constant shape) (breakOf shape)) |> Arb.fromGen)
              (fun ((count, horizon), b) ->
                  [ 1; 2; 3; 8 ]
                  |> List.forall (fun threads ->
                      collectBreaking [ b ] horizon threads (numbered count) |> isError (faultOf b)))

          testProperty "in a later rollout is reported at the step that counts from the start of training"
          <| Prop.forAll
              (shapes |> Gen.bind (fun shape -> Gen.zip (Gen.constant shape) (breakOf shape)) |> Arb.fromGen)
              (fun ((count, horizon), b) ->
                  let later = { b with Step = b.Step + horizon }

                  match collectBreaking [ later ] horizon 2 (numbered count) with
                  | Ok(_, between) -> collectBreaking [ later ] horizon 2 between |> isError (faultOf later)
                  | Error _ -> false)

          testProperty "at a reset of the first episodes is the error of the first iteration, and no exception"
          <| Prop.forAll
              (shapes
               |> Gen.bind (fun (count, horizon) ->
                   Gen.zip (Gen.constant horizon) (Gen.listOfLength count (Gen.elements [ true; false ])))
               |> Arb.fromGen)
              (fun (horizon, begins) ->
                  let begins = Array.ofList begins
                  let inner = breaking []
                  let counted = ref 0

                  let environment =
                      { new Wrapped<Counter>(inner) with
                          override _.Reset key =
                              counted.Value <- counted.Value + 1

                              if counted.Value > begins.Length || begins[counted.Value - 1] then
                                  inner.Reset key
                              else
                                  raise breakdown }

                  let configuration =
                      { Configuration.standard with
                          Environments = begins.Length
                          Horizon = horizon
                          Hidden = []
                          CriticHidden = [] }

                  let setup = setupOf 1 configuration environment
                  let start = TrainingState.start setup 1L
                  let results = Training.runFor (int64 (begins.Length * horizon)) setup start |> List.ofSeq

                  match Array.tryFindIndex not begins with
                  | Some first ->
                      let fault = FailedEnvironment(breakdown, inner.Id, first, 0L)
                      TrainingState.actor setup start |> ignore
                      results.Length = 1 && isError fault results.Head && isError fault (Training.update setup start)
                  | None -> List.forall Result.isOk results)

          testProperty "beyond the horizon does no harm"
          <| Prop.forAll
              (shapes |> Gen.bind (fun shape -> Gen.zip (Gen.constant shape) (breakOf shape)) |> Arb.fromGen)
              (fun ((count, horizon), b) ->
                  let later = { b with Step = b.Step + horizon }
                  Result.isOk (collectBreaking [ later ] horizon 1 (numbered count)))

          testProperty "that the policy draws as an action is reported, and no environment receives it"
          <| Prop.forAll
              (shapes
               |> Gen.bind (fun (count, horizon) ->
                   Gen.zip
                       (Gen.constant (count, horizon))
                       (Gen.nonEmptyListOf (Gen.zip (Gen.choose (0, horizon - 1)) (Gen.choose (0, count - 1)))))
               |> Gen.zip (Gen.elements [ nanf; infinityf; -infinityf ])
               |> Arb.fromGen)
              (fun (number, ((count, horizon), places)) ->
                  let received = ref 0

                  let environment =
                      { new Wrapped<Counter>(breaking []) with
                          override _.ActionSpace = unboundedActions

                          override _.Observe(state, observation) =
                              observation[0] <- float32 state.Time
                              observation[1] <- float32 state.Number

                          override _.Step(_, action, state) =
                              if not (Single.IsFinite action[0]) then
                                  Interlocked.Increment &received.contents |> ignore

                              { State = { state with Time = state.Time + 1 }
                                Reward = 0.0
                                Terminated = false
                                Truncated = false } }

                  let t, i = List.min places

                  let isReported threads =
                      Rollout.collect
                          environment
                          (drawing number (Set.ofList places))
                          horizon
                          threads
                          (Key.ofSeed 2L)
                          (numbered count)
                      |> isError (NonFinitePolicy("Breaking-v0", i, int64 t))

                  List.forall isReported [ 1; 2; 3; 8 ] && received.Value = 0)

          testProperty "that is the first of several is reported, and the same one on any number of threads"
          <| Prop.forAll
              (shapes
               |> Gen.bind (fun shape -> Gen.zip (Gen.constant shape) (Gen.nonEmptyListOf (breakOf shape)))
               |> Arb.fromGen)
              (fun ((count, horizon), breaks) ->
                  let first = breaks |> List.map _.Step |> List.min

                  let found =
                      [ 1; 2; 3; 8 ]
                      |> List.map (fun threads -> collectBreaking breaks horizon threads (numbered count))

                  match found.Head with
                  | Error(NonFiniteEnvironment(_, _, _, step) | FailedEnvironment(_, _, _, step) as fault) ->
                      step = int64 first && List.forall (isError fault) found
                  | _ -> false)

          test "is reported in words that name all of it" {
              for value, what in [ Some nan, "reward"; None, breakdown.Message ] do
                  let b = { Instance = 3; Step = 7; InReward = true; Value = value }

                  match collectBreaking [ b ] 9 2 (numbered 4) with
                  | Error fault ->
                      for word in [ what; "Breaking-v0"; "3"; "7" ] do
                          Expect.stringContains (Fault.message fault) word "message"
                  | Ok _ -> failtest "the rollout went on"
          } ]

let tests = testList "Rollout" [ failures ]
