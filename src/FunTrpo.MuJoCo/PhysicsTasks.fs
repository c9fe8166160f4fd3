/// The tasks of this library, with their presets.
module FunTrpo.MuJoCo.PhysicsTasks

open System
open FunTrpo
open FunTrpo.Environments

/// The number of steps after which an episode is truncated.
let limitOf (task: PhysicsTask) = if task.Id = Reacher.task.Id then 50 else 1000

/// A task with its time limit and its preset. Each `Use` makes the environment, and frees it afterwards. Without the engine it throws an
/// `EnvironmentUnavailable` that says how to install it.
let private register (task: PhysicsTask) steps solvedAt preset =
    { new Registered with
        member _.Id = task.Id
        member _.Preset = preset
        member _.Steps = steps
        member _.SolvedAt = solvedAt

        member _.Use environmentUse =
            use environment =
                try
                    new PhysicsEnvironment(task)
                with error ->
                    raise (EnvironmentUnavailable(task.Id, error))

            environmentUse.With(Environment.withTimeLimit (limitOf task) environment) }

let private walking =
    { Configuration.standard with
        Environments = 4
        Horizon = 512
        CgIterations = 15
        InitialLogSigma = -0.5 }

/// The nine tasks without their time limits and presets.
let tasks =
    [ InvertedPendulum.task
      InvertedDoublePendulum.task
      Reacher.task
      Swimmer.task
      Hopper.task
      Walker2d.task
      HalfCheetah.task
      Ant.task
      Humanoid.task ]

/// The nine tasks with their time limits and presets.
let all =
    [ register InvertedPendulum.task 100_000L (Some 950.0) walking
      register InvertedDoublePendulum.task 100_000L (Some 9100.0) walking
      register Reacher.task 1_000_000L (Some -3.75) walking
      register Swimmer.task 1_000_000L (Some 360.0) walking
      register Hopper.task 1_000_000L (Some 3800.0) walking
      register Walker2d.task 1_000_000L None walking
      register HalfCheetah.task 1_000_000L (Some 4800.0) { walking with InitialLogSigma = -1.0 }
      register Ant.task 1_000_000L (Some 6000.0) walking
      register Humanoid.task 1_000_000L None walking ]
