using System;

namespace FunTrpo.Kernels;

/// <summary>
/// A layer with memory on sequences of rows: in each row the gates are computed from the row x and from the output h of the row before, and
/// the gates decide what is kept in memory. Its pushforward goes through time forwards and its pullback backwards.
/// </summary>
/// <remarks>
/// There are <c>count</c> sequences of <c>length</c> rows, one sequence after another. <c>begins</c> says of each row whether memory is 0
/// before it. The parameters are W (inputs × gates · units), U (units × gates · units), the biases b of x W + b, and for some cells those of
/// h U. In packed parameters each gate is padded to whole vectors, and so are rows of y, of memory and of their tangents and cotangents.
/// Memory has one or more parts, of which the first is h = y. A sequence has the same result, bit for bit, whatever the others are.
/// </remarks>
public abstract unsafe class GatedLayer
{
    private readonly int gates;
    private readonly int parts;
    private readonly int keptParts;

    /// <summary>Whether the cell uses x W + b and h U apart, and not their sum. Then the last gate has a bias of h U.</summary>
    private readonly bool isSeparate;

    private protected GatedLayer(int inputs, int units, int gates, int parts, int keptParts, bool isSeparate)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(inputs, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(units, 1);
        double columns = gates * ((double)units + Lanes.Width);
        if (((double)inputs + units + (2 * Lanes.Width) + 2) * columns > PooledBuffer.Largest)
        {
            throw new ArgumentOutOfRangeException(
                nameof(units),
                $"A layer from {inputs} inputs to {units} units is larger than the {PooledBuffer.Largest} numbers that memory is lent for."
            );
        }

        Inputs = inputs;
        Units = units;
        this.gates = gates;
        this.parts = parts;
        this.keptParts = keptParts;
        this.isSeparate = isSeparate;
    }

    /// <summary>The number of columns of x.</summary>
    public int Inputs { get; }

    /// <summary>The number of columns of y.</summary>
    public int Units { get; }

    /// <summary>The length of the memory of a sequence.</summary>
    public int Memory => parts * Units;

    /// <summary>The number of parts of the memory, each of <see cref="Units"/> numbers.</summary>
    public int MemoryParts => parts;

    /// <summary>The length of a parameter vector.</summary>
    public int ParameterCount => ((Inputs + Units + 1) * Columns) + (isSeparate ? Units : 0);

    /// <summary>The stride of the rows of y, and the length of a part of padded memory.</summary>
    public int Stride => Lanes.Pad(Units);

    /// <summary>The stride of the rows of padded memory.</summary>
    public int MemoryStride => parts * Stride;

    /// <summary>The stride of the rows of what <see cref="Forward"/> keeps for the derivatives.</summary>
    public int KeptStride => keptParts * Stride;

    /// <summary>The longest row that is computed.</summary>
    public int Widest => Math.Max(Lanes.Pad(Inputs), Math.Max(GateStride, KeptStride));

    /// <summary>The length of a packed parameter vector.</summary>
    public int PackedCount => ((Inputs + Units + 1) * GateStride) + RecurrentBiases;

    /// <summary>The length of what <see cref="Transpose"/> writes.</summary>
    public int TransposedCount => GateStride * (Lanes.Pad(Inputs) + Stride);

    /// <summary>The number of columns of W and U.</summary>
    private int Columns => gates * Units;

    private int GateStride => gates * Stride;

    private int RecurrentBiases => isSeparate ? GateStride : 0;

    private int PackedInput => Inputs * GateStride;

    private int PackedRecurrent => Units * GateStride;

    private int PackedBiases => PackedInput + PackedRecurrent;

    /// <summary>The place of the bias of h U in its packed row: that of the last gate.</summary>
    private int CandidatePlace => PackedBiases + GateStride + ((gates - 1) * Stride);

