using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Serialization;
using Microsoft.FSharp.Collections;
using static System.FormattableString;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>How a policy is improved on the batch of an iteration.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<PolicyRule>))]
public enum PolicyRule
{
    /// <summary>
    /// A single step, which <see cref="TrainingOptions.Direction"/> and <see cref="TrainingOptions.Step"/> describe: TRPO, the natural policy
    /// gradient or REINFORCE.
    /// </summary>
    SingleStep,

    /// <summary>
    /// Proximal policy optimization: several epochs of minibatches, each a step of Adam on the clipped surrogate.
    /// </summary>
    Ppo,
}

/// <summary>The direction in which the parameters of a policy are changed.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<StepDirection>))]
public enum StepDirection
{
    /// <summary>The gradient g of the surrogate objective.</summary>
    Gradient,

    /// <summary>The natural gradient F⁻¹g, where F is the Fisher matrix.</summary>
    Natural,
}

/// <summary>The rule for the length of a step.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<StepLength>))]
public enum StepLength
{
    /// <summary>The step is the learning rate times the direction. It is not checked.</summary>
    Fixed,

    /// <summary>
    /// The step reaches the edge of the trust region. A line search then shortens it until the surrogate improves within the trust region.
    /// </summary>
    TrustRegion,
}

/// <summary>The method by which the critic is fitted to the returns.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<CriticMethod>))]
public enum CriticMethod
{
    /// <summary>Adam on minibatches.</summary>
    Adam,

    /// <summary>Gauss–Newton steps within a trust region.</summary>
    GaussNewton,
}

/// <summary>The distribution of continuous actions, which lie in a box.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<ActionDistributionKind>))]
public enum ActionDistributionKind
{
    /// <summary>
    /// A normal distribution for each coordinate, whose standard deviation is the same for all observations. An action outside the box is
    /// clipped to it.
    /// </summary>
    Gaussian,

    /// <summary>
    /// A normal distribution for each coordinate, whose standard deviation depends on the observation. An action outside the box is clipped
    /// to it.
    /// </summary>
    StateDependentGaussian,

    /// <summary>
    /// The tanh of a normally distributed number for each coordinate, in half-widths of the box. The standard deviation of that number is the
    /// same for all observations.
    /// </summary>
    SquashedGaussian,

    /// <summary>A Beta distribution between the bounds of each coordinate.</summary>
    Beta,
}

/// <summary>The activation function of hidden layers.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<Activation>))]
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

    /// <summary>x for x &gt; 0, eˣ − 1 otherwise</summary>
    Elu,

    /// <summary>log(1 + eˣ)</summary>
    Softplus,

    /// <summary>x / (1 + e⁻ˣ), also called SiLU</summary>
    Swish,
}

/// <summary>
/// All options of training. If a value is out of its range, the start of training throws an <see cref="ArgumentOutOfRangeException"/>
/// that gives the name of the option, the value and the range.
/// </summary>
/// <remarks>
/// The documented defaults apply to environments of your own. Each environment of the library has tuned options instead, which
/// <c>Trpo.For("Pendulum-v1").Options</c> returns. System.Text.Json reads and writes options, and Microsoft.Extensions.Configuration binds
/// them: <c>configuration.GetSection("Training").Get&lt;TrainingOptions&gt;()</c>.
/// </remarks>
[JsonNumberHandling(JsonNumberHandling.AllowNamedFloatingPointLiterals)]
public sealed record TrainingOptions
{
    /// <summary>
    /// The seed of all random numbers. The same options, environment and seed give the same training, bit for bit. Default 0; any number.
    /// </summary>
    public long Seed { get; init; }

    /// <summary>
    /// The number of environment steps after which training ends, to within one step of each environment and of each branch. Default
    /// 100000; at least 1.
    /// </summary>
    public long TotalSteps { get; init; } = 100_000;

    /// <summary>
    /// Training ends early when the mean return of the last 100 finished episodes reaches this value. Default null, which never ends
    /// training early; a finite number.
    /// </summary>
    public double? StopAtReturn { get; init; }

    /// <summary>
    /// The maximum number of threads. Results do not depend on it. Default: one for each processor; an integer in [1, 1024].
    /// <see cref="EffectiveThreads"/> is the number of threads that are used.
    /// </summary>
    public int Threads { get; init; } = Math.Min(System.Environment.ProcessorCount, 1024);

