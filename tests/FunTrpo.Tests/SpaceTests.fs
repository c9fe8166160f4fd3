module FunTrpo.Tests.SpaceTests

open System
open System.Globalization
open Expecto
open FsCheck
open FsCheck.FSharp
open MathNet.Numerics.Distributions
open FunTrpo
open FunTrpo.Tests.Generators

/// A finite number of a readable size, now and then a very large or a very small one.
let private finite =
    Gen.frequency
        [ 6, Gen.choose (-10_000, 10_000) |> Gen.map (fun n -> float32 n / 100f)
          1, Gen.elements [ 0f; -0f; 1e-40f; 1e30f; -1e30f; Single.MaxValue; Single.MinValue ] ]

let private interval =
    let bounded = Gen.map2 (fun a b -> min a b, max a b) finite finite

    Gen.frequency
        [ 4, bounded
          1, bounded |> Gen.map (fun (low, _) -> low, Single.PositiveInfinity)
          1, bounded |> Gen.map (fun (_, high) -> Single.NegativeInfinity, high)
          1, Gen.constant (Single.NegativeInfinity, Single.PositiveInfinity) ]

let private boxes =
    Gen.choose (1, 5)
    |> Gen.bind (fun count -> Gen.listOfLength count interval)
    |> Gen.map (fun bounds ->
        Space.between (bounds |> Seq.map fst |> Vector.ofSeq) (bounds |> Seq.map snd |> Vector.ofSeq))

let private counted =
    let count = Gen.choose (1, 30)

    Gen.oneof
        [ Gen.map Discrete count
          Gen.choose (1, 5) |> Gen.bind (fun length -> Gen.listOfLength length count) |> Gen.map MultiDiscrete
          Gen.choose (1, 6) |> Gen.map MultiBinary ]

let private masked =
    Gen.zip
        (Gen.oneof [ boxes; counted ])
        (Gen.choose (1, 3) |> Gen.bind (fun length -> Gen.listOfLength length (Gen.choose (1, 4))))
    |> Gen.map Masked

let private withParts = parts (Gen.oneof [ boxes; counted; parts (Gen.oneof [ boxes; counted ]) ])

let private spaces = Gen.oneof [ boxes; counted; masked; withParts ]

let private keys = Gen.map Key.ofSeed seeds

/// A space, and an element of it.
let private elements spaces = Gen.map2 (fun space key -> space, Space.sample space key) spaces keys |> Arb.fromGen

let private coordinate =
    Gen.frequency [ 5, finite; 1, Gen.elements [ Single.PositiveInfinity; Single.NegativeInfinity ] ]

/// A box, and any point that need not be inside.
let private boxesAndPoints =
    boxes
    |> Gen.bind (fun box ->
        Gen.listOfLength (Space.width box) coordinate |> Gen.map (fun point -> box, Vector.ofSeq point))
    |> Arb.fromGen

let private clip space (row: Vector) = Vector.Create(row.Length, Fill(fun clipped -> Space.clip space row.Span clipped))

let private contains space (row: Vector) = Space.contains space row.Span

let private replace i x (row: Vector) = Vector.init row.Length (fun j -> if j = i then x else row[j])

/// Each coordinate of a row, replaced.
let private everyReplacement x (row: Vector) = List.init row.Length (fun i -> replace i x row)

let private sampling =
    testList
        "sample"
        [ testProperty "is an element of the space, of its width, and the same for the same key"
          <| Prop.forAll (Gen.zip spaces keys |> Arb.fromGen) (fun (space, key) ->
              let row = Space.sample space key

              contains space row && row.Length = Space.width space && row = Space.sample space key)

          for count in [ 2; 5; 17 ] do
              test $"takes each of {count} alternatives equally often" {
                  let n = 5_000

                  let draw i =
                      let row = Space.sample (Discrete count) (Key.at (int64 i) (Key.ofSeed 1L))
                      int row[0]

                  let draws = Array.init n draw

                  let expected = float n / float count
                  let counts = Array.init count (fun c -> draws |> Seq.filter ((=) c) |> Seq.length)
                  let statistic = counts |> Seq.sumBy (fun c -> (float c - expected) ** 2.0 / expected)
                  Expect.isLessThan statistic (ChiSquared.InvCDF(float (count - 1), 0.999)) "χ²"
              }

          test "is uniform between finite bounds, whose mean and variance it has" {
              let n = 5_000

              let draw i =
                  let row = Space.sample (Space.box 1 -1.0 3.0) (Key.ofSeed (int64 i))
                  float row[0]

              let draws = Array.init n draw
              let mean = Array.average draws
              let variance = draws |> Array.averageBy (fun x -> (x - mean) ** 2.0)
              Expect.floatClose { absolute = 0.1; relative = 0.0 } mean 1.0 "mean"
              Expect.floatClose { absolute = 0.1; relative = 0.0 } variance (16.0 / 12.0) "variance"
          }

          test "draws the coordinates independently" {
              let n = 5_000
              let draws = Array.init n (fun i -> Space.sample (Space.box 2 0.0 1.0) (Key.ofSeed (int64 i)))

              let r =
                  MathNet.Numerics.Statistics.Correlation.Pearson(
                      draws |> Seq.map (fun row -> float row[0]),
                      draws |> Seq.map (fun row -> float row[1])
                  )

              Expect.isLessThan (abs r) (5.0 / sqrt (float n)) "correlation"
          } ]

