/// `funtrpo train` on a terminal: a pseudo-terminal that the program `script` of util-linux makes.
module FunTrpo.Tests.TerminalTests

open System
open System.IO
open System.Text.RegularExpressions
open System.Threading
open Expecto
open FunTrpo.Tests.CommandRuns
open FunTrpo.Tests.TestFiles

let private hasScript =
    lazy
        (OperatingSystem.IsLinux()
         && (tryFindProgram "script").IsSome
         && (runProgram (Path.GetTempPath()) "script" [ "--version" ]).Output.Contains "util-linux")

/// The environment of a person's terminal, whatever runs the tests.
let private usual = [ "TERM", "xterm-256color"; "CI", ""; "NO_COLOR", "" ]

/// The file that gets what a terminal shows while it shows it.
let private screen = "screen.txt"

/// The command in a folder, on a terminal with these columns, and what the terminal shows. Its process is in the file pid.
let private terminal folder columns variables arguments (whileRunning: string -> unit) =
    if not hasScript.Value then
        skiptest "there is no script of util-linux here"

    let inner = $"stty cols {columns} rows 24; echo $$ > pid; exec {commandLine} {arguments}"
    file folder "inner.sh" inner |> ignore

    let variables =
        usual @ variables |> List.map (fun (name, value) -> $"{name}='{value}'") |> String.concat " "

    let line = $"cd '{folder}' && exec env {variables} script -qfec 'sh inner.sh' {screen} < /dev/null"
    let ended = Tasks.Task.Run(fun () -> shell line [])

    try
        whileRunning folder
    with _ ->
        shell $"kill -KILL $(cat '{folder}/pid')" [] |> ignore
        reraise ()

    ended.Result

/// A test of the command on a terminal.
let private onTerminal name columns variables arguments whileRunning (check: string -> Ended -> unit) =
    inNewFolder name (fun folder -> terminal folder columns variables arguments whileRunning |> check folder)

/// The text without codes, and without those by which .NET sets up the keys of a terminal.
let private withoutCodes text = Regex.Replace(text, @"\u001b(\[[?0-9;]*[A-Za-z]|[=>])", "")

/// The cursor is hidden now and then, and shown after that.
let private expectCursor (output: string) =
    let changes = [ for found in Regex.Matches(output, @"\u001b\[\?25([hl])") -> found.Groups[1].Value ]
    Expect.isNonEmpty changes "frames"
    Expect.equal (List.last changes) "h" "the cursor is there"

let private short = "train --steps 6000 --set horizon=50 --no-report --out run"
let private nothing (_: string) = ()

let private expectLive (output: string) =
    Expect.stringContains output "\u001b[?25l" "frames"
    let text = withoutCodes output
    Expect.stringStarts text "CartPole-v1: seed 0" "the introduction"
    Expect.stringContains text "steps   ━" "progress"
    Expect.stringContains text "KL / δ" "trust region"
    Expect.stringContains text "explained variance" "critic"
    Expect.isFalse (text.Contains "residual") "no table"
    Expect.stringContains text "The policy and the progress are in run" "the conclusion"
    expectCursor output

let private expectTable (output: string) =
    Expect.isFalse (output.Contains "\u001b[?25l") "frames"
    let lines = (withoutCodes output).ReplaceLineEndings("\n").TrimEnd().Split '\n'
    Expect.stringStarts lines[0] "CartPole-v1: seed 0" "the introduction"
    Expect.isTrue (Regex.IsMatch(lines[1], @"^ +steps +return +KL +KL/δ")) "the headings"
    Expect.isTrue (Regex.IsMatch(lines[2], @"^ +\d+ +[\d.–]+ +\d")) "a line"

let private succeeds check (ended: Ended) =
    Expect.equal (ended.Code, ended.Errors) (0, "") ended.Output
    check ended.Output

