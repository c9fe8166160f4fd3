/// Environments and runs of training that several tests share.
module FunTrpo.Tests.Tasks

open System
open System.Threading
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators

// ---- Environments ----

/// The environment `inner`, except for the members that a test overrides.
type Wrapped<'State>(inner: Environment<'State>) =
    abstract Id: string
    default _.Id = inner.Id

    abstract ObservationSpace: Space
    default _.ObservationSpace = inner.ObservationSpace

    abstract ActionSpace: Space
    default _.ActionSpace = inner.ActionSpace

    abstract Reset: Key -> 'State
    default _.Reset key = inner.Reset key

    abstract Step: Key * ReadOnlySpan<float32> * 'State -> Transition<'State>
    default _.Step(key, action, state) = inner.Step(key, action, state)

    abstract Observe: 'State * Span<float32> -> unit
    default _.Observe(state, observation) = inner.Observe(state, observation)

    interface Environment<'State> with
        member this.Id = this.Id
        member this.ObservationSpace = this.ObservationSpace
        member this.ActionSpace = this.ActionSpace
        member this.Reset key = this.Reset key
        member this.Step(key, action, state) = this.Step(key, action, state)
        member this.Observe(state, observation) = this.Observe(state, observation)

/// The same environment, which counts its steps.
let counting (steps: int ref) (inner: Environment<'State>) : Environment<'State> =
    { new Wrapped<'State>(inner) with
        override _.Step(key, action, state) =
            Interlocked.Increment(&steps.contents) |> ignore
            inner.Step(key, action, state) }

/// Episodes of five steps that are worth 1 each. With a `failAt` below the largest integer: one endless episode, whose rewards from that
/// step on are what `failure` gives.
let failingWith failure failAt =
    { new Environment<int> with
        member _.Id = "Failing-v0"
        member _.ObservationSpace = Space.box 1 -1.0 1.0
        member _.ActionSpace = Discrete 2
        member _.Reset _ = 0

        member _.Step(_, _, time) =
            { State = time + 1
              Reward = (if time + 1 >= failAt then failure () else 0.2)
              Terminated = (time + 1) % 5 = 0 && failAt = Int32.MaxValue
              Truncated = false }

        member _.Observe(time, observation) = observation[0] <- float32 (sin (float time)) }

/// Steps on and on: each observation shows the time, and from some step on something is not finite.
let failing what (failAt: int) =
    let broken name time good = if what = name && time >= failAt then nan else good

    { new Environment<int> with
        member _.Id = "Failing-v0"
        member _.ObservationSpace = Space.box 2 -1e3 1e3
        member _.ActionSpace = Discrete 2
        member _.Reset _ = 0

        member _.Step(_, action, time) =
            let time = time + 1

            { State = time
              Reward = broken "reward" time (float action[0] + sin (float time))
              Terminated = false
              Truncated = false }

        member _.Observe(time, observation) =
            observation[0] <- float32 (sin (float time))
            observation[1] <- float32 (broken "observation" time (cos (float time))) }

/// Steps on and on, with any spaces; every number of an observation is the time.
let withSpaces name observations actions =
    { new Wrapped<int>(failing "nothing" 0) with
        override _.Id = name
        override _.ObservationSpace = observations
        override _.ActionSpace = actions
        override _.Observe(time, observation) = observation.Fill(float32 time) }

/// What goes wrong in an episode of `holding`.
type Trouble =
    | Untroubled
    | NaNReward
    | NaNObservation
    | ThrowingStep
    | ThrowingObserve

/// A state that holds a resource, which `Held` counts.
type HoldingState =
    { Time: int
      Held: int ref }

    interface Releasable with
        member this.Release() = Interlocked.Decrement(&this.Held.contents) |> ignore

/// Episodes of `length` steps. Each holds a resource from its reset to its last step, or until its state is released. `held` counts the
/// resources. The trouble begins with step `at` (0: with the reset).
let holding (held: int ref) length trouble at =
    { new Environment<HoldingState> with
        member _.Id = "Holding-v0"
        member _.ObservationSpace = Space.box 1 -1.0 1.0
        member _.ActionSpace = Discrete 2

        member _.Reset _ =
            Interlocked.Increment(&held.contents) |> ignore
            { Time = 0; Held = held }

        member _.Step(_, _, state) =
            let next = { state with Time = state.Time + 1 }
            let isTroubled = next.Time >= at

            if isTroubled && trouble = ThrowingStep then
                failwith "broken"

            if next.Time = length then
                Interlocked.Decrement(&held.contents) |> ignore

            { State = next
              Reward = (if isTroubled && trouble = NaNReward then nan else float next.Time)
              Terminated = (next.Time = length)
              Truncated = false }

        member _.Observe(state, observation) =
            let isTroubled = state.Time >= at

            if isTroubled && trouble = ThrowingObserve then
                failwith "unseen"

            observation[0] <-
                (if isTroubled && trouble = NaNObservation then nanf else float32 (sin (float state.Time))) }

/// A trouble, its step, and the length of an episode, which may be shorter.
let troubles =
    Gen.zip3
        (Gen.elements [ Untroubled; NaNReward; NaNObservation; ThrowingStep; ThrowingObserve ])
        (Gen.choose (0, 12))
        (Gen.choose (1, 12))

// ---- Training ----

/// Small networks and batches: what is tested here does not depend on their size.
let small =
    { Configuration.standard with
        Environments = 3
        Horizon = 25
        Hidden = [ 6 ]
        CriticHidden = [ 5 ]
        CriticEpochs = 2
        CriticBatchSize = 16
        CriticSteps = 2
        NormaliseObservations = true
        NormaliseReturns = true }

let adam = { small with Critic = CriticKind.Adam }

let naturalGradient = { small with Step = StepKind.Fixed; LearningRate = 0.05 }

let reinforce =
    { small with Direction = DirectionKind.Gradient; Step = StepKind.Fixed; LearningRate = 0.1 }

let ppo = { small with Rule = RuleKind.Ppo; Epochs = 3; MinibatchSize = 16 }

/// The small configuration and others: each way to step, to fit the critic, and to normalise.
let variants =
    [ "TRPO, Gauss–Newton critic", small
      "TRPO, Adam critic", adam
      "TRPO, Fisher matrix of a sample", { small with FisherFraction = 0.3 }
      "TRPO, entropy bonus", { small with EntropyBonus = 0.1 }
      "TRPO, shrinking entropy bonus", { small with EntropyBonus = 0.1; EntropyHalfLife = 100 }
      "TRPO, shrinking trust region", { small with DeltaHalfLife = 100 }
      "TRPO, trust region of the signal", { small with DeltaShrinkage = 2.0 }
      "TRPO, held-out rows", { small with HeldOut = 0.4 }
      "natural gradient", naturalGradient
      "REINFORCE", reinforce
      "PPO", ppo
      "PPO, target KL and entropy bonus", { ppo with TargetKl = 1e-3; EntropyBonus = 0.05; LearningRateHalfLife = 100 }
      "PPO, held-out rows", { ppo with HeldOut = 0.4 }
      "advantages in the deviation of returns", { small with NormaliseAdvantages = false }
      "nothing normalised",
      { small with NormaliseObservations = false; NormaliseReturns = false; NormaliseAdvantages = false } ]

/// A configuration with one hidden layer of four units in each network.
let withFourUnits environments horizon =
    { Configuration.standard with
        Environments = environments
        Horizon = horizon
        Hidden = [ 4 ]
        CriticHidden = [ 4 ] }

let setupOf threads configuration environment = Setup.create threads configuration environment |> expectOk

/// The states and reports of the first `count` iterations.
let iterations count setup state = Training.run setup state |> Seq.take count |> Seq.map expectOk |> List.ofSeq

/// The state before each iteration of a run from `start`, and the iteration's own state and report.
let withBefore start (results: (TrainingState<'State> * Report) list) =
    List.zip (List.take results.Length (start :: List.map fst results)) results

/// The state after the last iteration.
let last (results: (TrainingState<'State> * Report) list) = List.last results |> fst

let hasMoved (report: Report) =
    match report.Improvement.Outcome with
    | Moved _ -> true
    | _ -> false

/// Equal in every bit, also where a number is NaN.
let same (a: 'T) (b: 'T) = (a :> obj).Equals b

// ---- One claim on several environments ----

/// A claim that holds on any environment.
type OnEnvironment =
    abstract Check<'State when 'State: equality> : Environment<'State> -> unit

/// Checks a claim on a task with discrete and on one with continuous actions, and in `others`.
let everywhereAnd others name (check: OnEnvironment) =
    testList
        name
        [ test "CartPole-v1" { check.Check CartPole.environment }
          test "Pendulum-v1" { check.Check Pendulum.environment }
          yield! others check ]

/// Checks a claim on a task with discrete and on one with continuous actions.
let everywhere name check = everywhereAnd (fun _ -> []) name check

/// Settings of short trainings of at most so many environments, some with branches, and time limits.
let shortTrainings maxEnvironments =
    gen {
        let! environments = Gen.choose (1, maxEnvironments)
        let! horizon = Gen.choose (5, 20)
        let! branches = Gen.elements [ 0; 2; 3 ]
        let! branchSteps = Gen.choose (1, 6)
        let! limit = Gen.choose (1, 30)

        let configuration =
            { Configuration.standard with
                Environments = environments
                Horizon = horizon
                Branches = branches
                BranchSteps = branchSteps
                Hidden = [ 4 ]
                CriticHidden = [ 4 ] }

        return configuration, limit
    }
