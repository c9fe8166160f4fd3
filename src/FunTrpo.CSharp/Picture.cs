using System;
using System.Collections.Generic;
using System.Linq;
using Microsoft.FSharp.Collections;
using Microsoft.FSharp.Core;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>The colour of a shape by its role, so that a page can show it on a light and on a dark ground.</summary>
public enum Colour
{
    /// <summary>Text and outlines.</summary>
    Ink,

    /// <summary>What is not the subject: the ground, a track, the cells of a grid.</summary>
    Muted,

    /// <summary>The body that moves.</summary>
    Body,

    /// <summary>The part that the task is about.</summary>
    Accent,

    /// <summary>A goal.</summary>
    Goal,

    /// <summary>A danger.</summary>
    Danger,
}

/// <summary>A point of a picture: x grows to the right and y upwards.</summary>
/// <param name="X">To the right.</param>
/// <param name="Y">Upwards.</param>
public readonly record struct Point(double X, double Y);

/// <summary>
/// A shape in a <see cref="Picture"/>. Widths, radii and heights have the unit of the coordinates. A shape with a number that is not finite
/// is not drawn.
/// </summary>
public sealed class Shape : IEquatable<Shape>
{
    private Shape(Core.Shape value) => Value = value;

    internal Core.Shape Value { get; }

    /// <summary>Returns a line through the points.</summary>
    public static Shape Line(double width, Colour colour, params ReadOnlySpan<Point> points) =>
        new(Core.Shape.NewLine(Pairs(points), width, (Core.Colour)colour));

    /// <summary>Returns a filled circle.</summary>
    public static Shape Circle(Point centre, double radius, Colour colour) =>
        new(Core.Shape.NewCircle(Pair(centre), radius, (Core.Colour)colour));

    /// <summary>Returns a filled polygon.</summary>
    public static Shape Polygon(Colour colour, params ReadOnlySpan<Point> corners) =>
        new(Core.Shape.NewPolygon(Pairs(corners), (Core.Colour)colour));

    /// <summary>Returns a filled rectangle between two opposite corners.</summary>
    public static Shape Rectangle(Point corner, Point opposite, Colour colour) =>
        new(PictureModule.rectangle(corner.X, corner.Y, opposite.X, opposite.Y, (Core.Colour)colour));

    /// <summary>Returns a text, centred at a point, with letters of this height.</summary>
    public static Shape Text(Point centre, double height, string text, Colour colour)
    {
        ArgumentNullException.ThrowIfNull(text);
        return new(Core.Shape.NewText(Pair(centre), height, text, (Core.Colour)colour));
    }

    /// <summary>Returns whether both are the same shape at the same place.</summary>
    public bool Equals(Shape? other) => other is not null && Value.Equals(other.Value);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as Shape);

    /// <inheritdoc/>
    public override int GetHashCode() => Value.GetHashCode();

    /// <summary>Returns the kind of shape with its numbers.</summary>
    public override string ToString() => Value.ToString();

    private static ValueTuple<double, double> Pair(Point point) => new(point.X, point.Y);

    private static FSharpList<ValueTuple<double, double>> Pairs(ReadOnlySpan<Point> points) =>
        ListModule.OfSeq(points.ToArray().Select(Pair));
}

/// <summary>A drawing of a state: the part of the plane that is seen, and the shapes in it.</summary>
public sealed class Picture : IEquatable<Picture>
{
    /// <summary>Creates a picture.</summary>
    /// <param name="left">The left edge of what is seen.</param>
    /// <param name="right">The right edge.</param>
    /// <param name="bottom">The lower edge.</param>
    /// <param name="top">The upper edge.</param>
    /// <param name="shapes">The shapes, of which later ones cover earlier ones.</param>
    /// <exception cref="ArgumentException">The edges are not finite, or there is nothing between them.</exception>
    public Picture(double left, double right, double bottom, double top, params IEnumerable<Shape> shapes)
    {
        ArgumentNullException.ThrowIfNull(shapes);
        if (!(left < right && bottom < top && double.IsFinite(right - left) && double.IsFinite(top - bottom)))
        {
            throw new ArgumentException(
                FormattableString.Invariant($"Nothing is seen between x = {left}, {right} and y = {bottom}, {top}.")
            );
        }

        Value = new(left, right, bottom, top, ListModule.OfSeq(shapes.Select(ValueOf)));
    }

    internal Core.Picture Value { get; }

    private static Core.Shape ValueOf(Shape shape) =>
        shape?.Value ?? throw new ArgumentException("A shape is null.", nameof(shape));

    /// <summary>Returns whether both show the same shapes in the same frame.</summary>
    public bool Equals(Picture? other) => other is not null && Value.Equals(other.Value);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as Picture);

    /// <inheritdoc/>
    public override int GetHashCode() => Value.GetHashCode();

    /// <summary>Returns the frame and the number of shapes.</summary>
    public override string ToString() =>
        FormattableString.Invariant(
            $"x {Value.Left} … {Value.Right}, y {Value.Bottom} … {Value.Top}: {Value.Shapes.Length} shapes"
        );
}

/// <summary>
/// An environment that can draw the state in which it is. It is optional: report pages then show the policy playing.
/// </summary>
public interface IPicturedEnvironment : IEnvironment
{
    /// <summary>
    /// Returns the picture of the current state. The frame should be the same for all states of an episode. It is called only where an
    /// episode is recorded, not during training.
    /// </summary>
    Picture Draw();
}
