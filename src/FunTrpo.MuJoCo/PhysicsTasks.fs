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

    let private common =
        { Configuration.standard with
            Environments = 4
            Horizon = 512
            CgIterations = 15
            InitialLogSigma = -0.5 }

    /// The region shrinks with time. Early steps are long, and late steps, whose gradients are mostly noise, are short.
    let private shrinking delta halfLife = { common with Delta = delta; DeltaHalfLife = halfLife }

    /// The region shrinks to what the batch has to say. These tasks are solved early. Then all episodes have the same return, and steps along the
    /// noise would let the pole fall in the end.
    let private ofSignal delta = { common with Delta = delta; DeltaShrinkage = 2.0 }

    let private register task limit steps solvedAt preset =
        RegisteredTask(task, limit, { Preset = preset; Steps = steps; SolvedAt = solvedAt })

    /// The nine tasks. docs/results.md lists the returns that the presets reach.
    let tasks =
        [ register InvertedPendulum.task 1000 200_000L (Some 950.0) (ofSignal 0.02)
          register InvertedDoublePendulum.task 1000 400_000L (Some 9100.0) (ofSignal 0.05)
          register Reacher.task 50 1_000_000L (Some -3.75) (shrinking 0.03 300_000)

          // A stroke pays off only many steps later.
          register Swimmer.task 1000 1_000_000L (Some 360.0) { common with Gamma = 0.9999; Lambda = 0.99 }

          // With γ = 0.99 a fall costs too little, and the policy hops faster than it can stand.
          register Hopper.task 1000 1_000_000L (Some 3800.0) { shrinking 0.03 300_000 with Gamma = 0.995 }
          register Walker2d.task 1000 1_000_000L None { shrinking 0.02 400_000 with InitialLogSigma = -1.0 }
          register HalfCheetah.task 1000 1_000_000L (Some 4800.0) { shrinking 0.03 300_000 with InitialLogSigma = -1.0 }
          register Ant.task 1000 1_000_000L (Some 6000.0) { shrinking 0.015 500_000 with InitialLogSigma = -1.0 }
          register Humanoid.task 1000 1_000_000L None (shrinking 0.03 300_000) ]

    /// The nine tasks as environments by their names.
    let all = tasks |> List.map (fun task -> task :> Registered)
