using System;
using System.Collections.Generic;
using System.IO;

namespace FunTrpo.Inference;

/// <summary>
/// Checks that bytes are one value in JSON, and computes the hash of its canonical form, in one pass and without keeping any of it. Names in
/// an object must differ. Values are nested at most 64 times, and names, numbers and the members of an object are limited, so that no
/// file demands much memory.
/// </summary>
internal ref struct Json
{
    private const int MaxDepth = 64;
    private const int MaxMembers = 1000;
    private const int MaxLength = 1000;

    private readonly ReadOnlySpan<byte> json;
    private readonly CanonicalHash hash;
    private int position;

    private Json(ReadOnlySpan<byte> json, CanonicalHash hash)
    {
        this.json = json;
        this.hash = hash;
        position = 0;
    }

    /// <summary>Returns the hash of a value without the member <paramref name="without"/> of the outermost object.</summary>
    /// <exception cref="InvalidDataException">The bytes are not one value.</exception>
    public static string Hash(ReadOnlySpan<byte> json, string without)
    {
        using CanonicalHash hash = new();
        Json all = new(json, hash);
        all.Value(0, without);
        all.SkipSpace();
        return all.position == json.Length ? hash.Result() : throw Wrong("something follows its end");
    }

    /// <summary>The byte at a position, which must be there.</summary>
    public static byte At(ReadOnlySpan<byte> json, int position) =>
        position < json.Length ? json[position] : throw Wrong("its end is missing");

    public static InvalidDataException Wrong(string why) => new($"It is not JSON: {why}.");

    public static bool IsSpace(byte part) => part is (byte)' ' or (byte)'\t' or (byte)'\n' or (byte)'\r';

    /// <summary>Whether a byte may be part of a number.</summary>
    public static bool IsOfNumber(byte part) =>
        part is (>= (byte)'0' and <= (byte)'9') or (byte)'-' or (byte)'+' or (byte)'.' or (byte)'e' or (byte)'E';

    private readonly byte Here => At(json, position);

    private void SkipSpace()
    {
        while (position < json.Length && IsSpace(json[position]))
        {
            position++;
        }
    }

    /// <summary>Passes a byte that must be here, with space before it.</summary>
    private void Skip(char expected)
    {
        SkipSpace();
        if (Here != expected)
        {
            throw Wrong($"{expected} is missing");
        }

        position++;
    }

    /// <summary>Does the same with a byte that belongs to the canonical form.</summary>
    private void Pass(char expected)
    {
        Skip(expected);
        hash.Write((byte)expected);
    }

    private void Value(int depth, string? without = null)
    {
        SkipSpace();
        switch (Here)
        {
            case (byte)'{':
                Members(depth, without);
                break;
            case (byte)'[':
                Items(depth);
                break;
            case (byte)'"':
                Text();
                break;
            case (byte)'t':
                Word("true");
                break;
            case (byte)'f':
                Word("false");
                break;
            case (byte)'n':
                Word("null");
                break;
            default:
                Number();
                break;
        }
    }

    /// <summary>Passes an object. The member <paramref name="without"/> and its comma are left out of the hash.</summary>
    private void Members(int depth, string? without)
    {
        HashSet<string> names = new();
        bool isFirst = true;
        bool isEnd = Open('{', '}', depth);
        while (!isEnd)
        {
            string name = Name(names);
            bool isOn = hash.IsOn;
            hash.IsOn = isOn && name != without;
            if (!isFirst)
            {
                hash.Write((byte)',');
            }

            isFirst &= name == without;
            Text();
            Pass(':');
            Value(depth + 1);
            hash.IsOn = isOn;
            SkipSpace();
            isEnd = Here == '}';
            if (!isEnd)
            {
                Skip(',');
            }
        }

        Pass('}');
    }

    private void Items(int depth)
    {
        bool isEnd = Open('[', ']', depth);
        while (!isEnd)
        {
            Value(depth + 1);
            SkipSpace();
            isEnd = Here == ']';
            if (!isEnd)
            {
                Pass(',');
            }
        }

        Pass(']');
    }

    /// <summary>Passes the beginning of an object or array. Returns whether its end follows.</summary>
    private bool Open(char first, char last, int depth)
    {
        if (depth >= MaxDepth)
        {
            throw Wrong("its values are nested too deeply");
        }

        Pass(first);
        SkipSpace();
        return Here == last;
    }

    /// <summary>Returns the name of the member that begins here, and adds it to the names of the object.</summary>
    private string Name(HashSet<string> names)
    {
        SkipSpace();
        string name = Here == '"' ? JsonText.Decode(json, position) : throw Wrong("a name is missing");
        if (name.Length > MaxLength || names.Count >= MaxMembers)
        {
            throw Wrong("an object has too many members, or a name that is too long");
        }

        return names.Add(name) ? name : throw Wrong("an object has a name twice");
    }

    private void Text()
    {
        Pass('"');
        while (Here != '"')
        {
            int character = JsonText.Next(json, ref position);
            if (character > char.MaxValue)
            {
                hash.WriteText((char)(0xD7C0 + (character >> 10)));
                hash.WriteText((char)(0xDC00 + (character & 0x3FF)));
            }
            else
            {
                hash.WriteText((char)character);
            }
        }

        hash.Write(Here);
        position++;
    }

    private void Word(string word)
    {
        foreach (char letter in word)
        {
            if (Here != letter)
            {
                throw Wrong("a word is unknown");
            }

            hash.Write(Here);
            position++;
        }
    }

    /// <summary>−? (0 | [1–9] digits) (. digits)? ((e|E) (+|−)? digits)?</summary>
    private void Number()
    {
        int start = position;
        position += Here == '-' ? 1 : 0;
        if (Here == '0')
        {
            position++;
        }
        else
        {
            Numerals();
        }

        if (position < json.Length && json[position] == '.')
        {
            position++;
            Numerals();
        }

        if (position < json.Length && json[position] is (byte)'e' or (byte)'E')
        {
            position++;
            position += Here is (byte)'+' or (byte)'-' ? 1 : 0;
            Numerals();
        }

        if (position - start > MaxLength)
        {
            throw Wrong("a number is too long");
        }

        hash.Write(json.Slice(start, position - start));
    }

    /// <summary>Passes one or more decimal digits.</summary>
    private void Numerals()
    {
        int start = position;
        while (position < json.Length && json[position] is >= (byte)'0' and <= (byte)'9')
        {
            position++;
        }

        if (position == start)
        {
            throw Wrong("a value is missing, or a number has no digits");
        }
    }
}
