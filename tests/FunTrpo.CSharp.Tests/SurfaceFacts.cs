using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using Microsoft.Extensions.Logging;
using Xunit;

namespace FunTrpo.CSharp.Tests;

/// <summary>What callers see of the facade.</summary>
public sealed class SurfaceFacts
{
    private static readonly Assembly Facade = typeof(Trpo).Assembly;

    private static readonly Assembly Export = typeof(Onnx.OnnxExport).Assembly;
    private static readonly Assembly Inference = typeof(FunTrpo.Inference.Policy).Assembly;
    private static readonly Assembly TensorBoard = typeof(FunTrpo.TensorBoard.TensorBoardWriter).Assembly;
    private static readonly Assembly MuJoCo = typeof(FunTrpo.MuJoCo.CSharp.MuJoCoEnvironment).Assembly;
    private static readonly Assembly Ddpg = typeof(FunTrpo.Ddpg.CSharp.DdpgPlan).Assembly;
    private static readonly Assembly Pages = typeof(FunTrpo.Plots.CSharp.ReportPage).Assembly;
    private static readonly Assembly Engine = typeof(FunTrpo.MuJoCo.Engine.Model).Assembly;

    /// <summary>The assemblies for C# callers.</summary>
    private static readonly Assembly[] Facades = [Facade, Export, Inference, TensorBoard, Pages, MuJoCo, Engine, Ddpg];

    public void Holds_no_type_that_is_not_of_dotnet_or_its_own()
    {
        string[] strange =
        [
            .. from facade in Facades
            from owner in facade.GetExportedTypes()
            from type in TypesOf(owner)
            where !IsAtHome(type)
            select $"{owner.Name} shows {type}",
        ];
        Assert.Empty(strange.Distinct());
    }

    public void Would_notice_one()
    {
        Type[] strange =
        [
            typeof(Microsoft.FSharp.Core.FSharpOption<int>),
            typeof(Microsoft.FSharp.Collections.FSharpList<int>),
            typeof(Microsoft.FSharp.Core.FSharpFunc<int, int>),
            Hidden("FunTrpo.Space, FunTrpo"),
            Hidden("FunTrpo.Kernels.Activation, FunTrpo.Kernels"),
            typeof(Tuple<int, int>),
            typeof((int, int)),
        ];
        Assert.All(
            strange,
            type => Assert.Contains(Parts(typeof(List<>).MakeGenericType(type)), part => !IsAtHome(part))
        );
        Assert.All(
            TypesOf(typeof(Strange)).Distinct().Where(type => !IsAtHome(type)),
            type => Assert.Contains(type, strange)
        );
        Assert.Equal(3, TypesOf(typeof(Strange)).Distinct().Count(type => !IsAtHome(type)));
    }

    public void Shows_the_types_that_are_meant()
    {
        // A type that is made public by mistake would stay so for good.
        Assert.Equal(
            [
                "ActionDistribution",
                "ActionDistributionKind",
                "Activation",
                "AgentAction",
                "BatchEnvironmentException",
                "BatchStepResult",
                "BestPolicy",
                "Colour",
                "ConfidenceInterval",
                "ConjugateGradientStop",
                "CriticMethod",
                "EnvironmentException",
                "Finding",
                "FindingKind",
                "IAsyncEnvironment",
                "IBatchEnvironment",
                "IEnvironment",
                "ILockstepBatchEnvironment",
                "IMaskedBatchEnvironment",
                "IMaskedEnvironment",
                "IPicturedEnvironment",
                "IterationReport",
                "NoStateAsJson", // the two for JSON are public for source-generated contexts
                "PartDistribution",
                "Picture",
                "Point",
                "Policy",
                "PolicyAsJson",
                "PolicyEpisode",
                "PolicyRule",
                "Scores",
                "Shape",
                "Space",
                "SpaceKind",
                "SpacePart",
                "StageSeconds",
                "StepDirection",
                "StepLength",
                "StepOutcome",
                "StepResult",
                "StopReason",
                "TrainingEvaluation",
                "TrainingException",
                "TrainingOptions",
                "TrainingPlan",
                "TrainingResult",
                "TrainingState",
                "TrainingStep",
                "Trpo",
            ],
            Facade.GetExportedTypes().Select(type => type.Name).Order(StringComparer.Ordinal)
        );
    }

