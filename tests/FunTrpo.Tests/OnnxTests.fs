/// Policies as ONNX models: the graphs are well-formed, and ONNX Runtime computes with them what the library computes.
module FunTrpo.Tests.OnnxTests

open System
open System.IO
open System.Text.Json.Nodes
open Expecto
open FunTrpo
open FunTrpo.Onnx
open FunTrpo.Onnx.Messages
open FunTrpo.Tests.CommandRuns
open FunTrpo.Tests.DocumentationTests
open FunTrpo.Tests.Generators
open FunTrpo.Tests.OnnxRuns
open FunTrpo.Tests.TestFiles

// ---- Well-formed graphs ----

/// The operators that models use: plain ones, which engines have. None works on float64, which not every engine has.
let private operators =
    set
        [ "Sub"
          "Mul"
          "Add"
          "Clip"
          "Gemm"
          "Cast"
          "Gather"
          "ReduceSum"
          "Tanh"
          "Relu"
          "Sigmoid"
          "Elu"
          "Softplus"
          "Exp"
          "Conv"
          "MaxPool"
          "AveragePool"
          "Transpose"
          "ReduceMean"
          "Sqrt"
          "Div" ]
    + set [ "Softmax"; "ArgMax"; "Split"; "Concat"; "Reshape"; "Shape"; "Expand"; "Min"; "Max" ]

/// Checks a model as ONNX's own checker does: names are unique, nodes find their inputs, outputs are made, and constants are complete.
let private expectWellFormed (model: ModelProto) =
    Expect.equal (model.IrVersion, model.OpsetImport[0].Version) (7L, 13L) "versions of the format and of the operators"
    let graph = model.Graph
    let constants = [ for constant in graph.Initializer -> constant.Name ]
    let inputs = [ for input in graph.Input -> input.Name ]

    let made =
        [ for node in graph.Node do
              yield! node.Output ]

    let all = inputs @ constants @ made
    Expect.equal (List.distinct all) all "each tensor has a name of its own"

    let known =
        (set (inputs @ constants), graph.Node)
        ||> Seq.fold (fun known node ->
            Expect.isTrue (operators.Contains node.OpType) node.OpType
            Expect.isTrue (Set.isSubset (set node.Input) known) $"{node.Name} reads what was made before it"
            Set.union known (set node.Output))

    let used =
        set
            [ for node in graph.Node do
                  yield! node.Input ]
        + set [ for output in graph.Output -> output.Name ]

    Expect.isTrue (Set.isSubset used known) "outputs are made"
    Expect.isTrue (Set.isSubset (set constants) used) "constants are used"

    for constant in graph.Initializer do
        let size = if constant.DataType = int TensorProto.Types.DataType.Int64 then 8L else 4L
        let count = Seq.fold (*) 1L constant.Dims
        Expect.equal (int64 constant.RawData.Length) (size * count) $"the bytes of {constant.Name}"

// ---- The same numbers ----

/// Equal up to the rounding of float32: within 1e-5, relative to numbers beyond 1 or to the unit that they count in. Means in the widest
/// boxes may be infinite.
let private close unit (expected: float) (found: float32) =
    expected = float found || abs (expected - float found) <= 1e-5 * max unit (max 1.0 (abs expected))

/// Rows of numbers are equal, column by column in the units of the columns.
let private expectCloseIn (units: float[]) what (expected: float[]) (found: float32[]) =
    Expect.hasLength found expected.Length what

    for i in 0 .. found.Length - 1 do
        if not (close units[i % units.Length] expected[i] found[i]) then
            failtest $"{what}: {expected[i]} and {found[i]} at {i}"

let private expectClose what = expectCloseIn [| 1.0 |] what

/// What the library computes: the parameters of the distributions, the most probable actions, and the distributions.
let private ofLibrary (saved: SavedPolicy) (observations: Matrix) =
    let player = InferencePolicy saved.Actor
    let family = saved.Actor.Policy.Family
    let parameters = Array.zeroCreate (observations.Rows * family.ParameterWidth)
    let actions = Array.zeroCreate (observations.Rows * family.ActionWidth)
    player.Distributions(observations.Span, parameters.AsSpan())
    player.Act(observations.Span, actions.AsSpan())
    parameters, actions, [ for row in 0 .. observations.Rows - 1 -> player.Distribution(observations.Row row) ]

/// The difference of the largest and the second of the logits of a choice; infinite if there is only one.
let private lead (logits: float32[]) =
    match logits |> Array.sortDescending with
    | [| _ |] -> infinity
    | sorted -> float sorted[0] - float sorted[1]

let private expectSameChoices counts (logits: float32[]) (actions: float32[]) (found: int64[]) =
    let choices = List.length counts
    let starts = List.scan (+) 0 counts
    let width = List.last starts
    let mutable ties = 0

    for i in 0 .. found.Length - 1 do
        let row, choice = i / choices, i % choices
        let ofChoice = Array.sub logits (row * width + starts[choice]) counts[choice]

        if int64 actions[i] <> found[i] then
            let scale = ofChoice |> Array.map (abs >> float) |> Array.max |> max 1.0
            Expect.isLessThan (lead ofChoice) (1e-5 * scale) $"the actions of row {row} differ without a tie"
            ties <- ties + 1

    Expect.isLessThan ties (1 + found.Length / 1000) "ties are rare"

