/// The report page in a real browser.
module FunTrpo.Tests.ReportBrowserTests

open System
open System.Collections.Concurrent
open System.IO
open System.Threading.Tasks
open Expecto
open FunTrpo
open FunTrpo.Plots
open FunTrpo.Tests.Browser
open FunTrpo.Tests.CommandRuns
open FunTrpo.Tests.PageCases
open FunTrpo.Tests.TestFiles
open Microsoft.Playwright

/// The page of a run by the command, made once.
let private trained =
    lazy
        inFolder (fun folder ->
            let settings = [ "--steps"; "8k"; "--evaluate-every"; "2k"; "--set"; "delta=0.02" ]
            let ended = funtrpo folder ([ "train"; "--out"; "run" ] @ settings)
            Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
            File.ReadAllText(Path.Combine(folder, "run", "report.html")))

/// Opens a page with these options, calls `body`, and fails if the page asked for anything but itself.
let private opening (html: Lazy<string>) (options: BrowserNewPageOptions) (body: IPage -> Task<unit>) =
    let inPage (path: string) (page: IPage) : Task =
        task {
            File.WriteAllText(path, html.Value)
            let requests = ConcurrentQueue<string>()
            page.Request.Add(fun request -> requests.Enqueue request.Url)
            let address = Uri(path).AbsoluteUri
            let! _ = page.GotoAsync address
            do! body page
            Expect.all requests (fun url -> url = address || url.StartsWith "data:") "requests"
        }

    task {
        let folder = Directory.CreateTempSubdirectory "funtrpo-report-"

        try
            do! withPage options (inPage (Path.Combine(folder.FullName, "report.html")))
        finally
            folder.Delete true
    }

let picture name (page: IPage) =
    task {
        match Environment.GetEnvironmentVariable "FUNTRPO_TESTS_PICTURES" with
        | null -> ()
        | folder ->
            let path = Path.Combine(folder, $"{name}.png")
            let! _ = page.ScreenshotAsync(PageScreenshotOptions(Path = path, FullPage = true))
            ()
    }

let private step (page: IPage) =
    task {
        let! text = page.TextContentAsync "#step"
        return int (text.Split(' ')[0])
    }

/// The picture as data.
let private drawing (page: IPage) = page.EvaluateAsync<string> "() => document.getElementById('picture').toDataURL()"

let waitFor (page: IPage) (condition: string) : Task = page.WaitForFunctionAsync condition

let moves (page: IPage) =
    task {
        let! before = drawing page

        let! _ =
            page.WaitForFunctionAsync("before => document.getElementById('picture').toDataURL() !== before", before)

        let! from = step page
        // Another step: after the last one, the first one follows.
        do! waitFor page $"() => parseInt(document.getElementById('step').textContent) !== {from}"
    }

/// The button pauses and goes on by the keyboard, and the slider goes to any step.
let private isControlled (page: IPage) =
    task {
        let! name = page.TextContentAsync "#play"
        Expect.equal name "Pause" "while it plays"
        do! page.FocusAsync "#play"
        do! page.Keyboard.PressAsync "Enter"
        let! name = page.TextContentAsync "#play"
        Expect.equal name "Play" "while it pauses"
        let! before = step page
        let! drawn = drawing page
        do! Task.Delay 300
        let! after = step page
        let! drawnAfter = drawing page
        Expect.equal (after, drawnAfter) (before, drawn) "nothing moves"
        do! page.FocusAsync "#position"
        do! page.Keyboard.PressAsync "Home"
        do! page.Keyboard.PressAsync "ArrowRight"
        let! second = step page
        Expect.equal second 1 "the second frame"
        let! said = page.GetAttributeAsync("#position", "aria-valuetext")
        Expect.stringStarts said "step 1 of" "what a screen reader says"
        do! page.Keyboard.PressAsync "End"
        let! last = step page
        let! text = page.TextContentAsync "#step"
        Expect.stringEnds text $"of {last}" "the last frame"
        // From the end it begins again, at the speed that was chosen; a new start must not draw a frame before the first.
        let! _ = page.SelectOptionAsync("#speed", "120")

        for _ in 1..6 do
            do! page.ClickAsync "#play"

        do! page.ClickAsync "#play"
        do! moves page
    }

let private areDrawn (page: IPage) =
    task {
        let! charts = tracesOf page
        Expect.hasLength charts 8 "charts"
        Expect.all charts (fun traces -> traces > 0) "traces"

        let! unnamed =
            page.EvaluateAsync<string[]>
                "() => [...document.querySelectorAll('button, input, select, canvas, .chart')].filter(e => !(e.getAttribute('aria-label') || e.labels?.[0]?.textContent.trim() || e.textContent.trim() && e.matches('button'))).map(e => e.outerHTML)"

        Expect.isEmpty unnamed "what has no name"

        let! label = page.GetAttributeAsync(".chart", "aria-label")
        Expect.stringContains label "at last" "the numbers in words"
        do! expectFits page
        let! changed = page.EvaluateAsync<string> "() => document.querySelector('tr.changed').textContent"
        Expect.stringStarts changed "delta0.020.01" "the changed setting"
    }

