namespace FunTrpo.Bench

open System.Threading
open FunTrpo
open FunTrpo.Environments

/// Training in which every step of the environment waits, as for a simulator in another process.
module Waiting =

    /// CartPole whose steps take so many milliseconds, in which the processor is free.
    let private cartPole (milliseconds: int) =
        let inner = CartPole.environment

        { new Environment<_> with
            member _.Id = inner.Id
            member _.ObservationSpace = inner.ObservationSpace
            member _.ActionSpace = inner.ActionSpace
            member _.Reset key = inner.Reset key

            member _.Step(key, action, state) =
                if milliseconds > 0 then
                    Thread.Sleep milliseconds

                inner.Step(key, action, state)

            member _.Observe(state, observation) = inner.Observe(state, observation) }

    /// The policy after some iterations from the beginning.
    let private trained threads environments horizon iterations environment =
        let configuration = { Configuration.standard with Environments = environments; Horizon = horizon }

        result {
            let! setup = Setup.create threads configuration environment
            let! state, _ = TrainingState.start setup 0L |> Training.run setup |> Seq.item (iterations - 1)
            return Sha256.ofParameters state.PolicyParameters
        }
        |> Subjects.orFail

    /// The environment steps a second of training with so many environments, all of whose steps are waited for at the same time. Whole
    /// iterations are measured, with their updates. Fails if the policy is not that of training without waiting, bit for bit.
    let stepsPerSecond threads environments milliseconds =
        let horizon, iterations = 128, 3
        let train = trained threads environments horizon iterations
        let expected = train (cartPole 0)
        let mutable policy = ""

        let seconds =
            Timing.seconds (fun () ->
                policy <- cartPole milliseconds |> Environment.inFlight (Some environments) |> train)

        if policy <> expected then
            failwith "training with simulators that wait gave another policy"

        float (environments * horizon * iterations) / seconds
