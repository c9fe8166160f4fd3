using System;

namespace FunTrpo.Kernels;

/// <summary>
/// The dense layer y = f(x W + b) on a block of rows, with its pushforward and pullback. W has a column for each of the first
/// <see cref="Weighted"/> outputs. The other outputs are biases alone: state-independent parameters, which do not depend on x.
/// </summary>
/// <remarks>
/// The parameters are W (inputs × weighted, row-major) followed by b (outputs). The kernels work on a <em>packed</em> form, which has
/// three parts: the main columns of W, row by row, padded with zeros to whole vectors; the <see cref="Rest"/> columns, if any, column by
/// column in the layout <c>TailedRows</c>; and b, padded. The rows of y and of all matrices of its shape are padded too: one row for each
/// sample, with stride <see cref="Stride"/>. The stride of x is <c>xStride</c>.
/// </remarks>
public sealed unsafe record DenseLayer : ILayerKernel
{
    /// <summary>Creates a layer of this shape.</summary>
    /// <param name="inputs">The number of columns of x, at least 1.</param>
    /// <param name="weighted">The number of columns of W.</param>
    /// <param name="outputs">The number of columns of y, at least 1 and at least <paramref name="weighted"/>.</param>
    /// <param name="activation">f</param>
    /// <exception cref="ArgumentOutOfRangeException">
    /// A size is out of its range, or the parameters do not fit into a pooled buffer.
    /// </exception>
    public DenseLayer(int inputs, int weighted, int outputs, Activation activation)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(inputs, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(weighted);
        ArgumentOutOfRangeException.ThrowIfLessThan(outputs, Math.Max(1, weighted));

        // The parameters in every form, padded or transposed, have at most this size, so the sizes below fit into 32 bits.
        long largest = ((long)inputs + Lanes.Width) * ((long)weighted + Lanes.Width) + outputs + Lanes.Width;
        if (largest > PooledBuffer.Largest)
        {
            throw new ArgumentOutOfRangeException(
                nameof(outputs),
                $"A layer from {inputs} inputs to {outputs} outputs is larger than the {PooledBuffer.Largest} numbers that memory is lent for."
            );
        }

        Inputs = inputs;
        Weighted = weighted;
        Outputs = outputs;
        Activation = activation;
    }

    /// <summary>The number of columns of x.</summary>
    public int Inputs { get; }

    /// <summary>The number of columns of W.</summary>
    public int Weighted { get; }

    /// <summary>The number of columns of y.</summary>
    public int Outputs { get; }

    /// <summary>f</summary>
    public Activation Activation { get; }

    /// <summary>The length of a parameter vector.</summary>
    public int ParameterCount => (Inputs * Weighted) + Outputs;

    /// <summary>The stride of the rows of y.</summary>
    public int Stride => Lanes.Pad(Outputs);

    /// <summary>The length of a packed parameter vector.</summary>
    public int PackedCount => PackedWeights + Stride;

    /// <summary>The length of Wᵀ with padded rows.</summary>
    public int TransposedCount => Weighted * PaddedInputs;

    /// <summary>Whether f′ is 1 everywhere. Then the spans of derivatives are empty.</summary>
    public bool IsLinear => Activation == Activation.Identity;

    /// <summary>
    /// Whether f′ = 1 − y². Then the pushforward and the pullback take y in place of f′, which halves the memory to read and write.
    /// </summary>
    public bool IsTanh => Activation == Activation.Tanh;

    /// <summary>
    /// The number of last columns of W that are computed separately (<c>FewColumns</c>), because they would fill at most half of a vector.
    /// Each of their sums is split into several partial sums.
    /// </summary>
    public int Rest => FewColumns.Among(Weighted, Inputs);

    /// <summary>The stride of the rows of the main columns.</summary>
    private int Main => Lanes.Pad(Weighted - Rest);

    private int PackedMain => Inputs * Main;

    private int PackedWeights => PackedMain + (Rest * PaddedInputs);

    private TailedRows RestLayout => new(Inputs);

    private int PaddedInputs => Lanes.Pad(Inputs);

    private int PaddedWeighted => Lanes.Pad(Weighted);

    /// <summary>Packs a parameter vector, or a tangent of one.</summary>
    public void Pack(ReadOnlySpan<float> parameters, Span<float> packed)
    {
        Check.SameLength(parameters.Length, ParameterCount);
        Check.SameLength(packed.Length, PackedCount);
        int weights = Inputs * Weighted;
        if (Rest == 0)
        {
            PaddedRows.Pad(Inputs, Weighted, parameters[..weights], packed[..PackedMain]);
        }
        else
        {
            PaddedRows.Copy(Inputs, Main, parameters, Weighted, packed, Main);
        }

        TailedRows layout = RestLayout;
        Span<float> rest = packed[PackedMain..];
        for (int run = 0; run < layout.Runs && Rest > 0; run++)
        {
            ReadOnlySpan<float> columns = parameters[((layout.First(run) * Weighted) + Main)..];
            Span<float> places = rest[layout.Place(run)..];
            PaddedRows.Transpose(layout.Count(run), Rest, columns, Weighted, places, layout.Stride);
        }

        PaddedRows.Pad(1, Outputs, parameters[weights..], packed[PackedWeights..]);
    }

