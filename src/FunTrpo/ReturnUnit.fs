namespace FunTrpo

open System.Collections.Immutable

/// The unit of the outputs of a critic's network f.
type ReturnUnit =
    /// V(s) = f(s)
    | Plain
    /// V(s) = mean + deviation · f(s), with the moments of the returns seen so far. V is 0 before the first return.
    | Standardised of Moments

module ReturnUnit =

    /// Returns count as equal if their deviation is below this fraction of their mean: it is rounding error. The error of a mean of n
    /// numbers is about √n · 2⁻⁵³ of it, which is 10⁻¹³ for 8 · 10⁵ rows. Returns are themselves sums of rewards, hence the factor of ten.
    let private rounding = 1e-12

    /// The return unit before any return was seen.
    let unknown = Standardised(Moments.empty 1)

    /// The mean of the returns seen; 0 for `Plain`.
    let mean unit =
        match unit with
        | Plain -> 0.0
        | Standardised moments -> moments.Mean 0

    /// The standard deviation of the returns seen, or 0 if they were all equal; 1 for `Plain`.
    let deviation unit =
        match unit with
        | Plain -> 1.0
        | Standardised moments ->
            let deviation = sqrt (moments.Variance 0)
            if deviation > rounding * abs (moments.Mean 0) then deviation else 0.0

    /// Converts an output f of the network to a value V.
    let toReturn unit =
        let mean, deviation = mean unit, deviation unit
        fun output -> mean + deviation * output

    /// Converts a value V to an output f of the network. The deviation must not be 0.
    let ofReturn unit =
        let mean, deviation = mean unit, deviation unit
        fun value -> (value - mean) / deviation

    /// If one deviation is larger than another by more than this factor, the returns have another scale.
    let private otherScale = 1000.0

    /// The standard deviation of the discounted sums of the rewards that follow each row in its episode, up to the end of the batch.
    let deviationOfDiscountedRewards gamma (rewards: ImmutableArray<float>) (ends: ImmutableArray<End>) =
        let mutable sum = 0.0
        let mutable average = 0.0
        let mutable squares = 0.0

        // Welford's recurrence, from the last row to the first.
        for t in rewards.Length - 1 .. -1 .. 0 do
            sum <- rewards[t] + (if ends[t] = End.Continues then gamma * sum else 0.0)
            let difference = sum - average
            average <- average + difference / float (rewards.Length - t)
            squares <- squares + difference * (sum - average)

        sqrt (squares / float rewards.Length)

    /// The return unit to be used on a batch. If the unit is more than a thousand times larger than the rewards of the batch, as after an
    /// enormous reward, the result is `unknown`, so that V is 0. Otherwise bootstraps would keep the large values for a hundred iterations.
    let resetIfTooLarge gamma (rewards: ImmutableArray<float>) (ends: ImmutableArray<End>) unit =
        let before = deviation unit

        if unit = Plain || before = 0.0 then
            unit
        else
            let now = deviationOfDiscountedRewards gamma rewards ends
            if now > 0.0 && before > otherScale * now then unknown else unit

    /// The exponent of the weights iterationᵑ with which batches count in the return unit.
    let private decay = 3.0

    /// The return unit after the returns of a batch.
    ///
    /// The mean and the deviation average over all batches with polynomial decay (Shamir and Zhang 2013, "Stochastic gradient descent for
    /// non-smooth optimization", section 3.2): about the last quarter of the batches counts. The first batches, in which V still approaches
    /// its level, are forgotten, and later changes are small. The average starts again from the batch if its deviation is more than a
    /// thousand times larger: at the first returns, and at an enormous reward.
    let update (returns: ImmutableArray<float>) unit =
        match unit with
        | Plain -> Plain
        | Standardised earlier ->
            let batch = Moments.ofNumbers (returns.AsMemory())
            let before = deviation unit

            let moments =
                if before = 0.0 || deviation (Standardised batch) > otherScale * before then
                    batch
                else
                    Moments.merge (Moments.withCount (earlier.Count / (decay + 1.0)) earlier) batch
                    |> Moments.withCount (earlier.Count + batch.Count)

            Standardised moments
