using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.Extensions.Logging;
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

    /// <summary>Creates a plan to train on an environment of your own whose answers are awaited, with the default options.</summary>
    /// <remarks>
    /// As many environments are awaited at the same time as there are <see cref="TrainingOptions.Environments"/>, unless
    /// <see cref="TrainingOptions.InFlight"/> says how many.
    /// </remarks>
    /// <inheritdoc cref="For{TEnvironment}(Func{TEnvironment}, string?, bool)"/>
    public static TrainingPlan ForAsync<TEnvironment>(
        Func<TEnvironment> factory,
        string? name = null,
        bool dispose = true
    )
        where TEnvironment : class, IAsyncEnvironment
    {
        ArgumentNullException.ThrowIfNull(factory);
        Type type = typeof(TEnvironment);
        return new(
            new FactoryOfEnvironments(name ?? type.Name, type, AwaitedEnvironment.Factory(factory), dispose)
            {
                IsAwaited = true,
            }
        );
    }

    /// <summary>Creates a plan to train on environments of your own that are stepped several in one call, with the default options.</summary>
    /// <remarks>
    /// A thread of training steps all of its environments in one call. To step several batches at the same time, say with
    /// <see cref="TrainingOptions.InFlight"/> how many.
    /// </remarks>
    /// <param name="factory">
    /// Returns a new batch at each call, which it makes when all environments of the last batch are in use. Batches must not share mutable
    /// state.
    /// </param>
    /// <param name="name">The environment's name in reports, errors and policies; null for the name of its class.</param>
    /// <param name="dispose">Whether training disposes of the batches that are <see cref="IDisposable"/>.</param>
    public static TrainingPlan ForBatch<TEnvironment>(
        Func<TEnvironment> factory,
        string? name = null,
        bool dispose = true
    )
        where TEnvironment : class, IBatchEnvironment
    {
        ArgumentNullException.ThrowIfNull(factory);
        return new(new FactoryOfBatches(name ?? typeof(TEnvironment).Name, factory, dispose));
    }
}

/// <summary>
/// An environment and the options to train on it. A plan is immutable: <see cref="With"/> and similar methods return a changed copy.
/// </summary>
public sealed class TrainingPlan
{
    private readonly Parts parts;

    internal TrainingPlan(EnvironmentSource source)
        : this(new Parts(source, source.Preset)) { }

    private TrainingPlan(Parts parts) => this.parts = parts;

    /// <summary>What a plan consists of.</summary>
    private sealed record Parts(EnvironmentSource Source, TrainingOptions Options)
    {
        public Action<IterationReport>? Report { get; init; }

        public Action<TrainingEvaluation>? Evaluated { get; init; }

        /// <summary>The policy to start from.</summary>
        public Policy? First { get; init; }

        public Core.EvaluationPlan? Evaluation { get; init; }

        public ILogger? Logger { get; init; }

        /// <summary>The processes that step the environments; null for this one.</summary>
        public Core.ShareWorkers? Workers { get; init; }

        /// <summary>The time that environments have to answer after a cancellation.</summary>
        public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(30);
    }

    /// <summary>The source of the environments, with the number of them that are stepped at the same time.</summary>
    internal EnvironmentSource Source =>
        parts.Source with
        {
            InFlight = Options.InFlight ?? (parts.Source.IsAwaited ? Math.Clamp(Options.Environments, 1, 1024) : null),
        };

    /// <summary>How the policy is evaluated while it trains; null if it is not.</summary>
    internal Core.EvaluationPlan? EvaluationPlan => parts.Evaluation;

    /// <summary>The policy that training starts from; null for a new one.</summary>
    internal Policy? First => parts.First;

    /// <summary>The options of training.</summary>
    public TrainingOptions Options => parts.Options;

    /// <summary>The name of the environment.</summary>
    public string EnvironmentName => Source.Id;

