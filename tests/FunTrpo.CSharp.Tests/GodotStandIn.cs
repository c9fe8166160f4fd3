using System;
using System.Collections.Generic;

namespace Godot;

/// <summary>The few types of the engine that <see cref="Game.Paddle"/> needs, with the signatures of GodotSharp 4.4.</summary>
public class Node2D
{
    public Vector2 Position { get; set; }

    public virtual void _Ready() { }

    public virtual void _PhysicsProcess(double delta) { }
}

public readonly record struct Vector2(float X, float Y)
{
    public static Vector2 operator +(Vector2 left, Vector2 right) => new(left.X + right.X, left.Y + right.Y);
}

[AttributeUsage(AttributeTargets.Property | AttributeTargets.Field)]
public sealed class ExportAttribute : Attribute;

public static class FileAccess
{
    /// <summary>The files of the game.</summary>
    public static Dictionary<string, string> Files { get; } = [];

    public static string GetFileAsString(string path) => Files[path];
}
