using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>The beginning of everything: which environment is to be learned.</summary>
public static class Trpo
{
    /// <summary>A plan to train on an environment of the library (<c>CartPole-v1</c>, <c>Pendulum-v1</c>, …), with its tuned options.</summary>
    public static TrainingPlan For(string id) => new(LibraryEnvironment.Find(id));

    /// <summary>A plan to train on an environment of your own, with the standard options.</summary>
    /// <param name="factory">Makes an instance each time it is called; instances share nothing that changes.</param>
    /// <param name="name">What it is called in reports, errors and policies; the name of its class if this is null.</param>
    public static TrainingPlan For<TEnvironment>(Func<TEnvironment> factory, string? name = null)
        where TEnvironment : class, IEnvironment
    {
        ArgumentNullException.ThrowIfNull(factory);
        return new(new FactoryOfEnvironments(name, typeof(TEnvironment), factory));
    }
}

/// <summary>What is to be trained, and how: an immutable value. Each method that changes it gives another one.</summary>
public sealed class TrainingPlan
{
    private readonly EnvironmentSource source;
    private readonly Action<IterationReport>? report;
    private readonly Policy? first;

    internal TrainingPlan(EnvironmentSource source)
        : this(source, source.Preset, null, null) { }

    private TrainingPlan(
        EnvironmentSource source,
        TrainingOptions options,
        Action<IterationReport>? report,
        Policy? first
    )
    {
        this.source = source;
        this.report = report;
        this.first = first;
        Options = options;
    }

    /// <summary>The options.</summary>
    public TrainingOptions Options { get; }

    /// <summary>The name of the environment.</summary>
    public string Environment => source.Id;

    /// <summary>The same plan with other options: <c>.With(options => options with { Seed = 7 })</c>.</summary>
    public TrainingPlan With(Func<TrainingOptions, TrainingOptions> change)
    {
        ArgumentNullException.ThrowIfNull(change);
        TrainingOptions changed =
            change(Options) ?? throw new ArgumentException("The options became null.", nameof(change));
        return new(source, changed, report, first);
    }

