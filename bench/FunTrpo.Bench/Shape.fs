namespace FunTrpo.Bench

open System

/// The family of a policy's distributions of actions.
type ActionFamily =
    | Categorical
    /// Diagonal, with log σ that does not depend on the observation.
    | Gaussian

/// The size of a measured update: the layers of the policy, and the number of samples of the batch.
type Shape =
    {
        Name: string
        /// The units of each layer, observations first.
        Units: int list
        Family: ActionFamily
        /// The number of samples.
        Batch: int
    }

module Shape =

    let private named name units family batch = { Name = name; Units = units; Family = family; Batch = batch }

    let a = named "A" [ 4; 64; 64; 2 ] Categorical 2048
    let b = named "B" [ 17; 64; 64; 6 ] Gaussian 2048
    let c = named "C" [ 17; 64; 64; 6 ] Gaussian 50_000
    let d = named "D" [ 376; 100; 50; 25; 17 ] Gaussian 50_000
    let e = named "E" [ 376; 256; 256; 17 ] Gaussian 4096

    /// The shapes for which there are goals.
    let all = [ a; b; c; d; e ]

    let inputs shape = List.head shape.Units
    let outputs shape = List.last shape.Units
    let hidden shape = shape.Units[1 .. shape.Units.Length - 2]

    /// The units as text: 4-64-64-2.
    let unitsText shape = shape.Units |> List.map string |> String.concat "-"

    let familyText shape =
        match shape.Family with
        | Categorical -> "categorical"
        | Gaussian -> "gaussian"

    let describe shape = $"{unitsText shape} {familyText shape}, batch {shape.Batch}"

    /// The number of weights between each layer and the next.
    let private weights shape = shape.Units |> List.pairwise |> List.map (fun (i, o) -> float i * float o)

    /// The number of parameters of the policy.
    let parameters shape =
        let layers = shape.Units |> List.pairwise |> List.sumBy (fun (i, o) -> (i + 1) * o)
        layers + (if shape.Family = Gaussian then outputs shape else 0)

    /// The number of floating-point operations that one Fisher-vector product needs. Per sample and layer there are four matrix products
    /// of 2 · inputs · outputs operations each: ẋ W, x Ẇ, xᵀ δ and δ Wᵀ. The first layer needs only x Ẇ and xᵀ δ, since observations have
    /// neither tangent nor cotangent.
    let productFlops shape =
        match weights shape with
        | first :: others -> float shape.Batch * (4.0 * first + 8.0 * List.sum others)
        | [] -> 0.0

    /// The least number of bytes that one product must move if the batch does not stay in the caches: the observations and hidden
    /// activations of each sample once, and the parameters with their tangents and cotangents.
    let productBytes shape =
        4.0
        * (float shape.Batch * float (inputs shape + List.sum (hidden shape)) + 3.0 * float (parameters shape))

    /// Parses units such as 4-64-64-2. Returns an error message if the text is not valid.
    let parseUnits (text: string) =
        let units =
            text.Split '-'
            |> Array.map (fun part ->
                match Int32.TryParse part with
                | true, count when 1 <= count && count <= 65536 -> Some count
                | _ -> None)
            |> List.ofArray

        if units.Length >= 3 && List.forall Option.isSome units then
            Ok(List.choose id units)
        else
            Error
                $"--shape {text}: it must be the units of at least three layers, with dashes between, as in 376-256-256-17"
