using System;
using System.Buffers.Binary;
using System.Globalization;
using System.IO;
using FunTrpo.TensorBoard.Messages;
using Google.Protobuf;
using static System.FormattableString;

namespace FunTrpo.TensorBoard;

/// <summary>
/// A file of events, one record each: the length of the data as uint64, the masked CRC-32C of these 8 bytes, the data, and their masked
/// CRC-32C; all little-endian.
/// </summary>
internal sealed class EventFile : IDisposable
{
    private const string Prefix = "events.out.tfevents.";

    /// <summary>The number of bytes before the data of a record, and after them.</summary>
    private const int Head = sizeof(ulong) + sizeof(uint);

    private const int Foot = sizeof(uint);

    private readonly FileStream stream;

    /// <summary>Creates a file that comes after all event files of the folder, and creates the folder if necessary.</summary>
    /// <exception cref="IOException">The folder or the file cannot be created.</exception>
    public EventFile(string folder, DateTimeOffset now)
    {
        Directory.CreateDirectory(folder);
        string name = Invariant($"{Prefix}{NextTime(folder, now):D10}.{Environment.MachineName}");

        // Each record is one write, so that a reader finds whole records at any time.
        stream = new(
            System.IO.Path.Combine(folder, name),
            FileMode.CreateNew,
            FileAccess.Write,
            FileShare.ReadWrite | FileShare.Delete,
            bufferSize: 0
        );
    }

    /// <summary>The path of the file.</summary>
    public string Path => stream.Name;

    /// <summary>Appends an event.</summary>
    /// <exception cref="IOException">
    /// The event cannot be written, for example because the disk is full. The file then ends with the event before.
    /// </exception>
    public void Append(Event written)
    {
        byte[] record = Record(written);
        long before = stream.Length;
        try
        {
            stream.Write(record);
        }
        catch (Exception error)
        {
            stream.SetLength(before);

            // .NET throws another type of exception if the file would exceed its size limit.
            throw error as IOException ?? new IOException(error.Message, error);
        }
    }

    public void Dispose() => stream.Dispose();

    private static byte[] Record(Event written)
    {
        int length = written.CalculateSize();
        byte[] record = new byte[Head + length + Foot];
        Span<byte> size = record.AsSpan(0, sizeof(ulong));
        Span<byte> data = record.AsSpan(Head, length);
        BinaryPrimitives.WriteUInt64LittleEndian(size, (ulong)length);
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(sizeof(ulong)), Crc32C.Masked(size));
        written.WriteTo(data);
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(Head + length), Crc32C.Masked(data));
        return record;
    }

    /// <summary>
    /// The seconds since 1970, or one more than those of the last file: TensorBoard reads the files in the order of their names.
    /// </summary>
    private static long NextTime(string folder, DateTimeOffset now)
    {
        long time = now.ToUnixTimeSeconds();
        foreach (string path in Directory.GetFiles(folder, Prefix + "*"))
        {
            time = Math.Max(time, TimeOf(System.IO.Path.GetFileName(path)) + 1);
        }

        return time;
    }

    /// <summary>The time in the name of an event file; 0 if it has none.</summary>
    private static long TimeOf(string name) =>
        long.TryParse(
            name[Prefix.Length..].Split('.')[0],
            NumberStyles.None,
            CultureInfo.InvariantCulture,
            out long time
        )
            ? time
            : 0;
}
