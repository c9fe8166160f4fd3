/// `Humanoid-v4`: a person walks. Observed: the positions without the place, the velocities, the inertia and the velocity of each body, the
/// forces of the actuators, and the external forces on each body. Rewarded: the speed of the centre of mass and 5 for each step, less a little
/// for the controls. Source: Gymnasium 1.4.
module FunTrpo.MuJoCo.Humanoid

open FunTrpo.MuJoCo.Engine

let private observe (simulation: Simulation) (row: Row) =
    row.Add(simulation.Qpos.Slice 2)
    row.Add simulation.Qvel
    row.Add simulation.Cinert
    row.Add simulation.Cvel
    row.Add simulation.QfrcActuator
    row.Add simulation.CfrcExt

/// The place of the centre of mass.
let private centreOfMass (simulation: Simulation) =
    let masses = simulation.Model.BodyMass
    let mutable sum = 0.0
    let mutable total = 0.0

    for body in 0 .. masses.Length - 1 do
        sum <- sum + masses[body] * simulation.Xipos[3 * body]
        total <- total + masses[body]

    sum / total

let private isHealthy (simulation: Simulation) = 1.0 < simulation.Qpos[2] && simulation.Qpos[2] < 2.0

let task =
    { PhysicsTask.ofModel "Humanoid-v4" (PhysicsTask.embedded "humanoid.xml") with
        FrameSkip = 5
        Start = PhysicsTask.startNear (Uniform 0.01) (Uniform 0.01)
        ExternalForces = true
        Observe = observe
        Measure = centreOfMass
        Reward = fun step -> 1.25 * step.Rate + 5.0 - 0.1 * PhysicsTask.squaredControls step.Simulation
        Terminated = isHealthy >> not
        View = FromTheSide(Some "torso") }
