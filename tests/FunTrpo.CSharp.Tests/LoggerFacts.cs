using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Microsoft.Extensions.Logging;
using Xunit;

namespace FunTrpo.CSharp.Tests;

/// <summary>What a plan with a logger logs.</summary>
public sealed class LoggerFacts
{
    private readonly Records records = new();

    public async Task Logs_the_beginning_iterations_evaluations_and_the_end()
    {
        ILogger logger = records;
        TrainingPlan plan = Plans.ShortLine().EvaluateEvery(500, episodes: 2).WithLogger(logger);
        TrainingResult result = await plan.TrainAsync();

        Assert.Equal(
            [
                "TrainingBegins",
                "Iteration",
                "Iteration",
                "Iteration",
                "Evaluation",
                "Iteration",
                "Iteration",
                "Evaluation",
            ],
            records.Names.SkipLast(1)
        );
        Record[] iterations = records.Of("Iteration");
        foreach ((Record record, IterationReport report) in iterations.Zip(result.Reports))
        {
            Assert.Equal(LogLevel.Debug, record.Level);
            Assert.Equal(report.Steps, record["Steps"]);
            Assert.Equal(report.MeanReturn, record["MeanReturn"]);
            Assert.Equal(report.MeanKl, record["MeanKl"]);
            Assert.Equal(report.Outcome, record["Outcome"]);
        }

        Record evaluation = records.Of("Evaluation")[1];
        Assert.Equal(LogLevel.Information, evaluation.Level);
        Assert.Equal(result.Evaluations[1].Deterministic.Mean, evaluation["Mean"]);
        Record end = records.Of("TrainingEnds").Single();
        Assert.Equal(LogLevel.Information, end.Level);
        Assert.Equal(StopReason.TotalStepsReached, end["Reason"]);
        Assert.Equal(1000L, end["Steps"]);
        Assert.Contains("TotalStepsReached after 5 iterations, 1000 steps", end.Text);
    }

    public void Names_properties_as_the_fields_of_reports()
    {
        Plans.ShortLine().WithLogger(records).Train();
        HashSet<string> known = [.. typeof(IterationReport).GetProperties().Select(property => property.Name)];
        Assert.All(
            records.Of("Iteration").SelectMany(record => record.Properties.Keys),
            name => Assert.True(known.Contains(name) || name == "{OriginalFormat}", name)
        );
    }

    public void Logs_warnings_as_such()
    {
        // Episodes of 40 steps are long here.
        TrainingResult result = Plans.ShortLine().With(o => o with { LongEpisode = 10 }).WithLogger(records).Train();
        string[] warnings = [.. result.Reports.SelectMany(report => report.Warnings)];
        Assert.NotEmpty(warnings);
        Assert.Equal(warnings, records.Of("Warning").Select(record => record["Warning"]));
        Assert.All(records.Of("Warning"), record => Assert.Equal(LogLevel.Warning, record.Level));
    }

    public async Task Logs_streams_and_every_other_way_to_train()
    {
        TrainingPlan plan = Plans.ShortLine().WithLogger(records);
        plan.Train();
        plan.Train(plan.Start());
        await foreach (TrainingStep _ in plan.IterateAsync()) { }
        Assert.Equal(3, records.Of("TrainingBegins").Length);
        Assert.Equal(15, records.Of("Iteration").Length);
        Assert.Equal(3, records.Of("TrainingEnds").Length);
        Assert.All(records.Of("TrainingEnds"), end => Assert.Equal(StopReason.TotalStepsReached, end["Reason"]));

        await foreach (TrainingStep _ in plan.IterateAsync())
        {
            break; // the caller knows that it has left
        }

        Assert.Equal(3, records.Of("TrainingEnds").Length);
    }

    public void Trains_the_same_policy_and_logs_only_what_is_enabled()
    {
        records.Least = LogLevel.Information;
        TrainingResult result = Plans.ShortLine().WithLogger(records).Train();
        Assert.Equal(Plans.ShortLine().Train().State, result.State);
        Assert.Equal(["TrainingBegins", "TrainingEnds"], records.Names);
        Assert.Throws<ArgumentNullException>(() => Plans.ShortLine().WithLogger(null!));
    }

    private sealed record Record(
        string Name,
        LogLevel Level,
        string Text,
        IReadOnlyDictionary<string, object?> Properties
    )
    {
        public object? this[string name] => Properties[name];
    }

    private sealed class Records : ILogger
    {
        private readonly List<Record> all = [];

        public LogLevel Least { get; set; } = LogLevel.Trace;

        public IEnumerable<string> Names => all.Select(record => record.Name);

        public Record[] Of(string name) => [.. all.Where(record => record.Name == name)];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= Least;

        public void Log<TState>(
            LogLevel logLevel,
            EventId eventId,
            TState state,
            Exception? exception,
            Func<TState, Exception?, string> formatter
        ) =>
            all.Add(
                new(
                    eventId.Name!,
                    logLevel,
                    formatter(state, exception),
                    ((IReadOnlyList<KeyValuePair<string, object?>>)state!).ToDictionary()
                )
            );
    }
}
