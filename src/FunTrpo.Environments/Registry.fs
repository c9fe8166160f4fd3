namespace FunTrpo.Environments

open System
open FunTrpo

/// A function of an environment that works for every type of states.
type EnvironmentUse<'Result> =
    abstract With<'State when 'State: equality> : Environment<'State> -> 'Result

/// An environment by its name, with its preset.
type Registered =
    /// The id of the environment, such as `CartPole-v1`.
    abstract Id: string
    /// The tuned configuration for the environment.
    abstract Preset: Configuration
    /// The number of environment steps that the preset is tuned for.
    abstract Steps: int64
    /// The mean return of 100 episodes at which the task counts as solved, if there is one.
    abstract SolvedAt: float option
    /// Applies the function to the environment. Throws an `EnvironmentUnavailable` if the environment cannot be made, and an
    /// `EnvironmentNotDisposed` if it cannot be disposed of afterwards.
    abstract Use: EnvironmentUse<'Result> -> 'Result

/// An environment could not be made: its id, and the exception that its factory threw.
exception EnvironmentUnavailable of environment: string * error: exn with
    override this.Message = $"{this.environment} could not be made: {this.error.Message}"

/// The simulators of an environment could not be disposed of: its id, and the exception that one of them threw.
exception EnvironmentNotDisposed of environment: string * error: exn with
    override this.Message = $"{this.environment} could not be disposed of: {this.error.Message}"

/// What is known about training on an environment.
type Tuning =
    {
        /// The configuration for the environment.
        Preset: Configuration
        /// The number of environment steps that the preset is tuned for, at least 1.
        Steps: int64
        /// The mean return of 100 episodes at which the task counts as solved, if there is one.
        SolvedAt: float option
    }

module Tuning =

    /// The standard configuration, 100,000 steps, and no goal.
    let standard = { Preset = Configuration.standard; Steps = 100_000L; SolvedAt = None }

