namespace FunTrpo.Environments.Popgym

/// The variants of each task of POPGym. Source: Morad et al., "POPGym: benchmarking partially observable reinforcement learning" (2023). Returns
/// lie between −1 and 1.
type Difficulty =
    | Easy
    | Medium
    | Hard

module Difficulty =

    let all = [ Easy; Medium; Hard ]

    /// The id of a task, as POPGym has it.
    let internal id task (difficulty: Difficulty) = $"popgym-{task}{difficulty}-v0"

    /// The one of three values that belongs to the difficulty.
    let internal pick (easy, medium, hard) difficulty =
        match difficulty with
        | Easy -> easy
        | Medium -> medium
        | Hard -> hard
