namespace FunTrpo.Cli

open System
open System.Collections.Concurrent
open System.Diagnostics
open System.IO
open System.Runtime.CompilerServices
open System.Threading
open FunTrpo

/// Shows a run in a live view until it is disposed of. The thread that trains only replaces the model; another one draws it. Warnings stay above
/// the view, and are written to `errors`, too, if that is not the terminal.
type LiveObserver(start: LiveModel, errors: TextWriter) =
    /// The milliseconds from one frame to the next.
    let frameTime = 100

    let clock = Stopwatch.StartNew()
    let warnings = ConcurrentQueue<string>()
    let ended = new ManualResetEventSlim()
    let mutable model = start

    let taken () =
        [ while not warnings.IsEmpty do
              match warnings.TryDequeue() with
              | true, warning -> warning
              | _ -> () ]

    // Not inlined: Spectre.Console is loaded on the thread that calls it.
    [<MethodImpl(MethodImplOptions.NoInlining)>]
    let show () =
        let screen = Terminal.screen ()
        let mutable isLast = false

        while not isLast do
            isLast <- ended.Wait frameTime
            let size = Terminal.size ()
            let now = { model with Elapsed = clock.Elapsed; HasEnded = isLast }
            screen.Show(size, taken (), LiveView.render now (fst size))

    let draw () =
        try
            show ()
        with error when FileFailure.isOfFiles error ->
            () // The terminal is gone, and training goes on.

    let thread = Thread(draw, IsBackground = true, Name = "live view")
    do thread.Start()

    member _.Observer =
        { OnIteration =
            fun report ->
                model <- LiveModel.addReport report model

                for warning in ProgressTable.warnings report do
                    warnings.Enqueue warning

                    if Console.IsErrorRedirected then
                        errors.WriteLine warning
          OnEvaluation = fun evaluation isBest -> model <- LiveModel.addEvaluation evaluation isBest model }

    interface IDisposable with
        member _.Dispose() =
            clock.Stop()
            ended.Set()
            thread.Join()

            // Those that a terminal that is gone did not show.
            if not Console.IsErrorRedirected then
                taken () |> List.iter errors.WriteLine

            ended.Dispose()
