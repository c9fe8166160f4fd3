using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace FunTrpo.Inference;

/// <summary>Hidden layers that follow one another, of which the first reads observations of a space.</summary>
internal sealed class LayerStack
{
    private readonly List<HiddenLayer> layers;

    /// <summary>The shape of the inputs of each layer, and that of the outputs of the last.</summary>
    private readonly List<int[]> shapes;

    /// <exception cref="InvalidDataException">A layer cannot read its inputs.</exception>
    public LayerStack(Space space, IReadOnlyList<HiddenLayer> layers)
    {
        this.layers = Fitting(space, layers);
        shapes = new() { space.Shape.ToArray() };
        foreach (HiddenLayer layer in this.layers)
        {
            int[] next = layer.OutputShape(shapes[shapes.Count - 1]);
            shapes.Add(HiddenLayer.Size(next) <= Space.MaxCount ? next : throw HiddenLayer.TooWide());
        }
    }

    /// <summary>The number of outputs.</summary>
    public int Outputs => (int)HiddenLayer.Size(shapes[shapes.Count - 1]);

    /// <summary>The number of parameters. It is float64, which does not overflow and is exact for all that an array could hold.</summary>
    public double ParameterCount => layers.Select((layer, i) => layer.ParameterCount(shapes[i])).Sum();

    /// <summary>The layers with the parameters from <paramref name="offset"/> on.</summary>
    public LayerSequence Create(float[] parameters, int offset)
    {
        List<Layer> created = new();
        for (int i = 0; i < layers.Count; i++)
        {
            if (layers[i].Create(parameters, offset, shapes[i]) is Layer layer)
            {
                created.Add(layer);
            }

            offset += (int)layers[i].ParameterCount(shapes[i]);
        }

        return new LayerSequence((int)HiddenLayer.Size(shapes[0]), created.ToArray());
    }

    /// <summary>
    /// The layers with the first one as the space needs it. Indices are read by an embedding, or by no layer at all. If there are indices
    /// among the numbers of parts, the first layer is one for parts.
    /// </summary>
    private static List<HiddenLayer> Fitting(Space space, IReadOnlyList<HiddenLayer> layers)
    {
        HiddenLayer? first = layers.FirstOrDefault();
        IEnumerable<HiddenLayer> rest = layers.Skip(1);
        if (space.HasIndices)
        {
            rest = rest.Prepend(
                first switch
                {
                    null => new OneHot(space),
                    HiddenLayer.Dense dense => new Embedding(space, dense),
                    _ => throw new InvalidDataException(
                        "Its observations are indices, which only a dense layer can read first."
                    ),
                }
            );
        }
        else if (space.Kind == SpaceKind.Parts && first is HiddenLayer.Parts parts)
        {
            rest = rest.Prepend(new SideBySide(space, parts));
        }
        else
        {
            rest = space.HasLabels ? layers.Prepend(new SideBySide(space, HiddenLayer.Parts.None)) : layers;
        }

        return rest.ToList();
    }

    /// <summary>A row of weights for each index, and no biases.</summary>
    private sealed class Embedding : HiddenLayer
    {
        private readonly Space indices;
        private readonly Dense dense;

        public Embedding(Space indices, Dense dense)
        {
            this.indices = indices;
            this.dense = dense;
        }

        public override int[] OutputShape(int[] input) => new[] { dense.Units };

        public override double ParameterCount(int[] input) => (double)indices.AlternativeCount * dense.Units;

        public override Layer Create(float[] parameters, int offset, int[] input) =>
            new DenseLayer(
                parameters,
                offset,
                (int)indices.AlternativeCount,
                dense.Units,
                FirstRows(),
                dense.Activation
            );

        private int[] FirstRows()
        {
            int[] first = new int[indices.Width];
            for (int i = 1; i < first.Length; i++)
            {
                first[i] = first[i - 1] + indices.Count(i - 1);
            }

            return first;
        }
    }

    /// <summary>Indices that no layer reads: a 1 among as many numbers as an index has alternatives.</summary>
    private sealed class OneHot : HiddenLayer
    {
        private readonly Space indices;

        public OneHot(Space indices) => this.indices = indices;

        public override int[] OutputShape(int[] input) => Row(indices.AlternativeCount);

        public override double ParameterCount(int[] input) => 0.0;

        public override Layer Create(float[] parameters, int offset, int[] input) => new OneHotLayer(indices);
    }

    /// <summary>The layers of the parts of an observation.</summary>
    private sealed class SideBySide : HiddenLayer
    {
        private readonly int[] inputs;
        private readonly LayerStack[] stacks;

        public SideBySide(Space space, Parts parts)
        {
            parts.RequireKnown(space);
            inputs = space.PartsInOrder.Select(part => part.Space.Width).ToArray();
            stacks = space.PartsInOrder.Select(part => new LayerStack(part.Space, parts.LayersOf(part.Name))).ToArray();
        }

        public override int[] OutputShape(int[] input) => Row(stacks.Sum(stack => (long)stack.Outputs));

        public override double ParameterCount(int[] input) => stacks.Sum(stack => stack.ParameterCount);

        public override Layer Create(float[] parameters, int offset, int[] input)
        {
            LayerSequence[] created = new LayerSequence[stacks.Length];
            for (int i = 0; i < created.Length; i++)
            {
                created[i] = stacks[i].Create(parameters, offset);
                offset += (int)stacks[i].ParameterCount;
            }

            return new PartsLayer(inputs, created);
        }
    }
}