let private expectSame (saved: SavedPolicy) (observations: Matrix) =
    use session = session (bytesOf saved)
    let found = run session observations
    let parameters, actions, distributions = ofLibrary saved observations
    let rows = observations.Rows
    let shape name = found.Shapes[name]
    Expect.equal (shape "action") [ rows; saved.Actor.Policy.Family.ActionWidth ] "the shape of actions"

    match saved.ActionSpace with
    | Box(low, _, _) ->
        let units = PlayingCases.unitsOf saved.Actor.Policy saved.ActionSpace

        /// The outputs that describe a distribution, with their units.
        let described distribution =
            match distribution with
            | ActionDistribution.Normals(means, deviations) -> [ "mean", units, means; "std", units, deviations ]
            | ActionDistribution.SquashedNormals(means, deviations) ->
                [ "latentMean", [| 1.0 |], means; "latentStd", [| 1.0 |], deviations ]
            | ActionDistribution.Betas(alphas, betas, means, deviations) ->
                [ "alpha", [| 1.0 |], alphas
                  "beta", [| 1.0 |], betas
                  "mean", units, means
                  "std", units, deviations ]
            | other -> failtest $"%A{other}"

        let outputs = distributions |> List.map described

        for i, (name, units, _) in List.indexed outputs.Head do
            Expect.equal (shape name) [ rows; low.Length ] $"the shape of {name}"
            let all = outputs |> Seq.collect (fun ofRow -> let _, _, numbers = ofRow[i] in numbers) |> Array.ofSeq
            // Means in the widest boxes may be infinite, and deviations are not.
            let most = if name = "std" then float Single.MaxValue else infinity
            expectCloseIn units name (all |> Array.map (min most)) found.Floats[name]

        expectCloseIn units "action" (Array.map float actions) found.Actions

        for row in 0 .. rows - 1 do
            let action = ReadOnlySpan(found.Actions, row * low.Length, low.Length)
            Expect.isTrue (Space.contains saved.ActionSpace action) "an action of the space"
    | space ->
        let counts = countsOf space

        let probabilities =
            distributions
            |> Seq.collect (function
                | ActionDistribution.Choices probabilities -> probabilities
                | other -> failtest $"%A{other}")
            |> Array.ofSeq

        Expect.equal
            (shape "logits", shape "probabilities")
            ([ rows; List.sum counts ], [ rows; List.sum counts ])
            "the shapes"

        expectClose "logits" (Array.map float parameters) found.Floats["logits"]
        expectClose "probabilities" probabilities found.Floats["probabilities"]
        expectSameChoices counts parameters actions found.Integers["action"]

let private computed =
    [ for case in PlayingCases.all 10_000 do
          test case.Name { expectSame case.Saved case.Observations } ]

let private anyPolicy =
    propertyOf
        100
        "any policy that a file can hold becomes a well-formed model, which acts inside the action space"
        PolicyFileCases.policies
        (fun saved ->
            try
                let bytes = bytesOf saved
                expectWellFormed (ModelProto.Parser.ParseFrom bytes)
                let space = saved.ObservationSpace

                let row i =
                    Space.sample space (Key.ofSeed (int64 i)) |> Vector.map (fun x -> Math.Clamp(x, -1e6f, 1e6f))

                let observations = Matrix.ofRows (Array.init 20 (row >> Vector.toArray))
                use session = session bytes
                let found = run session observations
                let width = Space.width saved.ActionSpace

                for row in 0..19 do
                    Expect.isTrue
                        (Space.contains saved.ActionSpace (ReadOnlySpan(found.Actions, row * width, width)))
                        "inside"
            with :? NotSupportedException ->
                match saved.Actor.Normaliser with
                | Standardise moments ->
                    let isTooLarge column = Single.IsInfinity(float32 (moments.Mean column))
                    Expect.exists [ 0 .. moments.Width - 1 ] isTooLarge "a mean beyond float32"
                | Unnormalised -> failtest "no mean is too large")

let private wellFormed =
    test "the models of all kinds of policies are well-formed, and other models are not" {
        for case in PlayingCases.all 1 do
            expectWellFormed (PolicyModel.Of case.Saved)

        let spoil (change: GraphProto -> unit) =
            let model = PolicyModel.Of PolicyFileCases.example
            change model.Graph
            Expect.throws (fun () -> expectWellFormed model) "a fault"

        spoil (fun graph -> graph.Node.Add(graph.Node[0].Clone()))
        spoil (fun graph -> graph.Node.RemoveAt 0)
        spoil (fun graph -> graph.Initializer.RemoveAt 0)
        spoil (fun graph -> graph.Initializer[0].Dims.Add 2L)
        spoil (fun graph -> graph.Output[0].Name <- "nothing")
    }

