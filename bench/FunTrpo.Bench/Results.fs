namespace FunTrpo.Bench

open System
open System.Globalization
open System.IO
open System.Text.Encodings.Web
open System.Text.Json
open System.Text.Json.Nodes

/// The condition that a value must satisfy.
type Goal =
    | AtLeast of float
    | AtMost of float
    | Below of float

/// One measured number.
type Row =
    {
        Name: string
        /// None if the measurement was not run.
        Value: float option
        Unit: string
        Goal: Goal option
        /// How the value was obtained, for the reader of the table.
        Note: string
    }

/// Formats measured numbers as tables and JSON.
module Results =

    let row name unit goal note value = { Name = name; Value = value; Unit = unit; Goal = Some goal; Note = note }

    /// A row without a goal.
    let fact name unit note value = { Name = name; Value = value; Unit = unit; Goal = None; Note = note }

    /// Whether the goal is met; None if there is no goal or no value.
    let met row =
        match row.Value, row.Goal with
        | Some value, Some(AtLeast goal) -> Some(value >= goal)
        | Some value, Some(AtMost goal) -> Some(value <= goal)
        | Some value, Some(Below goal) -> Some(value < goal)
        | _ -> None

    /// Formats a number with about three significant digits.
    let number (value: float) =
        let digits = if value = 0.0 then 0 else max 0 (2 - int (floor (log10 (abs value))))
        value.ToString($"N{min digits 9}", CultureInfo.InvariantCulture)

    let private short (value: float) = value.ToString("#,0.####", CultureInfo.InvariantCulture)

    let goalText row =
        match row.Goal with
        | Some(AtLeast goal) -> $"≥ {short goal}"
        | Some(AtMost goal) -> $"≤ {short goal}"
        | Some(Below goal) -> $"< {short goal}"
        | None -> ""

    let private line (name: string) (value: string) (unit: string) (goal: string) (met: string) (note: string) =
        $"{name, -52} {value, 12}  {unit, -22} {goal, -12} {met, -8} {note}".TrimEnd()

    let header = line "what" "value" "unit" "goal" "met" ""

    let private valueText row = row.Value |> Option.map number |> Option.defaultValue "–"

    let private metText row =
        match row.Value, met row with
        | None, _ -> "not run"
        | _, Some true -> "yes"
        | _, Some false -> "NO"
        | _, None -> ""

    let rowText row = line row.Name (valueText row) row.Unit (goalText row) (metText row) row.Note

    /// Returns a warning if other work used part of the machine, and otherwise nothing.
    let steadinessText steadiness =
        if steadiness >= 0.9 then
            []
        else
            [ $"UNSTEADY: all threads together got only {number (100.0 * steadiness)} %% of the peak over half a second: other work runs here, and disturbs these numbers" ]

    let machineText machine =
        let rates unit rates =
            rates
            |> List.map (fun (threads: int, rate) -> $"{number rate} {unit} with {threads}")
            |> String.concat ", "

        let narrow =
            machine.NarrowPeaks
            |> List.map (fun (bits, rate) -> $", {number rate} with {bits}-bit vectors")
            |> String.concat ""

        [ $"""machine    {machine.Processor}, {machine.Cores} cores, {machine.VectorBits}-bit vectors"""
          $"""runtime    {machine.Runtime}, {machine.System}, {machine.Date.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)}"""
          $"""FMA peak   {rates "GFLOP/s" machine.Peaks} threads; one core: {(List.head machine.Peaks) |> snd |> number}{narrow}"""
          $"""memory     {rates "GB/s" machine.Bandwidths} threads (triad)""" ]
        |> String.concat "\n"

    /// Returns the report as a Markdown page: the machine, and the rows as a table.
    let markdown machine steadiness rows =
        let cells (cells: string list) = "| " + String.concat " | " cells + " |"

        [ "# What the benchmark measured"
          ""
          "Made by `dotnet fsi build.fsx bench`; [performance.md](performance.md) says how it is measured."
          ""
          "```text"
          machineText machine
          yield! steadinessText steadiness
          "```"
          ""
          cells [ "what"; "value"; "unit"; "goal"; "met"; "" ]
          cells [ "---"; "---"; "---"; "---"; "---"; "---" ]
          for row in rows do
              cells [ row.Name; valueText row; row.Unit; goalText row; metText row; row.Note ]
          "" ]
        |> String.concat "\n"

    // ---- JSON ----

    let private ofNumber (value: float option) : JsonNode =
        match value with
        | Some value when Double.IsFinite value -> JsonValue.Create value
        | _ -> null

    let private ofRates unit rates =
        let list = JsonArray()

        for count: int, rate: float in rates do
            let entry = JsonObject()
            entry.Add(fst unit, JsonValue.Create count)
            entry.Add(snd unit, JsonValue.Create rate)
            list.Add entry

        list

    let private ofMachine (machine: Machine) (steadiness: float) =
        let node = JsonObject()
        node.Add("processor", JsonValue.Create machine.Processor)
        node.Add("cores", JsonValue.Create machine.Cores)
        node.Add("vectorBits", JsonValue.Create machine.VectorBits)
        node.Add("runtime", JsonValue.Create machine.Runtime)
        node.Add("system", JsonValue.Create machine.System)
        node.Add("date", JsonValue.Create(machine.Date.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)))
        node.Add("fmaPeak", ofRates ("threads", "gflops") machine.Peaks)
        node.Add("fmaPeakOfNarrowVectors", ofRates ("bits", "gflops") machine.NarrowPeaks)
        node.Add("memoryBandwidth", ofRates ("threads", "gigabytesPerSecond") machine.Bandwidths)
        node.Add("steadiness", JsonValue.Create steadiness)
        node

    let private ofRow row =
        let node = JsonObject()
        node.Add("name", JsonValue.Create row.Name)
        node.Add("value", ofNumber row.Value)
        node.Add("unit", JsonValue.Create row.Unit)
        node.Add("goal", (if row.Goal.IsSome then JsonValue.Create(goalText row): JsonNode else null))

        node.Add(
            "met",
            match met row with
            | Some isMet -> JsonValue.Create isMet: JsonNode
            | None -> null
        )

        node

    /// Returns the report as JSON with the fields `machine` (including its steadiness), `quick` and `rows`.
    let json machine steadiness isQuick rows =
        let node = JsonObject()
        let list = JsonArray()
        rows |> List.iter (fun row -> list.Add(ofRow row))
        node.Add("machine", ofMachine machine steadiness)
        node.Add("quick", JsonValue.Create(isQuick: bool))
        node.Add("rows", list)

        let options =
            JsonSerializerOptions(WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping)

        node.ToJsonString options + "\n"

    /// Writes text to a file, and creates its folder if it is missing.
    let write (path: string) (text: string) =
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath path)) |> ignore
        File.WriteAllText(path, text)
