using System;
using System.Buffers;
using System.Buffers.Binary;
using System.IO;
using System.Text.Json;

namespace FunTrpo.Remote;

/// <summary>Messages of Godot RL Agents: the length of the content (4 bytes, little-endian), and JSON in UTF-8.</summary>
internal sealed class GodotMessages(Stream input, Stream output)
{
    private const int HeaderBytes = 4;
    private readonly byte[] header = new byte[HeaderBytes];
    private readonly Arrivals arrivals = new(input);
    private readonly ArrayBufferWriter<byte> written = new();

    /// <summary>Sends an object with these properties.</summary>
    public void Send(Action<Utf8JsonWriter> properties)
    {
        written.ResetWrittenCount();
        written.Write<byte>(header); // its place
        using (Utf8JsonWriter writer = new(written))
        {
            writer.WriteStartObject();
            properties(writer);
            writer.WriteEndObject();
        }

        byte[] message = written.WrittenSpan.ToArray();
        BinaryPrimitives.WriteInt32LittleEndian(message, message.Length - HeaderBytes);
        output.Write(message);
        output.Flush();
    }

    /// <summary>Reads the next message, of at most so many bytes. It is valid until the next one is read.</summary>
    /// <exception cref="RemoteException">The message is too long.</exception>
    /// <exception cref="EndOfStreamException">The connection ended.</exception>
    public ReadOnlyMemory<byte> Next(int longest)
    {
        input.ReadExactly(header);
        return arrivals.Read(BinaryPrimitives.ReadUInt32LittleEndian(header), longest);
    }
}
