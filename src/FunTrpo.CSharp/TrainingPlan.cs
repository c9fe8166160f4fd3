using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.FSharp.Core;
using static System.FormattableString;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>The entry point of the library: creates training plans.</summary>
public static class Trpo
{
    /// <summary>Creates a plan to train on an environment of the library, with its tuned options.</summary>
    /// <param name="id">The name of the environment, such as <c>CartPole-v1</c> or <c>Pendulum-v1</c>.</param>
    /// <exception cref="ArgumentException">The library has no environment of this name.</exception>
    public static TrainingPlan For(string id) => new(LibraryEnvironment.Find(id));

    /// <summary>Creates a plan to train on an environment of your own, with the default options.</summary>
    /// <param name="factory">
    /// Returns a new instance at each call. Instances must not share mutable state. The factory is never called by two threads at the same
    /// time, but the calls may come from different threads.
    /// </param>
    /// <param name="name">The environment's name in reports, errors and policies; null for the name of its class.</param>
    /// <param name="dispose">
    /// Whether training disposes of the instances that are <see cref="IDisposable"/>. Pass false if something else disposes of them, such
    /// as a dependency-injection container.
    /// </param>
    public static TrainingPlan For<TEnvironment>(Func<TEnvironment> factory, string? name = null, bool dispose = true)
        where TEnvironment : class, IEnvironment
    {
        ArgumentNullException.ThrowIfNull(factory);
        return new(new FactoryOfEnvironments(name, typeof(TEnvironment), factory, dispose));
    }
}

/// <summary>
/// An environment and the options to train on it. A plan is immutable: <see cref="With"/> and similar methods return a changed copy.
/// </summary>
public sealed class TrainingPlan
{
    private readonly EnvironmentSource source;
    private readonly Action<IterationReport>? report;
    private readonly Policy? first;
    private readonly TimeSpan patience;

    internal TrainingPlan(EnvironmentSource source)
        : this(source, source.Preset, null, null, TimeSpan.FromSeconds(30)) { }

    private TrainingPlan(
        EnvironmentSource source,
        TrainingOptions options,
        Action<IterationReport>? report,
        Policy? first,
        TimeSpan patience
    )
    {
        this.source = source;
        this.report = report;
        this.first = first;
        this.patience = patience;
        Options = options;
    }

    /// <summary>The options of training.</summary>
    public TrainingOptions Options { get; }

    /// <summary>The name of the environment.</summary>
    public string EnvironmentName => source.Id;

    /// <summary>Returns the plan with other options: <c>.With(options => options with { Seed = 7 })</c>.</summary>
    /// <param name="change">Returns the new options, given the old ones.</param>
    public TrainingPlan With(Func<TrainingOptions, TrainingOptions> change)
    {
        ArgumentNullException.ThrowIfNull(change);
        TrainingOptions changed =
            change(Options) ?? throw new ArgumentException("The options became null.", nameof(change));
        return new(source, changed, report, first, patience);
    }

