using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Xunit;

namespace FunTrpo.CSharp.Tests;

/// <summary>What training gives are values: they compare, print and go through JSON.</summary>
public sealed class ValueFacts
{
    private static readonly TrainingPlan Plan = Plans.ShortLine();

    private static readonly IterationReport Unbounded = Plan.With(o =>
            o with
            {
                Direction = StepDirection.Gradient,
                Step = StepLength.Fixed,
                LearningRate = 1,
            }
        )
        .Start()
        .Next()
        .Report;

    public void Two_that_were_made_alike_are_equal()
    {
        TrainingResult one = Plan.Train();
        TrainingResult other = Plan.Train();
        AreEqual(one.Reports, other.Reports);
        AreEqual(one.Policy, other.Policy);
        AreEqual(one with { Elapsed = default }, other with { Elapsed = default });
        AreEqual(Plan.Start().Next(), Plan.Start().Next());
        AreEqual(Plan.Evaluate(one.Policy, 5), Plan.Evaluate(other.Policy, 5));
        AreEqual(one.Policy.Distribution([0.5f, 0]), other.Policy.Distribution([0.5f, 0]));
        AreEqual(Plan.Options, Plans.ShortLine().Options);
        AreEqual(new Line().Step(1), new Line().Step(1));
        Assert.NotEqual(one.Policy, Plan.Start().Policy);
        Assert.NotEqual(Plan.Evaluate(one.Policy, 5), Plan.Evaluate(one.Policy, 5, seed: 1));

        static void AreEqual<T>(T a, T b)
        {
            Assert.NotSame(a, b);
            Assert.Equal(a, b, EqualityComparer<T>.Default);
            Assert.Equal(a!.GetHashCode(), b!.GetHashCode());
        }
    }

    public void Two_are_not_equal_that_differ_in_one_property()
    {
        IterationReport report = Plan.Start().Next().Report;
        Scores scores = Plan.Evaluate(Plan.Start().Policy, 3);
        EachCounts(report);
        Assert.Equal(report, report with { Seconds = new(1, 2, 3, 4) });
        EachCounts(scores);
        EachCounts(Plan.Start().Policy.Distribution([0, 0]));
        EachCounts(Plan.Options);
        StepResult result = new([1, 2], 3);
        Assert.Equal(result, new([1, 2], 3));
        Assert.NotEqual(result, new([1, 2.5f], 3));
        Assert.NotEqual(result, result with { Reward = 4 });
        Assert.NotEqual(result, result with { Terminated = true });
        Assert.NotEqual(result, result with { Truncated = true });
        Assert.NotEqual(result, result with { Observation = null! });

        static void EachCounts<T>(T value)
            where T : class
        {
            MethodInfo clone = typeof(T).GetMethod("<Clone>$")!;
            foreach (PropertyInfo property in typeof(T).GetProperties().Where(property => property.CanWrite))
            {
                if (property.PropertyType == typeof(StageSeconds))
                {
                    continue; // times differ each time that the same is done
                }

                T same = (T)clone.Invoke(value, null)!;
                Assert.Equal(value, same);
                property.SetValue(same, Changed(property.GetValue(value), property.PropertyType));
                Assert.True(!value.Equals(same), $"{typeof(T).Name}.{property.Name} does not count");
            }
        }

        static object Changed(object? value, Type type) =>
            value switch
            {
                IReadOnlyList<int> list => new List<int>([.. list, 3]),
                IReadOnlyList<double> list => new List<double>([.. list, 0.5]),
                IReadOnlyList<string> list => new List<string>([.. list, "one more"]),
                IReadOnlyList<PartDistribution> list => new List<PartDistribution>([.. list, new("another", new())]),
                string text => text + ", dense 3 relu",
                bool truth => !truth,
                int number => number + 1,
                long number => number + 1,
                double number => number + 1,
                null when type == typeof(int?) => 3,
                null => 1.5, // a mean or a goal that is not there
                Enum it => Enum.GetValues(type).Cast<object>().First(other => !other.Equals(it)),
                _ => throw new InvalidOperationException($"{type}"),
            };
    }