    /// <summary>Packs a parameter vector, or a tangent of one.</summary>
    public void Pack(ReadOnlySpan<float> parameters, Span<float> packed)
    {
        Check.SameLength(parameters.Length, ParameterCount);
        Check.SameLength(packed.Length, PackedCount);
        packed.Clear();

        // W, U and b are rows of the same length, one after another.
        int rows = Inputs + Units + 1;
        for (int gate = 0; gate < gates; gate++)
        {
            PaddedRows.Copy(rows, Units, parameters[(gate * Units)..], Columns, packed[(gate * Stride)..], GateStride);
        }

        if (isSeparate)
        {
            parameters[(rows * Columns)..].CopyTo(packed[CandidatePlace..]);
        }
    }

    /// <summary>Unpacks packed parameters, or a tangent or cotangent of them.</summary>
    public void Unpack(ReadOnlySpan<float> packed, Span<float> parameters)
    {
        Check.SameLength(parameters.Length, ParameterCount);
        Check.SameLength(packed.Length, PackedCount);
        int rows = Inputs + Units + 1;
        for (int gate = 0; gate < gates; gate++)
        {
            PaddedRows.Copy(rows, Units, packed[(gate * Stride)..], GateStride, parameters[(gate * Units)..], Columns);
        }

        if (isSeparate)
        {
            packed.Slice(CandidatePlace, Units).CopyTo(parameters[(rows * Columns)..]);
        }
    }

    /// <summary>Writes Wᵀ and then Uᵀ of packed parameters, with padded rows, for <see cref="Pullback"/>.</summary>
    public void Transpose(ReadOnlySpan<float> packed, Span<float> transposed)
    {
        Check.SameLength(packed.Length, PackedCount);
        Check.SameLength(transposed.Length, TransposedCount);
        transposed.Clear();
        int inputStride = Lanes.Pad(Inputs);
        PaddedRows.Transpose(Inputs, GateStride, packed, GateStride, transposed, inputStride);
        Span<float> recurrent = transposed[(GateStride * inputStride)..];
        PaddedRows.Transpose(Units, GateStride, packed[PackedInput..], GateStride, recurrent, Stride);
    }

    /// <summary>
    /// Writes y, and what the derivatives need: the memory before each row, and what the cell keeps of each row.
    /// </summary>
    /// <param name="count">The number of sequences.</param>
    /// <param name="length">The number of rows of a sequence.</param>
    /// <param name="begins">Whether memory is 0 before each row.</param>
    /// <param name="packed">The packed parameters.</param>
    /// <param name="x">The rows of input.</param>
    /// <param name="xStride">The distance between rows of input.</param>
    /// <param name="memory">The padded memory of each sequence: before its first row, and afterwards that after its last row.</param>
    /// <param name="before">Receives the padded memory before each row.</param>
    /// <param name="kept">Receives what the cell keeps.</param>
    /// <param name="y">Receives the output.</param>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit the layer.</exception>
    public void Forward(
        int count,
        int length,
        ReadOnlySpan<bool> begins,
        ReadOnlySpan<float> packed,
        ReadOnlySpan<float> x,
        int xStride,
        Span<float> memory,
        Span<float> before,
        Span<float> kept,
        Span<float> y
    )
    {
        int rows = CheckSequences(count, length, begins, x, xStride);
        Check.SameLength(packed.Length, PackedCount);
        Check.SameLength(memory.Length, Check.Product(count, MemoryStride));
        CheckKept(rows, before, kept);
        Check.SameLength(y.Length, Check.Product(rows, Stride));
        using PooledBuffer input = PooledBuffer.Rent(rows, GateStride);
        using PooledBuffer recurrent = PooledBuffer.Rent(isSeparate ? count : 0, GateStride);
        fixed (
            float* pPacked = packed,
                pX = x,
                pInput = input.Span,
                pRecurrent = recurrent.Span,
                pMemory = memory,
                pBefore = before,
                pKept = kept
        )
        {
            new MatrixProduct
            {
                Rows = rows,
                Columns = GateStride,
                Stride = GateStride,
                First = new(Inputs, pX, xStride, 1, pPacked, GateStride),
                Start = pPacked + PackedBiases,
                C = pInput,
                IsStreamed = true,
            }.Compute();
            for (int t = 0; t < length; t++)
            {
                ForgetBefore(t, length, begins, memory);
                CopyMemory(t, length, memory, before);
                CellStep step = StepAt(t, count, length, pInput, pInput, pMemory, pBefore, pKept);
                Term product = new(Units, step.Before, step.BeforeRow, 1, pPacked + PackedInput, GateStride);
                step.Recurrent = isSeparate ? pRecurrent : step.Input;
                step.RecurrentRow = isSeparate ? GateStride : step.InputRow;
                new MatrixProduct
                {
                    Rows = count,
                    Columns = GateStride,
                    Stride = step.RecurrentRow,
                    First = product,
                    Start = isSeparate ? pPacked + PackedBiases + GateStride : step.Input,
                    StartRow = isSeparate ? 0 : step.InputRow,
                    C = step.Recurrent,
                }.Compute();
                Advance(step);
                CopyOutput(t, length, memory, y);
            }
        }
    }

