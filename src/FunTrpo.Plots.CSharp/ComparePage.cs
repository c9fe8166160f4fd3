using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using FunTrpo.Environments;
using Microsoft.FSharp.Collections;
using Microsoft.FSharp.Core;

namespace FunTrpo.Plots.CSharp;

// In here, so that TrainingResult and others are those of the facade, and not those of the pipeline.
using FunTrpo.CSharp;

/// <summary>A training, as a <see cref="ComparePage"/> compares it with others.</summary>
/// <param name="Label">
/// The name of its group, such as <c>δ = 0.01</c>: trainings with the same label are taken for runs of one setting with several seeds.
/// </param>
/// <param name="Plan">The plan of the training.</param>
/// <param name="Result">Its result.</param>
public sealed record ComparedRun(string Label, TrainingPlan Plan, TrainingResult Result)
{
    /// <summary>
    /// The mean return of episodes that the policy has played after training, such as <c>plan.Evaluate(result.Policy).Mean</c>. Runs are
    /// compared by it if each of them has one, and otherwise by their last 100 training episodes.
    /// </summary>
    public double? Score { get; init; }
}

/// <summary>
/// The page that compares several training runs: one HTML file with all that it needs. It has learning curves, interquartile means with
/// 95 % bootstrap intervals, performance profiles and probabilities of improvement. It is the page of the command <c>funtrpo compare</c>.
/// </summary>
public sealed class ComparePage
{
    private readonly Plots.ComparePage page;

    private ComparePage(Plots.ComparePage page) => this.page = page;

    /// <summary>Creates the page of trainings, which are grouped by their labels.</summary>
    /// <param name="runs">The trainings, at least one. Groups are in the order of their first runs.</param>
    /// <exception cref="ArgumentException">
    /// There is no run, a label is empty, or a result is that of another environment than its plan.
    /// </exception>
    public static ComparePage From(params IEnumerable<ComparedRun> runs)
    {
        ArgumentNullException.ThrowIfNull(runs);
        ComparedRun[] all = [.. runs];
        if (all.Length == 0)
        {
            throw new ArgumentException("There is no run to compare.", nameof(runs));
        }

        Array.ForEach(all, Check);
        FSharpList<Registered> known = ListModule.OfSeq(KnownEnvironments.With(all.Select(run => run.Plan)));
        return new(ComparedRuns.page(known, ListModule.OfSeq(all.Select(run => Compared(known, run)))));
    }

    /// <summary>
    /// Creates the page of runs that the command <c>funtrpo</c> has made, from the files in their folders. Runs that differ in nothing but
    /// the seed are a group. The files are only read, and the page names the folders from the current one.
    /// </summary>
    /// <param name="folders">Folders of runs, and folders that have those of runs at most three levels below.</param>
    /// <param name="plans">
    /// Plans with the environments of the runs that are not those of the library: their goals and tuned options are then known.
    /// </param>
    /// <exception cref="IOException">A folder has no run (<see cref="DirectoryNotFoundException"/>), or a file cannot be read.</exception>
    /// <exception cref="InvalidDataException">A file is damaged.</exception>
    public static ComparePage FromFolders(IEnumerable<string> folders, params IEnumerable<TrainingPlan> plans)
    {
        ArgumentNullException.ThrowIfNull(folders);
        ArgumentNullException.ThrowIfNull(plans);
        FSharpList<Registered> known = ListModule.OfSeq(KnownEnvironments.With(plans));
        return FileErrors.AsIOException(() =>
        {
            IEnumerable<string> found = folders.SelectMany(RunsIn).DistinctBy(Path.GetFullPath);
            return new ComparePage(
                ComparedRuns.ofFolders(known, Directory.GetCurrentDirectory(), ListModule.OfSeq(found)).OrThrow()
            );
        });
    }

    /// <summary>Returns the page as HTML. It loads nothing from anywhere.</summary>
    public string ToHtml() => ComparePageModule.html(page);

    /// <summary>Writes the page to a file, such as <c>compare.html</c>, and replaces the file if it exists.</summary>
    /// <exception cref="IOException">The file cannot be written. The old file is unchanged.</exception>
    public void Save(string path) => PageFile.Save(path, ToHtml());

    private static FSharpList<string> RunsIn(string folder)
    {
        FSharpResult<FSharpList<string>, Fault> found = ComparedRuns.foldersIn(folder);
        return found.IsOk
            ? found.ResultValue
            : throw new DirectoryNotFoundException($"{FaultModule.message(found.ErrorValue)}.");
    }

    private static void Check(ComparedRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        ArgumentException.ThrowIfNullOrWhiteSpace(run.Label);
        ArgumentNullException.ThrowIfNull(run.Plan);
        ArgumentNullException.ThrowIfNull(run.Result);
    }

    private static Plots.ComparedRun Compared(FSharpList<Registered> known, ComparedRun run) =>
        ComparedRuns.ofRecord(
            known,
            run.Label,
            "",
            OptionModule.OfNullable(run.Score),
            RunOfResult.Record(run.Plan, run.Result)
        );
}