    public void Come_back_from_json_as_they_were()
    {
        IterationReport report = Plan.Start().Next().Report;
        ComesBack(report);
        ComesBack(report with { MeanKl = double.NaN, MeanReturn = null, CgResiduals = [1, double.PositiveInfinity] });
        Assert.Equal(double.PositiveInfinity, Unbounded.Delta);
        ComesBack(Unbounded);
        Policy policy = Plan.Train().Policy;
        ComesBack(policy);
        ComesBack(policy.Distribution([1, 0]));
        ComesBack(Plan.Evaluate(policy, 3));
        ComesBack(Plan.Options);
        ComesBack(
            new TrainingOptions
            {
                Architecture = "dense 8 tanh, dense 4 relu",
                Hidden = [],
                StopAtReturn = -3.5,
                Delta = double.PositiveInfinity,
            }
        );
        ComesBack(new StepResult([1, float.NegativeInfinity], double.NaN, Truncated: true));
        foreach (
            Space space in new[]
            {
                Space.Box([-1, float.NegativeInfinity], [1, float.PositiveInfinity]),
                Space.Discrete(3),
                Space.Box([2, 3, 4], 0, 1),
                Space.MultiDiscrete(2, 5),
                Space.MultiBinary(4),
            }
        )
        {
            ComesBack(space);
        }

        Assert.Contains("\"Moved\"", JsonSerializer.Serialize(report), StringComparison.Ordinal);

        static void ComesBack<T>(T value)
        {
            string text = JsonSerializer.Serialize(value);
            Assert.Equal(value, JsonSerializer.Deserialize<T>(text), EqualityComparer<T?>.Default);
        }
    }

    public void Null_in_json_is_an_empty_list_or_refused()
    {
        Reads(new IterationReport(), "Warnings", "CgResiduals", "CgCurvatures");
        Reads(
            new ActionDistribution(),
            "Probabilities",
            "Mean",
            "StandardDeviation",
            "LatentMean",
            "LatentStandardDeviation",
            "Alpha",
            "Beta"
        );
        Reads(new Scores(), "Returns", "Lengths");
        Reads(new TrainingOptions { CriticHidden = null }, "CriticHidden");
        foreach (SpaceKind kind in Enum.GetValues<SpaceKind>())
        {
            Refused($$"""{"Kind":"{{kind}}"}""");
            Refused($$"""{"Kind":"{{kind}}","Low":null,"High":null,"Counts":null}""");
            Refused($$"""{"Kind":"{{kind}}","Low":[],"High":[1],"Counts":[]}""");
        }

        static void Reads<T>(T expected, params string[] names) =>
            Assert.All(names, name => Assert.Equal(expected, JsonSerializer.Deserialize<T>($$"""{"{{name}}":null}""")));

        static void Refused(string json) => Assert.Throws<JsonException>(() => JsonSerializer.Deserialize<Space>(json));
    }

    public void Come_back_from_json_through_a_source_generated_context()
    {
        GeneratedJson generated = GeneratedJson.Default;
        TrainingStep step = Plan.Start().Next();
        ComesBack(step.Report, generated.IterationReport);
        ComesBack(Unbounded, generated.IterationReport);
        ComesBack(step.State.Policy, generated.Policy);
        ComesBack(step.State.Policy.Distribution([1, 0]), generated.ActionDistribution);
        ComesBack(Plan.Evaluate(step.State.Policy, 3), generated.Scores);
        ComesBack(
            Plan.Options with
            {
                StopAtReturn = -3.5,
                Delta = double.PositiveInfinity,
            },
            generated.TrainingOptions
        );
        ComesBack(new StepResult([1, float.NegativeInfinity], double.NaN, Truncated: true), generated.StepResult);
        Assert.Throws<JsonException>(() => JsonSerializer.Deserialize("{}", generated.Policy));
        RefusesStates(() => JsonSerializer.Serialize(step.State, generated.TrainingState));
        RefusesStates(() => JsonSerializer.Serialize(step, generated.TrainingStep));
        RefusesStates(() => JsonSerializer.Deserialize("{}", generated.TrainingState));

        static void ComesBack<T>(T value, JsonTypeInfo<T> type)
        {
            string text = JsonSerializer.Serialize(value, type);
            Assert.Equal(JsonSerializer.Serialize(value), text);
            Assert.Equal(value, JsonSerializer.Deserialize(text, type), EqualityComparer<T?>.Default);
        }
    }

