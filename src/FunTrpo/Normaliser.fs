namespace FunTrpo

open System

/// Running means and variances of the columns of all rows seen so far, in float64.
/// Chan, Golub, LeVeque: "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
type Moments =
    private
        {
            Seen: float
            Means: float[]
            /// Sums of squared deviations from the means.
            Squares: float[]
        }

    /// The number of rows seen.
    member this.Count = this.Seen
    member this.Width = this.Means.Length
    member this.Mean column = this.Means[column]

    /// The population variance of a column, or 0 if no row was seen.
    member this.Variance column = if this.Seen > 0.0 then this.Squares[column] / this.Seen else 0.0

    /// The sum of squared deviations of a column from its mean. Together with `Count` and `Mean` it determines the moments.
    member this.SquaredDeviations column = this.Squares[column]

module Moments =

    /// The moments of no rows with `width` columns.
    let empty width = { Seen = 0.0; Means = Array.zeroCreate width; Squares = Array.zeroCreate width }

    /// The moments with the given count, means, and sums of squared deviations.
    let create (count: float) (means: seq<float>) (squares: seq<float>) =
        { Seen = count; Means = Array.ofSeq means; Squares = Array.ofSeq squares }

    /// The moments of all rows that `a` or `b` has seen. They must have the same width.
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

    /// Moments with the same means and variances that count as much as `count` rows.
    let withCount (count: float) (moments: Moments) =
        let factor = if moments.Seen > 0.0 then count / moments.Seen else 0.0

        { moments with
            Seen = count
            Squares = moments.Squares |> Array.map (fun square -> factor * square) }

    /// The moments of a table of `rows` rows and `width` columns with the numbers `value row column`.
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

/// How observations are transformed before they enter a network.
type Normaliser =
    /// Observations are not changed.
    | Unnormalised
    /// (x − mean) / √(variance + 10⁻¹²), clipped to ±10, with the moments of the observations that training has seen so far. Before the
    /// first observation nothing is changed.
    | Standardise of Moments

module Normaliser =

    let private clip = 10f
    let private smallest = 1e-12

    /// Writes the normalised rows of `source` to `target`. Both hold whole rows. They may be the same memory.
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

    /// The normalised observations, one row for each row of `observations`.
    let apply normaliser (observations: Matrix) =
        match normaliser with
        | Unnormalised -> observations
        | Standardise _ ->
            let values = Array.zeroCreate (Size.product observations.Rows observations.Columns)
            applyTo normaliser observations.Span (values.AsSpan())
            Matrix.adopt observations.Rows observations.Columns values

    /// The normaliser, or a normaliser with the moments of these observations if it has seen none. The first batch of training is thus
    /// normalised too.
    let orMomentsOf (observations: Matrix) normaliser =
        match normaliser with
        | Standardise moments when moments.Count = 0.0 -> Standardise(Moments.ofMatrix observations)
        | Standardise _
        | Unnormalised -> normaliser

    /// The normaliser after it has also seen these observations.
    let observe (observations: Matrix) normaliser =
        match normaliser with
        | Unnormalised -> Unnormalised
        | Standardise moments -> Standardise(Moments.merge moments (Moments.ofMatrix observations))
