namespace FunTrpo.Bench

open System

/// The distributions of actions that are measured.
type ActionFamily =
    | Categorical
    /// Diagonal; log σ does not depend on the observation.
    | Gaussian

/// What an update is measured on: a policy's layers, and how many samples a batch has.
type Shape =
    {
        Name: string
        /// The units of each layer, observations first.
        Units: int list
        Family: ActionFamily
        /// Samples.
        Batch: int
    }

module Shape =

    let private named name units family batch = { Name = name; Units = units; Family = family; Batch = batch }

    let a = named "A" [ 4; 64; 64; 2 ] Categorical 2048
    let b = named "B" [ 17; 64; 64; 6 ] Gaussian 2048
    let c = named "C" [ 17; 64; 64; 6 ] Gaussian 50_000
    let d = named "D" [ 376; 100; 50; 25; 17 ] Gaussian 50_000
    let e = named "E" [ 376; 256; 256; 17 ] Gaussian 4096

    /// The shapes that the goals are set for.
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

    /// The weights between each layer and the next, as floats.
    let private weights shape = shape.Units |> List.pairwise |> List.map (fun (i, o) -> float i * float o)

    /// Parameters of the policy.
    let parameters shape =
        let layers = shape.Units |> List.pairwise |> List.sumBy (fun (i, o) -> (i + 1) * o)
        layers + (if shape.Family = Gaussian then outputs shape else 0)

    /// The floating-point operations that one Fisher-vector product cannot do without. Per sample and layer they are four
    /// matrix products of 2 · inputs · outputs each: ẋ W, x Ẇ, xᵀ δ and δ Wᵀ. The first layer needs neither the first, since
    /// observations have no tangent, nor the last.
    let productFlops shape =
        match weights shape with
        | first :: others -> float shape.Batch * (4.0 * first + 8.0 * List.sum others)
        | [] -> 0.0

    /// The bytes that one product moves at least, where a batch does not stay in the caches: the observations and hidden
    /// activations of each sample once, and the parameters with their tangents and cotangents.
    let productBytes shape =
        4.0
        * (float shape.Batch * float (inputs shape + List.sum (hidden shape)) + 3.0 * float (parameters shape))

    /// The units that a text like 4-64-64-2 means, or why it means none.
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
