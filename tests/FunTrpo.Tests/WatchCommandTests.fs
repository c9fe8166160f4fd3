/// `funtrpo watch` as a process: what it answers to whom, and its pages in a browser.
module FunTrpo.Tests.WatchCommandTests

open System
open System.Diagnostics
open System.IO
open System.Net
open System.Net.Http
open System.Net.Sockets
open System.Text.Json
open System.Threading.Tasks
open Expecto
open FunTrpo.Tests.Browser
open FunTrpo.Tests.CommandRuns
open FunTrpo.Tests.ReportBrowserTests
open FunTrpo.Tests.TestFiles
open Microsoft.Playwright

let private interrupt (running: Process) = Expect.equal (shell $"kill -INT {running.Id}" []).Code 0 "kill"

/// Calls `body` with the address of a server of the folder, and ends the server by Ctrl-C.
let private watching folder arguments (body: Uri -> Task) : Task =
    task {
        use running = start folder ([ "watch"; "."; "--port"; "0" ] @ arguments)
        let! line = running.StandardOutput.ReadLineAsync()
        Expect.stringStarts line "The runs in . are shown at http://127.0.0.1:" "the address"

        try
            do! body (Uri(line.Substring(line.IndexOf "http")))
        finally
            interrupt running
            let isOver = running.WaitForExit(TimeSpan.FromMinutes 1.0)

            if not isOver then
                running.Kill()

            Expect.isTrue isOver "it ends soon after Ctrl-C"

        Expect.equal running.ExitCode 0 "exit code"
        let! errors = running.StandardError.ReadToEndAsync()
        Expect.equal errors "" "errors"
    }

/// A test with a server, and a folder that `prepare` fills.
let private watchTest name (prepare: string -> unit) (body: string -> Uri -> Task) =
    testCaseTask name (fun () ->
        task {
            if OperatingSystem.IsWindows() then
                skiptest "signals are those of Unix"

            let folder = Directory.CreateTempSubdirectory "funtrpo-watch-"

            try
                prepare folder.FullName
                do! watching folder.FullName [] (body folder.FullName)
            finally
                folder.Delete true
        })

let private train out folder =
    let ended =
        funtrpo folder [ "train"; "--steps"; "3000"; "--set"; "horizon=50"; "--no-report"; "--out"; out ]

    Expect.equal (ended.Code, ended.Errors) (0, "") "train"

let private documented =
    watchTest "prints what docs/watch.md shows" ignore (fun folder address ->
        task {
            let _, shown = DocumentationTests.blocks "watch" "docs/watch.md" |> List.exactlyOne
            Directory.CreateDirectory(Path.Combine(folder, "runs")) |> ignore
            use running = start folder [ "watch"; "runs"; "--port"; "0" ]
            let! first = running.StandardOutput.ReadLineAsync()
            let! second = running.StandardOutput.ReadLineAsync()
            interrupt running
            do! running.WaitForExitAsync()
            let printed = $"{first}\n{second}\n"
            let port = Uri(first.Substring(first.IndexOf "http")).Port
            Expect.notEqual port address.Port "two servers"

            Expect.equal
                (printed.Replace(string port, string FunTrpo.Watch.Server.standardPort))
                shown
                "what is printed"
        })

// ---- Requests ----

let private ask (change: HttpRequestMessage -> unit) (address: Uri) =
    task {
        use client = new HttpClient()
        use request = new HttpRequestMessage(HttpMethod.Get, address)
        change request
        let! response = client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead)
        return response
    }

let private get = ask ignore
let private code (response: HttpResponseMessage) = int response.StatusCode

/// The first event of a stream: its name and its data.
let private firstEvent (address: Uri) =
    task {
        use! response = get address
        Expect.equal (response.Content.Headers.ContentType.MediaType) "text/event-stream" "type"
        use! stream = response.Content.ReadAsStreamAsync()
        use reader = new StreamReader(stream)
        let! name = reader.ReadLineAsync()
        let! data = reader.ReadLineAsync()
        return name, JsonDocument.Parse(data.Substring(data.IndexOf ':' + 1)).RootElement
    }

