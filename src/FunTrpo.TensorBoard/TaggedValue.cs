using FunTrpo.TensorBoard.Messages;
using Google.Protobuf;

namespace FunTrpo.TensorBoard;

/// <summary>A number or a text with its tag: a point of a curve.</summary>
internal sealed record TaggedValue
{
    private readonly string tag;
    private readonly double? number;
    private readonly string? text;

    /// <summary>A number; null if it is missing.</summary>
    public TaggedValue(string tag, double? number)
    {
        this.tag = tag;
        this.number = number;
    }

    /// <summary>A text; null if it is missing.</summary>
    public TaggedValue(string tag, string? text)
    {
        this.tag = tag;
        this.text = text;
    }

    /// <summary>The value as TensorBoard reads it; null if it is missing or not finite.</summary>
    public Summary.Types.Value? ToMessage()
    {
        if (text is not null)
        {
            return new()
            {
                Tag = tag,
                Metadata = new() { PluginData = new() { PluginName = "text" } },
                Tensor = new()
                {
                    Dtype = DataType.DtString,
                    TensorShape = new(),
                    StringVal = { ByteString.CopyFromUtf8(text) },
                },
            };
        }

        return number is double value && double.IsFinite(value)
            ? new() { Tag = tag, SimpleValue = (float)value }
            : null;
    }
}
