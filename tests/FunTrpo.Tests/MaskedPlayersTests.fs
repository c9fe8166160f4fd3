/// Policies with masks: the facade, the package FunTrpo.Inference and ONNX Runtime play them as the library does.
module FunTrpo.Tests.MaskedPlayersTests

open System
open System.IO
open Expecto
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.MaskCases

type private Large = FunTrpo.CSharp.Policy
type private Small = FunTrpo.Inference.Policy

/// A policy with masks, rows of observations without masks, and their masks.
type private Case =
    { Name: string
      Saved: SavedPolicy
      Observed: Matrix
      Legal: bool[][] }

    member this.Counts = countsOf this.Saved.ActionSpace

    /// A row as the library reads it.
    member this.Row i = Array.append (this.Observed.Row(i).ToArray()) (MaskCases.toNumbers this.Legal[i])

let private observations =
    let moments = Moments.create 100.0 [ 3.0; -200.0; 0.1 ] [ 400.0; 1e6; 0.01 ]

    [ "standardised", numbersOf 3, Standardise moments, [ HiddenLayer.Dense(16, Activation.Tanh) ]
      "no layers", numbersOf 3, Unnormalised, []
      "an index", Discrete 6, Unnormalised, [ HiddenLayer.Dense(8, Activation.Relu) ]
      "a table", Discrete 6, Unnormalised, []
      "indices", MultiDiscrete [ 4; 2; 3 ], Unnormalised, [ HiddenLayer.Dense(8, Activation.Tanh) ]
      "switches", MultiBinary 3, Unnormalised, [ HiddenLayer.LayerNorm; HiddenLayer.Dense(8, Activation.Swish) ]
      "pictures",
      Space.boxOfShape [ 5; 4; 2 ] 0.0 1.0,
      Unnormalised,
      Architecture.parse "conv 3 2x2 stride 1 relu; flatten; dense 9 tanh" |> Result.defaultWith failwith ]

let private cases rows =
    [ for seen, space, normaliser, architecture in observations do
          let parts =
              Parts [ "gear", Discrete 4; "hand", Parts [ "grip", MultiDiscrete [ 2; 3 ]; "arm", Discrete 2 ] ]

          for actions in [ Discrete 5; MultiDiscrete [ 3; 1; 7 ]; parts ] do
              let counts = countsOf actions
              let key = Key.named seen (Key.ofSeed 6L)
              let policy = Policy.create architecture 0.0 false (Masked(space, counts)) actions
              let keyOf i = Key.at (int64 i) key

              let observation i =
                  match normaliser with
                  | Standardise moments ->
                      let numbers = Key.normals 3 (keyOf i)
                      Array.init 3 (fun c -> float32 (moments.Mean c + numbers[c] * sqrt (moments.Variance c)))
                  | Unnormalised -> Space.sample space (keyOf i) |> Vector.toArray

              { Name = $"{seen} → {Space.describe actions}"
                Saved = savedAtRandom policy key normaliser
                Observed = Matrix.ofRows (Array.init rows observation)
                Legal =
                  Array.init rows (fun i ->
                      let row = Space.sample (Masked(Discrete 1, counts)) (Key.named "mask" (keyOf i))
                      Vector.toArray row |> Array.tail |> Array.map ((=) 1f)) } ]

let private probabilitiesOf (player: InferencePolicy) (row: float32[]) =
    let rec ofParts distribution =
        match distribution with
        | ActionDistribution.Choices probabilities -> Array.ofSeq probabilities
        | ActionDistribution.Parts parts -> parts |> Seq.map (snd >> ofParts) |> Array.concat
        | other -> failwith $"{other}"

    ofParts (player.Distribution(ReadOnlySpan row))

let rec private probabilitiesOfLarge (distribution: FunTrpo.CSharp.ActionDistribution) =
    [| yield! distribution.Probabilities

       for part in distribution.Parts do
           yield! probabilitiesOfLarge part.Distribution |]

let rec private probabilitiesOfSmall (distribution: FunTrpo.Inference.ActionDistribution) =
    [| yield! distribution.Probabilities

       for part in distribution.Parts do
           yield! probabilitiesOfSmall part.Distribution |]

/// The probabilities that a model gives for a row, choice after choice.
let private probabilitiesOfModel (found: OnnxRuns.Outputs) space row =
    let rec ofPart path space =
        match space with
        | Parts parts ->
            parts
            |> Seq.map (fun (name, part) -> ofPart (if path = "" then name else $"{path}/{name}") part)
            |> Array.concat
        | _ ->
            let width = List.sum (countsOf space)
            let name = if path = "" then "probabilities" else $"{path}.probabilities"
            Array.sub found.Floats[name] (row * width) width |> Array.map float

    ofPart "" space

let private expectSame what tolerance (legal: bool[]) (expected: float[]) (found: float[]) =
    for i in 0 .. expected.Length - 1 do
        if legal[i] then
            expectClose tolerance found[i] expected[i] what
        else
            Expect.equal (found[i], expected[i]) (0.0, 0.0) $"{what}: illegal"

/// The two largest probabilities of a choice are equal, up to rounding.
let private isTie (counts: int list) (probabilities: float[]) =
    List.zip (List.scan (+) 0 counts |> List.take counts.Length) counts
    |> List.exists (fun (first, count) ->
        match Array.sub probabilities first count |> Array.sortDescending with
        | [| _ |] -> false
        | sorted -> sorted[0] - sorted[1] < 1e-4)