let private requests =
    [ watchTest
          "answers only those on this machine who ask by its own names, and only GET"
          (train "cart")
          (fun _ address ->
              task {
                  for host, expected in
                      [ $"127.0.0.1:{address.Port}", 200
                        "localhost", 200
                        "LOCALHOST:1", 200
                        "[::1]:8640", 200
                        "evil.example", 403
                        "localhost.evil.example", 403
                        "127.0.0.1.evil.example", 403
                        "10.0.0.1", 403 ] do
                      for path in [ ""; "run?name=cart"; "run/events?name=cart"; "plotly.js"; "nothing" ] do
                          use! response = ask (fun request -> request.Headers.Host <- host) (Uri(address, path))

                          Expect.equal
                              (code response)
                              (if expected = 200 && path = "nothing" then 404 else expected)
                              $"{host} {path}"

                  for verb in [ HttpMethod.Post; HttpMethod.Put; HttpMethod.Delete; HttpMethod.Options ] do
                      use! response = ask (fun request -> request.Method <- verb) address
                      Expect.equal (code response) 405 $"{verb}"
              })

      watchTest "shows only what is a run" (train "cart") (fun folder address ->
          task {
              File.WriteAllText(Path.Combine(folder, "secret"), "secret")

              for name in [ ".."; "../.."; "/etc"; "%2e%2e"; "cart/.."; "secret"; ""; "cart%00" ] do
                  for path in [ "run"; "run/events"; "run/episode" ] do
                      use! response = get (Uri(address, $"{path}?name={name}"))
                      Expect.equal (code response) 404 $"{path} {name}"

              for path in [ "secret"; "../secret"; "cart/policy.json"; "run/"; "RUN"; "page.css/x" ] do
                  use! response = get (Uri(address, path))
                  Expect.equal (code response) 404 path
          })

      watchTest "sends files once, and says what browsers may do with them" (train "cart") (fun _ address ->
          task {
              for path in [ ""; "run?name=cart"; "page.css"; "plotly.js"; "report.js" ] do
                  use! response = get (Uri(address, path))
                  Expect.equal (code response) 200 path
                  let policy = response.Headers.GetValues "Content-Security-Policy" |> Seq.exactlyOne

                  for part in [ "default-src 'none'"; "script-src 'self';"; "frame-ancestors 'none'" ] do
                      Expect.stringContains policy part path

                  Expect.isFalse (response.Headers.Contains "Access-Control-Allow-Origin") "no other origin"

                  use! again =
                      ask (fun request -> request.Headers.IfNoneMatch.Add response.Headers.ETag) (Uri(address, path))

                  Expect.equal (code again) 304 $"{path} again"
          })

      watchTest "tells the runs, the page of a run and an episode" (train "cart") (fun _ address ->
          task {
              let! name, data = firstEvent (Uri(address, "runs/events"))
              Expect.equal name "event: runs" "the list"
              let run = PageCases.all "runs" data |> List.exactlyOne
              Expect.equal (PageCases.text "name" run, PageCases.text "state" run) ("cart", "finished") "the run"
              let! name, data = firstEvent (Uri(address, "run/events?name=cart"))
              Expect.equal name "event: report" "the page"
              Expect.equal (PageCases.text "environment" data) "CartPole-v1" "environment"
              use! response = get (Uri(address, "run/episode?name=cart"))
              let! json = response.Content.ReadAsStringAsync()
              let episode = JsonDocument.Parse(json).RootElement.GetProperty "episode"
              Expect.isGreaterThan (PageCases.framesOf episode).Length 5 "frames"
          }) ]

