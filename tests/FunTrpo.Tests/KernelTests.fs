/// Every kernel refuses lengths that would be right if they were counted in 32 bits.
module FunTrpo.Tests.KernelTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo.Kernels
open FunTrpo.Tests.Generators

/// In 32 bits each of these products of lengths wraps around, to the length of the spans that are given: then nothing would keep a
/// kernel from leaving them.
let tests =
    let none = Array.empty<float32>
    let rows = 1 <<< 28 // times 16 is 2³²

    testList
        "lengths that would fit in 32 bits alone are refused:"
        [ for name, call in
              [ "Pad", (fun () -> PaddedRows.Pad(rows, 16, ReadOnlySpan none, Span none))
                "Unpad", (fun () -> PaddedRows.Unpad(rows, 16, ReadOnlySpan none, Span none))
                "Copy, from", (fun () -> PaddedRows.Copy(rows + 1, 0, ReadOnlySpan none, 16, Span none, 0))
                "Copy, to", (fun () -> PaddedRows.Copy(rows + 1, 0, ReadOnlySpan none, 0, Span none, 16))
                "Copy of fewer rows than none", (fun () -> PaddedRows.Copy(-1, 1, ReadOnlySpan none, 1, Span none, 1))
                "Transpose", (fun () -> PaddedRows.Transpose(rows + 1, 0, ReadOnlySpan none, 16, Span none, rows + 1))
                "Gather",
                (fun () -> Rows.Gather(ReadOnlySpan(Array.zeroCreate<int> 65536), 65536, ReadOnlySpan none, Span none))
                "ApplyMetric, rows", (fun () -> Softmax.ApplyMetric(rows, 16, 0, 2, ReadOnlySpan none, Span none))
                "ApplyMetric, columns",
                (fun () ->
                    Softmax.ApplyMetric(
                        1,
                        4,
                        Int32.MaxValue,
                        5,
                        ReadOnlySpan(Array.zeroCreate<float32> 4),
                        Span(Array.zeroCreate 4)
                    ))
                "ColumnSums", (fun () -> ColumnSums.Add(ReadOnlySpan(Array.zeroCreate<float32> 4), Span none))
                "Rent", (fun () -> (PooledBuffer.Rent(1 <<< 16, 1 <<< 16)).Dispose())
                "RentZeros", (fun () -> (PooledBuffer.RentZeros(1 <<< 16, 1 <<< 16)).Dispose())
                "RentDoubles", (fun () -> (PooledBuffer.RentDoubles Int32.MinValue).Dispose()) ] do
              test name { expectRefused name call }

          test "Forward, Pushforward and Pullback of a layer" {
              let layer = DenseLayer(16, 16, 16, Activation.Identity)
              let packed = Array.zeroCreate layer.PackedCount
              let transposed = Array.zeroCreate layer.TransposedCount

              expectRefused "Forward" (fun () ->
                  layer.Forward(rows, ReadOnlySpan packed, ReadOnlySpan none, 16, Span none, Span none))

              expectRefused "Pushforward" (fun () ->
                  layer.Pushforward(
                      rows,
                      ReadOnlySpan packed,
                      ReadOnlySpan none,
                      16,
                      ReadOnlySpan none,
                      ReadOnlySpan none,
                      ReadOnlySpan packed,
                      Span none
                  ))

              expectRefused "Pullback" (fun () ->
                  layer.Pullback(
                      rows,
                      ReadOnlySpan transposed,
                      ReadOnlySpan none,
                      16,
                      ActivationDerivatives.One,
                      ReadOnlySpan none,
                      Span none,
                      Span packed
                  ))
          }

          property
              "a layer of any size is either refused, or all its forms are of the size that they should be"
              (let size =
                  Gen.frequency
                      [ 2, Gen.choose (-1, 100)
                        2, Gen.choose (1000, Int32.MaxValue)
                        1, Gen.elements [ 65536; 1 <<< 24; Int32.MaxValue ] ]

               Gen.zip3 size size size)
              (fun (inputs, weighted, outputs) ->
                  let made =
                      try
                          Some(DenseLayer(inputs, weighted, outputs, Activation.Tanh))
                      with :? ArgumentOutOfRangeException ->
                          None

                  match made with
                  | None -> ()
                  | Some layer ->
                      let parameters = int64 inputs * int64 weighted + int64 outputs
                      Expect.equal (int64 layer.ParameterCount) parameters "parameters"
                      Expect.isGreaterThanOrEqual (int64 layer.PackedCount) parameters "packed"

                      Expect.isGreaterThanOrEqual
                          (int64 layer.TransposedCount)
                          (int64 inputs * int64 weighted)
                          "transposed"

                      Expect.isLessThanOrEqual layer.PackedCount PooledBuffer.Largest "packed"
                      Expect.isLessThanOrEqual layer.TransposedCount PooledBuffer.Largest "transposed") ]
