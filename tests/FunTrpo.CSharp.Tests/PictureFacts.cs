using System;
using Xunit;

namespace FunTrpo.CSharp.Tests;

public sealed class PictureFacts
{
    public void Are_equal_if_they_show_the_same()
    {
        static Picture Drawn(double x) =>
            new(
                -1,
                1,
                0,
                2,
                Shape.Line(0.1, Colour.Ink, new(-1, 0), new(x, 0)),
                Shape.Circle(new(x, 1), 0.5, Colour.Body),
                Shape.Polygon(Colour.Goal, new(0, 0), new(1, 0), new(0, x)),
                Shape.Rectangle(new(0, 0), new(x, 1), Colour.Muted),
                Shape.Text(new(x, 0), 0.2, "x", Colour.Accent)
            );

        Assert.Equal(Drawn(0.5), Drawn(0.5));
        Assert.Equal(Drawn(0.5).GetHashCode(), Drawn(0.5).GetHashCode());
        Assert.NotEqual(Drawn(0.5), Drawn(0.6));
        Assert.Equal("x -1 … 1, y 0 … 2: 5 shapes", Drawn(0.5).ToString());
        Assert.NotEqual(Shape.Circle(new(0, 0), 1, Colour.Body), Shape.Circle(new(0, 0), 1, Colour.Goal));
        Assert.Equal(
            Shape.Rectangle(new(0, 0), new(2, 1), Colour.Body),
            Shape.Polygon(Colour.Body, new(0, 0), new(2, 0), new(2, 1), new(0, 1))
        );
    }

    public void Need_a_frame_and_shapes()
    {
        Assert.Throws<ArgumentException>(() => new Picture(1, 1, 0, 2));
        Assert.Throws<ArgumentException>(() => new Picture(0, 1, 2, 0));
        Assert.Throws<ArgumentException>(() => new Picture(0, double.NaN, 0, 2));
        Assert.Throws<ArgumentNullException>(() => new Picture(0, 1, 0, 2, null!));
        Assert.Throws<ArgumentException>(() => new Picture(0, 1, 0, 2, null!, Shape.Circle(new(0, 0), 1, Colour.Body)));
        Assert.Throws<ArgumentNullException>(() => Shape.Text(new(0, 0), 1, null!, Colour.Ink));
    }

    public void Name_the_colours_of_the_pipeline()
    {
        Type colours = Type.GetType("FunTrpo.Colour, FunTrpo", throwOnError: true)!;
        Assert.Equal(Enum.GetNames(colours), Enum.GetNames<Colour>());
        Assert.All(
            Enum.GetValues<Colour>(),
            colour => Assert.Equal(Enum.GetName(colour), Enum.GetName(colours, (int)colour))
        );
    }
}
