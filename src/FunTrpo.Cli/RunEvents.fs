/// The event files of a run, which TensorBoard shows: the folder `tensorboard`.
module FunTrpo.Cli.RunEvents

open System
open System.IO
open System.Runtime.CompilerServices
open FunTrpo
open FunTrpo.CSharp
open FunTrpo.TensorBoard

/// An event file that is open: the observer that writes to it, and the file.
type Events(observer: Observer, file: IDisposable) =
    member _.Observer = observer

    interface IDisposable with
        member _.Dispose() = file.Dispose()

/// Opens an event file in the run's folder for what follows these environment steps. The observer throws the exceptions of the file system,
/// as the writes of the other files do.
// Not inlined: Google.Protobuf is loaded when this function is first called, and not before.
[<MethodImpl(MethodImplOptions.NoInlining)>]
let openAfter (steps: int64) folder =
    // The linter does not see the types of this C# project, and takes `new` for redundant.
    // fsharplint:disable-next-line RedundantNewKeyword
    let writer = new TensorBoardWriter(Path.Combine(folder, RunFolder.eventsFolder), steps)

    let observer =
        { OnIteration = fun report -> writer.Write(IterationReport report)
          OnEvaluation = fun evaluation _ -> writer.Write(FunTrpo.CSharp.TrainingEvaluation evaluation) }

    new Events(observer, writer)
