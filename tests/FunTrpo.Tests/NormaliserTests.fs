module FunTrpo.Tests.NormaliserTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators

/// A block of observations, whose columns have offsets and scales of their own.
let private blocks width =
    Gen.map3
        (fun seed rows offset ->
            let key = Key.ofSeed seed

            Matrix.init rows width (fun row column ->
                let scale = 10.0 ** float (column % 5 - 2)
                float32 (float offset * scale + scale * Key.normal (Key.at (int64 (row * width + column)) key))))
        seeds
        (Gen.choose (1, 40))
        (Gen.choose (-30, 30))

let private manyBlocks =
    Gen.choose (1, 5)
    |> Gen.bind (fun width -> Gen.choose (1, 6) |> Gen.bind (fun count -> Gen.listOfLength count (blocks width)))
    |> Arb.fromGen

let private oneBlock = Gen.choose (1, 5) |> Gen.bind blocks |> Arb.fromGen

let private column c (m: Matrix) = Array.init m.Rows (fun row -> float m[row, c])

let private stack (ms: Matrix list) =
    let rows = ms |> List.collect (fun m -> List.init m.Rows (fun r -> m.Row(r).ToArray()))
    Matrix.ofRows (Array.ofList rows)

let private meanAndVariance (xs: float[]) =
    let mean = Array.average xs
    mean, xs |> Array.averageBy (fun x -> (x - mean) ** 2.0)

let private close a b = abs (a - b) <= 1e-9 * (1e-3 + max (abs a) (abs b))

let private sameMoments (a: Moments) (b: Moments) =
    a.Count = b.Count
    && a.Width = b.Width
    && List.forall
        (fun c ->
            close (a.Mean c) (b.Mean c)
            && close (a.Variance c) (b.Variance c)
            && close (a.SquaredDeviations c) (b.SquaredDeviations c))
        [ 0 .. a.Width - 1 ]

let private ofBlocks (ms: Matrix list) = ms |> List.map Moments.ofMatrix |> List.reduce Moments.merge

let private moments =
    testList
        "moments"
        [ testProperty "of a matrix are the mean and the population variance of each column"
          <| Prop.forAll oneBlock (fun m ->
              let moments = Moments.ofMatrix m

              moments.Count = float m.Rows
              && moments.Width = m.Columns
              && List.forall
                  (fun c ->
                      let mean, variance = meanAndVariance (column c m)

                      close (moments.Mean c) mean
                      && close (moments.Variance c) variance
                      && close (moments.SquaredDeviations c) (variance * float m.Rows))
                  [ 0 .. m.Columns - 1 ])

          testProperty "merged are those of the concatenation"
          <| Prop.forAll manyBlocks (fun ms -> sameMoments (ofBlocks ms) (Moments.ofMatrix (stack ms)))

          testProperty "merge in any order and any grouping alike, up to rounding"
          <| Prop.forAll manyBlocks (fun ms ->
              let parts = List.map Moments.ofMatrix ms
              let forwards = List.reduce Moments.merge parts

              sameMoments forwards (List.reduce Moments.merge (List.rev parts))
              && sameMoments forwards (List.reduceBack Moments.merge parts))

          testProperty "merged with nothing are as they were"
          <| Prop.forAll oneBlock (fun m ->
              let moments = Moments.ofMatrix m
              let nothing = Moments.empty m.Columns

              sameMoments moments (Moments.merge moments nothing)
              && sameMoments moments (Moments.merge nothing moments)
              && Moments.merge nothing nothing = nothing)

          testProperty "keep their precision far from zero: a variance of 1 around 10⁶"
          <| Prop.forAll (Arb.fromGen (Gen.choose (2, 30))) (fun count ->
              // ±1 around 10⁶, a block at a time: the sum of squares itself would not have the digits.
              let block = Matrix.init 2 1 (fun row _ -> if row = 0 then 999_999f else 1_000_001f)
              let moments = ofBlocks (List.replicate count block)
              abs (moments.Variance 0 - 1.0) < 1e-9 && moments.Mean 0 = 1e6)

          testProperty "are made again from their count, means and squared deviations"
          <| Prop.forAll oneBlock (fun m ->
              let moments = Moments.ofMatrix m
              let columns = [ 0 .. m.Columns - 1 ]

              Moments.create moments.Count (List.map moments.Mean columns) (List.map moments.SquaredDeviations columns) =
                  moments)

          testProperty "of numbers are those of a matrix of one column"
          <| Prop.forAll oneBlock (fun m ->
              let numbers = column 0 m
              let one = Matrix.init m.Rows 1 (fun row _ -> m[row, 0])
              sameMoments (Moments.ofNumbers (ReadOnlyMemory numbers)) (Moments.ofMatrix one)) ]

