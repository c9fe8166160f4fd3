using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using FunTrpo.Plots.CSharp;
using Xunit;

namespace FunTrpo.CSharp.Tests;

/// <summary>
/// Pages of trainings, as their callers make them. What is on the pages is tested in <c>CSharpPagesTests.fs</c>; blocks of docs/report.md are
/// parts of this file.
/// </summary>
public sealed class PagesFacts
{
    /// <summary>A line that draws itself until something happens.</summary>
    private sealed class DrawnLine(Func<Picture> draw) : Line, IPicturedEnvironment
    {
        public Picture Draw() => draw();
    }

    private static Picture Dot() => new(-4, 4, -1, 1, Shape.Circle(new(0, 0), 0.5, Colour.Body));

    private static TrainingPlan Drawn(Func<Picture> draw) => Trpo.For(() => new DrawnLine(draw)).Short();

    public void Show_a_training() =>
        InFolder(() =>
        {
            TrainingPlan plan = Trpo.For("CartPole-v1")
                .With(options => options with { Seed = 7, TotalSteps = 20_000, StopAtReturn = 475 })
                .EvaluateEvery(5_000);
            TrainingResult result = plan.Train();

            ReportPage page = ReportPage.From(plan, result);
            page.Save("report.html");
            foreach (Chart chart in page.Charts)
            {
                Console.WriteLine($"{chart.Title}: {chart.Summary}"); // chart.ToJson() is the figure for Plotly
            }

            Assert.Equal(page.ToHtml(), File.ReadAllText("report.html"));
            Assert.Equal("Return", page.Charts[0].Title);
            Assert.Equal(8, page.Charts.Count);
        });

    public void Compare_trainings() =>
        InFolder(() =>
        {
            ComparedRun Train(double delta, int seed)
            {
                TrainingPlan plan = Trpo.For("CartPole-v1")
                    .With(options => options with { Delta = delta, Seed = seed, TotalSteps = 4_000 });
                TrainingResult result = plan.Train();
                return new($"δ = {delta}", plan, result) { Score = plan.Evaluate(result.Policy, episodes: 20).Mean };
            }

            IEnumerable<ComparedRun> runs =
                from delta in new[] { 0.003, 0.03 }
                from seed in Enumerable.Range(0, 3)
                select Train(delta, seed);
            ComparePage.From(runs).Save("compare.html");

            Assert.Contains("δ = 0.03", System.Text.RegularExpressions.Regex.Unescape(Data("compare.html")));
        });

    public void Show_runs_of_the_command() =>
        InFolder(() =>
        {
            WriteRun("runs/pole");

            ReportPage.FromFolder("runs/pole").Save("pole.html");
            ComparePage.FromFolders(["runs"]).Save("runs.html"); // and folders of folders of runs

            Assert.Contains("Trained without a goal", ReportPage.FromFolder("runs/line", LinePlan()).ToHtml());
            Assert.Contains("\"episode\":", Data("pole.html"));
            Assert.Contains("2 environments", Data("runs.html"));
        });

    public void Play_environments_of_callers_and_say_why_one_cannot_be_played()
    {
        TrainingPlan plan = Drawn(Dot);
        TrainingResult result = plan.Train();
        Assert.Contains("\"frames\":", ReportPage.From(plan, result).ToHtml());

        TrainingPlan undrawn = Plans.ShortLine();
        Assert.Contains("does not draw its states", ReportPage.From(undrawn, undrawn.Train()).ToHtml());

        TrainingPlan failing = Drawn(() => throw new TimeoutException("no pencil"));
        Assert.Contains("no pencil", ReportPage.From(failing, failing.Train()).ToHtml());

        // An environment that can be made for training, and not for the page.
        bool isBroken = false;
        TrainingPlan breaking = Trpo.For(() =>
                isBroken ? throw new TimeoutException("no more of them") : new DrawnLine(Dot)
            )
            .Short();
        TrainingResult trained = breaking.Train();
        isBroken = true;
        Assert.Contains("no more of them", ReportPage.From(breaking, trained).ToHtml());
    }

    public void Do_not_play_an_environment_that_did_not_answer()
    {
        int made = 0;
        TrainingPlan plan = Trpo.For(() =>
            {
                made++;
                return new Line();
            })
            .Short();
        TrainingResult result = plan.Train();
        int before = made;
        string html = ReportPage.From(plan, result with { Reason = StopReason.Abandoned }).ToHtml();
        Assert.Contains("did not answer", html);
        Assert.Equal(before, made);
    }

    public void Release_the_environments_that_they_make()
    {
        Watch watch = new();
        TrainingPlan plan = Trpo.For(watch.Make).Short();
        TrainingResult result = plan.Train();
        Assert.Equal(watch.Made, watch.Disposed.Distinct().Count());
        ReportPage.From(plan, result);
        Assert.Equal(watch.Made, watch.Disposed.Distinct().Count());
    }

