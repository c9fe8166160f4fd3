module FunTrpo.Tests.ActorTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators

let tests =
    testList
        "Actor"
        [ property "the search for what is not finite gives its memory back" (Gen.choose (1000, 3000)) (fun units ->
              let environment = CartPole.environment
              let architecture = Architecture.uniform [ units ] Activation.Tanh
              let policy = Policy.create architecture 0.0 false environment.ObservationSpace environment.ActionSpace

              let actor =
                  { Policy = policy
                    Parameters = policy.Network.Initialise(Key.ofSeed 0L)
                    Normaliser = Unnormalised }

              let find () =
                  let before = GC.GetAllocatedBytesForCurrentThread()
                  let observation: float32[] = [| 0f; 1e30f; 0f; 0f |]
                  let fault = Actor.nonFiniteAction environment actor (ReadOnlySpan observation) 3 7L
                  let allocated = GC.GetAllocatedBytesForCurrentThread() - before

                  Expect.equal
                      fault
                      (OversizedEnvironment("observation", float 1e30f, environment.Id, 3, 7L))
                      "the fault"

                  allocated

              find () |> ignore
              Expect.isLessThan (find ()) (int64 (4 * actor.Parameters.Length)) "the bytes of a second search") ]
