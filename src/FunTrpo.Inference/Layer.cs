using System;

namespace FunTrpo.Inference;

/// <summary>One layer of a network.</summary>
internal abstract class Layer
{
    protected Layer(int outputs, int memory = 0)
    {
        Outputs = outputs;
        Memory = memory;
    }

    /// <summary>The number of outputs.</summary>
    public int Outputs { get; }

    /// <summary>The length of what the layer remembers.</summary>
    public int Memory { get; }

    /// <summary>Writes the outputs for one row of inputs. The span may be longer than the outputs. Replaces the memory.</summary>
    public abstract void Forward(ReadOnlySpan<float> input, Span<float> memory, Span<float> output);

    /// <summary>
    /// sums += factor · row. Each sum is a chain of fused multiply-adds in float32 that begins with the bias, as in the library, so that both
    /// round alike.
    /// </summary>
    protected static void AddRow(float factor, ReadOnlySpan<float> row, Span<float> sums)
    {
        for (int j = 0; j < sums.Length; j++)
        {
            sums[j] = Activation.MultiplyAdd(factor, row[j], sums[j]);
        }
    }

    /// <summary>numbers = f(numbers)</summary>
    protected static void Apply(Func<float, float> activation, Span<float> numbers)
    {
        for (int j = 0; j < numbers.Length; j++)
        {
            numbers[j] = activation(numbers[j]);
        }
    }
}