    /// <summary>
    /// The number of threads that training uses: <see cref="Threads"/>, but at most the number of processors. A rollout uses at most one
    /// thread for each environment.
    /// </summary>
    public int EffectiveThreads => Parallel.effective(Threads);

    /// <summary>
    /// The number of environments whose steps are waited for at the same time, each on a thread of its own, even if there are fewer
    /// processors. It is for environments that mostly wait, for example for another process. Results do not depend on it. Default null, for
    /// environments that compute: then <see cref="EffectiveThreads"/> step at the same time. Those of
    /// <see cref="Trpo.ForAsync{TEnvironment}"/> are then all awaited at the same time, as many as there are <see cref="Environments"/>. An
    /// integer in [1, 1024].
    /// </summary>
    public int? InFlight { get; init; }

    /// <summary>The number of environments that are stepped side by side. Default 8; an integer in [1, 65536].</summary>
    public int Environments { get; init; }

    /// <summary>The number of steps of each environment in one iteration. Default 128; an integer in [1, 10000000].</summary>
    public int Horizon { get; init; }

    /// <summary>The discount factor γ of future rewards. Default 0.99; a number in [0, 1].</summary>
    public double Gamma { get; init; }

    /// <summary>
    /// λ of generalised advantage estimation (GAE): the trade-off between bias and variance of the advantages. Default 0.95; a number in
    /// [0, 1].
    /// </summary>
    public double Lambda { get; init; }

    /// <summary>
    /// The number of actions that are tried from the state of each environment after <see cref="Horizon"/> steps (the vine of the TRPO
    /// paper). The policy is then improved on these branches only, and not on the steps before. Default 0, which tries none; 0, or an
    /// integer in [2, 1000]. An environment of your own reaches that state by playing its episode again for each action, so branches suit
    /// short episodes and fast environments.
    /// </summary>
    public int Branches { get; init; }

    /// <summary>
    /// The maximum number of steps of a branch, used if there are <see cref="Branches"/>. Default 100; an integer in [1, 10000000].
    /// </summary>
    public int BranchSteps { get; init; }

    /// <summary>
    /// The share of the environments whose rows the policy's improvement does not see, so that they can certify it
    /// (<see cref="IterationReport.Certificate"/>). 0 holds out none, and more needs at least 2 environments. Default 0; a number in [0, 1).
    /// </summary>
    public double HeldOut { get; init; }

    /// <summary>
    /// The hidden layers of the policy as text, such as <c>conv 16 3x3 stride 1 relu; flatten; dense 128 relu</c>. If it is empty, <see cref="Hidden"/> and
    /// <see cref="Activation"/> describe the layers. Default empty; nothing, or at most 1000 layers with semicolons between, and no number above 65536:
    /// dense UNITS ACTIVATION | conv FILTERS HEIGHTxWIDTH stride STRIDE ACTIVATION | pool max HEIGHTxWIDTH stride STRIDE | pool average
    /// HEIGHTxWIDTH stride STRIDE | layernorm | gru UNITS | lstm UNITS | flatten | parts { NAME: LAYER; …; NAME: LAYER; … }, where words in capitals are positive integers and ACTIVATION is tanh | relu |
    /// sigmoid | elu | softplus | swish | identity.
    /// </summary>
    public string Architecture
    {
        get;
        init => field = value ?? "";
    } = "";

    /// <summary>
    /// The number of units of each hidden layer of the policy, used if <see cref="Architecture"/> is empty; an empty list means no hidden layers. Default [64, 64]; integers in
    /// [1, 65536]. Null stands for the default and is the value in new options, because a configuration binder would append to a list.
    /// </summary>
    public IReadOnlyList<int>? Hidden
    {
        get;
        init => field = value is null ? null : ValueList.Of(value);
    }

    /// <summary>The activation function of the policy's hidden layers. Default Tanh.</summary>
    public Activation Activation { get; init; }

    /// <summary>
    /// The distribution of actions in a box; other actions have none to choose. Default Gaussian. SquashedGaussian and Beta need two finite
    /// bounds in each coordinate.
    /// </summary>
    public ActionDistributionKind Distribution { get; init; }