    /// <summary>Unpacks packed parameters, or a tangent or cotangent of them.</summary>
    public void Unpack(ReadOnlySpan<float> packed, Span<float> parameters)
    {
        Check.SameLength(parameters.Length, ParameterCount);
        Check.SameLength(packed.Length, PackedCount);
        int weights = Inputs * Weighted;
        PaddedRows.Copy(Inputs, Weighted - Rest, packed, Main, parameters, Weighted);
        TailedRows layout = RestLayout;
        ReadOnlySpan<float> rest = packed[PackedMain..];
        for (int run = 0; run < layout.Runs && Rest > 0; run++)
        {
            ReadOnlySpan<float> places = rest[layout.Place(run)..];
            Span<float> columns = parameters[((layout.First(run) * Weighted) + Main)..];
            PaddedRows.Transpose(Rest, layout.Count(run), places, layout.Stride, columns, Weighted);
        }

        PaddedRows.Unpad(1, Outputs, packed[PackedWeights..], parameters[weights..]);
    }

    /// <summary>Writes Wᵀ of packed parameters, with padded rows, for <see cref="Pullback"/>.</summary>
    public void Transpose(ReadOnlySpan<float> packed, Span<float> transposed)
    {
        Check.SameLength(packed.Length, PackedCount);
        Check.SameLength(transposed.Length, TransposedCount);
        for (int row = 0; row < Weighted; row++)
        {
            transposed.Slice((row * PaddedInputs) + Inputs, PaddedInputs - Inputs).Clear();
        }

        PaddedRows.Transpose(Inputs, Weighted - Rest, packed, Main, transposed, PaddedInputs);
        TailedRows layout = RestLayout;
        ReadOnlySpan<float> rest = packed[PackedMain..];
        for (int run = 0; run < layout.Runs && Rest > 0; run++)
        {
            ReadOnlySpan<float> places = rest[layout.Place(run)..];
            Span<float> rows = transposed[((Main * PaddedInputs) + layout.First(run))..];
            PaddedRows.Copy(Rest, layout.Count(run), places, layout.Stride, rows, PaddedInputs);
        }
    }

    /// <summary>
    /// Writes y = f(x W + b), and f′ to <paramref name="derivative"/> unless that span is empty. For tanh it may be empty, since f′ follows
    /// from y.
    /// </summary>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit the layer.</exception>
    public void Forward(
        int rows,
        ReadOnlySpan<float> packed,
        ReadOnlySpan<float> x,
        int xStride,
        Span<float> y,
        Span<float> derivative
    )
    {
        Check.Rows(x.Length, rows, Inputs, xStride);
        Check.SameLength(packed.Length, PackedCount);
        Check.SameLength(y.Length, Check.Product(rows, Stride));
        Affine(rows, packed, x, xStride, default, default, packed[PackedWeights..], default, y);
        Activations.Apply(Activation, y, derivative);
    }

    /// <summary>
    /// Writes the tangent of y, given the tangents of x and of the packed parameters: ẏ = (ẋ W + x Ẇ + ḃ) ⊙ f′. An empty
    /// <paramref name="xTangent"/> stands for zero.
    /// </summary>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit the layer.</exception>
    public void Pushforward(
        int rows,
        ReadOnlySpan<float> packed,
        ReadOnlySpan<float> x,
        int xStride,
        ReadOnlySpan<float> derivative,
        ReadOnlySpan<float> xTangent,
        ReadOnlySpan<float> packedTangent,
        Span<float> yTangent
    )
    {
        Check.Rows(x.Length, rows, Inputs, xStride);
        CheckDerivative(rows, derivative);
        Check.SameLength(packed.Length, PackedCount);
        Check.SameLength(packedTangent.Length, PackedCount);
        Check.SameLength(yTangent.Length, Check.Product(rows, Stride));
        if (!xTangent.IsEmpty)
        {
            Check.Rows(xTangent.Length, rows, Inputs, xStride);
        }

        ReadOnlySpan<float> biasTangent = packedTangent[PackedWeights..];
        Affine(rows, packedTangent, x, xStride, packed, xTangent, biasTangent, derivative, yTangent);
    }

