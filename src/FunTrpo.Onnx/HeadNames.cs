namespace FunTrpo.Onnx;

/// <summary>
/// The names of the tensors of an action's distribution, or of that of a part of it. Outputs of the model have the path of the part and a point
/// before their names, such as <c>hand/gear.probabilities</c>; other tensors have the path and a slash, which is in no name of a part. Without
/// parts there is no path.
/// </summary>
internal sealed class HeadNames(string path)
{
    /// <summary>The names for an action without parts.</summary>
    public static HeadNames Whole { get; } = new("");

    /// <summary>The name of a tensor that is an output of the model.</summary>
    public string Output(string name) => path.Length == 0 ? name : $"{path}.{name}";

    /// <summary>The name of another tensor.</summary>
    public string Inner(string name) => path.Length == 0 ? name : $"{path}/{name}";

    /// <summary>The names for a part.</summary>
    public HeadNames Part(string name) => new(Inner(name));
}
