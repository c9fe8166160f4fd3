using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using FunTrpo.Environments;
using Microsoft.FSharp.Collections;
using Microsoft.FSharp.Core;
using Core = FunTrpo;

namespace FunTrpo.Plots.CSharp;

// In here, so that TrainingResult and others are those of the facade, and not those of the pipeline.
using FunTrpo.CSharp;

/// <summary>
/// The report page of a training run: one HTML file with all that it needs. It shows the results, the policy playing, the charts, and the
/// options with what they differ in from the tuned ones. It is the page that the command <c>funtrpo</c> leaves in the folder of a run.
/// </summary>
public sealed class ReportPage
{
    private readonly Plots.ReportPage page;
    private readonly string origin;

    private ReportPage(Plots.ReportPage page, string origin)
    {
        this.page = page;
        this.origin = origin;
        Charts = ValueList.Of(Plots.Charts.all(page.Progress, page.Evaluations).Select(chart => new Chart(chart)));
    }

    /// <summary>Creates the page of a training, and plays an episode with the trained policy for it.</summary>
    /// <remarks>
    /// The episode has the most probable actions and at most 5,000 steps. An environment of your own is drawn if it is an
    /// <see cref="IPicturedEnvironment"/>. If the environment fails in the episode, the page says why. After an abandoned training
    /// (<see cref="StopReason.Abandoned"/>) no episode is played: its environment might not answer again.
    /// </remarks>
    /// <param name="plan">The plan of the training.</param>
    /// <param name="result">Its result.</param>
    /// <exception cref="ArgumentException">The result is that of another environment.</exception>
    public static ReportPage From(TrainingPlan plan, TrainingResult result)
    {
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(result);
        RunRecord run = RunOfResult.Record(plan, result);
        RegisteredPlan environment = new(plan);
        PageEpisode episode =
            result.Reason == StopReason.Abandoned
                ? PageEpisode.NewNotRecorded("an environment did not answer, and training was abandoned.")
                : RunPage.episodeIn(environment, result.Policy.Saved.Actor, run.Settings.Seed);
        FSharpList<EvaluationPoint> evaluations = RunOfResult.Evaluations(result);
        return new(
            RunPage
                .ofRun(
                    environment.SolvedAt,
                    FSharpOption<Core.Configuration>.Some(environment.Preset),
                    run,
                    evaluations,
                    episode
                )
                .OrThrow(),
            ""
        );
    }

    /// <summary>
    /// Creates the page of a run that the command <c>funtrpo train</c> has made, from the files in its folder, and plays an episode with its
    /// policy. The files are only read.
    /// </summary>
    /// <param name="folder">The folder of the run.</param>
    /// <param name="plan">
    /// A plan with the environment of the run, such as <c>Trpo.For(() => new Crane())</c> or <c>MuJoCoTasks.For("Hopper-v4")</c>; null for
    /// an environment of the library. Of the plan, only the environment is used.
    /// </param>
    /// <exception cref="IOException">There is no run in the folder (<see cref="DirectoryNotFoundException"/>), or a file cannot be read.</exception>
    /// <exception cref="InvalidDataException">A file is damaged.</exception>
    /// <exception cref="ArgumentException">The run trained on another environment than that of the plan, or of the library.</exception>
    public static ReportPage FromFolder(string folder, TrainingPlan? plan = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        if (!FoundRuns.isComplete(folder))
        {
            throw new DirectoryNotFoundException($"There is no run in {folder}.");
        }

        return FileErrors.AsIOException(() =>
        {
            string trainedOn = RunSettingsModule.ofFolder(folder).OrThrow().Environment;
            Registered environment = KnownEnvironments.Find(trainedOn, plan);
            return new ReportPage(RunPage.ofFolderIn(environment, folder).OrThrow(), Plots.ReportPageModule.filesOfRun);
        });
    }

    /// <summary>The charts of the page.</summary>
    public IReadOnlyList<Chart> Charts { get; }

    /// <summary>Returns the page as HTML. It loads nothing from anywhere.</summary>
    public string ToHtml() => Plots.ReportPageModule.htmlFrom(origin, page);

    /// <summary>Writes the page to a file, such as <c>report.html</c>, and replaces the file if it exists.</summary>
    /// <exception cref="IOException">The file cannot be written. The old file is unchanged.</exception>
    public void Save(string path) => PageFile.Save(path, ToHtml());
}
