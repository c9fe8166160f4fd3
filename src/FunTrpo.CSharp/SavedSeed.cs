using System.Text.Json;
using System.Text.Json.Nodes;

namespace FunTrpo.CSharp;

/// <summary>The seed of training, in the text that a checkpoint keeps beside the state.</summary>
internal static class SavedSeed
{
    private const string Name = "seed";

    /// <summary>Otherwise a name that is there twice throws an <see cref="System.ArgumentException"/> when it is looked up.</summary>
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    /// <summary>Returns the text for a seed.</summary>
    public static string Note(long seed) => new JsonObject { [Name] = seed }.ToJsonString();

    /// <summary>Returns the seed in the text, or null if it has none.</summary>
    public static long? Of(string note)
    {
        try
        {
            return
                JsonNode.Parse(note, documentOptions: Strict) is JsonObject node
                && node[Name] is JsonValue value
                && value.TryGetValue(out long seed)
                ? seed
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
