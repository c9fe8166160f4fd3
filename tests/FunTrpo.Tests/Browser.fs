/// Tests of pages in a real browser: Chromium, as the system has installed it.
module FunTrpo.Tests.Browser

open System
open System.Collections.Concurrent
open System.IO
open System.Net
open System.Net.Sockets
open System.Threading.Tasks
open Expecto
open FunTrpo.Tests.TestFiles
open Microsoft.Playwright

let private chromium =
    [ "chromium"; "chromium-browser"; "google-chrome" ] |> List.tryPick tryFindProgram

/// What a page may look like, and where it is shown.
let options width height (scheme: ColorScheme) =
    BrowserNewPageOptions(ViewportSize = ViewportSize(Width = width, Height = height), ColorScheme = scheme)

let desktop = options 1280 900 ColorScheme.Light
let phone = options 390 844 ColorScheme.Dark

/// How long a browser may take to start, and a page to show what a test waits for, in milliseconds.
let private patience = 180_000f

/// Calls `body` with a new page. Then nothing may have been reported as an error: no message on the console, no exception, and no file that
/// the page did not get. Without a browser, the test says that it did not run.
let withPage (options: BrowserNewPageOptions) (body: IPage -> Task) : Task =
    task {
        match chromium with
        | None -> skiptest "there is no Chromium here"
        | Some path ->
            use! playwright = Playwright.CreateAsync()
            // A process of root has no sandbox, and shared memory is small in containers.
            let arguments = [| "--no-sandbox"; "--disable-dev-shm-usage" |]

            let launch =
                BrowserTypeLaunchOptions(ExecutablePath = path, Args = arguments, Timeout = Nullable patience)

            let! browser = playwright.Chromium.LaunchAsync launch

            use _ =
                { new IDisposable with
                    member _.Dispose() = browser.DisposeAsync().AsTask().Wait() }

            let! page = browser.NewPageAsync options
            page.SetDefaultTimeout patience
            let errors = ConcurrentQueue<string>()

            page.Console.Add(fun message ->
                if message.Type = "error" then
                    errors.Enqueue $"{message.Text} ({message.Location})")

            page.PageError.Add errors.Enqueue

            page.RequestFailed.Add(fun request ->
                // What a page was still getting when the browser left it is no error.
                if request.Failure <> "net::ERR_ABORTED" then
                    errors.Enqueue $"{request.Url}: {request.Failure}")

            page.Response.Add(fun response ->
                if response.Status >= 400 then
                    errors.Enqueue $"{response.Url}: {response.Status}")

            do! body page
            Expect.equal (List.ofSeq errors) [] "errors of the page"
    }

/// The number of drawn traces of each chart.
let tracesOf (page: IPage) =
    page.EvaluateAsync<int[]>
        "() => [...document.querySelectorAll('.chart')].map(chart => chart.querySelectorAll('.scatterlayer .trace').length)"

/// Nothing may be wider than the window.
let expectFits (page: IPage) =
    task {
        let! overflow = page.EvaluateAsync<int> "() => document.documentElement.scrollWidth - innerWidth"
        Expect.isLessThanOrEqual overflow 0 "wider than the window"
    }

let private types =
    Map
        [ ".html", "text/html"
          ".js", "text/javascript"
          ".mjs", "text/javascript"
          ".wasm", "application/wasm" ]

/// Answers a request with a file of the folder.
let private answer (folder: string) (context: HttpListenerContext) =
    let name = context.Request.Url.AbsolutePath.TrimStart '/'
    let path = Path.Combine(folder, (if name = "" then "index.html" else name))
    use response = context.Response

    if File.Exists path then
        types
        |> Map.tryFind (Path.GetExtension path)
        |> Option.iter (fun contentType -> response.ContentType <- contentType)

        let content = File.ReadAllBytes path
        response.OutputStream.Write(content, 0, content.Length)
    else
        response.StatusCode <- 404

let private freePort () =
    use socket = new TcpListener(IPAddress.Loopback, 0)
    socket.Start()
    (socket.LocalEndpoint :?> IPEndPoint).Port

/// Serves the files of a folder on this machine while `body` runs, which gets the address.
let serving folder (body: string -> Task) : Task =
    task {
        let address = $"http://localhost:{freePort ()}/"
        use listener = new HttpListener()
        listener.Prefixes.Add address
        listener.Start()

        let serve =
            task {
                try
                    while listener.IsListening do
                        let! context = listener.GetContextAsync()
                        answer folder context
                with
                | :? HttpListenerException
                | :? ObjectDisposedException -> () // The listener was stopped.
            }

        do! body address
        listener.Stop()
        do! serve
    }
