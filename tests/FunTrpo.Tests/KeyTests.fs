module FunTrpo.Tests.KeyTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open MathNet.Numerics.Distributions
open FunTrpo
open FunTrpo.Tests.Generators

/// Any seed, with a number of draws.
let private draws = Gen.zip seeds (Gen.choose (0, 200)) |> Arb.fromGen

/// n numbers of each of a few ways to draw them, which must all look the same.
let private streams seed n (one: Key -> float) (many: int -> Key -> float[]) =
    let key = Key.ofSeed seed

    [ "of one key", many n key
      "of the keys 0 … n − 1", Array.init n (fun i -> one (Key.at (int64 i) key))
      "of n names", Array.init n (fun i -> one (Key.named $"name {i}" key))
      "of n seeds", Array.init n (fun i -> one (Key.ofSeed (seed + int64 i)))
      "of a chain of splits",
      (key, [| 1..n |])
      ||> Array.mapFold (fun key _ ->
          let struct (left, right) = Key.split key
          one left, right)
      |> fst ]

/// The Kolmogorov–Smirnov statistic √n·sup|F_n − F|: above 1.95 with probability 0.001.
let private kolmogorovSmirnov (cdf: float -> float) (numbers: float[]) =
    let n = float numbers.Length

    numbers
    |> Array.sort
    |> Array.mapi (fun i x -> max (abs (cdf x - float i / n)) (abs (float (i + 1) / n - cdf x)))
    |> Array.max
    |> (*) (sqrt n)

/// Pearson's χ² of counts that should all be equal, against its quantile for probability 0.999.
let private looksUniform what (counts: int[]) =
    let expected = float (Array.sum counts) / float counts.Length

    let statistic = counts |> Array.sumBy (fun c -> (float c - expected) ** 2.0 / expected)

    Expect.isLessThan statistic (ChiSquared.InvCDF(float (counts.Length - 1), 0.999)) $"χ² of {what}"

let private correlation (a: float[]) (b: float[]) = MathNet.Numerics.Statistics.Correlation.Pearson(a, b)

/// The sample moment E[xᵏ] agrees with the true one, to five of its standard errors.
let private hasMoment what k expected variance (numbers: float[]) =
    let n = float numbers.Length
    let found = numbers |> Array.averageBy (fun x -> x ** float k)

    Expect.isLessThan (abs (found - expected)) (5.0 * sqrt (variance / n)) $"E[x^{k}] of the numbers {what}"

let private knownAnswers =
    // Random123's kat_vectors: threefry2x64, 20 rounds.
    let ones = UInt64.MaxValue

    [ (0UL, 0UL), (0UL, 0UL), (0xc2b6e3a8c2c69865UL, 0x6f81ed42f350084dUL)
      (ones, ones), (ones, ones), (0xe02cb7c4d95d277aUL, 0xd06633d0893b8b68UL)
      (0xa4093822299f31d0UL, 0x082efa98ec4e6c89UL),
      (0x243f6a8885a308d3UL, 0x13198a2e03707344UL),
      (0x263c7d30bb0f0af1UL, 0x56be8361d3311526UL) ]

let private threefry =
    testList
        "Threefry-2×64-20"
        [ for (k0, k1), (c0, c1), (x0, x1) in knownAnswers do
              test $"gives Random123's known answer for the key {k0:x16} {k1:x16}" {
                  Expect.equal (Key.threefry { K0 = k0; K1 = k1 } c0 c1) (struct (x0, x1)) "the block"
              }

          testProperty "flipping any bit of the counter or of the key flips about half of the block"
          <| Prop.forAll
              (Gen.zip (Gen.four seeds) (Gen.choose (0, 255)) |> Arb.fromGen)
              (fun ((k0, k1, c0, c1), position) ->
                  let words = [| uint64 k0; uint64 k1; uint64 c0; uint64 c1 |]

                  let block (w: uint64[]) = Key.threefry { K0 = w[0]; K1 = w[1] } w[2] w[3]

                  let struct (a0, a1) = block words
                  words[position / 64] <- words[position / 64] ^^^ (1UL <<< position % 64)
                  let struct (b0, b1) = block words

                  let flipped = Numerics.BitOperations.PopCount(a0 ^^^ b0) + Numerics.BitOperations.PopCount(a1 ^^^ b1)

                  // 64 ± 5.7 of 128: seven standard deviations.
                  abs (flipped - 64) <= 40) ]

