using System;
using System.IO;

namespace FunTrpo.Remote;

/// <summary>The bytes of a message. They take no more memory than has arrived.</summary>
internal sealed class Arrivals(Stream stream)
{
    private const int ChunkBytes = 1 << 16;
    private byte[] content = new byte[ChunkBytes];

    /// <summary>Reads a message of so many bytes. It is valid until the next one is read.</summary>
    /// <exception cref="RemoteException">The message is longer than <paramref name="longest"/> bytes.</exception>
    /// <exception cref="EndOfStreamException">The connection ended.</exception>
    public ReadOnlyMemory<byte> Read(uint announced, int longest)
    {
        if (announced > longest)
        {
            throw new RemoteException(
                $"a message of {announced} bytes was announced, and at most {longest} are allowed"
            );
        }

        int length = (int)announced;
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

        return content.AsMemory(0, length);
    }
}
