using System;
using System.IO;
using System.Threading;
using Microsoft.FSharp.Core;
using Core = FunTrpo;

namespace FunTrpo.Ddpg.CSharp;

// In here, so that Policy and others are those of the facade, and not those of the pipeline.
using FunTrpo.CSharp;

/// <summary>Makes plans to train with DDPG of plans to train with TRPO.</summary>
public static class DdpgPlans
{
    /// <summary>
    /// Returns a plan to train with DDPG on the environment of this plan, with its time limit and what else is around it. The options are those
    /// that are tuned for the environment, or else the default ones.
    /// </summary>
    public static DdpgPlan ToDdpg(this TrainingPlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        DdpgPreset? preset = OptionModule.ToObj(DdpgPresets.tryFind(plan.EnvironmentName));
        return new(
            plan,
            preset is null ? new() : new DdpgOptions(preset.Settings) { TotalSteps = preset.Steps },
            report: null
        );
    }
}

/// <summary>
/// An environment and the options to train on it with DDPG. A plan is immutable: <see cref="With"/> and similar methods return a changed
/// copy.
/// </summary>
public sealed class DdpgPlan
{
    private readonly TrainingPlan plan;
    private readonly Action<DdpgIteration>? report;

    internal DdpgPlan(TrainingPlan plan, DdpgOptions options, Action<DdpgIteration>? report)
    {
        this.plan = plan;
        this.report = report;
        Options = options;
    }

    /// <summary>The options of training.</summary>
    public DdpgOptions Options { get; }

    /// <summary>The name of the environment.</summary>
    public string EnvironmentName => plan.EnvironmentName;

    /// <summary>Returns the plan with other options: <c>.With(options => options with { Seed = 7 })</c>.</summary>
    /// <param name="change">Returns the new options, given the old ones.</param>
    public DdpgPlan With(Func<DdpgOptions, DdpgOptions> change)
    {
        ArgumentNullException.ThrowIfNull(change);
        DdpgOptions changed =
            change(Options) ?? throw new ArgumentException("The options became null.", nameof(change));
        return new(plan, changed, report);
    }

    /// <summary>Returns the plan with a callback that is called after every iteration, on the training thread.</summary>
    public DdpgPlan OnIteration(Action<DdpgIteration> action)
    {
        ArgumentNullException.ThrowIfNull(action);
        return new(plan, Options, report + action);
    }

    /// <summary>Trains a new policy and returns the result.</summary>
    /// <param name="cancellation">Ends training after the current iteration; the result is still usable.</param>
    /// <exception cref="TrainingException">Training failed.</exception>
    /// <exception cref="ArgumentException">
    /// An option is out of its range, or the actions of the environment are no box with finite bounds.
    /// </exception>
    public DdpgResult Train(CancellationToken cancellation = default) => Run(null, cancellation);

    /// <summary>
    /// Goes on with a training whose state <see cref="DdpgResult.Save"/> or <c>funtrpo ddpg --checkpoint-every</c> wrote, until the steps of
    /// the options are made, and returns the result. The seed is that of the file.
    /// </summary>
    /// <param name="path">The path of the file.</param>
    /// <param name="cancellation">Ends training after the current iteration; the result is still usable.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is not a checkpoint of DDPG, or is damaged.</exception>
    /// <exception cref="TrainingException">Training failed.</exception>
    /// <exception cref="ArgumentException">The file belongs to another environment, or to other options.</exception>
    public DdpgResult Resume(string path, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(path);
        return File.Exists(path)
            ? Run(path, cancellation)
            : throw new FileNotFoundException($"There is no checkpoint {path}.", path);
    }

    /// <summary>Plays episodes with the most probable actions of a policy and returns their returns and lengths.</summary>
    /// <param name="policy">The policy to evaluate.</param>
    /// <param name="episodes">The number of episodes, at least 1.</param>
    /// <param name="seed">The seed of the episodes. Evaluations with the same seed start the same episodes.</param>
    /// <param name="cancellation">Ends the evaluation before the next step of an episode.</param>
    /// <exception cref="ArgumentException">The policy does not fit the environment, or there is less than 1 episode.</exception>
    /// <exception cref="EnvironmentException">The environment failed.</exception>
    public Scores Evaluate(
        Policy policy,
        int episodes = 100,
        long seed = 0,
        CancellationToken cancellation = default
    ) => plan.Evaluate(policy, episodes, seed, cancellation);

    private DdpgResult Run(string? path, CancellationToken cancellation)
    {
        Training training = new(Options, Options.ToSettings(), report, path, cancellation);
        return Cancelling.By(cancellation, () => plan.Source.Open(training));
    }

    /// <summary>A training, from the beginning or from a checkpoint.</summary>
    private sealed record Training(
        DdpgOptions Options,
        DdpgSettings Settings,
        Action<DdpgIteration>? Report,
        string? Path,
        CancellationToken Cancellation
    ) : IOpenedEnvironment<DdpgResult>
    {
        public DdpgResult With<TState>(Core.Environment<TState> environment, Action release) =>
            Release.Afterwards(() => Train(environment), release);

        private DdpgResult Train<TState>(Core.Environment<TState> environment)
        {
            DdpgSetup<TState> setup = DdpgSetup.create(Options.Threads, Settings, environment).OrThrow();
            DdpgState<TState> state = Path is null
                ? DdpgState.start(setup, Options.Seed).OrThrow()
                : DdpgCheckpoint.load(Path, setup).OrThrow().State;
            foreach (var result in DdpgTraining.runFor(Options.TotalSteps, setup, state))
            {
                (state, DdpgReport report) = result.OrThrow();
                Report?.Invoke(new(report));
                if (Cancellation.IsCancellationRequested)
                {
                    break;
                }
            }

            return ResultOf(setup, state);
        }

        private static DdpgResult ResultOf<TState>(DdpgSetup<TState> setup, DdpgState<TState> state) =>
            new(
                new(new Core.SavedPolicy(environment: setup.Environment.Id, actor: DdpgState.actor(setup, state))),
                state.Steps,
                state.Episodes,
                OptionModule.ToNullable(DdpgState.meanReturn(state)),
                path => DdpgCheckpoint.save(path, setup, "", state).OrThrow()
            );
    }
}