    /// <summary>
    /// The initial log σ of a Gaussian policy, in the unit of the action or, with <see cref="ScaleActions"/>, in units of half the action's
    /// range. Default 0; a number in [-20, 5].
    /// </summary>
    public double InitialLogSigma { get; init; }

    /// <summary>
    /// How the policy is improved on a batch: by a single step, which is TRPO with the defaults of <see cref="Direction"/> and
    /// <see cref="Step"/>, or by PPO. Default SingleStep.
    /// </summary>
    public PolicyRule Rule { get; init; }

    /// <summary>The direction of a policy step. Default Natural.</summary>
    public StepDirection Direction { get; init; }

    /// <summary>The rule for the length of a policy step. Default TrustRegion.</summary>
    public StepLength Step { get; init; }

    /// <summary>
    /// The radius δ of the trust region: the maximum mean KL(old ‖ new) of a step, in nats. Default 0.01; a number in (0, ∞).
    /// </summary>
    public double Delta { get; init; }

    /// <summary>
    /// The number of environment steps after which <see cref="Delta"/> is halved, exponentially; 0 keeps it constant. Default 0; an integer
    /// in [0, 2147483647].
    /// </summary>
    public int DeltaHalfLife { get; init; }

    /// <summary>
    /// The power of the gradient's signal share by which <see cref="Delta"/> is multiplied. The share says how far two halves of the batch
    /// agree on the gradient, so steps become short where a batch has only noise: 2 shortens a step by the share. 0 keeps
    /// <see cref="Delta"/>. Default 0; a number in [0, 4].
    /// </summary>
    public double DeltaShrinkage { get; init; }

    /// <summary>
    /// The number of environment steps of earlier training of the policy to start from. <see cref="DeltaHalfLife"/>,
    /// <see cref="LearningRateHalfLife"/> and <see cref="EntropyHalfLife"/> count them too. Default 0; an integer in [0, 2147483647].
    /// </summary>
    public int PreviousSteps { get; init; }

    /// <summary>
    /// The factor of the direction in a fixed step. Good values are about 1 for the gradient and 0.3 for the natural gradient. Default
    /// 0.01; a number in (0, ∞).
    /// </summary>
    public double LearningRate { get; init; }

    /// <summary>
    /// ε of PPO's clipped surrogate, used if <see cref="Rule"/> is Ppo: how far the ratio of the new and the old probability of an action may
    /// leave 1 before its row stops to gain. Default 0.2; a number in (0, ∞).
    /// </summary>
    public double ClipRange { get; init; }

    /// <summary>
    /// The number of passes over the batch in one iteration, used if <see cref="Rule"/> is Ppo. Default 10; an integer in [1, 10000].
    /// </summary>
    public int Epochs { get; init; }

    /// <summary>
    /// The number of rows of a minibatch, used if <see cref="Rule"/> is Ppo. If the policy has memory, a minibatch has whole sequences, of
    /// about so many rows. Default 64; an integer in [1, 10000000].
    /// </summary>
    public int MinibatchSize { get; init; }

    /// <summary>The learning rate of Adam, used if <see cref="Rule"/> is Ppo. Default 0.001; a number in (0, ∞).</summary>
    public double PpoLearningRate { get; init; }

    /// <summary>
    /// The mean KL(old ‖ new) of a minibatch, in nats, above which PPO ends the improvement of an iteration before its last epoch, used if
    /// <see cref="Rule"/> is Ppo; 0 never ends it. Default 0; a number in [0, 1000].
    /// </summary>
    public double TargetKl { get; init; }

    /// <summary>
    /// The number of environment steps after which <see cref="LearningRate"/> and <see cref="PpoLearningRate"/> are halved, exponentially; 0
    /// keeps them constant. Default 0; an integer in [0, 2147483647].
    /// </summary>
    public int LearningRateHalfLife { get; init; }

    /// <summary>
    /// The coefficient of the policy's mean entropy (in nats) in the surrogate objective. It keeps a policy exploring. Default 0; a number
    /// in [0, 1000].
    /// </summary>
    public double EntropyBonus { get; init; }

