using System;
using System.Buffers.Binary;
using System.IO;
using System.Text;

namespace FunTrpo.Remote;

/// <summary>Reads messages from a stream. It takes no more memory than the bytes that have arrived, and refuses messages that are too long.</summary>
internal sealed class MessageReader(Stream stream)
{
    private const int ChunkBytes = 1 << 16;
    private readonly byte[] header = new byte[Protocol.HeaderBytes];
    private byte[] content = new byte[ChunkBytes];
    private int length;
    private int position;

    /// <summary>Reads the next message, of at most <paramref name="longest"/> bytes, and returns its kind.</summary>
    /// <exception cref="RemoteException">The message is too long.</exception>
    /// <exception cref="EndOfStreamException">The connection ended.</exception>
    public MessageKind Next(int longest)
    {
        stream.ReadExactly(header);
        uint announced = BinaryPrimitives.ReadUInt32LittleEndian(header);
        if (announced > longest)
        {
            throw new RemoteException(
                $"a message of {announced} bytes was announced, and at most {longest} are allowed"
            );
        }

        length = (int)announced;
        position = 0;
        int arrived = 0;
        while (arrived < length)
        {
            int next = Math.Min(length - arrived, ChunkBytes);
            if (arrived + next > content.Length)
            {
                Array.Resize(ref content, Math.Min(Protocol.MaxMessage, Math.Max(2 * content.Length, arrived + next)));
            }

            stream.ReadExactly(content, arrived, next);
            arrived += next;
        }

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
        if (position != length)
        {
            throw new RemoteException($"a message has {length - position} bytes too many");
        }
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count > length - position)
        {
            throw new RemoteException("a message ends too early");
        }

        position += count;
        return content.AsSpan(position - count, count);
    }
}