let private uniforms =
    testList
        "uniform numbers"
        [ testProperty "lie in [0, 1)"
          <| Prop.forAll draws (fun (seed, count) ->
              Key.uniforms count (Key.ofSeed seed) |> Array.forall (fun u -> 0.0 <= u && u < 1.0))

          testProperty "uniformIn low high lies in [low, high)"
          <| Prop.forAll
              (Gen.zip3 seeds (Gen.choose (-1000, 1000)) (Gen.choose (1, 1000)) |> Arb.fromGen)
              (fun (seed, low, width) ->
                  let low, high = float low, float (low + width)
                  let u = Key.uniformIn low high (Key.ofSeed seed)
                  low <= u && u < high)

          testProperty "are the same for the same key, and a longer draw begins with the shorter one"
          <| Prop.forAll draws (fun (seed, count) ->
              let key = Key.ofSeed seed
              let few = Key.uniforms count key
              let many = Key.uniforms (count + 7) key

              few = Key.uniforms count (Key.ofSeed seed)
              && few = Array.truncate count many
              && Key.uniform key = many[0])

          for what, numbers in streams 1L 20_000 Key.uniform Key.uniforms do
              test $"have the moments and the distribution function of U(0, 1): {what}" {
                  // Var[xᵏ] = 1/(2k+1) − 1/(k+1)²
                  for k in 1..4 do
                      let mean = 1.0 / float (k + 1)
                      hasMoment what k mean (1.0 / float (2 * k + 1) - mean * mean) numbers

                  Expect.isLessThan (kolmogorovSmirnov id numbers) 1.95 "Kolmogorov–Smirnov"
                  let pairs = Array.pairwise numbers
                  let lagged = correlation (Array.map fst pairs) (Array.map snd pairs)
                  Expect.isLessThan (abs lagged) (5.0 / sqrt 20_000.0) "correlation of neighbours"

                  numbers
                  |> Array.pairwise
                  |> Array.indexed
                  |> Array.filter (fun (i, _) -> i % 2 = 0)
                  |> Array.countBy (fun (_, (a, b)) -> int (8.0 * a) * 8 + int (8.0 * b))
                  |> Array.map snd
                  |> looksUniform "pairs in 64 squares"
              } ]

let private normals =
    testList
        "normal numbers"
        [ testProperty "are finite, the same for the same key, and a longer draw begins with the shorter one"
          <| Prop.forAll draws (fun (seed, count) ->
              let key = Key.ofSeed seed
              let few = Key.normals count key
              let many = Key.normals (count + 7) key

              Array.forall Double.IsFinite many
              && few = Key.normals count (Key.ofSeed seed)
              && few = Array.truncate count many
              && Key.normal key = many[0])

          testProperty "fillNormal writes the numbers of normals, as float32"
          <| Prop.forAll (Gen.zip seeds (Gen.choose (1, 200)) |> Arb.fromGen) (fun (seed, count) ->
              let filled = Array.zeroCreate<float32> count
              Key.fillNormal (filled.AsSpan()) (Key.ofSeed seed)
              filled = Array.map float32 (Key.normals count (Key.ofSeed seed)))

          test "fillNormal fills an empty span with nothing" { Key.fillNormal (Span<float32>.Empty) (Key.ofSeed 1L) }

          for what, numbers in streams 2L 20_000 Key.normal Key.normals do
              test $"have the moments and the distribution function of N(0, 1): {what}" {
                  // E[x²ᵏ] = (2k − 1)!!, so the variances of x, x², x³, x⁴ are 1, 2, 15, 96.
                  for k, mean, variance in [ 1, 0.0, 1.0; 2, 1.0, 2.0; 3, 0.0, 15.0; 4, 3.0, 96.0 ] do
                      hasMoment what k mean variance numbers

                  Expect.isLessThan
                      (kolmogorovSmirnov (fun x -> Normal.CDF(0.0, 1.0, x)) numbers)
                      1.95
                      "Kolmogorov–Smirnov"
              }

          test "the two numbers of one block are uncorrelated, and so are their squares" {
              let pairs = Key.normals 40_000 (Key.ofSeed 3L) |> Array.chunkBySize 2
              let first, second = Array.map Array.head pairs, Array.map Array.last pairs
              let square = Array.map (fun x -> x * x)
              Expect.isLessThan (abs (correlation first second)) (5.0 / sqrt 20_000.0) "correlation"

              Expect.isLessThan
                  (abs (correlation (square first) (square second)))
                  (5.0 / sqrt 20_000.0)
                  "correlation of squares"
          } ]

