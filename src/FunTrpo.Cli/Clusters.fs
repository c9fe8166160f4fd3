/// Clusters of Microsoft Orleans, whose silos step shares of rollouts (`--cluster`). Its assemblies are loaded when one is used.
module FunTrpo.Cli.Clusters

open System
open System.Runtime.CompilerServices
open System.Threading.Tasks
open FunTrpo
open FunTrpo.Orleans

let private wait (task: Task<'T>) = task.GetAwaiter().GetResult()

/// The cluster that the text of `--cluster` names.
let parse text =
    try
        Ok(Cluster.Parse text)
    with :? FormatException ->
        Error(InvalidSetting("--cluster", text, "it must be local, local:PORT or redis:HOST:PORT"))

/// The result of an action of a cluster. That the cluster cannot be joined is a `Mismatch`.
let attempt (action: unit -> Task<'T>) =
    try
        Ok(action () |> wait)
    with :? ClusterException as error ->
        Error(Mismatch error.Message)

/// The result of an action, after which something of a cluster is disposed of.
let disposingAfterwards (part: IAsyncDisposable) (action: unit -> 'T) =
    try
        action ()
    finally
        part.DisposeAsync().AsTask().GetAwaiter().GetResult()

// Not inlined: the assemblies of Orleans are loaded when this function is first called, and not before.
[<MethodImpl(MethodImplOptions.NoInlining)>]
let private withSilos text (work: ShareWorkers option -> Result<'T, Fault>) =
    result {
        let! cluster = parse text
        let! workers = attempt (fun () -> ClusterWorkers.ConnectAsync cluster)
        return! disposingAfterwards workers (fun () -> work (Some workers.Shares))
    }

/// The result of `work` with the silos of the cluster that the text names, or without silos if there is no text.
let withWorkers text work =
    match text with
    | Some text -> withSilos text work
    | None -> work None
