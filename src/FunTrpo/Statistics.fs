namespace FunTrpo

open System

/// A confidence interval of a statistic.
[<Struct>]
type Interval = { Low: float; High: float; Level: float }

/// Statistics of returns and scores that are robust with few runs (Agarwal et al. 2021, "Deep reinforcement learning at the edge of the
/// statistical precipice"). All functions throw an `ArgumentException` if there are no values.
module Statistics =

    let private requireValues (values: float[]) =
        if values.Length = 0 then
            invalidArg (nameof values) "there are no values"

    /// The p-quantile, interpolated linearly between the sorted values.
    let quantile (p: float) (values: float[]) =
        requireValues values
        let sorted = Array.sort values
        let place = Math.Clamp(p, 0.0, 1.0) * float (sorted.Length - 1)
        let below = int (floor place)
        let above = min (below + 1) (sorted.Length - 1)
        sorted[below] + (place - float below) * (sorted[above] - sorted[below])

    /// The median.
    let median values = quantile 0.5 values

    /// The interquartile mean (IQM): the mean of the values without the lowest and the highest ⌊n/4⌋. It depends less on outliers than the mean,
    /// and less on single values than the median.
    let interquartileMean (values: float[]) =
        requireValues values
        let cut = values.Length / 4
        Array.sort values |> Array.skip cut |> Array.take (values.Length - 2 * cut) |> Array.average

    /// As many values, drawn with replacement.
    let private resample (values: float[]) key =
        Key.uniforms values.Length key |> Array.map (fun u -> values[int (u * float values.Length)])

    /// The stratified bootstrap's percentile interval of a statistic of several samples: every sample, such as the runs of one task, is
    /// resampled by itself. `level` is the confidence, such as 0.95, and `resamples` the number of resamples.
    let stratifiedBootstrap level resamples (statistic: float[][] -> float) (key: Key) (strata: float[][]) =
        strata |> Array.iter requireValues

        if not (level > 0.0 && level < 1.0) || resamples < 1 then
            invalidArg (nameof level) $"a confidence of {level} with {resamples} resamples gives no interval"

        let once i =
            let key = Key.at (int64 i) key

            strata
            |> Array.mapi (fun stratum values -> resample values (Key.at (int64 stratum) key))
            |> statistic

        let found = Parallel.map Environment.ProcessorCount resamples once

        { Low = quantile ((1.0 - level) / 2.0) found
          High = quantile ((1.0 + level) / 2.0) found
          Level = level }

    /// The bootstrap's percentile interval of a statistic of one sample.
    let bootstrap level resamples (statistic: float[] -> float) key (values: float[]) =
        stratifiedBootstrap level resamples (fun strata -> statistic strata[0]) key [| values |]

    /// The share of the values above each threshold, averaged over the samples: the performance profile.
    let performanceProfile (thresholds: float[]) (strata: float[][]) =
        strata |> Array.iter requireValues

        let shareAbove threshold (values: float[]) =
            float (values |> Array.sumBy (fun value -> if value > threshold then 1 else 0))
            / float values.Length

        thresholds |> Array.map (fun threshold -> strata |> Array.averageBy (shareAbove threshold))

    /// The probability that a run of X is better than a run of Y on the same task, where equal runs count half, averaged over the tasks (the
    /// Mann–Whitney U statistic divided by the number of pairs).
    let probabilityOfImprovement (x: float[][]) (y: float[][]) =
        Array.append x y |> Array.iter requireValues

        let share (xs: float[]) (ys: float[]) =
            Array.allPairs xs ys
            |> Array.averageBy (fun (a, b) ->
                if a > b then 1.0
                elif a = b then 0.5
                else 0.0)

        Array.map2 share x y |> Array.average

    /// The number of resamples of the intervals that the library reports.
    let standardResamples = 10_000

    /// The 95 % interval of a statistic of several samples. The resamples depend on the values alone.
    let standardInterval (statistic: float[][] -> float) (strata: float[][]) =
        stratifiedBootstrap 0.95 standardResamples statistic (Key.ofSeed 0L |> Key.named "bootstrap") strata

    /// The 95 % interval of the mean, as `standardInterval`.
    let meanInterval (values: float[]) = standardInterval (Array.head >> Array.average) [| values |]

    /// The 95 % interval of the interquartile mean of the values of all samples together, as `standardInterval`.
    let interquartileMeanInterval (strata: float[][]) = standardInterval (Array.concat >> interquartileMean) strata
