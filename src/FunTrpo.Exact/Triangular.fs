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

/// Turns two rows by an angle: c and s are its cosine and sine.
let private turn c s (p: float[]) (q: float[]) =
    for i in 0 .. p.Length - 1 do
        let x, y = p[i], q[i]
        p[i] <- c * x - s * y
        q[i] <- s * x + c * y

/// Turns the rows until their first `size` numbers are orthogonal, by Jacobi's rotations (Hestenes 1958). These converge for any numbers.
/// Each row keeps as many correct digits as it has, also if the rows differ by many orders of magnitude.
let private orthogonalise size (rows: float[][]) =
    let heads (p: float[]) (q: float[]) =
        let mutable sum = 0.0

        for i in 0 .. size - 1 do
            sum <- sum + p[i] * q[i]

        sum

    let mutable sweeps, isTurning = 0, true

    while isTurning && sweeps < 60 do
        isTurning <- false
        sweeps <- sweeps + 1

        for i in 0 .. rows.Length - 2 do
            for j in i + 1 .. rows.Length - 1 do
                let a, b, product = heads rows[i] rows[i], heads rows[j] rows[j], heads rows[i] rows[j]

                if abs product > 1e-15 * sqrt a * sqrt b then
                    isTurning <- true
                    let zeta = (b - a) / (2.0 * product)
                    let tangent = (if zeta < 0.0 then -1.0 else 1.0) / (abs zeta + sqrt (1.0 + zeta * zeta))
                    let c = 1.0 / sqrt (1.0 + tangent * tangent)
                    turn c (c * tangent) rows[i] rows[j]

    let sizes = rows |> Array.map (fun row -> sqrt (heads row row))
    let largest = Array.fold max 0.0 sizes
    Array.zip rows sizes |> Array.filter (fun (_, rowSize) -> rowSize > 1e-13 * largest)

/// The first `size` rows of R for vectors of `length` numbers.
let private rowsOf size length vectors =
    let columns = ofVectors length vectors
    Array.init size (fun i -> Array.init length (fun j -> if i <= j then columns[j][i] else 0.0))

/// The axes of Σ v vᵀ, each with the square root of its eigenvalue, without those that are 0 up to rounding.
let axes size (vectors: float[][]) =
    rowsOf size size vectors
    |> orthogonalise size
    |> Array.map (fun (row, rowSize) -> row |> Array.map (fun x -> x / rowSize), rowSize)

/// The smallest x with the least Σ (v·x − b)² + damping ‖x‖², for vectors v that are followed by their b. To form Σ b v and divide by
/// eigenvalues would lose all digits of x along an axis whose eigenvalue is 10⁻¹⁶ of the largest. Here b is turned together with the rows
/// of R.
let leastSquares damping size (vectors: float[][]) =
    rowsOf size (size + 1) vectors
    |> orthogonalise size
    |> Array.fold
        (fun (x: float[]) (row, rowSize) ->
            let share = row[size] / (rowSize * rowSize + damping)
            Array.init size (fun i -> x[i] + share * row[i]))
        (Array.zeroCreate size)
