using System;
using System.ComponentModel;
using System.Diagnostics;
using System.IO;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace FunTrpo.CSharp;

#if DOCUMENTATION
/// <summary>Hides the attribute of System.Text.Json in documentation builds. The compiler leaves its uses out of the assembly.</summary>
/// <remarks>
/// fsdocs cannot read a type that has an attribute with a type as its argument. Attributes without arguments that derive from that of
/// System.Text.Json would not do: source-generated contexts do not support them.
/// </remarks>
[AttributeUsage(AttributeTargets.All)]
[Conditional("NEVER")]
internal sealed class JsonConverterAttribute(Type converterType) : Attribute
{
    public Type ConverterType { get; } = converterType;
}
#endif

/// <summary>
/// Converts a policy to and from the JSON of its file. It is public for the source-generated contexts of callers; System.Text.Json uses it
/// by itself.
/// </summary>
/// <exclude/>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class PolicyAsJson : JsonConverter<Policy>
{
    /// <inheritdoc/>
    public override Policy Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        using JsonDocument document = JsonDocument.ParseValue(ref reader);
        try
        {
            return Policy.FromJson(document.RootElement.GetRawText());
        }
        catch (InvalidDataException error)
        {
            throw new JsonException(error.Message, error);
        }
    }

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, Policy value, JsonSerializerOptions options)
    {
        ArgumentNullException.ThrowIfNull(writer);
        ArgumentNullException.ThrowIfNull(value);
        writer.WriteRawValue(value.ToJson());
    }
}

/// <summary>
/// Throws an exception that explains why a training state cannot be converted: a state that is read back would have no environments. It is
/// public for the source-generated contexts of callers; System.Text.Json uses it by itself.
/// </summary>
/// <exclude/>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class NoStateAsJson : JsonConverter<TrainingState>
{
    /// <inheritdoc/>
    public override bool CanConvert(Type typeToConvert) => typeof(TrainingState).IsAssignableFrom(typeToConvert);

    /// <inheritdoc/>
    public override TrainingState Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        throw Refused();

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, TrainingState value, JsonSerializerOptions options) =>
        throw Refused();

    private static NotSupportedException Refused() =>
        new(
            "A TrainingState is no JSON: it holds the states of its environments, which may be running simulators. Write its Policy, its "
                + "Options and the reports instead; training that begins with the same options comes to the same state, bit for bit."
        );
}