    /// <summary>
    /// Writes the tangent of y, given the tangents of x and of the packed parameters. An empty <paramref name="xTangent"/> stands for zero.
    /// The memory before the first row is a constant.
    /// </summary>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit the layer.</exception>
    public void Pushforward(
        int count,
        int length,
        ReadOnlySpan<bool> begins,
        ReadOnlySpan<float> packed,
        ReadOnlySpan<float> x,
        int xStride,
        ReadOnlySpan<float> before,
        ReadOnlySpan<float> kept,
        ReadOnlySpan<float> xTangent,
        ReadOnlySpan<float> packedTangent,
        Span<float> yTangent
    )
    {
        int rows = CheckSequences(count, length, begins, x, xStride);
        Check.SameLength(packed.Length, PackedCount);
        Check.SameLength(packedTangent.Length, PackedCount);
        CheckKept(rows, before, kept);
        Check.SameLength(yTangent.Length, Check.Product(rows, Stride));
        if (!xTangent.IsEmpty)
        {
            Check.Rows(xTangent.Length, rows, Inputs, xStride);
        }

        using PooledBuffer input = PooledBuffer.Rent(rows, GateStride);
        using PooledBuffer recurrent = PooledBuffer.Rent(isSeparate ? rows : 0, GateStride);
        using PooledBuffer memory = PooledBuffer.RentZeros(count, MemoryStride);
        fixed (
            float* pPacked = packed,
                pTangent = packedTangent,
                pX = x,
                pXTangent = xTangent,
                pInput = input.Span,
                pRecurrent = recurrent.Span,
                pMemory = memory.Span,
                pBefore = before,
                pKept = kept
        )
        {
            float* ofRecurrent = isSeparate ? pRecurrent : pInput;
            new MatrixProduct
            {
                Rows = rows,
                Columns = GateStride,
                Stride = GateStride,
                First = new(Inputs, pX, xStride, 1, pTangent, GateStride),
                Second = new(xTangent.IsEmpty ? 0 : Inputs, pXTangent, xStride, 1, pPacked, GateStride),
                Start = pTangent + PackedBiases,
                C = pInput,
                IsStreamed = true,
            }.Compute();

            // h U̇, of all rows at once: tiles of many rows are faster.
            new MatrixProduct
            {
                Rows = rows,
                Columns = GateStride,
                Stride = GateStride,
                First = new(Units, pBefore, MemoryStride, 1, pTangent + PackedInput, GateStride),
                Start = isSeparate ? pTangent + PackedBiases + GateStride : pInput,
                StartRow = isSeparate ? 0 : GateStride,
                C = ofRecurrent,
                IsStreamed = true,
            }.Compute();
            for (int t = 0; t < length; t++)
            {
                ForgetBefore(t, length, begins, memory.Span);
                CellStep step = StepAt(t, count, length, pInput, ofRecurrent, pMemory, pBefore, pKept);

                // ḣ U
                new MatrixProduct
                {
                    Rows = count,
                    Columns = GateStride,
                    Stride = step.RecurrentRow,
                    First = new(Units, pMemory, MemoryStride, 1, pPacked + PackedInput, GateStride),
                    Start = step.Recurrent,
                    StartRow = step.RecurrentRow,
                    C = step.Recurrent,
                }.Compute();
                PushForward(step);
                CopyOutput(t, length, memory.Span, yTangent);
            }
        }
    }

