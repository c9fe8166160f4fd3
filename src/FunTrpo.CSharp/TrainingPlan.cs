using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.FSharp.Core;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>The beginning of everything: which environment is to be learned.</summary>
public static class Trpo
{
    /// <summary>A plan to train on an environment of the library (<c>CartPole-v1</c>, <c>Pendulum-v1</c>, …), with its tuned options.</summary>
    public static TrainingPlan For(string id) => new(LibraryEnvironment.Find(id));

    /// <summary>A plan to train on an environment of your own, with the standard options.</summary>
    /// <param name="factory">
    /// Makes an instance each time it is called; instances share nothing that changes. It is called by one thread at a time, but not
    /// always by the same one.
    /// </param>
    /// <param name="name">What it is called in reports, errors and policies; the name of its class if this is null.</param>
    /// <param name="dispose">
    /// Whether training disposes of the instances that are <see cref="IDisposable"/>. Say no where somebody else does: a container of
    /// services that makes them, for instance.
    /// </param>
    public static TrainingPlan For<TEnvironment>(Func<TEnvironment> factory, string? name = null, bool dispose = true)
        where TEnvironment : class, IEnvironment
    {
        ArgumentNullException.ThrowIfNull(factory);
        return new(new FactoryOfEnvironments(name, typeof(TEnvironment), factory, dispose));
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
    public string EnvironmentName => source.Id;

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

    /// <summary>The same plan, which begins with a trained policy instead of a new one.</summary>
    /// <remarks>
    /// What makes a policy what it is comes from there: <see cref="TrainingOptions.Hidden"/>, <see cref="TrainingOptions.Activation"/>,
    /// <see cref="TrainingOptions.ScaleActions"/> and <see cref="TrainingOptions.NormaliseObservations"/>, where <see cref="With"/> has not
    /// set them to something else than the environment's preset. Where it has, before or afterwards, and it is not what the policy has,
    /// the start is refused by the name of the option; and so it is if <see cref="TrainingOptions.InitialLogSigma"/> was set, which is for
    /// new policies.
    /// </remarks>
    public TrainingPlan StartingFrom(Policy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        TrainingOptions old = OptionsOf(first);
        TrainingOptions its = OptionsOf(policy);
        bool isHiddenOld = Options.Hidden is null || Options.Hidden.Equals(old.Hidden);
        TrainingOptions options = Options with
        {
            Hidden = isHiddenOld ? its.Hidden : Options.Hidden,
            Activation = Unset(old.Activation, Options.Activation, its.Activation),
            ScaleActions = Unset(old.ScaleActions, Options.ScaleActions, its.ScaleActions),
            NormaliseObservations = Unset(
                old.NormaliseObservations,
                Options.NormaliseObservations,
                its.NormaliseObservations
            ),
        };
        return new(source, options, report, policy);

        static T Unset<T>(T old, T set, T its)
            where T : struct => set.Equals(old) ? its : set;
    }

    /// <summary>
    /// The same plan, which calls this after every iteration, on the thread that trains. What it throws ends training as a
    /// <see cref="TrainingException"/>, with the state after that iteration.
    /// </summary>
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
    /// <param name="cancellation">
    /// Ends training after the iteration at hand, with a result that can be used. An environment may observe it too: where it throws an
    /// <see cref="OperationCanceledException"/>, the result is that of the iteration before.
    /// </param>
    /// <exception cref="TrainingException">
    /// Training failed, or what <see cref="OnIteration"/> calls did; the exception holds the last good state.
    /// </exception>
    /// <exception cref="ArgumentException">An option is out of its range, or does not fit the environment.</exception>
    public TrainingResult Train(CancellationToken cancellation = default)
    {
        Stopwatch clock = Stopwatch.StartNew();
        TrainingState state = Start();
        List<IterationReport> reports = [];
        return Release.Afterwards(Run, () => state.ReleaseEnvironments());

        TrainingResult Run()
        {
            using IEnumerator<TrainingStep> iterations = state.Iterations().GetEnumerator();
            StopReason? reason = null;
            while (reason is null)
            {
                reason =
                    cancellation.IsCancellationRequested ? StopReason.Cancelled
                    : state.HasReachedGoal ? StopReason.GoalReached
                    : Advance(iterations);
            }

            return new(state, reason.Value, reports, clock.Elapsed);
        }

        StopReason? Advance(IEnumerator<TrainingStep> iterations)
        {
            try
            {
                if (!iterations.MoveNext())
                {
                    return StopReason.StepsMade;
                }

                state = iterations.Current.State;
                reports.Add(iterations.Current.Report);
                Tell(iterations.Current);
                return null;
            }
            catch (TrainingException error) when (IsCancelled(error, cancellation))
            {
                return StopReason.Cancelled;
            }
        }
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
        while (!state.HasReachedGoal && await Advance().ConfigureAwait(false))
        {
            yield return iterations.Current;
        }

        releasing.IsToBeTold = true;

        async Task<bool> Advance()
        {
            try
            {
                if (!await Task.Run(iterations.MoveNext, cancellation).ConfigureAwait(false))
                {
                    return false;
                }

                state = iterations.Current.State;
                Tell(iterations.Current);
                return true;
            }
            catch (TrainingException error) when (IsCancelled(error, cancellation))
            {
                throw new OperationCanceledException(error.Message, error, cancellation);
            }
        }
    }

    private void Tell(TrainingStep step)
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

    /// <summary>Whether somebody who observes the same token, an environment for instance, noticed first that it was cancelled.</summary>
    private static bool IsCancelled(TrainingException error, CancellationToken cancellation) =>
        cancellation.IsCancellationRequested && error.InnerException is OperationCanceledException;

    /// <summary>The state before the first iteration, for callers who own their loop.</summary>
    /// <exception cref="ArgumentException">An option is out of its range, or does not fit the environment.</exception>
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

    /// <summary>The environment's options, with those that a policy is made by, if there is one.</summary>
    private TrainingOptions OptionsOf(Policy? policy) =>
        policy is null
            ? source.Preset
            : source.Preset with
            {
                Hidden = [.. policy.Saved.Architecture.Hidden],
                Activation = (Activation)policy.Saved.Architecture.Activation,
                NormaliseObservations = policy.Saved.Actor.Normaliser.IsStandardise,
                ScaleActions = policy.Saved.Actor.Policy.IsScaled,
            };

    /// <summary>Plays episodes with the most probable actions.</summary>
    /// <param name="policy">Who plays.</param>
    /// <param name="episodes">How many, at least 1.</param>
    /// <param name="seed">The seed of their chance: all who play with the same one meet the same episodes.</param>
    /// <param name="cancellation">Ends it before the next step of an episode. An environment may observe it, too.</param>
    /// <exception cref="EnvironmentException">The environment failed.</exception>
    /// <exception cref="TrainingException">An episode of a million steps had no end.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public Scores Evaluate(Policy policy, int episodes = 100, long seed = 0, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(policy);
        return Evaluate(new Evaluating(policy, null, episodes, seed, Options.Threads, cancellation));
    }

