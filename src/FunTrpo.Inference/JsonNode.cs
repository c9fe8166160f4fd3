using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Text;

namespace FunTrpo.Inference;

/// <summary>
/// A value in JSON that <see cref="Json"/> has checked: the bytes, and where it begins. Nothing is decoded before it is asked for. A member
/// is found by reading from the beginning of its object.
/// </summary>
/// <remarks>Methods throw an <see cref="InvalidDataException"/> for a value that is not of the kind that is asked for.</remarks>
internal readonly struct JsonNode
{
    private readonly ReadOnlyMemory<byte> json;
    private readonly int start;

    private JsonNode(ReadOnlyMemory<byte> json, int start)
    {
        this.json = json;
        this.start = Beyond(json.Span, start, Json.IsSpace);
    }

    private byte First => json.Span[start];

    private bool IsNull => First == 'n';

    public static JsonNode Root(ReadOnlyMemory<byte> json) => new(json, 0);

    /// <summary>Whether this is an object.</summary>
    public bool IsObject => First == '{';

    /// <summary>Whether this object has a member of the name.</summary>
    public bool Has(string name) => Find(name) is not null;

    /// <summary>The member of the name, or null if it is missing or null.</summary>
    public JsonNode? Optional(string name) => Find(name) is { IsNull: false } found ? found : null;

    /// <summary>The member of the name.</summary>
    public JsonNode this[string name] => Optional(name) ?? throw new InvalidDataException($"It has no {name}.");

    public string Text(string name)
    {
        JsonNode node = this[name];
        return node.First == '"' ? JsonText.Decode(node.json.Span, node.start) : throw WrongType(name);
    }

    public bool Boolean(string name) =>
        this[name].First switch
        {
            (byte)'t' => true,
            (byte)'f' => false,
            _ => throw WrongType(name),
        };

    public int Integer(string name) => this[name].ToInteger(name);

    public double Number(string name) => this[name].ToNumber(name);

    public int[] Integers(string name) => Items(name, item => item.ToInteger(name));

    public double[] Numbers(string name) => Items(name, item => item.ToNumber(name));

    /// <summary>The bounds of a box, of which an infinite one is null.</summary>
    public float[] Bounds(string name, float infinite) =>
        Items(name, item => item.IsNull ? infinite : item.ToSingle(name));

    /// <summary>The bytes of a text of plain characters, such as base64. They are a copy.</summary>
    public byte[] Ascii(string name)
    {
        JsonNode node = this[name];
        ReadOnlySpan<byte> text = node.First == '"' ? json.Span : throw WrongType(name);
        int end = EndOfText(text, node.start);
        byte[] bytes = new byte[end - node.start];
        int count = 0;
        for (int position = node.start + 1; position < end - 1; )
        {
            int character = JsonText.Next(text, ref position);
            bytes[count++] = character < 0x80 ? (byte)character : throw WrongType(name);
        }

        Array.Resize(ref bytes, count);
        return bytes;
    }

    private JsonNode? Find(string name)
    {
        ReadOnlySpan<byte> all = json.Span;
        int position = IsObject ? start + 1 : throw new InvalidDataException("A field of it is no object.");
        while (true)
        {
            position = Beyond(all, position, part => Json.IsSpace(part) || part == ',');
            if (all[position] == '}')
            {
                return null;
            }

            bool isFound = JsonText.Decode(all, position) == name;
            position = Beyond(all, EndOfText(all, position), part => Json.IsSpace(part) || part == ':');
            if (isFound)
            {
                return new JsonNode(json, position);
            }

            position = End(all, position);
        }
    }

    /// <summary>The items of an array, counted before memory is taken for them.</summary>
    public T[] Items<T>(string name, Func<JsonNode, T> get)
    {
        JsonNode array = this[name];
        int[] starts = array.First == '[' ? array.ItemStarts(name) : throw WrongType(name);
        ReadOnlyMemory<byte> all = json;
        return Array.ConvertAll(starts, start => get(new JsonNode(all, start)));
    }

    private int[] ItemStarts(string name)
    {
        ReadOnlySpan<byte> all = json.Span;
        List<int> starts = new();
        int position = start + 1;
        while (true)
        {
            position = Beyond(all, position, part => Json.IsSpace(part) || part == ',');
            if (all[position] == ']')
            {
                return starts.ToArray();
            }

            if (starts.Count == Space.MaxCount)
            {
                throw new InvalidDataException($"Its {name} has more than {Space.MaxCount} items.");
            }

            starts.Add(position);
            position = End(all, position);
        }
    }

    private int ToInteger(string name) =>
        int.TryParse(NumberText(name), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value)
            ? value
            : throw WrongType(name);

    private double ToNumber(string name) =>
        double.TryParse(NumberText(name), NumberStyles.Float, CultureInfo.InvariantCulture, out double value)
            ? value
            : throw WrongType(name);

    private float ToSingle(string name) =>
        float.TryParse(NumberText(name), NumberStyles.Float, CultureInfo.InvariantCulture, out float value)
            ? value
            : throw WrongType(name);

    private string NumberText(string name)
    {
        ReadOnlySpan<byte> rest = json.Span.Slice(start);
        int length = Beyond(rest, 0, Json.IsOfNumber);
        return length > 0 ? Encoding.ASCII.GetString(rest.Slice(0, length)) : throw WrongType(name);
    }

    /// <summary>The position after a value.</summary>
    private static int End(ReadOnlySpan<byte> all, int start)
    {
        int depth = 0;
        int position = start;
        do
        {
            byte first = all[position];
            if (first == '"')
            {
                position = EndOfText(all, position);
            }
            else
            {
                depth +=
                    first is (byte)'{' or (byte)'[' ? 1
                    : first is (byte)'}' or (byte)']' ? -1
                    : 0;
                position++;
            }
        } while (depth > 0);

        bool isWord = all[start] is not ((byte)'{' or (byte)'[' or (byte)'"');
        return isWord ? Beyond(all, start, part => Json.IsOfNumber(part) || char.IsLetter((char)part)) : position;
    }

    /// <summary>The position after the text that begins at a quote.</summary>
    private static int EndOfText(ReadOnlySpan<byte> all, int quote)
    {
        int position = quote + 1;
        while (all[position] != '"')
        {
            position += all[position] == '\\' ? 2 : 1;
        }

        return position + 1;
    }

    /// <summary>The first position from here on whose byte is not of a kind.</summary>
    private static int Beyond(ReadOnlySpan<byte> all, int position, Func<byte, bool> isOfKind)
    {
        while (position < all.Length && isOfKind(all[position]))
        {
            position++;
        }

        return position;
    }

    private static InvalidDataException WrongType(string name) =>
        new($"Its {name} is not of the type that it should be.");
}