    /// <summary>
    /// Computes the cotangents of the parameters and of x, given the cotangent δ of x W + b. The cotangents of the parameters, xᵀ δ and the
    /// column sums of δ, are <em>added</em> to <paramref name="packedCotangent"/>. <paramref name="xCotangent"/> becomes (δ Wᵀ) ⊙ f′, with
    /// padded rows, where f′ is that of the layer that computed x: this is the δ of that layer. If the span is empty, it is not computed.
    /// </summary>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit the layer.</exception>
    public void Pullback(
        int rows,
        ReadOnlySpan<float> transposed,
        ReadOnlySpan<float> x,
        int xStride,
        ActivationDerivatives xSlopes,
        ReadOnlySpan<float> delta,
        Span<float> xCotangent,
        Span<float> packedCotangent
    )
    {
        Check.Rows(x.Length, rows, Inputs, xStride);
        Check.SameLength(delta.Length, Check.Product(rows, Stride));
        Check.SameLength(packedCotangent.Length, PackedCount);
        ColumnSums.Add(delta, packedCotangent[PackedWeights..]);
        AddWeightCotangent(rows, x, xStride, delta, packedCotangent);
        if (xCotangent.IsEmpty)
        {
            return;
        }

        Check.SameLength(transposed.Length, TransposedCount);
        Check.SameLength(xCotangent.Length, Check.Product(rows, PaddedInputs));
        ReadOnlySpan<float> slopes = xSlopes.Kept;
        if (!slopes.IsEmpty)
        {
            Check.SameLength(slopes.Length, Check.Product(rows, PaddedInputs));
        }

        fixed (
            float* pTransposed = transposed,
                pDelta = delta,
                pSlopes = slopes,
                pXCotangent = xCotangent
        )
        {
            new MatrixProduct
            {
                Rows = rows,
                Columns = PaddedInputs,
                Stride = PaddedInputs,
                First = new(Weighted, pDelta, Stride, 1, pTransposed, PaddedInputs),
                Scale = pSlopes,
                IsTanh = xSlopes.IsTanh,
                C = pXCotangent,
            }.Compute();
        }
    }

    /// <summary>
    /// result = (x₁ W₁ + x₂ W₂ + start) ⊙ scale, with packed W. An empty x₂ stands for 0, an empty scale for 1. For tanh, scale holds y and
    /// the factor is 1 − y².
    /// </summary>
    private void Affine(
        int rows,
        ReadOnlySpan<float> weights1,
        ReadOnlySpan<float> x1,
        int xStride,
        ReadOnlySpan<float> weights2,
        ReadOnlySpan<float> x2,
        ReadOnlySpan<float> start,
        ReadOnlySpan<float> scale,
        Span<float> result
    )
    {
        fixed (
            float* w1 = weights1,
                w2 = weights2,
                p1 = x1,
                p2 = x2,
                pStart = start,
                pScale = scale,
                c = result
        )
        {
            new MatrixProduct
            {
                Rows = rows,
                Columns = Main,
                Stride = Stride,
                First = new(Inputs, p1, xStride, 1, w1, Main),
                Second = new(x2.IsEmpty ? 0 : Inputs, p2, xStride, 1, w2, Main),
                Start = pStart,
                Scale = pScale,
                IsTanh = IsTanh,
                C = c,
                IsStreamed = true,
            }.Compute();
            if (Rest > 0)
            {
                new FewColumns
                {
                    Rows = rows,
                    Columns = Rest,
                    Length = Inputs,
                    RowOfA = xStride,
                    Stride = Stride,
                    A1 = p1,
                    B1 = w1 + PackedMain,
                    A2 = p2,
                    B2 = w2 + PackedMain,
                    Start = pStart + Main,
                    Scale = pScale == null ? null : pScale + Main,
                    IsTanh = IsTanh,
                    C = c + Main,
                }.Compute();
            }

            // The state-independent outputs need no product.
            int done = Lanes.Pad(Weighted);
            if (done < Stride)
            {
                new MatrixProduct
                {
                    Rows = rows,
                    Columns = Stride - done,
                    Stride = Stride,
                    Start = pStart + done,
                    Scale = pScale == null ? null : pScale + done,
                    IsTanh = IsTanh,
                    C = c + done,
                }.Compute();
            }
        }
    }

    /// <summary>Adds xᵀ δ for the main columns, and δᵀ x for the others, which are packed column by column.</summary>
    private void AddWeightCotangent(
        int rows,
        ReadOnlySpan<float> x,
        int xStride,
        ReadOnlySpan<float> delta,
        Span<float> packedCotangent
    )
    {
        fixed (
            float* pX = x,
                pDelta = delta,
                c = packedCotangent
        )
        {
            MatrixProduct.Add(Inputs, Main, new(rows, pX, 1, xStride, pDelta, Stride), c, Main);
            TailedRows layout = RestLayout;
            Term ofRest = new(rows, pDelta + Main, 1, Stride, pX, xStride);
            for (int run = 0; run < layout.Runs && Rest > 0; run++)
            {
                Term product = ofRest.FromColumn(layout.First(run));
                MatrixProduct.Add(Rest, layout.Count(run), product, c + PackedMain + layout.Place(run), layout.Stride);
            }
        }
    }

    private void CheckDerivative(int rows, ReadOnlySpan<float> derivative) =>
        Check.SameLength(derivative.Length, IsLinear ? 0 : Check.Product(rows, Stride));
}
