using System;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using FunTrpo.Remote;
using Xunit;

namespace FunTrpo.CSharp.Tests;

/// <summary>The part of docs/remote.md in C#.</summary>
public sealed class RemoteFacts
{
    public void Trains_on_environments_elsewhere_with_the_same_bits()
    {
        IPEndPoint address = new(IPAddress.Loopback, 0);
        string secret = "swordfish";
        using X509Certificate2 certificate = SelfSigned();
        using RemoteServer server = RemoteServer.Listen(
            address,
            () => new Line(),
            new() { Token = secret, Certificate = certificate }
        );
        TrainingPlan plan = Trpo.ForBatch(() =>
            RemoteEnvironments.Connect(
                "127.0.0.1",
                server.Port,
                new()
                {
                    Token = secret,
                    Tls = true,
                    Certificate = certificate,
                }
            )
        );
        Policy here = Trpo.For(() => new Line(), nameof(RemoteEnvironments)).Short().Train().Policy;
        Assert.Equal(here, plan.Short().Train().Policy);
    }

    private static X509Certificate2 SelfSigned()
    {
        using RSA key = RSA.Create(2048);
        CertificateRequest request = new("CN=localhost", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        DateTimeOffset now = DateTimeOffset.Now;
        using X509Certificate2 signed = request.CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
        return X509CertificateLoader.LoadPkcs12(signed.Export(X509ContentType.Pfx), null);
    }
}
