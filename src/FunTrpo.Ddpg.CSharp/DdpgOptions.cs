using System;
using System.Globalization;
using Core = FunTrpo;

namespace FunTrpo.Ddpg.CSharp;

// In here, so that Policy and others are those of the facade, and not those of the pipeline.
using FunTrpo.CSharp;

/// <summary>The options of training with DDPG. An option out of its range is refused when training starts.</summary>
public sealed record DdpgOptions
{
    /// <summary>Creates the default options.</summary>
    public DdpgOptions()
        : this(DdpgSettingsModule.standard) { }

    internal DdpgOptions(DdpgSettings settings)
    {
        Actor = Core.ArchitectureModule.print(settings.Actor);
        Critic = Core.ArchitectureModule.print(settings.Critic);
        ActorLearningRate = settings.ActorLearningRate;
        CriticLearningRate = settings.CriticLearningRate;
        Gamma = settings.Gamma;
        Tau = settings.Tau;
        BatchSize = settings.BatchSize;
        Capacity = settings.Capacity;
        Warmup = settings.Warmup;
        UpdateEvery = settings.UpdateEvery;
        Updates = settings.Updates;
        Noise = settings.Noise.Deviation;
        FinalNoise = settings.Noise.FinalDeviation;
        NoiseSteps = settings.Noise.Steps;
        NoiseCorrelation = settings.Noise.Correlation;
        RewardScale = settings.RewardScale;
        NormaliseObservations = settings.NormaliseObservations;
        IterationSteps = settings.IterationSteps;
        LogSigma = settings.LogSigma;
    }

    /// <summary>The seed of all randomness.</summary>
    public long Seed { get; init; }

    /// <summary>The number of environment steps.</summary>
    public long TotalSteps { get; init; } = 100_000;

    /// <summary>The number of threads. The results do not depend on it.</summary>
    public int Threads { get; init; } = 1;

    /// <summary>The hidden layers of the policy: <c>dense 64 relu; dense 64 relu</c>.</summary>
    public string Actor { get; init; }

    /// <summary>The hidden layers of the critic, which reads observation and action.</summary>
    public string Critic { get; init; }

    /// <summary>The learning rate of the policy.</summary>
    public double ActorLearningRate { get; init; }

    /// <summary>The learning rate of the critic.</summary>
    public double CriticLearningRate { get; init; }

    /// <summary>The discount of future rewards, γ.</summary>
    public double Gamma { get; init; }

    /// <summary>The part of the networks that their targets take over in an update, τ.</summary>
    public double Tau { get; init; }

    /// <summary>The number of experiences of an update.</summary>
    public int BatchSize { get; init; }

    /// <summary>The number of experiences that the replay memory keeps.</summary>
    public int Capacity { get; init; }

    /// <summary>The number of environment steps before the first update.</summary>
    public int Warmup { get; init; }

    /// <summary>The number of environment steps between updates.</summary>
    public int UpdateEvery { get; init; }

    /// <summary>The number of updates after these steps.</summary>
    public int Updates { get; init; }

    /// <summary>The standard deviation of the noise of actions at the start, in half-widths of their box.</summary>
    public double Noise { get; init; }

    /// <summary>The standard deviation of the noise after <see cref="NoiseSteps"/>.</summary>
    public double FinalNoise { get; init; }

    /// <summary>
    /// The number of environment steps in which the noise moves to <see cref="FinalNoise"/>; 0 for <see cref="FinalNoise"/> from the start.
    /// </summary>
    public int NoiseSteps { get; init; }

    /// <summary>
    /// The correlation of the noise of successive steps: 0 for independent Gaussian noise, e^(−θ) for an Ornstein–Uhlenbeck process.
    /// </summary>
    public double NoiseCorrelation { get; init; }

    /// <summary>The factor of rewards before they enter the critic.</summary>
    public double RewardScale { get; init; }

    /// <summary>Whether observations are standardised by the moments of those seen before the iteration.</summary>
    public bool NormaliseObservations { get; init; }

    /// <summary>The number of environment steps of an iteration, after which training reports.</summary>
    public int IterationSteps { get; init; }

    /// <summary>log σ of the Gaussian of the saved policy, whose mode alone is learned.</summary>
    public double LogSigma { get; init; }

    /// <summary>Returns the settings of the pipeline.</summary>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    internal DdpgSettings ToSettings()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(TotalSteps, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(Threads, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(Threads, 1024);
        (string Name, string Text)[] fields =
        [
            ("actor", Actor),
            ("critic", Critic),
            ("actorLearningRate", Text(ActorLearningRate)),
            ("criticLearningRate", Text(CriticLearningRate)),
            ("gamma", Text(Gamma)),
            ("tau", Text(Tau)),
            ("batchSize", Text(BatchSize)),
            ("capacity", Text(Capacity)),
            ("warmup", Text(Warmup)),
            ("updateEvery", Text(UpdateEvery)),
            ("updates", Text(Updates)),
            ("noise", Text(Noise)),
            ("finalNoise", Text(FinalNoise)),
            ("noiseSteps", Text(NoiseSteps)),
            ("noiseCorrelation", Text(NoiseCorrelation)),
            ("rewardScale", Text(RewardScale)),
            ("normaliseObservations", NormaliseObservations ? "true" : "false"),
            ("iterationSteps", Text(IterationSteps)),
            ("logSigma", Text(LogSigma)),
        ];
        DdpgSettings settings = DdpgSettingsModule.standard;
        foreach ((string name, string text) in fields)
        {
            settings = DdpgSettingsModule.set(name, text, settings).OrThrow();
        }

        return settings;
    }

    private static string Text(IFormattable number) => number.ToString(null, CultureInfo.InvariantCulture);
}