    /// <summary>
    /// For a cotangent of y: adds that of the parameters to <paramref name="packedCotangent"/>, and writes that of x, multiplied by
    /// <paramref name="xSlopes"/>, unless <paramref name="xCotangent"/> is empty. Rows of the latter are <c>Lanes.Pad(Inputs)</c> apart.
    /// </summary>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit the layer.</exception>
    public void Pullback(
        int count,
        int length,
        ReadOnlySpan<bool> begins,
        ReadOnlySpan<float> transposed,
        ReadOnlySpan<float> x,
        int xStride,
        ReadOnlySpan<float> before,
        ReadOnlySpan<float> kept,
        ActivationDerivatives xSlopes,
        ReadOnlySpan<float> yCotangent,
        Span<float> xCotangent,
        Span<float> packedCotangent
    )
    {
        int rows = CheckSequences(count, length, begins, x, xStride);
        int inputStride = Lanes.Pad(Inputs);
        Check.SameLength(transposed.Length, TransposedCount);
        CheckKept(rows, before, kept);
        Check.SameLength(yCotangent.Length, Check.Product(rows, Stride));
        Check.SameLength(xCotangent.Length, xCotangent.IsEmpty ? 0 : Check.Product(rows, inputStride));
        Check.SameLength(packedCotangent.Length, PackedCount);
        ReadOnlySpan<float> slopes = xSlopes.Kept;
        if (!slopes.IsEmpty)
        {
            Check.SameLength(slopes.Length, Check.Product(rows, inputStride));
        }

        using PooledBuffer input = PooledBuffer.Rent(rows, GateStride);
        using PooledBuffer recurrent = PooledBuffer.Rent(isSeparate ? rows : 0, GateStride);
        using PooledBuffer memory = PooledBuffer.RentZeros(count, MemoryStride);
        fixed (
            float* pTransposed = transposed,
                pX = x,
                pInput = input.Span,
                pRecurrent = recurrent.Span,
                pMemory = memory.Span,
                pBefore = before,
                pKept = kept,
                pSlopes = slopes,
                pXCotangent = xCotangent,
                pCotangent = packedCotangent
        )
        {
            float* ofRecurrent = isSeparate ? pRecurrent : pInput;
            for (int t = length - 1; t >= 0; t--)
            {
                AddOutput(t, length, yCotangent, memory.Span);
                CellStep step = StepAt(t, count, length, pInput, ofRecurrent, pMemory, pBefore, pKept);
                PullBack(step);

                // The cotangent of h by way of the gates.
                new MatrixProduct
                {
                    Rows = count,
                    Columns = Stride,
                    Stride = MemoryStride,
                    First = new(
                        GateStride,
                        step.Recurrent,
                        step.RecurrentRow,
                        1,
                        pTransposed + (GateStride * inputStride),
                        Stride
                    ),
                    Start = pMemory,
                    StartRow = MemoryStride,
                    C = pMemory,
                }.Compute();
                ForgetBefore(t, length, begins, memory.Span);
            }

            Term ofInput = new(rows, pX, 1, xStride, pInput, GateStride);
            MatrixProduct.Add(Inputs, GateStride, ofInput, pCotangent, GateStride);
            Term ofMemory = new(rows, pBefore, 1, MemoryStride, ofRecurrent, GateStride);
            MatrixProduct.Add(Units, GateStride, ofMemory, pCotangent + PackedInput, GateStride);
            if (!xCotangent.IsEmpty)
            {
                new MatrixProduct
                {
                    Rows = rows,
                    Columns = inputStride,
                    Stride = inputStride,
                    First = new(GateStride, pInput, GateStride, 1, pTransposed, inputStride),
                    Scale = pSlopes,
                    IsTanh = xSlopes.IsTanh,
                    C = pXCotangent,
                }.Compute();
            }
        }

        ColumnSums.Add(input.Span, packedCotangent.Slice(PackedBiases, GateStride));
        if (isSeparate)
        {
            // Only the last gate has this bias; the padding of packed cotangents is 0.
            using PooledBuffer sums = PooledBuffer.RentZeros(1, GateStride);
            ColumnSums.Add(recurrent.Span, sums.Span);
            Span<float> candidate = packedCotangent.Slice(CandidatePlace, Stride);
            Reductions.AddScaled(1f, sums.Span[((gates - 1) * Stride)..], candidate, candidate);
        }
    }

