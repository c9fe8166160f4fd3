/// `Swimmer-v4`: a chain of three links swims in a thick liquid. Observed: the positions without the place, and the velocities. Rewarded: the
/// speed, less a little for the controls. Source: Gymnasium 1.4.
module FunTrpo.MuJoCo.Swimmer

open FunTrpo.MuJoCo.Engine

let private observe (simulation: Simulation) (row: Row) =
    row.Add(simulation.Qpos.Slice 2)
    row.Add simulation.Qvel

let task =
    { PhysicsTask.ofModel "Swimmer-v4" (PhysicsTask.embedded "swimmer.xml") with
        FrameSkip = 4
        Start = PhysicsTask.startNear (Uniform 0.1) (Uniform 0.1)
        Observe = observe
        Measure = fun simulation -> simulation.Qpos[0]
        Reward = fun step -> step.Rate - 1e-4 * PhysicsTask.squaredAction step.Simulation
        View = FromAbove(2.5, Some "torso") }