    /// <summary>
    /// The number of environment steps after which <see cref="EntropyBonus"/> is halved, exponentially; 0 keeps it constant. Default 0; an
    /// integer in [0, 2147483647].
    /// </summary>
    public int EntropyHalfLife { get; init; }

    /// <summary>
    /// The damping that is added to the diagonal of the Fisher matrix when the direction is computed. Default 0.1; a number in
    /// [0, 1000000].
    /// </summary>
    public double Damping { get; init; }

    /// <summary>
    /// Whether the damping also shortens the step. If false, the length is that at which the mean KL, to second order, is
    /// <see cref="Delta"/>. Default false.
    /// </summary>
    public bool DampedLength { get; init; }

    /// <summary>The fraction of the batch that Fisher-vector products use. Default 1; a number in (0, 1].</summary>
    public double FisherFraction { get; init; }

    /// <summary>The maximum number of conjugate-gradient iterations. Default 10; an integer in [1, 10000].</summary>
    public int CgIterations { get; init; }

    /// <summary>
    /// The relative residual at which conjugate gradient stops, for the policy and for the critic. Default 1E-05; a number in [0, 1].
    /// </summary>
    public double CgTolerance { get; init; }

    /// <summary>
    /// The maximum number of step lengths that a line search tries, for the policy and for the critic. Default 10; an integer in [1, 1000].
    /// </summary>
    public int LineSearchTries { get; init; }

    /// <summary>
    /// The factor by which a line search shortens the step for each further try, for the policy and for the critic. Default 0.8; a number
    /// in (0, 1).
    /// </summary>
    public double LineSearchRatio { get; init; }

    /// <summary>The method by which the critic is fitted. Default GaussNewton.</summary>
    public CriticMethod Critic { get; init; }

    /// <summary>
    /// The hidden layers of the critic, in the form of <see cref="Architecture"/>. If it is empty, <see cref="CriticHidden"/> and
    /// <see cref="CriticActivation"/> describe the layers. Default empty; nothing, or at most 1000 layers with semicolons between, and no number above 65536:
    /// dense UNITS ACTIVATION | conv FILTERS HEIGHTxWIDTH stride STRIDE ACTIVATION | pool max HEIGHTxWIDTH stride STRIDE | pool average
    /// HEIGHTxWIDTH stride STRIDE | layernorm | gru UNITS | lstm UNITS | flatten | parts { NAME: LAYER; …; NAME: LAYER; … }, where words in capitals are positive integers and ACTIVATION is tanh | relu |
    /// sigmoid | elu | softplus | swish | identity.
    /// </summary>
    public string CriticArchitecture
    {
        get;
        init => field = value ?? "";
    } = "";

    /// <summary>
    /// The number of units of each hidden layer of the critic, used if <see cref="CriticArchitecture"/> is empty; an empty list means no hidden layers. Default [64, 64]; integers in
    /// [1, 65536]. Null stands for the default, as in <see cref="Hidden"/>.
    /// </summary>
    public IReadOnlyList<int>? CriticHidden
    {
        get;
        init => field = value is null ? null : ValueList.Of(value);
    }

    /// <summary>The activation function of the critic's hidden layers. Default Tanh.</summary>
    public Activation CriticActivation { get; init; }

    /// <summary>The learning rate of Adam, used if <see cref="Critic"/> is Adam. Default 0.001; a number in (0, ∞).</summary>
    public double CriticLearningRate { get; init; }

    /// <summary>
    /// The number of passes of Adam over the batch, used if <see cref="Critic"/> is Adam. Default 10; an integer in [1, 10000].
    /// </summary>
    public int CriticEpochs { get; init; }

    /// <summary>
    /// The number of rows of a minibatch of Adam, used if <see cref="Critic"/> is Adam. Default 128; an integer in [1, 10000000].
    /// </summary>
    public int CriticBatchSize { get; init; }

    /// <summary>
    /// The radius of the critic's trust region: the maximum of the mean squared change of V, divided by twice the mean squared error.
    /// Default 0.1; a number in (0, ∞).
    /// </summary>
    public double CriticDelta { get; init; }

    /// <summary>The maximum number of Gauss–Newton steps of the critic in one iteration. Default 5; an integer in [1, 1000].</summary>
    public int CriticSteps { get; init; }

