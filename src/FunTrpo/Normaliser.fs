namespace FunTrpo

open System

/// How observations are transformed before they enter a network.
type Normaliser =
    /// Observations are not changed.
    | Unnormalised
    /// (x − mean) / √(variance + 10⁻¹²), clipped to ±10, with the moments of the observations that training has seen so far. The root is at
    /// least 10⁻¹² |mean|. Before the first observation nothing is changed, and columns of labels never are.
    | Standardise of Moments

module Normaliser =

    let internal clip = 10f

    /// Added to each variance, so that a column that never varies is not divided by 0.
    let private epsilon = 1e-12

    /// A deviation below this fraction of the mean is rounding error: different float32 differ by 6 · 10⁻⁸ of themselves at least. Without
    /// this limit, a column that is always 10¹² would be divided by the rounding error of its mean.
    let private rounding = 1e-12

    /// The factor of a column's deviations from its mean.
    let internal scale (moments: Moments) column =
        1.0 / max (sqrt (moments.Variance column + epsilon)) (rounding * abs (moments.Mean column))

    /// Writes the normalised rows of `source` to `target`. Both hold whole rows of `width` numbers without gaps. The numbers after those that
    /// the moments are of, a mask, are not changed. Both may be the same memory. Throws if `target` is shorter than `source`.
    let applyToRows width (normaliser: Normaliser) (source: ReadOnlySpan<float32>) (target: Span<float32>) =
        match normaliser with
        | Standardise moments when moments.Count > 0.0 ->
            if moments.Width < width then
                source.CopyTo target

            for column in moments.Labels do
                for i in column..width .. source.Length - 1 do
                    target[i] <- source[i]

            for column in 0 .. moments.Width - 1 do
                let mean = moments.Mean column
                let scale = scale moments column
                let mutable i = if List.contains column moments.Labels then source.Length else column

                while i < source.Length do
                    target[i] <- Math.Clamp(float32 ((float source[i] - mean) * scale), -clip, clip)
                    i <- i + width
        | Standardise _
        | Unnormalised -> source.CopyTo target

    /// Does the same with rows of the width of the moments.
    let applyTo (normaliser: Normaliser) (source: ReadOnlySpan<float32>) (target: Span<float32>) =
        match normaliser with
        | Standardise moments -> applyToRows moments.Width normaliser source target
        | Unnormalised -> source.CopyTo target

    /// The normalised observations, one row for each row of `observations`. The normaliser must be for their width without a mask.
    let apply normaliser (observations: Matrix) =
        match normaliser with
        | Unnormalised -> observations
        | Standardise _ ->
            let values = Array.zeroCreate (Size.product observations.Rows observations.Columns)
            applyToRows observations.Columns normaliser observations.Span (values.AsSpan())
            Matrix.adopt observations.Rows observations.Columns values

    /// The normaliser, or a normaliser with the moments of these observations if it has seen none. The first batch of training is thus
    /// normalised too, although its rollout had no moments and acted on raw observations. This approximation is deliberate: π_old of the first
    /// update is the policy that goes on, and not the one that acted.
    let orMomentsOf (observations: Matrix) normaliser =
        match normaliser with
        | Standardise moments when moments.Count = 0.0 ->
            Standardise(Moments.ofFirstColumns moments.Width observations |> Moments.withLabels moments.Labels)
        | Standardise _
        | Unnormalised -> normaliser

    /// The normaliser with the moments of no observations of this space. Rows of indices alone have nothing to normalise.
    let start space =
        if Space.hasIndices space then
            Unnormalised
        else
            let labels = Space.labels space
            Standardise(Moments.empty (Space.width (Space.observed space)) |> Moments.withLabels labels)

    /// The normaliser after it has also seen these observations. Throws an `ArgumentException` if it is for another width.
    let observe (observations: Matrix) normaliser =
        match normaliser with
        | Unnormalised -> Unnormalised
        | Standardise moments -> Standardise(Moments.merge moments (Moments.ofFirstColumns moments.Width observations))