let private clipping =
    testList
        "clip"
        [ testProperty "lands inside the box"
          <| Prop.forAll boxesAndPoints (fun (box, point) -> contains box (clip box point))

          testProperty "is idempotent: clip(clip(x)) = clip(x)"
          <| Prop.forAll boxesAndPoints (fun (box, point) ->
              let once = clip box point
              clip box once = once)

          testProperty "is the identity on every element of any space"
          <| Prop.forAll (elements spaces) (fun (space, row) ->
              // As numbers, where −0 = 0.
              Vector.toArray (clip space row) = Vector.toArray row)

          testProperty "gives the nearest point of the box: |clip(x) − x| ≤ |y − x| for any y inside"
          <| Prop.forAll (Gen.zip (Arb.toGen boxesAndPoints) keys |> Arb.fromGen) (fun ((box, point), key) ->
              let clipped = clip box point
              let other = Space.sample box key

              Seq.init point.Length (fun i ->
                  abs (float clipped[i] - float point[i]), abs (float other[i] - float point[i]))
              // ∞ − ∞, where an unbounded box holds the point itself.
              |> Seq.forall (fun (nearest, distance) -> Double.IsNaN nearest || nearest <= distance))

          testProperty "does not hide a NaN"
          <| Prop.forAll (elements boxes) (fun (box, row) ->
              everyReplacement Single.NaN row |> List.forall (fun bad -> not (contains box (clip box bad)))) ]

let private membership =
    testList
        "contains"
        [ testProperty "refuses rows that are too long or too short"
          <| Prop.forAll (elements spaces) (fun (space, row) ->
              not (contains space (Vector.concat [ row; row.Slice(0, 1) ]))
              && not (contains space (row.Slice(0, row.Length - 1))))

          testProperty "refuses NaN in any place"
          <| Prop.forAll (elements spaces) (fun (space, row) ->
              everyReplacement Single.NaN row |> List.forall (contains space >> not))

          testProperty "holds the corners of a box, and nothing just beyond a finite one"
          <| Prop.forAll (Arb.fromGen boxes) (fun box ->
              match box with
              | Box(low, high, _) ->
                  contains box low
                  && contains box high
                  && List.init low.Length id
                     |> List.forall (fun i ->
                         (Single.IsInfinity low[i] || not (contains box (replace i (MathF.BitDecrement low[i]) low)))
                         && (Single.IsInfinity high[i]
                             || not (contains box (replace i (MathF.BitIncrement high[i]) high))))
              | _ -> false)

          testProperty "refuses what is not a whole number, negative, infinite, or not below the count"
          <| Prop.forAll (elements counted) (fun (space, row) ->
              let countAt i =
                  match space with
                  | Discrete count -> count
                  | MultiDiscrete counts -> counts[i]
                  | _ -> 2

              List.init row.Length id
              |> List.forall (fun i ->
                  [ -1f
                    0.5f
                    -0.25f
                    float32 (countAt i)
                    float32 (countAt i) + 1f
                    Single.PositiveInfinity
                    Single.NegativeInfinity ]
                  |> List.forall (fun x -> not (contains space (replace i x row))))) ]

/// A box whose bounds are of one size, or infinite, and a point that counts in its units.
let private boxesAndUnits =
    let bound = Gen.choose (-10_000, 10_000) |> Gen.map (fun n -> float32 n / 100f)

    let bounds =
        Gen.map2 (fun a b -> min a b, max a b) bound bound
        |> Gen.bind (fun (low, high) ->
            Gen.frequency
                [ 5, Gen.constant (low, high)
                  1, Gen.elements [ low, infinityf; -infinityf, high; -infinityf, infinityf ] ])

    let units = Gen.choose (-300, 300) |> Gen.map (fun n -> float32 n / 100f)
    Gen.nonEmptyListOf (Gen.zip bounds units) |> Arb.fromGen

