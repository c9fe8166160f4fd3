/// Simulators whose answers are awaited are the same as those that answer at once.
module FunTrpo.Tests.AsyncSimulatorTests

open System
open System.Threading
open System.Threading.Tasks
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.ReplayPointTests

/// The walk, which answers later and on another thread. `before` is called first.
type private AwaitedWalk(before: CancellationToken -> Task, onDispose: unit -> unit) =
    let walk = new Walk(onDispose) :> Simulator

    interface AsyncSimulator with
        member _.Id = walk.Id
        member _.ObservationSpace = walk.ObservationSpace
        member _.ActionSpace = walk.ActionSpace

        member _.Reset(seed, observation, cancellation) =
            ValueTask(
                task {
                    do! before cancellation
                    do! Task.Yield()
                    walk.Reset(seed, observation.Span)
                }
            )

        member _.Step(action, observation, cancellation) =
            ValueTask<SimulatorStep>(
                task {
                    do! before cancellation
                    do! Task.Yield()
                    return walk.Step(action.Span, observation.Span)
                }
            )

    interface IAsyncDisposable with
        member _.DisposeAsync() =
            (walk :?> IDisposable).Dispose()
            ValueTask()

let private awaitedWalks () =
    AsyncSimulator.environment CancellationToken.None (fun () -> AwaitedWalk((fun _ -> Task.CompletedTask), ignore))

let private sameBits =
    property
        "training, branches and evaluation have the bits of the simulator that answers at once"
        (Gen.zip (Tasks.shortTrainings 9) (Gen.choose (0, 5)))
        (fun ((configuration, limit), inFlight) ->
            let train simulators =
                simulators
                |> Environment.withTimeLimit limit
                |> Environment.inFlight (if inFlight = 0 then None else Some inFlight)
                |> InFlightTests.trainedAndPlayed configuration 2

            use simulators = walks ()
            use awaited = awaitedWalks ()
            Expect.equal (train awaited) (train simulators) "the results")

let tests =
    testList
        "Async simulators"
        [ sameBits
          test "a cancellation is a fault with instance and step, and the state goes on" {
              use stop = new CancellationTokenSource()
              let calls = ref 0
              let disposed = ref 0

              /// The 21st call is never answered, until it is cancelled.
              let before (cancellation: CancellationToken) =
                  task {
                      if Interlocked.Increment calls = 21 then
                          stop.CancelAfter 20
                          do! Task.Delay(Timeout.Infinite, cancellation)
                  }
                  :> Task

              use environment =
                  AsyncSimulator.environment stop.Token (fun () ->
                      AwaitedWalk(before, (fun () -> Interlocked.Increment disposed |> ignore)))

              // No action is so large that it ends an episode.
              let configuration =
                  { Configuration.standard with Environments = 2; Horizon = 5; InitialLogSigma = -3.0 }

              let setup = Setup.create 1 configuration environment |> expectOk
              let start = TrainingState.start setup 1L
              let first = Training.update setup start |> expectOk |> fst

              match Training.update setup first with
              | Error(FailedEnvironment(:? OperationCanceledException, "Walk", 0, 10L)) -> ()
              | Error fault -> failtest (Fault.message fault)
              | Ok _ -> failtest "it was not cancelled"

              Expect.equal disposed.Value 1 "the silent one is disposed of"
              use expectedOf = walks ()
              let expectedSetup = Setup.create 1 configuration expectedOf |> expectOk
              let expected = TrainingState.start expectedSetup 1L |> Training.run expectedSetup |> Seq.item 1
              let again = Training.update setup first |> expectOk |> fst
              Expect.equal again.PolicyParameters (expectOk expected |> fst).PolicyParameters "the same future"
          }
          test "is disposed of once, and refused if it is made twice" {
              let disposed = ref 0
              let make () = AwaitedWalk((fun _ -> Task.CompletedTask), (fun () -> disposed.Value <- disposed.Value + 1))
              let environment = AsyncSimulator.environment CancellationToken.None make
              let reset seed = (environment :> Environment<ReplayPoint>).Reset(Key.ofSeed seed) |> ignore
              reset 1L
              reset 2L
              (environment :> IDisposable).Dispose()
              Expect.equal disposed.Value 2 "disposed of"
              let same = make ()
              use twice = AsyncSimulator.environment CancellationToken.None (fun () -> same)
              let reset seed = (twice :> Environment<ReplayPoint>).Reset(Key.ofSeed seed) |> ignore
              reset 1L

              Expect.throwsC (fun () -> reset 2L) (fun error ->
                  Expect.stringContains error.Message "a second time" "the message")
          } ]
