/// Environments, policies and configurations with hostile numbers.
module FunTrpo.Tests.HostileCases

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks

// ---- Environments ----

/// An environment whose numbers depend on the time of an episode. Its name in messages is "Hostile-v0".
[<NoComparison; NoEquality>]
type Hostile =
    {
        Actions: Space
        /// The observation at a time; two numbers.
        Observe: int -> float32
        /// The reward of a step to a time, with an action.
        Reward: int -> float32 -> float
        /// The steps of an episode; 0 if it never ends.
        Length: int
        /// Whether the end of an episode is a time limit.
        IsTruncated: bool
    }

/// Episodes of 7 steps with ordinary numbers: the reward is what a policy can learn.
let healthy actions =
    { Actions = actions
      Observe = fun time -> MathF.Sin(float32 time)
      Reward = fun time action -> sin (float time) * float action
      Length = 7
      IsTruncated = false }

let environmentOf hostile =
    { new Environment<int> with
        member _.Id = "Hostile-v0"
        member _.ObservationSpace = Space.box 2 -infinity infinity
        member _.ActionSpace = hostile.Actions
        member _.Reset _ = 0

        member _.Step(_, action, time) =
            let time = time + 1
            let ends = time = hostile.Length

            { State = time
              Reward = hostile.Reward time action[0]
              Terminated = ends && not hostile.IsTruncated
              Truncated = ends && hostile.IsTruncated }

        member _.Observe(time, observation) =
            observation[0] <- hostile.Observe time
            observation[1] <- float32 (time % 3) }

// ---- Policies ----

/// Discrete and continuous actions.
let heads = [ Discrete 2; Space.box 1 -1.0 1.0 ]

/// A metric that multiplies number i by `factor i`, whatever the distributions are.
let private metricOf (factor: int -> float32) =
    { new Metric with
        member _.Factors(_, _, _, _) = ()

        member _.Apply(_, _, _, u) =
            for i in 0 .. u.Length - 1 do
                u[i] <- factor i * u[i] }

// Metrics that no Fisher matrix has.
let zeroMetric = metricOf (fun _ -> 0f)
let negativeMetric = metricOf (fun _ -> -1f)
let indefiniteMetric = metricOf (fun i -> if i % 2 = 0 then 1f else -1f)
let nanMetric = metricOf (fun _ -> nanf)
let infiniteMetric = metricOf (fun _ -> infinityf)
let hostileMetrics = [ zeroMetric; negativeMetric; indefiniteMetric; nanMetric; infiniteMetric ]

/// The policy with another metric.
let withMetric metric (policy: Policy) =
    let family = policy.Family

    let other =
        { new Family with
            member _.ParameterWidth = family.ParameterWidth
            member _.ActionWidth = family.ActionWidth
            member _.Sample(parameters, key, action) = family.Sample(parameters, key, action)
            member _.Mode(parameters, action) = family.Mode(parameters, action)
            member _.LogProbability(parameters, action) = family.LogProbability(parameters, action)
            member _.Score(parameters, action, score) = family.Score(parameters, action, score)
            member _.Entropy parameters = family.Entropy parameters
            member _.EntropyGradient(parameters, gradient) = family.EntropyGradient(parameters, gradient)
            member _.Kl(oldParameters, newParameters) = family.Kl(oldParameters, newParameters)
            member _.Metric = metric }

    { policy with Family = other }

