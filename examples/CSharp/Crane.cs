using FunTrpo.CSharp;

/// <summary>
/// An overhead crane: a trolley on a rail, and a load that swings from it on a rope. The task is to bring the load to the middle of
/// the rail, quickly and without a swing.
/// </summary>
sealed partial class Crane : IEnvironment
{
    const double Gravity = 9.81; // m/s²
    const double Rope = 2.0; // m
    const double Drag = 0.05; // 1/s, drag on the swing
    const double Strongest = 2.0; // m/s², the largest acceleration of the trolley
    const double RailEnd = 6.0; // m, from the middle
    const double ControlTime = 0.1; // s, the duration of an action
    const int Substeps = 10;

    /// <summary>The steps of one move, which lasts 12 s.</summary>
    public const int MoveSteps = 120;

    double position; // m, of the trolley, from the middle of the rail
    double velocity; // m/s
    double angle; // rad, of the rope from the vertical
    double angularVelocity; // rad/s
    int step;

    /// <summary>Position and velocity of the trolley, angle and angular velocity of the rope.</summary>
    public Space ObservationSpace { get; } = Space.Box(4, float.NegativeInfinity, float.PositiveInfinity);

    /// <summary>The acceleration of the trolley as a fraction of the largest one, in either direction.</summary>
    public Space ActionSpace { get; } = Space.Box(1, -1, 1);

    /// <summary>m, from the middle of the rail</summary>
    public double TrolleyPosition => position;

    /// <summary>m, from the middle of the rail</summary>
    public double LoadPosition => position + Rope * Math.Sin(angle);

    /// <summary>m/s</summary>
    public double LoadSpeed => Math.Abs(velocity + Rope * angularVelocity * Math.Cos(angle));

    public float[] Reset(int seed)
    {
        // All randomness comes from the seed, so that training can be repeated.
        Random random = new(seed);
        position = random.NextDouble() * 10 - 5;
        velocity = 0;
        angle = random.NextDouble() * 0.2 - 0.1;
        angularVelocity = 0;
        step = 0;
        return See();
    }

    public StepResult Step(AgentAction action)
    {
        double acceleration = Strongest * action[0];
        for (int i = 0; i < Substeps; i++)
        {
            Move(acceleration, ControlTime / Substeps);
        }

        step++;

        // Each step costs the distance of the load from the goal and, near the goal, its speed.
        double distance = Math.Abs(LoadPosition);
        double unrest = LoadSpeed / (1 + 4 * distance);
        return new(See(), -distance - 0.5 * unrest, Truncated: step == MoveSteps);
    }

    /// <summary>
    /// The semi-implicit Euler method. The rope hangs from an accelerated point: θ̈ = −(g sin θ + a cos θ) / ℓ − c θ̇.
    /// </summary>
    void Move(double acceleration, double time)
    {
        velocity += acceleration * time;
        position += velocity * time;
        if (Math.Abs(position) > RailEnd)
        {
            position = Math.Clamp(position, -RailEnd, RailEnd);
            velocity = 0;
        }

        double pull = Gravity * Math.Sin(angle) + acceleration * Math.Cos(angle);
        angularVelocity += (-pull / Rope - Drag * angularVelocity) * time;
        angle += angularVelocity * time;
    }

    // A policy learns best from numbers of about the same size.
    float[] See() => [(float)(position / 3), (float)(velocity / 2), (float)(angle * 3), (float)angularVelocity];
}
