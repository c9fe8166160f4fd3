/// <summary>
/// A controller written by hand: it pushes towards the goal, against the velocity, and after the swing. Its gains are the best of a grid
/// of 1,440, by the same trial.
/// </summary>
static class Rule
{
    public static float Drive(float[] observation)
    {
        double position = 3 * observation[0]; // m
        double velocity = 2 * observation[1]; // m/s
        double angle = observation[2] / 3; // rad
        double angularVelocity = observation[3]; // rad/s
        double push = (-0.8 * position) - (1.2 * velocity) + (3.0 * angle) + (0.5 * angularVelocity);
        return (float)Math.Clamp(push, -1, 1);
    }
}
