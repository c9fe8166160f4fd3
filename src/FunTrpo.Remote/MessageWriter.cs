using System;
using System.Buffers.Binary;
using System.IO;
using System.Text;

namespace FunTrpo.Remote;

/// <summary>Writes messages to a stream, each in one piece.</summary>
internal sealed class MessageWriter(Stream stream)
{
    private byte[] bytes = new byte[1 << 12];
    private int length;

    /// <summary>Begins a message of this kind.</summary>
    public void Begin(MessageKind kind)
    {
        length = Protocol.HeaderBytes;
        bytes[4] = (byte)kind;
    }

    /// <summary>Sends the message.</summary>
    public void Send()
    {
        BinaryPrimitives.WriteInt32LittleEndian(bytes, length - Protocol.HeaderBytes);
        stream.Write(bytes, 0, length);
        stream.Flush();
    }

    public void Byte(byte value) => Grow(1)[0] = value;

    public void UInt16(ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(Grow(2), value);

    public void UInt32(uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Grow(4), value);

    public void Int32(int value) => BinaryPrimitives.WriteInt32LittleEndian(Grow(4), value);

    public void Float32(float value) => BinaryPrimitives.WriteSingleLittleEndian(Grow(4), value);

    public void Float64(double value) => BinaryPrimitives.WriteDoubleLittleEndian(Grow(8), value);

    public void Float32s(ReadOnlySpan<float> values)
    {
        Span<byte> destination = Grow(4 * values.Length);
        for (int i = 0; i < values.Length; i++)
        {
            BinaryPrimitives.WriteSingleLittleEndian(destination[(4 * i)..], values[i]);
        }
    }

    /// <summary>Writes a text. What is longer than the protocol allows is cut off.</summary>
    public void Text(string text)
    {
        byte[] encoded = Encoding.UTF8.GetBytes(text);
        ReadOnlySpan<byte> kept = encoded.AsSpan(0, Math.Min(encoded.Length, Protocol.MaxText));
        UInt16((ushort)kept.Length);
        kept.CopyTo(Grow(kept.Length));
    }

    private Span<byte> Grow(int count)
    {
        if (length + count > bytes.Length)
        {
            Array.Resize(ref bytes, Math.Max(2 * bytes.Length, length + count));
        }

        length += count;
        return bytes.AsSpan(length - count, count);
    }
}
