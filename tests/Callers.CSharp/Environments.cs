using System;
using System.Threading;
using System.Threading.Tasks;
using FunTrpo.CSharp;

namespace Callers;

/// <summary>A point on a line, which is to be kept near 0: all that a C# caller needs for the command.</summary>
public class Rail : IEnvironment
{
    private float position;
    private int time;

    protected float Position => position;

    public Space ObservationSpace { get; } = Space.Box(1, -10, 10);

    public Space ActionSpace { get; } = Space.Discrete(2);

    public float[] Reset(int seed)
    {
        position = (seed % 2001 / 1000f) - 1;
        time = 0;
        return [position];
    }

    public StepResult Step(AgentAction action)
    {
        position += action.Index == 0 ? -0.1f : 0.1f;
        return new([position], -Math.Abs(position), Truncated: ++time == 20);
    }
}

/// <summary>The same, which draws itself.</summary>
public sealed class DrawnRail : Rail, IPicturedEnvironment
{
    public Picture Draw() =>
        new(
            -10,
            10,
            -1,
            1,
            Shape.Line(0.1, Colour.Muted, new(-10, 0), new(10, 0)),
            Shape.Circle(new(Position, 0), 0.5, Colour.Body)
        );
}

/// <summary>The same at a distance: its answers are awaited.</summary>
public sealed class DistantRail : IAsyncEnvironment
{
    private readonly Rail rail = new();

    public Space ObservationSpace => rail.ObservationSpace;

    public Space ActionSpace => rail.ActionSpace;

    public async ValueTask<float[]> ResetAsync(int seed, CancellationToken cancellation)
    {
        await Task.Yield();
        return rail.Reset(seed);
    }

    public async ValueTask<StepResult> StepAsync(ReadOnlyMemory<float> action, CancellationToken cancellation)
    {
        await Task.Yield();
        return rail.Step((int)action.Span[0]);
    }
}

/// <summary>An environment whose constructor fails.</summary>
public sealed class Unlicensed : Rail
{
    public Unlicensed() => throw new InvalidOperationException("no licence");
}

/// <summary>This needs a parameter, so the command cannot make it.</summary>
public sealed class Adjustable(int length) : Rail
{
    public int Length => length;
}