let private permutations =
    testList
        "permutation"
        [ testProperty "holds each of 0 … n − 1 once"
          <| Prop.forAll draws (fun (seed, count) ->
              let order = Key.permutation count (Key.ofSeed seed) |> Array.ofSeq
              Array.sort order = Array.init count id)

          for count in 2..4 do
              test $"every order of {count} things comes equally often" {
                  let orders =
                      Array.init 12_000 (fun i ->
                          Key.permutation count (Key.at (int64 i) (Key.ofSeed 4L)) |> List.ofSeq)

                  let counts = Array.countBy id orders |> Array.map snd
                  Expect.equal counts.Length (List.reduce (*) [ 1..count ]) "orders seen"
                  looksUniform "orders" counts
              } ]

let private keys =
    testList
        "keys"
        [ testProperty "split, at and named give keys that differ from each other and from their parent"
          <| Prop.forAll (Gen.zip seeds (Gen.choose (2, 100)) |> Arb.fromGen) (fun (seed, count) ->
              let key = Key.ofSeed seed
              let struct (left, right) = Key.split key

              let children =
                  [ for i in 1..count do
                        Key.at (int64 i + 1L) key
                        Key.at (int64 -i) key
                        Key.named $"{i}" key
                        Key.at (int64 i + 1L) left
                        Key.at (int64 i + 1L) right ]

              let all = key :: left :: right :: children
              List.length (List.distinct all) = List.length all)

          testProperty "different seeds give different keys"
          <| Prop.forAll (Gen.two seeds |> Arb.fromGen) (fun (a, b) -> (Key.ofSeed a = Key.ofSeed b) = (a = b))

          testProperty "different names give different keys, and a name always the same"
          <| Prop.forAll (Gen.two (ArbMap.defaults |> ArbMap.generate<NonNull<string>>) |> Arb.fromGen) (fun (a, b) ->
              let key = Key.ofSeed 5L
              (Key.named a.Get key = Key.named b.Get key) = (a.Get = b.Get))

          testProperty "a name never gives the key of a number, not even of its own hash"
          <| Prop.forAll (ArbMap.defaults |> ArbMap.arbitrary<NonNull<string>>) (fun name ->
              // FNV-1a, by which a name is hashed.
              let hash =
                  (14695981039346656037UL, name.Get)
                  ||> Seq.fold (fun hash character -> (hash ^^^ uint64 character) * 1099511628211UL)

              let key = Key.ofSeed 7L
              Key.named name.Get key <> Key.at (int64 hash) key)

          testProperty "no key below a key is among the numbers of that key"
          <| Prop.forAll draws (fun (seed, count) ->
              let key = Key.ofSeed seed

              let blocks =
                  Set.ofList
                      [ for i in 0..count do
                            let struct (b0, b1) = Key.bits (uint64 i) key
                            b0, b1 ]

              [ for i in 0..count do
                    Key.at (int64 i) key
                    Key.named (string i) key ]
              |> List.forall (fun child -> not (blocks.Contains(child.K0, child.K1))))

          test "the streams of split keys are uncorrelated" {
              let struct (left, right) = Key.split (Key.ofSeed 6L)
              let n = 20_000
              let streams = [ left; right; Key.ofSeed 6L; Key.named "left" left ] |> List.map (Key.uniforms n)

              for i, a in List.indexed streams do
                  for b in List.skip (i + 1) streams do
                      Expect.isLessThan (abs (correlation a b)) (5.0 / sqrt (float n)) "correlation"
          } ]

let tests = testList "Key" [ threefry; uniforms; normals; permutations; keys ]
