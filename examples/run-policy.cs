#:package FunTrpo.CSharp@0.1.0-*

// Plays a saved policy: reads one observation from each line, and writes the most probable action for it.
//
//   dotnet publish run-policy.cs --output out -p:IlcInstructionSet=native    makes a native program
//   out/run-policy policy.json < observations.txt                            runs the program

using System;
using System.Globalization;
using System.IO;
using System.Linq;
using FunTrpo.CSharp;

if (args is not [string path])
{
    Console.Error.WriteLine("Usage: run-policy POLICY < OBSERVATIONS");
    return 2;
}

try
{
    Policy policy = Policy.Load(path);
    float[] action = new float[policy.ActionSpace.Width];
    while (Console.ReadLine() is { } line)
    {
        float[] observation = line.Split(' ', StringSplitOptions.RemoveEmptyEntries)
            .Select(number => float.Parse(number, CultureInfo.InvariantCulture))
            .ToArray();
        policy.Act(observation, action);
        Console.WriteLine(
            string.Join(' ', action.Select(number => number.ToString("R", CultureInfo.InvariantCulture)))
        );
    }

    return 0;
}
catch (Exception refused) when (refused is IOException or InvalidDataException or ArgumentException or FormatException)
{
    Console.Error.WriteLine(refused.Message);
    return 1;
}