    /// <summary>Returns the plan with other options: <c>.With(options => options with { Seed = 7 })</c>.</summary>
    /// <param name="change">Returns the new options, given the old ones.</param>
    public TrainingPlan With(Func<TrainingOptions, TrainingOptions> change)
    {
        ArgumentNullException.ThrowIfNull(change);
        TrainingOptions changed =
            change(Options) ?? throw new ArgumentException("The options became null.", nameof(change));
        return new(parts with { Options = changed });
    }

    /// <summary>Returns the plan with a time limit: episodes are truncated after <paramref name="steps"/> steps.</summary>
    /// <param name="steps">The maximum number of steps of an episode, at least 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">The limit is less than 1.</exception>
    public TrainingPlan WithTimeLimit(int steps)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(steps, 1);
        return new(parts with { Source = parts.Source with { Limit = steps } });
    }

    /// <summary>
    /// Returns the plan, but a policy sees the last <paramref name="frames"/> observations together, oldest first: a memory of a fixed length.
    /// </summary>
    /// <remarks>
    /// Boxes are joined along their last axis, so a picture has <paramref name="frames"/> times as many channels. Choices and switches follow one
    /// another. Whoever plays the policy elsewhere joins observations in the same way. Before there are so many observations, the first one of
    /// the episode stands for those before it.
    /// </remarks>
    /// <param name="frames">The number of observations, at least 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">The number is less than 1.</exception>
    public TrainingPlan WithFrameStack(int frames)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(frames, 1);
        return new(parts with { Source = parts.Source with { Frames = frames } });
    }

    /// <summary>
    /// Returns the plan, but observations have three parts: <c>observation</c>, <c>lastAction</c> and <c>lastReward</c>. Before the first step, the
    /// action is that of zeros and the reward is 0. Policies with memory (<c>gru</c>, <c>lstm</c>) may need them.
    /// </summary>
    public TrainingPlan WithLastAction() => new(parts with { Source = parts.Source with { HasLastAction = true } });

    /// <summary>Returns the plan with rewards that are clipped to [−<paramref name="bound"/>, <paramref name="bound"/>].</summary>
    /// <param name="bound">The bound, above 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">The bound is not above 0.</exception>
    public TrainingPlan WithRewardClip(double bound)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bound);
        return new(parts with { Source = parts.Source with { RewardBound = bound } });
    }

    /// <summary>
    /// Returns the plan, but an environment of your own that throws an exception is replaced by a fresh one, which plays its episode again:
    /// at most so many times in a training or an evaluation. The result is that of environments that have not failed.
    /// </summary>
    /// <remarks>
    /// An <see cref="OperationCanceledException"/> is not a failure. After the last time, and without this method, a failure ends training
    /// with an <see cref="EnvironmentException"/>.
    /// </remarks>
    /// <param name="times">The number of environments that may fail, at least 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">The number is negative.</exception>
    public TrainingPlan RestartFailed(int times)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(times);
        return new(parts with { Source = parts.Source with { Restarts = times } });
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
        TrainingOptions old = OptionsOf(parts.First);
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
        return new(parts with { Options = options, First = policy });

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
        return new(parts with { Report = parts.Report + action });
    }

    /// <summary>Returns the plan with a progress object that receives a report after every iteration.</summary>
    public TrainingPlan ReportTo(IProgress<IterationReport> progress)
    {
        ArgumentNullException.ThrowIfNull(progress);
        return OnIteration(progress.Report);
    }

    /// <summary>
    /// Returns the plan with evaluations during training: each plays whole episodes, once with the most probable actions and once with
    /// drawn ones. The result then has the policy with the best evaluation (<see cref="TrainingResult.Best"/>).
    /// </summary>
    /// <remarks>
    /// Evaluations have their own random numbers, and begin with the same states each time. Training does not notice them: the parameters
    /// are the same bits as without. Training that continues from a saved state begins to compare anew.
    /// </remarks>
    /// <param name="steps">The number of environment steps from one evaluation to the next, at least 1.</param>
    /// <param name="episodes">The number of episodes of an evaluation, at least 1.</param>
    /// <param name="stopAt">
    /// Training ends when the most probable actions have at least this mean return, with <see cref="StopReason.GoalReached"/>.
    /// </param>
    /// <param name="tries">
    /// Training ends after this many evaluations in a row that are not better than the best one, with
    /// <see cref="StopReason.NoImprovement"/>; at least 1.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">A number is less than 1, or the goal is not finite.</exception>
    public TrainingPlan EvaluateEvery(long steps, int episodes = 20, double? stopAt = null, int? tries = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(steps, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(episodes, 1);
        if (stopAt is double goal && !double.IsFinite(goal))
        {
            throw new ArgumentOutOfRangeException(nameof(stopAt), goal, "It must be a finite number.");
        }

        if (tries is int patience)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(patience, 1, nameof(tries));
        }

        return new(
            parts with
            {
                Evaluation = new Core.EvaluationPlan(
                    steps,
                    episodes,
                    OptionModule.OfNullable(stopAt),
                    OptionModule.OfNullable(tries)
                ),
            }
        );
    }

    /// <summary>
    /// Returns the plan with a callback that is called after every evaluation of <see cref="EvaluateEvery"/>, on the training thread.
    /// </summary>
    public TrainingPlan OnEvaluation(Action<TrainingEvaluation> action)
    {
        ArgumentNullException.ThrowIfNull(action);
        return new(parts with { Evaluated = parts.Evaluated + action });
    }

    /// <summary>
    /// Returns the plan with a logger. The beginning and the end of training and evaluations have the level Information, iterations have
    /// Debug, and warnings have Warning. Exceptions are thrown, not logged.
    /// </summary>
    /// <remarks>
    /// The properties of a log record are named as those of <see cref="IterationReport"/>. A training whose iterations you enumerate ends in
    /// the log only if you do not leave the loop early.
    /// </remarks>
    public TrainingPlan WithLogger(ILogger logger)
    {
        ArgumentNullException.ThrowIfNull(logger);
        return new(parts with { Logger = logger });
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

        return new(parts with { Patience = time });
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
    /// <exception cref="OperationCanceledException">Training was cancelled before the environments had begun.</exception>
    public TrainingResult Train(CancellationToken cancellation = default) =>
        TrainFrom(Cancelling.By(cancellation, Start), cancellation);

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
        return state.With(options => Options with { Seed = options.Seed }).SteppedBy(parts.Workers);
    }

    private TrainingResult TrainFrom(TrainingState state, CancellationToken cancellation) =>
        Ended(Begun(state, cancellation).Train());

    /// <summary>Returns a training that has not made an iteration.</summary>
    private TrainingRun Begun(TrainingState state, CancellationToken cancellation)
    {
        parts.Logger?.Begins(EnvironmentName, state.Steps, state.Options.Seed);
        return new(state, NewEvaluator(state), Notify, cancellation);
    }

    private TrainingResult Ended(TrainingResult result)
    {
        parts.Logger?.Ends(result.State, result.Reason, result.Elapsed);
        return result;
    }

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
        TrainingRun run = Begun(state, cancellation);
        Task<TrainingResult> training = Task.Run(run.Train, CancellationToken.None);
        return Ended(
            await Patience.WaitAsync(training, parts.Patience, cancellation).ConfigureAwait(false)
                ? await training.ConfigureAwait(false)
                : run.Abandon()
        );
    }

    /// <summary>
    /// Returns the result of the work, which runs on another thread. Throws an <see cref="OperationCanceledException"/> if the work does not
    /// end in time after a cancellation.
    /// </summary>
    private async Task<T> OrAbandoned<T>(Func<T> work, CancellationToken cancellation)
    {
        Task<T> running = Task.Run(() => Cancelling.By(cancellation, work), CancellationToken.None);
        return await Patience.WaitAsync(running, parts.Patience, cancellation).ConfigureAwait(false)
            ? await running.ConfigureAwait(false)
            : throw DidNotAnswer(cancellation);
    }

    private OperationCanceledException DidNotAnswer(CancellationToken cancellation) =>
        new(
            Invariant(
                $"{EnvironmentName} did not answer within {parts.Patience.TotalSeconds} s after the cancellation."
            ),
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
        TrainingState state = Cancelling.By(cancellation, start);
        parts.Logger?.Begins(EnvironmentName, state.Steps, state.Options.Seed);
        Stopwatch clock = Stopwatch.StartNew();
        Evaluator evaluator = NewEvaluator(state);
        IEnumerator<TrainingStep> iterations = state.Iterations().GetEnumerator();
        TrainingStep? step = null;
        using Releasing releasing = new(iterations, () => state);
        while (!state.HasReachedGoal && evaluator.Ends is null && await Advance().ConfigureAwait(false))
        {
            yield return step!;
        }

        StopReason reason = state.HasReachedGoal
            ? StopReason.GoalReached
            : evaluator.Ends ?? StopReason.TotalStepsReached;
        parts.Logger?.Ends(state, reason, clock.Elapsed);
        releasing.Throws = true;

        bool Move()
        {
            bool hasMoved = iterations.MoveNext();
            step = hasMoved ? evaluator.After(iterations.Current) : null;
            return hasMoved;
        }

        async Task<bool> Advance()
        {
            try
            {
                cancellation.ThrowIfCancellationRequested();
                Task<bool> moving = Task.Run(() => Cancelling.By(cancellation, Move), CancellationToken.None);
                if (!await Patience.WaitAsync(moving, parts.Patience, cancellation).ConfigureAwait(false))
                {
                    releasing.IsAbandoned = true;
                    throw DidNotAnswer(cancellation);
                }

                if (!await moving.ConfigureAwait(false))
                {
                    return false;
                }

                state = step!.State;
                Notify(step);
                return true;
            }
            catch (TrainingException error) when (TrainingRun.IsCancelled(error, cancellation))
            {
                throw new OperationCanceledException(error.Message, error, cancellation);
            }
        }
    }

    private Evaluator NewEvaluator(TrainingState state) => new(parts.Evaluation, state);

    private void Notify(TrainingStep step)
    {
        try
        {
            parts.Logger?.Advances(step);
            parts.Report?.Invoke(step.Report);
            if (step.Evaluation is not null)
            {
                parts.Evaluated?.Invoke(step.Evaluation);
            }
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
        if (parts.First is not null && Options.InitialLogSigma != Source.Preset.InitialLogSigma)
        {
            throw new ArgumentOutOfRangeException(
                nameof(TrainingOptions.InitialLogSigma),
                Options.InitialLogSigma,
                "InitialLogSigma is for new policies: the policy to start from has its own."
            );
        }

        return Source.Open(new Starting(configuration, Options, parts.First, parts.Workers));
    }

    /// <summary>Returns the state of a checkpoint.</summary>
    internal TrainingState Load(string path) =>
        Source.Open(new Loading(Options.Validated(), Options, path, parts.Workers));

    /// <summary>Returns the plan, but rollouts are stepped by other processes. The result does not change.</summary>
    internal TrainingPlan SteppedBy(Core.ShareWorkers workers) => new(parts with { Workers = workers });

    /// <summary>Returns what steps shares of the rollouts of this plan for other processes, on the threads of its options.</summary>
    /// <exception cref="ArgumentException">The states of the environment cannot be sent.</exception>
    /// <exception cref="EnvironmentException">The environment could not be made.</exception>
    internal Core.ShareRunner OpenRunner() => Source.Open(new Sharing(Options.Threads));

    /// <summary>
    /// Returns the environment's preset, with the options that define the policy taken from <paramref name="policy"/>. The options that are
    /// no fields of the configuration have their default values.
    /// </summary>
    private TrainingOptions OptionsOf(Policy? policy) =>
        policy is null ? Source.Preset : new(ConfigurationModule.ofActor(policy.Saved.Actor, Source.Preset.ToCore()));

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
    /// valid only during the call. Numbers outside a box are clipped to it, as the actions of a policy are. With action masks
    /// (<see cref="IMaskedEnvironment"/>, <see cref="IMaskedBatchEnvironment"/>), a number for each action follows after the observation, 1 if it is legal and 0 if not.
    /// </param>
    /// <param name="episodes">The number of episodes, at least 1.</param>
    /// <param name="seed">The seed of the episodes. Evaluations with the same seed start the same episodes.</param>
    /// <param name="cancellation">Ends the evaluation before the next step of an episode. An environment may observe the token too.</param>
    /// <exception cref="ArgumentException">The rule returned a value that is not a legal action, or there is less than 1 episode.</exception>
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
        return Cancelling.By(evaluation.Cancellation, () => Source.Open(evaluation));
    }

    /// <summary>
    /// Plays some hundred random steps (at most 2,000) and returns the probable problems of the environment: observations of very different
    /// sizes or that never change, rewards that are always the same, episodes that do not end, randomness that does not come from the seed,
    /// and others. An empty list is good.
    /// </summary>
    /// <param name="seed">The seed of the actions and of the episodes.</param>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    /// <exception cref="EnvironmentException">The environment could not be made.</exception>
    public IReadOnlyList<Finding> Check(long seed = 0) => Source.Open(new Checking(Options.Validated(), seed));

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

    private static Core.Setup<T> SetupOf<T>(
        int threads,
        Core.Configuration configuration,
        Core.Environment<T> environment,
        Core.ShareWorkers? workers
    ) => TrainingState<T>.SetupSteppedBy(workers, Setup.create(threads, configuration, environment).OrThrow());

    /// <summary>Opens the environment to step shares of rollouts until the runner is disposed of.</summary>
    private sealed record Sharing(int Threads) : IOpenedEnvironment<Core.ShareRunner>
    {
        public Core.ShareRunner With<T>(Core.Environment<T> environment, Action release) =>
            Release.IfItFails(
                () => new ReleasingRunner(Core.RolloutShare.runner(Threads, environment).OrThrow(), release),
                release
            );
    }

    /// <summary>A runner that releases its environment on disposal.</summary>
    private sealed class ReleasingRunner(Core.ShareRunner runner, Action release) : Core.ShareRunner
    {
        public byte[] Answer(byte[] task) => runner.Answer(task);

        public void Dispose()
        {
            runner.Dispose();
            release();
        }
    }

    private sealed record Starting(
        Core.Configuration Configuration,
        TrainingOptions Options,
        Policy? First,
        Core.ShareWorkers? Workers
    ) : IOpenedEnvironment<TrainingState>
    {
        public TrainingState With<T>(Core.Environment<T> environment, Action release) =>
            Release.IfItFails(() => Begin(environment, release), release);

        private TrainingState<T> Begin<T>(Core.Environment<T> environment, Action release)
        {
            Core.Setup<T> setup = SetupOf(Options.Threads, Configuration, environment, Workers);
            Core.TrainingState<T> state = First is null
                ? Core.TrainingState.start(setup, Options.Seed)
                : Core.TrainingState.startFrom(setup, Options.Seed, First.Saved.Actor).OrThrow();
            Cancelling.ThrowIfItIs(OptionModule.ToObj(state.Failure));
            return new(Options, setup, state, release);
        }
    }

    private sealed record Loading(
        Core.Configuration Configuration,
        TrainingOptions Options,
        string Path,
        Core.ShareWorkers? Workers
    ) : IOpenedEnvironment<TrainingState>
    {
        public TrainingState With<T>(Core.Environment<T> environment, Action release) =>
            Release.IfItFails(() => Load(environment, release), release);

        private TrainingState<T> Load<T>(Core.Environment<T> environment, Action release)
        {
            Core.Setup<T> setup = SetupOf(Options.Threads, Configuration, environment, Workers);
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
