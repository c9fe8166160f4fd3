namespace FunTrpo

/// Limits for combinations of settings, so that batches and networks fit into memory.
module internal ConfigurationLimits =

    /// Limits for the activations of one batch and the weights between the layers of one network. A larger number is almost
    /// certainly a typing error: such a batch would take about 30 GiB.
    let private mostActivations = 4_000_000_000L
    let mostWeights = 100_000_000L

    /// The largest number of elements in the rows of one batch. The last iteration may have up to half as many rows more; they
    /// still fit into one array.
    let private mostNumbers = 1L <<< 29

    /// The fault of a setting, with its name, its value and the allowed values.
    let refuse name limit configuration =
        let field = ConfigurationFields.all |> List.find (fun field -> field.Name = name)
        Error(InvalidSetting(name, field.Get configuration, limit))

    /// Refuses batches of more than `most` rows. The message gives the reason `why` for this limit.
    let private limitRows most why (configuration: Configuration) =
        let isTooMuch each = int64 configuration.Environments * int64 each > most

        let refuseProduct name = configuration |> refuse name $"environments × {name} must be in [1, {most}], {why}"

        if isTooMuch configuration.Horizon then
            refuseProduct "horizon"
        elif isTooMuch configuration.Branches then
            refuseProduct "branches"
        elif configuration.Branches > 0 && isTooMuch configuration.BranchSteps then
            refuseProduct "branchSteps"
        else
            Ok configuration

    /// Refuses batches that are too large for memory if each row has `width` numbers.
    let limitBatch (width: int64) configuration =
        configuration |> limitRows (mostNumbers / width) $"for rows of {width} numbers"

    /// The field that describes the policy's hidden layers.
    let policyField (configuration: Configuration) =
        if configuration.Architecture.IsEmpty then "hidden" else "architecture"

    /// The field that describes the critic's hidden layers.
    let criticField (configuration: Configuration) =
        if configuration.CriticArchitecture.IsEmpty then "criticHidden" else "criticArchitecture"

    let private requireWeights name architecture configuration =
        let weights =
            Architecture.units architecture |> List.pairwise |> List.sumBy (fun (a, b) -> int64 a * int64 b)

        if weights > mostWeights then
            configuration |> refuse name $"there must be at most {mostWeights} weights between its layers"
        else
            Ok configuration

    /// Refuses batches and networks that are too large for memory, whatever the environment is.
    let requireMemory (configuration: Configuration) =
        let policy, critic = configuration.PolicyLayers, configuration.CriticLayers
        let hidden = Architecture.units (policy @ critic) |> List.sumBy int64

        configuration
        |> limitRows (mostActivations / (1L + hidden)) $"for {hidden} hidden units in all"
        |> Result.bind (requireWeights (policyField configuration) policy)
        |> Result.bind (requireWeights (criticField configuration) critic)
