using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using FunTrpo.Onnx.Messages;
using Core = FunTrpo;

namespace FunTrpo.Onnx;

/// <summary>A policy as an ONNX model.</summary>
internal static class PolicyModel
{
    /// <summary>
    /// The version of ONNX's operators. It is the first one in which all operators of the graph have the form that is used here, and it lies
    /// within the range of Unity's inference engine (7 to 15 in its early versions), onnxruntime-web and ONNX Runtime.
    /// </summary>
    public const int OperatorSet = 13;

    /// <summary>The version of ONNX's file format that came with these operators.</summary>
    public const int Format = 7;

    /// <summary>The version of FunTrpo, without the commit.</summary>
    public static string Version { get; } =
        typeof(PolicyModel)
            .Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!
            .InformationalVersion.Split('+')[0];

    /// <summary>Returns the model of a policy.</summary>
    /// <exception cref="System.NotSupportedException">The normaliser has a mean beyond float32.</exception>
    public static ModelProto Of(Core.SavedPolicy saved)
    {
        Core.Policy policy = saved.Actor.Policy;
        GraphBuilder graph = new();
        string observation = graph.Input(
            "observation",
            SpaceModule.width(SpaceModule.observed(policy.ObservationSpace)),
            "Rows of observations as the environment returns them"
        );
        string normalised = NetworkNodes.Normalise(graph, saved.Actor.Normaliser, observation);
        int memory = policy.Network.Memory;
        string before =
            memory == 0
                ? ""
                : graph.Input(
                    "memory",
                    memory,
                    "What the policy remembers before each observation; 0 at the start of an episode"
                );
        string after = NetworkNodes.Network(graph, saved.Actor, normalised, before, HeadNodes.NetworkOutput(policy));
        HeadNodes.Add(graph, saved.Actor);
        if (memory > 0)
        {
            graph.Output(
                after,
                memory,
                "What the policy remembers after each observation: the memory for the next one"
            );
        }

        return new ModelProto
        {
            IrVersion = Format,
            OpsetImport =
            {
                new OperatorSetIdProto { Domain = "", Version = OperatorSet },
            },
            ProducerName = "FunTrpo",
            ProducerVersion = Version,
            DocString = $"A policy for {saved.Environment}, trained by FunTrpo",
            Graph = graph.Graph,
            MetadataProps =
            {
                Property("environment", saved.Environment),
                Property("observationSpace", SpaceJson.print(policy.ObservationSpace)),
                Property("actionSpace", SpaceJson.print(policy.ActionSpace)),
                Property("version", Version),
            },
        };
    }

    /// <summary>The inputs and outputs of a model in words, one line each: its role, name, and type.</summary>
    public static IEnumerable<string> Signature(ModelProto model) =>
        [
            .. model.Graph.Input.Select(value => $"input   {Describe(value)}"),
            .. model.Graph.Output.Select(value => $"output  {Describe(value)}"),
        ];

    private static string Describe(ValueInfoProto value)
    {
        TypeProto.Types.Tensor type = value.Type.TensorType;
        string element = type.ElemType == (int)TensorProto.Types.DataType.Int64 ? "int64" : "float32";
        TensorShapeProto.Types.Dimension[] shape = [.. type.Shape.Dim];
        return $"{value.Name, -13}  {element} {shape[0].DimParam} × {shape[1].DimValue}";
    }

    private static StringStringEntryProto Property(string key, string value) => new() { Key = key, Value = value };
}
