module FunTrpo.Tests.ArgumentsTests

open Expecto
open FunTrpo.Plots

let tests =
    testList
        "arguments"
        [ testProperty "takes the integers of a range, its ends too, and no others"
          <| fun (low: int64) (width: uint16) (value: int64) ->
              let low = max -1_000_000L (min 1_000_000L low)
              let high = low + int64 width

              for value in [ low; high; low - 1L; high + 1L; value ] do
                  let taken = Arguments.integer "--steps" low high (string value)

                  Expect.equal
                      (Result.toOption taken)
                      (if low <= value && value <= high then Some value else None)
                      "taken"
          testProperty "whole numbers are read as people write them, and no others"
          <| fun (number: uint32) (digits: byte) ->
              let number, exponent = int64 number % 1_000_000L, int digits % 8
              let read = Arguments.count "--steps" 0L 1_000_000_000_000L
              let plain = read (string number)
              Expect.equal plain (Ok number) "digits"
              Expect.equal (read $"{number}k") (Ok(1000L * number)) "thousands"
              Expect.equal (read $"{number}K") (Ok(1000L * number)) "thousands"
              Expect.equal (read $"{number}M") (Ok(1_000_000L * number)) "millions"
              Expect.equal (read $"{number}.5k") (Ok(1000L * number + 500L)) "halves of thousands"
              let power = pown 10L exponent

              Expect.equal
                  (read $"{number}e{exponent}")
                  (if number * power <= 1_000_000_000_000L then Ok(number * power) else read "refused")
                  "powers of ten"

              for wrong in
                  [ $"-{number + 1L}"
                    $"{number}.5"
                    $"{number} k"
                    $"{number}kk"
                    $"{number}m"
                    "k"
                    ""
                    "1e99"
                    "NaN" ] do
                  Expect.isError (read wrong) wrong ]