    /// <summary>
    /// The damping that is added to the diagonal of the critic's Gauss–Newton matrix. Default 0.01; a number in [0, 1000000].
    /// </summary>
    public double CriticDamping { get; init; }

    /// <summary>
    /// The maximum number of conjugate-gradient iterations of one Gauss–Newton step. Default 10; an integer in [1, 10000].
    /// </summary>
    public int CriticCgIterations { get; init; }

    /// <summary>
    /// The number of steps of one episode after which training warns that the episode may never end. Default 100000; an integer in
    /// [1, 2147483647].
    /// </summary>
    public int LongEpisode { get; init; }

    /// <summary>
    /// Whether observations are standardised with their running mean and variance. Useful if their numbers are of very different sizes.
    /// Default true.
    /// </summary>
    public bool NormaliseObservations { get; init; }

    /// <summary>
    /// Whether the critic's network estimates standardised returns, so that the unit of the reward does not matter. Default true.
    /// </summary>
    public bool NormaliseReturns { get; init; }

    /// <summary>
    /// Whether advantages are standardised over each batch. If false, they are divided by the standard deviation of the returns with
    /// <see cref="NormaliseReturns"/>, and otherwise stay in the unit of the reward. Default true.
    /// </summary>
    public bool NormaliseAdvantages { get; init; }

    /// <summary>
    /// Whether the policy's network outputs bounded continuous actions in a scaled form, where 0 is the middle of the range and ±1 are the
    /// bounds. Then an action of 0 … 2000 W is as easy to learn as one of −1 … 1. Default true.
    /// </summary>
    public bool ScaleActions { get; init; }

    /// <summary>Creates options with the default values.</summary>
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
        HeldOut = core.HeldOut;
        Architecture = ArchitectureModule.print(core.Architecture);
        Hidden = [.. core.Hidden];
        Activation = (Activation)core.Activation;
        Distribution = KindOf(core.Distribution);
        InitialLogSigma = core.InitialLogSigma;
        Rule = core.Rule.IsPpo ? PolicyRule.Ppo : PolicyRule.SingleStep;
        Direction = core.Direction.IsGradient ? StepDirection.Gradient : StepDirection.Natural;
        Step = core.Step.IsFixed ? StepLength.Fixed : StepLength.TrustRegion;
        Delta = core.Delta;
        DeltaHalfLife = core.DeltaHalfLife;
        DeltaShrinkage = core.DeltaShrinkage;
        PreviousSteps = core.PreviousSteps;
        LearningRate = core.LearningRate;
        ClipRange = core.ClipRange;
        Epochs = core.Epochs;
        MinibatchSize = core.MinibatchSize;
        PpoLearningRate = core.PpoLearningRate;
        TargetKl = core.TargetKl;
        LearningRateHalfLife = core.LearningRateHalfLife;
        EntropyBonus = core.EntropyBonus;
        EntropyHalfLife = core.EntropyHalfLife;
        Damping = core.Damping;
        DampedLength = core.DampedLength;
        FisherFraction = core.FisherFraction;
        CgIterations = core.CgIterations;
        CgTolerance = core.CgTolerance;
        LineSearchTries = core.LineSearchTries;
        LineSearchRatio = core.LineSearchRatio;
        Critic = core.Critic.IsAdam ? CriticMethod.Adam : CriticMethod.GaussNewton;
        CriticArchitecture = ArchitectureModule.print(core.CriticArchitecture);
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

    /// <summary>Returns the configuration of the pipeline, or throws an exception that names the option that is out of its range.</summary>
    internal Core.Configuration Validated()
    {
        Require(TotalSteps >= 1, nameof(TotalSteps), TotalSteps, "it must be at least 1");
        Require(Threads is >= 1 and <= 1024, nameof(Threads), Threads, "it must be in [1, 1024]");
        Require(InFlight is null or (>= 1 and <= 1024), nameof(InFlight), InFlight, "it must be in [1, 1024]");
        Require(
            StopAtReturn is null || double.IsFinite(StopAtReturn.Value),
            nameof(StopAtReturn),
            StopAtReturn,
            "it must be finite"
        );
        Require(Enum.IsDefined(Distribution), nameof(Distribution), Distribution, "there is no such distribution");
        Require(Enum.IsDefined(Rule), nameof(Rule), Rule, "there is no such rule");
        Require(Enum.IsDefined(Direction), nameof(Direction), Direction, "there is no such direction");
        Require(Enum.IsDefined(Step), nameof(Step), Step, "there is no such step");
        Require(Enum.IsDefined(Critic), nameof(Critic), Critic, "there is no such method");
        return ConfigurationModule.validate(ToCore()).OrThrow();
    }

