namespace FunTrpo.Environments

open FunTrpo

/// Something that is done with an environment, whatever the type of its states is.
type EnvironmentUse<'Result> =
    abstract With<'State when 'State: equality> : Environment<'State> -> 'Result

/// An environment of the library, with the configuration that suits it.
type Registered =
    abstract Id: string
    /// A tuned configuration.
    abstract Preset: Configuration
    /// The number of environment steps that the preset is tuned for.
    abstract Steps: int64
    /// The mean return of 100 episodes at which the task counts as solved.
    abstract SolvedAt: float
    abstract Use: EnvironmentUse<'Result> -> 'Result

module Registry =

    let private register steps solvedAt preset (environment: Environment<'State>) =
        { new Registered with
            member _.Id = environment.Id
            member _.Preset = preset
            member _.Steps = steps
            member _.SolvedAt = solvedAt
            member _.Use it = it.With environment }

    let private standard = Configuration.standard

    /// Every environment of the library.
    let all =
        [ register 100_000L 475.0 standard CartPole.environment
          register 100_000L -100.0 standard Acrobot.environment
          register 100_000L -110.0 { standard with NormaliseObservations = true } MountainCar.environment
          register
              50_000L
              90.0
              { standard with NormaliseObservations = true; Gamma = 0.999 }
              MountainCarContinuous.environment
          register 100_000L -200.0 { standard with Gamma = 0.9; NormaliseRewards = true } Pendulum.environment ]

    /// The environment with this id.
    let tryFind id = all |> List.tryFind (fun registered -> registered.Id = id)
