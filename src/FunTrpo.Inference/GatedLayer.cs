using System;
using System.Buffers;

namespace FunTrpo.Inference;

/// <summary>
/// A layer with memory, of which h is the first part: gated recurrent units or long short-term memory. The parameters are W (inputs × gates ·
/// units), U (units × gates · units) and the biases, as <c>docs/policy-format.md</c> describes them.
/// </summary>
internal abstract class GatedLayer : Layer
{
    private readonly float[] parameters;
    private readonly int weights;
    private readonly int inputs;
    private readonly int gates;

    protected GatedLayer(float[] parameters, int offset, int inputs, int units, int gates, int parts)
        : base(units, parts * units)
    {
        this.parameters = parameters;
        weights = offset;
        this.inputs = inputs;
        this.gates = gates;
    }

    /// <summary>The biases of x W, and what follows them.</summary>
    protected ReadOnlySpan<float> Biases => parameters.AsSpan(weights + ((inputs + Outputs) * gates * Outputs));

    public override void Forward(ReadOnlySpan<float> input, Span<float> memory, Span<float> output)
    {
        int columns = gates * Outputs;
        float[] rented = ArrayPool<float>.Shared.Rent(2 * columns);
        Span<float> a = rented.AsSpan(0, columns);
        Span<float> u = rented.AsSpan(columns, columns);
        Biases.Slice(0, columns).CopyTo(a);
        AddRows(weights, input, a);
        StartRecurrent(u);
        AddRows(weights + (inputs * columns), memory.Slice(0, Outputs), u);
        Advance(a, u, memory);
        memory.Slice(0, Outputs).CopyTo(output);
        ArrayPool<float>.Shared.Return(rented);
    }

    /// <summary>Writes the biases of h U.</summary>
    protected virtual void StartRecurrent(Span<float> u) => u.Clear();

    /// <summary>Replaces the memory, for a = x W + b and u = h U.</summary>
    protected abstract void Advance(ReadOnlySpan<float> a, ReadOnlySpan<float> u, Span<float> memory);

    private void AddRows(int offset, ReadOnlySpan<float> factors, Span<float> sums)
    {
        for (int i = 0; i < factors.Length; i++)
        {
            AddRow(factors[i], parameters.AsSpan(offset + (i * sums.Length), sums.Length), sums);
        }
    }
}

/// <summary>r, z = σ(a + u), n = tanh(a_n + r ⊙ u_n), h' = n + z ⊙ (h − n).</summary>
internal sealed class GruLayer : GatedLayer
{
    public GruLayer(float[] parameters, int offset, int inputs, int units)
        : base(parameters, offset, inputs, units, 3, 1) { }

    protected override void StartRecurrent(Span<float> u)
    {
        u.Clear();
        Biases.Slice(3 * Outputs, Outputs).CopyTo(u.Slice(2 * Outputs));
    }

    protected override void Advance(ReadOnlySpan<float> a, ReadOnlySpan<float> u, Span<float> memory)
    {
        int n = Outputs;
        for (int i = 0; i < n; i++)
        {
            float reset = Activation.HalfTanhSigmoid(a[i] + u[i]);
            float keep = Activation.HalfTanhSigmoid(a[n + i] + u[n + i]);
            float candidate = Activation.Tanh(Activation.MultiplyAdd(reset, u[(2 * n) + i], a[(2 * n) + i]));
            memory[i] = Activation.MultiplyAdd(keep, memory[i] - candidate, candidate);
        }
    }
}

/// <summary>i, f, o = σ(s), g = tanh(s), c' = f ⊙ c + i ⊙ g, h' = o ⊙ tanh(c'), with s = a + u.</summary>
internal sealed class LstmLayer : GatedLayer
{
    public LstmLayer(float[] parameters, int offset, int inputs, int units)
        : base(parameters, offset, inputs, units, 4, 2) { }

    protected override void Advance(ReadOnlySpan<float> a, ReadOnlySpan<float> u, Span<float> memory)
    {
        int n = Outputs;
        for (int i = 0; i < n; i++)
        {
            float input = Activation.HalfTanhSigmoid(a[i] + u[i]);
            float forget = Activation.HalfTanhSigmoid(a[n + i] + u[n + i]);
            float candidate = Activation.Tanh(a[(2 * n) + i] + u[(2 * n) + i]);
            float output = Activation.HalfTanhSigmoid(a[(3 * n) + i] + u[(3 * n) + i]);
            float cell = Activation.MultiplyAdd(forget, memory[n + i], input * candidate);
            memory[n + i] = cell;
            memory[i] = output * Activation.Tanh(cell);
        }
    }
}
