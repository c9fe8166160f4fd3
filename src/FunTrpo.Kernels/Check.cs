using System;
using System.Runtime.CompilerServices;

namespace FunTrpo.Kernels;

/// <summary>Refuses spans whose lengths do not fit together, before any pointer is formed.</summary>
internal static class Check
{
    public static void SameLength(int actual, int expected, [CallerArgumentExpression(nameof(actual))] string name = "")
    {
        if (actual != expected)
        {
            throw new ArgumentException($"{name} is {actual}, but must be {expected}.");
        }
    }
}
