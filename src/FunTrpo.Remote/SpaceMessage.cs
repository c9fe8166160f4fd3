using System;
using System.Collections.Generic;
using System.Linq;
using Microsoft.FSharp.Collections;
using Microsoft.FSharp.Core;
using Core = FunTrpo;

namespace FunTrpo.Remote;

/// <summary>Spaces in messages.</summary>
internal static class SpaceMessage
{
    /// <summary>The number of axes, choices or parts that a message may have for a space.</summary>
    private const int MaxItems = 1 << 12;

    private const byte Discrete = 0;
    private const byte Box = 1;
    private const byte MultiDiscrete = 2;
    private const byte MultiBinary = 3;
    private const byte Masked = 4;
    private const byte Parts = 5;

    public static void Write(MessageWriter writer, Core.Space space)
    {
        switch (space)
        {
            case Core.Space.Discrete discrete:
                writer.Byte(Discrete);
                writer.Int32(discrete.count);
                break;
            case Core.Space.Box box:
                WriteBox(writer, box);
                break;
            case Core.Space.MultiDiscrete choices:
                writer.Byte(MultiDiscrete);
                WriteIntegers(writer, choices.counts);
                break;
            case Core.Space.MultiBinary switches:
                writer.Byte(MultiBinary);
                writer.Int32(switches.count);
                break;
            case Core.Space.Masked masked:
                writer.Byte(Masked);
                WriteIntegers(writer, masked.counts);
                Write(writer, masked.observed);
                break;
            case Core.Space.Parts parts:
                writer.Byte(Parts);
                WriteParts(writer, parts.Item);
                break;
        }
    }

    /// <exception cref="RemoteException">The space is not valid.</exception>
    public static Core.Space Read(MessageReader reader)
    {
        byte kind = reader.Byte();
        Core.Space space = kind == Masked ? ReadMasked(reader) : ReadUnmasked(reader, kind, 0);
        if (OptionModule.ToObj(SpaceModule.invalidReason(space)) is string reason)
        {
            throw new RemoteException($"a space is not valid: it {reason}");
        }

        int width = SpaceModule.width(space);
        return width <= Protocol.MaxWidth
            ? space
            : throw new RemoteException($"a space of {width} values is too large");
    }

    /// <summary>Reads a space that is inside of this many spaces with parts.</summary>
    private static Core.Space ReadUnmasked(MessageReader reader, byte kind, int nesting) =>
        kind switch
        {
            Discrete => Core.Space.NewDiscrete(reader.Int32()),
            Box => ReadBox(reader),
            MultiDiscrete => Core.Space.NewMultiDiscrete(ListModule.OfArray(Integers(reader))),
            MultiBinary => Core.Space.NewMultiBinary(reader.Int32()),
            Parts => Core.Space.NewParts(ReadParts(reader, nesting)),
            _ => throw new RemoteException($"there is no space of the kind {kind}"),
        };

    /// <summary>Reads a space with a mask. What is observed has none, so a message cannot nest spaces without end.</summary>
    private static Core.Space ReadMasked(MessageReader reader)
    {
        int[] counts = Integers(reader);
        return Core.Space.NewMasked(ReadUnmasked(reader, reader.Byte(), 0), ListModule.OfArray(counts));
    }

    /// <summary>Reads parts, which are nested no deeper than a valid space may be.</summary>
    private static FSharpList<Tuple<string, Core.Space>> ReadParts(MessageReader reader, int nesting)
    {
        if (nesting >= SpaceModule.maxNesting)
        {
            throw new RemoteException($"a space has more than {SpaceModule.maxNesting} levels of parts");
        }

        int count = reader.Int32In(1, MaxItems, "the number of parts of a space");
        List<Tuple<string, Core.Space>> parts = [];
        for (int i = 0; i < count; i++)
        {
            string name = reader.Text();
            parts.Add(new(name, ReadUnmasked(reader, reader.Byte(), nesting + 1)));
        }

        return ListModule.OfSeq(parts);
    }

    private static void WriteParts(MessageWriter writer, FSharpList<Tuple<string, Core.Space>> parts)
    {
        writer.Int32(parts.Length);
        foreach (Tuple<string, Core.Space> part in parts)
        {
            writer.Text(part.Item1);
            Write(writer, part.Item2);
        }
    }

    private static void WriteIntegers(MessageWriter writer, FSharpList<int> numbers)
    {
        writer.Int32(numbers.Length);
        foreach (int number in numbers)
        {
            writer.Int32(number);
        }
    }

    private static void WriteBox(MessageWriter writer, Core.Space.Box box)
    {
        writer.Byte(Box);
        WriteIntegers(writer, box.shape);
        writer.Float32s(box.low.Span);
        writer.Float32s(box.high.Span);
    }

    private static Core.Space ReadBox(MessageReader reader)
    {
        int[] shape = Integers(reader);
        long size = shape.Aggregate(1L, (product, axis) => Math.Min(product * Math.Max(axis, 0), int.MaxValue));
        if (size is < 1 or > Protocol.MaxWidth)
        {
            throw new RemoteException($"a box of {size} values is not valid, or too large");
        }

        float[] low = new float[size];
        float[] high = new float[size];
        reader.Float32s(low);
        reader.Float32s(high);
        return Core.Space.NewBox(VectorModule.ofArray(low), VectorModule.ofArray(high), ListModule.OfArray(shape));
    }

    private static int[] Integers(MessageReader reader)
    {
        int count = reader.Int32In(1, MaxItems, "the number of axes or choices of a space");
        return [.. Enumerable.Range(0, count).Select(_ => reader.Int32())];
    }
}