    public void Show_a_training_that_was_continued_or_has_made_no_iteration()
    {
        TrainingPlan plan = Plans.ShortLine();
        TrainingResult half = plan.With(options => options with { TotalSteps = 400 }).Train();
        Assert.Contains("Return", ReportPage.From(plan, plan.Train(half.State)).ToHtml());
        TrainingResult none = plan.Train(new System.Threading.CancellationToken(canceled: true));
        Assert.Empty(none.Reports);
        Assert.Contains("Return", ReportPage.From(plan, none).ToHtml());
        Assert.Contains("one", ComparePage.From(new ComparedRun("one", plan, none)).ToHtml());
    }

    public void Refuse_what_does_not_fit() =>
        InFolder(() =>
        {
            TrainingPlan plan = Plans.ShortLine();
            TrainingResult result = plan.Train();
            TrainingPlan other = Trpo.For("CartPole-v1");
            Assert.Throws<ArgumentNullException>(() => ReportPage.From(null!, result));
            Assert.Throws<ArgumentNullException>(() => ReportPage.From(plan, null!));
            ArgumentException error = Assert.Throws<ArgumentException>(() => ReportPage.From(other, result));
            Assert.Contains("The plan is one for CartPole-v1", error.Message, StringComparison.Ordinal);

            Assert.Throws<ArgumentException>(() => ComparePage.From());
            Assert.Throws<ArgumentNullException>(() => ComparePage.From(null!));
            Assert.Throws<ArgumentNullException>(() => ComparePage.From([null!]));
            Assert.Throws<ArgumentException>(() => ComparePage.From(new ComparedRun(" ", plan, result)));
            Assert.Throws<ArgumentNullException>(() => ComparePage.From(new ComparedRun("x", null!, result)));
            Assert.Throws<ArgumentException>(() => ComparePage.From(new ComparedRun("x", other, result)));

            ReportPage page = ReportPage.From(plan, result);
            Assert.Throws<ArgumentNullException>(() => page.Save(null!));
            Assert.ThrowsAny<IOException>(() => page.Save("nowhere/report.html"));
            Directory.CreateDirectory("folder");
            Assert.ThrowsAny<IOException>(() => page.Save("folder"));
            Assert.Empty(Directory.GetFiles("folder"));

            Assert.Throws<DirectoryNotFoundException>(() => ReportPage.FromFolder("nothing"));
            Assert.Throws<DirectoryNotFoundException>(() => ReportPage.FromFolder("folder"));
            Assert.Throws<DirectoryNotFoundException>(() => ComparePage.FromFolders(["folder"]));
            Assert.Throws<ArgumentException>(() => ReportPage.FromFolder(""));

            WriteRun("runs/pole");
            error = Assert.Throws<ArgumentException>(() => ReportPage.FromFolder("runs/line"));
            Assert.Contains("pass a plan with this environment", error.Message, StringComparison.Ordinal);
            error = Assert.Throws<ArgumentException>(() => ReportPage.FromFolder("runs/pole", plan));
            Assert.Contains("The run trained on CartPole-v1", error.Message, StringComparison.Ordinal);
            File.WriteAllText("runs/pole/summary.json", "{");
            Assert.Throws<InvalidDataException>(() => ReportPage.FromFolder("runs/pole"));
            Assert.Throws<InvalidDataException>(() => ComparePage.FromFolders(["runs"]));
        });

    private static TrainingPlan LinePlan() => Plans.ShortLine();

    /// <summary>The data of a page.</summary>
    private static string Data(string path)
    {
        string html = File.ReadAllText(path);
        int start = html.IndexOf("id=\"data\">", StringComparison.Ordinal);
        return html[start..html.IndexOf("</script>", start, StringComparison.Ordinal)];
    }

    /// <summary>Writes what the command leaves of a run on CartPole, and beside it one of a run on the line.</summary>
    private static void WriteRun(string folder)
    {
        TrainingPlan pole = Trpo.For("CartPole-v1").With(options => options with { TotalSteps = 2_000 });
        Write(folder, pole.Train());
        Write("runs/line", LinePlan().Train());

        static void Write(string folder, TrainingResult result)
        {
            Directory.CreateDirectory(folder);
            string environment = result.State.EnvironmentName;
            result.Policy.Save(Path.Combine(folder, "policy.json"));
            File.WriteAllText(
                Path.Combine(folder, "progress.csv"),
                "iteration,steps,episodes,meanReturn\n1,1000,30,20\n"
            );
            File.WriteAllText(
                Path.Combine(folder, "config.json"),
                $$"""{ "environment": "{{environment}}", "seed": 0, "steps": 2000, "configuration": {} }"""
            );
            File.WriteAllText(
                Path.Combine(folder, "summary.json"),
                $$"""
                { "environment": "{{environment}}", "seed": 0, "steps": 2000, "iterations": 1, "episodes": 30, "solved": false,
                  "wallSeconds": 1.5, "parametersSha256": "" }
                """
            );
        }
    }

    /// <summary>Runs the body with an empty folder as the current one.</summary>
    private static void InFolder(Action body)
    {
        string folder = Directory.CreateTempSubdirectory("funtrpo-").FullName;
        string current = Directory.GetCurrentDirectory();
        Directory.SetCurrentDirectory(folder);
        try
        {
            body();
        }
        finally
        {
            Directory.SetCurrentDirectory(current);
            Directory.Delete(folder, recursive: true);
        }
    }
}
