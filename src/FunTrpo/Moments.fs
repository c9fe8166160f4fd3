namespace FunTrpo

open System

/// Running means and variances of the columns of all rows seen so far, in float64.
/// Chan, Golub, LeVeque: "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
type Moments =
    private
        {
            RowCount: float
            Means: float[]
            /// The sum of squared deviations from the mean, for each column.
            SquaredDeviationSums: float[]
            /// The columns that hold labels and not quantities. Their means and deviations are 0.
            LabelColumns: int list
        }

    /// The number of rows seen.
    member this.Count = this.RowCount

    /// The number of columns.
    member this.Width = this.Means.Length

    /// The mean of a column, or 0 if no row was seen.
    member this.Mean column = this.Means[column]

    /// The population variance of a column, or 0 if no row was seen.
    member this.Variance column = if this.RowCount > 0.0 then this.SquaredDeviationSums[column] / this.RowCount else 0.0

    /// The sum of squared deviations of a column from its mean. Together with `Count` and `Mean` it determines the moments.
    member this.SquaredDeviations column = this.SquaredDeviationSums[column]

    /// The columns that hold labels and not quantities, and that count as 0.
    member this.Labels = this.LabelColumns

module Moments =

    /// The moments of no rows with `width` columns.
    let empty width =
        { RowCount = 0.0
          Means = Array.zeroCreate width
          SquaredDeviationSums = Array.zeroCreate width
          LabelColumns = [] }

    /// The same moments, of rows in which these columns hold labels and not quantities.
    let withLabels labels (moments: Moments) =
        let withZeros numbers =
            let numbers = Array.copy numbers
            labels |> List.iter (fun column -> numbers[column] <- 0.0)
            numbers

        if List.isEmpty labels then
            moments
        else
            { moments with
                Means = withZeros moments.Means
                SquaredDeviationSums = withZeros moments.SquaredDeviationSums
                LabelColumns = labels }

    /// The moments with the given number of rows, means, and sums of squared deviations. The last two have a number for each column.
    let create (count: float) (means: seq<float>) (squaredDeviations: seq<float>) =
        { RowCount = count
          Means = Array.ofSeq means
          SquaredDeviationSums = Array.ofSeq squaredDeviations
          LabelColumns = [] }

    /// The moments of all rows that `a` or `b` has seen, with the labels of `a`. Throws an `ArgumentException` if their widths differ, unless
    /// neither has seen a row.
    let merge (a: Moments) (b: Moments) =
        let count = a.RowCount + b.RowCount

        if count = 0.0 then
            a
        else
            { RowCount = count
              Means = Array.map2 (fun ma mb -> ma + (mb - ma) * b.RowCount / count) a.Means b.Means
              SquaredDeviationSums =
                Array.init a.Width (fun i ->
                    let difference = b.Means[i] - a.Means[i]

                    a.SquaredDeviationSums[i]
                    + b.SquaredDeviationSums[i]
                    + difference * difference * a.RowCount * b.RowCount / count)
              LabelColumns = [] }
            |> withLabels a.LabelColumns

    /// Moments with the same means and variances that count as much as `count` rows.
    let withCount (count: float) (moments: Moments) =
        let factor = if moments.RowCount > 0.0 then count / moments.RowCount else 0.0

        { moments with
            RowCount = count
            SquaredDeviationSums = moments.SquaredDeviationSums |> Array.map (fun square -> factor * square) }

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

        { RowCount = float rows; Means = means; SquaredDeviationSums = squares; LabelColumns = [] }

    /// The moments of the first `width` columns of a matrix.
    let ofFirstColumns width (m: Matrix) =
        // Not by `m[row, column]`, whose checks would take a tenth of the time.
        let numbers, columns = m.Memory, m.Columns
        ofRows m.Rows width (fun row column -> float numbers.Span[row * columns + column])

    /// The moments of the columns of a matrix.
    let ofMatrix (m: Matrix) = ofFirstColumns m.Columns m

    /// The moments of one column of numbers.
    let ofNumbers (numbers: ReadOnlyMemory<float>) = ofRows numbers.Length 1 (fun row _ -> numbers.Span[row])