let private refused =
    [ inNewFolder "is refused for a port that is in use, and for a folder that is not there" (fun folder ->
          use other = new TcpListener(IPAddress.Loopback, 0)
          other.Start()
          let port = (other.LocalEndpoint :?> IPEndPoint).Port

          for arguments, part in
              [ [ "."; "--port"; string port ], "it must be a port that is free"
                [ "."; "--port"; "65536" ], "it must be an integer in [0, 65535]"
                [ "nothing" ], "there is no folder nothing" ] do
              let ended = funtrpo folder ("watch" :: arguments)
              Expect.equal (ended.Code, ended.Output) (2, "") ended.Errors
              Expect.stringContains ended.Errors part "why"
              Expect.isFalse (ended.Errors.Contains "   at ") "a stack trace")

      inNewFolder "alone needs ASP.NET Core: no other command names or loads it" (fun folder ->
          let settings =
              File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "FunTrpo.Cli.runtimeconfig.json"))

          Expect.isFalse (settings.Contains "AspNetCore") "frameworks"
          let copy = Path.Combine(folder, "command")
          Directory.CreateDirectory copy |> ignore

          for path in Directory.GetFiles AppContext.BaseDirectory do
              File.Copy(path, Path.Combine(copy, Path.GetFileName path))

          for name in [ "FunTrpo.Watch.dll"; "Spectre.Console.dll" ] do
              File.WriteAllText(Path.Combine(copy, name), "no assembly")

          let program = Path.Combine(copy, "FunTrpo.Cli.dll")

          for arguments in [ "list"; "train --steps 400 --out run"; "report run" ] do
              let ended = shell $"cd '{folder}' && dotnet '{program}' {arguments}" []
              Expect.equal (ended.Code, ended.Errors) (0, "") arguments) ]

// ---- In a browser ----

let private unnamed (page: IPage) =
    page.EvaluateAsync<string[]>
        "() => [...document.querySelectorAll('a, button, input, select, canvas, svg.sparkline, .chart')].filter(e => e.offsetParent !== null || e.matches('svg')).filter(e => !(e.getAttribute('aria-label') || e.labels?.[0]?.textContent.trim() || e.textContent.trim())).map(e => e.outerHTML)"

let private expectReadable (page: IPage) =
    task {
        do! expectFits page
        let! unnamed = unnamed page
        Expect.isEmpty unnamed "what has no name"
    }

let private rowText (page: IPage) name =
    page.EvaluateAsync<string>(
        $"() => [...document.querySelectorAll('#list tr')].find(row => row.querySelector('a').textContent === '{name}')?.textContent ?? ''"
    )

let private index =
    [ for name, options in
          [ "desktop-light", desktop
            "desktop-dark", Browser.options 1280 900 ColorScheme.Dark
            "phone-light", Browser.options 390 844 ColorScheme.Light
            "phone-dark", phone ] do
          watchTest $"lists the runs, and follows them: {name}" (train "cart") (fun folder address ->
              withPage options (fun page ->
                  task {
                      let! _ = page.GotoAsync(string address)
                      do! waitFor page "() => document.querySelectorAll('#list tr').length === 1"
                      let! row = rowText page "cart"
                      Expect.stringContains row "CartPole-v10finished" "the run"
                      // A run that appears, and one that cannot be read.
                      train "more/seed 5" folder
                      Directory.CreateDirectory(Path.Combine(folder, "broken")) |> ignore
                      File.WriteAllText(Path.Combine(folder, "broken", "config.json"), "{}")
                      do! waitFor page "() => document.querySelectorAll('#list tr').length === 3"

                      let! names =
                          page.EvaluateAsync<string[]>
                              "() => [...document.querySelectorAll('#list a')].map(a => a.textContent)"

                      Expect.equal names [| "broken"; "cart"; "more/seed 5" |] "in order"
                      do! waitFor page "() => document.querySelector('#list').textContent.includes('damaged')"
                      let! count = page.TextContentAsync "#count"
                      Expect.equal count "3 runs, 0 of them running" "how many"
                      do! expectReadable page
                      do! picture $"watch-index-{name}" page
                      // By the keyboard to the page of a run whose name needs escaping.
                      for _ in 1..3 do
                          do! page.Keyboard.PressAsync "Tab"

                      do! page.Keyboard.PressAsync "Enter"
                      do! waitFor page "() => document.getElementById('environment')?.textContent === 'CartPole-v1'"
                      let! title = page.TitleAsync()
                      Expect.equal title "CartPole-v1 – training run" "title"
                      do! page.ClickAsync ".over a"
                      do! waitFor page "() => document.querySelectorAll('#list tr').length === 3"
                      Directory.Delete(Path.Combine(folder, "cart"), true)
                      do! waitFor page "() => document.querySelectorAll('#list tr').length === 2"
                  })) ]

/// Each chart is as wide as its place, also after cards have been added.
let private chartsFill =
    "() => [...document.querySelectorAll('.chart')].every(place => Math.abs(place.clientWidth - place.querySelector('.main-svg').clientWidth) < 2)"

