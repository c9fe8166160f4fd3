/// The terminal that the command writes to: whether it can show a live view, and a frame that takes the place of the one before.
module FunTrpo.Cli.Terminal

open System
open System.IO
open System.Text
open Spectre.Console
open Spectre.Console.Rendering

let private variable name = Environment.GetEnvironmentVariable name |> Option.ofObj |> Option.defaultValue ""

/// Whether the output is a terminal that can replace lines. A log of a build server can not, and neither can older consoles of Windows.
let isLive () =
    let terminal, build = variable "TERM", variable "CI"

    not Console.IsOutputRedirected
    && not (OperatingSystem.IsWindows())
    && terminal <> ""
    && terminal <> "dumb"
    && (build = "" || build = "false" || build = "0")

/// The columns and the rows of the terminal.
let size () =
    let orStandard standard number = if number > 0 then number else standard
    Console.WindowWidth |> orStandard 80, Console.WindowHeight |> orStandard 24

/// The rows that lines of these lengths take in a terminal of this width, which wraps them.
let rowsOf width (lengths: int[]) =
    let mutable rows = 0

    for length in lengths do
        rows <- rows + max 1 ((length + width - 1) / width)

    rows

/// The number of columns of a line with codes for colours, ESC [ … m.
let lengthOf (line: string) =
    let mutable length = 0
    let mutable isCode = false

    for character in line do
        if character = '\u001b' then
            isCode <- true
        elif not isCode then
            length <- length + 1
        elif character = 'm' then
            isCode <- false

    length

let private escape = "\u001b["

/// What a terminal shows: lines that stay, and behind them a frame that the next one replaces. The cursor is hidden only while a frame is
/// written, so that there is nothing to restore whenever the process ends.
type Screen(output: Stream, hasColours: bool) =
    let text = new StringWriter()

    let console =
        AnsiConsole.Create(
            AnsiConsoleSettings(
                Ansi = AnsiSupport.Yes,
                ColorSystem = (if hasColours then ColorSystemSupport.Standard else ColorSystemSupport.NoColors),
                Interactive = InteractionSupport.No,
                Enrichment = ProfileEnrichment(UseDefaultEnrichers = false),
                Out = AnsiConsoleOutput text
            )
        )

    /// The lengths of the lines of the last frame.
    let mutable lengths: int[] = [||]

    let linesOf (frame: IRenderable) width =
        text.GetStringBuilder().Clear() |> ignore
        console.Profile.Width <- width
        console.Write frame
        text.ToString().TrimEnd('\n').Split '\n'

    /// Shows lines that stay, and a frame of at most `height` − 1 rows below them.
    member _.Show((width: int, height: int), staying: string list, frame: IRenderable) =
        let before = rowsOf width lengths
        let lines = linesOf frame width
        let shown = min lines.Length (max 1 (height - 1))
        // The terminal shows all of it at once, if it can.
        let written = StringBuilder().Append(escape).Append("?2026h").Append(escape).Append("?25l\r")

        if before > 0 then
            written.Append(escape).Append(before).Append('A') |> ignore

        written.Append(escape).Append('J') |> ignore

        for line in staying do
            written.Append(line).Append('\n') |> ignore

        lengths <- Array.zeroCreate shown

        for i in 0 .. shown - 1 do
            written.Append(lines[i]).Append('\n') |> ignore
            lengths[i] <- lengthOf lines[i]

        written.Append(escape).Append("?25h").Append(escape).Append("?2026l") |> ignore
        output.Write(ReadOnlySpan(Encoding.UTF8.GetBytes(written.ToString())))
        output.Flush()

/// The screen of this process.
let screen () = Screen(Console.OpenStandardOutput(), variable "NO_COLOR" = "")
