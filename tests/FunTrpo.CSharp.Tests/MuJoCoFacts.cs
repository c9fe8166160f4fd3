using System;
using System.IO;
using System.Linq;
using FunTrpo.MuJoCo.CSharp;
using FunTrpo.MuJoCo.Engine;
using Xunit;

namespace FunTrpo.CSharp.Tests;

public sealed class MuJoCoFacts
{
    private const string Model = """
        <mujoco model="arm">
          <option integrator="RK4" timestep="0.01"/>
          <worldbody>
            <body pos="0 0 1">
              <joint name="shoulder" axis="0 1 0" armature="0.1" damping="2"/>
              <geom type="capsule" size="0.05" fromto="0 0 0 0 0 -0.4"/>
              <site name="hand" pos="0 0 -0.4"/>
            </body>
          </worldbody>
          <actuator>
            <motor joint="shoulder" gear="20" ctrllimited="true" ctrlrange="-1 1"/>
          </actuator>
        </mujoco>
        """;

    sealed class Arm(string modelFile) : MuJoCoEnvironment(modelFile, frameSkip: 5, limit: 100)
    {
        protected override void Start(Random random)
        {
            foreach (ref double angle in Simulation.Qpos)
            {
                angle = 0.2 * random.NextDouble() - 0.1;
            }
        }

        protected override float[] Observe()
        {
            var (q, v) = (Simulation.Qpos.ToArray(), Simulation.Qvel.ToArray());
            return [.. q.SelectMany(a => new[] { (float)Math.Sin(a), (float)Math.Cos(a) }), .. v.Select(w => (float)w)];
        }

        protected override double Reward() => Simulation.SiteXpos[2] - 1.0;
    }

    public void Trains_on_a_model_of_its_own()
    {
        NeedEngine();
        string file = Path.Combine(Path.GetTempPath(), $"arm-{Guid.NewGuid():N}.xml");
        File.WriteAllText(file, Model);
        try
        {
            TrainingPlan plan = Trpo.For(() => new Arm(file))
                .With(options =>
                    options with
                    {
                        Environments = 8,
                        Horizon = 100,
                        TotalSteps = 40_000,
                        Gamma = 0.95,
                        Seed = 1,
                    }
                );
            Assert.Equal("Box(1; [-1, 1])", new Arm(file).ActionSpace.ToString());
            Assert.Equal(3, new Arm(file).ObservationSpace.Width);
            Assert.Empty(plan.Check());
            double before = plan.Evaluate(plan.Start().Policy, 10).Mean;
            double after = plan.Evaluate(plan.Train().Policy, 10).Mean;
            Assert.True(after > before + 20, $"The mean return was {before} before and {after} after training.");

            using Arm arm = new(file);
            arm.Reset(3);
            Picture first = arm.Draw();
            arm.Step(new float[] { 1f });
            Assert.NotEqual(first, arm.Draw());
        }
        finally
        {
            File.Delete(file);
        }
    }

    public void Has_the_nine_tasks()
    {
        Assert.Equal(9, MuJoCoTasks.Ids.Count);
        Assert.Equal("Hopper-v4", MuJoCoTasks.For("Hopper-v4").EnvironmentName);
        ArgumentException error = Assert.Throws<ArgumentException>(() => MuJoCoTasks.For("Hoper-v4"));
        Assert.Contains("Hopper-v4", error.Message, StringComparison.Ordinal);
    }

    public void Trains_on_a_task()
    {
        NeedEngine();
        TrainingResult result = MuJoCoTasks
            .For("Reacher-v4")
            .With(options => options with { TotalSteps = 2048, Seed = 100 })
            .Train();
        Assert.Equal(2048, result.State.Steps);
    }

    /// <summary>Without the engine, the test says that it did not run.</summary>
    private static void NeedEngine() => Assert.SkipWhen(Library.Missing is not null, Library.Missing ?? "");
}
