using System;
using System.Text.Json;
using Xunit;

namespace FunTrpo.CSharp.Tests;

public sealed class SpaceFacts
{
    public void Tells_what_it_is()
    {
        Space box = Space.Box([-1, float.NegativeInfinity], [1, 5]);
        Assert.Equal(SpaceKind.Box, box.Kind);
        Assert.Equal([-1, float.NegativeInfinity], box.Low);
        Assert.Equal([1, 5], box.High);
        Assert.Empty(box.Counts);
        Assert.True(box.Contains([0, -1e9f]));
        Assert.False(box.Contains([0, 6]));
        Assert.Equal(Space.Box(2, -3, 3), Space.Box([-3, -3], [3, 3]));
        Assert.NotEqual(Space.Box(2, -3, 3), Space.Box(1, -3, 3));
        Assert.Equal([2], box.Shape);

        Space choices = Space.MultiDiscrete(2, 5);
        Assert.Equal(SpaceKind.MultiDiscrete, choices.Kind);
        Assert.Equal([2, 5], choices.Counts);
        Assert.Equal([0, 0], choices.Low);
        Assert.Equal([1, 4], choices.High);
        Assert.Equal("MultiDiscrete(2, 5)", choices.ToString());

        Assert.Equal(SpaceKind.Discrete, Space.Discrete(3).Kind);
        Assert.Equal(1, Space.Discrete(3).Width);
        Assert.Equal([3], Space.Discrete(3).Counts);
        Assert.Equal(SpaceKind.MultiBinary, Space.MultiBinary(4).Kind);
        Assert.Equal([2, 2, 2, 2], Space.MultiBinary(4).Counts);
        Assert.Equal(Space.Discrete(3).GetHashCode(), Space.Discrete(3).GetHashCode());
    }

    public void Has_parts()
    {
        Space hand = Space.Parts(new("finger", Space.Box(2, -1, 1)), new("grip", Space.Discrete(3)));
        Space robot = Space.Parts(new("lamps", Space.MultiBinary(2)), new("hand", hand));
        Assert.Equal(SpaceKind.Parts, robot.Kind);
        Assert.Equal(5, robot.Width);
        Assert.Equal([0, 0, -1, -1, 0], robot.Low);
        Assert.Equal([1, 1, 1, 1, 2], robot.High);
        Assert.Empty(robot.Counts);
        Assert.Equal([5], robot.Shape);
        Assert.Equal(2..5, robot.RangeOf("hand"));
        Assert.Equal(4..5, robot.RangeOf("hand/grip"));
        Assert.Equal(Space.Discrete(3), robot.Part("hand/grip"));
        Assert.Equal([new SpacePart("lamps", Space.MultiBinary(2)), new("hand", hand)], robot.PartsInOrder);
        Assert.Empty(Space.Discrete(3).PartsInOrder);
        Assert.Equal("Parts(finger: Box(2; [-1, 1]), grip: Discrete(3))", hand.ToString());
        Assert.True(robot.Contains([1, 0, 0.5f, -1, 2]));
        Assert.False(robot.Contains([1, 0, 0.5f, -1, 3]));

        Assert.Equal(robot, JsonSerializer.Deserialize<Space>(JsonSerializer.Serialize(robot)));
        Assert.Equal(robot, Space.Parts(new("lamps", Space.MultiBinary(2)), new("hand", hand)));
        Assert.NotEqual(robot, Space.Parts(new("hand", hand), new("lamps", Space.MultiBinary(2))));

        Assert.Throws<ArgumentException>(() => robot.RangeOf("finger"));
        Assert.Throws<ArgumentException>(() => robot.Part("hand/thumb"));
        Assert.Throws<ArgumentException>(() => Space.Parts());
        Assert.Throws<ArgumentException>(() => Space.Parts(new SpacePart("a b", hand)));
        Assert.Throws<ArgumentException>(() => Space.Parts(new("a", hand), new("a", hand)));
        Assert.Throws<ArgumentNullException>(() => Space.Parts(default(SpacePart)));
        Space deep = hand;
        for (int level = 2; level <= 16; level++)
        {
            deep = Space.Parts(new SpacePart("inside", deep));
        }

        Assert.Throws<ArgumentException>(() => Space.Parts(new SpacePart("inside", deep)));
    }

    public void Has_a_shape()
    {
        Space picture = Space.Box([10, 8, 4], 0, 1);
        Assert.Equal(320, picture.Width);
        Assert.Equal([10, 8, 4], picture.Shape);
        Assert.Equal("Box(10 × 8 × 4; [0, 1])", picture.ToString());
        Assert.Equal(picture, Space.Box(320, 0, 1).WithShape(10, 8, 4));
        Assert.NotEqual(picture, Space.Box(320, 0, 1));
        Assert.Equal([1], Space.Discrete(3).Shape);
        Assert.Equal([2], Space.MultiDiscrete(2, 5).Shape);

        Assert.Throws<ArgumentException>(() => Space.Box(320, 0, 1).WithShape(10, 8, 5));
        Assert.Throws<ArgumentException>(() => Space.Box(320, 0, 1).WithShape());
        Assert.Throws<ArgumentException>(() => Space.Box(2, 0, 1).WithShape(-1, -2));
        Assert.Throws<InvalidOperationException>(() => Space.Discrete(4).WithShape(2, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => Space.Box([10, 0, 4], 0, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => Space.Box([65536, 65536, 65536], 0, 1));
        Assert.Throws<ArgumentException>(() => Space.Box(ReadOnlySpan<int>.Empty, 0, 1));
    }

    public void Has_elements()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => Space.Discrete(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => Space.Discrete(int.MaxValue));
        Assert.Throws<ArgumentOutOfRangeException>(() => Space.MultiBinary(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => Space.MultiDiscrete(2, 0));
        Assert.Throws<ArgumentException>(() => Space.MultiDiscrete());
        Assert.Throws<ArgumentOutOfRangeException>(() => Space.Box(0, -1, 1));
        Assert.Throws<ArgumentException>(() => Space.Box(1, 1, -1));
        Assert.Throws<ArgumentException>(() => Space.Box(1, float.NaN, 1));
        Assert.Throws<ArgumentException>(() => Space.Box([1], [1, 2]));
        Assert.Throws<ArgumentException>(() => Space.Box([], []));
        Assert.Throws<ArgumentException>(() => Space.Box(1, float.PositiveInfinity, float.PositiveInfinity));
        Assert.Throws<ArgumentException>(() => Space.Box(1, float.NegativeInfinity, float.NegativeInfinity));
        Assert.Throws<ArgumentOutOfRangeException>(() => Space.MultiBinary(1_000_000_000));
        Assert.Throws<ArgumentOutOfRangeException>(() => Space.MultiDiscrete(2, int.MaxValue));
        Assert.Throws<ArgumentOutOfRangeException>(() => Space.Box(1_000_000_000, -1, 1));
        Assert.Equal(1, Space.Box(1, float.MinValue, float.MaxValue).Width);
    }
}
