using System;
using System.Globalization;
using System.Text.Json;
using Core = FunTrpo;

namespace FunTrpo.Remote;

/// <summary>The last answer of a game: the observations, rewards and ends of all agents. It is used again for each answer.</summary>
internal sealed class GodotReply(GodotGame game)
{
    private readonly bool[] isRead = new bool[game.Observations.Count];

    /// <summary>The observations, one row for each agent.</summary>
    public float[] Observations { get; } = new float[game.Count * game.ObservationWidth];

    public double[] Rewards { get; } = new double[game.Count];

    /// <summary>Whether the episode of each agent has ended.</summary>
    public bool[] Ends { get; } = new bool[game.Count];

    public Span<float> ObservationOf(int agent) =>
        Observations.AsSpan(agent * game.ObservationWidth, game.ObservationWidth);

    /// <summary>Reads an answer of this type, <c>reset</c> or <c>step</c>. Only a step has rewards and ends.</summary>
    /// <exception cref="RemoteException">The answer is not valid.</exception>
    /// <exception cref="Core.BatchException">What it says of the agent at this position is not valid.</exception>
    public void Read(ReadOnlySpan<byte> json, string type)
    {
        try
        {
            Utf8JsonReader reader = new(json);
            ReadObject(ref reader, type);
            if (reader.Read())
            {
                throw new RemoteException("its message goes on after its end");
            }
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException)
        {
            throw GodotJson.NotValid(error);
        }
    }

