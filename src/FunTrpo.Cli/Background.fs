namespace FunTrpo.Cli

open System.Threading.Tasks
open FunTrpo

/// Calls `work` on another thread, for one item after another, so that the caller does not wait for the disk.
type Background<'Item>(work: 'Item -> Result<unit, Fault>) =
    let mutable current = Task.FromResult(Ok())

    /// Waits until the work that was started last has ended, and returns its result.
    member _.Wait() = current.GetAwaiter().GetResult()

    /// Starts the work on an item after that on the last one has ended. Returns the fault of the last one, and then starts nothing.
    member this.Start item = this.Wait() |> Result.map (fun () -> current <- Task.Run(fun () -> work item))