let private points (page: IPage) = page.EvaluateAsync<int> "() => document.querySelector('.chart').data.at(-1).x.length"

let private follows =
    [ for name, options in [ "desktop-light", desktop; "phone-dark", phone ] do
          watchTest $"shows a run while it trains: {name}" ignore (fun folder address ->
              task {
                  use running =
                      start
                          folder
                          [ "train"
                            "--env"
                            "Pendulum-v1"
                            "--steps"
                            "1e9"
                            "--stop-at"
                            "0"
                            "--evaluate-every"
                            "50k"
                            // The steps of the preset vanish within a minute, and then each episode is the same.
                            "--set"
                            "deltaHalfLife=0"
                            "--out"
                            "run" ]

                  // A process whose output is not read waits once the pipe is full.
                  running.OutputDataReceived.Add ignore
                  running.BeginOutputReadLine()

                  try
                      do!
                          withPage options (fun page ->
                              task {
                                  let! _ = page.GotoAsync(string address)
                                  do! waitFor page "() => document.querySelector('.state.running')"
                                  do! page.ClickAsync "#list a"
                                  do! waitFor page "() => document.querySelectorAll('.chart').length === 8"
                                  do! page.EvaluateAsync("() => { window.isTheSame = true; }") :> Task
                                  do! moves page
                                  let! verdict = page.TextContentAsync "#verdict"
                                  Expect.stringStarts verdict "Is training: " "verdict"
                                  let! before = points page
                                  // The reader zooms, and focuses a button.
                                  let! _ =
                                      page.EvaluateAsync
                                          "() => Plotly.relayout(document.querySelector('.chart'), { 'xaxis.range': [1000, 20000] })"

                                  do! page.FocusAsync "#play"

                                  do!
                                      waitFor
                                          page
                                          $"() => document.querySelector('.chart').data.at(-1).x.length > {before} + 5"

                                  let! kept =
                                      page.EvaluateAsync<string>
                                          "() => JSON.stringify([window.isTheSame, document.querySelector('.chart').layout.xaxis.range, document.activeElement.id, document.querySelectorAll('.chart').length])"

                                  Expect.equal kept "[true,[1000,20000],\"play\",8]" "what stays"
                                  do! expectReadable page
                                  do! waitFor page chartsFill
                                  do! (if name.EndsWith "dark" then isDark page else isLight page)
                                  do! picture $"watch-run-{name}" page
                                  // The policy of now.
                                  let! episode = page.GetAttributeAsync("#picture", "aria-label")

                                  // The run saves its policy once a second, so the first clicks may play the same one.
                                  let! _ =
                                      page.WaitForFunctionAsync(
                                          "before => { [...document.querySelectorAll('button')].find(button => button.textContent === 'Play the current policy').click(); return document.getElementById('picture').getAttribute('aria-label') !== before; }",
                                          episode
                                      )

                                  do! moves page
                                  interrupt running

                                  do!
                                      waitFor
                                          page
                                          "() => document.getElementById('verdict').textContent.startsWith('Was stopped')"
                                  // The run is deleted, damaged and made again while it is watched.
                                  let run = Path.Combine(folder, "run")
                                  running.WaitForExit()
                                  Directory.Move(run, run + "2")

                                  do!
                                      waitFor
                                          page
                                          "() => document.getElementById('notice').textContent.includes('gone')"

                                  Directory.Move(run + "2", run)
                                  do! waitFor page "() => document.getElementById('notice').hidden"
                                  File.AppendAllText(Path.Combine(run, "config.json"), "}")

                                  do!
                                      waitFor
                                          page
                                          "() => document.getElementById('notice').textContent.includes('cannot be read')"

                                  train "run" folder

                                  do!
                                      waitFor
                                          page
                                          "() => document.getElementById('environment').textContent === 'CartPole-v1'"

                                  do! waitFor page "() => document.getElementById('notice').hidden"
                                  do! waitFor page "() => document.querySelectorAll('.chart').length === 7"
                              })
                  finally
                      if not running.HasExited then
                          running.Kill()
              }) ]

let tests =
    testSequenced (testList "Watch command" (documented :: requests @ refused @ index @ follows))
