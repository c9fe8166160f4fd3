/// Training on pictures: a policy and a critic of convolutions, from rollouts to files.
module FunTrpo.Tests.PictureTrainingTests

open System
open System.IO
open Expecto
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks
open FunTrpo.Tests.TestFiles

/// A walker and its goal on a square of 6 × 6 pixels.
[<Struct>]
type private Walk = { Row: int; Column: int; GoalRow: int; GoalColumn: int; Time: int }

let private side = 6

let private steps = 12

/// The walker sees a picture: one channel shows itself and the other the goal. Each step costs 0.1, and the goal is worth 1.
let private walk =
    { new Environment<Walk> with
        member _.Id = "PixelWalk-v0"
        member _.ObservationSpace = Space.boxOfShape [ side; side; 2 ] 0.0 1.0
        member _.ActionSpace = Discrete 4

        member _.Reset key =
            let place name = int (float side * Key.uniform (Key.named name key))

            { Row = place "row"
              Column = place "column"
              GoalRow = place "goal row"
              GoalColumn = place "goal column"
              Time = 0 }

        member _.Step(_, action, state) =
            let row, column =
                match int action[0] with
                | 0 -> state.Row - 1, state.Column
                | 1 -> state.Row + 1, state.Column
                | 2 -> state.Row, state.Column - 1
                | _ -> state.Row, state.Column + 1

            let next =
                { state with
                    Row = Math.Clamp(row, 0, side - 1)
                    Column = Math.Clamp(column, 0, side - 1)
                    Time = state.Time + 1 }

            let isThere = next.Row = next.GoalRow && next.Column = next.GoalColumn

            { State = next
              Reward = if isThere then 0.9 else -0.1
              Terminated = isThere
              Truncated = not isThere && next.Time = steps }

        member _.Observe(state, observation) =
            observation.Clear()
            observation[2 * (side * state.Row + state.Column)] <- 1f
            observation[2 * (side * state.GoalRow + state.GoalColumn) + 1] <- 1f }

let private architecture text = Architecture.parse text |> expectOk

let private configuration =
    { Configuration.standard with
        Environments = 16
        Horizon = 64
        Architecture = architecture "conv 8 3x3 stride 1 relu; pool max 2x2 stride 1; flatten; dense 32 relu"
        CriticArchitecture = architecture "conv 6 3x3 stride 1 relu; layernorm; dense 16 tanh"
        NormaliseObservations = false
        Delta = 0.03 }

let private meanReturn (reports: (TrainingState<'State> * Report) list) =
    let state = last reports
    Seq.average state.RecentReturns

let tests =
    testList
        "training on pictures"
        [ test "a policy of convolutions learns to walk to a goal that it sees" {
              let setup = setupOf 2 configuration walk
              let start = TrainingState.start setup 1L
              let first = iterations 2 setup start |> meanReturn
              let learned = iterations 60 setup start |> meanReturn
              // A random walk finds the goal in less than half of the episodes; the shortest ways are worth about 0.6.
              Expect.isLessThan first 0.0 "at first"
              Expect.isGreaterThan learned 0.4 "learned"
          }

          test "the number of threads changes no bit, and neither does a checkpoint on the way" {
              inFolder (fun folder ->
                  let setup = setupOf 1 { configuration with Environments = 5 } walk
                  let straight = iterations 4 setup (TrainingState.start setup 2L) |> last

                  let on threads =
                      { setup with
                          Threads = threads
                          Policy = { setup.Policy with Network = Network.onThreads threads setup.Policy.Network } }

                  let threaded = iterations 4 (on 3) (TrainingState.start setup 2L) |> last
                  Expect.isTrue (same threaded.PolicyParameters straight.PolicyParameters) "three threads"
                  let half = iterations 2 setup (TrainingState.start setup 2L) |> last
                  let path = Path.Combine(folder, "half.checkpoint")
                  Checkpoint.save path setup "" half |> expectOk
                  let resumed = (Checkpoint.load path setup |> expectOk).State
                  let continued = iterations 2 setup resumed |> last
                  Expect.isTrue (same continued.PolicyParameters straight.PolicyParameters) "policy"
                  Expect.isTrue (same continued.Critic.Parameters straight.Critic.Parameters) "critic")
          }

          test "layers that do not fit the observations are refused by name" {
              for field, change in
                  [ "architecture", (fun layers -> { configuration with Architecture = layers })
                    "criticArchitecture", (fun layers -> { configuration with CriticArchitecture = layers }) ] do
                  match
                      Setup.create 1 (change (architecture "conv 8 3x3 stride 1 relu; conv 8 5x5 stride 1 relu")) walk
                  with
                  | Error(InvalidSetting(name, _, why)) ->
                      Expect.equal name field "the field"
                      Expect.stringContains why "layer 2, conv 8 5x5 stride 1 relu, does not fit" "the layer"
                      Expect.stringContains why "4 × 4 × 8" "its input"
                  | other -> failtest $"%A{other}"
          }

          test "activations of pictures count towards the limit of memory" {
              let huge =
                  { configuration with
                      Environments = 1000
                      Horizon = 7000
                      Architecture = architecture "conv 64 1x1 stride 1 relu" }

              match Setup.create 1 huge walk with
              | Error(InvalidSetting("horizon", _, why)) -> Expect.stringContains why "hidden units" "why"
              | other -> failtest $"%A{other}"
          } ]
