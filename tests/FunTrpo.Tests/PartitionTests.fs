module FunTrpo.Tests.PartitionTests

open System.Threading
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators

let private cases =
    Gen.zip3
        (Gen.frequency [ 3, Gen.choose (0, 600); 2, Gen.choose (0, 100_000) ])
        (Gen.frequency [ 1, Gen.choose (0, 100); 1, Gen.choose (0, 3_000_000) ])
        (Gen.frequency [ 1, Gen.choose (1, 4096); 1, Gen.choose (4096, 1 <<< 20) ])

let tests =
    testList
        "partition"
        [ property "the blocks of all strips are the rows in order, each once" cases (fun (rows, packedCount, widest) ->
              let blocks = Partition.strips rows packedCount widest |> Array.concat
              let ends = blocks |> Array.map (fun block -> block.First + block.Count)

              Expect.equal
                  (blocks |> Array.map _.First)
                  (Array.append [| 0 |] (Array.truncate (ends.Length - 1) ends))
                  "starts"

              Expect.equal (Array.last ends) rows "the last end")

          property
              "blocks are of about the same size, and begin at multiples of eight if they have more rows"
              cases
              (fun (rows, packedCount, widest) ->
                  let ofBlock = Partition.blockRowsFor widest packedCount

                  for strip in Partition.strips rows packedCount widest do
                      for block in strip do
                          if ofBlock > 8 then
                              Expect.equal (block.First % 8) 0 "start"

                          // A block ends up to seven rows later than its even share.
                          Expect.isLessThan block.Count (ofBlock + 8) "rows"

                          if rows > 0 then
                              Expect.isGreaterThan block.Count 0 "rows"

                      let counts = strip |> Array.map _.Count
                      Expect.isLessThan (Array.max counts - Array.min counts) 16 "the largest and the smallest")

          property
              "blocks of long rows hold at most 2¹⁶ numbers, or as many as there are parameters, and 1 to 256 rows"
              (Gen.zip (Gen.choose (1, 1 <<< 22)) (Gen.choose (0, 3_000_000)))
              (fun (widest, packedCount) ->
                  let rows = Partition.blockRowsFor widest packedCount
                  let most = max (1 <<< 16) packedCount
                  Expect.isTrue (rows >= 1 && rows <= 256) "rows"

                  if widest <= 512 then
                      Expect.equal rows 256 "short rows"
                  else
                      Expect.isTrue (rows = 1 || rows * widest <= most) "numbers"

                      Expect.isTrue
                          (rows = 256 || (2 * rows + 1) * widest > most)
                          "no fewer than half of what they may")

          property "the strips do not depend on the widest row" cases (fun (rows, packedCount, widest) ->
              let first widest = Partition.strips rows packedCount widest |> Array.map (fun strip -> strip[0].First)
              Expect.equal (first widest) (first 1) "starts")

          property "more than two strips hold no more than 2²⁰ sums together" cases (fun (rows, packedCount, widest) ->
              let strips = (Partition.strips rows packedCount widest).Length
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
