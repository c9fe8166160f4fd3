using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Serialization;
using Microsoft.FSharp.Collections;
using static System.FormattableString;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>In which direction a policy is improved.</summary>
[NameInJson]
public enum StepDirection
{
    /// <summary>Along the gradient, g.</summary>
    Gradient,

    /// <summary>Along the natural gradient, F⁻¹g.</summary>
    Natural,
}

/// <summary>How far a policy is moved in its direction.</summary>
[NameInJson]
public enum StepLength
{
    /// <summary>By the learning rate times the direction, unchecked.</summary>
    Fixed,

    /// <summary>To the edge of the trust region, and then back until the step gains and stays within it.</summary>
    TrustRegion,
}

/// <summary>How the critic is fitted to the returns.</summary>
[NameInJson]
public enum CriticMethod
{
    /// <summary>By Adam on minibatches.</summary>
    Adam,

    /// <summary>By Gauss–Newton steps in a trust region.</summary>
    GaussNewton,
}

/// <summary>The non-linearity of hidden layers.</summary>
[NameInJson]
public enum Activation
{
    /// <summary>x</summary>
    Identity,

    /// <summary>tanh x</summary>
    Tanh,

    /// <summary>max(0, x)</summary>
    Relu,

    /// <summary>1 / (1 + e⁻ˣ)</summary>
    Sigmoid,

    /// <summary>x where it is positive, else eˣ − 1</summary>
    Elu,

    /// <summary>log(1 + eˣ)</summary>
    Softplus,

    /// <summary>x / (1 + e⁻ˣ)</summary>
    Swish,
}

/// <summary>
/// Everything that decides what training does, apart from the environment. A value out of its range is refused when training
/// starts, with its name, the value and the range.
/// </summary>
/// <remarks>
/// The defaults are those of an environment of your own; the library's environments come with options of their own, which
/// <c>Trpo.For("Pendulum-v1").Options</c> shows. System.Text.Json writes and reads options, and Microsoft.Extensions.Configuration binds
/// them: <c>configuration.GetSection("Training").Get&lt;TrainingOptions&gt;()</c>.
/// </remarks>
[JsonNumberHandling(JsonNumberHandling.AllowNamedFloatingPointLiterals)]
public sealed record TrainingOptions
{
    /// <summary>
    /// The seed of all randomness: the same options, environment and seed give the same training, bit for bit. Default 0; any number.
    /// </summary>
    public long Seed { get; init; }

    /// <summary>
    /// Environment steps until training ends, to within one of each environment and branch. Default 100000; at least 1.
    /// </summary>
    public long TotalSteps { get; init; } = 100_000;

    /// <summary>
    /// The mean return of the last 100 finished episodes at which training ends before. Default null, which never does; a finite number.
    /// </summary>
    public double? StopAtReturn { get; init; }

    /// <summary>
    /// How many threads may work; the results do not depend on it. Default: one for each processor; an integer in [1, 1024]. How many do
    /// is <see cref="EffectiveThreads"/>.
    /// </summary>
    public int Threads { get; init; } = Math.Min(System.Environment.ProcessorCount, 1024);

    /// <summary>
    /// How many threads work at most: <see cref="Threads"/>, but never more than the machine has processors. A rollout has no use for
    /// more than one for each environment.
    /// </summary>
    public int EffectiveThreads => Parallel.effective(Threads);

    /// <summary>Environments stepped side by side. Default 8; an integer in [1, 65536].</summary>
    public int Environments { get; init; }

    /// <summary>Steps of each environment in one iteration. Default 128; an integer in [1, 10000000].</summary>
    public int Horizon { get; init; }

    /// <summary>Discount of future rewards, γ. Default 0.99; a number in [0, 1].</summary>
    public double Gamma { get; init; }

    /// <summary>Bias against variance of the advantages, λ of GAE. Default 0.95; a number in [0, 1].</summary>
    public double Lambda { get; init; }

    /// <summary>
    /// Actions that are tried from where each environment stands after <see cref="Horizon"/> steps (the vine of the TRPO paper): the
    /// policy is improved on what they lead to, and not on the steps before. Default 0, which tries none; 0, or an integer in [2, 1000]. An
    /// environment of your own is brought there by playing its episode again for each action, so this suits short episodes and fast
    /// simulators.
    /// </summary>
    public int Branches { get; init; }

