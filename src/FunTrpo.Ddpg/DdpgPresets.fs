namespace FunTrpo.Ddpg

open FunTrpo

/// Settings that are tuned for a task, and the environment steps that they are tuned for.
type DdpgPreset = { Id: string; Steps: int64; Settings: DdpgSettings }

module DdpgPresets =

    let private pendulum = { Id = "Pendulum-v1"; Steps = 50_000L; Settings = DdpgSettings.standard }

    /// Each action costs energy, and only the hill is rewarded. The noise is as large as the box at first and lasts for long: with less, the policy learns
    /// to stand still.
    let private mountainCar =
        { Id = "MountainCarContinuous-v0"
          Steps = 50_000L
          Settings =
            { DdpgSettings.standard with
                Noise = { Deviation = 1.0; FinalDeviation = 0.2; Steps = 50_000; Correlation = 0.98 } } }

    /// Wide networks and a long warm-up, as in the tasks of MuJoCo that the paper of TD3 (Fujimoto et al. 2018) repeats.
    let private halfCheetah =
        let wide = Architecture.uniform [ 256; 256 ] Activation.Relu

        { Id = "HalfCheetah-v4"
          Steps = 300_000L
          Settings =
            { DdpgSettings.standard with
                Actor = wide
                Critic = wide
                Warmup = 10_000
                Noise = { Deviation = 0.5; FinalDeviation = 0.1; Steps = 20_000; Correlation = 0.0 } } }

    /// All presets.
    let all = [ pendulum; mountainCar; halfCheetah ]

    /// The preset of the environment with this id, if there is one.
    let tryFind id = all |> List.tryFind (fun preset -> preset.Id = id)

    /// The settings of the preset of an environment, or the standard settings if it has none.
    let orStandard id = tryFind id |> Option.map _.Settings |> Option.defaultValue DdpgSettings.standard
