/// `Reacher-v4`: an arm of two links reaches for a target. Observed: the cosines and sines of the joints, the place of the target, the
/// velocities of the joints, and the way from the target to the fingertip. Source: Gymnasium 1.4.
module FunTrpo.MuJoCo.Reacher

open System
open FunTrpo
open FunTrpo.MuJoCo.Engine

/// The three coordinates of the way from the target to the fingertip.
let private way (simulation: Simulation) =
    let tip, target = simulation.Model.Body "fingertip", simulation.Model.Body "target"
    let along axis = simulation.Xpos[3 * tip + axis] - simulation.Xpos[3 * target + axis]
    struct (along 0, along 1, along 2)

let private distance simulation =
    let struct (x, y, z) = way simulation
    sqrt (x * x + y * y + z * z)

let private observe (simulation: Simulation) (row: Row) =
    let q = simulation.Qpos
    row.Add(cos q[0])
    row.Add(cos q[1])
    row.Add(sin q[0])
    row.Add(sin q[1])
    row.Add(q.Slice 2)
    row.Add(simulation.Qvel.Slice(0, 2))
    let struct (x, y, z) = way simulation
    row.Add x
    row.Add y
    row.Add z

/// The arm nearly straight, and the target anywhere in a disc of radius 0.2.
let private start key (simulation: Simulation) =
    PhysicsTask.addNoise (Uniform 0.1) (simulation.Qpos.Slice(0, 2)) (Key.named "arm" key)
    PhysicsTask.addNoise (Uniform 0.005) (simulation.Qvel.Slice(0, 2)) (Key.named "velocities" key)
    let radius = 0.2 * sqrt (Key.uniform (Key.named "radius" key))
    let angle = Key.uniformIn 0.0 (2.0 * Math.PI) (Key.named "angle" key)
    simulation.Qpos[2] <- radius * cos angle
    simulation.Qpos[3] <- radius * sin angle

let task =
    { PhysicsTask.ofModel "Reacher-v4" (PhysicsTask.embedded "reacher.xml") with
        FrameSkip = 2
        Start = start
        Observe = observe
        Measure = distance
        // The distance is that before the step.
        Reward = fun step -> -step.Before - PhysicsTask.squaredAction step.Simulation
        View = FromAbove(0.35, None) }
