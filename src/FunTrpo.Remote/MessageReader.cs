using System;
using System.Buffers.Binary;
using System.IO;
using System.Text;

namespace FunTrpo.Remote;

/// <summary>Reads messages from a stream. It takes no more memory than the bytes that have arrived, and refuses messages that are too long.</summary>
internal sealed class MessageReader(Stream stream)
{
    private readonly byte[] header = new byte[Protocol.HeaderBytes];
    private readonly Arrivals arrivals = new(stream);
    private ReadOnlyMemory<byte> content;
    private int position;

    /// <summary>Reads the next message, of at most <paramref name="longest"/> bytes, and returns its kind.</summary>
    /// <exception cref="RemoteException">The message is too long.</exception>
    /// <exception cref="EndOfStreamException">The connection ended.</exception>
    public MessageKind Next(int longest)
    {
        stream.ReadExactly(header);
        content = arrivals.Read(BinaryPrimitives.ReadUInt32LittleEndian(header), longest);
        position = 0;
        return (MessageKind)header[4];
    }

    public byte Byte() => Take(1)[0];

    public ushort UInt16() => BinaryPrimitives.ReadUInt16LittleEndian(Take(2));

    public uint UInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Take(4));

    public int Int32() => BinaryPrimitives.ReadInt32LittleEndian(Take(4));

    /// <summary>Reads an integer from <paramref name="least"/> to <paramref name="most"/>.</summary>
    public int Int32In(int least, int most, string what)
    {
        int number = Int32();
        return number >= least && number <= most
            ? number
            : throw new RemoteException($"{what} is {number}, and must be from {least} to {most}");
    }

    public float Float32() => BinaryPrimitives.ReadSingleLittleEndian(Take(4));

    public double Float64() => BinaryPrimitives.ReadDoubleLittleEndian(Take(8));

    public void Float32s(Span<float> numbers)
    {
        ReadOnlySpan<byte> bytes = Take(checked(4 * numbers.Length));
        for (int i = 0; i < numbers.Length; i++)
        {
            numbers[i] = BinaryPrimitives.ReadSingleLittleEndian(bytes[(4 * i)..]);
        }
    }

    public string Text()
    {
        int bytes = UInt16();
        return bytes <= Protocol.MaxText
            ? Encoding.UTF8.GetString(Take(bytes))
            : throw new RemoteException($"a text has {bytes} bytes, and at most {Protocol.MaxText} are allowed");
    }

    /// <summary>Refuses a message that goes on.</summary>
    public void End()
    {
        if (position != content.Length)
        {
            throw new RemoteException($"a message has {content.Length - position} bytes too many");
        }
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count > content.Length - position)
        {
            throw new RemoteException("a message ends too early");
        }

        position += count;
        return content.Span.Slice(position - count, count);
    }
}
