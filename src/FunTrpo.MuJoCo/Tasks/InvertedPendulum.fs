/// `InvertedPendulum-v4`: pushes of a cart keep a pole upright. Observed: positions and velocities. Source: Gymnasium 1.4.
module FunTrpo.MuJoCo.InvertedPendulum

let private isOver (simulation: Engine.Simulation) =
    not (PhysicsTask.isFinite simulation.Qpos && PhysicsTask.isFinite simulation.Qvel)
    || abs simulation.Qpos[1] > 0.2

let task =
    { PhysicsTask.ofModel "InvertedPendulum-v4" (PhysicsTask.embedded "inverted_pendulum.xml") with
        FrameSkip = 2
        Start = PhysicsTask.startNear (Uniform 0.01) (Uniform 0.01)
        Reward = fun _ -> 1.0
        Terminated = isOver
        View = FromTheSide None }
