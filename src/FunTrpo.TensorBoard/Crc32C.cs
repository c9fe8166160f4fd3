using System;
using System.Buffers.Binary;
using System.Numerics;

namespace FunTrpo.TensorBoard;

/// <summary>The checksum of event files: CRC-32C (Castagnoli, RFC 3720), masked as in TFRecord files.</summary>
internal static class Crc32C
{
    /// <summary>Returns the CRC-32C of the bytes.</summary>
    public static uint Of(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        }

        foreach (byte one in bytes)
        {
            crc = BitOperations.Crc32C(crc, one);
        }

        return ~crc;
    }

    /// <summary>
    /// Returns the CRC-32C of the bytes, rotated right by 15 bits plus 0xA282EAD8: the checksum of data that hold checksums would be weak.
    /// </summary>
    public static uint Masked(ReadOnlySpan<byte> bytes) =>
        unchecked(BitOperations.RotateRight(Of(bytes), 15) + 0xA282EAD8);
}
