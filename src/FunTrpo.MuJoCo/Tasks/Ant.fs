/// `Ant-v4`: a ball on four legs walks. Observed: the positions without the place, and the velocities. Rewarded: the speed of the torso and 1 for
/// each step, less a little for the controls. Source: Gymnasium 1.4.
module FunTrpo.MuJoCo.Ant

open FunTrpo.MuJoCo.Engine

let private observe (simulation: Simulation) (row: Row) =
    row.Add(simulation.Qpos.Slice 2)
    row.Add simulation.Qvel

/// The place of the torso, as the engine last computed it: in the last stage of its Runge–Kutta step.
let private place (simulation: Simulation) = simulation.Xpos[3 * simulation.Model.Body "torso"]

let private isHealthy (simulation: Simulation) =
    PhysicsTask.isFinite simulation.Qpos
    && PhysicsTask.isFinite simulation.Qvel
    && 0.2 <= simulation.Qpos[2]
    && simulation.Qpos[2] <= 1.0

let task =
    { PhysicsTask.ofModel "Ant-v4" (PhysicsTask.embedded "ant.xml") with
        FrameSkip = 5
        Start = PhysicsTask.startNear (Uniform 0.1) (Normal 0.1)
        Observe = observe
        Measure = place
        Reward = fun step -> step.Rate + 1.0 - 0.5 * PhysicsTask.squaredAction step.Simulation
        Terminated = isHealthy >> not
        View = FromTheSide(Some "torso") }