    private void ReadObject(ref Utf8JsonReader reader, string type)
    {
        bool isStep = type == "step";
        bool hasType = false;
        bool hasObservations = false;
        bool hasRewards = !isStep;
        bool hasEnds = !isStep;
        Require(reader.Read() && reader.TokenType == JsonTokenType.StartObject, "its message is no object of JSON");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("type"u8))
            {
                RequireType(ref reader, type);
                hasType = true;
            }
            else if (reader.ValueTextEquals("obs"u8))
            {
                ReadObservations(ref reader);
                hasObservations = true;
            }
            else if (isStep && reader.ValueTextEquals("reward"u8))
            {
                ReadRewards(ref reader);
                hasRewards = true;
            }
            else if (isStep && reader.ValueTextEquals("done"u8))
            {
                ReadEnds(ref reader);
                hasEnds = true;
            }
            else
            {
                reader.Skip(); // such as the info of the agents
            }
        }

        Require(hasType, "its message lacks type");
        Require(hasObservations, "its message lacks obs");
        Require(hasRewards, "its message lacks reward");
        Require(hasEnds, "its message lacks done");
    }

    private static void RequireType(ref Utf8JsonReader reader, string type)
    {
        reader.Read();
        string found = reader.TokenType == JsonTokenType.String ? reader.GetString()! : reader.TokenType.ToString();
        Require(found == type, $"its message has the type {GodotJson.Short(found)}, and not {type}");
    }

    private void ReadObservations(ref Utf8JsonReader reader)
    {
        Begin(ref reader, "obs");
        for (int agent = 0; agent < game.Count; agent++)
        {
            reader.Read();
            Require(reader.TokenType == JsonTokenType.StartObject, agent, "its obs is no dictionary, or is missing");
            Array.Clear(isRead);
            int next = 0;
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                int index = IndexOf(ref reader, next);
                if (index < 0)
                {
                    reader.Skip(); // The game has not announced it.
                    continue;
                }

                isRead[index] = true;
                next = index + 1;
                ReadField(ref reader, agent, game.Observations[index]);
            }

            int missing = Array.IndexOf(isRead, false);
            if (missing >= 0)
            {
                Require(false, agent, $"its obs lacks {game.Observations[missing].Name}");
            }
        }

        End(ref reader, "obs");
    }

    /// <summary>The number of the observation with the name that the reader is at, probably the next one; −1 if there is none.</summary>
    private int IndexOf(ref Utf8JsonReader reader, int next)
    {
        int count = game.Observations.Count;
        for (int i = next; i < next + count; i++)
        {
            if (reader.ValueTextEquals(game.Observations[i % count].Name))
            {
                return i % count;
            }
        }

        return -1;
    }

    private void ReadField(ref Utf8JsonReader reader, int agent, GodotField field)
    {
        Span<float> row = ObservationOf(agent).Slice(field.First, field.Width);
        reader.Read();
        if (field.IsPicture)
        {
            ReadPicture(ref reader, row, agent, field.Name);
        }
        else
        {
            ReadNumbers(ref reader, row, agent, field.Name);
        }
    }

    /// <summary>Reads a number, or numbers in lists, which may be nested. As in Python, true counts as 1 and false as 0.</summary>
    private static void ReadNumbers(ref Utf8JsonReader reader, Span<float> row, int agent, string name)
    {
        int depth = 0;
        int count = 0;
        do
        {
            switch (reader.TokenType)
            {
                case JsonTokenType.StartArray:
                    depth++;
                    break;
                case JsonTokenType.EndArray:
                    depth--;
                    break;
                case JsonTokenType.Number or JsonTokenType.True or JsonTokenType.False:
                    if (count < row.Length)
                    {
                        row[count] = (float)NumberAt(ref reader, agent, name);
                    }

                    count++;
                    break;
                default:
                    Require(false, agent, $"its {name} holds something else than numbers ({reader.TokenType})");
                    break;
            }
        } while (depth > 0 && reader.Read());
        if (count != row.Length)
        {
            Require(false, agent, $"its {name} has {count} numbers, and {row.Length} were announced");
        }
    }

    /// <summary>Reads bytes in hexadecimal digits, as numbers from 0 to 255.</summary>
    private static void ReadPicture(ref Utf8JsonReader reader, Span<float> row, int agent, string name)
    {
        Require(reader.TokenType == JsonTokenType.String, agent, $"its {name} is no text of hexadecimal digits");
        ReadOnlySpan<byte> digits = reader.ValueSpan;
        if (digits.Length != 2 * row.Length)
        {
            Require(
                false,
                agent,
                $"its {name} has {digits.Length} hexadecimal digits, and {2 * row.Length} were announced"
            );
        }

        for (int i = 0; i < row.Length; i++)
        {
            bool isByte = byte.TryParse(
                digits.Slice(2 * i, 2),
                NumberStyles.AllowHexSpecifier,
                CultureInfo.InvariantCulture,
                out byte value
            );
            Require(isByte, agent, "its picture has other characters than hexadecimal digits");
            row[i] = value;
        }
    }

    private void ReadRewards(ref Utf8JsonReader reader)
    {
        Begin(ref reader, "reward");
        for (int agent = 0; agent < game.Count; agent++)
        {
            reader.Read();
            Require(reader.TokenType == JsonTokenType.Number, agent, "its reward is no number, or is missing");
            Rewards[agent] = NumberAt(ref reader, agent, "reward");
        }

        End(ref reader, "reward");
    }

    private void ReadEnds(ref Utf8JsonReader reader)
    {
        Begin(ref reader, "done");
        for (int agent = 0; agent < game.Count; agent++)
        {
            reader.Read();
            bool isEnd = reader.TokenType is JsonTokenType.True or JsonTokenType.False;
            Require(isEnd, agent, "its done is neither true nor false, or is missing");
            Ends[agent] = reader.TokenType == JsonTokenType.True;
        }

        End(ref reader, "done");
    }

    private static double NumberAt(ref Utf8JsonReader reader, int agent, string name)
    {
        double number = reader.TokenType switch
        {
            JsonTokenType.True => 1,
            JsonTokenType.False => 0,
            _ => reader.GetDouble(),
        };
        if (!float.IsFinite((float)number))
        {
            Require(false, agent, $"its {name} has a number that is not finite, or too large for float32");
        }

        return number;
    }

    private void Begin(ref Utf8JsonReader reader, string name)
    {
        reader.Read();
        Require(reader.TokenType == JsonTokenType.StartArray, $"its {name} is no list for {game.Count} agents");
    }

    private void End(ref Utf8JsonReader reader, string name)
    {
        reader.Read();
        Require(reader.TokenType == JsonTokenType.EndArray, $"its {name} is for more than {game.Count} agents");
    }

    private static void Require(bool holds, string what)
    {
        if (!holds)
        {
            throw new RemoteException(what);
        }
    }

    private static void Require(bool holds, int agent, string what)
    {
        if (!holds)
        {
            throw new Core.BatchException(agent, new RemoteException($"agent {agent}: {what}"));
        }
    }
}
