/// Server-sent events: what browsers are told while files change.
module internal FunTrpo.Watch.Events

open System
open System.Collections.Concurrent
open System.Diagnostics
open System.Threading
open System.Threading.Tasks
open FunTrpo.Plots
open Microsoft.AspNetCore.Http

type Event = { Name: string; Json: string }

/// The next event of a stream; none if nothing has changed.
type Next = unit -> Event option

/// The shortest and the longest time from one look at the files to the next.
let private shortest, longest = TimeSpan.FromMilliseconds 500.0, TimeSpan.FromSeconds 30.0

/// The share of one core's time that a stream is to use.
let private share = 0.05

/// After an event that took long to make, a stream waits in proportion: on a small machine the processor belongs to training.
let private pauseAfter (work: TimeSpan) = work / share |> max shortest |> min longest

/// Sends events until the browser or the server ends it.
let send (next: Next) (ended: CancellationToken) (response: HttpResponse) : Task =
    task {
        response.ContentType <- "text/event-stream"
        response.Headers.CacheControl <- "no-store"

        // The first event tells little of the time of the next one: it may be made by code that is compiled meanwhile.
        let mutable isFirst = true

        try
            while not ended.IsCancellationRequested do
                let clock = Stopwatch.StartNew()
                let event = next ()
                let worked = clock.Elapsed

                match event with
                | Some event ->
                    // A line break would end the data. In JSON there are none that matter.
                    let data = event.Json.ReplaceLineEndings " "
                    do! response.WriteAsync($"event: {event.Name}\ndata: {data}\n\n", ended)
                    do! response.Body.FlushAsync ended
                | None -> ()

                do! Task.Delay((if isFirst then shortest else pauseAfter worked), ended)
                isFirst <- false
        with :? OperationCanceledException ->
            ()
    }

/// Tells the list of runs whenever it changes.
let ofRuns (source: Source) : Next =
    let mutable last = ""

    fun () ->
        let json = RunsJson.ofRuns source.Folder (source.Runs())

        if json = last then
            None
        else
            last <- json
            Some { Name = "runs"; Json = json }

/// The last page of each run, which several browsers may ask for.
type Reports(source: Source) =
    let made = ConcurrentDictionary<string, string * Result<string, string>>()

    /// The page of a run as JSON, made again if the stamp of its files is another one. A fault is not kept: the files may have been looked
    /// at while they were replaced.
    member _.Get(name, stamp) =
        match made.TryGetValue name with
        | true, (earlier, json) when earlier = stamp -> json
        | _ ->
            let json = source.Page name |> Result.map ReportPage.reportJson

            if Result.isOk json then
                made[name] <- (stamp, json)

            json

/// How often in a row files must be unreadable before that is told: a run that writes them is quicker.
let private patience = 3

/// Tells the page of a run whenever it changes, or what is wrong with it.
let ofRun (source: Source) (reports: Reports) name : Next =
    let mutable last = None
    let mutable failures = 0

    let problem what why =
        failures <- failures + 1

        if failures < patience || last = Some what then
            None
        else
            last <- Some what
            Some { Name = "problem"; Json = RunsJson.ofText why }

    fun () ->
        match source.Stamp name with
        | None -> problem "gone" "The folder of this run is gone."
        | Some stamp when last = Some stamp -> None
        | Some stamp ->
            match reports.Get(name, stamp) with
            | Ok json ->
                failures <- 0
                last <- Some stamp
                Some { Name = "report"; Json = json }
            | Error why -> problem $"problem {why}" $"The files of this run cannot be read: {why}"
