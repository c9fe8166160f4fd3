using System;

namespace FunTrpo.Kernels;

/// <summary>
/// The dense layer y = f(x W + b) on a block of rows, and its two derivatives. W gives the first <see cref="Weighted"/> of the
/// outputs; the others are biases alone, free parameters that depend on no input.
/// </summary>
/// <remarks>
/// Its parameters are W (inputs × weighted, row-major) followed by b (outputs). The kernels work on a <em>packed</em> form: the
/// columns of W that fill vectors, row by row, padded with zeros where they do not quite; the few that may be left beyond whole vectors,
/// column by column, as <c>TailedRows</c>; and then b, padded. So are the rows of y and of all that has its shape, one row a
/// sample, <see cref="Stride"/> apart; those of x are as far apart as <c>xStride</c> says.
/// </remarks>
public sealed unsafe record DenseLayer
{
    /// <summary>A layer of this shape; one that memory cannot hold is refused.</summary>
    /// <param name="inputs">The columns of x, at least 1.</param>
    /// <param name="weighted">The columns of W.</param>
    /// <param name="outputs">The columns of y, at least 1 and no fewer than those of W.</param>
    /// <param name="activation">f</param>
    public DenseLayer(int inputs, int weighted, int outputs, Activation activation)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(inputs, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(weighted);
        ArgumentOutOfRangeException.ThrowIfLessThan(outputs, Math.Max(1, weighted));

        // No form of the parameters, padded or transposed, is larger than this; so their sizes need no more than 32 bits from here on.
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

    /// <summary>The columns of x.</summary>
    public int Inputs { get; }

    /// <summary>The columns of W.</summary>
    public int Weighted { get; }

    /// <summary>The columns of y.</summary>
    public int Outputs { get; }

    /// <summary>f</summary>
    public Activation Activation { get; }

    /// <summary>How many numbers a parameter vector holds.</summary>
    public int ParameterCount => (Inputs * Weighted) + Outputs;

    /// <summary>How far apart the rows of y are.</summary>
    public int Stride => Lanes.Pad(Outputs);

    /// <summary>How many numbers a packed parameter vector holds.</summary>
    public int PackedCount => PackedWeights + Stride;

    /// <summary>How many numbers Wᵀ holds, its rows padded.</summary>
    public int TransposedCount => Weighted * PaddedInputs;

    /// <summary>Whether f′ is 1 everywhere: then what both derivatives need of it is empty.</summary>
    public bool IsLinear => Activation == Activation.Identity;

    /// <summary>
    /// Whether f′ = 1 − y²: then both derivatives are given y in its place, and half of the memory need not be read and written.
    /// </summary>
    public bool IsTanh => Activation == Activation.Tanh;

    /// <summary>How many columns of W are left beyond those that fill vectors. Their products are sums of several chains.</summary>
    public int Rest => FewColumns.Among(Weighted, Inputs);

    /// <summary>How far apart the rows of the other columns are.</summary>
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

    /// <summary>What was packed, or has the same form: the parameters without the padding.</summary>
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

    /// <summary>Wᵀ of packed parameters, its rows padded, which <see cref="Pullback"/> needs.</summary>
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

    /// <summary>y = f(x W + b), and f′ there unless <paramref name="derivative"/> is empty; it may be for tanh.</summary>
    public void Forward(
        int rows,
        ReadOnlySpan<float> packed,
        ReadOnlySpan<float> x,
        int xStride,
        Span<float> y,
        Span<float> derivative
    )
    {
        CheckInput(rows, x, xStride);
        Check.SameLength(packed.Length, PackedCount);
        Check.SameLength(y.Length, Check.Product(rows, Stride));
        Affine(rows, packed, x, xStride, default, default, packed[PackedWeights..], default, y);
        Activations.Apply(Activation, y, derivative);
    }

    /// <summary>
    /// The tangent of y for the tangents of x and of the (packed) parameters: ẏ = (ẋ W + x Ẇ + ḃ) ⊙ f′. An empty
    /// <paramref name="xTangent"/> stands for zero.
    /// </summary>
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
        CheckInput(rows, x, xStride);
        CheckDerivative(rows, derivative);
        Check.SameLength(packed.Length, PackedCount);
        Check.SameLength(packedTangent.Length, PackedCount);
        Check.SameLength(yTangent.Length, Check.Product(rows, Stride));
        if (!xTangent.IsEmpty)
        {
            CheckInput(rows, xTangent, xStride);
        }

        ReadOnlySpan<float> biasTangent = packedTangent[PackedWeights..];
        Affine(rows, packedTangent, x, xStride, packed, xTangent, biasTangent, derivative, yTangent);
    }

    /// <summary>
    /// The cotangents of x and of the parameters for a cotangent δ of x W + b: xᵀ δ and the column sums of δ, which are <em>added</em> to
    /// <paramref name="packedCotangent"/>, and (δ Wᵀ) ⊙ f′, where f′ is that of the layer whose output x is: its own δ. An empty
    /// <paramref name="xCotangent"/> is not computed; its rows are padded.
    /// </summary>
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
        CheckInput(rows, x, xStride);
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

    /// <summary>result = (x₁ W₁ + x₂ W₂ + start) ⊙ scale, with packed W; an empty x₂ stands for 0, an empty scale for 1. For tanh
    /// the scale is 1 − y².</summary>
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

            // The free outputs need no product.
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

    /// <summary>Adds xᵀ δ, or δᵀ x for the rest of the columns.</summary>
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
            AddProduct(Inputs, Main, new(rows, pX, 1, xStride, pDelta, Stride), c, Main);
            TailedRows layout = RestLayout;
            Term ofRest = new(rows, pDelta + Main, 1, Stride, pX, xStride);
            for (int run = 0; run < layout.Runs && Rest > 0; run++)
            {
                Term product = ofRest.FromColumn(layout.First(run));
                AddProduct(Rest, layout.Count(run), product, c + PackedMain + layout.Place(run), layout.Stride);
            }
        }
    }

    private static void AddProduct(int rows, int columns, Term product, float* c, int stride) =>
        new MatrixProduct
        {
            Rows = rows,
            Columns = columns,
            Stride = stride,
            First = product,
            Start = c,
            StartRow = stride,
            C = c,
        }.Compute();

    private void CheckInput(int rows, ReadOnlySpan<float> x, int xStride)
    {
        if (xStride < Inputs || x.Length < Check.Product(rows, xStride))
        {
            throw new ArgumentException(
                $"{x.Length} numbers are not {rows} rows of {Inputs} that are {xStride} apart."
            );
        }
    }

    private void CheckDerivative(int rows, ReadOnlySpan<float> derivative) =>
        Check.SameLength(derivative.Length, IsLinear ? 0 : Check.Product(rows, Stride));
}
