namespace FunTrpo.Bench

open System
open System.IO

/// Makes the report: the machine, every row with its goal, and the roofline picture.
module Report =

    /// The files that are written in addition to the table on the screen.
    type Files = { Json: string option; Markdown: string option }

    /// The measurements in the order of the table, by name. Each returns some rows. The products, which also have a picture, come before them.
    let private sections =
        [ "architectures", Measurements.architectures
          "updates", Measurements.updates
          "gradients", Measurements.gradients
          "frames", Measurements.frames
          "threads", Measurements.twoThreads
          "rollouts", Measurements.rollouts
          "waiting", Measurements.waiting
          "physics", Measurements.physics
          "ddpg", Measurements.ddpg
          "acting", Measurements.acting
          "start", Measurements.startToSolved
          "growth-samples", Measurements.growthWithSamples
          "growth-parameters", Measurements.growthWithParameters
          "memory", Measurements.memory ]

    /// The names of the sections that can be measured alone.
    let sectionNames = sections |> List.map fst

    let private show (output: TextWriter) row =
        output.WriteLine(Results.rowText row)
        output.Flush()
        row

    let private showMachine (output: TextWriter) (plan: Plan) =
        let machine = Machine.measure plan.TriadElements plan.Threads
        output.WriteLine(Results.machineText machine)

        if plan.IsQuick then
            output.WriteLine "quick: few repeats and smaller upper sizes, so these numbers are rough"

        output.WriteLine()
        output.WriteLine Results.header
        machine

    /// Returns the rows of all sections, and the mean steadiness of the machine, measured after each section.
    let private measureAll machine sections =
        let measured = sections |> List.map (fun measure -> (measure (): Row list), Machine.steadiness machine)

        List.collect fst measured, List.averageBy snd measured

    let private finish (output: TextWriter) (plan: Plan) files machine (rows, steadiness) =
        Results.steadinessText steadiness |> List.iter output.WriteLine
        let write file text = file |> Option.iter (fun file -> Results.write file (text ()))
        write files.Json (fun () -> Results.json machine steadiness plan.IsQuick rows)
        write files.Markdown (fun () -> Results.markdown machine steadiness rows)

    /// Measures everything, prints each row as soon as it is measured, and writes the requested files and the picture.
    let all (plan: Plan) files picture (output: TextWriter) =
        let machine = showMachine output plan

        let products =
            lazy (Measurements.products plan |> List.map (fun (row, speed) -> show output row, speed))

        let others = sections |> List.map (fun (_, measure) () -> measure plan |> List.map (show output))
        let rows, steadiness = measureAll machine ((fun () -> List.map fst products.Value) :: others)
        let count isMet = rows |> List.filter (fun row -> Results.met row = isMet) |> List.length
        output.WriteLine()
        output.WriteLine $"{count (Some true)} goals met, {count (Some false)} not met, {count None} not run"
        finish output plan files machine (rows, steadiness)
        Results.write picture (Roofline.svg machine (List.map snd products.Value))
        output.WriteLine $"The roofline picture is {picture}"

    /// Measures the rows of one section, prints them, and writes the requested files.
    let ofSection (plan: Plan) files name (output: TextWriter) =
        let machine = showMachine output plan
        let _, measure = sections |> List.find (fun (section, _) -> section = name)

        [ fun () -> measure plan |> List.map (show output) ]
        |> measureAll machine
        |> finish output plan files machine

    /// Measures the stages of an update of one shape, prints them, and writes the requested files.
    let ofShape (plan: Plan) files shape (output: TextWriter) =
        output.WriteLine(Shape.describe shape + $", threads: {plan.Threads}")
        let machine = showMachine output plan

        [ fun () -> Measurements.ofShape plan shape |> List.map (show output) ]
        |> measureAll machine
        |> finish output plan files machine
