/// Serves the pages of runs to browsers on this machine, and to no one else.
module FunTrpo.Watch.Server

open System
open System.IO
open System.Net
open System.Text
open System.Threading
open System.Threading.Tasks
open FunTrpo.Plots
open Microsoft.AspNetCore.Builder
open Microsoft.AspNetCore.Hosting
open Microsoft.AspNetCore.Hosting.Server
open Microsoft.AspNetCore.Hosting.Server.Features
open Microsoft.AspNetCore.Http
open Microsoft.Extensions.DependencyInjection
open Microsoft.Extensions.Hosting

/// The port that is used if none is named.
let standardPort = 8640

/// The names by which browsers on this machine may ask. Another name could be that of a foreign page that has been made to lead here.
let private ownNames = [ "localhost"; "127.0.0.1"; "[::1]" ]

/// A page may load only from this server, and may not be in a frame of another one. plotly.js makes styles of its own.
let private contentPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

let private secure (response: HttpResponse) =
    response.Headers.ContentSecurityPolicy <- contentPolicy
    response.Headers.XContentTypeOptions <- "nosniff"
    response.Headers["Referrer-Policy"] <- "no-referrer"
    response.Headers["Cross-Origin-Resource-Policy"] <- "same-origin"

let private answer (code: int) kind (text: string) (response: HttpResponse) : Task =
    response.StatusCode <- code
    response.ContentType <- $"{kind}; charset=utf-8"
    response.WriteAsync text

let private refuse code text response = answer code "text/plain" (text + "\n") response

/// The browser asks again each time, and gets the content only if it has changed.
let private answerFile (file: Pages.File) (context: HttpContext) : Task =
    let response = context.Response
    response.ContentType <- file.Type
    response.Headers.ETag <- file.Tag
    response.Headers.CacheControl <- "no-cache"

    if context.Request.Headers.IfNoneMatch.ToString() = file.Tag then
        response.StatusCode <- StatusCodes.Status304NotModified
        Task.CompletedTask
    else
        response.ContentLength <- Nullable(int64 file.Content.Length)
        response.Body.WriteAsync(ReadOnlyMemory file.Content).AsTask()

/// What a server knows: the runs, their last pages, and that only one episode is played at a time.
type private Site(source: Source, stopping: CancellationToken) =
    let reports = Events.Reports source
    let playing = new SemaphoreSlim(1)

    member private _.Episode name (context: HttpContext) : Task =
        task {
            do! playing.WaitAsync context.RequestAborted

            try
                let environment, episode = source.Episode name
                let json = ReportPage.episodeJson environment episode
                context.Response.Headers.CacheControl <- "no-store"
                do! answer StatusCodes.Status200OK "application/json" json context.Response
            finally
                playing.Release() |> ignore
        }

    /// Answers what belongs to the run that the query names.
    member private site.OfRun (context: HttpContext) path (answerRun: string -> Task) : Task =
        let name = context.Request.Query["name"].ToString()

        if (source.Stamp name).IsSome then
            answerRun name
        else
            refuse StatusCodes.Status404NotFound $"There is no such run for {path}." context.Response

    member private _.Stream (context: HttpContext) next : Task =
        task {
            use ended = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, stopping)
            do! Events.send next ended.Token context.Response
        }

    member private site.Get (context: HttpContext) path : Task =
        match path with
        | "/runs/events" -> site.Stream context (Events.ofRuns source)
        | "/run" -> site.OfRun context path (fun _ -> answerFile Pages.files[path].Value context)
        | "/run/events" -> site.OfRun context path (Events.ofRun source reports >> site.Stream context)
        | "/run/episode" -> site.OfRun context path (fun name -> site.Episode name context)
        | _ ->
            match Pages.files.TryGetValue path with
            | true, file -> answerFile file.Value context
            | _ -> refuse StatusCodes.Status404NotFound "There is no such page." context.Response

    member site.Handle(context: HttpContext) : Task =
        secure context.Response

        if not (List.contains (context.Request.Host.Host.ToLowerInvariant()) ownNames) then
            refuse StatusCodes.Status403Forbidden "This server answers only to localhost." context.Response
        elif context.Request.Method <> HttpMethods.Get then
            context.Response.Headers.Allow <- HttpMethods.Get
            refuse StatusCodes.Status405MethodNotAllowed "This server answers only GET." context.Response
        else
            site.Get context context.Request.Path.Value

/// A server that has nothing but what is said here: no configuration, no log, no files.
let private build source (port: int) =
    let builder = WebApplication.CreateEmptyBuilder(WebApplicationOptions())

    builder.WebHost
        .UseKestrelCore()
        .ConfigureKestrel(fun options ->
            options.AddServerHeader <- false
            options.Listen(IPAddress.Loopback, port))
    |> ignore

    let app = builder.Build()
    let site = Site(source, app.Lifetime.ApplicationStopping)
    app.Run(RequestDelegate site.Handle)
    app

let private addressOf (app: WebApplication) =
    app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>().Addresses
    |> Seq.head

/// Serves the pages until Ctrl-C or SIGTERM. Port 0 is any free port; `started` gets the address. Error: why the port cannot be used.
let run source port (started: string -> unit) =
    use app = build source port

    try
        app.StartAsync().GetAwaiter().GetResult()
        started (addressOf app + "/")
        app.WaitForShutdownAsync().GetAwaiter().GetResult()
        Ok()
    with :? IOException as error ->
        Error error.Message