/// Makes registered environments. A public value of this type, or a public list of such values, in your assembly makes your environment
/// available to the command: `funtrpo train --env-from FILE.dll`.
module Registered =

    /// An environment with its tuning: `Registered.create Tuning.standard environment`.
    let create (tuning: Tuning) (environment: Environment<'State>) =
        { new Registered with
            member _.Id = environment.Id
            member _.Preset = tuning.Preset
            member _.Steps = tuning.Steps
            member _.SolvedAt = tuning.SolvedAt
            member _.Use environmentUse = environmentUse.With environment }

    /// Applies the function to the environment and disposes of the environment. An exception of the function comes before one of `Dispose`.
    let private disposingAfterwards id (environment: #IDisposable) apply =
        let result =
            try
                apply environment
            with _ ->
                try
                    environment.Dispose()
                with _ ->
                    ()

                reraise ()

        try
            environment.Dispose()
        with error ->
            raise (EnvironmentNotDisposed(id, error))

        result

    let internal ofNamedSimulators (id: unit -> string) (tuning: Tuning) (make: unit -> Simulator) =
        { new Registered with
            member _.Id = id ()
            member _.Preset = tuning.Preset
            member _.Steps = tuning.Steps
            member _.SolvedAt = tuning.SolvedAt

            member _.Use environmentUse =
                let environment =
                    try
                        Simulator.environment make
                    with error ->
                        raise (EnvironmentUnavailable(id (), error))

                environmentUse.With |> disposingAfterwards (id ()) environment }

    /// Mutable simulators with their tuning. Each `Use` makes simulators, and disposes of them at its end. The first use of the id makes a
    /// simulator, too, and throws an `EnvironmentUnavailable` if that fails.
    let ofSimulators tuning (make: unit -> 'Simulator :> Simulator) =
        let name =
            lazy
                (try
                    use environment = Simulator.environment make
                    (environment :> Environment<_>).Id
                 with error ->
                     raise (EnvironmentUnavailable(typeof<'Simulator>.Name, error)))

        ofNamedSimulators name.Force tuning (fun () -> make () :> Simulator)

module Registry =

    let private register steps solvedAt preset environment =
        Registered.create { Preset = preset; Steps = steps; SolvedAt = Some solvedAt } environment

    let private standard = Configuration.standard

    /// The tasks of classic control. docs/results.md lists the returns that the presets reach.
    let classic =
        // The regions shrink while a task is learned. Late gradients are mostly noise: with steps of a fixed size, the policy wanders in the
        // directions that the batches say nothing about, and one seed in 25 ends far below the return that it had reached.
        [ register
              100_000L
              475.0
              // One Gauss–Newton step fits the returns as well as five steps, in a fifth of the time.
              { standard with CriticSteps = 1; NormaliseObservations = false; DeltaHalfLife = 25_000 }
              CartPole.environment

          register
              100_000L
              -100.0
              { standard with
                  Environments = 16
                  Horizon = 64
                  Gamma = 0.995
                  Lambda = 0.9
                  Delta = 0.08
                  DeltaHalfLife = 20_000
                  NormaliseReturns = false }
              Acrobot.environment

          // The critic's values start at 0. In states that the policy visits they fall, because each step has the reward −1, so the
          // policy explores other states. The entropy bonus prevents it from settling on the first way to the goal that it finds.
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
                  Delta = 0.05
                  DeltaHalfLife = 45_000
                  EntropyBonus = 0.04
                  Damping = 0.05
                  CriticDelta = 0.2
                  NormaliseReturns = false }
              MountainCar.environment

          // Random actions must reach the goal before the cost of acting teaches the policy to stand still. Standardised advantages would give
          // this cost the size of the goal in all batches before that. In the unit of the reward, the entropy bonus outweighs the cost, and the
          // goal outweighs the bonus.
          register
              50_000L
              90.0
              { standard with
                  Horizon = 64
                  Gamma = 0.999
                  InitialLogSigma = 0.5
                  Delta = 0.03
                  DeltaShrinkage = 1.0
                  EntropyBonus = 0.03
                  EntropyHalfLife = 10_000
                  PpoLearningRate = 3e-4
                  Damping = 0.01
                  NormaliseReturns = false
                  NormaliseAdvantages = false }
              MountainCarContinuous.environment

          // Just after the pendulum has been learned, a step sometimes ruins the policy for some iterations, and more often where the critic's error
          // is large. If δ shrinks fast, such a fall is rare, and it is over before the last steps.
          register
              100_000L
              -200.0
              { standard with
                  Environments = 4
                  Horizon = 512
                  Gamma = 0.95
                  Lambda = 0.9
                  Delta = 0.03
                  DeltaHalfLife = 20_000
                  DampedLength = true
                  MinibatchSize = 128
                  PpoLearningRate = 5e-4
                  CriticDelta = 0.2
                  NormaliseObservations = false }
              Pendulum.environment ]

    let private layers text = Architecture.parse text |> Result.defaultWith invalidOp

    /// The games of MinAtar with sticky actions. Numbers are 0 and 1, so nothing is normalised.
    let pixels =
        let convolution = layers "conv 16 3x3 stride 1 relu; dense 128 relu"

        // Networks take most of the time here. So Adam fits the critic, which needs fewer passes over a batch than Gauss–Newton, and Fisher products
        // use a fifth of the rows. Without an entropy bonus the policy settles on the first way to play that it finds.
        let preset =
            { standard with
                Environments = 32
                Architecture = convolution
                CriticArchitecture = convolution
                Critic = CriticKind.Adam
                CriticEpochs = 2
                FisherFraction = 0.2
                Delta = 0.03
                NormaliseObservations = false }

        [ register
              2_000_000L
              14.0
              { preset with Horizon = 32; Lambda = 0.9; EntropyBonus = 0.12 }
              MinAtar.Breakout.environment
          register
              2_000_000L
              65.0
              { preset with Horizon = 64; Lambda = 0.8; EntropyBonus = 0.05 }
              MinAtar.SpaceInvaders.environment ]

    /// The memory tasks of POPGym. Both networks remember.
    let memory =
        let preset =
            { standard with
                Environments = 16
                Horizon = 128
                Architecture = layers "dense 64 tanh; gru 64"
                CriticArchitecture = layers "dense 64 tanh; gru 64" }

        // With noise, even a good policy gives batches that differ much. Steps that shrink average over them.
        let settling = { preset with DeltaHalfLife = 200_000 }

        let register preset environment =
            Registered.create { Preset = preset; Steps = 1_000_000L; SolvedAt = None } environment

        [ for difficulty in Popgym.Difficulty.all do
              register preset (Popgym.PositionOnlyCartPole.environment difficulty)
              register settling (Popgym.PositionOnlyCartPole.noisy difficulty)
              register preset (Popgym.PositionOnlyPendulum.environment difficulty)
              register preset (Popgym.RepeatFirst.environment difficulty)
              register preset (Popgym.RepeatPrevious.environment difficulty) ]

    /// All environments of the library.
    let all = classic @ pixels @ memory

    /// The environment with this id, or `None`.
    let tryFind id = all |> List.tryFind (fun registered -> registered.Id = id)

    /// The end of an error message about an unknown id: the known ids, and the one nearest to `id` if any is near.
    let mustBeOneOf (known: Registered list) id =
        let known = known |> List.map _.Id
        let ids = String.concat ", " known
        $"it must be one of {ids}{Suggestion.among known id}"