let private halfWidths =
    testList
        "half-widths"
        [ testProperty "of a box are half of its width from its middle, where it is bounded, and else 1"
          <| Prop.forAll boxesAndUnits (fun coordinates ->
              let bounds, row = List.unzip coordinates
              let box = Space.between (bounds |> Seq.map fst |> Vector.ofSeq) (bounds |> Seq.map snd |> Vector.ofSeq)
              let row = Vector.ofSeq row
              let scaled = Vector.Create(row.Length, Fill(fun scaled -> Space.unscale box row.Span scaled))

              for i, ((low, high), unit) in List.indexed coordinates do
                  let isBounded = Single.IsFinite low && Single.IsFinite high

                  let middle, half =
                      if isBounded then (float low + float high) / 2.0, (float high - float low) / 2.0 else 0.0, 1.0

                  let expected = middle + half * float unit
                  Generators.expectClose (1e-6 * (1.0 + abs middle + 4.0 * half)) (float scaled[i]) expected $"{i}"

              let policy = Policy.create (Architecture.uniform [] Activation.Tanh) 0.0 true (Space.box 1 -1.0 1.0) box

              let action = Vector.Create(row.Length, Fill(fun action -> Policy.toAction policy row.Span action))
              Expect.equal action (clip box scaled) "a policy that counts in them acts in the box")

          testProperty "of indices are indices"
          <| Prop.forAll (elements counted) (fun (space, row) ->
              Vector.Create(row.Length, Fill(fun scaled -> Space.unscale space row.Span scaled)) = row) ]

let private corner =
    Gen.frequency [ 4, finite; 2, Gen.elements [ Single.PositiveInfinity; Single.NegativeInfinity; nanf ] ]

/// Boxes, of which some have no finite elements.
let private anyBox =
    Gen.choose (0, 3)
    |> Gen.bind (fun count -> Gen.zip (Gen.listOfLength count corner) (Gen.listOfLength count corner))
    |> Gen.map (fun (low, high) -> Space.between (Vector.ofSeq low) (Vector.ofSeq high))

let private properness =
    testList
        "isValid"
        [ testProperty "of a box is whether each coordinate holds a finite number, the one nearest to 0"
          <| Prop.forAll (Arb.fromGen anyBox) (fun box ->
              match box with
              | Box(low, high, _) ->
                  let holdsNumber (low: float32) (high: float32) =
                      let nearest =
                          if low > 0f then low
                          elif high < 0f then high
                          else 0f

                      Single.IsFinite nearest && low <= nearest && nearest <= high

                  let expected = low.Length > 0 && Array.forall2 holdsNumber (Vector.toArray low) (Vector.toArray high)
                  Space.isValid box = expected && (Space.invalidReason box).IsNone = expected
              | _ -> false)

          testProperty "of a proper space, elements drawn are finite"
          <| Prop.forAll (Gen.zip anyBox keys |> Arb.fromGen) (fun (box, key) ->
              not (Space.isValid box)
              || (let row = Space.sample box key
                  Vector.isFinite row && contains box row))

          property
              "of a box says whether its corners fit together, whether it has any, or whether a number lies between them"
              (Gen.two (Gen.choose (0, 4)))
              (fun (lows, highs) ->
                  let corner length x = Vector.init length (fun _ -> x)

                  let expected low high =
                      if lows <> highs then Some "has corners of different lengths"
                      elif lows = 0 then Some "has no elements"
                      elif low > high then Some "has no finite number between the bounds of a coordinate"
                      else None

                  for low, high in [ 1f, 2f; 2f, 1f ] do
                      let reason = Space.invalidReason (Space.between (corner lows low) (corner highs high))
                      Expect.equal reason (expected low high) "the reason")

          test "has an end: of alternatives, and of the numbers of a row" {
              let most = Space.maxCount

              for space, expected in
                  [ Discrete most, true
                    Discrete(most + 1), false
                    Discrete 0, false
                    Discrete -1, false
                    MultiBinary most, true
                    MultiBinary(most + 1), false
                    MultiBinary 0, false
                    MultiDiscrete [ 2; most ], true
                    MultiDiscrete [ 2; most + 1 ], false
                    MultiDiscrete [ 2; -1 ], false
                    MultiDiscrete [], false
                    MultiDiscrete(List.replicate (most + 1) 1), false
                    Space.box most 0.0 1.0, true
                    Space.box (most + 1) 0.0 1.0, false ] do
                  Expect.equal (Space.isValid space) expected $"%A{space}"
          } ]

