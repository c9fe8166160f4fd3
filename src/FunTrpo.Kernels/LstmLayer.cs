using System.Runtime.CompilerServices;

namespace FunTrpo.Kernels;

/// <summary>
/// Long short-term memory (Hochreiter and Schmidhuber 1997; with forget gates, Gers et al. 2000). The gates are i, f, g and o:
/// <code>
/// i, f, o = σ(s)   g = tanh(s)   c' = f ⊙ c + i ⊙ g   h' = o ⊙ tanh(c')
/// </code>
/// with s = x W + h U + b. The memory is h and then c.
/// </summary>
/// <param name="inputs">The number of columns of x.</param>
/// <param name="units">The number of columns of y.</param>
public sealed unsafe class LstmLayer(int inputs, int units)
    : GatedLayer(inputs, units, gates: 4, parts: 2, keptParts: 5, isSeparate: false)
{
    private protected override void Advance(in CellStep step) => Lanes.Run(new NextMemory(step));

    private protected override void PushForward(in CellStep step) => Lanes.Run(new Tangent(step));

    private protected override void PullBack(in CellStep step) => Lanes.Run(new Cotangent(step));

    private readonly struct NextMemory(CellStep step) : IKernel
    {
        [MethodImpl(Compiled.Separately)]
        public void Run<TVector>()
            where TVector : unmanaged, ISimdVector<TVector>
        {
            int units = step.Units;
            for (int i = 0; i < step.Rows; i++)
            {
                float* s = step.Input + (i * step.InputRow);
                float* cell = step.Before + (i * step.BeforeRow) + units;
                float* memory = step.Memory + (i * step.MemoryRow);
                float* kept = step.Kept + (i * step.KeptRow);
                for (int j = 0; j < units; j += TVector.Count)
                {
                    TVector input = CellStep.Sigmoid(TVector.Load(s + j));
                    TVector forget = CellStep.Sigmoid(TVector.Load(s + units + j));
                    TVector candidate = Activations.Tanh(TVector.Load(s + (2 * units) + j));
                    TVector output = CellStep.Sigmoid(TVector.Load(s + (3 * units) + j));
                    TVector next = TVector.FusedMultiplyAdd(forget, TVector.Load(cell + j), input * candidate);
                    TVector tanh = Activations.Tanh(next);
                    input.Store(kept + j);
                    forget.Store(kept + units + j);
                    candidate.Store(kept + (2 * units) + j);
                    output.Store(kept + (3 * units) + j);
                    tanh.Store(kept + (4 * units) + j);
                    (output * tanh).Store(memory + j);
                    next.Store(memory + units + j);
                }
            }
        }
    }

    /// <summary>The differentials of the equations.</summary>
    private readonly struct Tangent(CellStep step) : IKernel
    {
        [MethodImpl(Compiled.Separately)]
        public void Run<TVector>()
            where TVector : unmanaged, ISimdVector<TVector>
        {
            int units = step.Units;
            for (int i = 0; i < step.Rows; i++)
            {
                float* s = step.Input + (i * step.InputRow);
                float* cell = step.Before + (i * step.BeforeRow) + units;
                float* memory = step.Memory + (i * step.MemoryRow);
                float* kept = step.Kept + (i * step.KeptRow);
                for (int j = 0; j < units; j += TVector.Count)
                {
                    TVector input = TVector.Load(kept + j);
                    TVector forget = TVector.Load(kept + units + j);
                    TVector candidate = TVector.Load(kept + (2 * units) + j);
                    TVector output = TVector.Load(kept + (3 * units) + j);
                    TVector tanh = TVector.Load(kept + (4 * units) + j);
                    TVector ofInput = CellStep.SigmoidSlope(input) * TVector.Load(s + j);
                    TVector ofForget = CellStep.SigmoidSlope(forget) * TVector.Load(s + units + j);
                    TVector ofCandidate = Activations.TanhSlope(candidate) * TVector.Load(s + (2 * units) + j);
                    TVector ofOutput = CellStep.SigmoidSlope(output) * TVector.Load(s + (3 * units) + j);
                    TVector next = ofForget * TVector.Load(cell + j);
                    next = TVector.FusedMultiplyAdd(forget, TVector.Load(memory + units + j), next);
                    next = TVector.FusedMultiplyAdd(ofInput, candidate, next);
                    next = TVector.FusedMultiplyAdd(input, ofCandidate, next);
                    TVector slope = output * Activations.TanhSlope(tanh);
                    TVector.FusedMultiplyAdd(slope, next, ofOutput * tanh).Store(memory + j);
                    next.Store(memory + units + j);
                }
            }
        }
    }

    private readonly struct Cotangent(CellStep step) : IKernel
    {
        [MethodImpl(Compiled.Separately)]
        public void Run<TVector>()
            where TVector : unmanaged, ISimdVector<TVector>
        {
            int units = step.Units;
            TVector zero = TVector.Create(0f);
            for (int i = 0; i < step.Rows; i++)
            {
                float* s = step.Input + (i * step.InputRow);
                float* cell = step.Before + (i * step.BeforeRow) + units;
                float* memory = step.Memory + (i * step.MemoryRow);
                float* kept = step.Kept + (i * step.KeptRow);
                for (int j = 0; j < units; j += TVector.Count)
                {
                    TVector input = TVector.Load(kept + j);
                    TVector forget = TVector.Load(kept + units + j);
                    TVector candidate = TVector.Load(kept + (2 * units) + j);
                    TVector output = TVector.Load(kept + (3 * units) + j);
                    TVector tanh = TVector.Load(kept + (4 * units) + j);
                    TVector h = TVector.Load(memory + j);
                    TVector slope = output * Activations.TanhSlope(tanh);
                    TVector c = TVector.FusedMultiplyAdd(slope, h, TVector.Load(memory + units + j));
                    (CellStep.SigmoidSlope(input) * (c * candidate)).Store(s + j);
                    (CellStep.SigmoidSlope(forget) * (c * TVector.Load(cell + j))).Store(s + units + j);
                    (Activations.TanhSlope(candidate) * (c * input)).Store(s + (2 * units) + j);
                    (CellStep.SigmoidSlope(output) * (h * tanh)).Store(s + (3 * units) + j);
                    zero.Store(memory + j);
                    (c * forget).Store(memory + units + j);
                }
            }
        }
    }
}
