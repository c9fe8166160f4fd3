using System;
using System.IO;
using System.Threading.Tasks;
using FunTrpo.TensorBoard;
using Xunit;

namespace FunTrpo.CSharp.Tests;

/// <summary>Writing event files, as its callers do it. What is in the files is tested in <c>TensorBoardTests.fs</c>.</summary>
public sealed class TensorBoardFacts
{
    public async Task Writes_what_a_plan_reports()
    {
        string folder = Directory.CreateTempSubdirectory("funtrpo-").FullName;
        string current = Directory.GetCurrentDirectory();
        Directory.SetCurrentDirectory(folder);
        try
        {
            TrainingPlan plan = Plans.ShortLine().EvaluateEvery(500, episodes: 2);

            using TensorBoardWriter writer = new("runs/line");
            TrainingResult result = await plan.OnIteration(writer.Write).OnEvaluation(writer.Write).TrainAsync();
            writer.Write("line/parameters", result.State.Steps, result.Policy.ParameterCount);

            Assert.Equal(Path.GetFullPath("runs/line"), Path.GetDirectoryName(writer.Path));
            string content = File.ReadAllText(writer.Path, System.Text.Encoding.Latin1);
            Assert.Contains("rollout/ep_rew_mean", content);
            Assert.Contains("eval/mean_reward", content);
            Assert.Contains("line/parameters", content);
        }
        finally
        {
            Directory.SetCurrentDirectory(current);
            Directory.Delete(folder, recursive: true);
        }
    }

    public void Continues_in_another_file()
    {
        string folder = Directory.CreateTempSubdirectory("funtrpo-").FullName;
        try
        {
            TrainingState state = Plans.ShortLine().Start().Next().State;
            using TensorBoardWriter first = new(folder);
            using TensorBoardWriter second = new(folder, after: state.Steps);
            Assert.True(string.CompareOrdinal(first.Path, second.Path) < 0, "TensorBoard reads it later");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    public void Refuses_what_it_cannot_write()
    {
        string folder = Directory.CreateTempSubdirectory("funtrpo-").FullName;
        try
        {
            string file = Path.Combine(folder, "file");
            File.WriteAllText(file, "");
            Assert.ThrowsAny<IOException>(() => new TensorBoardWriter(file));
            Assert.Throws<ArgumentException>(() => new TensorBoardWriter(""));
            Assert.Throws<ArgumentNullException>(() => new TensorBoardWriter(null!));
            Assert.Throws<ArgumentOutOfRangeException>(() => new TensorBoardWriter(folder, after: -1));
            using TensorBoardWriter writer = new(folder);
            Assert.Throws<ArgumentNullException>(() => writer.Write((IterationReport)null!));
            Assert.Throws<ArgumentNullException>(() => writer.Write((TrainingEvaluation)null!));
            Assert.Throws<ArgumentException>(() => writer.Write("", 1, 1));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
