namespace FunTrpo.Plots

open System.IO
open System.Net
open System.Text
open System.Text.Json
open FunTrpo

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

    let internal writeChart (writer: Utf8JsonWriter) (chart: ReportChart) =
        writer.WriteStartObject()
        writer.WriteString("title", chart.Title)
        writer.WriteString("good", chart.Good)
        writer.WriteString("reading", chart.Reading)
        writer.WriteString("summary", chart.Summary)
        writer.WritePropertyName "figure"
        // Inside a script element no text may look like its end.
        let figure = chart.FigureJson().Replace("<", "\\u003c")
        writer.WriteRawValue(figure, skipInputValidation = true)
        writer.WriteEndObject()

    let private writeSetting (writer: Utf8JsonWriter) (setting: PageSetting) =
        writer.WriteStartObject()
        writer.WriteString("name", setting.Name)
        writer.WriteString("meaning", setting.Meaning)
        writer.WriteString("value", setting.Value)
        writer.WriteString("preset", setting.Preset)
        writer.WriteEndObject()

    let internal writePairs (writer: Utf8JsonWriter) (name: string) (pairs: (string * string) list) =
        writer.WriteStartArray name

        for first, second in pairs do
            writer.WriteStartArray()
            writer.WriteStringValue first
            writer.WriteStringValue second
            writer.WriteEndArray()

        writer.WriteEndArray()

    let internal writeAll (writer: Utf8JsonWriter) (name: string) write items =
        writer.WriteStartArray name
        items |> List.iter (write writer)
        writer.WriteEndArray()

    /// The episode, if all of its states are drawn.
    let private drawn episode =
        match episode with
        | Recorded recording when EpisodeJson.isDrawn recording -> Some recording
        | _ -> None

    let private episodeText environment episode =
        match drawn episode, episode with
        | Some _, _ -> "An episode with the most probable actions of the trained policy."
        | None, NotRecorded reason -> $"The policy could not be shown: {reason}"
        | None, _ ->
            $"{environment} does not draw its states. If it did, the policy would play here: docs/report.md of FunTrpo says how."

    let private isChanged (setting: PageSetting) = setting.Value <> setting.Preset

    let private writeReport (writer: Utf8JsonWriter) page =
        writer.WriteString("environment", page.Environment)
        writer.WriteString("verdict", page.Verdict)
        writePairs writer "facts" page.Facts
        writePairs writer "palette" Palette.roles

        page.Progress.Warnings
        |> List.map (fun (iteration, text) -> string iteration, text)
        |> writePairs writer "warnings"

        writeAll writer "charts" writeChart (Charts.all page.Progress page.Evaluations)
        let changed, others = List.partition isChanged page.Settings
        writeAll writer "settings" writeSetting (changed @ others)

    let private writeEpisode (writer: Utf8JsonWriter) environment episode =
        writer.WriteString("episodeText", episodeText environment episode)

        drawn episode
        |> Option.iter (fun recording ->
            writer.WritePropertyName "episode"
            EpisodeJson.write writer recording)

    /// A JSON object of what `write` writes. System.Text.Json escapes what has a meaning in HTML.
    let internal json write =
        use stream = new MemoryStream()

        let writeObject () =
            use writer = new Utf8JsonWriter(stream)
            writer.WriteStartObject()
            write writer
            writer.WriteEndObject()

        writeObject ()
        Encoding.UTF8.GetString(stream.GetBuffer(), 0, int stream.Length)

    /// The data of the page without the episode, which report.js shows.
    let internal reportJson page = json (fun writer -> writeReport writer page)

    /// The data of an episode, which player.js shows.
    let internal episodeJson (environment: string) episode =
        json (fun writer ->
            writer.WriteString("environment", environment)
            writeEpisode writer environment episode)

    let private footer origin page =
        let thinned =
            if page.Progress.Every = 1 then "" else $" The charts show one of {page.Progress.Every} iterations."

        let version = typeof<Fault>.Assembly.GetName().Version.ToString 3
        $"Made by FunTrpo {version}{origin}.{thinned}"

    /// The page of a run without its data and its last script. `over` is HTML, and stands above the name of the environment; `footer` is a text.
    let internal frame title over footer : Page =
        { Title = title
          Body =
            Page.resource "report.html"
            |> Page.fill [ "over", over; "footer", WebUtility.HtmlEncode(footer: string) ]
          Data = None
          Scripts = [ Page.plotly; Page.common; Page.script "report.js"; Page.script "player.js" ] }

    /// The page as HTML, whose footer says what it was made from.
    let internal htmlFrom origin page =
        let frame = frame $"{page.Environment} – training report" "Training report" (footer origin page)

        Page.selfContained
            { frame with
                Data =
                    json (fun writer ->
                        writeReport writer page
                        writeEpisode writer page.Environment page.Episode)
                    |> Some
                Scripts = frame.Scripts @ [ Page.script "start.js" ] }

    /// What the page of a run's folder was made from.
    let internal filesOfRun = " from the files of the run; progress.csv has every number"

    /// The page as HTML.
    let html page = htmlFrom "" page
