using FunTrpo.CSharp;

/// <summary>The crane can draw itself, for the report of a run.</summary>
partial class Crane : IPicturedEnvironment
{
    /// <summary>The rail, the goal, the trolley, the rope and the load, in metres.</summary>
    public Picture Draw()
    {
        Point trolley = new(position, 0);
        Point load = new(LoadPosition, -Rope * Math.Cos(angle));
        return new(
            left: -RailEnd - 1,
            right: RailEnd + 1,
            bottom: -Rope - 1,
            top: 1,
            Shape.Line(0.05, Colour.Goal, new(0, -Rope - 1), new(0, 1)),
            Shape.Line(0.1, Colour.Muted, new(-RailEnd, 0), new(RailEnd, 0)),
            Shape.Line(0.05, Colour.Ink, trolley, load),
            Shape.Rectangle(new(position - 0.4, -0.2), new(position + 0.4, 0.2), Colour.Body),
            Shape.Circle(load, 0.3, Colour.Accent)
        );
    }
}