    /// <summary>The same plan, whose episodes are truncated after so many steps.</summary>
    public TrainingPlan WithTimeLimit(int steps)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(steps, 1);
        return new(source with { Limit = steps }, Options, report, first);
    }

    /// <summary>The same plan, which begins with a trained policy instead of a new one. Its network is that of the policy.</summary>
    public TrainingPlan StartingFrom(Policy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        Core.SavedPolicy saved = policy.Saved;
        TrainingOptions options = Options with
        {
            Hidden = [.. saved.Architecture.Hidden],
            Activation = (Activation)saved.Architecture.Activation,
            NormaliseObservations = saved.Actor.Normaliser.IsStandardise,
            ScaleActions = saved.Actor.Policy.IsScaled,
        };
        return new(source, options, report, policy);
    }

    /// <summary>The same plan, which calls this after every iteration, on the thread that trains.</summary>
    public TrainingPlan OnIteration(Action<IterationReport> action)
    {
        ArgumentNullException.ThrowIfNull(action);
        return new(source, Options, report + action, first);
    }

    /// <summary>The same plan, which reports every iteration.</summary>
    public TrainingPlan ReportTo(IProgress<IterationReport> progress)
    {
        ArgumentNullException.ThrowIfNull(progress);
        return OnIteration(progress.Report);
    }

    /// <summary>Trains, on the calling thread and its helpers.</summary>
    /// <param name="cancellation">Ends training after the iteration at hand, with a result that can be used.</param>
    /// <exception cref="TrainingException">Training failed; the exception holds the last good state.</exception>
    /// <exception cref="ArgumentException">An option is out of its range, or does not fit the environment.</exception>
    public TrainingResult Train(CancellationToken cancellation = default)
    {
        Stopwatch clock = Stopwatch.StartNew();
        TrainingState state = Start();
        ImmutableArray<IterationReport>.Builder reports = ImmutableArray.CreateBuilder<IterationReport>();
        using Releasing releasing = new(() => state);
        using IEnumerator<TrainingStep> iterations = state.Iterations().GetEnumerator();
        StopReason? reason = null;
        while (reason is null)
        {
            reason =
                cancellation.IsCancellationRequested ? StopReason.Cancelled
                : state.HasReachedGoal ? StopReason.GoalReached
                : iterations.MoveNext() ? null
                : StopReason.StepsMade;
            if (reason is null)
            {
                state = iterations.Current.State;
                reports.Add(iterations.Current.Report);
                report?.Invoke(iterations.Current.Report);
            }
        }

        releasing.IsToBeTold = true;
        return new(state, reason.Value, reports.ToImmutable(), clock.Elapsed);
    }

    /// <summary>Trains on another thread.</summary>
    /// <inheritdoc cref="Train"/>
    public Task<TrainingResult> TrainAsync(CancellationToken cancellation = default) =>
        Task.Run(() => Train(cancellation), CancellationToken.None);

    /// <summary>
    /// The iterations as they are made, on another thread; whoever stops asking for them ends training. It ends at
    /// <see cref="TrainingOptions.TotalSteps"/> or <see cref="TrainingOptions.StopAtReturn"/>.
    /// </summary>
    /// <exception cref="OperationCanceledException">It was cancelled; the steps that were given stay good.</exception>
    public IAsyncEnumerable<TrainingStep> IterateAsync(CancellationToken cancellation = default) =>
        Iterate(cancellation);

    private async IAsyncEnumerable<TrainingStep> Iterate([EnumeratorCancellation] CancellationToken cancellation)
    {
        TrainingState state = Start();
        using Releasing releasing = new(() => state);
        using IEnumerator<TrainingStep> iterations = state.Iterations().GetEnumerator();
        while (!state.HasReachedGoal && await Task.Run(iterations.MoveNext, cancellation).ConfigureAwait(false))
        {
            state = iterations.Current.State;
            report?.Invoke(iterations.Current.Report);
            yield return iterations.Current;
        }

        releasing.IsToBeTold = true;
    }

    /// <summary>The state before the first iteration, for callers who own their loop.</summary>
    /// <exception cref="ArgumentException">An option is out of its range, or does not fit the environment.</exception>
    public TrainingState Start() => source.Open(new Starting(Options.Validated(), Options, first));

    /// <summary>Plays episodes with the most probable actions.</summary>
    /// <param name="policy">Who plays.</param>
    /// <param name="episodes">How many, at least 1.</param>
    /// <param name="seed">The seed of their chance.</param>
    /// <exception cref="EnvironmentException">The environment failed.</exception>
    /// <exception cref="TrainingException">An episode of a million steps had no end.</exception>
    public Scores Evaluate(Policy policy, int episodes = 100, long seed = 0)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentOutOfRangeException.ThrowIfLessThan(episodes, 1);
        return source.Open(new Evaluating(policy, episodes, seed, Options.Threads));
    }

    /// <summary>
    /// Plays some hundred random steps (2,000 at most), and says what will probably keep a policy from learning: observations of very
    /// different sizes or that never change, rewards that are always the same, episodes without an end, chance that does not come from
    /// the seed, … Nothing found is good.
    /// </summary>
    /// <param name="seed">The seed of the actions and of the episodes.</param>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    /// <exception cref="EnvironmentException">The environment could not be made.</exception>
    public IReadOnlyList<Finding> Check(long seed = 0) => source.Open(new Checking(Options.Validated(), seed));

    /// <summary>
    /// Releases the environments of a state when it is disposed of. What they throw then is told where nothing else has gone wrong.
    /// </summary>
    private sealed class Releasing(Func<TrainingState> state) : IDisposable
    {
        public bool IsToBeTold { get; set; }

        public void Dispose()
        {
            try
            {
                state().ReleaseEnvironments();
            }
            catch (TrainingException) when (!IsToBeTold) { }
        }
    }

    private sealed record Starting(Core.Configuration Configuration, TrainingOptions Options, Policy? First)
        : IOpenedEnvironment<TrainingState>
    {
        public TrainingState With<T>(Core.Environment<T> environment, Action release)
        {
            Core.Setup<T> setup = Training.setup(Options.Threads, Configuration, environment).OrThrow();
            Core.State<T> state = First is null
                ? Training.start(setup, Options.Seed)
                : Training.startFrom(setup, Options.Seed, First.Saved.Actor).OrThrow();
            return new TrainingState<T>(Options, setup, state, release);
        }
    }

    private sealed record Evaluating(Policy Policy, int Episodes, long Seed, int Threads) : IOpenedEnvironment<Scores>
    {
        public Scores With<T>(Core.Environment<T> environment, Action release)
        {
            try
            {
                Core.SavedPolicy saved = PolicyFile.requireFit("the policy", environment, Policy.Saved).OrThrow();
                return new(
                    Evaluation.run(Threads, environment, saved.Actor, Episodes, KeyModule.ofSeed(Seed)).OrThrow()
                );
            }
            finally
            {
                release();
            }
        }
    }
}
