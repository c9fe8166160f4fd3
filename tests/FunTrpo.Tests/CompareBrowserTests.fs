/// The page that compares runs in a real browser.
module FunTrpo.Tests.CompareBrowserTests

open System
open System.IO
open Expecto
open FunTrpo.Tests.Browser
open FunTrpo.Tests.CommandRuns
open FunTrpo.Tests.TestFiles
open Microsoft.Playwright

/// The page of a sweep on two environments, made once.
let private swept =
    lazy
        inFolder (fun folder ->
            let arguments =
                [ "--env"; "CartPole-v1,Pendulum-v1"; "--seeds"; "0..3"; "--grid"; "delta=0.003,0.01,0.03" ]

            let ended =
                funtrpo folder ([ "sweep"; "--steps"; "6k"; "--score-episodes"; "5"; "--out"; "s" ] @ arguments)

            Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
            File.ReadAllText(Path.Combine(folder, "s", "sweep.html")))

let private isUsable (page: IPage) =
    task {
        let! charts = tracesOf page
        Expect.hasLength charts 5 "charts"
        Expect.all charts (fun traces -> traces > 1) "traces"
        let! errorBars = page.EvaluateAsync<int> "() => document.querySelectorAll('.errorbar').length"
        Expect.equal errorBars 5 "intervals: three means and two probabilities"
        let! label = page.GetAttributeAsync(".chart", "aria-label")
        Expect.stringContains label "delta=0.003: " "the numbers in words"

        let! unnamed =
            page.EvaluateAsync<int>
                "() => [...document.querySelectorAll('.chart, [tabindex]')].filter(e => !e.getAttribute('aria-label') || !e.getAttribute('role')).length"

        Expect.equal unnamed 0 "what has no name"
        let! heads = page.EvaluateAsync<int> "() => document.querySelectorAll('tbody th[scope=row]').length"
        Expect.equal heads (6 + 3 + 6 + 24) "heads of rows"
        do! expectFits page

        let! colours =
            page.EvaluateAsync<string[]>
                "() => [...document.querySelectorAll('#tables section:first-child .spot')].slice(0, 3).map(e => getComputedStyle(e).backgroundColor)"

        let! lines =
            page.EvaluateAsync<string[]>
                "() => [...document.querySelectorAll('.chart:first-of-type')][0].querySelectorAll('.legendlines path').length ? [...[...document.querySelectorAll('.chart')][0].querySelectorAll('.legendlines path')].slice(0, 3).map(e => e.style.stroke) : []"

        Expect.equal colours lines "a group has one colour, in tables and charts"
        Expect.hasLength (Array.distinct colours) 3 "colours"
    }

/// Wide tables are scrolled by the keyboard.
let private scrolls (page: IPage) =
    task {
        do! page.FocusAsync "#tables section:last-child .scroller"
        do! page.Keyboard.PressAsync "ArrowRight"
        let! _ = page.WaitForFunctionAsync "() => document.activeElement.scrollLeft > 0"
        return ()
    }

let private brightness (page: IPage) =
    page.EvaluateAsync<int[]>
        "() => { const sum = colour => colour.match(/\\d+/g).slice(0, 3).map(Number).reduce((a, b) => a + b); return [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('.chart .xtick text')).fill].map(sum); }"

let private shows =
    [ for name, options in
          [ "desktop-light", desktop
            "desktop-dark", Browser.options 1280 900 ColorScheme.Dark
            "phone-light", Browser.options 390 844 ColorScheme.Light
            "phone-dark", phone ] do
          testCaseTask $"shows its charts and tables: {name}" (fun () ->
              task {
                  let folder = Directory.CreateTempSubdirectory "funtrpo-compare-"

                  try
                      let path = Path.Combine(folder.FullName, "sweep.html")
                      File.WriteAllText(path, swept.Value)

                      do!
                          withPage options (fun page ->
                              task {
                                  let! _ = page.GotoAsync(Uri(path).AbsoluteUri)
                                  do! isUsable page

                                  if name.StartsWith "phone" then
                                      do! scrolls page

                                  let! colours = brightness page
                                  let isDark = name.EndsWith "dark"

                                  Expect.equal
                                      (colours[0] < 150, colours[1] > 400)
                                      (isDark, isDark)
                                      "ground and labels"

                                  match Environment.GetEnvironmentVariable "FUNTRPO_TESTS_PICTURES" with
                                  | null -> ()
                                  | pictures ->
                                      let file = Path.Combine(pictures, $"compare-{name}.png")

                                      let! _ =
                                          page.ScreenshotAsync(PageScreenshotOptions(Path = file, FullPage = true))

                                      ()
                              })
                  finally
                      folder.Delete true
              }) ]

let tests = testSequenced (testList "Compare page in a browser" shows)