    /// <summary>
    /// Steps for which a tried action is followed at most, used where there are <see cref="Branches"/>. Default 100; an integer in [1, 10000000].
    /// </summary>
    public int BranchSteps { get; init; }

    /// <summary>
    /// Units of each hidden layer of the policy; an empty list is none. Default [64, 64]; integers in [1, 65536]. Null is the default: new options
    /// have it, so that a list that a configuration binds is not added to another one.
    /// </summary>
    public IReadOnlyList<int>? Hidden
    {
        get;
        init => field = value is null ? null : ValueList.Of(value);
    }

    /// <summary>Non-linearity of the policy's hidden layers. Default Tanh.</summary>
    public Activation Activation { get; init; }

    /// <summary>
    /// Initial log σ of a Gaussian policy, in the unit of the action, or of half its range (<see cref="ScaleActions"/>). Default 0; a number in
    /// [-20, 5].
    /// </summary>
    public double InitialLogSigma { get; init; }

    /// <summary>Direction of a step. Default Natural.</summary>
    public StepDirection Direction { get; init; }

    /// <summary>Length of a step. Default TrustRegion.</summary>
    public StepLength Step { get; init; }

    /// <summary>
    /// Radius of the trust region: the mean KL(old ‖ new) of a step, δ, in nats. Default 0.01; a number in (0, ∞).
    /// </summary>
    public double Delta { get; init; }

    /// <summary>
    /// Environment steps in which <see cref="Delta"/> shrinks to a half; 0 keeps it. Default 0; an integer in [0, 2147483647].
    /// </summary>
    public int DeltaHalfLife { get; init; }

    /// <summary>
    /// Environment steps that an earlier training made with the policy to start from: <see cref="DeltaHalfLife"/> counts them. Default 0;
    /// an integer in [0, 2147483647].
    /// </summary>
    public int StepsMade { get; init; }

    /// <summary>
    /// Length of a fixed step: about 1 along the gradient, 0.3 along the natural gradient. Default 0.01; a number in (0, ∞).
    /// </summary>
    public double LearningRate { get; init; }

    /// <summary>
    /// What a nat of entropy is worth beside the advantages: keeps a policy exploring. Default 0; a number in [0, 1000].
    /// </summary>
    public double EntropyBonus { get; init; }

    /// <summary>
    /// Added to the diagonal of the Fisher matrix, for the direction of a step. Default 0.1; a number in [0, 1000000].
    /// </summary>
    public double Damping { get; init; }

    /// <summary>
    /// Whether the damping shortens a step, too; else its length is that at which the mean KL should be <see cref="Delta"/>.
    /// Default false.
    /// </summary>
    public bool DampedLength { get; init; }

    /// <summary>Fraction of the batch that Fisher-vector products use. Default 1; a number in (0, 1].</summary>
    public double FisherFraction { get; init; }

    /// <summary>Conjugate-gradient iterations at most. Default 10; an integer in [1, 10000].</summary>
    public int CgIterations { get; init; }

    /// <summary>
    /// Relative residual at which conjugate gradient stops; the critic's too. Default 1E-05; a number in [0, 1].
    /// </summary>
    public double CgTolerance { get; init; }

    /// <summary>Step lengths that the line search tries at most; the critic's too. Default 10; an integer in [1, 1000].</summary>
    public int LineSearchTries { get; init; }

    /// <summary>What each further try multiplies the step by; the critic's too. Default 0.8; a number in (0, 1).</summary>
    public double LineSearchRatio { get; init; }

    /// <summary>How the critic is fitted. Default GaussNewton.</summary>
    public CriticMethod Critic { get; init; }

    /// <summary>
    /// Units of each hidden layer of the critic; an empty list is none. Default [64, 64]; integers in [1, 65536]. Null is the default, as for
    /// <see cref="Hidden"/>.
    /// </summary>
    public IReadOnlyList<int>? CriticHidden
    {
        get;
        init => field = value is null ? null : ValueList.Of(value);
    }

