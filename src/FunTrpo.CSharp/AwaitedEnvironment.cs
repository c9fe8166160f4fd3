using System;
using System.Runtime.CompilerServices;
using System.Threading.Tasks;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>An asynchronous environment as one whose calls sleep until the result is there.</summary>
internal class AwaitedEnvironment(IAsyncEnvironment environment) : IEnvironment
{
    public Space ObservationSpace => environment.ObservationSpace;

    public Space ActionSpace => environment.ActionSpace;

    /// <summary>What says which actions are legal; null if all are.</summary>
    public IMaskedEnvironment? Masks => environment as IMaskedEnvironment;

    protected IAsyncEnvironment Environment => environment;

    /// <summary>Returns a factory of awaited environments. An environment that is returned twice gives the same awaited one twice.</summary>
    public static Func<IEnvironment> Factory(Func<IAsyncEnvironment> make)
    {
        ConditionalWeakTable<IAsyncEnvironment, AwaitedEnvironment> made = [];
        return () => make() is { } environment ? made.GetValue(environment, Wrap) : null!;

        static AwaitedEnvironment Wrap(IAsyncEnvironment environment) =>
            environment is IAsyncDisposable or IDisposable
                ? new DisposableAwaitedEnvironment(environment)
                : new AwaitedEnvironment(environment);
    }

    public float[] Reset(int seed) => Core.Awaiting.Result(() => environment.ResetAsync(seed, Cancelling.Current));

    public StepResult Step(AgentAction action)
    {
        float[] numbers = action.ToNumbers();
        return Core.Awaiting.Result(() => environment.StepAsync(numbers, Cancelling.Current));
    }
}

/// <summary>The same for an environment that is to be disposed of.</summary>
internal sealed class DisposableAwaitedEnvironment(IAsyncEnvironment environment)
    : AwaitedEnvironment(environment),
        IDisposable
{
    public void Dispose()
    {
        if (Environment is IAsyncDisposable disposable)
        {
            Core.Awaiting.Finish(disposable.DisposeAsync);
        }
        else
        {
            ((IDisposable)Environment).Dispose();
        }
    }
}