/// The colours of the page, its charts and its accent, as red + green + blue.
let private brightness (page: IPage) =
    page.EvaluateAsync<int[]>
        "() => { const sum = colour => colour.match(/\\d+/g).slice(0, 3).map(Number).reduce((a, b) => a + b); return [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('.chart .bg') ?? document.body).fill, getComputedStyle(document.querySelector('.chart .xtick text')).fill].map(sum); }"

let isLight (page: IPage) =
    task {
        let! colours = brightness page
        Expect.isGreaterThan (min colours[0] colours[1]) 600 "the grounds"
        Expect.isLessThan colours[2] 400 "the labels"
    }

let isDark (page: IPage) =
    task {
        let! colours = brightness page
        Expect.isLessThan (max colours[0] colours[1]) 150 "the grounds"
        Expect.isGreaterThan colours[2] 400 "the labels"
    }

let private shows =
    [ for name, options in
          [ "desktop-light", desktop
            "desktop-dark", Browser.options 1280 900 ColorScheme.Dark
            "phone-light", Browser.options 390 844 ColorScheme.Light
            "phone-dark", phone ] do
          testCaseTask $"shows its charts and plays the policy: {name}" (fun () ->
              opening trained options (fun page ->
                  task {
                      do! areDrawn page
                      do! moves page
                      do! picture $"report-{name}" page
                      do! isControlled page
                      do! (if name.EndsWith "dark" then isDark page else isLight page)
                  })) ]

let private follows =
    testCaseTask "changes its colours with those of the system, its charts too" (fun () ->
        opening trained desktop (fun page ->
            task {
                do! isLight page
                do! page.EmulateMediaAsync(PageEmulateMediaOptions(ColorScheme = ColorScheme.Dark))

                do!
                    waitFor
                        page
                        "() => getComputedStyle(document.querySelector('.chart .xtick text')).fill !== 'rgb(75, 85, 99)'"

                do! isDark page
            }))

let private still =
    testCaseTask "does not play by itself for readers who want no motion" (fun () ->
        let options = Browser.options 1280 900 ColorScheme.Light
        options.ReducedMotion <- ReducedMotion.Reduce

        opening trained options (fun page ->
            task {
                let! name = page.TextContentAsync "#play"
                Expect.equal name "Play" "the button"
                do! Task.Delay 300
                let! step = step page
                Expect.equal step 0 "the step"
                do! page.ClickAsync "#play"
                do! moves page
            }))

let private hostile =
    testCaseTask "shows any name as a text, and says so where there is nothing to play" (fun () ->
        let name = "</script><script>throw 1</script><img src=x onerror='throw 2'>"

        let html =
            lazy ReportPage.html { page (snd (run 2 1L)) NotDrawn with Environment = name; Facts = [ name, name ] }

        opening html phone (fun page ->
            task {
                let! heading = page.TextContentAsync "h1"
                Expect.equal heading name "the heading"
                let! title = page.TitleAsync()
                Expect.stringStarts title name "the title"
                let! isHidden = page.IsHiddenAsync "#player"
                Expect.isTrue isHidden "the player"
                let! why = page.TextContentAsync "#policy-text"
                Expect.stringContains why "does not draw its states" "why"
                do! expectFits page
            }))

let private warnings =
    testCaseTask "shows the warnings of the run, and no list where there are none" (fun () ->
        let reports = snd (run 2 1L)
        let warned = reports |> List.map (fun report -> { report with Warnings = [ LowEntropy(10, 1e-4) ] })

        let listed reports check =
            opening (lazy ReportPage.html (page reports NotDrawn)) phone (fun page ->
                task {
                    let! isHidden = page.IsHiddenAsync "#warnings"
                    let! items = page.Locator("#warnings li").AllTextContentsAsync()
                    check isHidden (List.ofSeq items)
                    do! picture "warnings" page
                })

        task {
            do! listed reports (fun isHidden items -> Expect.equal (isHidden, items) (true, []) "none")

            do!
                listed warned (fun isHidden items ->
                    let text i = $"Warning in iteration {i}: hardly any entropy"
                    Expect.equal (isHidden, items) (false, [ text 1; text 2 ]) "both")
        })

let tests =
    testSequenced (testList "Report in a browser" (shows @ [ follows; still; hostile; warnings ]))
