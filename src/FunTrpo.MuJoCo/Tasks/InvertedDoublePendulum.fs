/// `InvertedDoublePendulum-v4`: pushes of a cart keep two poles upright, one on the other. Observed: the position of the cart, the sines and
/// cosines of the angles, and the velocities and the forces of the constraints, clipped to ±10. Source: Gymnasium 1.4.
module FunTrpo.MuJoCo.InvertedDoublePendulum

open FunTrpo.MuJoCo.Engine

let private observe (simulation: Simulation) (row: Row) =
    let q = simulation.Qpos
    row.Add q[0]
    row.Add(sin q[1])
    row.Add(sin q[2])
    row.Add(cos q[1])
    row.Add(cos q[2])
    row.AddClipped(10.0, simulation.Qvel)
    row.AddClipped(10.0, simulation.QfrcConstraint)

/// The height of the tip, the only site of the model.
let private tipHeight (simulation: Simulation) = simulation.SiteXpos[2]

/// 10 − 0.01 x² − (z − 2)² for the tip at (x, z), and a little less for fast poles.
let private reward (step: PhysicsStep) =
    let simulation = step.Simulation
    let x, z = simulation.SiteXpos[0], tipHeight simulation
    let v = simulation.Qvel
    10.0 - (0.01 * (x * x) + (z - 2.0) * (z - 2.0)) - (1e-3 * (v[1] * v[1]) + 5e-3 * (v[2] * v[2]))

let task =
    { PhysicsTask.ofModel "InvertedDoublePendulum-v4" (PhysicsTask.embedded "inverted_double_pendulum.xml") with
        FrameSkip = 5
        Start = PhysicsTask.startNear (Uniform 0.1) (Normal 0.1)
        Observe = observe
        Reward = reward
        Terminated = fun simulation -> tipHeight simulation <= 1.0
        View = FromTheSide None }
