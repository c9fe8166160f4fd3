using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Xunit;

namespace FunTrpo.CSharp.Tests;

public sealed class EnvironmentFacts
{
    public void An_exception_comes_back_with_where_it_was_and_the_last_good_state()
    {
        InvalidOperationException crash = new("the crane fell over");
        foreach (int threads in new[] { 1, 2, 4 })
        {
            int made = 0;
            TrainingPlan plan = Trpo.For(() => new Accident(made++, 120, _ => throw crash), "Crane")
                .Short()
                .With(o => o with { Threads = threads });
            EnvironmentException error = Assert.Throws<EnvironmentException>(() => plan.Train());
            Assert.Equal("Crane", error.EnvironmentName);
            Assert.Equal(0, error.Instance);
            Assert.Equal(120, error.Step);
            Assert.Same(crash, error.InnerException);
            Assert.Contains("the crane fell over", error.Message, StringComparison.Ordinal);
            Assert.Equal(2, error.State!.Iteration);
            Assert.Equal(400, error.State.Steps);
            Assert.InRange(error.State.Policy.Act([0f, 0f]), 0, 1);
        }
    }

    public void The_state_before_an_exception_can_be_gone_on_from()
    {
        int made = 0;
        TrainingPlan plan = Trpo.For(() => new Accident(made++, 120, _ => throw new TimeoutException()), "Line")
            .Short();
        TrainingState good = Assert.Throws<EnvironmentException>(() => plan.Train()).State!;

        // The simulator that failed is gone, and another one is brought to where it stood.
        TrainingState next = good.Next().State;
        List<TrainingState> undisturbed = Trpo.For(() => new Line(), "Line").Short().States(4);
        Assert.Equal(undisturbed[2].Policy.ToJson(), good.Policy.ToJson());
        Assert.Equal(undisturbed[3].Policy.ToJson(), next.Policy.ToJson());
    }

    public void What_is_not_as_the_spaces_say_is_refused_where_it_happens()
    {
        Refused("3 numbers", result => result with { Observation = [1, 2, 3] });
        Refused("null", result => result with { Observation = null! });
        Refused("observation", result => result with { Observation = [float.NaN, 0] });
        Refused("observation", result => result with { Observation = [0, float.PositiveInfinity] });
        Refused("reward", result => result with { Reward = double.NaN });

        static void Refused(string what, Func<StepResult, StepResult> accident)
        {
            int made = 0;
            TrainingPlan plan = Trpo.For(() => new Accident(made++, 70, accident)).Short();
            EnvironmentException error = Assert.Throws<EnvironmentException>(() => plan.Train());
            Assert.Contains(what, error.Message, StringComparison.Ordinal);
            Assert.Equal(70, error.Step);
            Assert.Equal(1, error.State!.Iteration);
        }
    }

    public void What_cannot_begin_is_refused_too()
    {
        Begins(() => throw new TimeoutException("no licence"), "no licence");
        Begins(() => null!, "null");
        Begins(() => new Broken { Observations = null! }, "no observation space");
        Begins(() => new Broken { Actions = null! }, "action space");
        Begins(() => new Broken { OnReset = () => throw new TimeoutException("no power") }, "no power");
        Begins(() => new Broken { OnReset = () => [1] }, "1 numbers");
        Begins(() => new Broken { OnReset = () => null! }, "null");
        Begins(() => new Broken { OnReset = () => [float.NaN, 0] }, "observation");

        static void Begins(Func<Broken> factory, string what)
        {
            EnvironmentException error = Assert.Throws<EnvironmentException>(() =>
                Trpo.For(factory, "Broken").Short().Train()
            );
            Assert.Contains(what, error.Message, StringComparison.Ordinal);
            Assert.Equal("Broken", error.EnvironmentName);
            Assert.Equal(0, error.Instance);
            Assert.Equal(0, error.Step);
        }
    }

    public void An_evaluation_says_where_it_failed()
    {
        Policy policy = Plans.ShortLine().Train().Policy;
        int made = 0;
        EnvironmentException error = Assert.Throws<EnvironmentException>(() =>
            Trpo.For(() => new Accident(made++, 5, _ => throw new TimeoutException("too slow")))
                .With(o => o with { Threads = 1 })
                .Evaluate(policy, 3)
        );
        Assert.Equal(5, error.Step);
        Assert.IsType<TimeoutException>(error.InnerException);
    }