let private shapes =
    let sizes = Gen.choose (1, 3) |> Gen.bind (fun axes -> Gen.listOfLength axes (Gen.choose (1, 5)))

    testList
        "shapes"
        [ property "a row has as many numbers as the product of the sizes" sizes (fun shape ->
              let space = Space.boxOfShape shape -1.0 2.0
              Expect.equal (Space.shape space) shape "shape"
              Expect.equal (Space.width space) (List.fold (*) 1 shape) "width"
              Expect.isTrue (Space.isValid space) "valid"
              Expect.isTrue (contains space (Space.sample space (Key.ofSeed 3L))) "an element")
          property
              "a box is valid only with a shape of as many numbers as it has"
              (Gen.zip sizes (Gen.listOf (Gen.choose (-2, 6))))
              (fun (shape, other) ->
                  match Space.boxOfShape shape 0.0 1.0 with
                  | Box(low, high, _) ->
                      let isShape = not other.IsEmpty && List.forall (fun size -> size > 0) other
                      let expected = isShape && List.fold (*) 1 other = low.Length
                      Expect.equal (Space.isValid (Box(low, high, other))) expected $"%A{other}"
                  | _ -> failtest "no box")
          test "sizes that overflow are no shape" {
              for shape in [ [ 65536; 65536 ]; List.replicate 64 2; [ Int32.MaxValue; Int32.MaxValue; 4 ] ] do
                  Expect.isFalse (ArrayShape.holds 0 shape) "0"
                  expectRefused "a box" (fun () -> Space.boxOfShape shape 0.0 1.0 |> ignore)
          }
          test "other spaces have one axis" {
              for space in [ Discrete 5; MultiDiscrete [ 2; 3 ]; MultiBinary 4; Space.box 3 0.0 1.0 ] do
                  Expect.equal (Space.shape space) [ Space.width space ] (Space.describe space)
          }
          test "a network for pictures of one shape takes rows without a shape, and not pictures of another" {
              let picture shape = Space.boxOfShape shape 0.0 1.0
              Expect.isTrue (Space.hasSameEncoding (picture [ 2; 3; 4 ]) (Space.box 24 0.0 1.0)) "flat"
              Expect.isTrue (Space.hasSameEncoding (picture [ 2; 3; 4 ]) (picture [ 2; 3; 4 ])) "the same"
              Expect.isFalse (Space.hasSameEncoding (picture [ 2; 3; 4 ]) (picture [ 4; 2; 3 ])) "another"
              Expect.isFalse (Space.hasSameEncoding (picture [ 2; 3; 4 ]) (Space.box 23 0.0 1.0)) "another width"
          }
          test "are part of the description" {
              Expect.equal (Space.describe (Space.boxOfShape [ 10; 10; 4 ] 0.0 1.0)) "Box(10 × 10 × 4; [0, 1])" "text"
          } ]

let private units =
    testList
        "unscale"
        [ testProperty "is the middle at 0, the bounds at ±1, and linear between them, however wide the box is"
          <| Prop.forAll (Gen.zip boxes (Gen.choose (-100, 100)) |> Arb.fromGen) (fun (box, hundredths) ->
              match box with
              | Box(low, high, _) ->
                  let at (x: float32) =
                      let row = Vector.init low.Length (fun _ -> x)
                      Vector.Create(row.Length, Fill(fun scaled -> Space.unscale box row.Span scaled))

                  let coordinate i x =
                      let row = at x
                      row[i]

                  let x = float32 hundredths / 100f

                  List.init low.Length id
                  |> List.forall (fun i ->
                      if Single.IsFinite low[i] && Single.IsFinite high[i] then
                          let low, high = float low[i], float high[i]
                          // Of float64, beside the rounding to float32.
                          let rounding = 4e-16 * (abs low + abs high) + 1e-45

                          let isAt (expected: float) (found: float32) =
                              let error = abs (float found - expected)
                              error <= rounding + 6e-8 * abs expected

                          isAt low (coordinate i -1f)
                          && isAt high (coordinate i 1f)
                          && isAt ((low + high) / 2.0) (coordinate i 0f)
                          && isAt (low + (high - low) * (float x + 1.0) / 2.0) (coordinate i x)
                      else
                          (coordinate i x) = x)
              | _ -> false) ]

let private descriptions =
    test "describe prints the same in every culture" {
        let before = CultureInfo.CurrentCulture

        try
            // Whatever the machine knows of cultures.
            let culture = CultureInfo.InvariantCulture.Clone() :?> CultureInfo
            culture.NumberFormat.NumberDecimalSeparator <- ","
            culture.NumberFormat.NegativeSign <- "minus"
            CultureInfo.CurrentCulture <- culture

            Expect.equal
                (Space.describe (
                    Space.between (Vector.ofArray [| -1.5f; -infinityf |]) (Vector.ofArray [| 1.25f; 1e30f |])
                ))
                "Box(2; [-1.5, 1.25] × [−∞, 1E+30])"
                "as elsewhere"
        finally
            CultureInfo.CurrentCulture <- before
    }

let tests =
    testList "Space" [ sampling; clipping; membership; properness; shapes; halfWidths; units; descriptions ]
