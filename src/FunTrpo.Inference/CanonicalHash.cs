using System;
using System.Security.Cryptography;
using System.Text;

namespace FunTrpo.Inference;

/// <summary>
/// SHA-256 of JSON in its canonical form: without whitespace, and with each character of a text that is not plain ASCII, or has a meaning in
/// HTML, as an escape. A policy's checksum is that of its file in this form.
/// </summary>
internal sealed class CanonicalHash : IDisposable
{
    private const string Digits = "0123456789ABCDEF";

    private readonly IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly byte[] buffer = new byte[4096];
    private int count;

    /// <summary>Whether what is written counts: the checksum itself does not.</summary>
    public bool IsOn { get; set; } = true;

    /// <summary>The hash in lower-case hexadecimal of all that was written.</summary>
    public string Result()
    {
        Flush();
        StringBuilder text = new();
        foreach (byte part in hash.GetHashAndReset())
        {
            text.Append(part.ToString("x2", null));
        }

        return text.ToString();
    }

    public void Write(byte part)
    {
        if (!IsOn)
        {
            return;
        }

        if (count == buffer.Length)
        {
            Flush();
        }

        buffer[count++] = part;
    }

    public void Write(ReadOnlySpan<byte> parts)
    {
        foreach (byte part in parts)
        {
            Write(part);
        }
    }

    /// <summary>Writes a UTF-16 code unit of a text, escaped if it must be.</summary>
    public void WriteText(char unit)
    {
        char letter = unit switch
        {
            '\b' => 'b',
            '\t' => 't',
            '\n' => 'n',
            '\f' => 'f',
            '\r' => 'r',
            '\\' => '\\',
            _ => '\0',
        };
        bool isPlain = unit >= ' ' && unit < 0x7F && "\"&'+<>`".IndexOf(unit) < 0;
        if (letter != '\0')
        {
            Write((byte)'\\');
            Write((byte)letter);
        }
        else if (isPlain)
        {
            Write((byte)unit);
        }
        else
        {
            Write((byte)'\\');
            Write((byte)'u');
            for (int shift = 12; shift >= 0; shift -= 4)
            {
                Write((byte)Digits[(unit >> shift) & 15]);
            }
        }
    }

    public void Dispose() => hash.Dispose();

    private void Flush()
    {
        hash.AppendData(buffer, 0, count);
        count = 0;
    }
}