    /// <summary>Non-linearity of the critic's hidden layers. Default Tanh.</summary>
    public Activation CriticActivation { get; init; }

    /// <summary>Learning rate of Adam, used where <see cref="Critic"/> is Adam. Default 0.001; a number in (0, ∞).</summary>
    public double CriticLearningRate { get; init; }

    /// <summary>
    /// Passes of Adam over the batch, used where <see cref="Critic"/> is Adam. Default 10; an integer in [1, 10000].
    /// </summary>
    public int CriticEpochs { get; init; }

    /// <summary>
    /// Rows of one minibatch of Adam, used where <see cref="Critic"/> is Adam. Default 128; an integer in [1, 10000000].
    /// </summary>
    public int CriticBatchSize { get; init; }

    /// <summary>
    /// Radius of the critic's trust region: mean squared change of V over twice the mean squared error. Default 0.1; a number in (0, ∞).
    /// </summary>
    public double CriticDelta { get; init; }

    /// <summary>Gauss–Newton steps in one iteration at most. Default 5; an integer in [1, 1000].</summary>
    public int CriticSteps { get; init; }

    /// <summary>Added to the diagonal of the Gauss–Newton matrix. Default 0.01; a number in [0, 1000000].</summary>
    public double CriticDamping { get; init; }

    /// <summary>Conjugate-gradient iterations of a Gauss–Newton step at most. Default 10; an integer in [1, 10000].</summary>
    public int CriticCgIterations { get; init; }

    /// <summary>
    /// Steps of an episode after which training warns that it may never end. Default 100000; an integer in [1, 2147483647].
    /// </summary>
    public int LongEpisode { get; init; }

    /// <summary>
    /// Whether observations are standardised by their running moments: for numbers of very different sizes. Default true.
    /// </summary>
    public bool NormaliseObservations { get; init; }

    /// <summary>
    /// Whether the critic counts returns from their mean and in their standard deviation, whatever the unit of the reward. Default true.
    /// </summary>
    public bool NormaliseReturns { get; init; }

    /// <summary>Whether advantages are standardised over each batch. Default true.</summary>
    public bool NormaliseAdvantages { get; init; }

    /// <summary>
    /// Whether a policy of continuous actions counts in half of the range of each bounded action, from the middle: 0 is there, ±1 are the
    /// bounds. It is what makes an action of 0 … 2000 W as easy to learn as one of −1 … 1. Default true.
    /// </summary>
    public bool ScaleActions { get; init; }

    /// <summary>The standard options.</summary>
    public TrainingOptions()
        : this(ConfigurationModule.standard)
    {
        Hidden = null;
        CriticHidden = null;
    }

    internal TrainingOptions(Core.Configuration core)
    {
        Environments = core.Environments;
        Horizon = core.Horizon;
        Gamma = core.Gamma;
        Lambda = core.Lambda;
        Branches = core.Branches;
        BranchSteps = core.BranchSteps;
        Hidden = [.. core.Hidden];
        Activation = (Activation)core.Activation;
        InitialLogSigma = core.InitialLogSigma;
        Direction = core.Direction.IsGradient ? StepDirection.Gradient : StepDirection.Natural;
        Step = core.Step.IsFixed ? StepLength.Fixed : StepLength.TrustRegion;
        Delta = core.Delta;
        DeltaHalfLife = core.DeltaHalfLife;
        StepsMade = core.StepsMade;
        LearningRate = core.LearningRate;
        EntropyBonus = core.EntropyBonus;
        Damping = core.Damping;
        DampedLength = core.DampedLength;
        FisherFraction = core.FisherFraction;
        CgIterations = core.CgIterations;
        CgTolerance = core.CgTolerance;
        LineSearchTries = core.LineSearchTries;
        LineSearchRatio = core.LineSearchRatio;
        Critic = core.Critic.IsAdam ? CriticMethod.Adam : CriticMethod.GaussNewton;
        CriticHidden = [.. core.CriticHidden];
        CriticActivation = (Activation)core.CriticActivation;
        CriticLearningRate = core.CriticLearningRate;
        CriticEpochs = core.CriticEpochs;
        CriticBatchSize = core.CriticBatchSize;
        CriticDelta = core.CriticDelta;
        CriticSteps = core.CriticSteps;
        CriticDamping = core.CriticDamping;
        CriticCgIterations = core.CriticCgIterations;
        LongEpisode = core.LongEpisode;
        NormaliseObservations = core.NormaliseObservations;
        NormaliseReturns = core.NormaliseReturns;
        NormaliseAdvantages = core.NormaliseAdvantages;
        ScaleActions = core.ScaleActions;
    }