let private rows =
    test "a batch of any size gives the rows of single observations" {
        for case in PlayingCases.all 7 do
            use session = session (bytesOf case.Saved)
            let together = run session case.Observations
            let single = [| for row in 0..6 -> run session (case.Observations.SliceRows(row, 1)) |]

            for KeyValue(name, floats) in together.Floats do
                let ofSingle = single |> Array.collect (fun found -> found.Floats[name])

                expectCloseIn
                    (PlayingCases.unitsOf case.Saved.Actor.Policy case.Saved.ActionSpace)
                    name
                    (Array.map float ofSingle)
                    floats

            let none = run session (case.Observations.SliceRows(0, 0))
            Expect.isEmpty none.Actions "no rows"
    }

let private meanBeyondFloat32 =
    test "a mean beyond float32 is refused with its column" {
        let example = PolicyFileCases.example
        let normaliser = Standardise(Moments.create 1.0 [ 0.0; 1e39 ] [ 1.0; 1.0 ])
        let saved = { example with Actor = { example.Actor with Normaliser = normaliser } }

        let refused =
            try
                PolicyModel.Of saved |> ignore
                "nothing is wrong with it"
            with :? NotSupportedException as refused ->
                refused.Message

        Expect.stringContains refused "column 1 of the observations is 1E+39" "the message"
    }

let private described =
    test "a model says what it is of, as a policy's file does" {
        let case = PlayingCases.all 1 |> List.find (fun case -> case.Name.EndsWith "scaled box")
        let model = ModelProto.Parser.ParseFrom(bytesOf case.Saved)
        let property key = (model.MetadataProps |> Seq.find (fun entry -> entry.Key = key)).Value
        let file = JsonNode.Parse(PolicyFile.print case.Saved)
        Expect.equal (property "environment") case.Saved.Environment "environment"

        for space in [ "observationSpace"; "actionSpace" ] do
            Expect.equal (property space) (file[space].ToJsonString()) space

        Expect.equal model.ProducerName "FunTrpo" "producer"
        Expect.equal (property "version", model.ProducerVersion) (PolicyModel.Version, PolicyModel.Version) "version"
        Expect.isMatch (property "version") @"^\d+\.\d+\.\d+(-[\w.-]+)?$" "version"
        use session = session (bytesOf case.Saved)
        Expect.equal session.ModelMetadata.CustomMetadataMap["environment"] "Case-v0" "as ONNX Runtime reads it"
    }

// ---- The command ----

let private command =
    inNewFolder "funtrpo export writes the model of a policy, and prints what docs/command.md shows" (fun folder ->
        let train =
            funtrpo folder [ "train"; "--env"; "CartPole-v1"; "--steps"; "2048"; "--out"; "runs/cartpole" ]

        Expect.equal train.Code 0 train.Errors
        let _, shown = blocks "export" "docs/command.md" |> List.exactlyOne
        let lines = shown.Split('\n', 2)
        Expect.stringStarts lines[0] "$ funtrpo " "the command"
        let ended = funtrpo folder (lines[0].Substring("$ funtrpo ".Length).Split ' ' |> List.ofArray)
        Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
        Expect.equal (ended.Output.ReplaceLineEndings "\n") lines[1] "what it prints"
        let saved = loaded (Path.Combine(folder, "runs/cartpole"))
        let model = File.ReadAllBytes(Path.Combine(folder, "cartpole.onnx"))
        Expect.equal model (bytesOf saved) "the file"
        Expect.equal (Directory.GetFiles folder |> Array.map Path.GetFileName) [| "cartpole.onnx" |] "nothing else")

let private refused =
    let policyIn folder = file folder "policy.json" (PolicyFile.print PolicyFileCases.example)

    testList
        "funtrpo export"
        [ refusals
              [ "no policy", (fun _ -> [ "export"; "--onnx"; "x.onnx" ]), [ "--policy" ]
                "no file to write", (fun folder -> [ "export"; "--policy"; policyIn folder ]), [ "--onnx" ]
                "a file without a name",
                (fun folder -> [ "export"; "--policy"; policyIn folder; "--onnx"; "" ]),
                [ "--onnx"; "the name of a file" ]
                "a damaged policy",
                (fun folder -> [ "export"; "--policy"; file folder "damaged.json" "{}"; "--onnx"; "x.onnx" ]),
                [ "damaged.json" ] ]

          inNewFolder "exits with 1 where the model cannot be written, and leaves the old file there" (fun folder ->
              let ended = funtrpo folder [ "export"; "--policy"; policyIn folder; "--onnx"; folder ]
              Expect.equal ended.Code 1 "a folder"
              Expect.stringContains ended.Errors "is a folder" "why"
              let ended = funtrpo folder [ "export"; "--policy"; policyIn folder; "--onnx"; "missing/x.onnx" ]
              Expect.equal ended.Code 1 "a folder that is not there"
              Expect.hasLength (Directory.GetFileSystemEntries folder) 1 "nothing is left") ]

let tests =
    testList
        "ONNX"
        [ testList "ONNX Runtime computes what the library does:" computed
          anyPolicy
          wellFormed
          rows
          meanBeyondFloat32
          described
          command
          refused ]
