/// examples/Web: a policy that is trained and exported as its README says balances a pole in a browser.
module FunTrpo.Tests.WebExampleTests

open System
open System.IO
open System.Text.Json
open System.Threading.Tasks
open Expecto
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Browser
open FunTrpo.Tests.CommandRuns
open FunTrpo.Tests.DocumentationTests
open FunTrpo.Tests.TestFiles

let private folder = "examples/Web"

/// A copy of the example, without what was installed there.
let private copyTo target =
    for path in Directory.GetFiles(Path.Combine(root, folder)) do
        File.Copy(path, Path.Combine(target, Path.GetFileName path))

    File.Delete(Path.Combine(target, "cartpole.onnx"))

let private npm arguments working =
    match tryFindProgram "npm" with
    | None -> skiptest "there is no npm here"
    | Some program ->
        let ended = runProgram working program arguments
        Expect.equal ended.Code 0 $"npm: {ended.Output}{ended.Errors}"

/// Runs the commands that the README shows.
let private prepare working =
    let _, commands = blocks "commands" $"{folder}/README.md" |> List.exactlyOne

    for line in commands.TrimEnd().Split '\n' do
        match line.Split ' ' |> List.ofArray with
        | "funtrpo" :: arguments ->
            let ended = funtrpo working arguments
            Expect.equal ended.Code 0 ended.Errors
        | "npm" :: arguments -> npm arguments working
        | other -> failtest $"an unknown command: {other}"

let private number (page: Microsoft.Playwright.IPage) id =
    task {
        let! text = page.TextContentAsync $"#{id}"
        return int text
    }

/// Waits until the pole was kept upright for this many steps; the failures so far. They are read at once: the page goes on.
let private failuresAfter (page: Microsoft.Playwright.IPage) (steps: int) =
    task {
        let! read =
            page.WaitForFunctionAsync(
                "steps => Number(document.getElementById('steps').textContent) >= steps && { falls: Number(document.getElementById('falls').textContent) }",
                steps
            )

        let! falls = read.EvaluateAsync<int> "read => read.falls"
        return falls
    }

/// Waits until the steps of the page stand still. The frame that had begun before a pause may take 80 more.
let private waitForPause (page: Microsoft.Playwright.IPage) =
    task {
        let clock = Diagnostics.Stopwatch.StartNew()
        let mutable before = -1
        let! first = number page "steps"
        let mutable now = first

        while now <> before do
            Expect.isLessThan clock.Elapsed (TimeSpan.FromMinutes 1.0) "the page pauses"
            do! Task.Delay 200
            let! next = number page "steps"
            before <- now
            now <- next
    }

let private plays (page: Microsoft.Playwright.IPage) (address: string) : Task =
    task {
        let! _ = page.GotoAsync address
        let! title = page.TitleAsync()
        Expect.stringContains title "balances a pole" "title"
        let! _ = page.SelectOptionAsync("#speed", "16")
        let! falls = failuresAfter page 450
        Expect.equal falls 0 "failures"
        let! status = page.TextContentAsync "#status"
        Expect.equal status "The policy plays." "status"

        // The picture is drawn, and the buttons do what they say, for the keyboard, too.
        let drawn =
            "() => new Set(document.getElementById('picture').getContext('2d').getImageData(0, 0, 3000, 3000).data).size"

        let! colours = page.EvaluateAsync<int> drawn
        Expect.isGreaterThan colours 10 "values of pixels"
        do! page.FocusAsync "#play"
        do! page.Keyboard.PressAsync "Enter"
        let! pause = page.TextContentAsync "#play"
        Expect.equal pause "Play" "the button"
        do! waitForPause page

        let! unnamed =
            page.EvaluateAsync<int>
                "() => [...document.querySelectorAll('button')].filter(b => !b.textContent.trim()).length"

        Expect.equal unnamed 0 "buttons without a name"
        let! overflow = page.EvaluateAsync<bool> "() => document.documentElement.scrollWidth > window.innerWidth"
        Expect.isFalse overflow "wider than the window"

        match Environment.GetEnvironmentVariable "FUNTRPO_TESTS_PICTURES" with
        | null -> ()
        | pictures ->
            let path = Path.Combine(pictures, $"web-{page.ViewportSize.Width}.png")
            let! _ = page.ScreenshotAsync(Microsoft.Playwright.PageScreenshotOptions(Path = path, FullPage = true))
            ()
    }

/// The steps of the page's physics from random states are those of the library.
let private samePhysics (page: Microsoft.Playwright.IPage) : Task =
    task {
        let key = Key.ofSeed 1L

        for i in 0L .. 49L do
            let at name scale = scale * (2.0 * Key.uniform (Key.named name (Key.at i key)) - 1.0)

            let state: CartPole.State =
                { Position = at "position" 2.4
                  Velocity = at "velocity" 3.0
                  Angle = at "angle" 0.3
                  AngularVelocity = at "angular" 3.0 }

            let action = int (i % 2L)
            let expected = CartPole.dynamics (if action = 1 then CartPole.push else -CartPole.push) state

            let script =
                "async ([p, v, a, w, action]) => { const m = await import('./cartpole.js'); const s = m.step({ position: p, velocity: v, angle: a, angularVelocity: w }, action); return [...m.observe(s), m.hasFailed(s) ? 1 : 0]; }"

            let numbers = [| state.Position; state.Velocity; state.Angle; state.AngularVelocity; float action |]
            let! found = page.EvaluateAsync<float[]>(script, numbers)

            let expected =
                [| expected.Position
                   expected.Velocity
                   expected.Angle
                   expected.AngularVelocity
                   (if CartPole.hasFailed expected then 1.0 else 0.0) |]

            for a, b in Array.zip expected found do
                Expect.isLessThan (abs (a - b)) 1e-12 "a number of the state"
    }

let private example =
    testCaseTask
        "examples/Web, made as its README says, balances the pole in the browser, on a desktop and on a phone"
        (fun () ->
            task {
                let working = Directory.CreateTempSubdirectory "funtrpo-web-"

                try
                    let body (page: Microsoft.Playwright.IPage) address : Task =
                        task {
                            do! plays page address
                            do! samePhysics page
                        }

                    do!
                        withPage desktop (fun page ->
                            task {
                                copyTo working.FullName
                                prepare working.FullName
                                do! serving working.FullName (body page)
                            })

                    do! withPage phone (fun page -> serving working.FullName (plays page))
                finally
                    working.Delete true
            })

let private failing =
    testCaseTask "a page with an error in its console, or without one of its files, fails" (fun () ->
        task {
            let working = Directory.CreateTempSubdirectory "funtrpo-web-"

            try
                for html in
                    [ "<script>console.error('wrong')</script>"
                      "<script>nothing.there()</script>"
                      "<img src=missing.png>" ] do
                    File.WriteAllText(
                        Path.Combine(working.FullName, "index.html"),
                        $"<link rel=icon href='data:,'>{html}"
                    )

                    let mutable failed = false

                    try
                        do!
                            withPage desktop (fun page ->
                                serving working.FullName (fun address -> page.GotoAsync address :> Task))
                    with :? AssertException as error ->
                        Expect.stringContains error.Message "errors of the page" "why"
                        failed <- true

                    Expect.isTrue failed html
            finally
                working.Delete true
        })

let tests = testSequenced (testList "Web example" [ example; failing ])