let private normalising =
    testList
        "normaliser"
        [ testProperty "Unnormalised changes nothing, and never will"
          <| Prop.forAll oneBlock (fun m ->
              Normaliser.apply Unnormalised m = m && Normaliser.observe m Unnormalised = Unnormalised)

          testProperty "before anything was seen, observations are as they are"
          <| Prop.forAll oneBlock (fun m -> Normaliser.apply (Standardise(Moments.empty m.Columns)) m = m)

          testProperty "what it has seen gets mean 0 and variance 1"
          <| Prop.forAll oneBlock (fun m ->
              let normaliser = Normaliser.observe m (Standardise(Moments.empty m.Columns))
              let normalised = Normaliser.apply normaliser m

              List.forall
                  (fun c ->
                      let mean, variance = meanAndVariance (column c normalised)
                      let _, before = meanAndVariance (column c m)
                      // v / (v + 10⁻¹²): float32 keeps seven digits of it.
                      abs mean < 1e-5 && abs (variance - before / (before + 1e-12)) < 1e-4)
                  [ 0 .. m.Columns - 1 ])

          testProperty "is (x − mean) / √(variance + 10⁻¹²), clipped to ±10, for any x"
          <| Prop.forAll (Gen.zip (Arb.toGen oneBlock) (Gen.choose (-3000, 3000)) |> Arb.fromGen) (fun (m, n) ->
              let moments = Moments.ofMatrix m
              let x = float32 n / 10f

              let normalised = Normaliser.apply (Standardise moments) (Matrix.init 1 m.Columns (fun _ _ -> x))

              List.forall
                  (fun c ->
                      let expected =
                          Math.Clamp((float x - moments.Mean c) / sqrt (moments.Variance c + 1e-12), -10.0, 10.0)

                      abs (float normalised[0, c] - expected) <= 1e-6 * max 1.0 (abs expected)
                      && abs normalised[0, c] <= 10f)
                  [ 0 .. m.Columns - 1 ])

          testProperty "an infinite observation is not made finite silently into a number beyond the clip"
          <| Prop.forAll oneBlock (fun m ->
              let normalised =
                  Normaliser.apply
                      (Standardise(Moments.ofMatrix m))
                      (Matrix.init 1 m.Columns (fun _ _ -> Single.PositiveInfinity))

              List.forall (fun c -> normalised[0, c] = 10f) [ 0 .. m.Columns - 1 ])

          testProperty "a column that never varies becomes 0, up to rounding"
          <| Prop.forAll (Gen.zip (Gen.choose (1, 30)) (Gen.choose (-1000, 1000)) |> Arb.fromGen) (fun (rows, n) ->
              let m = Matrix.init rows 2 (fun _ _ -> float32 n)
              let normalised = Normaliser.apply (Standardise(Moments.ofMatrix m)) m
              Vector.toArray (Matrix.flatten normalised) |> Array.forall (fun x -> abs x < 1e-6f))

          testProperty "observing block by block is observing all, up to rounding"
          <| Prop.forAll manyBlocks (fun ms ->
              let start = Standardise(Moments.empty ms.Head.Columns)
              let all = stack ms

              match List.fold (fun seen m -> Normaliser.observe m seen) start ms, Normaliser.observe all start with
              | Standardise inBlocks, Standardise atOnce -> sameMoments inBlocks atOnce
              | _ -> false)

          testProperty "a row is normalised alike alone and among others"
          <| Prop.forAll oneBlock (fun m ->
              let normaliser = Standardise(Moments.ofMatrix m)
              let together = Normaliser.apply normaliser m

              List.forall
                  (fun row -> Normaliser.apply normaliser (m.SliceRows(row, 1)) = together.SliceRows(row, 1))
                  [ 0 .. m.Rows - 1 ]) ]

let tests = testList "Normaliser" [ moments; normalising ]
