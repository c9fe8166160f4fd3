namespace FunTrpo.Plots

open System.IO
open System.Net
open System.Text
open System.Text.Json
open System.Text.RegularExpressions
open FunTrpo
open Plotly.NET

/// A setting of a run, as text.
type PageSetting =
    {
        Name: string
        Meaning: string
        Value: string
        /// The value in the environment's preset.
        Preset: string
    }

/// An episode of the trained policy, or why there is none.
type PageEpisode =
    | Recorded of Recording
    /// The environment does not draw its states.
    | NotDrawn
    /// The episode failed, for this reason.
    | NotRecorded of reason: string

/// What the report page of a run shows.
type ReportPage =
    {
        Environment: string
        /// A sentence about how the run ended.
        Verdict: string
        /// The main results, each with its name and its value.
        Facts: (string * string) list
        Progress: Progress
        /// Empty if the policy was not evaluated while it trained.
        Evaluations: EvaluationPoint list
        Settings: PageSetting list
        Episode: PageEpisode
    }

/// The report page of a run: one HTML file with all that it needs. It loads nothing from anywhere.
module ReportPage =

    let private textOf (stream: Stream) =
        use reader = new StreamReader(stream)
        reader.ReadToEnd()

    /// A file of the folder Page, which the assembly holds.
    let private resource name = textOf (typeof<ReportPage>.Assembly.GetManifestResourceStream name)

    /// plotly.js, which Plotly.NET holds.
    let private plotlyJs () =
        let assembly = typeof<GenericChart>.Assembly

        assembly.GetManifestResourceNames()
        |> Array.find (fun name -> name.EndsWith ".min.js")
        |> assembly.GetManifestResourceStream
        |> textOf

    let private writeChart (writer: Utf8JsonWriter) (chart: ReportChart) =
        writer.WriteStartObject()
        writer.WriteString("title", chart.Title)
        writer.WriteString("good", chart.Good)
        writer.WriteString("reading", chart.Reading)
        writer.WriteString("summary", chart.Summary)
        writer.WritePropertyName "figure"
        // Inside a script element no text may look like its end.
        let figure = (GenericChart.toFigureJson (chart.Draw())).Replace("<", "\\u003c")
        writer.WriteRawValue(figure, skipInputValidation = true)
        writer.WriteEndObject()

    let private writeSetting (writer: Utf8JsonWriter) (setting: PageSetting) =
        writer.WriteStartObject()
        writer.WriteString("name", setting.Name)
        writer.WriteString("meaning", setting.Meaning)
        writer.WriteString("value", setting.Value)
        writer.WriteString("preset", setting.Preset)
        writer.WriteEndObject()

    let private writePairs (writer: Utf8JsonWriter) (name: string) (pairs: (string * string) list) =
        writer.WriteStartArray name

        for first, second in pairs do
            writer.WriteStartArray()
            writer.WriteStringValue first
            writer.WriteStringValue second
            writer.WriteEndArray()

        writer.WriteEndArray()

    let private writeAll (writer: Utf8JsonWriter) (name: string) write items =
        writer.WriteStartArray name
        items |> List.iter (write writer)
        writer.WriteEndArray()

    /// The episode, if all of its states are drawn.
    let private drawnEpisode page =
        match page.Episode with
        | Recorded recording when EpisodeJson.isDrawn recording -> Some recording
        | _ -> None

    let private episodeText page =
        match drawnEpisode page, page.Episode with
        | Some _, _ -> "An episode with the most probable actions of the trained policy."
        | None, NotRecorded reason -> $"The policy could not be shown: {reason}"
        | None, _ ->
            $"{page.Environment} does not draw its states. If it did, the policy would play here: docs/report.md of FunTrpo says how."

    let private isChanged (setting: PageSetting) = setting.Value <> setting.Preset

    /// The data of the page. System.Text.Json escapes what has a meaning in HTML.
    let private json page =
        use stream = new MemoryStream()

        let write () =
            use writer = new Utf8JsonWriter(stream)
            writer.WriteStartObject()
            writer.WriteString("environment", page.Environment)
            writer.WriteString("verdict", page.Verdict)
            writePairs writer "facts" page.Facts
            writePairs writer "palette" Palette.roles
            writeAll writer "charts" writeChart (Charts.all page.Progress page.Evaluations)
            let changed, others = List.partition isChanged page.Settings
            writeAll writer "settings" writeSetting (changed @ others)
            writer.WriteString("episodeText", episodeText page)

            drawnEpisode page
            |> Option.iter (fun recording ->
                writer.WritePropertyName "episode"
                EpisodeJson.write writer recording)

            writer.WriteEndObject()

        write ()
        Encoding.UTF8.GetString(stream.GetBuffer(), 0, int stream.Length)

    let private footer page =
        let thinned =
            if page.Progress.Every = 1 then "" else $" The charts show one of {page.Progress.Every} iterations."

        let version = typeof<Fault>.Assembly.GetName().Version.ToString 3
        $"Made by FunTrpo {version} from the files of the run; progress.csv has every number.{thinned}"

    /// The page as HTML.
    let html page =
        let part name =
            match name with
            | "title" -> WebUtility.HtmlEncode $"{page.Environment} – training report"
            | "style" -> resource "page.css"
            | "plotly" -> plotlyJs ()
            | "data" -> json page
            | "page" -> resource "page.js"
            | "player" -> resource "player.js"
            | "footer" -> WebUtility.HtmlEncode(footer page)
            | other -> invalidOp $"page.html has the unknown part {other}"

        // The odd pieces are the names of parts. Nothing inside a part is replaced.
        let pieces = Regex.Split(resource "page.html", @"\{\{(\w+)\}\}")
        pieces |> Array.mapi (fun i piece -> if i % 2 = 1 then part piece else piece) |> String.concat ""
