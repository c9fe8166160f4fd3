namespace FunTrpo

open System.Collections.Immutable

module Fisher =

    /// Every k-th row, so that about `fraction` of them are left.
    let private sampleOf fraction (observations: Matrix) =
        let count = max 1 (int (round (fraction * float observations.Rows)))
        let rowOf i = int (int64 i * int64 observations.Rows / int64 count)

        Matrix.gather (ImmutableArray.CreateRange(Seq.init count rowOf)) observations

    /// v ↦ F v + damping · v at θ_old, where F is the Fisher information matrix of the policy averaged over `fraction` of
    /// the rows, and so the Hessian of the mean KL(π_old ‖ π_θ) at θ_old:
    ///
    ///     F v = (1/N) Σ_n J_nᵀ M_n J_n v
    ///
    /// J_n is the Jacobian of the distribution's parameters at row n, M_n the metric of the family there. One product is
    /// a pushforward, the metric row by row, and a pullback (Schulman et al. 2015, appendix C.1).
    let product damping fraction (surrogate: Surrogate) : Vector -> Vector =
        let family = surrogate.Policy.Family

        let linearization =
            if fraction >= 1.0 then
                surrogate.Linearization
            else
                surrogate.Policy.Network.At surrogate.Parameters (sampleOf fraction surrogate.Observations)

        let distributions = linearization.Forward
        let rows = distributions.Rows
        let width = distributions.Columns
        let weight = 1f / float32 rows

        let metric (tangents: Matrix) =
            Matrix.Create(
                rows,
                width,
                Fill(fun all ->
                    for row in 0 .. rows - 1 do
                        let product = all.Slice(row * width, width)
                        family.Metric(distributions.Row row, tangents.Row row, product)

                        for i in 0 .. width - 1 do
                            product[i] <- weight * product[i])
            )

        fun v -> linearization.Pushforward v |> metric |> linearization.Pullback |> Vector.addScaled damping v
