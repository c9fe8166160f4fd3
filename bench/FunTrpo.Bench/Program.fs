module FunTrpo.Bench.Program

open System
open System.CommandLine
open System.CommandLine.Help
open System.IO

let private ok = 0
let private badArguments = 2

let private description =
    "Measures FunTrpo: without arguments, the machine and every number that has a goal; with --shape, one shape of your choosing. "
    + "`micro`, followed by BenchmarkDotNet's own arguments (as in: micro --filter *Layer*), measures kernels and stages."

/// An optional option. Its value is null if it is missing.
let private optional name description = Option<string>(name, Description = description)

let private json = optional "--json" "Also write the numbers to this file, as JSON"

let private markdown = optional "--markdown" "Also write the table to this file, as a Markdown page"

let private quick =
    Option<bool>("--quick", Description = "Fewer repeats and smaller upper sizes: rough numbers in about two minutes")

let private only =
    let names = String.Join(", ", Report.sectionNames)
    let only = optional "--only" $"Measure only the rows of a section: {names}"
    only.AcceptOnlyFromAmong(Array.ofList Report.sectionNames) |> ignore
    only

let private picture =
    optional "--picture" "The file for the roofline picture, an SVG [default: artifacts/roofline.svg in the repository]"

let private shape =
    optional "--shape" "The units of each layer, observations first, as in 376-256-256-17"

let private family =
    Option<string>(
        "--family",
        Description = "categorical or gaussian, the family of a shape's actions",
        DefaultValueFactory = (fun _ -> "gaussian")
    )

let private batch =
    Option<int>("--batch", Description = "Samples of a shape's batch", DefaultValueFactory = (fun _ -> 2048))

let private threads =
    Option<int>(
        "--threads",
        Description = "How many threads work on a shape",
        DefaultValueFactory = (fun _ -> Measurements.full.Threads)
    )

/// Returns the shape that the options describe, or an error message.
let private shapeOf (parsed: ParseResult) =
    let units = Shape.parseUnits (parsed.GetValue shape)
    let batch = parsed.GetValue batch

    match units, parsed.GetValue family with
    | Error message, _ -> Error message
    | _ when batch < 1 -> Error $"--batch {batch}: it must be at least 1"
    | _ when parsed.GetValue threads < 1 -> Error $"--threads {parsed.GetValue threads}: it must be at least 1"
    | Ok units, "categorical" -> Ok { Name = "shape"; Units = units; Family = Categorical; Batch = batch }
    | Ok units, "gaussian" -> Ok { Name = "shape"; Units = units; Family = Gaussian; Batch = batch }
    | _, other -> Error $"--family {other}: it must be categorical or gaussian"

let private report (parsed: ParseResult) =
    let plan = if parsed.GetValue quick then Measurements.quick else Measurements.full

    let files: Report.Files =
        { Json = parsed.GetValue json |> Option.ofObj; Markdown = parsed.GetValue markdown |> Option.ofObj }

    if not (isNull (parsed.GetValue only)) then
        Report.ofSection plan files (parsed.GetValue only) Console.Out
        ok
    elif isNull (parsed.GetValue shape) then
        let picture =
            parsed.GetValue picture
            |> Option.ofObj
            |> Option.defaultValue (Path.Combine(Processes.root, "artifacts", "roofline.svg"))

        Report.all plan files picture Console.Out
        ok
    else
        match shapeOf parsed with
        | Ok shape ->
            Report.ofShape { plan with Threads = parsed.GetValue threads } files shape Console.Out
            ok
        | Error message ->
            Console.Error.WriteLine message
            badArguments

let private command =
    let command = RootCommand(description)
    let options: Option list = [ quick; only; json; markdown; picture; shape; family; batch; threads ]
    options |> List.iter command.Options.Add
    command.SetAction report
    command

[<EntryPoint>]
let main arguments =
    match List.ofArray arguments with
    | "micro" :: rest -> Micro.run (Array.ofList rest)
    | first :: rest when first = Processes.framesCommand -> Frames.run rest
    | _ ->
        let parsed = command.Parse arguments

        for error in parsed.Errors do
            Console.Error.WriteLine error.Message

        if parsed.Errors.Count > 0 then badArguments else parsed.Invoke()
