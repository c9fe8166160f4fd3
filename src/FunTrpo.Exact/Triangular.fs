/// Upper triangular matrices R with RᵀR = Σ v vᵀ, given by their columns, and the solution of equations with them.
module internal FunTrpo.Exact.Triangular

open FunTrpo.Exact.RowFisher

/// R with RᵀR = Σ v vᵀ, by Householder reflections of the matrix whose rows are the v. This loses only half as many digits as forming the
/// sum and its Cholesky factor. Large rows come first, which keeps the small ones exact.
let ofVectors size (vectors: float[][]) =
    let sorted = vectors |> Array.sortByDescending (fun v -> dot v v)
    let count = max size sorted.Length

    let columns =
        Array.init size (fun j -> Array.init count (fun i -> if i < sorted.Length then sorted[i][j] else 0.0))

    for k in 0 .. size - 1 do
        let column = columns[k]
        let mutable square = 0.0

        for i in k .. count - 1 do
            square <- square + column[i] * column[i]

        let norm = if column[k] > 0.0 then -(sqrt square) else sqrt square
        let first = column[k] - norm

        // I − 2 u uᵀ / uᵀu with u = column − norm · e, for which uᵀu = −2 norm · first.
        if first <> 0.0 then
            for j in k + 1 .. size - 1 do
                let other = columns[j]
                let mutable product = first * other[k]

                for i in k + 1 .. count - 1 do
                    product <- product + column[i] * other[i]

                let factor = product / (norm * first)
                other[k] <- other[k] + factor * first

                for i in k + 1 .. count - 1 do
                    other[i] <- other[i] + factor * column[i]

        column[k] <- norm

    columns

/// R⁻ᵀv, where R is given by its columns.
let solveTransposed (r: float[][]) (v: float[]) =
    let x = Array.copy v

    for j in 0 .. x.Length - 1 do
        for i in 0 .. j - 1 do
            x[j] <- x[j] - r[j][i] * x[i]

        x[j] <- x[j] / r[j][j]

    x

/// R⁻¹v
let solve (r: float[][]) (v: float[]) =
    let x = Array.copy v

    for j in x.Length - 1 .. -1 .. 0 do
        x[j] <- x[j] / r[j][j]

        for i in 0 .. j - 1 do
            x[i] <- x[i] - r[j][i] * x[j]

    x
