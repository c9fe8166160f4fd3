using System;

namespace FunTrpo.Kernels;

/// <summary>
/// A convolution on packed parameters: y = f(P(x) W + b), where P(x) is the matrix of the patches of a picture x, one row each
/// (<see cref="Patches"/>). W has a row for each number of a patch and a column for each filter.
/// </summary>
/// <remarks>
/// A row of y is a picture again: patch after patch, and the filters of a patch are neighbours. The parameters are W, row by row, and then b.
/// Packed, each of these rows is padded to whole vectors. One picture is computed after the other, so that what is needed of it stays in the
/// cache. Where the filters do not fill whole vectors, the rows of one picture are padded in between.
/// </remarks>
public sealed unsafe class ConvolutionLayer : ILayerKernel
{
    private readonly Patches patches;
    private readonly int[] offsets;

    /// <summary>Creates a convolution with this many filters.</summary>
    /// <exception cref="ArgumentOutOfRangeException">
    /// There is no filter, or the output, the parameters or their gradients do not fit into a pooled buffer.
    /// </exception>
    public ConvolutionLayer(Patches patches, int filters, Activation activation)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(filters, 1);
        long paddedFilters = (long)filters + Lanes.Width;
        long paddedSize = (long)patches.Rows * (patches.RowLength + Lanes.Width) + 1;
        if (Math.Max((long)patches.Count, paddedSize) * paddedFilters > PooledBuffer.Largest)
        {
            throw new ArgumentOutOfRangeException(
                nameof(filters),
                $"A convolution with {filters} filters of {patches.Size} numbers on {patches.Count} patches is larger than the {PooledBuffer.Largest} numbers that memory is lent for."
            );
        }