    public void Each_is_used_by_one_thread_at_a_time_and_disposed_of_at_the_end()
    {
        Watch watch = new();
        TrainingResult result = Trpo.For(watch.Make)
            .Short()
            .With(o => o with { Environments = 7, Threads = 4 })
            .Train();
        Assert.Equal(0, watch.Collisions);
        Assert.Equal(7, watch.Made);
        Assert.Equal(7, watch.Disposed.Distinct().Count());

        // The result can be gone on from: others are made.
        TrainingState next = result.State.Next().State;
        Assert.Equal(14, watch.Made);
        next.ReleaseEnvironments();
        Assert.Equal(14, watch.Disposed.Distinct().Count());
    }

    public void Are_made_by_one_thread_at_a_time()
    {
        int busy = 0;
        int collisions = 0;
        int port = 0;
        ConcurrentBag<int> ports = [];
        TrainingPlan plan = Trpo.For(() =>
            {
                collisions += Interlocked.Increment(ref busy) == 1 ? 0 : 1;
                ports.Add(port++);
                Thread.Sleep(2);
                Interlocked.Decrement(ref busy);
                return new Line();
            })
            .Short()
            .With(o => o with { Environments = 8, Threads = 8 });
        List<TrainingState> states = plan.States(3);

        // To go on a second time takes eight more, which eight threads would make at once.
        Parallel.For(0, 4, _ => Assert.Equal(states[2], states[1].Next().State));
        Assert.Equal(0, collisions);
        Assert.True(port >= 16, $"{port} were made");
        Assert.Equal(Enumerable.Range(0, port), ports.Order());
    }

    public void Whoever_made_them_elsewhere_disposes_of_them()
    {
        Watch watch = new();
        TrainingPlan plan = Trpo.For(watch.Make, dispose: false).Short();
        TrainingState state = plan.Train().State;
        state.Next();
        state.ReleaseEnvironments();
        plan.Evaluate(state.Policy, 2);
        Assert.Empty(watch.Disposed);
        int disposed = 0;
        Trpo.For(
                () => new Broken { OnReset = () => throw new TimeoutException(), OnDispose = () => disposed++ },
                dispose: false
            )
            .Short()
            .Start();
        Assert.Equal(0, disposed);
    }

    public void One_that_fails_is_disposed_of_at_once()
    {
        int made = 0;
        List<int> disposed = [];
        TrainingState state = Trpo.For(() => new Breaking(made++, disposed)).Short().Start();
        Assert.Throws<EnvironmentException>(() => state.Next());
        Assert.Equal([0], disposed);
        state.ReleaseEnvironments();
        Assert.Equal([0, 1, 2, 3], disposed.Order());
    }

    public void Those_that_are_refused_are_disposed_of()
    {
        int disposed = 0;
        Broken Make(Space observations, Space actions) =>
            new()
            {
                Observations = observations,
                Actions = actions,
                OnDispose = () =>
                {
                    disposed++;
                    throw new InvalidOperationException("cannot close"); // which hides nothing
                },
            };

        // What set-up refuses: no space, more indices than tables can hold, a policy for something else.
        Space two = Space.Box(2, -9, 9);
        Throws<EnvironmentException>(1, Trpo.For(() => Make(two, null!)));
        Throws<EnvironmentException>(1, Trpo.For(() => Make(null!, Space.Discrete(2))));
        Throws<ArgumentException>(1, Trpo.For(() => Make(Space.Discrete(1 << 24), Space.Discrete(2))));
        Policy other = Trpo.For("CartPole-v1").Short().Start().Policy;
        Throws<ArgumentException>(1, Trpo.For(() => Make(two, Space.Discrete(2))).StartingFrom(other));
        disposed = 0;
        Assert.Throws<ArgumentException>(() => Trpo.For(() => Make(two, Space.Discrete(2))).Evaluate(other));
        Assert.Equal(1, disposed);

        // The second one is not as the first.
        int made = 0;
        Throws<EnvironmentException>(2, Trpo.For(() => Make(two, Space.Discrete(2 + made++))));

        void Throws<T>(int count, TrainingPlan plan)
            where T : Exception
        {
            disposed = 0;
            Assert.Throws<T>(() => plan.Short().Train());
            Assert.Equal(count, disposed);
        }
    }

