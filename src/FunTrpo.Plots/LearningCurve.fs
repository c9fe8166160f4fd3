/// The learning curves of several runs as one: interquartile means over the runs, with bootstrap intervals, at common numbers of steps.
module internal FunTrpo.Plots.LearningCurve

open System
open FunTrpo

/// The mean return of a run at rising numbers of environment steps.
type Curve = (float * float)[]

/// The interquartile mean of the curves at each of these steps, and its 95 % interval.
type Aggregate = { Steps: float[]; Mean: float[]; Low: float[]; High: float[] }

/// The number of steps at which curves are compared.
let resolution = 100

/// The number of resamples of an interval. It is drawn to within a line's width with fewer than a number that is printed.
let private resamples = 1000

/// The curve in the progress of a run: the mean return of the last 100 finished episodes after each iteration, from the first that has one.
let ofProgress progress : Curve =
    Array.zip (Progress.numbers "steps" progress) (Progress.numbers "meanReturn" progress)
    |> Array.filter (fun (_, value) -> Double.IsFinite value)

/// The value of a curve at a number of steps: that of its last point not behind them. There must be such a point.
let valueAt steps (curve: Curve) = curve |> Array.findBack (fun (at, _) -> at <= steps) |> snd

/// Evenly spaced steps at which all curves have values: from the latest first point to the earliest last point. None if a curve has no point,
/// or if one ends before another begins.
let commonSteps count (curves: Curve[]) =
    if curves.Length = 0 || curves |> Array.exists Array.isEmpty then
        [||]
    else
        let first = curves |> Array.map (Array.head >> fst) |> Array.max
        let last = curves |> Array.map (Array.last >> fst) |> Array.min

        if first > last then
            [||]
        else
            Array.init count (fun i -> first + (last - first) * float i / float (count - 1))
            |> Array.map (fun steps -> min last (Math.Round steps))
            |> Array.distinct

/// The interquartile mean of the curves, where all of them have values.
let aggregate (curves: Curve[]) =
    let steps = commonSteps resolution curves
    let values = steps |> Array.map (fun step -> curves |> Array.map (valueAt step))

    // The same key at every step: a resample is one choice of whole runs.
    let interval =
        Statistics.bootstrap 0.95 resamples Statistics.interquartileMean (Key.ofSeed 0L |> Key.named "curve")

    let intervals = values |> Array.map interval

    { Steps = steps
      Mean = values |> Array.map Statistics.interquartileMean
      Low = intervals |> Array.map _.Low
      High = intervals |> Array.map _.High }
