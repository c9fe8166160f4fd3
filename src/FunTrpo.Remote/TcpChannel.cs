using System;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;

namespace FunTrpo.Remote;

/// <summary>A connection over TCP.</summary>
internal sealed class TcpChannel : Channel
{
    private readonly TcpClient client = new() { NoDelay = true };
    private Stream stream = Stream.Null;

    public TcpChannel(string host, int port, RemoteOptions options)
    {
        Name = $"{host}:{port}";
        IPAddress[] addresses = Dns.GetHostAddresses(host);
        bool isProtected = options.Tls && options.Token.Length > 0;
        if (!isProtected && !addresses.All(IPAddress.IsLoopback))
        {
            throw new ArgumentException($"{host} is another machine: TLS and a token are needed.", nameof(options));
        }

        try
        {
            InTime(options.StartTime, () => Connect(host, addresses, port, options));
        }
        catch
        {
            client.Dispose();
            throw;
        }
    }

    public override string Name { get; }

    public override Stream Input => stream;

    public override Stream Output => stream;

    public override void Abort() => client.Dispose();

    public override void Dispose()
    {
        stream.Dispose();
        client.Dispose();
    }

    private bool Connect(string host, IPAddress[] addresses, int port, RemoteOptions options)
    {
        try
        {
            client.Connect(addresses, port);
        }
        catch (SocketException error)
        {
            throw new RemoteException($"{Name} cannot be reached: {error.Message}", error);
        }

        stream = options.Tls ? Encrypted(host, options.Certificate) : client.GetStream();
        return true;
    }

    private SslStream Encrypted(string host, X509Certificate2? expected)
    {
        RemoteCertificateValidationCallback? isExpected = expected is null
            ? null
            : (_, certificate, _, _) =>
                certificate is not null && expected.RawData.AsSpan().SequenceEqual(certificate.GetRawCertData());
        SslStream encrypted = new(client.GetStream(), leaveInnerStreamOpen: false, isExpected);
        try
        {
            encrypted.AuthenticateAsClient(host);
            return encrypted;
        }
        catch (System.Security.Authentication.AuthenticationException error)
        {
            encrypted.Dispose();
            throw new RemoteException($"{Name} has no certificate that is trusted: {error.Message}", error);
        }
    }
}
