using FunTrpo.Inference;
using Godot;

namespace Game;

/// <summary>A paddle that a trained policy moves to the ball.</summary>
public partial class Paddle : Node2D
{
    private const int ActionRepeat = 8; // that of the Sync node in training
    private readonly float[] observation = new float[2];
    private readonly float[] action = new float[1];
    private Policy policy = null!;
    private int frames;

    [Export]
    public Node2D Ball { get; set; } = null!;

    public override void _Ready() => policy = Policy.FromJson(FileAccess.GetFileAsString("res://policy.json"));

    public override void _PhysicsProcess(double delta)
    {
        if (frames++ % ActionRepeat == 0)
        {
            // The numbers of get_obs in training, in the same order.
            observation[0] = (Ball.Position.X - Position.X) / 100;
            observation[1] = (Ball.Position.Y - Position.Y) / 100;
            policy.Act(observation, action);
        }

        Position += new Vector2(300 * action[0] * (float)delta, 0);
    }
}
