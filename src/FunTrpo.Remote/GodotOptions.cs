using System;
using System.Collections.Generic;

namespace FunTrpo.Remote;

/// <summary>How a game of Godot is started and spoken with.</summary>
public sealed record GodotOptions
{
    /// <summary>The TCP port to which games connect unless they have the argument <c>--port</c>.</summary>
    public const int StandardPort = 11008;

    /// <summary>
    /// The TCP port of this machine to which the game connects, from 1 to 65535; null for <see cref="StandardPort"/> if the game is waited for,
    /// and for a free one if it is started. Default null.
    /// </summary>
    public int? Port { get; init; }

    /// <summary>
    /// How many times as fast as in play a game that is started runs; null for what its Sync node says. Default null.
    /// </summary>
    public double? Speedup { get; init; }

    /// <summary>
    /// For how many physics frames a game that is started repeats an action; null for what its Sync node says. Default null.
    /// </summary>
    public int? ActionRepeat { get; init; }

    /// <summary>The seed of Godot's global random numbers in a game that is started. Give another one to each game. Default 1.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>
    /// Whether a game that is started shows its window. A game without a window draws nothing, so its cameras see nothing. Default false.
    /// </summary>
    public bool ShowWindow { get; init; }

    /// <summary>Arguments of a game that is started, before those of FunTrpo. Default empty.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];

    /// <summary>
    /// The number of steps of an episode from which on its end counts as that of a time limit (truncated), because a game does not say why an
    /// episode has ended; null if every end counts as terminated. A step is an action, so this is the game's limit in physics frames divided by
    /// the frames for which it repeats an action. Default null.
    /// </summary>
    public int? TruncateAt { get; init; }

    /// <summary>The time that the game has to connect, and then to say what it is. Default 60 s.</summary>
    public TimeSpan StartTime { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>The time that the game has for each answer. Default 60 s.</summary>
    public TimeSpan AnswerTime { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>The options of the game with this number, counted from 0: each has random numbers of its own.</summary>
    internal GodotOptions OfGame(int number) => this with { Seed = Seed + number };

    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    internal void Validate()
    {
        ArgumentNullException.ThrowIfNull(Arguments);
        Require(Port is null or (>= 1 and <= 65535), nameof(Port), Port, "from 1 to 65535");
        bool isSpeed = Speedup is null || (double.IsFinite(Speedup.Value) && Speedup > 0);
        Require(isSpeed, nameof(Speedup), Speedup, "more than 0");
        Require(ActionRepeat is null or >= 1, nameof(ActionRepeat), ActionRepeat, "at least 1");
        Require(TruncateAt is null or >= 1, nameof(TruncateAt), TruncateAt, "at least 1");
        Require(IsTime(StartTime), nameof(StartTime), StartTime, "from 1 ms to a day");
        Require(IsTime(AnswerTime), nameof(AnswerTime), AnswerTime, "from 1 ms to a day");
    }

    private static bool IsTime(TimeSpan time) => time >= TimeSpan.FromMilliseconds(1) && time <= TimeSpan.FromDays(1);

    private static void Require(bool holds, string name, object? value, string range)
    {
        if (!holds)
        {
            throw new ArgumentOutOfRangeException(name, value, $"It must be {range}.");
        }
    }
}