    public void May_train_in_its_steps_while_it_holds_what_others_wait_for()
    {
        if (Environment.ProcessorCount == 1)
        {
            return; // Nobody helps anybody.
        }

        TimeSpan patience = TimeSpan.FromMinutes(1);
        using SemaphoreSlim door = new(1);
        using ManualResetEventSlim isHelped = new();
        using ManualResetEventSlim neighbourIsAtTheDoor = new();
        int holder = 0;

        // What is trained inside takes two threads: the one that holds the door, and one that helps it and is the last to be ready.
        TrainingPlan inner = Of(
            2,
            () =>
            {
                if (Environment.CurrentManagedThreadId == holder)
                {
                    isHelped.Wait(patience);
                }
                else
                {
                    isHelped.Set();
                    neighbourIsAtTheDoor.Wait(patience);
                    Thread.Sleep(100);
                }
            }
        );
        TrainingPlan outer = Of(
            1,
            () =>
            {
                door.Wait();
                holder = Environment.CurrentManagedThreadId;
                inner.Train();
                door.Release();
            }
        );

        // A neighbour, all of whose environments have to go through the door: more than there are threads to wait there.
        TrainingPlan neighbour = Of(
            64,
            () =>
            {
                neighbourIsAtTheDoor.Set();
                door.Wait();
                door.Release();
            }
        );
        Task[] trainings =
        [
            outer.TrainAsync(),
            Task.Run(() =>
            {
                isHelped.Wait(patience);
                neighbour.Train();
            }),
        ];
        Assert.True(Task.WaitAll(trainings, patience), "no thread waits for a door that it holds itself");

        static TrainingPlan Of(int environments, Action inStep) =>
            Trpo.For(() => new Busy(inStep))
                .Short()
                .With(o =>
                    o with
                    {
                        Environments = environments,
                        Threads = environments,
                        Horizon = 1,
                        TotalSteps = environments,
                    }
                );
    }

    public void Branches_need_few_simulators_and_leave_them_to_those_that_follow()
    {
        Watch watch = new();
        TrainingResult result = Trpo.For(watch.Make)
            .Short()
            .With(o =>
                o with
                {
                    Environments = 5,
                    Horizon = 7,
                    Branches = 2,
                    BranchSteps = 6,
                    TotalSteps = 2000,
                    Threads = 4,
                }
            )
            .Train();
        Assert.InRange(result.State.Iteration, 10, 100);
        Assert.Equal(0, watch.Collisions);
        Assert.InRange(watch.Made, 5, 10); // one for the rollout and one for the branch of each
        Assert.Equal(watch.Made, watch.Disposed.Distinct().Count());
    }

    public void One_that_fails_is_disposed_of_at_once_and_the_others_at_the_end()
    {
        foreach (
            Action<Fragile> accident in new Action<Fragile>[]
            {
                _ => throw new TimeoutException(),
                it => it.Shows = [1],
            }
        )
        {
            foreach (int reset in new[] { 2, 3 })
            {
                Fails(it =>
                    it.BeforeReset = number =>
                    {
                        if (number == reset)
                            accident(it);
                    }
                );
            }

            foreach (int step in new[] { 1, 39, 40, 41, 130 })
            {
                Fails(it =>
                    it.BeforeStep = number =>
                    {
                        if (number == step)
                            accident(it);
                    }
                );
            }
        }

        static void Fails(Action<Fragile> prepare)
        {
            Watch watch = new();
            List<Fragile> all = [];
            TrainingPlan plan = Trpo.For(() =>
                {
                    all.Add(new Fragile(watch));
                    if (all.Count == 2)
                    {
                        prepare(all[1]);
                    }

                    return all[^1];
                })
                .Short()
                .With(o => o with { Threads = 1 });
            TrainingState state = plan.Start();
            Assert.Empty(watch.Disposed);
            Assert.Throws<EnvironmentException>(() =>
            {
                while (state.Iteration < 10)
                {
                    state = state.Next().State;
                }
            });
            Assert.Same(all[1], Assert.Single(watch.Disposed));
            state.ReleaseEnvironments();
            Assert.Equal(all.Count, watch.Disposed.Count);
            Assert.Equal(all.Count, watch.Disposed.Distinct().Count());
        }
    }

    public void A_simulator_whose_randomness_does_not_come_from_the_seed_cannot_be_continued_twice()
    {
        TrainingPlan plan = Trpo.For(() => new Unseeded()).Short();
        List<TrainingState> states = plan.States(3); // to go on once is fine
        EnvironmentException error = Assert.Throws<EnvironmentException>(() => states[1].Next());
        Assert.Contains("seed", error.Message, StringComparison.Ordinal);
        Assert.Same(states[1], error.State);
    }

