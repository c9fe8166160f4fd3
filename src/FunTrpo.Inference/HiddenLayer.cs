using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace FunTrpo.Inference;

/// <summary>What a file says of a hidden layer. Parameters are counted in float64, which does not overflow.</summary>
internal abstract class HiddenLayer
{
    /// <summary>The shape of the outputs, for inputs of a shape.</summary>
    /// <exception cref="InvalidDataException">The layer cannot read such inputs.</exception>
    public abstract int[] OutputShape(int[] input);

    /// <summary>The number of parameters, for inputs of a shape.</summary>
    public abstract double ParameterCount(int[] input);

    /// <summary>The layer with the parameters from <paramref name="offset"/> on, or null if it changes no number.</summary>
    public abstract Layer? Create(float[] parameters, int offset, int[] input);

    /// <summary>The shape of this many numbers in a row.</summary>
    /// <exception cref="InvalidDataException">They are too many.</exception>
    public static int[] Row(long numbers) => numbers <= Space.MaxCount ? new[] { (int)numbers } : throw TooWide();

    public static InvalidDataException TooWide() =>
        new($"Its network has a layer with more than {Space.MaxCount} outputs.");

    /// <summary>The number of numbers of a shape.</summary>
    public static double Size(int[] shape) => shape.Aggregate(1.0, (product, size) => product * size);

    /// <summary>The layer of a text such as <c>conv 16 3x3 stride 1 relu</c>.</summary>
    /// <exception cref="InvalidDataException">There is no such layer.</exception>
    public static HiddenLayer Parse(string text)
    {
        string[] words = text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        HiddenLayer? layer = (words.FirstOrDefault(), words.Length) switch
        {
            ("dense", 3) when Window.IsPositive(words[1], out int units) => new Dense(
                units,
                Activation.Named(words[2])
            ),
            ("conv", 6) when Window.IsPositive(words[1], out int filters) => Window.OfWords(
                words[2],
                words[3],
                words[4]
            )
                is Window window
                ? new Convolution(filters, window, Activation.Named(words[5]))
                : null,
            ("pool", 5) when words[1] is "max" or "average" => Window.OfWords(words[2], words[3], words[4])
                is Window window
                ? new Pool(window, words[1] == "max")
                : null,
            ("layernorm", 1) => new Norm(),
            ("gru", 2) when Window.IsPositive(words[1], out int units) => new Gated(units, true),
            ("lstm", 2) when Window.IsPositive(words[1], out int units) => new Gated(units, false),
            ("flatten", 1) => new Flatten(),
            _ => null,
        };
        return layer ?? throw new InvalidDataException($"Its architecture has the unknown layer {text.Trim()}.");
    }

    internal sealed class Dense : HiddenLayer
    {
        public Dense(int units, Func<float, float> activation)
        {
            Units = units;
            Activation = activation;
        }

        public int Units { get; }

        public Func<float, float> Activation { get; }

        public override int[] OutputShape(int[] input) => new[] { Units };

        public override double ParameterCount(int[] input) => (Size(input) + 1.0) * Units;

        public override Layer Create(float[] parameters, int offset, int[] input) =>
            new DenseLayer(parameters, offset, (int)Size(input), Units, null, Activation);
    }

    private sealed class Convolution : HiddenLayer
    {
        private readonly int filters;
        private readonly Window window;
        private readonly Func<float, float> activation;

        public Convolution(int filters, Window window, Func<float, float> activation)
        {
            this.filters = filters;
            this.window = window;
            this.activation = activation;
        }

        public override int[] OutputShape(int[] input) => window.OutputShape(filters, input);

        public override double ParameterCount(int[] input) =>
            (((double)window.Height * window.Width * input[2]) + 1.0) * filters;

        public override Layer Create(float[] parameters, int offset, int[] input) =>
            new ConvolutionLayer(parameters, offset, new Patches(window, input), filters, activation);
    }

    private sealed class Pool : HiddenLayer
    {
        private readonly Window window;
        private readonly bool isMaximum;

        public Pool(Window window, bool isMaximum)
        {
            this.window = window;
            this.isMaximum = isMaximum;
        }

        public override int[] OutputShape(int[] input) => window.OutputShape(input[input.Length - 1], input);

        public override double ParameterCount(int[] input) => 0.0;

        public override Layer Create(float[] parameters, int offset, int[] input) =>
            new PoolingLayer(new Patches(window, input), isMaximum);
    }

    private sealed class Norm : HiddenLayer
    {
        public override int[] OutputShape(int[] input) => input;

        public override double ParameterCount(int[] input) => 2.0 * Size(input);

        public override Layer Create(float[] parameters, int offset, int[] input) =>
            new LayerNormLayer(parameters, offset, (int)Size(input));
    }

    private sealed class Gated : HiddenLayer
    {
        private readonly int units;
        private readonly bool isGru;

        public Gated(int units, bool isGru)
        {
            this.units = units;
            this.isGru = isGru;
        }

        public override int[] OutputShape(int[] input) => new[] { units };

        public override double ParameterCount(int[] input) =>
            ((Size(input) + units) * (isGru ? 3.0 : 4.0) * units) + (4.0 * units);

        public override Layer Create(float[] parameters, int offset, int[] input) =>
            isGru
                ? new GruLayer(parameters, offset, (int)Size(input), units)
                : new LstmLayer(parameters, offset, (int)Size(input), units);
    }

    /// <summary>The layers that read parts of observations. <see cref="LayerStack"/> makes of them what a space needs.</summary>
    internal sealed class Parts : HiddenLayer
    {
        private readonly Dictionary<string, List<HiddenLayer>> layers;

        public Parts(Dictionary<string, List<HiddenLayer>> layers) => this.layers = layers;

        /// <summary>No layers for any part.</summary>
        public static Parts None { get; } = new(new());

        public override int[] OutputShape(int[] input) => throw Misplaced();

        public override double ParameterCount(int[] input) => throw Misplaced();

        public override Layer? Create(float[] parameters, int offset, int[] input) => throw Misplaced();

        /// <summary>The layers that read a part.</summary>
        public IReadOnlyList<HiddenLayer> LayersOf(string part) =>
            layers.TryGetValue(part, out List<HiddenLayer>? found) ? found : Array.Empty<HiddenLayer>();

        /// <summary>Refuses layers for parts that a space does not have.</summary>
        public void RequireKnown(Space space)
        {
            if (layers.Keys.Except(space.PartsInOrder.Select(part => part.Name)).FirstOrDefault() is string unknown)
            {
                throw new InvalidDataException(
                    $"Its architecture has layers for the part {unknown}, which is not one of {space}."
                );
            }
        }

        private static InvalidDataException Misplaced() =>
            new("Only the first layer can read parts, and only of observations that have parts.");
    }

    private sealed class Flatten : HiddenLayer
    {
        public override int[] OutputShape(int[] input) => new[] { (int)Size(input) };

        public override double ParameterCount(int[] input) => 0.0;

        public override Layer? Create(float[] parameters, int offset, int[] input) => null;
    }
}
