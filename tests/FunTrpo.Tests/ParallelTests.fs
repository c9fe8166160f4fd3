module FunTrpo.Tests.ParallelTests

open System
open System.Threading
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators

/// So many pieces, on so many threads.
let private shape =
    gen {
        let! threads = Gen.choose (-1, 20)
        let! count = Gen.frequency [ 1, Gen.constant 0; 1, Gen.constant 1; 6, Gen.choose (2, 100) ]
        return threads, count
    }

/// Some of the pieces.
let private someOf count = Gen.listOfLength count (Gen.frequency [ 3, Gen.constant false; 1, Gen.constant true ])

/// How often each piece is done, where `work` may do more.
let private timesDone threads count (work: int -> unit) =
    let times = Array.zeroCreate<int> count

    Parallel.iter threads count (fun i ->
        Interlocked.Increment(&times[i]) |> ignore
        work i)

    times

let private isOnceEach threads count =
    Expect.equal (timesDone threads count ignore) (Array.create count 1) $"{count} pieces on {threads} threads"

/// Runs this on threads of their own, all at once; what fails in one fails here.
let private atOnce (works: (unit -> unit) list) =
    let failures = Collections.Concurrent.ConcurrentQueue<exn>()

    let guarded work () =
        try
            work ()
        with failure ->
            failures.Enqueue failure

    let threads = works |> List.map (fun work -> Thread(guarded work: unit -> unit))

    for thread in threads do
        thread.Start()

    for thread in threads do
        thread.Join()

    Expect.isEmpty failures "failures"

exception private Failed of piece: int

let private pieces =
    testList
        "pieces"
        [ property "each is done once, on any number of threads" shape (fun (threads, count) ->
              isOnceEach threads count)
          property "no more are done at a time than there are threads" shape (fun (threads, count) ->
              let now = ref 0

              let atATime =
                  Parallel.map threads count (fun _ ->
                      let started = Interlocked.Increment now
                      Thread.SpinWait 20
                      Interlocked.Decrement now |> ignore
                      started)

              Expect.all atATime (fun started -> started <= Parallel.effective threads) "at a time"
              Expect.isLessThanOrEqual (Parallel.effective threads) (max 1 threads) "no more than were asked for"
              Expect.isLessThanOrEqual (Parallel.effective threads) Environment.ProcessorCount "than there are")
          property
              "pieces that wait are done once each, many more at a time than there are processors"
              shape
              (fun (_, count) ->
                  use all = new Barrier(max 1 count)

                  let results =
                      Parallel.mapWaiting count count (fun i ->
                          Expect.isTrue (all.SignalAndWait(TimeSpan.FromSeconds 60.0)) "all at once"
                          i)

                  Expect.equal results (Array.init count id) "results")
          test "of pieces that wait and fail, the first one throws, and none that has not begun is begun" {
              let begun = ref 0

              Expect.throwsC
                  (fun () ->
                      Parallel.mapWaiting 3 100 (fun i ->
                          Interlocked.Increment begun |> ignore
                          Thread.Sleep 20
                          raise (Failed i))
                      |> ignore)
                  (fun error -> Expect.equal error (Failed 0) "the first")

              Expect.isLessThanOrEqual begun.Value 3 "begun"
          }
          property "what they write is there afterwards, in its place" shape (fun (threads, count) ->
              let squares = Parallel.map threads count (fun i -> i * i)
              Expect.equal squares (Array.init count (fun i -> i * i)) "squares")
          property
              "blocks cover everything in order, whatever the threads"
              (Gen.zip3 shape (Gen.choose (1, 40)) (Gen.choose (0, 500)))
              (fun ((threads, _), size, total) ->
                  let blocks = Parallel.blocks threads size total (fun first count -> [ first .. first + count - 1 ])
                  Expect.equal (List.concat blocks) [ 0 .. total - 1 ] "items"
                  Expect.isTrue (blocks |> Array.forall (fun block -> block.Length <= size)) "sizes"

                  for block in Array.truncate (blocks.Length - 1) blocks do
                      Expect.equal block.Length size "only the last is shorter")
          property
              "each is done once inside of each of others"
              (Gen.zip shape shape)
              (fun ((threads, count), (inner, innerCount)) ->
                  let count = min count 20
                  let all = Array.init count (fun _ -> Array.zeroCreate<int> innerCount)

                  Parallel.iter threads count (fun i ->
                      Parallel.iter inner innerCount (fun j -> Interlocked.Increment(&all[i][j]) |> ignore))

                  Expect.equal all (Array.create count (Array.create innerCount 1)) "times")
          testCase "each is done once while the workers fall asleep and wake" (fun () ->
              let clock = Diagnostics.Stopwatch()

              for i in 0..299 do
                  isOnceEach 8 5
                  clock.Restart()

                  // Around the time at which a worker gives up waiting, and now and then long after it.
                  if i % 30 = 0 then
                      Thread.Sleep 3
                  else
                      while clock.Elapsed.TotalMicroseconds < float (7 * (i % 200)) do
                          ())
          testCase "each is done once where several callers are at it" (fun () ->
              atOnce
                  [ for caller in 1..5 ->
                        fun () ->
                            for i in 0..199 do
                                isOnceEach (2 + i % 3) (caller + i % 7) ]) ]

