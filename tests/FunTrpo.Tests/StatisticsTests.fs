/// Statistics of scores, compared with cases worked out by hand and with other ways to compute them.
module FunTrpo.Tests.StatisticsTests

open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators

let private key = Key.ofSeed 1L

let private close actual expected what = Expect.floatClose Accuracy.high actual expected what

/// A property of some integers as numbers.
let private property name (check: float[] -> unit) =
    testProperty name <| fun (NonEmptyArray(values: int[])) -> check (Array.map float values)

let private location =
    [ test "by hand" {
          // numpy.quantile and scipy.stats.trim_mean(…, 0.25) define the same.
          close (Statistics.quantile 0.25 [| 4.0; 1.0; 3.0; 2.0 |]) 1.75 "the lower quartile"
          close (Statistics.median [| 5.0; 1.0; 4.0 |]) 4.0 "odd"
          close (Statistics.median [| 5.0; 1.0; 4.0; 2.0 |]) 3.0 "even"
          close (Statistics.interquartileMean [| 100.0; 1.0; 2.0; 3.0; -50.0 |]) 2.0 "one cut at each end"
          close (Statistics.interquartileMean [| 1.0; 2.0; 6.0 |]) 3.0 "nothing cut"
          close (Statistics.interquartileMean [| 0.0; 0.0; 1.0; 2.0; 3.0; 4.0; 9.0; 9.0 |]) 2.5 "two cut"
      }

      property "a quantile is monotone, and the ends are the smallest and the largest" (fun values ->
          let quantiles = [ for i in 0..10 -> Statistics.quantile (float i / 10.0) values ]
          Expect.equal quantiles (List.sort quantiles) "monotone"
          Expect.equal (quantiles[0], quantiles[10]) (Array.min values, Array.max values) "ends")

      property "the interquartile mean lies between the values that are left, and moves with them" (fun values ->
          let iqm = Statistics.interquartileMean values
          let moved = values |> Array.map (fun value -> 2.0 * value + 3.0) |> Statistics.interquartileMean
          Expect.floatClose Accuracy.medium moved (2.0 * iqm + 3.0) "affine"
          let sorted = Array.sort values
          let cut = values.Length / 4
          Expect.isTrue (iqm >= sorted[cut] - 1e-9 && iqm <= sorted[values.Length - 1 - cut] + 1e-9) "between")

      test "nothing has no statistics" {
          for statistic in [ Statistics.median; Statistics.interquartileMean ] do
              Expect.throwsT<System.ArgumentException> (fun () -> statistic [||] |> ignore) "no values"
      } ]

let private intervals =
    [ property "an interval is the same each time, lies within the values, and is a point for equal ones" (fun values ->
          let interval = Statistics.bootstrap 0.95 200 Array.average key values
          Expect.equal interval (Statistics.bootstrap 0.95 200 Array.average key values) "the same"
          Expect.isTrue (interval.Low <= interval.High) "ordered"
          Expect.isTrue (interval.Low >= Array.min values - 1e-9 && interval.High <= Array.max values + 1e-9) "within"

          if Array.distinct values |> Array.length = 1 then
              Expect.equal (interval.Low, interval.High) (values[0], values[0]) "a point")

      // 95 % of the intervals should have the true mean: with 400 intervals, five deviations are 0.05. The percentile interval of 50 values
      // covers a little less.
      test "intervals of normal values have the true mean as often as they say" {
          let covers i =
              let values = Key.normals 50 (Key.at (int64 i) key)
              let interval = Statistics.bootstrap 0.95 400 Array.average (Key.ofSeed (int64 i)) values
              interval.Low <= 0.0 && interval.High >= 0.0

          let share = Array.init 400 covers |> Array.averageBy (fun covered -> if covered then 1.0 else 0.0)
          Expect.isTrue (abs (share - 0.94) < 0.055) $"{share}"
      }

      test "the width is that of the normal approximation" {
          let values = Key.normals 400 key
          let mean = Array.average values
          let deviation = sqrt (values |> Array.averageBy (fun value -> (value - mean) ** 2.0))
          let interval = Statistics.bootstrap 0.95 4_000 Array.average key values
          let expected = 2.0 * 1.959964 * deviation / sqrt 400.0
          Expect.isTrue (abs ((interval.High - interval.Low) / expected - 1.0) < 0.1) "width"
      }

      test "strata are resampled by themselves" {
          // Each stratum is constant, so no resample changes anything.
          let strata = [| [| 1.0; 1.0 |]; [| 5.0; 5.0; 5.0 |] |]
          let interval = Statistics.stratifiedBootstrap 0.9 50 (Array.averageBy Array.average) key strata
          Expect.equal interval { Low = 3.0; High = 3.0; Level = 0.9 } "a point"
      } ]

let private comparisons =
    [ test "by hand" {
          let strata = [| [| 1.0; 3.0 |]; [| 2.0; 2.0; 4.0; 4.0 |] |]

          Expect.equal
              (Statistics.performanceProfile [| 0.0; 2.0; 3.5; 9.0 |] strata)
              [| 1.0; 0.5; 0.25; 0.0 |]
              "profile"

          close
              (Statistics.probabilityOfImprovement [| [| 1.0; 2.0 |] |] [| [| 1.0; 0.0 |] |])
              0.875
              "three and a half of four"

          close
              (Statistics.probabilityOfImprovement [| [| 1.0 |]; [| 1.0 |] |] [| [| 0.0 |]; [| 2.0 |] |])
              0.5
              "one task each"
      }

      testProperty "the probabilities of improvement of X over Y and of Y over X sum to 1"
      <| fun (NonEmptyArray(x: int[])) (NonEmptyArray(y: int[])) ->
          let x, y = [| Array.map float x |], [| Array.map float y |]
          close (Statistics.probabilityOfImprovement x y + Statistics.probabilityOfImprovement y x) 1.0 "sum"

      property "a profile falls from 1 to 0" (fun values ->
          let low, high = Array.min values, Array.max values
          let thresholds = [| low - 1.0; low; (low + high) / 2.0; high |]
          let profile = Statistics.performanceProfile thresholds [| values |]
          Expect.equal (profile[0], profile[3]) (1.0, 0.0) "ends"
          Expect.equal profile (Array.sortDescending profile) "falls") ]

let tests =
    testList
        "statistics"
        [ testList "location" location; testList "intervals" intervals; testList "comparisons" comparisons ]