    public void Continuous_actions_arrive_inside_their_space()
    {
        TrainingResult result = Trpo.For(() => new PushedLine())
            .Short()
            .With(o => o with { InitialLogSigma = 2 })
            .Train();
        float[] action = new float[2];
        result.Policy.Act([0.5f], action);
        Assert.True(result.Policy.ActionSpace.Contains(action));
    }

    public void Actions_in_physical_units_are_learned_as_well_as_others()
    {
        foreach ((float low, float high) in new[] { (-1f, 1f), (0f, 2000f), (500f, 600f), (0f, 1e-3f) })
        {
            TrainingPlan plan = Trpo.For(() => new Dial(low, high)).With(o => o with { TotalSteps = 15_000 });
            double score = plan.Evaluate(plan.Train().Policy).Mean;
            Assert.True(score > -3, $"{score} between {low} and {high}");
            Assert.InRange(plan.Evaluate(plan.Start().Policy).Mean, -30, -5);
        }
    }

    public void An_action_is_an_index_or_numbers_and_says_so()
    {
        Assert.Equal(3, new AgentAction(3).Index);
        Assert.Equal([1f, 2f], new AgentAction([1f, 2f]).Values.ToArray());
        Assert.Equal(2f, new AgentAction([1f, 2f])[1]);
        Assert.Contains("action[i]", Thrown(() => _ = new AgentAction([1f]).Index), StringComparison.Ordinal);
        Assert.Contains("action.Index", Thrown(() => _ = new AgentAction(1)[0]), StringComparison.Ordinal);

        static string Thrown(Action action) => Assert.Throws<InvalidOperationException>(action).Message;
    }

    public void Each_instance_is_another_one_with_the_same_spaces()
    {
        Line one = new();
        Fails(Trpo.For(() => one), "same instance");
        int made = 0;
        Fails(Trpo.For(() => new Broken { Actions = Space.Discrete(2 + (made++ % 2)) }), "spaces");
        Fails(
            Trpo.For(() => new Broken { Observations = Space.MultiDiscrete(3, 3), OnReset = () => [1, 3] }),
            "[1, 3]"
        );

        static void Fails(TrainingPlan plan, string what) =>
            Assert.Contains(
                what,
                Assert.Throws<EnvironmentException>(() => plan.Short().Train()).Message,
                StringComparison.Ordinal
            );
    }

    public void Is_known_by_the_name_of_its_class()
    {
        Func<IEnvironment> factory = () => new Line();
        Assert.Equal("Line", Trpo.For(factory).Short().Start().EnvironmentName);
        Assert.Equal("Track", Trpo.For(factory, "Track").Short().Start().EnvironmentName);
    }

    public void What_is_thrown_when_it_is_disposed_of_hides_nothing()
    {
        int disposed = 0;
        TrainingPlan plan = Trpo.For(() => new Stubborn(() => disposed++)).Short();
        TrainingException error = Assert.Throws<TrainingException>(() => plan.Train());
        Assert.Equal(4, disposed);
        Assert.Equal("cannot close", error.InnerException!.Message);
        Assert.Equal(5, error.State!.Iteration);

        TimeoutException first = new();
        TrainingPlan failing = plan.OnIteration(_ => throw first);
        Assert.Same(first, Assert.Throws<TrainingException>(() => failing.Train()).InnerException);
        Assert.Equal(8, disposed);
    }

    public void Choices_and_switches_arrive_as_indices()
    {
        foreach (Space actions in new[] { Space.MultiDiscrete(2, 3), Space.MultiBinary(2) })
        {
            Broken.Seen = [];
            TrainingResult result = Trpo.For(() => new Broken { Actions = actions }).Short().Train();
            Assert.All(Broken.Seen, action => Assert.True(actions.Contains(action)));
            int[] indices = new int[2];
            result.Policy.Act([0, 0], indices);
            Assert.True(actions.Contains([indices[0], indices[1]]));
        }
    }

    public void A_time_limit_truncates()
    {
        foreach (TrainingPlan plan in new[] { Plans.ShortLine(), Trpo.For("CartPole-v1").Short() })
        {
            TrainingState state = plan.WithTimeLimit(5).Train().State;
            Assert.InRange(state.Episodes, 200, 250);
            Scores scores = plan.WithTimeLimit(5).Evaluate(state.Policy, 3);
            Assert.InRange(scores.Max, -50, 5);
        }
    }

