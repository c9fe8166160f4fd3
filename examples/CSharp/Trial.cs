using FunTrpo.CSharp;

/// <summary>The results of a driver in 100 moves from random positions.</summary>
/// <param name="Distance">m, from the goal to the load at the end of the worst move</param>
/// <param name="Speed">m/s, of the load at the end of the worst move</param>
/// <param name="Time">s, after which the load stays within 10 cm of the goal: the median move</param>
sealed record Trial(double Distance, double Speed, double Time)
{
    const double Near = 0.10; // m

    /// <summary>Whether every move ends within 10 cm of the goal, and slower than 10 cm/s.</summary>
    public bool IsReached => Distance < Near && Speed < 0.10;

    public static Trial Of(Policy policy)
    {
        float[] action = new float[1];
        return Of(observation =>
        {
            policy.Act(observation, action);
            return action[0];
        });
    }

    /// <summary>Drives 100 moves with a function from an observation to an action.</summary>
    public static Trial Of(Func<float[], float> driver)
    {
        double distance = 0;
        double speed = 0;
        List<double> times = [];
        for (int move = 0; move < 100; move++)
        {
            Crane crane = new();
            float[] observation = crane.Reset(seed: 1000 + move);
            int lastAway = 0;
            for (int step = 1; step <= Crane.MoveSteps; step++)
            {
                observation = crane.Step(new[] { driver(observation) }).Observation;
                if (Math.Abs(crane.LoadPosition) >= Near)
                {
                    lastAway = step;
                }
            }

            distance = Math.Max(distance, Math.Abs(crane.LoadPosition));
            speed = Math.Max(speed, crane.LoadSpeed);
            times.Add(0.1 * lastAway);
        }

        return new(distance, speed, times.Order().ElementAt(50));
    }

    public override string ToString() =>
        $"the worst move ends {100 * Distance, 5:F1} cm from the goal at {100 * Speed, 5:F1} cm/s; "
        + $"the load is there after {Time, 4:F1} s";
}
