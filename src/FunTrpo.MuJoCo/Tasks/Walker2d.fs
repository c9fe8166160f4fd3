/// `Walker2d-v4`: two legs with feet walk forwards. Observed and rewarded as in `Hopper-v4`. Source: Gymnasium 1.4.
module FunTrpo.MuJoCo.Walker2d

open FunTrpo.MuJoCo.Engine

/// It stands, leaning by less than 1 rad.
let private isHealthy (simulation: Simulation) =
    let height, angle = simulation.Qpos[1], simulation.Qpos[2]
    0.8 < height && height < 2.0 && abs angle < 1.0

let task =
    { Hopper.task with
        Id = "Walker2d-v4"
        Model = PhysicsTask.embedded "walker2d.xml"
        Terminated = isHealthy >> not }
