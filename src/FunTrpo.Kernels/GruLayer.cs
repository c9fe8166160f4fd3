using System.Runtime.CompilerServices;

namespace FunTrpo.Kernels;

/// <summary>
/// Gated recurrent units (Cho et al. 2014, "Learning phrase representations using RNN encoder–decoder"), in the form that multiplies by r
/// after the product, as in cuDNN, PyTorch and ONNX with linear_before_reset = 1. The gates are r, z and n:
/// <code>
/// r = σ(a_r + u_r)   z = σ(a_z + u_z)   n = tanh(a_n + r ⊙ u_n)   h' = n + z ⊙ (h − n)
/// </code>
/// with a = x W + b and u = h U + c, where c is not 0 for n only. The memory is h.
/// </summary>
/// <param name="inputs">The number of columns of x.</param>
/// <param name="units">The number of columns of y.</param>
public sealed unsafe class GruLayer(int inputs, int units)
    : GatedLayer(inputs, units, gates: 3, parts: 1, keptParts: 4, isSeparate: true)
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
                float* a = step.Input + (i * step.InputRow);
                float* u = step.Recurrent + (i * step.RecurrentRow);
                float* before = step.Before + (i * step.BeforeRow);
                float* memory = step.Memory + (i * step.MemoryRow);
                float* kept = step.Kept + (i * step.KeptRow);
                for (int j = 0; j < units; j += TVector.Count)
                {
                    TVector r = CellStep.Sigmoid(TVector.Load(a + j) + TVector.Load(u + j));
                    TVector z = CellStep.Sigmoid(TVector.Load(a + units + j) + TVector.Load(u + units + j));
                    TVector q = TVector.Load(u + (2 * units) + j);
                    TVector n = Activations.Tanh(TVector.FusedMultiplyAdd(r, q, TVector.Load(a + (2 * units) + j)));
                    r.Store(kept + j);
                    z.Store(kept + units + j);
                    n.Store(kept + (2 * units) + j);
                    q.Store(kept + (3 * units) + j);
                    TVector.FusedMultiplyAdd(z, TVector.Load(before + j) - n, n).Store(memory + j);
                }
            }
        }
    }

    /// <summary>The differentials of the four equations.</summary>
    private readonly struct Tangent(CellStep step) : IKernel
    {
        [MethodImpl(Compiled.Separately)]
        public void Run<TVector>()
            where TVector : unmanaged, ISimdVector<TVector>
        {
            int units = step.Units;
            for (int i = 0; i < step.Rows; i++)
            {
                float* a = step.Input + (i * step.InputRow);
                float* u = step.Recurrent + (i * step.RecurrentRow);
                float* before = step.Before + (i * step.BeforeRow);
                float* memory = step.Memory + (i * step.MemoryRow);
                float* kept = step.Kept + (i * step.KeptRow);
                for (int j = 0; j < units; j += TVector.Count)
                {
                    TVector r = TVector.Load(kept + j);
                    TVector z = TVector.Load(kept + units + j);
                    TVector n = TVector.Load(kept + (2 * units) + j);
                    TVector q = TVector.Load(kept + (3 * units) + j);
                    TVector rTangent = CellStep.SigmoidSlope(r) * (TVector.Load(a + j) + TVector.Load(u + j));
                    TVector zTangent =
                        CellStep.SigmoidSlope(z) * (TVector.Load(a + units + j) + TVector.Load(u + units + j));
                    TVector argument = TVector.FusedMultiplyAdd(rTangent, q, TVector.Load(a + (2 * units) + j));
                    argument = TVector.FusedMultiplyAdd(r, TVector.Load(u + (2 * units) + j), argument);
                    TVector nTangent = Activations.TanhSlope(n) * argument;
                    TVector result = TVector.FusedMultiplyAdd(z, TVector.Load(memory + j) - nTangent, nTangent);
                    TVector.FusedMultiplyAdd(zTangent, TVector.Load(before + j) - n, result).Store(memory + j);
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
            for (int i = 0; i < step.Rows; i++)
            {
                float* a = step.Input + (i * step.InputRow);
                float* u = step.Recurrent + (i * step.RecurrentRow);
                float* before = step.Before + (i * step.BeforeRow);
                float* memory = step.Memory + (i * step.MemoryRow);
                float* kept = step.Kept + (i * step.KeptRow);
                for (int j = 0; j < units; j += TVector.Count)
                {
                    TVector r = TVector.Load(kept + j);
                    TVector z = TVector.Load(kept + units + j);
                    TVector n = TVector.Load(kept + (2 * units) + j);
                    TVector q = TVector.Load(kept + (3 * units) + j);
                    TVector h = TVector.Load(memory + j);
                    TVector ofN = Activations.TanhSlope(n) * (h - (z * h));
                    TVector ofR = CellStep.SigmoidSlope(r) * (ofN * q);
                    TVector ofZ = CellStep.SigmoidSlope(z) * (h * (TVector.Load(before + j) - n));
                    ofR.Store(a + j);
                    ofR.Store(u + j);
                    ofZ.Store(a + units + j);
                    ofZ.Store(u + units + j);
                    ofN.Store(a + (2 * units) + j);
                    (ofN * r).Store(u + (2 * units) + j);
                    (h * z).Store(memory + j);
                }
            }
        }
    }
}