    /// <summary>Returns the configuration of the pipeline, or throws an exception for an architecture that cannot be read.</summary>
    internal Core.Configuration ToCore()
    {
        Core.Configuration core = ConfigurationModule
            .set("architecture", Architecture, ToCoreWithoutLayers())
            .OrThrow();
        return ConfigurationModule.set("criticArchitecture", CriticArchitecture, core).OrThrow();
    }

    private static ActionDistributionKind KindOf(DistributionKind core) =>
        core.IsStateDependentGaussian ? ActionDistributionKind.StateDependentGaussian
        : core.IsSquashedGaussian ? ActionDistributionKind.SquashedGaussian
        : core.IsBeta ? ActionDistributionKind.Beta
        : ActionDistributionKind.Gaussian;

    private static DistributionKind ToCore(ActionDistributionKind kind) =>
        kind switch
        {
            ActionDistributionKind.StateDependentGaussian => DistributionKind.StateDependentGaussian,
            ActionDistributionKind.SquashedGaussian => DistributionKind.SquashedGaussian,
            ActionDistributionKind.Beta => DistributionKind.Beta,
            _ => DistributionKind.Gaussian,
        };

    private Core.Configuration ToCoreWithoutLayers() =>
        new(
            environments: Environments,
            horizon: Horizon,
            gamma: Gamma,
            lambda: Lambda,
            branches: Branches,
            branchSteps: BranchSteps,
            heldOut: HeldOut,
            architecture: FSharpList<Core.HiddenLayer>.Empty,
            hidden: Units(Hidden, ConfigurationModule.standard.Hidden),
            activation: (Kernels.Activation)Activation,
            distribution: ToCore(Distribution),
            initialLogSigma: InitialLogSigma,
            rule: Rule == PolicyRule.Ppo ? RuleKind.Ppo : RuleKind.SingleStep,
            direction: Direction == StepDirection.Gradient ? DirectionKind.Gradient : DirectionKind.Natural,
            step: Step == StepLength.Fixed ? StepKind.Fixed : StepKind.TrustRegion,
            delta: Delta,
            deltaHalfLife: DeltaHalfLife,
            deltaShrinkage: DeltaShrinkage,
            previousSteps: PreviousSteps,
            learningRate: LearningRate,
            clipRange: ClipRange,
            epochs: Epochs,
            minibatchSize: MinibatchSize,
            ppoLearningRate: PpoLearningRate,
            targetKl: TargetKl,
            learningRateHalfLife: LearningRateHalfLife,
            entropyBonus: EntropyBonus,
            entropyHalfLife: EntropyHalfLife,
            damping: Damping,
            dampedLength: DampedLength,
            fisherFraction: FisherFraction,
            cgIterations: CgIterations,
            cgTolerance: CgTolerance,
            lineSearchTries: LineSearchTries,
            lineSearchRatio: LineSearchRatio,
            critic: Critic == CriticMethod.Adam ? CriticKind.Adam : CriticKind.GaussNewton,
            criticArchitecture: FSharpList<Core.HiddenLayer>.Empty,
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

    /// <summary>Returns whether all options are equal.</summary>
    public bool Equals(TrainingOptions? other) =>
        other is not null
        && Seed == other.Seed
        && TotalSteps == other.TotalSteps
        && StopAtReturn == other.StopAtReturn
        && Threads == other.Threads
        && InFlight == other.InFlight
        && Architecture == other.Architecture
        && CriticArchitecture == other.CriticArchitecture
        && ToCoreWithoutLayers().Equals(other.ToCoreWithoutLayers());

    /// <inheritdoc/>
    public override int GetHashCode() =>
        HashCode.Combine(
            Seed,
            TotalSteps,
            StopAtReturn,
            HashCode.Combine(Threads, InFlight),
            Architecture,
            CriticArchitecture,
            ToCoreWithoutLayers()
        );

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
