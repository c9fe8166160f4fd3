namespace FunTrpo.MuJoCo

open FunTrpo
open FunTrpo.Environments

/// A task with its time limit and its tuning. Each `Use` makes the environment, and frees it afterwards. Without the engine it throws an
/// `EnvironmentUnavailable` that says how to install it.
[<Sealed>]
type RegisteredTask internal (task: PhysicsTask, limit: int, tuning: Tuning) =

    member _.Task = task

    /// The number of steps after which an episode is truncated.
    member _.Limit = limit

    interface Registered with
        member _.Id = task.Id
        member _.Preset = tuning.Preset
        member _.Steps = tuning.Steps
        member _.SolvedAt = tuning.SolvedAt

        member _.Use environmentUse =
            use environment =
                try
                    new PhysicsEnvironment(task)
                with error ->
                    raise (EnvironmentUnavailable(task.Id, error))

            environmentUse.With(Environment.withTimeLimit limit environment)

/// The tasks of this library, with their time limits and presets.
module PhysicsTasks =

    let private walking =
        { Configuration.standard with
            Environments = 4
            Horizon = 512
            CgIterations = 15
            InitialLogSigma = -0.5 }

    let private register task limit steps solvedAt preset =
        RegisteredTask(task, limit, { Preset = preset; Steps = steps; SolvedAt = solvedAt })

    /// The nine tasks.
    let tasks =
        [ register InvertedPendulum.task 1000 100_000L (Some 950.0) walking
          register InvertedDoublePendulum.task 1000 100_000L (Some 9100.0) walking
          register Reacher.task 50 1_000_000L (Some -3.75) walking
          register Swimmer.task 1000 1_000_000L (Some 360.0) walking
          register Hopper.task 1000 1_000_000L (Some 3800.0) walking
          register Walker2d.task 1000 1_000_000L None walking
          register HalfCheetah.task 1000 1_000_000L (Some 4800.0) { walking with InitialLogSigma = -1.0 }
          register Ant.task 1000 1_000_000L (Some 6000.0) walking
          register Humanoid.task 1000 1_000_000L None walking ]

    /// The nine tasks as environments by their names.
    let all = tasks |> List.map (fun task -> task :> Registered)