let private sameActions =
    test "the facade and FunTrpo.Inference give the library's distributions and actions" {
        for case in cases 200 do
            let json = PolicyFile.print case.Saved
            let player, large, small = InferencePolicy case.Saved.Actor, Large.FromJson json, Small.FromJson json
            Expect.equal (large.TakesMask, small.TakesMask) (true, true) "takes a mask"
            Expect.equal (large.MaskWidth, small.MaskWidth) (case.Legal[0].Length, case.Legal[0].Length) "its width"

            Expect.equal
                (large.ObservationWidth, small.ObservationWidth)
                (case.Observed.Columns, case.Observed.Columns)
                "the width of observations"

            let width = case.Counts.Length
            let random = Random 5

            for i in 0 .. case.Observed.Rows - 1 do
                let observed, legal = case.Observed.Row(i).ToArray(), case.Legal[i]
                let expected = probabilitiesOf player (case.Row i)
                let ofLarge = large.Distribution(ReadOnlySpan observed, ReadOnlySpan legal)
                let ofSmall = small.Distribution(ReadOnlySpan observed, ReadOnlySpan legal)
                Expect.equal (probabilitiesOfLarge ofLarge) expected "facade"
                expectSame $"{case.Name}, row {i}" 1e-4 legal expected (probabilitiesOfSmall ofSmall)
                let action = Vector.toArray (player.Act(Vector.ofArray (case.Row i))) |> Array.map int
                let found, foundBySmall = Array.zeroCreate<int> width, Array.zeroCreate<int> width
                large.Act(ReadOnlySpan observed, ReadOnlySpan legal, found.AsSpan())
                small.Act(ReadOnlySpan observed, ReadOnlySpan legal, foundBySmall.AsSpan())
                Expect.equal found action "the action of the facade"

                if foundBySmall <> action then
                    Expect.isTrue (isTie case.Counts expected) $"{case.Name}, row {i}: the action of the package"

                for _ in 1..20 do
                    large.Sample(ReadOnlySpan observed, ReadOnlySpan legal, random, found.AsSpan())
                    small.Sample(ReadOnlySpan observed, ReadOnlySpan legal, random, foundBySmall.AsSpan())

                    for drawn in [ found; foundBySmall ] do
                        Expect.isTrue
                            (Mask.allows
                                (Masked(Discrete 1, case.Counts))
                                (ReadOnlySpan(Array.append [| 0f |] (MaskCases.toNumbers legal)))
                                (ReadOnlySpan(Array.map float32 drawn)))
                            "a drawn action is legal"
    }

let private onnx =
    test "ONNX Runtime gives the library's distributions and actions" {
        for case in cases 100 do
            use session = OnnxRuns.session (OnnxRuns.bytesOf case.Saved)
            let rows = case.Observed.Rows

            let found = OnnxRuns.run session (Matrix.ofRows (Array.init rows case.Row))
            let actions = found.Integers["action"]
            let player, choices = InferencePolicy case.Saved.Actor, case.Counts.Length

            for i in 0 .. rows - 1 do
                let expected = probabilitiesOf player (case.Row i)
                let probabilities = probabilitiesOfModel found case.Saved.ActionSpace i
                expectSame $"{case.Name}, row {i}" 1e-4 case.Legal[i] expected probabilities
                let action = Vector.toArray (player.Act(Vector.ofArray (case.Row i))) |> Array.map int64

                if Array.sub actions (i * choices) choices <> action then
                    Expect.isTrue (isTie case.Counts expected) $"{case.Name}, row {i}: the action"
    }

let private refusals =
    test "FunTrpo.Inference refuses what does not fit" {
        let case = cases 1 |> List.head
        let small = Small.FromJson(PolicyFile.print case.Saved)
        let observation = case.Observed.Row(0).ToArray()
        let act (legal: bool[]) () = small.Act(ReadOnlySpan observation, ReadOnlySpan legal) |> ignore

        Expect.throwsT<InvalidOperationException>
            (fun () -> small.Act(ReadOnlySpan observation) |> ignore)
            "without a mask"

        Expect.throwsT<InvalidOperationException>
            (fun () -> small.Sample(ReadOnlySpan observation, Random 1) |> ignore)
            "a draw without a mask"

        Expect.throwsT<InvalidOperationException>
            (fun () -> small.Distribution(ReadOnlySpan observation) |> ignore)
            "a distribution without a mask"

        Expect.throwsT<ArgumentException> (act [| true |]) "another length"
        Expect.throwsT<ArgumentException> (act (Array.create 5 false)) "no legal action"

        let plain =
            { case.Saved with
                Actor =
                    { case.Saved.Actor with
                        Policy = Policy.create case.Saved.Architecture 0.0 false (numbersOf 3) (Discrete 5) } }

        Expect.throwsT<InvalidOperationException>
            (fun () ->
                (Small.FromJson(PolicyFile.print plain)).Act(ReadOnlySpan observation, ReadOnlySpan [| true |])
                |> ignore)
            "a policy without masks"
    }

/// A file whose mask is not one of its actions, for each of the readers.
let private files =
    test "a file whose mask is not one of its actions is refused" {
        let case = cases 1 |> List.head

        for actions in [ Discrete 4; MultiDiscrete [ 3; 2 ]; MultiBinary 5; Space.box 5 0.0 1.0 ] do
            // The same number of parameters, where that is possible, so that only the mask is wrong.
            let policy = Policy.create case.Saved.Architecture 0.0 false (numbersOf 3) actions

            let saved =
                { case.Saved with
                    Actor =
                        { Policy = { policy with ObservationSpace = Masked(numbersOf 3, [ 5 ]) }
                          Parameters = policy.Network.Initialise(Key.ofSeed 1L)
                          Normaliser = Unnormalised } }

            let json = PolicyFile.print saved
            Expect.isError (PolicyFile.parse "file" json) "the library"
            Expect.throwsT<InvalidDataException> (fun () -> Small.FromJson json |> ignore) "the package"
    }

let tests = testList "players of masked policies" [ sameActions; onnx; refusals; files ]