    public void Learns()
    {
        TrainingPlan plan = Trpo.For(() => new Line()).With(o => o with { TotalSteps = 15_000, Seed = 1 });
        double before = plan.Evaluate(plan.Start().Policy).Mean;
        double after = plan.Evaluate(plan.Train().Policy).Mean;
        Assert.True(after > -5.0, $"from {before} to {after}");
        Assert.True(before < -7.0, $"from {before} to {after}");
    }

    public void Can_be_tried_without_training()
    {
        Line line = new();
        line.Reset(1);
        StepResult result = line.Step(1);
        Assert.Equal(2, result.Observation.Length);
        PushedLine pushed = new();
        pushed.Reset(0);
        Assert.Equal(-0.8f, pushed.Step(new[] { 1f, 0f }).Observation[0], 1e-6f);
        Assert.Throws<InvalidOperationException>(() => pushed.Step(new[] { 7f, 0f }));
    }

    /// <summary>A dial that is to be put where a hand points, between two bounds.</summary>
    private sealed class Dial(float low, float high) : IEnvironment
    {
        private Random random = new(0);
        private float hand;
        private int time;

        public Space ObservationSpace { get; } = Space.Box(1, -1, 1);

        public Space ActionSpace { get; } = Space.Box(1, low, high);

        public float[] Reset(int seed)
        {
            random = new Random(seed);
            time = 0;
            return Point();
        }

        public StepResult Step(AgentAction action)
        {
            float turned = ((action[0] - low) / (high - low) * 2) - 1;
            float miss = Math.Abs(turned - hand);
            return new(Point(), -miss, Truncated: ++time == 20);
        }

        private float[] Point() => [hand = (1.6f * random.NextSingle()) - 0.8f];
    }

    private sealed class Stubborn(Action onDispose) : Line, IDisposable
    {
        public void Dispose()
        {
            onDispose();
            throw new InvalidOperationException("cannot close");
        }
    }

    private sealed class Busy(Action inStep) : Line
    {
        public override StepResult Step(AgentAction action)
        {
            inStep();
            return base.Step(action);
        }
    }

    /// <summary>The first one fails in its tenth step; all write down who was disposed of.</summary>
    private sealed class Breaking(int number, List<int> disposed) : Line, IDisposable
    {
        private int steps;

        public override StepResult Step(AgentAction action) =>
            ++steps == 10 && number == 0 ? throw new TimeoutException() : base.Step(action);

        public void Dispose() => disposed.Add(number);
    }

    /// <summary>A line to which something may happen whenever it is called.</summary>
    private sealed class Fragile(Watch watch) : Watched(watch)
    {
        private int resets;
        private int steps;

        public Action<int> BeforeReset { get; set; } = _ => { };

        public Action<int> BeforeStep { get; set; } = _ => { };

        /// <summary>Shown in the place of what there is to see.</summary>
        public float[]? Shows { get; set; }

        public override float[] Reset(int seed)
        {
            BeforeReset(++resets);
            float[] seen = base.Reset(seed);
            return Shows ?? seen;
        }

        public override StepResult Step(AgentAction action)
        {
            BeforeStep(++steps);
            StepResult result = base.Step(action);
            return result with { Observation = Shows ?? result.Observation };
        }
    }

    private sealed class Unseeded : Line
    {
        public override float[] Reset(int seed) => base.Reset(Random.Shared.Next());
    }

    private sealed class Broken : IEnvironment, IDisposable
    {
        private int time;

        public Action OnDispose { get; init; } = () => { };

        public static System.Collections.Concurrent.ConcurrentBag<float[]> Seen { get; set; } = [];

        public Func<float[]> OnReset { get; init; } = () => [0, 0];

        public Space Observations { get; init; } = Space.Box(2, -9, 9);

        public Space Actions { get; init; } = Space.Discrete(2);

        public Space ObservationSpace => Observations;

        public Space ActionSpace => Actions;

        public float[] Reset(int seed)
        {
            time = 0;
            return OnReset();
        }

        public void Dispose() => OnDispose();

        public StepResult Step(AgentAction action)
        {
            Seen.Add(Actions.Kind == SpaceKind.Discrete ? [action.Index] : action.Values.ToArray());
            return new([++time, 1], 1, Terminated: time == 9);
        }
    }
}
