using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Diagnostics.Metrics;
using System.Linq;
using Xunit;

namespace FunTrpo.CSharp.Tests;

/// <summary>The facade records what it trains as metrics of .NET. The metrics themselves are tested in <c>TelemetryTests.fs</c>.</summary>
public sealed class MetricsFacts
{
    public void Measures_iterations_and_evaluations()
    {
        TrainingPlan plan = Trpo.For(() => new Line(), name: "MeasuredLine").Short().EvaluateEvery(500, episodes: 2);
        ConcurrentQueue<(string Name, double Value)> found = [];
        using MeterListener listener = new()
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter.Name == "FunTrpo")
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            },
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Keep(instrument, value, [.. tags]));
        listener.SetMeasurementEventCallback<double>(
            (instrument, value, tags, _) => Keep(instrument, value, [.. tags])
        );
        listener.Start();

        TrainingResult result = plan.Train();
        TrainingStep next = plan.Start().Next();

        Assert.Equal(result.State.Steps + next.Report.Steps, ValuesOf("funtrpo.steps").Sum());
        Assert.Equal(result.Reports.Append(next.Report).Select(report => report.MeanKl), ValuesOf("funtrpo.mean_kl"));
        Assert.Equal(
            result.Evaluations.SelectMany(it => new[] { it.Deterministic.Mean, it.Sampled.Mean }),
            ValuesOf("funtrpo.evaluation.mean_return")
        );

        IEnumerable<double> ValuesOf(string name) => found.Where(it => it.Name == name).Select(it => it.Value);

        void Keep(Instrument instrument, double value, KeyValuePair<string, object?>[] tags)
        {
            if (tags.Contains(new("environment", plan.EnvironmentName)))
            {
                found.Enqueue((instrument.Name, value));
            }
        }
    }
}
