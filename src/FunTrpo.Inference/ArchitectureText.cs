using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace FunTrpo.Inference;

/// <summary>Reads the text form of hidden layers, such as <c>parts { camera: flatten; speed: dense 16 tanh }; dense 32 relu</c>.</summary>
internal static class ArchitectureText
{
    /// <summary>The number of layers that a network may have.</summary>
    public const int MaxLayers = 1000;

    private const string PartsName = "parts";

    /// <exception cref="InvalidDataException">The text is not one of layers.</exception>
    public static List<HiddenLayer> Parse(string text)
    {
        if (text.Count(letter => letter is ';' or ',' or '{') >= MaxLayers)
        {
            throw new InvalidDataException($"It has more than {MaxLayers} hidden layers.");
        }

        return text.Length == 0 ? new() : Layers(text, 0);
    }

    /// <summary>Layers with semicolons or commas between, which are inside of this many layers for parts.</summary>
    private static List<HiddenLayer> Layers(string text, int nesting) =>
        Pieces(text).Select(piece => Layer(piece, nesting)).ToList();

    private static HiddenLayer Layer(string text, int nesting)
    {
        string trimmed = text.Trim();
        bool hasParts =
            trimmed.StartsWith(PartsName, StringComparison.Ordinal) && trimmed.EndsWith('}') && trimmed.Contains('{');
        return hasParts ? Parts(trimmed, nesting) : HiddenLayer.Parse(text);
    }

    private static HiddenLayer.Parts Parts(string text, int nesting)
    {
        int opening = text.IndexOf('{');
        if (nesting >= Space.MaxNesting || text.Substring(0, opening).Trim() != PartsName)
        {
            throw new InvalidDataException(
                $"Its architecture has an unknown layer, or {PartsName} in more than {Space.MaxNesting} levels."
            );
        }

        Dictionary<string, List<HiddenLayer>> layers = new();
        string inside = text.Substring(opening + 1, text.Length - opening - 2);
        foreach ((string name, string ofPart) in Named(inside))
        {
            List<HiddenLayer> parsed = string.IsNullOrWhiteSpace(ofPart) ? new() : Layers(ofPart, nesting + 1);
            if (name.Length == 0 || !layers.TryAdd(name, parsed))
            {
                throw new InvalidDataException("Its architecture has a part without a name, or one twice.");
            }
        }

        return new HiddenLayer.Parts(layers);
    }

    /// <summary>The names of parts with the texts of their layers: all pieces from a name to the next one.</summary>
    private static List<(string Name, string Layers)> Named(string inside)
    {
        List<(string Name, string Layers)> named = new();
        if (string.IsNullOrWhiteSpace(inside))
        {
            return named;
        }

        foreach (string piece in Pieces(inside))
        {
            int colon = piece.IndexOf(':');
            if (colon >= 0 && !piece.Substring(0, colon).Contains('{'))
            {
                named.Add((piece.Substring(0, colon).Trim(), piece.Substring(colon + 1)));
            }
            else if (named.Count > 0)
            {
                (string name, string earlier) = named[named.Count - 1];
                named[named.Count - 1] = (name, $"{earlier};{piece}");
            }
            else
            {
                named.Add(("", piece));
            }
        }

        return named;
    }

    /// <summary>The pieces of a text between semicolons or commas that are not in braces.</summary>
    private static List<string> Pieces(string text)
    {
        List<string> pieces = new();
        int first = 0;
        int depth = 0;
        for (int i = 0; i < text.Length; i++)
        {
            depth +=
                text[i] == '{' ? 1
                : text[i] == '}' ? -1
                : 0;
            if (depth == 0 && (text[i] is ';' or ','))
            {
                pieces.Add(text.Substring(first, i - first));
                first = i + 1;
            }
        }

        pieces.Add(text.Substring(first));
        return pieces;
    }
}
