namespace FunTrpo

open System

/// Running means and variances of the columns of the rows seen so far.
/// Chan, Golub, LeVeque: "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
type Moments =
    private
        {
            Seen: float
            Means: float[]
            /// Sums of squared deviations from the means.
            Squares: float[]
        }

    member this.Count = this.Seen
    member this.Width = this.Means.Length
    member this.Mean column = this.Means[column]

    /// The population variance; 0 before anything was seen.
    member this.Variance column = if this.Seen > 0.0 then this.Squares[column] / this.Seen else 0.0

    /// The sum of squared deviations from the mean: with `Count` and `Mean`, all that the moments are.
    member this.SquaredDeviations column = this.Squares[column]

module Moments =

    let empty width = { Seen = 0.0; Means = Array.zeroCreate width; Squares = Array.zeroCreate width }

    /// The moments with this count, these means and these sums of squared deviations.
    let create (count: float) (means: seq<float>) (squares: seq<float>) =
        { Seen = count; Means = Array.ofSeq means; Squares = Array.ofSeq squares }

    /// The moments of all that either has seen.
    let merge (a: Moments) (b: Moments) =
        let count = a.Seen + b.Seen

        if count = 0.0 then
            a
        else
            { Seen = count
              Means = Array.map2 (fun ma mb -> ma + (mb - ma) * b.Seen / count) a.Means b.Means
              Squares =
                Array.init a.Width (fun i ->
                    let difference = b.Means[i] - a.Means[i]
                    a.Squares[i] + b.Squares[i] + difference * difference * a.Seen * b.Seen / count) }

    /// The moments of the columns of `rows` rows, whose numbers are `value row column`.
    let inline private ofRows rows width ([<InlineIfLambda>] value: int -> int -> float) =
        let means = Array.zeroCreate width
        let squares = Array.zeroCreate width

        for row in 0 .. rows - 1 do
            for column in 0 .. width - 1 do
                means[column] <- means[column] + value row column / float rows

        for row in 0 .. rows - 1 do
            for column in 0 .. width - 1 do
                let deviation = value row column - means[column]
                squares[column] <- squares[column] + deviation * deviation

        { Seen = float rows; Means = means; Squares = squares }

    /// The moments of the columns of a matrix.
    let ofMatrix (m: Matrix) = ofRows m.Rows m.Columns (fun row column -> float m[row, column])

    /// The moments of one column of numbers.
    let ofNumbers (numbers: ReadOnlyMemory<float>) = ofRows numbers.Length 1 (fun row _ -> numbers.Span[row])

/// What is done to observations before a network sees them.
type Normaliser =
    /// They are taken as they are.
    | Unnormalised
    /// (x − mean) / √(variance + 10⁻¹²), clipped to ±10, with the moments of what training has seen so far.
    | Standardise of Moments

module Normaliser =

    let private clip = 10f
    let private smallest = 1e-12

    /// Writes the normalised rows of `source` to `target`; both hold whole rows.
    let applyTo (normaliser: Normaliser) (source: ReadOnlySpan<float32>) (target: Span<float32>) =
        match normaliser with
        | Standardise moments when moments.Count > 0.0 ->
            let width = moments.Width

            for column in 0 .. width - 1 do
                let mean = moments.Mean column
                let scale = 1.0 / sqrt (moments.Variance column + smallest)
                let mutable i = column

                while i < source.Length do
                    target[i] <- Math.Clamp(float32 ((float source[i] - mean) * scale), -clip, clip)
                    i <- i + width
        | Standardise _
        | Unnormalised -> source.CopyTo target

    /// The observations, normalised row by row.
    let apply normaliser (observations: Matrix) =
        match normaliser with
        | Unnormalised -> observations
        | Standardise _ ->
            let values = Array.zeroCreate (Size.product observations.Rows observations.Columns)
            applyTo normaliser observations.Span (values.AsSpan())
            Matrix.adopt observations.Rows observations.Columns values

    /// The normaliser itself, or, where it has seen nothing yet, the one that these observations make: a first batch is
    /// seen as the second will be.
    let orMomentsOf (observations: Matrix) normaliser =
        match normaliser with
        | Standardise moments when moments.Count = 0.0 -> Standardise(Moments.ofMatrix observations)
        | Standardise _
        | Unnormalised -> normaliser

    /// The normaliser that has also seen these observations.
    let observe (observations: Matrix) normaliser =
        match normaliser with
        | Unnormalised -> Unnormalised
        | Standardise moments -> Standardise(Moments.merge moments (Moments.ofMatrix observations))
