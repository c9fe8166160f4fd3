namespace FunTrpo.Cli

open System
open System.Runtime.InteropServices

/// Handles Ctrl-C and SIGTERM until it is disposed of. After the first signal the current iteration is finished and saved; a second
/// signal ends the process at once.
type Interruption() =
    let mutable requested = false

    let watch signal =
        PosixSignalRegistration.Create(
            signal,
            fun (context: PosixSignalContext) ->
                context.Cancel <- not requested
                requested <- true
        )

    let registrations = [ watch PosixSignal.SIGINT; watch PosixSignal.SIGTERM ]
    member _.IsRequested = requested

    interface IDisposable with
        member _.Dispose() =
            for registration in registrations do
                registration.Dispose()
