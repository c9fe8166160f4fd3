using System;
using System.Globalization;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using System.Threading;
using System.Threading.Tasks;
using FunTrpo.Remote;
using Game;
using Godot;
using Xunit;

namespace FunTrpo.CSharp.Tests;

/// <summary>The parts about Godot of docs/remote.md and docs/deployment.md in C#. The engine itself is not here.</summary>
public sealed class GodotFacts
{
    private const int Agents = 16;

    private const string Description = """
        {
            "type": "env_info",
            "n_agents": 16,
            "observation_space": {"obs": {"space": "box", "size": [2]}},
            "action_space": {"push": {"action_type": "continuous", "size": 1}}
        }
        """;

    public void Trains_on_a_game()
    {
        int port = FreePort();
        Task playing = Task.Run(() => Play(port));
        TrainingPlan plan = Trpo.ForBatch(
                () => RemoteEnvironments.ListenForGodot(new() { Port = port, TruncateAt = 1000 }),
                "Paddle"
            )
            .With(options => options with { Environments = 16, Horizon = 64, TotalSteps = 16 * 64 });
        Policy policy = plan.Train().Policy;
        Assert.Equal("Paddle", policy.EnvironmentName);
        Assert.Equal(SpaceKind.Box, policy.ActionSpace.Kind);
        playing.Wait(TimeSpan.FromMinutes(1));
        Assert.True(playing.IsCompletedSuccessfully);
    }

    public void Says_what_is_missing_if_there_is_no_game()
    {
        GodotOptions options = new() { Port = FreePort(), StartTime = TimeSpan.FromMilliseconds(100) };
        TrainingPlan plan = Trpo.ForBatch(() => RemoteEnvironments.ListenForGodot(options), "Paddle");
        EnvironmentException error = Assert.Throws<EnvironmentException>(() => plan.Train());
        Assert.Contains("press Play in the editor", error.Message, StringComparison.Ordinal);
        plan = Trpo.ForBatch(() => RemoteEnvironments.StartGodot("/no/such/game"), "Paddle");
        error = Assert.Throws<EnvironmentException>(() => plan.Train());
        Assert.Contains("/no/such/game cannot be started", error.Message, StringComparison.Ordinal);
    }

    public void Plays_a_policy_in_a_node()
    {
        Policy policy = Trpo.For(() => new Pushed()).Start().Policy;
        FileAccess.Files["res://policy.json"] = policy.ToJson();
        Paddle paddle = new()
        {
            Ball = new() { Position = new(50, -200) },
            Position = new(-50, 0),
        };
        paddle._Ready();
        float[] push = new float[1];
        policy.Act([1, -2], push);
        for (int frame = 0; frame < 8; frame++)
        {
            paddle._PhysicsProcess(1 / 60.0);
        }

        Assert.Equal(-50 + (300 * 8 / 60.0 * push[0]), paddle.Position.X, 0.001);
        policy.Act([(50 - paddle.Position.X) / 100, -2], push);
        float before = paddle.Position.X;
        paddle._PhysicsProcess(1 / 60.0);
        Assert.Equal(before + (300 / 60.0 * push[0]), paddle.Position.X, 0.001);
    }

    /// <summary>An environment with the spaces of a paddle.</summary>
    private sealed class Pushed : IEnvironment
    {
        public Space ObservationSpace { get; } = Space.Box(2, float.NegativeInfinity, float.PositiveInfinity);

        public Space ActionSpace { get; } = Space.Box(1, -1, 1);

        public float[] Reset(int seed) => [0, 0];

        public StepResult Step(AgentAction action) => new([0, 0], 0, Terminated: true);
    }

    private static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>Is a game, as the Sync node of Godot RL Agents: every agent is rewarded for its push, and begins anew after ten steps.</summary>
    private static void Play(int port)
    {
        using TcpClient client = Connected(port);
        using NetworkStream stream = client.GetStream();
        _ = Receive(stream); // the handshake
        _ = Receive(stream); // the question what the game is
        Send(stream, Description);
        for (int step = 0; ; step++)
        {
            JsonNode message = Receive(stream);
            string seen = $"\"obs\": [{string.Join(", ", Enumerable.Repeat("{\"obs\": [0.5, -1]}", Agents))}]";
            switch ((string?)message["type"])
            {
                case "reset":
                    Send(stream, $"{{\"type\": \"reset\", {seen}}}");
                    break;
                case "action":
                    string rewards = string.Join(", ", message["action"]!.AsArray().Select(Reward));
                    string ends = string.Join(", ", Enumerable.Repeat(step % 10 == 0 ? "true" : "false", Agents));
                    Send(stream, $"{{\"type\": \"step\", {seen}, \"reward\": [{rewards}], \"done\": [{ends}]}}");
                    break;
                default:
                    return;
            }
        }

        static string Reward(JsonNode? action) => ((double)action!["push"]![0]!).ToString(CultureInfo.InvariantCulture);
    }

    private static TcpClient Connected(int port)
    {
        for (int attempts = 0; ; attempts++)
        {
            try
            {
                return new("127.0.0.1", port);
            }
            catch (SocketException) when (attempts < 10_000)
            {
                Thread.Sleep(10); // Training does not listen yet.
            }
        }
    }

    private static JsonNode Receive(NetworkStream stream)
    {
        byte[] length = new byte[4];
        stream.ReadExactly(length);
        byte[] content = new byte[BitConverter.ToInt32(length)];
        stream.ReadExactly(content);
        return JsonNode.Parse(content)!;
    }

    private static void Send(NetworkStream stream, string text)
    {
        byte[] content = Encoding.UTF8.GetBytes(text);
        stream.Write(BitConverter.GetBytes(content.Length));
        stream.Write(content);
    }
}
