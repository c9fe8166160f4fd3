// A model of MuJoCo of your own: an arm that is to raise its hand. The model is scripts/arm.xml. The engine is installed separately.
#load "load.fsx"
#r "../bin/FunTrpo.MuJoCo.Engine.dll"
#r "../bin/FunTrpo.MuJoCo.dll"

open System
open System.IO
open FunTrpo
open FunTrpo.MuJoCo
open FunTrpo.MuJoCo.Engine

/// The height of the hand above the shoulder, in m. It is the only site of the model.
let height (simulation: Simulation) = simulation.SiteXpos[2] - 1.0

/// The sines and cosines of the angles, and the angular velocities.
let observe (simulation: Simulation) (row: Row) =
    for angle in simulation.Qpos do
        row.Add(sin angle)
        row.Add(cos angle)

    row.Add simulation.Qvel

let arm =
    { PhysicsTask.ofFile (Path.Combine(__SOURCE_DIRECTORY__, "arm.xml")) with
        FrameSkip = 5 // A step of the environment is 5 × 0.01 s.
        Start = PhysicsTask.startNear (Uniform 0.1) (Uniform 0.1)
        Observe = observe
        Reward = fun step -> height step.Simulation - 0.01 * PhysicsTask.squaredControls step.Simulation
        View = FromTheSide None }

let limit = 100
let environment = new PhysicsEnvironment(arm) |> Environment.withTimeLimit limit

/// Returns the value of a result. A fault ends the script with its message.
let orFail result = result |> Result.defaultWith (Fault.message >> failwith)

/// The first argument of the script, or else 100,000.
let steps = fsi.CommandLineArgs |> Array.tryItem 1 |> Option.map int64 |> Option.defaultValue 100_000L

let configuration = { Configuration.standard with Environments = 8; Horizon = 200; Gamma = 0.97 }
let setup = Setup.create 2 configuration environment |> orFail
let untrained = TrainingState.start setup 1L
let trained = untrained |> Training.runFor steps setup |> Seq.map (orFail >> fst) |> Seq.last

let show name state =
    let scores = Evaluation.run 2 environment (TrainingState.actor setup state) 20 (Key.ofSeed 1L) |> orFail
    printfn "  %-10s %6.2f m" name (scores.Mean / float limit)

printfn "The arm after %d steps: the mean height of the hand above the shoulder" trained.Steps
show "untrained" untrained
show "trained" trained