    public void A_state_is_no_json_and_says_what_to_write_instead()
    {
        TrainingStep step = Plan.Start().Next();
        RefusesStates(() => JsonSerializer.Serialize(step.State));
        RefusesStates(() => JsonSerializer.Serialize<object>(step.State));
        RefusesStates(() => JsonSerializer.Serialize(step));
        RefusesStates(() => JsonSerializer.Deserialize<TrainingState>("{}"));
        Assert.Throws<JsonException>(() => JsonSerializer.Deserialize<Policy>("{}"));
    }

    private static void RefusesStates(Func<object?> convert) =>
        Assert.Contains(
            "Write its Policy",
            Assert.Throws<NotSupportedException>(() => convert()).Message,
            StringComparison.Ordinal
        );

    public void Print_what_they_hold()
    {
        TrainingResult result = Plan.Train();
        object[] all =
        [
            result,
            result.State,
            result.Policy,
            result.Reports[0],
            result.State.Next(),
            Plan.Evaluate(result.Policy, 2),
            result.Policy.Distribution([0, 0]),
            Plan.Options,
            new Line().Step(1),
            Space.Discrete(3),
            result.Reports,
        ];
        Assert.All(
            all,
            it =>
            {
                Assert.DoesNotContain("`", $"{it}", StringComparison.Ordinal);
                Assert.DoesNotContain("System.", $"{it}", StringComparison.Ordinal);
                Assert.DoesNotContain("ValueList", $"{it}", StringComparison.Ordinal);
            }
        );
        Assert.Contains("CriticHidden = [8]", $"{Plan.Options}", StringComparison.Ordinal);
        Assert.Contains("[-0.5, 1E+20]", $"{new StepResult([-0.5f, 1e20f], 0)}", StringComparison.Ordinal);
        Assert.Contains("… 100 in all]", $"{Plan.Evaluate(result.Policy).Returns}", StringComparison.Ordinal);
    }

    public void Print_the_same_in_every_culture()
    {
        TrainingResult result = Plan.Train();

        // .NET's own second line, with the actual value, is written as the culture wants it.
        static string FirstLineOf<T>(Action action)
            where T : Exception => Assert.Throws<T>(action).Message.Split('\n')[0];
        Func<object>[] all =
        [
            () => result,
            () => result.State,
            () => result.Policy,
            () => result.Reports[0],
            () => Plan.Evaluate(result.Policy, 2),
            () => new StepResult([-0.5f, 1e20f], -0.5),
            () => Space.Box([-0.5f], [1.5f]),
            () => FirstLineOf<ArgumentException>(() => Space.Box([2.5f], [1.5f])),
            () =>
                FirstLineOf<ArgumentOutOfRangeException>(() =>
                    Plan.With(o => o with { StopAtReturn = double.NaN }).Train()
                ),
            () => FirstLineOf<ArgumentOutOfRangeException>(() => Plan.With(o => o with { Delta = -0.5 }).Train()),
        ];
        string[] expected = [.. all.Select(it => $"{it()}")];
        CultureInfo before = CultureInfo.CurrentCulture;
        try
        {
            var other = (CultureInfo)CultureInfo.InvariantCulture.Clone();
            other.NumberFormat.NumberDecimalSeparator = ",";
            other.NumberFormat.NegativeSign = "minus";
            other.NumberFormat.NaNSymbol = "no number";
            CultureInfo.CurrentCulture = other;
            Assert.Equal(expected, all.Select(it => $"{it()}"));
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    public void A_mean_return_that_is_not_there_yet_prints_as_a_dash()
    {
        TrainingStep step = Plan.With(o => o with { Horizon = 3 }).Start().Next();
        Assert.Null(step.Report.MeanReturn);
        Assert.Contains("mean return –", $"{step.Report}", StringComparison.Ordinal);
        Assert.EndsWith("mean return –", $"{step.State}", StringComparison.Ordinal);
        Assert.DoesNotContain("–", $"{Plan.Start().Next().Report}", StringComparison.Ordinal);
    }
}

/// <summary>The JSON of a program that is compiled ahead of time.</summary>
[JsonSerializable(typeof(ActionDistribution))]
[JsonSerializable(typeof(IterationReport))]
[JsonSerializable(typeof(Policy))]
[JsonSerializable(typeof(Scores))]
[JsonSerializable(typeof(StepResult))]
[JsonSerializable(typeof(TrainingOptions))]
[JsonSerializable(typeof(TrainingStep))]
internal sealed partial class GeneratedJson : JsonSerializerContext;