/// Which pieces are under way on a thread, the innermost first: those of a job and of the jobs inside of it, by their paths.
let private underWay = new ThreadLocal<int list list>(fun () -> [])

/// Whether one path is the beginning of the other, which is a piece inside of it. Paths have their last number first.
let rec private isInside (outer: int list) (inner: int list) =
    outer = inner
    || match inner with
       | _ :: path -> isInside outer path
       | [] -> false

/// Does pieces inside of pieces, as deep as there are levels; what was under way on the thread of one that is not inside of it.
let private strangersBelow (root: int) threads (levels: int list) =
    let strangers = Collections.Concurrent.ConcurrentQueue<int list * int list>()

    let rec work path levels =
        match levels with
        | [] -> Thread.SpinWait 50
        | count :: deeper ->
            Parallel.iter threads count (fun piece ->
                let path = piece :: path
                let below = underWay.Value

                for stranger in below |> List.filter (fun it -> not (isInside it path)) do
                    strangers.Enqueue((stranger, path))

                underWay.Value <- path :: below
                work path deeper
                underWay.Value <- below)

    work [ root ] levels
    List.ofSeq strangers

/// Waits until it holds; fails where it never does.
let private until what holds = Expect.isTrue (SpinWait.SpinUntil(Func<bool> holds, TimeSpan.FromMinutes 2.0)) what

let private strangers =
    testList
        "whoever waits helps"
        [ property
              "only with what is inside of the work that it waits for"
              (Gen.zip (Gen.choose (2, 4)) (Gen.listOfLength 3 (Gen.choose (2, 6))))
              (fun (threads, levels) ->
                  let found = Collections.Concurrent.ConcurrentQueue<int list * int list>()

                  atOnce [ for root in 1..3 -> fun () -> List.iter found.Enqueue (strangersBelow root threads levels) ]

                  Expect.isEmpty found "pieces that began below others, in which they are not")
          testCase "and never with a neighbour, who may stand still" (fun () ->
              if Environment.ProcessorCount > 1 then
                  use release = new ManualResetEventSlim()
                  use neighbourStands = new ManualResetEventSlim()
                  use ownIsDone = new ManualResetEventSlim()
                  use othersMayEnd = new ManualResetEventSlim()
                  use otherHasBegun = new ManualResetEventSlim()

                  /// Two pieces, of which the caller does one; it then waits for the other one.
                  let own () =
                      let caller = Environment.CurrentManagedThreadId

                      Parallel.iter 2 2 (fun _ ->
                          if Environment.CurrentManagedThreadId = caller then
                              until "the neighbour stands still" (fun () -> neighbourStands.IsSet)
                          else
                              otherHasBegun.Set()
                              othersMayEnd.Wait())

                      ownIsDone.Set()

                  /// Pieces that stand still until they are released, more than anybody does.
                  let neighbour () =
                      until "both own pieces have begun" (fun () -> otherHasBegun.IsSet)

                      Parallel.iter 2 3 (fun _ ->
                          neighbourStands.Set()
                          release.Wait())

                  let threads = [ Thread own; Thread neighbour ]

                  for thread in threads do
                      thread.Start()

                  try
                      until "the neighbour stands still" (fun () -> neighbourStands.IsSet)
                      Thread.Sleep 50 // the caller is waiting now, and sees what the neighbour has put up
                      othersMayEnd.Set()
                      Expect.isTrue (ownIsDone.Wait 60_000) "who waits for its own work gets on"
                  finally
                      othersMayEnd.Set()
                      release.Set()

                      for thread in threads do
                          thread.Join())
          |> testSequenced ]

