/// The description of a sweep as a JSON file: sweep.json in the folder of the sweep, and the file of `--file`.
module FunTrpo.Cli.SweepFile

open System
open System.Globalization
open System.Text.Json
open System.Text.Json.Nodes
open System.Text.RegularExpressions
open FunTrpo
open FunTrpo.Plots
open FunTrpo.Cli.SweepPlan

let name = "sweep.json"

/// The number of episodes of a score if none is given.
let standardScoreEpisodes = 100

/// The largest number of seeds.
let private mostSeeds = 10_000L

/// The seeds in a text such as `0..9` or `0,3,7..9`.
let parseSeeds (text: string) =
    let refuse () =
        Error(
            InvalidSetting(
                "--seeds",
                text,
                $"it must be integers, and ranges such as 0..9, with commas between, of at most {mostSeeds} seeds"
            )
        )

    let number (part: string) =
        match Int64.TryParse(part, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture) with
        | true, number -> Some number
        | _ -> None

    let parts =
        [ for part in text.Split ',' ->
              match part.Split ".." |> Array.map (_.Trim() >> number) with
              | [| Some seed |] -> Some [ seed ]
              | [| Some first; Some last |] when first <= last && decimal last - decimal first < decimal mostSeeds ->
                  Some [ first..last ]
              | _ -> None ]

    if List.exists Option.isNone parts then
        refuse ()
    else
        let seeds = parts |> List.collect Option.get
        if int64 seeds.Length > mostSeeds then refuse () else Ok seeds

/// The setting and its values in a text such as `delta=0.003,0.01`. Values with commas of their own are divided by |: `hidden=32,32|64,64`.
let parseGrid (text: string) =
    match text.Split('=', 2) |> Array.map _.Trim() with
    | [| name; values |] when name <> "" ->
        let separator = if values.Contains '|' then '|' else ','
        Ok(name, [ for value in values.Split separator -> value.Trim() ])
    | _ -> Error(InvalidSetting("--grid", text, "it must be key=value,value,… or key=value|value|…"))

let private isText =
    lazy (Configuration.fields |> List.map (fun field -> field.Name, field.IsText) |> Map)

/// The value of a setting as JSON.
let private settingNode name (text: string) =
    if isText.Value[name] then JsonValue.Create text :> JsonNode else JsonNode.Parse text

/// The seeds as a text that `parseSeeds` reads, with ranges where three or more follow each other.
let private printSeeds (seeds: int64 list) =
    let rec runs (seeds: int64 list) =
        match seeds with
        | [] -> []
        | first :: _ ->
            let length =
                seeds |> List.indexed |> List.takeWhile (fun (i, seed) -> seed = first + int64 i) |> List.length

            let last = first + int64 length - 1L

            if length > 2 then
                $"{first}..{last}" :: runs (List.skip length seeds)
            else
                string first :: runs (List.tail seeds)

    runs seeds |> String.concat ","

/// The text of a sweep.json.
let print plan =
    let node = JsonObject()
    let settings = JsonObject()
    let grid = JsonObject()

    for name, values in plan.Grid do
        grid.Add(name, JsonArray [| for value in values -> settingNode name value |])

    for name, value in plan.Set do
        settings.Add(name, settingNode name value)

    node.Add("environments", JsonArray [| for id in plan.Environments -> JsonValue.Create id :> JsonNode |])
    node.Add("seeds", JsonValue.Create(printSeeds plan.Seeds))
    node.Add("grid", grid)
    node.Add("set", settings)
    plan.Steps |> Option.iter (fun steps -> node.Add("steps", JsonValue.Create steps))
    plan.StopAt |> Option.iter (fun goal -> node.Add("stopAt", JsonValue.Create goal))

    plan.CheckpointEvery
    |> Option.iter (fun every -> node.Add("checkpointEvery", JsonValue.Create every))

    plan.Evaluation
    |> Option.iter (fun found -> node.Add("evaluation", RunSettings.evaluationNode found))

    node.Add("scoreEpisodes", JsonValue.Create plan.ScoreEpisodes)
    RunJson.print node

/// The items of an array.
let private itemsOf what (node: JsonNode) =
    match node with
    | :? JsonArray as items when items |> Seq.forall (isNull >> not) -> List.ofSeq items
    | _ -> Json.unreadable $"its {what} is no array of values"

let private seedsOf (node: JsonNode) =
    match node with
    | :? JsonArray as items -> [ for item in itemsOf "seeds" items -> item.GetValue<int64>() ]
    | node -> parseSeeds (node.GetValue<string>()) |> RunJson.orUnreadable

let private objectOrNone (name: string) (node: JsonNode) =
    match node[name] with
    | null -> []
    | found -> [ for KeyValue(key, value) in found.AsObject() -> key, value ]

let private planOf (node: JsonNode) =
    RunJson.requireKnown
        [ "environments"
          "seeds"
          "grid"
          "set"
          "steps"
          "stopAt"
          "checkpointEvery"
          "evaluation"
          "scoreEpisodes" ]
        node

    { Environments =
        [ for id in itemsOf "environments" (RunJson.required node "environments") -> id.GetValue<string>() ]
      Seeds = seedsOf (RunJson.required node "seeds")
      Grid =
        [ for name, values in objectOrNone "grid" node ->
              name, itemsOf $"grid of {name}" values |> List.map (RunJson.textOf name) ]
      Set = [ for name, value in objectOrNone "set" node -> name, RunJson.textOf name value ]
      Steps = RunJson.checkedOrNone Arguments.steps "steps" node
      StopAt = RunSettings.goalOf node
      CheckpointEvery = RunJson.checkedOrNone Arguments.iterations "checkpointEvery" node
      Evaluation = node["evaluation"] |> Option.ofObj |> Option.map RunSettings.evaluationOf
      ScoreEpisodes =
        RunJson.checkedOrNone Arguments.episodes "scoreEpisodes" node
        |> Option.defaultValue standardScoreEpisodes }

/// The plan in a file. Fault: `Damaged`.
let read path = RunJson.read "description" planOf path