        this.patches = patches;
        Filters = filters;
        Activation = activation;
        offsets = new int[patches.Size];
        for (int k = 0; k < offsets.Length; k++)
        {
            offsets[k] = patches.Offset(k);
        }
    }

    /// <summary>The number of filters: the channels of y.</summary>
    public int Filters { get; }

    /// <inheritdoc/>
    public Activation Activation { get; }

    /// <inheritdoc/>
    public int Inputs => patches.PictureSize;

    /// <inheritdoc/>
    public int Outputs => patches.Count * Filters;

    /// <inheritdoc/>
    public int Stride => Lanes.Pad(Outputs);

    /// <inheritdoc/>
    public int ParameterCount => (patches.Size + 1) * Filters;

    /// <inheritdoc/>
    public int PackedCount => (patches.Size + 1) * Columns;

    /// <inheritdoc/>
    public int TransposedCount => Filters * patches.Rows * PaddedRowLength;

    /// <inheritdoc/>
    public bool IsLinear => Activation == Activation.Identity;

    /// <inheritdoc/>
    public bool IsTanh => Activation == Activation.Tanh;

    /// <summary>The stride of the rows of packed W.</summary>
    private int Columns => Lanes.Pad(Filters);

    private int PackedWeights => patches.Size * Columns;

    private int PaddedRowLength => Lanes.Pad(patches.RowLength);

    /// <summary>Whether the rows of the window fill whole vectors, so that nothing is added behind them.</summary>
    private bool HasWholeRows => patches.RowLength == PaddedRowLength;

    /// <summary>Whether the filters fill whole vectors, so that a row of y needs no padding between its patches.</summary>
    private bool IsWhole => Filters == Columns;

    /// <inheritdoc/>
    public void Pack(ReadOnlySpan<float> parameters, Span<float> packed)
    {
        Check.SameLength(parameters.Length, ParameterCount);
        Check.SameLength(packed.Length, PackedCount);
        PaddedRows.Pad(patches.Size + 1, Filters, parameters, packed);
    }

    /// <inheritdoc/>
    public void Unpack(ReadOnlySpan<float> packed, Span<float> parameters)
    {
        Check.SameLength(parameters.Length, ParameterCount);
        Check.SameLength(packed.Length, PackedCount);
        PaddedRows.Unpad(patches.Size + 1, Filters, packed, parameters);
    }

    /// <summary>Writes Wᵀ. Each row of the window is padded with zeros to whole vectors.</summary>
    public void Transpose(ReadOnlySpan<float> packed, Span<float> transposed)
    {
        Check.SameLength(packed.Length, PackedCount);
        Check.SameLength(transposed.Length, TransposedCount);
        transposed.Clear();
        int stride = patches.Rows * PaddedRowLength;
        for (int row = 0; row < patches.Rows; row++)
        {
            ReadOnlySpan<float> weights = packed[(row * patches.RowLength * Columns)..];
            Span<float> places = transposed[(row * PaddedRowLength)..];
            PaddedRows.Transpose(patches.RowLength, Filters, weights, Columns, places, stride);
        }
    }

    /// <inheritdoc/>
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
        using PooledBuffer scratch = RentPadded();
        for (int row = 0; row < rows; row++)
        {
            Span<float> ofRow = y.Slice(row * Stride, Stride);
            Product(packed, x[(row * xStride)..], default, default, packed[PackedWeights..], default, scratch, ofRow);
            Span<float> slopes = derivative.IsEmpty ? derivative : derivative.Slice(row * Stride, Stride);
            Activations.Apply(Activation, ofRow, slopes);
        }
    }

    /// <inheritdoc/>
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
        Check.SameLength(derivative.Length, IsLinear ? 0 : Check.Product(rows, Stride));
        Check.SameLength(packed.Length, PackedCount);
        Check.SameLength(packedTangent.Length, PackedCount);
        Check.SameLength(yTangent.Length, Check.Product(rows, Stride));
        if (!xTangent.IsEmpty)
        {
            Check.Rows(xTangent.Length, rows, Inputs, xStride);
        }

        using PooledBuffer scratch = RentPadded();
        for (int row = 0; row < rows; row++)
        {
            Product(
                packedTangent,
                x[(row * xStride)..],
                packed,
                xTangent.IsEmpty ? xTangent : xTangent[(row * xStride)..],
                packedTangent[PackedWeights..],
                IsLinear ? default : derivative.Slice(row * Stride, Stride),
                scratch,
                yTangent.Slice(row * Stride, Stride)
            );
        }
    }

    /// <inheritdoc/>
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
        int inputStride = Lanes.Pad(Inputs);
        if (!xCotangent.IsEmpty)
        {
            Check.SameLength(transposed.Length, TransposedCount);
            Check.SameLength(xCotangent.Length, Check.Product(rows, inputStride));
        }

        using PooledBuffer scratch = RentPadded();
        using PooledBuffer scattered = PooledBuffer.Rent(
            xCotangent.IsEmpty || HasWholeRows ? 0 : inputStride + Lanes.Width
        );
        for (int row = 0; row < rows; row++)
        {
            ReadOnlySpan<float> ofRow = PaddedPatches(delta.Slice(row * Stride, Outputs), scratch);
            AddParameterCotangent(x[(row * xStride)..], ofRow, packedCotangent);
            if (!xCotangent.IsEmpty)
            {
                Span<float> ofInput = xCotangent.Slice(row * inputStride, inputStride);
                Span<float> picture = HasWholeRows ? ofInput : scattered.Span;
                picture.Clear();
                Scatter(transposed, ofRow, picture);
                if (!HasWholeRows)
                {
                    picture[..Inputs].CopyTo(ofInput);
                    ofInput[Inputs..].Clear();
                }

                xSlopes.Multiply(row * inputStride, ofInput);
            }
        }
    }

    /// <summary>Memory for the patches of one picture with padding, if they need any.</summary>
    private PooledBuffer RentPadded() => PooledBuffer.Rent(IsWhole ? 0 : patches.Count, Columns);

    /// <summary>The rows of a picture's patches, padded to whole vectors.</summary>
    private ReadOnlySpan<float> PaddedPatches(ReadOnlySpan<float> delta, PooledBuffer scratch)
    {
        if (IsWhole)
        {
            return delta;
        }

        PaddedRows.Pad(patches.Count, Filters, delta, scratch.Span);
        return scratch.Span;
    }

    /// <summary>
    /// result = (P(x₁) W₁ + P(x₂) W₂ + start) ⊙ slopes for one picture, with packed W. An empty x₂ stands for 0, empty slopes for 1.
    /// </summary>
    private void Product(
        ReadOnlySpan<float> weights1,
        ReadOnlySpan<float> x1,
        ReadOnlySpan<float> weights2,
        ReadOnlySpan<float> x2,
        ReadOnlySpan<float> start,
        ReadOnlySpan<float> slopes,
        PooledBuffer scratch,
        Span<float> result
    )
    {
        Span<float> padded = IsWhole ? result : scratch.Span;
        fixed (
            float* w1 = weights1,
                w2 = weights2,
                p1 = x1,
                p2 = x2,
                pStart = start,
                pSlopes = slopes,
                c = padded
        )
        fixed (int* places = patches.Places)
        {
            Lanes.Run(
                new PatchProduct
                {
                    Count = patches.Count,
                    Places = places,
                    Half = patches.Height / 2 * patches.Width,
                    WindowRows = patches.Rows,
                    RowLength = patches.RowLength,
                    RowDistance = patches.RowDistance,
                    Columns = Columns,
                    X1 = p1,
                    B1 = w1,
                    X2 = p2,
                    B2 = w2,
                    Start = pStart,
                    Scale = IsWhole ? pSlopes : null,
                    IsTanh = IsTanh,
                    C = c,
                }
            );
        }

        if (!IsWhole)
        {
            PaddedRows.Unpad(patches.Count, Filters, padded, result[..Outputs]);
            result[Outputs..].Clear();
            ActivationDerivatives.Multiply(slopes, IsTanh, result);
        }
    }

    private void AddParameterCotangent(ReadOnlySpan<float> x, ReadOnlySpan<float> delta, Span<float> packedCotangent)
    {
        fixed (
            float* pX = x,
                pDelta = delta,
                c = packedCotangent
        )
        fixed (
            int* places = patches.Places,
                pOffsets = offsets
        )
        {
            Lanes.Run(
                new TransposedPatchProduct
                {
                    Count = patches.Count,
                    Places = places,
                    Size = patches.Size,
                    Half = patches.Rows / 2 * patches.RowLength,
                    Offsets = pOffsets,
                    Columns = Columns,
                    X = pX,
                    Delta = pDelta,
                    C = c,
                }
            );
        }
    }

    /// <summary>Adds the cotangent of one picture, without f′, to 0.</summary>
    private void Scatter(ReadOnlySpan<float> transposed, ReadOnlySpan<float> delta, Span<float> picture)
    {
        fixed (
            float* pTransposed = transposed,
                pDelta = delta,
                pPicture = picture
        )
        fixed (int* places = patches.Places)
        {
            Lanes.Run(
                new PatchScatter
                {
                    Count = patches.Count,
                    Places = places,
                    WindowRows = patches.Rows,
                    PaddedRowLength = PaddedRowLength,
                    RowDistance = patches.RowDistance,
                    Length = Filters,
                    Delta = pDelta,
                    DeltaStride = Columns,
                    Transposed = pTransposed,
                    Picture = pPicture,
                }
            );
        }
    }
}