let private sideBySide =
    testList
        "two side by side"
        [ property
              "both give what they give, whatever they do inside"
              (Gen.zip3 (Gen.choose (-1, 20)) shape shape)
              (fun (threads, left, right) ->
                  let squares (inner, count) () = Parallel.map inner count (fun i -> i * i) |> Array.sum
                  let sum (_, count) = Seq.sumBy (fun i -> i * i) (seq { 0 .. count - 1 })
                  let struct (a, b) = Parallel.both threads (squares left) (squares right >> string)
                  Expect.equal (a, b) (sum left, string (sum right)) "results")
          testCase "whoever is finished helps the other" (fun () ->
              if Environment.ProcessorCount > 1 then
                  let helpers = Collections.Concurrent.ConcurrentDictionary<int, int>()

                  let rec untilHelped rounds =
                      if helpers.Count < 2 && rounds < 100000 then
                          Parallel.iter 2 16 (fun _ ->
                              helpers.TryAdd(Environment.CurrentManagedThreadId, 0) |> ignore
                              Thread.SpinWait 100)

                          untilHelped (rounds + 1)

                  for work, other in [ (fun () -> untilHelped 0), ignore; ignore, (fun () -> untilHelped 0) ] do
                      helpers.Clear()
                      Parallel.both 2 work other |> ignore
                      Expect.equal helpers.Count 2 "threads that did pieces")
          testCase "the exception of the first comes before that of the second" (fun () ->
              Expect.throwsC
                  (fun () -> Parallel.both 1 (fun () -> raise (Failed 1)) (fun () -> raise (Failed 2)) |> ignore)
                  (fun error -> Expect.equal error (Failed 1) "the first")

              Expect.throwsC (fun () -> Parallel.both 2 ignore (fun () -> raise (Failed 2)) |> ignore) (fun error ->
                  Expect.equal error (Failed 2) "the second")) ]

let private failing =
    testList
        "a piece that fails"
        [ property
              "its exception reaches the caller, the first of several, and the others before it are done"
              (gen {
                  let! threads, count = shape
                  let! fails = someOf count
                  return threads, Array.ofList fails
              })
              (fun (threads, fails) ->
                  let finished = Array.zeroCreate<int> fails.Length

                  let failure =
                      try
                          Parallel.iter threads fails.Length (fun i ->
                              if fails[i] then
                                  raise (Failed i)

                              Interlocked.Increment(&finished[i]) |> ignore)

                          None
                      with Failed piece ->
                          Some piece

                  let expected = Array.tryFindIndex id fails
                  Expect.equal failure expected "the first that failed"
                  let before = defaultArg expected fails.Length
                  Expect.allEqual (Array.truncate before finished) 1 "before it"
                  Expect.isTrue (finished |> Array.forall (fun times -> times <= 1)) "no piece twice"
                  isOnceEach threads 7)
          testCase "the exception tells where it was thrown" (fun () ->
              let throwing i =
                  if i = 3 then
                      invalidOp "in a piece"

              for threads in [ 1; 8 ] do
                  try
                      Parallel.iter threads 5 throwing
                      failtest "nothing was thrown"
                  with :? InvalidOperationException as error ->
                      Expect.equal error.Message "in a piece" "message"
                      Expect.stringContains error.StackTrace (nameof throwing) "stack trace")
          testCase "one that fails inside of another reaches the caller of both" (fun () ->
              Expect.throwsC
                  (fun () -> Parallel.iter 4 4 (fun i -> Parallel.iter 4 4 (fun j -> raise (Failed(10 * i + j)))))
                  (fun error -> Expect.equal error (Failed 0) "the first of the first")

              isOnceEach 4 9)
          testCase "others are not disturbed by it" (fun () ->
              atOnce
                  [ for caller in 1..4 ->
                        fun () ->
                            for i in 0..99 do
                                if caller % 2 = 0 then
                                    isOnceEach 4 6
                                else
                                    Expect.throwsT<ArgumentException>
                                        (fun () ->
                                            Parallel.iter 4 6 (fun piece ->
                                                if piece = i % 6 then
                                                    invalidArg "piece" ""))
                                        "its exception" ]) ]

let tests = testList "parallel work" [ pieces; strangers; sideBySide; failing ]
