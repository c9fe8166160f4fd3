/// Environments as an F# caller registers them for the command.
module Callers.Environments

open System.Threading
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Exact

/// A point on a line, which is to be kept near 0: an environment of immutable states.
let private line name =
    { new Environment<float> with
        member _.Id = name
        member _.ObservationSpace = Space.box 1 -10.0 10.0
        member _.ActionSpace = Discrete 2
        member _.Reset key = Key.uniformIn -1.0 1.0 key

        member _.Step(_, action, x) =
            let x = x + (if action[0] = 0f then -0.1 else 0.1)
            { State = x; Reward = -(abs x); Terminated = false; Truncated = false }

        member _.Observe(x, observation) = observation[0] <- float32 x }
    |> Environment.withTimeLimit 20

/// The point again, as a simulator that makes its callers wait: a step takes two milliseconds.
let private waitingLine =
    let inner = line "WaitingLine"

    { new Environment<_> with
        member _.Id = inner.Id
        member _.ObservationSpace = inner.ObservationSpace
        member _.ActionSpace = inner.ActionSpace
        member _.Reset key = inner.Reset key

        member _.Step(key, action, state) =
            Thread.Sleep 2
            inner.Step(key, action, state)

        member _.Observe(state, observation) = inner.Observe(state, observation) }

/// A counter as a mutable simulator.
type private Counter() =
    let mutable count = 0f

    interface Simulator with
        member _.Id = "Counter"
        member _.ObservationSpace = Space.box 1 0.0 infinity
        member _.ActionSpace = Discrete 2

        member _.Reset(seed, observation) =
            count <- float32 (seed % 3)
            observation[0] <- count

        member _.Step(action, observation) =
            count <- count + 1f
            observation[0] <- count
            { Reward = float action[0]; Terminated = (count >= 9f); Truncated = false }

/// One value is one environment.
let tuned =
    line "TunedLine"
    |> Registered.create
        { Preset = { Configuration.standard with Horizon = 20; Hidden = [ 4 ]; CriticHidden = [ 4 ] }
          Steps = 600L
          SolvedAt = Some -1000.0 }

/// A list holds several. The chain comes from an assembly that the command does not have.
let others =
    [ line "Line" |> Registered.create Tuning.standard
      Registered.ofSimulators Tuning.standard (fun () -> Counter())
      Builders.chain4 0.9
      |> Simulation.ofMdp
      |> Environment.withTimeLimit 10
      |> Registered.create Tuning.standard
      waitingLine |> Registered.create Tuning.standard ]