    /// <summary>From a and u and the memory before: writes the memory after, and what the derivatives need.</summary>
    private protected abstract void Advance(in CellStep step);

    /// <summary>Replaces the tangent of the memory before by that of the memory after, for tangents of a and u.</summary>
    private protected abstract void PushForward(in CellStep step);

    /// <summary>
    /// Replaces the cotangent of the memory after by that of the memory before, other than by way of u, and writes those of a and u.
    /// </summary>
    private protected abstract void PullBack(in CellStep step);

    private CellStep StepAt(
        int t,
        int count,
        int length,
        float* input,
        float* recurrent,
        float* memory,
        float* before,
        float* kept
    ) =>
        new()
        {
            Rows = count,
            Units = Stride,
            Input = input + ((nint)t * GateStride),
            InputRow = (nint)length * GateStride,
            Recurrent = recurrent + ((nint)t * GateStride),
            RecurrentRow = (nint)length * GateStride,
            Memory = memory,
            MemoryRow = MemoryStride,
            Before = before + ((nint)t * MemoryStride),
            BeforeRow = (nint)length * MemoryStride,
            Kept = kept + ((nint)t * KeptStride),
            KeptRow = (nint)length * KeptStride,
        };

    /// <summary>Clears the memory of the sequences in which row t begins anew.</summary>
    private void ForgetBefore(int t, int length, ReadOnlySpan<bool> begins, Span<float> memory)
    {
        for (int i = 0, row = t; row < begins.Length; i++, row += length)
        {
            if (begins[row])
            {
                memory.Slice(i * MemoryStride, MemoryStride).Clear();
            }
        }
    }

    private void CopyMemory(int t, int length, ReadOnlySpan<float> memory, Span<float> before)
    {
        for (int i = 0; i * MemoryStride < memory.Length; i++)
        {
            int row = (i * length) + t;
            memory.Slice(i * MemoryStride, MemoryStride).CopyTo(before[(row * MemoryStride)..]);
        }
    }

    /// <summary>Copies h from memory to the rows t of y.</summary>
    private void CopyOutput(int t, int length, ReadOnlySpan<float> memory, Span<float> y)
    {
        for (int i = 0; i * MemoryStride < memory.Length; i++)
        {
            int row = (i * length) + t;
            memory.Slice(i * MemoryStride, Stride).CopyTo(y[(row * Stride)..]);
        }
    }

    /// <summary>Adds the cotangent of rows t of y to that of h in memory.</summary>
    private void AddOutput(int t, int length, ReadOnlySpan<float> yCotangent, Span<float> memory)
    {
        for (int i = 0; i * MemoryStride < memory.Length; i++)
        {
            int row = (i * length) + t;
            Span<float> sum = memory.Slice(i * MemoryStride, Stride);
            Reductions.AddScaled(1f, yCotangent.Slice(row * Stride, Stride), sum, sum);
        }
    }

    private int CheckSequences(int count, int length, ReadOnlySpan<bool> begins, ReadOnlySpan<float> x, int xStride)
    {
        long rows = Check.Product(count, length);
        Check.SameLength(begins.Length, rows);
        Check.Rows(x.Length, begins.Length, Inputs, xStride);
        return begins.Length;
    }

    private void CheckKept(int rows, ReadOnlySpan<float> before, ReadOnlySpan<float> kept)
    {
        Check.SameLength(before.Length, Check.Product(rows, MemoryStride));
        Check.SameLength(kept.Length, Check.Product(rows, KeptStride));
    }
}
