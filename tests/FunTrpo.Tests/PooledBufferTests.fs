module FunTrpo.Tests.PooledBufferTests

open System
open System.Runtime.CompilerServices
open System.Runtime.InteropServices
open System.Threading
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo.Kernels
open FunTrpo.Tests.Generators

let private expectEnded what (scratch: PooledBuffer) =
    Expect.throwsT<ObjectDisposedException> (fun () -> scratch.Memory |> ignore) $"%s{what}: memory"
    Expect.throwsT<ObjectDisposedException> (fun () -> scratch.Span[0] <- 0f) $"%s{what}: span"

/// Where the memory lies, which stays there.
let private address (scratch: PooledBuffer) =
    let first = &MemoryMarshal.GetReference scratch.Span
    Unsafe.ByteOffset(&Unsafe.NullRef<float32>(), &first)

/// What is done to the memory that is lent.
type private Action =
    | Rent of count: int
    | RentZeros of count: int
    /// Gives back the i-th of those that were ever rented, which may have been given back before.
    | Return of i: int

let private actions =
    let count = Gen.frequency [ 4, Gen.choose (0, 40); 1, Gen.choose (41, 3000) ]

    Gen.listOf (
        Gen.frequency [ 4, Gen.map Rent count; 1, Gen.map RentZeros count; 4, Gen.choose (0, 30) |> Gen.map Return ]
    )

/// Something that is lent, until `IsEnded`, and the number that all of it was filled with.
type private Loan = { PooledBuffer: PooledBuffer; Mark: float32; mutable IsEnded: bool }

/// Fails unless the memory holds what was written to it.
let private isUntouched loan =
    for value in loan.PooledBuffer.Span do
        Expect.equal value loan.Mark "what was written"

let private one =
    testList
        "one"
        [ property
              "it is as long as was asked for, and begins on a 64-byte boundary"
              (Gen.choose (0, 70_000))
              (fun count ->
                  use scratch = PooledBuffer.Rent count
                  Expect.equal scratch.Memory.Length count "memory"
                  Expect.equal scratch.Span.Length count "span"

                  if count > 0 then
                      Expect.equal (address scratch % 64n) 0n "address")
          property "RentZeros gives zeros, whatever was there" (Gen.choose (0, 3000)) (fun count ->
              poisonMemory ()
              use scratch = PooledBuffer.RentZeros(1, count)
              Expect.isTrue (scratch.Span.ToArray() |> Array.forall ((=) 0f)) "zeros")
          property
              "to use it after it was given back is refused, also when it has been lent anew"
              (Gen.choose (1, 3000))
              (fun count ->
                  let scratch = PooledBuffer.Rent count
                  scratch.Dispose()
                  expectEnded "given back" scratch
                  use another = PooledBuffer.Rent count
                  expectEnded "lent anew" scratch
                  Expect.equal another.Memory.Length count "the other can be used")
          testCase "fewer than none, or more than fits, is refused" (fun () ->
              for count in [ -1; Int32.MinValue; Int32.MaxValue ] do
                  expectRefused $"{count} numbers" (fun () -> PooledBuffer.Rent count |> ignore))
          testCase "what is given back is lent again, and costs no new memory" (fun () ->
              let rentAndGiveBack () =
                  for count in [ 1000; 5000; 1000 ] do
                      use scratch = PooledBuffer.Rent count
                      scratch.Span[0] <- 1f

              rentAndGiveBack ()
              let before = GC.GetAllocatedBytesForCurrentThread()

              for _ in 1..100 do
                  rentAndGiveBack ()

              let allocated = GC.GetAllocatedBytesForCurrentThread() - before
              // Other tests may hold what was given back last.
              Expect.isLessThan allocated 400_000L "bytes, of 4 million that were lent") ]

let private many =
    testList
        "many"
        [ property "no two overlap, and to give one back twice ends no other loan" actions (fun actions ->
              let loans = ResizeArray<Loan>()

              let lend (scratch: PooledBuffer) =
                  let mark = float32 (loans.Count + 1)
                  scratch.Span.Fill mark
                  loans.Add { PooledBuffer = scratch; Mark = mark; IsEnded = false }

              for action in actions do
                  match action with
                  | Rent count -> lend (PooledBuffer.Rent count)
                  | RentZeros count -> lend (PooledBuffer.RentZeros(1, count))
                  | Return i ->
                      if i < loans.Count then
                          loans[i].PooledBuffer.Dispose()
                          loans[i].IsEnded <- true

                  for loan in loans do
                      if loan.IsEnded then expectEnded "ended" loan.PooledBuffer else isUntouched loan

              for loan in loans do
                  loan.PooledBuffer.Dispose())
          testCase "several threads rent and give back at once" (fun () ->
              let failures = Collections.Concurrent.ConcurrentQueue<exn>()

              let work thread () =
                  let random = Random(thread: int)

                  try
                      for _ in 1..300 do
                          let loans =
                              List.init (random.Next 8) (fun i ->
                                  let mark = float32 (100 * thread + i)
                                  let scratch = PooledBuffer.Rent(random.Next 300)
                                  scratch.Span.Fill mark
                                  { PooledBuffer = scratch; Mark = mark; IsEnded = false })

                          for loan in loans do
                              isUntouched loan
                              loan.PooledBuffer.Dispose()
                              expectEnded "given back" loan.PooledBuffer

                              if random.Next 4 = 0 then
                                  loan.PooledBuffer.Dispose()
                  with failure ->
                      failures.Enqueue failure

              let threads = List.init 6 (fun i -> Thread(work (i + 1)))

              for thread in threads do
                  thread.Start()

              for thread in threads do
                  thread.Join()

              Expect.isEmpty failures "failures")
          testCase "when several threads give the same back, it is free once" (fun () ->
              for _ in 1..200 do
                  let scratch = PooledBuffer.Rent 100
                  use start = new Barrier(3)

                  let threads =
                      List.init 3 (fun _ ->
                          Thread(fun () ->
                              start.SignalAndWait()
                              scratch.Dispose()))

                  for thread in threads do
                      thread.Start()

                  for thread in threads do
                      thread.Join()

                  use first = PooledBuffer.Rent 100
                  use second = PooledBuffer.Rent 100
                  Expect.notEqual (address first) (address second) "addresses") ]

let tests = testList "pooled buffers" [ one; many ]
