namespace FunTrpo.Remote;

/// <summary>The kinds of messages. docs/remote.md describes their content.</summary>
internal enum MessageKind : byte
{
    /// <summary>The client's first message: version and token.</summary>
    Hello = 1,

    /// <summary>The server's answer: name, spaces and number of simulators.</summary>
    Welcome = 2,

    /// <summary>Begins episodes in some simulators.</summary>
    Reset = 3,

    /// <summary>The observations after a reset.</summary>
    ResetDone = 4,

    /// <summary>Steps some simulators.</summary>
    Step = 5,

    /// <summary>The observations, rewards and ends after a step.</summary>
    StepDone = 6,

    /// <summary>The server has failed, or refuses a message. It ends the connection.</summary>
    Error = 7,

    /// <summary>The client's last message.</summary>
    Close = 8,
}

/// <summary>The numbers of the protocol.</summary>
internal static class Protocol
{
    /// <summary>The first four bytes of the first message: FTRP.</summary>
    public const uint Magic = 0x50525446;

    /// <summary>The version. The other side must have the same one.</summary>
    public const ushort Version = 1;

    /// <summary>The largest number of bytes of a message, without its header.</summary>
    public const int MaxMessage = 1 << 26;

    /// <summary>The largest number of bytes of the messages before the peers have agreed on their spaces.</summary>
    public const int MaxHello = 1 << 12;

    /// <summary>The largest number of bytes of a text.</summary>
    public const int MaxText = 1 << 10;

    /// <summary>The largest number of simulators of a connection.</summary>
    public const int MaxCount = 1 << 16;

    /// <summary>The largest number of values of an observation or an action.</summary>
    public const int MaxWidth = 1 << 20;

    /// <summary>The number of bytes before the content of a message: its length and its kind.</summary>
    public const int HeaderBytes = 5;
}
