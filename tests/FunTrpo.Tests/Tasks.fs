/// Environments and runs of training that several tests share.
module FunTrpo.Tests.Tasks

open System
open System.Threading
open Expecto
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

// ---- Training ----

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
let withBefore start (results: (State<'State> * Report) list) =
    List.zip (List.take results.Length (start :: List.map fst results)) results

/// The state after the last iteration.
let last (results: (State<'State> * Report) list) = List.last results |> fst

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