    /// <summary>
    /// Plays the same episodes with a rule of your own in place of a policy. Several threads ask it at a time, unless
    /// <see cref="TrainingOptions.Threads"/> is 1; what it throws comes back as it is.
    /// </summary>
    /// <param name="rule">
    /// Gives the action for an observation, which it may read during the call: <c>seen => seen[0] > 0 ? 1 : 0</c>, or
    /// <c>seen => new[] { -seen[0] }</c>. Numbers beyond a box are clipped to it, as the actions of a policy are.
    /// </param>
    /// <param name="episodes">How many, at least 1.</param>
    /// <param name="seed">The seed of their chance: all who play with the same one meet the same episodes.</param>
    /// <param name="cancellation">Ends it before the next step of an episode. An environment may observe it, too.</param>
    /// <exception cref="ArgumentException">What the rule gave is no action.</exception>
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

    /// <summary>Plays episodes with the most probable actions, on another thread.</summary>
    /// <inheritdoc cref="Evaluate(Policy, int, long, CancellationToken)"/>
    public Task<Scores> EvaluateAsync(
        Policy policy,
        int episodes = 100,
        long seed = 0,
        CancellationToken cancellation = default
    ) => Task.Run(() => Evaluate(policy, episodes, seed, cancellation), cancellation);

    /// <summary>Plays the same episodes with a rule of your own in place of a policy, on another thread.</summary>
    /// <inheritdoc cref="Evaluate(Func{ReadOnlySpan{float}, AgentAction}, int, long, CancellationToken)"/>
    public Task<Scores> EvaluateAsync(
        Func<ReadOnlySpan<float>, AgentAction> rule,
        int episodes = 100,
        long seed = 0,
        CancellationToken cancellation = default
    ) => Task.Run(() => Evaluate(rule, episodes, seed, cancellation), cancellation);

    private Scores Evaluate(Evaluating evaluation)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(evaluation.Episodes, 1, "episodes");
        return source.Open(evaluation);
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
        public TrainingState With<T>(Core.Environment<T> environment, Action release) =>
            Release.IfItFails(() => Begin(environment, release), release);

        private TrainingState<T> Begin<T>(Core.Environment<T> environment, Action release)
        {
            Core.Setup<T> setup = Training.setup(Options.Threads, Configuration, environment).OrThrow();
            Core.State<T> state = First is null
                ? Training.start(setup, Options.Seed)
                : Training.startFrom(setup, Options.Seed, First.Saved.Actor).OrThrow();
            return new(Options, setup, state, release);
        }
    }

    /// <summary>Episodes that a policy plays, or a rule.</summary>
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
                return new(Evaluation.playUntil(Cancellation, Threads, environment, rule, Episodes, key).OrThrow());
            }

            Core.Actor actor = PolicyFile.requireFit("the policy", environment, Policy.Saved).OrThrow().Actor;
            return new(Evaluation.runUntil(Cancellation, Threads, environment, actor, Episodes, key).OrThrow());
        }
    }

    /// <summary>A caller's rule, which must give actions of the space.</summary>
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
