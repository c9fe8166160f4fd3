namespace FunTrpo.Plots

open FunTrpo
open FunTrpo.Ddpg

/// The algorithm of a run. The settings, the quantities and the charts of the run depend on it.
[<RequireQualifiedAccess>]
type RunAlgorithm =
    /// TRPO, PPO or fixed steps: the settings are a `Configuration`, and each iteration has a `Report`.
    | OnPolicy
    /// DDPG: the settings are `DdpgSettings`, and each iteration has a `DdpgReport`.
    | Ddpg

module internal RunAlgorithm =

    /// The name of each quantity of an iteration, and how its text is read.
    let quantities algorithm =
        let ofFields fields = fields |> List.map (fun (field: ReportField<'Report>) -> field.Name, Report.ofText field)

        match algorithm with
        | RunAlgorithm.OnPolicy -> ofFields Report.fields
        | RunAlgorithm.Ddpg -> ofFields DdpgReport.fields

    /// Whether the value of each setting is a text, by the name of the setting.
    let areTexts algorithm =
        let ofFields fields = fields |> List.map (fun (field: Field<'Settings>) -> field.Name, field.IsText) |> Map

        match algorithm with
        | RunAlgorithm.OnPolicy -> ofFields Configuration.fields
        | RunAlgorithm.Ddpg -> ofFields DdpgSettings.fields
