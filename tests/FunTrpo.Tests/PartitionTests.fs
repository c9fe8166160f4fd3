module FunTrpo.Tests.PartitionTests

open System.Threading
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators

let private cases =
    Gen.zip
        (Gen.frequency [ 3, Gen.choose (0, 600); 2, Gen.choose (0, 100_000) ])
        (Gen.frequency [ 1, Gen.choose (0, 100); 1, Gen.choose (0, 3_000_000) ])

let tests =
    testList
        "partition"
        [ property "the blocks of all strips are the rows in order, each once" cases (fun (rows, packedCount) ->
              let blocks = Partition.strips rows packedCount |> Array.concat
              let ends = blocks |> Array.map (fun block -> block.First + block.Count)

              Expect.equal
                  (blocks |> Array.map _.First)
                  (Array.append [| 0 |] (Array.truncate (ends.Length - 1) ends))
                  "starts"

              Expect.equal (Array.last ends) rows "the last end")

          property "blocks begin at multiples of eight and are of about the same size" cases (fun (rows, packedCount) ->
              for strip in Partition.strips rows packedCount do
                  for block in strip do
                      Expect.equal (block.First % 8) 0 "start"
                      // A block ends up to seven rows later than its even share.
                      Expect.isLessThan block.Count (Partition.blockRows + 8) "rows"

                  let counts = strip |> Array.map _.Count
                  Expect.isLessThan (Array.max counts - Array.min counts) 16 "the largest and the smallest")

          property "more than two strips hold no more than 2²⁰ sums together" cases (fun (rows, packedCount) ->
              let strips = (Partition.strips rows packedCount).Length
              Expect.isTrue (strips <= 2 || int64 strips * int64 packedCount <= (1L <<< 20)) $"{strips} strips"
              Expect.isLessThanOrEqual strips 16 "strips")

          propertyOf
              20
              "each number of a vector is in one part, on any number of threads"
              (Gen.zip (Gen.choose (1, 8)) (Gen.choose (0, 200_000)))
              (fun (threads, length) ->
                  let visits = Array.zeroCreate<int> length

                  Partition.forEachPart threads length (fun first count ->
                      for i in first .. first + count - 1 do
                          Interlocked.Increment &visits[i] |> ignore)

                  Expect.isTrue (Array.forall ((=) 1) visits) "visits") ]
