using System;
using System.Text.Json;

namespace FunTrpo.Remote;

/// <summary>JSON that comes from a game.</summary>
internal static class GodotJson
{
    private const int ShownCharacters = 60;

    /// <summary>Returns the result of reading JSON, whose errors become those of the connection.</summary>
    /// <exception cref="RemoteException">The JSON is not valid.</exception>
    public static T Checked<T>(Func<T> read)
    {
        try
        {
            return read();
        }
        // The last two are thrown for texts that are no UTF-8, and for numbers that are out of range.
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException)
        {
            throw NotValid(error);
        }
    }

    public static RemoteException NotValid(Exception error) =>
        new($"its message is no valid JSON (NaN and infinite numbers are none): {Short(error.Message)}", error);

    /// <summary>The beginning of a text that comes from the game, without control characters.</summary>
    public static string Short(string text)
    {
        string begin = text.Length <= ShownCharacters ? text : $"{text[..ShownCharacters]}…";
        return string.Create(
            begin.Length,
            begin,
            (shown, begin) =>
            {
                for (int i = 0; i < shown.Length; i++)
                {
                    shown[i] = char.IsControl(begin[i]) ? ' ' : begin[i];
                }
            }
        );
    }
}
