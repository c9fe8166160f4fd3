/// `HalfCheetah-v4`: a cheetah with a back leg and a front leg runs. Observed: the positions without the place, and the velocities. Rewarded: the
/// speed, less a little for the controls. Source: Gymnasium 1.4.
module FunTrpo.MuJoCo.HalfCheetah

open FunTrpo.MuJoCo.Engine

let private observe (simulation: Simulation) (row: Row) =
    row.Add(simulation.Qpos.Slice 1)
    row.Add simulation.Qvel

let task =
    { PhysicsTask.ofModel "HalfCheetah-v4" (PhysicsTask.embedded "half_cheetah.xml") with
        FrameSkip = 5
        Start = PhysicsTask.startNear (Uniform 0.1) (Normal 0.1)
        Observe = observe
        Measure = fun simulation -> simulation.Qpos[0]
        Reward = fun step -> step.Rate - 0.1 * PhysicsTask.squaredAction step.Simulation
        View = FromTheSide(Some "torso") }
