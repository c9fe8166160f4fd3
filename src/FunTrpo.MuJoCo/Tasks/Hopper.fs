/// `Hopper-v4`: a leg with a foot hops forwards. Observed: the positions without the place, and the velocities, clipped to ±10. Rewarded: the
/// speed and 1 for each step, less a little for the controls. Source: Gymnasium 1.4.
module FunTrpo.MuJoCo.Hopper

open FunTrpo.MuJoCo.Engine

let internal observe (simulation: Simulation) (row: Row) =
    row.Add(simulation.Qpos.Slice 1)
    row.AddClipped(10.0, simulation.Qvel)

let internal reward (step: PhysicsStep) = step.Rate + 1.0 - 1e-3 * PhysicsTask.squaredAction step.Simulation

/// It stands, nearly upright.
let private isHealthy (simulation: Simulation) =
    let q = simulation.Qpos
    let isWithin100 number = abs number < 100.0

    q[1] > 0.7
    && abs q[2] < 0.2
    && PhysicsTask.forAll isWithin100 (q.Slice 2)
    && PhysicsTask.forAll isWithin100 simulation.Qvel

let task =
    { PhysicsTask.ofModel "Hopper-v4" (PhysicsTask.embedded "hopper.xml") with
        FrameSkip = 4
        Start = PhysicsTask.startNear (Uniform 5e-3) (Uniform 5e-3)
        Observe = observe
        Measure = fun simulation -> simulation.Qpos[0]
        Reward = reward
        Terminated = isHealthy >> not
        View = FromTheSide(Some "torso") }