    /// <summary>Returns the plan with a time limit: episodes are truncated after <paramref name="steps"/> steps.</summary>
    /// <param name="steps">The maximum number of steps of an episode, at least 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">The limit is less than 1.</exception>
    public TrainingPlan WithTimeLimit(int steps)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(steps, 1);
        return new(source with { Limit = steps }, Options, report, first, patience);
    }

    /// <summary>Returns the plan, but training starts from a trained policy instead of a new one.</summary>
    /// <remarks>
    /// The options <see cref="TrainingOptions.Architecture"/>, <see cref="TrainingOptions.Hidden"/>,
    /// <see cref="TrainingOptions.Activation"/>, <see cref="TrainingOptions.ScaleActions"/> and <see cref="TrainingOptions.NormaliseObservations"/> are taken from the policy, unless
    /// <see cref="With"/> has set them to another value than the environment's preset. If you set one of them, before or afterwards, and
    /// the policy has another value, <see cref="Start"/> throws an exception that names the option. It also throws if you set
    /// <see cref="TrainingOptions.InitialLogSigma"/>, which applies only to new policies.
    /// </remarks>
    public TrainingPlan StartingFrom(Policy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        TrainingOptions old = OptionsOf(first);
        TrainingOptions trained = OptionsOf(policy);
        bool isHiddenOld = Options.Hidden is null || Options.Hidden.Equals(old.Hidden);
        TrainingOptions options = Options with
        {
            Architecture = Options.Architecture == old.Architecture ? trained.Architecture : Options.Architecture,
            Hidden = isHiddenOld ? trained.Hidden : Options.Hidden,
            Activation = Unset(old.Activation, Options.Activation, trained.Activation),
            ScaleActions = Unset(old.ScaleActions, Options.ScaleActions, trained.ScaleActions),
            NormaliseObservations = Unset(
                old.NormaliseObservations,
                Options.NormaliseObservations,
                trained.NormaliseObservations
            ),
        };
        return new(source, options, report, policy, patience);

        static T Unset<T>(T old, T set, T trained)
            where T : struct => set.Equals(old) ? trained : set;
    }

    /// <summary>
    /// Returns the plan with a callback that is called after every iteration, on the training thread. If the callback throws, training ends
    /// with a <see cref="TrainingException"/> that holds the state after that iteration.
    /// </summary>
    public TrainingPlan OnIteration(Action<IterationReport> action)
    {
        ArgumentNullException.ThrowIfNull(action);
        return new(source, Options, report + action, first, patience);
    }

    /// <summary>Returns the plan with a progress object that receives a report after every iteration.</summary>
    public TrainingPlan ReportTo(IProgress<IterationReport> progress)
    {
        ArgumentNullException.ThrowIfNull(progress);
        return OnIteration(progress.Report);
    }

    /// <summary>
    /// Returns the plan with another time that environments have to answer after a cancellation, 30 seconds by default. If one of them does
    /// not return from a call within this time, the asynchronous methods end without it. Its thread waits on.
    /// </summary>
    /// <remarks>
    /// <see cref="TrainAsync(CancellationToken)"/> then returns the last complete iteration, with <see cref="StopReason.Abandoned"/>. The
    /// streams and <see cref="EvaluateAsync(Policy, int, long, CancellationToken)"/> throw the <see cref="OperationCanceledException"/>. The
    /// environments of training are not released, because one of them is in use: call
    /// <see cref="TrainingState.ReleaseEnvironments"/> when it is safe.
    /// </remarks>
    /// <param name="time">The time, at least zero; <see cref="Timeout.InfiniteTimeSpan"/> to wait for ever.</param>
    /// <exception cref="ArgumentOutOfRangeException">The time is negative, or longer than 49 days.</exception>
    public TrainingPlan WithCancellationTimeout(TimeSpan time)
    {
        if (time != Timeout.InfiniteTimeSpan)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(time, TimeSpan.Zero);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(time, TimeSpan.FromMilliseconds(uint.MaxValue - 1));
        }

        return new(source, Options, report, first, time);
    }

    /// <summary>Trains and returns the result. The calling thread and worker threads do the work.</summary>
    /// <param name="cancellation">
    /// Ends training after the current iteration; the result is still usable. If an environment observes the token and throws an
    /// <see cref="OperationCanceledException"/>, the result is that of the previous iteration.
    /// </param>
    /// <exception cref="TrainingException">
    /// Training or a callback of <see cref="OnIteration"/> failed. The exception holds the last good state.
    /// </exception>
    /// <exception cref="ArgumentException">An option is out of its range, or does not fit the environment.</exception>
    public TrainingResult Train(CancellationToken cancellation = default) => TrainFrom(Start(), cancellation);

    /// <summary>
    /// Continues training from a state, such as one that <see cref="TrainingState.Load"/> has read, with the options of this plan, and
    /// returns the result. The seed of the state stays.
    /// </summary>
    /// <param name="state">The state to continue from. Its environments are disposed of in the end.</param>
    /// <inheritdoc cref="Train(CancellationToken)"/>
    /// <param name="cancellation"/>
    public TrainingResult Train(TrainingState state, CancellationToken cancellation = default) =>
        TrainFrom(Continued(state), cancellation);

    /// <summary>Returns the state with the options of this plan, but its own seed.</summary>
    private TrainingState Continued(TrainingState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        return state.With(options => Options with { Seed = options.Seed });
    }

    private TrainingResult TrainFrom(TrainingState state, CancellationToken cancellation) =>
        new TrainingRun(state, Notify, cancellation).Train();

    /// <summary>Trains on another thread and returns the result.</summary>
    /// <remarks>
    /// If an environment does not answer within the time of <see cref="WithCancellationTimeout"/> after a cancellation, training is
    /// abandoned: the result is that of the last complete iteration.
    /// </remarks>
    /// <inheritdoc cref="Train(CancellationToken)"/>
    public Task<TrainingResult> TrainAsync(CancellationToken cancellation = default) =>
        TrainFromAsync(Start, cancellation);

    /// <summary>Continues training from a state on another thread and returns the result.</summary>
    /// <remarks><inheritdoc cref="TrainAsync(CancellationToken)" path="/remarks"/></remarks>
    /// <inheritdoc cref="Train(TrainingState, CancellationToken)"/>
    public Task<TrainingResult> TrainAsync(TrainingState state, CancellationToken cancellation = default) =>
        TrainFromAsync(() => Continued(state), cancellation);

    private async Task<TrainingResult> TrainFromAsync(Func<TrainingState> start, CancellationToken cancellation)
    {
        TrainingState state = await OrAbandoned(start, cancellation).ConfigureAwait(false);
        TrainingRun run = new(state, Notify, cancellation);
        Task<TrainingResult> training = Task.Run(run.Train, CancellationToken.None);
        return await Patience.WaitAsync(training, patience, cancellation).ConfigureAwait(false)
            ? await training.ConfigureAwait(false)
            : run.Abandon();
    }

    /// <summary>
    /// Returns the result of the work, which runs on another thread. Throws an <see cref="OperationCanceledException"/> if the work does not
    /// end in time after a cancellation.
    /// </summary>
    private async Task<T> OrAbandoned<T>(Func<T> work, CancellationToken cancellation)
    {
        Task<T> running = Task.Run(work, CancellationToken.None);
        return await Patience.WaitAsync(running, patience, cancellation).ConfigureAwait(false)
            ? await running.ConfigureAwait(false)
            : throw DidNotAnswer(cancellation);
    }

    private OperationCanceledException DidNotAnswer(CancellationToken cancellation) =>
        new(
            Invariant($"{EnvironmentName} did not answer within {patience.TotalSeconds} s after the cancellation."),
            cancellation
        );

    /// <summary>
    /// Trains on another thread and returns each iteration as soon as it is complete. Training ends at
    /// <see cref="TrainingOptions.TotalSteps"/> or <see cref="TrainingOptions.StopAtReturn"/>, or when you stop enumerating.
    /// </summary>
    /// <param name="cancellation">Ends training with an <see cref="OperationCanceledException"/>.</param>
    /// <exception cref="OperationCanceledException">Training was cancelled. The iterations already returned stay valid.</exception>
    /// <exception cref="TrainingException">
    /// Training or a callback of <see cref="OnIteration"/> failed. The exception holds the last good state.
    /// </exception>
    /// <exception cref="ArgumentException">An option is out of its range, or does not fit the environment.</exception>
    public IAsyncEnumerable<TrainingStep> IterateAsync(CancellationToken cancellation = default) =>
        Iterate(Start, cancellation);

    /// <summary>
    /// Continues training from a state on another thread and returns each iteration as soon as it is complete.
    /// </summary>
    /// <param name="state">The state to continue from. Its environments are disposed of in the end.</param>
    /// <inheritdoc cref="IterateAsync(CancellationToken)"/>
    /// <param name="cancellation"/>
    public IAsyncEnumerable<TrainingStep> IterateAsync(TrainingState state, CancellationToken cancellation = default) =>
        Iterate(() => Continued(state), cancellation);

    private async IAsyncEnumerable<TrainingStep> Iterate(
        Func<TrainingState> start,
        [EnumeratorCancellation] CancellationToken cancellation
    )
    {
        cancellation.ThrowIfCancellationRequested();
        TrainingState state = start();
        IEnumerator<TrainingStep> iterations = state.Iterations().GetEnumerator();
        using Releasing releasing = new(iterations, () => state);
        while (!state.HasReachedGoal && await Advance().ConfigureAwait(false))
        {
            yield return iterations.Current;
        }

        releasing.Throws = true;

        async Task<bool> Advance()
        {
            try
            {
                cancellation.ThrowIfCancellationRequested();
                Task<bool> moving = Task.Run(iterations.MoveNext, CancellationToken.None);
                if (!await Patience.WaitAsync(moving, patience, cancellation).ConfigureAwait(false))
                {
                    releasing.IsAbandoned = true;
                    throw DidNotAnswer(cancellation);
                }

                if (!await moving.ConfigureAwait(false))
                {
                    return false;
                }

                state = iterations.Current.State;
                Notify(iterations.Current);
                return true;
            }
            catch (TrainingException error) when (TrainingRun.IsCancelled(error, cancellation))
            {
                throw new OperationCanceledException(error.Message, error, cancellation);
            }
        }
    }

    private void Notify(TrainingStep step)
    {
        try
        {
            report?.Invoke(step.Report);
        }
        catch (Exception error)
        {
            throw new TrainingException(
                $"Training was ended by what was to be called after iteration {step.Report.Iteration}: {error.Message}",
                step.State,
                error
            );
        }
    }

    /// <summary>
    /// Returns the state before the first iteration, for a training loop of your own. Dispose of the environments with
    /// <see cref="TrainingState.ReleaseEnvironments"/>.
    /// </summary>
    /// <exception cref="ArgumentException">An option is out of its range, or does not fit the environment.</exception>
    /// <exception cref="EnvironmentException">The environment could not be made.</exception>
    public TrainingState Start()
    {
        Core.Configuration configuration = Options.Validated();
        if (first is not null && Options.InitialLogSigma != source.Preset.InitialLogSigma)
        {
            throw new ArgumentOutOfRangeException(
                nameof(TrainingOptions.InitialLogSigma),
                Options.InitialLogSigma,
                "InitialLogSigma is for new policies: the policy to start from has its own."
            );
        }

        return source.Open(new Starting(configuration, Options, first));
    }

    /// <summary>Returns the state of a checkpoint.</summary>
    internal TrainingState Load(string path) => source.Open(new Loading(Options.Validated(), Options, path));

    /// <summary>
    /// Returns the environment's preset, with the options that define the policy taken from <paramref name="policy"/>. The options that are
    /// no fields of the configuration have their default values.
    /// </summary>
    private TrainingOptions OptionsOf(Policy? policy) =>
        policy is null ? source.Preset : new(ConfigurationModule.ofActor(policy.Saved.Actor, source.Preset.ToCore()));

    /// <summary>Plays episodes with the most probable actions of a policy and returns their returns and lengths.</summary>
    /// <param name="policy">The policy to evaluate.</param>
    /// <param name="episodes">The number of episodes, at least 1.</param>
    /// <param name="seed">The seed of the episodes. Evaluations with the same seed start the same episodes.</param>
    /// <param name="cancellation">Ends the evaluation before the next step of an episode. An environment may observe the token too.</param>
    /// <exception cref="ArgumentException">The policy does not fit the environment, or there is less than 1 episode.</exception>
    /// <exception cref="EnvironmentException">The environment failed.</exception>
    /// <exception cref="TrainingException">An episode did not end within a million steps.</exception>
    /// <exception cref="OperationCanceledException">The evaluation was cancelled.</exception>
    public Scores Evaluate(Policy policy, int episodes = 100, long seed = 0, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(policy);
        return Evaluate(new Evaluating(policy, null, episodes, seed, Options.Threads, cancellation));
    }

    /// <summary>
    /// Plays episodes with a rule of your own in place of a policy and returns their returns and lengths. Several threads call the rule at
    /// the same time, unless <see cref="TrainingOptions.Threads"/> is 1. An exception of the rule is thrown unchanged.
    /// </summary>
    /// <param name="rule">
    /// Returns the action for an observation: <c>seen => seen[0] > 0 ? 1 : 0</c>, or <c>seen => new[] { -seen[0] }</c>. The observation is
    /// valid only during the call. Numbers outside a box are clipped to it, as the actions of a policy are.
    /// </param>
    /// <param name="episodes">The number of episodes, at least 1.</param>
    /// <param name="seed">The seed of the episodes. Evaluations with the same seed start the same episodes.</param>
    /// <param name="cancellation">Ends the evaluation before the next step of an episode. An environment may observe the token too.</param>
    /// <exception cref="ArgumentException">The rule returned a value that is not an action, or there is less than 1 episode.</exception>
    /// <inheritdoc cref="Evaluate(Policy, int, long, CancellationToken)"/>
    public Scores Evaluate(
        Func<ReadOnlySpan<float>, AgentAction> rule,
        int episodes = 100,
        long seed = 0,
        CancellationToken cancellation = default
    )
    {
        ArgumentNullException.ThrowIfNull(rule);
        return Evaluate(new Evaluating(null, rule, episodes, seed, Options.Threads, cancellation));
    }

    /// <summary>
    /// Plays episodes with the most probable actions of a policy, on another thread, and returns their returns and lengths.
    /// </summary>
    /// <inheritdoc cref="Evaluate(Policy, int, long, CancellationToken)"/>
    public Task<Scores> EvaluateAsync(
        Policy policy,
        int episodes = 100,
        long seed = 0,
        CancellationToken cancellation = default
    ) => OrAbandoned(() => Evaluate(policy, episodes, seed, cancellation), cancellation);

    /// <summary>
    /// Plays episodes with a rule of your own in place of a policy, on another thread, and returns their returns and lengths.
    /// </summary>
    /// <inheritdoc cref="Evaluate(Func{ReadOnlySpan{float}, AgentAction}, int, long, CancellationToken)"/>
    public Task<Scores> EvaluateAsync(
        Func<ReadOnlySpan<float>, AgentAction> rule,
        int episodes = 100,
        long seed = 0,
        CancellationToken cancellation = default
    ) => OrAbandoned(() => Evaluate(rule, episodes, seed, cancellation), cancellation);

    private Scores Evaluate(Evaluating evaluation)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(evaluation.Episodes, 1, "episodes");
        return source.Open(evaluation);
    }

    /// <summary>
    /// Plays some hundred random steps (at most 2,000) and returns the probable problems of the environment: observations of very different
    /// sizes or that never change, rewards that are always the same, episodes that do not end, randomness that does not come from the seed,
    /// and others. An empty list is good.
    /// </summary>
    /// <param name="seed">The seed of the actions and of the episodes.</param>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    /// <exception cref="EnvironmentException">The environment could not be made.</exception>
    public IReadOnlyList<Finding> Check(long seed = 0) => source.Open(new Checking(Options.Validated(), seed));

    /// <summary>
    /// Ends the iterations and releases the environments of a state on disposal, unless training has been abandoned. An exception of the
    /// release is ignored unless <see cref="Throws"/> is set, so that it does not hide an earlier exception.
    /// </summary>
    private sealed class Releasing(IEnumerator<TrainingStep> iterations, Func<TrainingState> state) : IDisposable
    {
        public bool Throws { get; set; }

        public bool IsAbandoned { get; set; }

        public void Dispose()
        {
            if (IsAbandoned)
            {
                return;
            }

            try
            {
                iterations.Dispose();
                state().ReleaseEnvironments();
            }
            catch (TrainingException) when (!Throws) { }
        }
    }

    private sealed record Starting(Core.Configuration Configuration, TrainingOptions Options, Policy? First)
        : IOpenedEnvironment<TrainingState>
    {
        public TrainingState With<T>(Core.Environment<T> environment, Action release) =>
            Release.IfItFails(() => Begin(environment, release), release);

        private TrainingState<T> Begin<T>(Core.Environment<T> environment, Action release)
        {
            Core.Setup<T> setup = Setup.create(Options.Threads, Configuration, environment).OrThrow();
            Core.TrainingState<T> state = First is null
                ? Core.TrainingState.start(setup, Options.Seed)
                : Core.TrainingState.startFrom(setup, Options.Seed, First.Saved.Actor).OrThrow();
            return new(Options, setup, state, release);
        }
    }

    private sealed record Loading(Core.Configuration Configuration, TrainingOptions Options, string Path)
        : IOpenedEnvironment<TrainingState>
    {
        public TrainingState With<T>(Core.Environment<T> environment, Action release) =>
            Release.IfItFails(() => Load(environment, release), release);

        private TrainingState<T> Load<T>(Core.Environment<T> environment, Action release)
        {
            Core.Setup<T> setup = Setup.create(Options.Threads, Configuration, environment).OrThrow();
            Core.Checkpoint<T> checkpoint = Core.Checkpoint.load(Path, setup).OrThrow();
            long seed = SavedSeed.Of(checkpoint.Note) ?? Options.Seed;
            return new(Options with { Seed = seed }, setup, checkpoint.State, release);
        }
    }

    /// <summary>An evaluation: episodes that a policy or a rule plays.</summary>
    private sealed record Evaluating(
        Policy? Policy,
        Func<ReadOnlySpan<float>, AgentAction>? Rule,
        int Episodes,
        long Seed,
        int Threads,
        CancellationToken Cancellation
    ) : IOpenedEnvironment<Scores>
    {
        public Scores With<T>(Core.Environment<T> environment, Action release) =>
            Release.Afterwards(() => Play(environment), release);

        private Scores Play<T>(Core.Environment<T> environment)
        {
            Core.Key key = KeyModule.ofSeed(Seed);
            if (Policy is null)
            {
                Converter<Core.Vector, Core.Vector> choose = new RuleOf(Rule!, new(environment.ActionSpace)).Choose;
                var rule = FSharpFunc<Core.Vector, Core.Vector>.FromConverter(choose);
                return new(
                    Evaluation.playCancellable(Cancellation, Threads, environment, rule, Episodes, key).OrThrow()
                );
            }

            Core.Actor actor = PolicyFile.requireFit("the policy", environment, Policy.Saved).OrThrow().Actor;
            return new(Evaluation.runCancellable(Cancellation, Threads, environment, actor, Episodes, key).OrThrow());
        }
    }

    /// <summary>A caller's rule, with a check that it returns actions of the space.</summary>
    private sealed record RuleOf(Func<ReadOnlySpan<float>, AgentAction> Rule, Space Space)
    {
        public Core.Vector Choose(Core.Vector observation)
        {
            AgentAction action = Rule(observation.Span);
            float[] numbers = action.ToNumbers();
            bool isAction =
                Space.Kind == SpaceKind.Box
                    ? numbers.Length == Space.Width && !Array.Exists(numbers, float.IsNaN)
                    : Space.Contains(numbers);
            return isAction
                ? VectorModule.ofArray(numbers)
                : throw new ArgumentException(
                    $"The rule gave {ValueList.Print(numbers)}, and actions are {Space}.",
                    nameof(Rule)
                );
        }
    }
}
