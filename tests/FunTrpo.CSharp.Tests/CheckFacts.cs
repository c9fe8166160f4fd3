using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Xunit;

namespace FunTrpo.CSharp.Tests;

/// <summary>What random play finds in callers' simulators.</summary>
public sealed class CheckFacts
{
    public void Finds_nothing_in_a_good_simulator() => Assert.Empty(Trpo.For(() => new Line()).Check());

    public void Says_it_as_the_guide_shows()
    {
        TrainingPlan plan = Trpo.For(() => new Endless());
        TextWriter console = Console.Out;
        using StringWriter said = new();
        Console.SetOut(said);
        try
        {
            foreach (Finding finding in plan.Check())
            {
                Console.WriteLine($"{finding.Message}\n    {finding.Remedy}");
            }
        }
        finally
        {
            Console.SetOut(console);
        }

        Assert.Contains("No episode has ended", said.ToString());
    }

    public void Finds_chance_that_does_not_come_from_the_seed() =>
        Finds(Trpo.For(() => new Wilful()), FindingKind.NotReproducible, "Episode 0");

    public void Finds_observations_of_a_wrong_length() =>
        Finds(Trpo.For(() => new TooShort()), FindingKind.Broken, "has 1 numbers");

    public void Finds_episodes_without_an_end_and_a_time_limit_gives_them_one()
    {
        TrainingPlan plan = Trpo.For(() => new Endless());
        Finds(plan, FindingKind.NoEnd, "2000 steps");
        Assert.Empty(plan.WithTimeLimit(40).Check());
    }

    public void Does_not_mind_sizes_where_observations_are_normalised()
    {
        TrainingPlan plan = Trpo.For(() => new Large());
        foreach (bool normalise in new[] { false, true })
        {
            Finding[] found =
            [
                .. plan.With(options => options with { NormaliseObservations = normalise })
                    .Check()
                    .Where(finding => finding.Kind == FindingKind.MixedScales),
            ];
            Assert.Equal(normalise ? 0 : 1, found.Length);
        }
    }

    public void Disposes_of_the_simulators()
    {
        List<Disposable> made = [];
        Trpo.For(() =>
            {
                made.Add(new());
                return made[^1];
            })
            .Check();
        Assert.NotEmpty(made);
        Assert.All(made, simulator => Assert.True(simulator.IsDisposed));
    }

    public void Refuses_bad_options() =>
        Assert.Throws<ArgumentOutOfRangeException>(() =>
            Trpo.For(() => new Line()).With(options => options with { Gamma = 2 }).Check()
        );

    public void Says_what_to_do()
    {
        Finding finding = Trpo.For(() => new Endless()).Check()[0];
        Assert.Contains("WithTimeLimit", finding.Remedy);
        Assert.Equal($"{finding.Message} {finding.Remedy}", finding.ToString());
    }

    private static void Finds(TrainingPlan plan, FindingKind kind, string word)
    {
        Finding finding = Assert.Single(plan.Check());
        Assert.Equal(kind, finding.Kind);
        Assert.Contains(word, finding.Message);
    }

    private sealed class Wilful : Line
    {
        private static int draws;

        public override float[] Reset(int seed) => base.Reset(seed + draws++);
    }

    private sealed class TooShort : Line
    {
        public override float[] Reset(int seed) => base.Reset(seed)[..1];
    }

    private class Endless : Line
    {
        private readonly float[] seen = new float[2];
        private int time;

        public override Space ObservationSpace { get; } = Space.Box(2, float.NegativeInfinity, float.PositiveInfinity);

        public override float[] Reset(int seed)
        {
            time = 0;
            return base.Reset(seed);
        }

        public override StepResult Step(AgentAction action)
        {
            StepResult result = base.Step(action);
            seen[0] = result.Observation[0];
            seen[1] = MathF.Sin(++time);
            return result with { Observation = seen, Terminated = false, Truncated = false };
        }
    }

    private sealed class Large : Line
    {
        public override Space ObservationSpace { get; } = Space.Box(2, float.NegativeInfinity, float.PositiveInfinity);

        public override StepResult Step(AgentAction action)
        {
            StepResult result = base.Step(action);
            return result with { Observation = [1e5f * result.Observation[0], result.Observation[1]] };
        }
    }

    private sealed class Disposable : Line, IDisposable
    {
        public bool IsDisposed { get; private set; }

        public void Dispose() => IsDisposed = true;
    }
}
