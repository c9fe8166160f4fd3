using System.Globalization;
using FunTrpo.CSharp;

// Trains a policy to drive the crane, with one seed. A number as argument trains with that many seeds.
CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
int seeds = args.Length > 0 ? int.Parse(args[0]) : 1;

TrainingPlan plan = Trpo.For(() => new Crane())
    .With(options =>
        options with
        {
            TotalSteps = 100_000,
            Environments = 32, // cranes side by side
            Horizon = Crane.MoveSteps, // an iteration is a whole move of each crane
            Gamma = 0.98, // looks about 50 steps, or 5 s, ahead
            Delta = 0.03, // larger than usual, which this task tolerates
            CriticSteps = 1,
            NormaliseObservations = false, // metres and radians are already about 1 in size
        }
    );

bool allReached = true;
Policy policy = plan.Start().Policy;
Console.WriteLine($"before training: {Trial.Of(policy)}");
Console.WriteLine($"driven by rule:  {Trial.Of(Rule.Drive)}");
for (int seed = 1; seed <= seeds; seed++)
{
    TrainingResult result = await plan.With(options => options with { Seed = seed }).TrainAsync();
    policy = result.Policy;
    Trial trial = Trial.Of(policy);
    allReached &= trial.IsReached;
    Console.WriteLine($"trained, seed {seed}: {trial} ({result.Elapsed.TotalSeconds:F1} s of training)");
}

// A policy is a file. This is all that a program needs to act with it.
policy.Save("crane.policy");
Policy driver = Policy.Load("crane.policy");
float[] action = new float[1];
Crane crane = new();
float[] observation = crane.Reset(seed: 35);
Console.WriteLine();
Console.WriteLine("One move of the trained policy; T is the trolley, o the load, and the goal is in the middle:");
for (int step = 0; step <= 48; step++)
{
    if (step % 3 == 0)
    {
        Console.WriteLine($"{step / 10.0, 5:F1} s  {Picture(crane)}");
    }

    driver.Act(observation, action);
    observation = crane.Step(action).Observation;
}

return allReached ? 0 : 1;

static string Picture(Crane crane)
{
    char[] rail = new string(' ', 61).ToCharArray();
    rail[30] = '|';
    rail[Column(crane.LoadPosition)] = 'o';
    rail[Column(crane.TrolleyPosition)] = 'T';
    return new string(rail).TrimEnd();

    static int Column(double position) => Math.Clamp((int)Math.Round(30 + (5 * position)), 0, 60);
}
