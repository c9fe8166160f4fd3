/// The bounded series of numbers of the live view.
module FunTrpo.Tests.SeriesTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo.Cli
open FunTrpo.Tests.Generators

let private numbers =
    Gen.oneof [ ArbMap.defaults |> ArbMap.generate<float>; Gen.choose (-99, 99) |> Gen.map float ]

let ofNumbers numbers = Array.fold (fun series number -> Series.add number series) Series.empty numbers

/// Every n-th number, for the smallest power of two n that leaves less than `most`.
let private expected (numbers: float[]) =
    let every =
        Seq.initInfinite (fun power -> 1 <<< power)
        |> Seq.find (fun every -> (numbers.Length + every - 1) / every < Series.most)

    every, numbers |> Array.indexed |> Array.filter (fun (i, _) -> i % every = 0) |> Array.map snd

let private finite = Array.filter Double.IsFinite

let tests =
    testList
        "Series"
        [ property "keeps every n-th number, and less than the most" (Gen.choose (0, 3000)) (fun count ->
              let given = Array.init count float
              let series = ofNumbers given
              let every, kept = expected given
              Expect.equal series.Count count "count"
              Expect.equal (Array.ofSeq series.Kept) kept "numbers"
              Expect.equal series.Every every "every")

          property "knows the smallest and the largest finite number" (Gen.arrayOf numbers) (fun given ->
              let struct (low, high) = Series.extremes (ofNumbers given)

              match finite given with
              | [||] -> Expect.isTrue (Double.IsNaN low && Double.IsNaN high) "none"
              | known -> Expect.equal (low, high) (Array.min known, Array.max known) "extremes")

          property
              "has means of as many parts as there are columns"
              (Gen.zip
                  (Gen.choose (-1, 90))
                  (Gen.arrayOf (Gen.choose (0, 9) |> Gen.map (fun i -> if i = 9 then nan else float i))))
              (fun (parts, given) ->
                  let means = Series.inParts parts (ofNumbers given)
                  Expect.hasLength means (min (max 0 parts) given.Length) "parts"

                  if parts >= given.Length then
                      Expect.isTrue (given.AsSpan().SequenceEqual(means.AsSpan())) "all numbers"

                  // The parts follow each other and miss no number: their sums are the sum of all.
                  let bounds = [| for part in 0 .. means.Length -> part * given.Length / max 1 means.Length |]

                  for part, mean in Array.indexed means do
                      match finite given[bounds[part] .. bounds[part + 1] - 1] with
                      | [||] -> Expect.isTrue (Double.IsNaN mean) "a gap"
                      | known -> Expect.floatClose Accuracy.high mean (Array.average known) "a mean") ]
