namespace FunTrpo

/// The improvement rules that training can use.
[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module ImprovementRule =

    /// The rule of a step that needs no random numbers and no optimiser, such as `TrustRegion.improve`.
    let ofStep (step: ImprovementSettings -> Surrogate -> Result<Improvement, string>) : ImprovementRule =
        fun settings _ optimiser surrogate ->
            step settings surrogate |> Result.map (fun improvement -> improvement, optimiser)

    /// The rule that the settings name: PPO, or a single step by `TrustRegion.improve`.
    let standard: ImprovementRule =
        fun settings key optimiser surrogate ->
            match settings.Ppo with
            | Some ppo -> Ppo.improve ppo key optimiser surrogate
            | None -> ofStep TrustRegion.improve settings key optimiser surrogate
