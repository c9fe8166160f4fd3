namespace FunTrpo

/// Limits for combinations of settings, so that batches and networks fit into memory, and so that rows are left for an update.
module internal ConfigurationLimits =

    /// The maximum number of activations of one batch. A larger number is almost certainly a typing error: 4 · 10⁹ float32 take 15 GiB,
    /// or 30 GiB if the layers store their derivatives, too.
    let private maxActivations = 4_000_000_000L

    /// The maximum number of weights of one network: 10⁸ float32 take 0.4 GB. The gradient and each vector of conjugate gradient take as
    /// much again.
    let maxWeights = 100_000_000L

    /// The maximum number of elements in the rows of one batch. The last iteration may have up to half as many rows more:
    /// 1.5 · 2²⁹ elements still fit into one array, which holds fewer than 2³¹.
    let maxBatchNumbers = 1L <<< 29

    /// The fault of a setting, with its name, its value and the allowed values.
    let refuse name limit configuration =
        let field = ConfigurationFields.all |> List.find (fun field -> field.Name = name)
        Error(InvalidSetting(name, field.Get configuration, limit))

    /// Refuses batches of more than `maxRows` rows. The message gives the reason `why` for this limit.
    let private limitRows maxRows why (configuration: Configuration) =
        let isTooMuch each = int64 configuration.Environments * int64 each > maxRows

        let refuseProduct name = configuration |> refuse name $"environments × {name} must be in [1, {maxRows}], {why}"

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
        configuration |> limitRows (maxBatchNumbers / width) $"for rows of {width} numbers"

    /// The field that describes the policy's hidden layers.
    let policyField (configuration: Configuration) =
        if configuration.Architecture.IsEmpty then "hidden" else "architecture"

    /// The field that describes the critic's hidden layers.
    let criticField (configuration: Configuration) =
        if configuration.CriticArchitecture.IsEmpty then "criticHidden" else "criticArchitecture"

    /// Refuses a network with more than `maxWeights` weights. The fault names its field, and says which weights are counted (`these`).
    let requireWeights name (weights: float) these configuration =
        if weights > float maxWeights then
            configuration |> refuse name $"{these} there must be at most {maxWeights} weights"
        else
            Ok configuration

    /// Refuses rows to hold out where there are not two environments: some are held out, and others not.
    let requireHeldOut (configuration: Configuration) =
        if configuration.HeldOut > 0.0 && configuration.Environments < 2 then
            configuration |> refuse "heldOut" "with a single environment it must be 0"
        else
            Ok configuration

    /// The least number of outputs of a hidden layer, whatever its input is.
    let rec private leastUnits layer =
        match layer with
        | HiddenLayer.Parts parts ->
            parts |> List.sumBy (snd >> List.tryLast >> Option.map leastUnits >> Option.defaultValue 0)
        | HiddenLayer.Dense(units, _)
        | HiddenLayer.Gru units
        | HiddenLayer.Lstm units
        | HiddenLayer.Convolution(units, _, _) -> units
        | HiddenLayer.Pool _
        | HiddenLayer.LayerNorm
        | HiddenLayer.Flatten -> 0

    /// Refuses hidden layers with too many weights between them.
    let private requireHiddenWeights name (architecture: Architecture) =
        let weights =
            architecture |> List.map leastUnits |> List.pairwise |> List.sumBy (fun (a, b) -> float a * float b)

        requireWeights name weights "between its layers"

    /// Refuses batches of which networks with so many hidden units in all would keep too many activations.
    let limitActivations (hidden: int64) configuration =
        configuration |> limitRows (maxActivations / (1L + hidden)) $"for {hidden} hidden units in all"

    /// Refuses batches and networks that are too large for memory, whatever the environment is.
    let requireMemory (configuration: Configuration) =
        let policy, critic = configuration.PolicyLayers, configuration.CriticLayers

        configuration
        |> limitActivations (policy @ critic |> List.sumBy (leastUnits >> int64))
        |> Result.bind (requireHiddenWeights (policyField configuration) policy)
        |> Result.bind (requireHiddenWeights (criticField configuration) critic)