/// The state before the first iteration, with the weights of the policy and of the critic scaled. Each log σ stays what it is.
let startScaled (policyScale: float32) (criticScale: float32) seed (setup: Setup<'State>) =
    let start = TrainingState.start setup seed
    let policy, critic = start.PolicyParameters, start.Critic.Parameters
    let count = policy.Length - (Policy.logSigmas setup.Policy policy).Length

    { start with
        PolicyParameters = Vector.init policy.Length (fun i -> (if i < count then policyScale else 1f) * policy[i])
        Critic = { start.Critic with Parameters = Vector.map (fun x -> criticScale * x) critic } }

// ---- Configurations ----

let unnormalised =
    { small with NormaliseObservations = false; NormaliseReturns = false; NormaliseAdvantages = false }

/// The variants whose critic counts in the deviation of the returns.
let normalisedVariants =
    variants |> List.filter (fun (_, configuration) -> configuration.NormaliseReturns)

// ---- Random cases ----

/// Numbers that no one wants.
let extremes = [ nan; infinity; -infinity; 1e30; -1e30; 3e38; -3e38; 1e39; 1e-40; 0.0; 1.0; -1.0 ]

/// At a time: an ordinary number, always the same, now and then an extreme one, or numbers that grow.
let private numbersOfTime =
    Gen.oneof
        [ Gen.constant (fun (time: int) -> sin (float time))
          Gen.elements extremes |> Gen.map (fun x _ -> x)
          Gen.zip3 (Gen.elements extremes) (Gen.elements extremes) (Gen.choose (1, 30))
          |> Gen.map (fun (x, other, at) time ->
              if time % at = 0 then x
              elif time % 2 = 0 then other
              else sin (float time))
          Gen.elements [ 10.0; 1e3; 1e10 ] |> Gen.map (fun growth time -> growth ** float time) ]

let private actions =
    Gen.elements
        [ Discrete 1
          Discrete 3
          MultiDiscrete [ 2; 3 ]
          MultiBinary 2
          Space.box 1 -1.0 1.0
          Space.box 2 -infinity infinity ]

let private hostile =
    gen {
        let! actions = actions
        let! rewards = numbersOfTime
        let! observations = Gen.frequency [ 2, Gen.constant (fun time -> cos (float time)); 1, numbersOfTime ]
        let! length = Gen.elements [ 0; 1; 2; 7 ]
        let! isTruncated = Gen.elements [ true; false ]
        let! ignoresAction = Gen.elements [ true; false ]

        return
            { Actions = actions
              Observe = observations >> float32
              Reward = fun time action -> rewards time * (if ignoresAction then 1.0 else 1.0 + 0.1 * float action)
              Length = length
              IsTruncated = isTruncated }
    }

let private hostileConfiguration =
    gen {
        let! _, variant = Gen.elements variants
        let! environments, horizon = Gen.elements [ 1, 1; 1, 8; 3, 1; 2, 9; 3, 25 ]
        let! hidden = Gen.elements [ []; [ 4 ]; [ 3; 3 ] ]
        let! activation, criticActivation = Gen.two activation
        let! damping, criticDamping = Gen.two (Gen.elements [ 0.0; 1e-2; 0.1; 1e6 ])
        let! delta, criticDelta = Gen.two (Gen.elements [ 1e-300; 1e-6; 0.01; 1.0; 1e300 ])
        let! learningRate, criticLearningRate = Gen.two (Gen.elements [ 1e-300; 0.1; 1e3; 1e20; 1e38; 1e300 ])
        let! logSigma = Gen.elements [ -20.0; -10.0; -3.0; 0.0; 5.0 ]
        let! gamma, lambda = Gen.two (Gen.elements [ 0.0; 0.9; 1.0 ])
        let! branches = Gen.frequency [ 4, Gen.constant 0; 1, Gen.constant 3 ]
        let! criticEpochs, criticBatchSize = Gen.elements [ 2, 16; 1, 1000; 3, 1 ]
        let! damped, criticNormalised = Gen.two (Gen.elements [ true; false ])
        let! heldOut = Gen.frequency [ 3, Gen.constant 0.0; 1, Gen.constant 0.3 ]

        return
            { variant with
                Environments = environments
                Horizon = horizon
                Hidden = hidden
                CriticHidden = hidden
                Activation = activation
                CriticActivation = criticActivation
                Damping = damping
                CriticDamping = criticDamping
                Delta = delta
                CriticDelta = criticDelta
                LearningRate = learningRate
                CriticLearningRate = criticLearningRate
                CriticEpochs = criticEpochs
                CriticBatchSize = criticBatchSize
                InitialLogSigma = logSigma
                Gamma = gamma
                Lambda = lambda
                Branches = branches
                BranchSteps = 3
                HeldOut = (if environments < 2 then 0.0 else heldOut)
                DampedLength = damped
                NormaliseReturns = criticNormalised }
    }

/// What a random case consists of.
[<NoComparison; NoEquality>]
type Mixture =
    {
        Hostile: Hostile
        Configuration: Configuration
        /// The size of the first weights of the policy, in units of the usual one.
        PolicyScale: float32
        CriticScale: float32
        /// None for that of the distributions.
        Metric: Metric option
        Seed: int64
    }

let mixture =
    gen {
        let! hostile = hostile
        let! configuration = hostileConfiguration

        let! policyScale, criticScale =
            Gen.frequency [ 4, Gen.constant 1f; 1, Gen.elements [ 0f; 1e3f; 1e10f; 1e30f ] ] |> Gen.two

        let! metric = Gen.frequency [ 9, Gen.constant None; 1, Gen.elements hostileMetrics |> Gen.map Some ]
        let! seed = seeds

        return
            { Hostile = hostile
              Configuration = configuration
              PolicyScale = policyScale
              CriticScale = criticScale
              Metric = metric
              Seed = seed }
    }