    public void Shows_the_types_that_are_meant_for_export_inference_TensorBoard_pages_MuJoCo_and_DDPG()
    {
        Assert.Equal(["OnnxExport"], NamesIn(Export));
        Assert.Equal(
            ["ActionDistribution", "PartDistribution", "Policy", "PolicyEpisode", "Space", "SpaceKind", "SpacePart"],
            NamesIn(Inference)
        );
        Assert.Equal(["TensorBoardWriter"], NamesIn(TensorBoard));
        Assert.Equal(["Chart", "ComparePage", "ComparedRun", "ReportPage"], NamesIn(Pages));
        Assert.Equal(["MuJoCoEnvironment", "MuJoCoTasks"], NamesIn(MuJoCo));
        Assert.Equal(["DdpgIteration", "DdpgOptions", "DdpgPlan", "DdpgPlans", "DdpgResult"], NamesIn(Ddpg));
        Assert.Equal(["Library", "Model", "MuJoCoException", "MuJoCoNotFoundException", "Simulation"], NamesIn(Engine));

        static IEnumerable<string> NamesIn(Assembly assembly) =>
            assembly.GetExportedTypes().Select(type => type.Name).Order(StringComparer.Ordinal);
    }

    public void Names_activations_as_the_kernels_do() =>
        Assert.Equal(Enum.GetNames(Hidden("FunTrpo.Kernels.Activation, FunTrpo.Kernels")), Enum.GetNames<Activation>());

    /// <summary>A type that the program runs with, but does not compile against.</summary>
    private static Type Hidden(string name) => Type.GetType(name, throwOnError: true)!;

    private static bool IsAtHome(Type type) =>
        !(type.FullName ?? "").StartsWith("System.Tuple", StringComparison.Ordinal)
        && !(type.FullName ?? "").StartsWith("System.ValueTuple", StringComparison.Ordinal)
        && (
            Facades.Contains(type.Assembly)
            || type.Assembly == typeof(ILogger).Assembly // for WithLogger
            || type.Assembly.GetName().Name!.StartsWith("System.", StringComparison.Ordinal)
        );

    /// <summary>Every type that a caller meets who uses or inherits from a type.</summary>
    private static IEnumerable<Type> TypesOf(Type owner)
    {
        const BindingFlags All =
            BindingFlags.Public
            | BindingFlags.NonPublic
            | BindingFlags.Static
            | BindingFlags.Instance
            | BindingFlags.DeclaredOnly;
        IEnumerable<MethodBase> methods = owner
            .GetMethods(All)
            .Cast<MethodBase>()
            .Concat(owner.GetConstructors(All))
            .Where(method => method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly);
        IEnumerable<FieldInfo> fields = owner
            .GetFields(All)
            .Where(field => field.IsPublic || field.IsFamily || field.IsFamilyOrAssembly);
        return Parts(owner.BaseType)
            .Concat(owner.GetInterfaces().SelectMany(Parts))
            .Concat(owner.GetGenericArguments().SelectMany(Parts))
            .Concat(methods.SelectMany(method => method.GetParameters()).SelectMany(it => Parts(it.ParameterType)))
            .Concat(methods.OfType<MethodInfo>().SelectMany(method => Parts(method.ReturnType)))
            .Concat(methods.Where(m => m.IsGenericMethod).SelectMany(m => m.GetGenericArguments()).SelectMany(Parts))
            .Concat(fields.SelectMany(field => Parts(field.FieldType)));
    }

    /// <summary>A type, and all that it is made of.</summary>
    private static IEnumerable<Type> Parts(Type? type)
    {
        if (type is null)
        {
            return [];
        }

        if (type.HasElementType)
        {
            return Parts(type.GetElementType());
        }

        if (type.IsGenericParameter)
        {
            return type.GetGenericParameterConstraints().SelectMany(Parts);
        }

        Type[] arguments = type.IsGenericType ? type.GetGenericArguments() : [];
        return arguments.SelectMany(Parts).Prepend(type);
    }

    private abstract class Strange
    {
        public List<Microsoft.FSharp.Core.FSharpOption<int>> Field = [];

        public abstract void Method(Func<Microsoft.FSharp.Collections.FSharpList<int>> argument);

        protected abstract (int, int) Inherited();
    }
}
