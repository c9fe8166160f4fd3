/// Simulators that say which actions are legal: awaited, in batches and in other processes, they are the same as single ones here.
module FunTrpo.Tests.MaskedSimulatorsTests

open System
open System.Net
open System.Threading
open System.Threading.Tasks
open Expecto
open FunTrpo
open FunTrpo.Remote
open FunTrpo.Tests.Generators
open FunTrpo.Tests.MaskCases
open FunTrpo.Tests.Tasks

/// The walk as a simulator, whose episodes have 6 to 14 steps. `change` may change an observation, given the time of its episode.
type private WalkSimulator(change: int -> float32[] -> unit) =
    let walk = walk changing
    let mutable place = { At = 0; Time = 0 }
    let mutable last = 0

    let see (observation: Span<float32>) =
        let row = Vector.toArray (Environment.observation walk place)
        change place.Time row
        row.CopyTo observation

    interface Simulator with
        member _.Id = walk.Id
        member _.ObservationSpace = walk.ObservationSpace
        member _.ActionSpace = walk.ActionSpace

        member _.Reset(seed, observation) =
            place <- walk.Reset(Key.ofSeed (int64 seed))
            last <- 6 + seed % 9
            see observation

        member _.Step(action, observation) =
            let next = walk.Step(Key.ofSeed 0L, action, place)
            place <- next.State
            see observation
            { Reward = next.Reward; Terminated = next.Terminated; Truncated = (place.Time = last) }

let private asItIs _ (_: float32[]) = ()

let private simulator change () = WalkSimulator change :> Simulator

let private single change = Simulator.environment (simulator change)

/// The same, which answers later and on another thread.
type private AwaitedWalk(change) =
    let walk = simulator change ()

    interface AsyncSimulator with
        member _.Id = walk.Id
        member _.ObservationSpace = walk.ObservationSpace
        member _.ActionSpace = walk.ActionSpace

        member _.Reset(seed, observation, _) =
            ValueTask(
                task {
                    do! Task.Yield()
                    walk.Reset(seed, observation.Span)
                }
            )

        member _.Step(action, observation, _) =
            ValueTask<SimulatorStep>(
                task {
                    do! Task.Yield()
                    return walk.Step(action.Span, observation.Span)
                }
            )

/// Three of them in one object.
type private Walks(change) =
    let walks = Array.init 3 (fun _ -> simulator change ())
    let width = Space.width walks[0].ObservationSpace
    let actions = Space.width walks[0].ActionSpace

    interface BatchSimulator with
        member _.Id = walks[0].Id
        member _.ObservationSpace = walks[0].ObservationSpace
        member _.ActionSpace = walks[0].ActionSpace
        member _.Count = walks.Length

        member _.Reset(indices, seeds, observations) =
            for i in 0 .. indices.Length - 1 do
                walks[indices[i]].Reset(seeds[i], observations.Slice(i * width, width))

        member _.Step(indices, taken, observations, results) =
            for i in 0 .. indices.Length - 1 do
                let action = taken.Slice(i * actions, actions)
                results[i] <- walks[indices[i]].Step(action, observations.Slice(i * width, width))

let private served change =
    RemoteServer.ListenForSimulators(
        IPEndPoint(IPAddress.Loopback, 0),
        Func<Simulator>(simulator change),
        ServeOptions()
    )

let private connect (server: RemoteServer) =
    Simulator.environmentOfBatches (fun () -> RemoteSimulators.Connect("127.0.0.1", server.Port, RemoteOptions()))

/// Applies a function to each kind of environment of such simulators.
let private withEach change (work: string -> SimulatorEnvironment -> unit) =
    use awaited = AsyncSimulator.environment CancellationToken.None (fun () -> AwaitedWalk change)
    work "awaited" awaited
    use batched = Simulator.environmentOfBatches (fun () -> Walks change)
    work "batched" batched
    use server = served change
    use remote = connect server
    work "remote" remote

let private remembering =
    { small with
        Architecture = Architecture.parse "gru 6" |> Result.defaultWith failwith
        CriticArchitecture = Architecture.parse "gru 5" |> Result.defaultWith failwith }

/// The parameters after some iterations, and scores of episodes with drawn actions.
let private trained configuration (environment: Environment<ReplayPoint>) =
    let setup = setupOf 2 configuration environment
    let state = iterations 2 setup (TrainingState.start setup 4L) |> List.last |> fst

    let scores =
        Evaluation.sample 2 environment (TrainingState.actor setup state) 7 (Key.ofSeed 2L) |> expectOk

    state.PolicyParameters, state.Critic, List.ofSeq scores.Returns

let private sameBits =
    test "training and evaluation have the bits of single simulators" {
        for configuration in [ small; remembering; { small with Branches = 3; BranchSteps = 6 } ] do
            use local = single asItIs
            let expected = trained configuration local
            withEach asItIs (fun name environment -> Expect.equal (trained configuration environment) expected name)
    }

let private faultOf environment =
    let setup = setupOf 1 small environment

    match Training.update setup (TrainingState.start setup 4L) with
    | Error fault -> fault
    | Ok _ -> failtest "no fault"

let private faults =
    testList
        "is a fault with instance and step:"
        [ test "a mask of other numbers than 0 and 1" {
              let half time (row: float32[]) =
                  if time = 4 then
                      row[3] <- 0.5f

              withEach half (fun name environment ->
                  Expect.equal (faultOf environment) (InvalidObservation("Walk", 0, 4L)) name)
          }
          test "a mask without a legal action" {
              let none time (row: float32[]) =
                  if time = 4 then
                      Array.fill row 2 5 0f

              withEach none (fun name environment ->
                  Expect.equal (faultOf environment) (NoLegalAction("Walk", 0, 4L)) name)
          }
          test "a mask with NaN" {
              let nothing time (row: float32[]) =
                  if time = 4 then
                      row[9] <- nanf

              withEach nothing (fun name environment ->
                  match faultOf environment with
                  | NonFiniteEnvironment(_, "Walk", 0, 4L) -> ()
                  | fault -> failtest $"{name}: {Fault.message fault}")
          } ]

let private sticky =
    test "sticky actions are refused" {
        withEach asItIs (fun name environment ->
            expectRefused name (fun () -> StickyActions.wrap 0.25 environment |> ignore))
    }

let tests = testList "masks of simulators" [ sameBits; faults; sticky ]
