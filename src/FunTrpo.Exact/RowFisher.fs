/// The Fisher matrices of single rows of a batch: F_n = Σ a aᵀ for row n, kept as the vectors a.
module FunTrpo.Exact.RowFisher

open MathNet.Numerics.LinearAlgebra

/// The Fisher matrix F = Σ a aᵀ of a row, as its vectors a: the rows of RJ, where J is the Jacobian of the distribution's parameters and
/// RᵀR their metric. There are at most as many vectors as the distribution has parameters.
type Row = float[][]

let internal dot (a: float[]) (b: float[]) =
    let mutable sum = 0.0

    for i in 0 .. a.Length - 1 do
        sum <- sum + a[i] * b[i]

    sum

let internal scaled (weight: float) = Array.map (fun (x: float) -> weight * x)

/// Returns xᵀF x.
let quadratic (row: Row) x =
    let mutable sum = 0.0

    for a in row do
        let ax = dot a x
        sum <- sum + ax * ax

    sum

/// The maximum of xᵀF_n x over the rows.
let internal worst (rows: Row[]) x =
    let mutable largest = 0.0

    for row in rows do
        largest <- max largest (quadratic row x)

    largest

/// Returns F_w = Σ w_n F_n.
let fisher (weights: float[]) (rows: Row[]) =
    let size = rows |> Array.pick Array.tryHead |> Array.length
    let sum = Array2D.zeroCreate size size

    for n in 0 .. rows.Length - 1 do
        for a in rows[n] do
            for i in 0 .. size - 1 do
                for j in 0 .. size - 1 do
                    sum[i, j] <- sum[i, j] + weights[n] * a[i] * a[j]

    Matrix<float>.Build.DenseOfArray sum

let internal uniform (rows: Row[]) = Array.create rows.Length (1.0 / float rows.Length)

/// F z of a row.
let internal product (row: Row) (z: float[]) =
    let fz = Array.zeroCreate z.Length

    for a in row do
        let az = dot a z

        for i in 0 .. z.Length - 1 do
            fz[i] <- fz[i] + az * a[i]

    fz

/// The vectors √w a, with F_w = Σ (√w a)(√w a)ᵀ.
let internal weighted (weights: float[]) (rows: Row[]) =
    Array.map2 (fun w row -> row |> Array.map (Array.map (fun x -> sqrt w * x))) weights rows
    |> Array.concat

/// The largest |a_i| over all vectors, for each parameter i: its largest effect on a row.
let internal sizesOf (rows: Row[]) parameters =
    let largest = Array.zeroCreate parameters

    for row in rows do
        for a in row do
            for i in 0 .. parameters - 1 do
                largest[i] <- max largest[i] (abs a[i])

    largest
