using System;
using System.Text;

namespace FunTrpo.Inference;

/// <summary>
/// Texts in JSON: the characters between two quotes. Whole texts are decoded only up to a length, so that a file cannot demand memory.
/// </summary>
internal static class JsonText
{
    /// <summary>The longest text that is decoded as a whole, in bytes.</summary>
    private const int Longest = 1_000_000;

    /// <summary>Returns the text that begins at a quote.</summary>
    public static string Decode(ReadOnlySpan<byte> json, int quote)
    {
        StringBuilder text = new();
        int position = quote + 1;
        while (Json.At(json, position) != '"')
        {
            if (position - quote > Longest)
            {
                throw Json.Wrong("a text is too long");
            }

            int character = Next(json, ref position);
            if (character > char.MaxValue)
            {
                text.Append(char.ConvertFromUtf32(character));
            }
            else
            {
                text.Append((char)character);
            }
        }

        return text.ToString();
    }

    /// <summary>
    /// Reads the next character of a text, escaped or not, and moves to the one after it. Returns its code point. The bytes are valid
    /// UTF-8.
    /// </summary>
    public static int Next(ReadOnlySpan<byte> json, ref int position)
    {
        byte first = Json.At(json, position++);
        if (first < ' ')
        {
            throw Json.Wrong("a text has a control character");
        }

        if (first == '\\')
        {
            return NextEscaped(json, ref position);
        }

        if (first < 0x80)
        {
            return first;
        }

        int rest =
            first >= 0xF0 ? 3
            : first >= 0xE0 ? 2
            : 1;
        int character = first & (0x3F >> rest);
        for (int i = 0; i < rest; i++)
        {
            character = (character << 6) | (Json.At(json, position++) & 0x3F);
        }

        return character;
    }

    private static int NextEscaped(ReadOnlySpan<byte> json, ref int position)
    {
        byte kind = Json.At(json, position++);
        switch (kind)
        {
            case (byte)'"':
            case (byte)'\\':
            case (byte)'/':
                return kind;
            case (byte)'b':
                return '\b';
            case (byte)'f':
                return '\f';
            case (byte)'n':
                return '\n';
            case (byte)'r':
                return '\r';
            case (byte)'t':
                return '\t';
            case (byte)'u':
                char unit = Unit(json, ref position);
                return char.IsSurrogate(unit) ? Pair(unit, json, ref position) : unit;
            default:
                throw Json.Wrong("a text has an unknown escape");
        }
    }

    /// <summary>The character beyond 16 bits whose first half was read.</summary>
    private static int Pair(char first, ReadOnlySpan<byte> json, ref int position)
    {
        bool isEscape = Json.At(json, position) == '\\' && Json.At(json, position + 1) == 'u';
        position += 2;
        char second = isEscape ? Unit(json, ref position) : '\0';
        return char.IsSurrogatePair(first, second)
            ? char.ConvertToUtf32(first, second)
            : throw Json.Wrong("a text has half a character");
    }

    private static char Unit(ReadOnlySpan<byte> json, ref int position)
    {
        int unit = 0;
        for (int i = 0; i < 4; i++)
        {
            int digit = Json.At(json, position++);
            int value = digit switch
            {
                >= '0' and <= '9' => digit - '0',
                >= 'A' and <= 'F' => digit - 'A' + 10,
                >= 'a' and <= 'f' => digit - 'a' + 10,
                _ => throw Json.Wrong("a text has an unknown escape"),
            };
            unit = (unit << 4) | value;
        }

        return (char)unit;
    }
}
