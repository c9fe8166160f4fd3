namespace FunTrpo.Bench

open System
open FunTrpo
open FunTrpo.Ddpg

/// Networks and minibatches of training steps of DDPG.
type DdpgShape =
    {
        /// The units of each of the two hidden layers, of policy and critic.
        Units: int
        /// The number of experiences of a step.
        Batch: int
    }

/// Training steps of DDPG on synthetic experiences: minibatch, targets, critic, actor, and both target networks.
module DdpgSteps =

    let observationWidth = 17
    let actionWidth = 6

    /// The number of experiences in the memory.
    let rows = 10_000

    /// The number of training steps of a call.
    let ofCall = 100

    let all =
        [ for units in [ 64; 256 ] do
              for batch in [ 64; 256 ] -> { Units = units; Batch = batch } ]

    /// Observations and rewards are standard normal.
    let private environment =
        { new Environment<int> with
            member _.Id = "Normal-v0"
            member _.ObservationSpace = Space.box observationWidth -infinity infinity
            member _.ActionSpace = Space.box actionWidth -1.0 1.0
            member _.Reset _ = 0

            member _.Step(key, _, time) =
                { State = time + 1; Reward = Key.normal key; Terminated = false; Truncated = time % 100 = 99 }

            member _.Observe(time, observation) = Key.fillNormal observation (Key.ofSeed (int64 time)) }

    let private orFail (result: Result<'T, Fault>) =
        match result with
        | Ok value -> value
        | Error fault -> failwith (Fault.message fault)

    /// A call that makes `ofCall` training steps, after one step of the environment, on this many threads.
    let ofShape threads shape =
        let layers = Architecture.uniform [ shape.Units; shape.Units ] Activation.Relu

        let settings =
            { DdpgSettings.standard with
                Actor = layers
                Critic = layers
                BatchSize = shape.Batch
                Warmup = rows + 1
                IterationSteps = rows }

        let filling = DdpgSetup.create threads settings environment |> orFail
        let filled, _ = DdpgState.start filling 1L |> orFail |> DdpgTraining.update filling |> orFail

        let training =
            { filling with Settings = { settings with Warmup = 1; Updates = ofCall; IterationSteps = 1 } }

        fun () -> DdpgTraining.update training filled |> orFail |> ignore
