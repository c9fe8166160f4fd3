using System;
using System.IO;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace FunTrpo.CSharp;

// The attributes below have no arguments because fsdocs cannot read a type that has an attribute with a type as its argument.

/// <summary>Writes the values of an enumeration to JSON as their names.</summary>
[AttributeUsage(AttributeTargets.Enum)]
internal sealed class NameInJsonAttribute : JsonConverterAttribute
{
    /// <inheritdoc/>
    public override JsonConverter CreateConverter(Type typeToConvert) => new JsonStringEnumConverter();
}

/// <summary>Writes a policy to JSON as the content of its file.</summary>
[AttributeUsage(AttributeTargets.Class)]
internal sealed class PolicyInJsonAttribute : JsonConverterAttribute
{
    /// <inheritdoc/>
    public override JsonConverter CreateConverter(Type typeToConvert) => new PolicyAsJson();
}

/// <summary>Refuses to write a training state to JSON.</summary>
[AttributeUsage(AttributeTargets.Class)]
internal sealed class RefusedInJsonAttribute : JsonConverterAttribute
{
    /// <inheritdoc/>
    public override JsonConverter CreateConverter(Type typeToConvert) => new NoStateAsJson();
}

/// <summary>Converts a policy to and from the JSON of its file.</summary>
internal sealed class PolicyAsJson : JsonConverter<Policy>
{
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

    public override void Write(Utf8JsonWriter writer, Policy value, JsonSerializerOptions options) =>
        writer.WriteRawValue(value.ToJson());
}

/// <summary>Throws an exception that explains the refusal: a state that is read back would have no environments.</summary>
internal sealed class NoStateAsJson : JsonConverter<TrainingState>
{
    public override bool CanConvert(Type typeToConvert) => typeof(TrainingState).IsAssignableFrom(typeToConvert);

    public override TrainingState Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        throw Refused();

    public override void Write(Utf8JsonWriter writer, TrainingState value, JsonSerializerOptions options) =>
        throw Refused();

    private static NotSupportedException Refused() =>
        new(
            "A TrainingState is no JSON: it holds the states of its environments, which may be running simulators. Write its Policy, its "
                + "Options and the reports instead; training that begins with the same options comes to the same state, bit for bit."
        );
}