let private views =
    [ onTerminal "shows a live view" 100 [] short nothing (fun _ ->
          succeeds (fun output ->
              expectLive output
              Expect.stringContains output "\u001b[94m" "colours"))

      onTerminal "fits a narrow terminal" 40 [] short nothing (fun _ ->
          succeeds (fun output ->
              expectLive output

              let frame =
                  output.Substring(
                      output.LastIndexOf "\u001b[?25l",
                      output.LastIndexOf "\u001b[?25h" - output.LastIndexOf "\u001b[?25l"
                  )

              for line in (withoutCodes frame).ReplaceLineEndings("\n").Split '\n' do
                  Expect.isLessThanOrEqual (line.Trim('\r').Length) 40 line))

      onTerminal "has no colours with NO_COLOR" 100 [ "NO_COLOR", "1" ] short nothing (fun _ ->
          succeeds (fun output ->
              expectLive output
              Expect.isFalse (Regex.IsMatch(output, @"\u001b\[[0-9;]*m")) "colours"))

      onTerminal "prints lines with --plain" 100 [] (short + " --plain") nothing (fun _ -> succeeds expectTable)
      onTerminal "prints lines on a terminal that cannot replace them" 100 [ "TERM", "dumb" ] short nothing (fun _ ->
          succeeds expectTable)
      onTerminal "prints lines for a build server" 100 [ "CI", "true" ] short nothing (fun _ -> succeeds expectTable) ]

let private resumed =
    inNewFolder "shows a run that goes on, too" (fun folder ->
        let first =
            funtrpo
                folder
                [ "train"; "--steps"; "3000"; "--set"; "horizon=50"; "--checkpoint-every"; "1"; "--out"; "run" ]

        Expect.equal first.Code 0 first.Errors

        terminal folder 100 [] "resume run --steps 6000 --no-report" nothing
        |> succeeds (fun output ->
            let text = withoutCodes output
            Expect.stringContains text "It goes on after iteration" "the introduction"
            Expect.stringContains text "100 % · 6,0" "the share of the whole run"
            expectCursor output))

/// How many times the terminal has shown the cursor, once a frame.
let private framesIn folder =
    use file =
        new FileStream(Path.Combine(folder, screen), FileMode.Open, FileAccess.Read, FileShare.ReadWrite)

    use reader = new StreamReader(file)
    Regex.Count(reader.ReadToEnd(), @"\u001b\[\?25h")

/// Waits until a run has written its progress, and has just shown another frame.
let private waitForProgress folder =
    waitFor "progress" (fun () -> linesOf (Path.Combine(folder, "run", "progress.csv")) > 30)
    let before = framesIn folder
    waitFor "a frame" (fun () -> framesIn folder > before)

let private signal (name: string) folder =
    waitForProgress folder
    let pid = File.ReadAllText(Path.Combine(folder, "pid")).Trim()
    Expect.equal (shell $"kill -{name} {pid}" []).Code 0 "kill"

let private endless = "train --env Pendulum-v1 --steps 1e9 --stop-at 0 --no-report --out run"

let private interruptions =
    [ onTerminal
          "ends after Ctrl-C with 130, and leaves the view, the conclusion and the cursor"
          80
          []
          endless
          (signal "INT")
          (fun folder ended ->
              Expect.equal ended.Code 130 ended.Output
              expectCursor ended.Output
              let text = withoutCodes ended.Output
              let last = text.Substring(text.LastIndexOf "steps   ")
              Expect.stringContains last "Pendulum-v1 was interrupted" "the conclusion is below the view"
              Expect.stringContains last "The policy and the progress are in run" "where the files are"
              Expect.isTrue (File.Exists(Path.Combine(folder, "run", "summary.json"))) "files")

      onTerminal "leaves the cursor even if it is killed" 80 [] endless (signal "KILL") (fun _ ended ->
          Expect.notEqual ended.Code 0 "exit code"
          expectCursor ended.Output) ]

let tests = testSequenced (testList "Terminal" (views @ [ resumed ] @ interruptions))