    /// <summary>The configuration of the pipeline, or an exception that names the option that is out of its range.</summary>
    internal Core.Configuration Validated()
    {
        Require(TotalSteps >= 1, nameof(TotalSteps), TotalSteps, "it must be at least 1");
        Require(Threads is >= 1 and <= 1024, nameof(Threads), Threads, "it must be in [1, 1024]");
        Require(
            StopAtReturn is null || double.IsFinite(StopAtReturn.Value),
            nameof(StopAtReturn),
            StopAtReturn,
            "it must be finite"
        );
        Require(Enum.IsDefined(Direction), nameof(Direction), Direction, "there is no such direction");
        Require(Enum.IsDefined(Step), nameof(Step), Step, "there is no such step");
        Require(Enum.IsDefined(Critic), nameof(Critic), Critic, "there is no such method");
        return ConfigurationModule.validate(ToCore()).OrThrow();
    }

    internal Core.Configuration ToCore() =>
        new(
            environments: Environments,
            horizon: Horizon,
            gamma: Gamma,
            lambda: Lambda,
            branches: Branches,
            branchSteps: BranchSteps,
            hidden: Units(Hidden, ConfigurationModule.standard.Hidden),
            activation: (Kernels.Activation)Activation,
            initialLogSigma: InitialLogSigma,
            direction: Direction == StepDirection.Gradient ? DirectionKind.Gradient : DirectionKind.Natural,
            step: Step == StepLength.Fixed ? StepKind.Fixed : StepKind.TrustRegion,
            delta: Delta,
            deltaHalfLife: DeltaHalfLife,
            stepsMade: StepsMade,
            learningRate: LearningRate,
            entropyBonus: EntropyBonus,
            damping: Damping,
            dampedLength: DampedLength,
            fisherFraction: FisherFraction,
            cgIterations: CgIterations,
            cgTolerance: CgTolerance,
            lineSearchTries: LineSearchTries,
            lineSearchRatio: LineSearchRatio,
            critic: Critic == CriticMethod.Adam ? CriticKind.Adam : CriticKind.GaussNewton,
            criticHidden: Units(CriticHidden, ConfigurationModule.standard.CriticHidden),
            criticActivation: (Kernels.Activation)CriticActivation,
            criticLearningRate: CriticLearningRate,
            criticEpochs: CriticEpochs,
            criticBatchSize: CriticBatchSize,
            criticDelta: CriticDelta,
            criticSteps: CriticSteps,
            criticDamping: CriticDamping,
            criticCgIterations: CriticCgIterations,
            longEpisode: LongEpisode,
            normaliseObservations: NormaliseObservations,
            normaliseReturns: NormaliseReturns,
            normaliseAdvantages: NormaliseAdvantages,
            scaleActions: ScaleActions
        );

    /// <summary>Whether all options are the same.</summary>
    public bool Equals(TrainingOptions? other) =>
        other is not null
        && Seed == other.Seed
        && TotalSteps == other.TotalSteps
        && StopAtReturn == other.StopAtReturn
        && Threads == other.Threads
        && ToCore().Equals(other.ToCore());

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Seed, TotalSteps, StopAtReturn, Threads, ToCore());

    private static void Require(bool holds, string name, object? value, string rule)
    {
        if (!holds)
        {
            throw new ArgumentOutOfRangeException(name, value, Invariant($"{name} = {value} is not allowed: {rule}"));
        }
    }

    private static FSharpList<int> Units(IReadOnlyList<int>? units, FSharpList<int> standard) =>
        units is null ? standard : ListModule.OfSeq(units);
}
