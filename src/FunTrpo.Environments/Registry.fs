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

    /// Every environment of the library. docs/results.md shows what the presets reach.
    let all =
        // One Gauss–Newton step follows the returns as well as five do, in a fifth of the time.
        [ register 100_000L 475.0 { standard with CriticSteps = 1; NormaliseObservations = false } CartPole.environment

          register
              100_000L
              -100.0
              { standard with
                  Environments = 16
                  Horizon = 64
                  Lambda = 0.9
                  Delta = 0.04
                  DeltaHalfLife = 40_000
                  NormaliseReturns = false }
              Acrobot.environment

          // Values start at 0 and fall to what −1 a step adds up to wherever the policy has been, which makes it go where it
          // has not been. The bonus keeps it from settling on the first way to the goal that it finds.
          register
              100_000L
              -110.0
              { standard with
                  Environments = 16
                  Horizon = 64
                  Gamma = 0.998
                  Lambda = 0.97
                  Hidden = [ 32; 32 ]
                  CriticHidden = [ 32; 32 ]
                  Delta = 0.03
                  EntropyBonus = 0.03
                  Damping = 0.05
                  CriticDelta = 0.2
                  NormaliseReturns = false }
              MountainCar.environment

          // The goal must be found by chance before the cost of acting has taught the policy to stand still: a wide Gaussian.
          register
              50_000L
              90.0
              { standard with Horizon = 64; Gamma = 0.999; InitialLogSigma = 1.0; NormaliseReturns = false }
              MountainCarContinuous.environment

          // With the standard critic radius of 0.1 one seed in twenty ends below −250; with 0.2, one in 160.
          register
              100_000L
              -200.0
              { standard with
                  Environments = 4
                  Horizon = 512
                  Gamma = 0.95
                  Lambda = 0.9
                  DampedLength = true
                  CriticDelta = 0.2
                  NormaliseObservations = false }
              Pendulum.environment ]

    /// The environment with this id.
    let tryFind id = all |> List.tryFind (fun registered -> registered.Id = id)

    /// What to say to somebody who asks for an environment that is not here: the ids, and the nearest one.
    let allowed id =
        let known = all |> List.map _.Id
        let ids = String.concat ", " known
        $"it must be one of {ids}{Suggestion.among known id}"
