/// Layers for pictures: what their kernels compute, number by number, and what they refuse.
module FunTrpo.Tests.PictureLayerTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Kernels
open FunTrpo.Tests.Generators
open FunTrpo.Tests.LayerCases

/// A window on pictures of some shape.
type private Case = { Shape: ArrayShape; Window: Window; Filters: int; At: Evaluation; Activation: Activation }

let private layerOf case = Convolution.hidden case.Filters case.Window case.Activation case.Shape

/// Remainders of every kind: of vectors, of tiles of eight, and of the window at the edge of the picture.
let private cases =
    gen {
        let! height = Gen.choose (1, 12)
        let! width = Gen.choose (1, 12)
        let! channels = Gen.frequency [ 3, Gen.choose (1, 5); 1, Gen.elements [ 8; 16; 20 ] ]
        let shape = [ height; width; channels ]
        let! window = windowIn shape

        let! filters =
            Gen.frequency [ 3, Gen.choose (1, 20); 2, Gen.elements [ 8; 16; 32; 48; 64 ]; 1, Gen.choose (21, 130) ]

        let! activation = Gen.elements [ Activation.Identity; Activation.Relu; Activation.Tanh ]
        let! at = evaluations (Convolution.hidden filters window activation shape)

        return { Shape = shape; Window = window; Filters = filters; Activation = activation; At = at }
    }
    |> Gen.where (fun case -> case.At.Parameters.Length * case.At.Input.Length <= 1_000_000)

/// The places of the numbers of each patch in a row.
let private patches case =
    match case.Shape with
    | [ height; width; channels ] ->
        [| for top in 0 .. case.Window.Stride .. height - case.Window.Height do
               for left in 0 .. case.Window.Stride .. width - case.Window.Width do
                   [| for row in top .. top + case.Window.Height - 1 do
                          for column in left .. left + case.Window.Width - 1 do
                              for channel in 0 .. channels - 1 do
                                  (row * width + column) * channels + channel |] |]
    | _ -> [||]

/// Calls `number` for each row, patch and filter: for each number of the output.
let private eachOutput case (number: int -> int[] -> int -> float32) =
    [| for row in 0 .. case.At.Rows - 1 do
           for patch in patches case do
               for filter in 0 .. case.Filters - 1 do
                   number row patch filter |]

/// Σ over a patch of x · w, added to a start, in order.
let private along case (x: Vector) (w: Vector) row (patch: int[]) filter start =
    let first = row * int (ArrayShape.size case.Shape)
    let mutable sum = start

    for k in 0 .. patch.Length - 1 do
        sum <- fused x[first + patch[k]] w[k * case.Filters + filter] sum

    sum

let private biasOf case (parameters: Vector) filter = parameters[parameters.Length - case.Filters + filter]

/// z, and f′ at each of its numbers.
let private linearAndSlopes case =
    let at = case.At

    let z =
        eachOutput case (fun row patch filter ->
            along case at.Input at.Parameters row patch filter (biasOf case at.Parameters filter))

    let values, slopes = Array.copy z, Array.create z.Length nanf
    Activations.Apply(case.Activation, Span values, Span slopes)
    values, slopes

let private convolution =
    testList
        "convolution"
        [ property
              "the output is a chain of fused multiply-adds for each patch and filter, bit for bit"
              cases
              (fun case ->
                  let values, _ = linearAndSlopes case
                  let at = case.At
                  let output = Contract.forward (layerOf case) at.Parameters at.Rows at.Input
                  Expect.equal (bitsOf (Vector.toArray output)) (bitsOf values) "y")
          property "the tangent of the output is such a chain times f′, bit for bit" cases (fun case ->
              let at = case.At
              let values, slopes = linearAndSlopes case

              let tangents =
                  eachOutput case (fun row patch filter ->
                      biasOf case at.ParameterTangent filter
                      |> along case at.Input at.ParameterTangent row patch filter
                      |> along case at.InputTangent at.Parameters row patch filter)

              let slope i = if case.Activation = Activation.Tanh then 1f - values[i] * values[i] else slopes[i]
              let expected = tangents |> Array.mapi (fun i tangent -> tangent * slope i)

              let found =
                  Contract.pushforward
                      (layerOf case)
                      at.Parameters
                      at.Rows
                      at.Input
                      at.InputTangent
                      at.ParameterTangent

              Expect.equal (bitsOf (Vector.toArray found)) (bitsOf expected) "ẏ")
          property
              "the cotangent of the weights is a chain through the patches of all rows, bit for bit"
              cases
              (fun case ->
                  let case = { case with Activation = Activation.Identity }
                  let at = case.At
                  let _, found = Contract.pullback (layerOf case) at.Parameters at.Rows at.Input at.OutputCotangent
                  let patches = patches case
                  let size = int (ArrayShape.size case.Shape)

                  let delta row patch filter =
                      at.OutputCotangent[(row * patches.Length + patch) * case.Filters + filter]

                  let expected =
                      [| for k in 0 .. patches[0].Length do
                             for filter in 0 .. case.Filters - 1 do
                                 let mutable sum = 0f

                                 for row in 0 .. at.Rows - 1 do
                                     for patch in 0 .. patches.Length - 1 do
                                         let delta = delta row patch filter

                                         sum <-
                                             if k = patches[0].Length then
                                                 sum + delta
                                             else
                                                 fused at.Input[row * size + patches[patch][k]] delta sum

                                 sum |]

                  Expect.equal (Vector.toArray found) expected "W̄ and b̄")
          property "the cotangent of a row is the same, bit for bit, whatever the other rows are" cases (fun case ->
              let at = case.At
              let layer = layerOf case
              let inputs, outputs = layer.Inputs, layer.Outputs
              let together, _ = Contract.pullback layer at.Parameters at.Rows at.Input at.OutputCotangent

              for row in 0 .. at.Rows - 1 do
                  let ofRow (v: Vector) width = v.Slice(row * width, width)

                  let alone, _ =
                      Contract.pullback
                          layer
                          at.Parameters
                          1
                          (ofRow at.Input inputs)
                          (ofRow at.OutputCotangent outputs)

                  Expect.equal alone (ofRow together inputs) $"row {row}")
          property "a window of the whole picture is a dense layer" cases (fun case ->
              let case =
                  { case with
                      Window = { Height = case.Shape[0]; Width = case.Shape[1]; Stride = case.Window.Stride } }

              let dense = Dense.hidden case.Filters case.Activation case.Shape
              let convolution = layerOf case
              Expect.equal convolution.ParameterCount dense.ParameterCount "parameters"
              Expect.equal convolution.OutputShape [ 1; 1; case.Filters ] "shape"
              let parameters = Vector.init dense.ParameterCount (float >> sin >> float32)
              let input = case.At.Input
              let ofDense = Contract.forward dense parameters case.At.Rows input
              let found = Contract.forward convolution parameters case.At.Rows input
              expectSame found ofDense (Vector.norm parameters) "y")
          property
              "the weights start orthogonal, with the gain √2, and the biases at 0"
              (Gen.zip cases key)
              (fun (case, key) ->
                  let patch = case.Window.Height * case.Window.Width * case.Shape[2]
                  DenseTests.isOrthogonal patch case.Filters (sqrt 2.0) ((layerOf case).Initialise key)) ]

let private pooling =
    testList
        "pooling"
        [ test "the first of equal maxima has the cotangent, and NaN is a maximum" {
              let layer = Pool.layer Max { Height = 2; Width = 2; Stride = 2 } [ 2; 4; 1 ]
              let input = Vector.ofArray [| 1f; 3f; 0f; nanf; 3f; 2f; 5f; 7f |]
              let output = Contract.forward layer Vector.empty 1 input
              Expect.equal output[0] 3f "the maximum"
              Expect.isTrue (Single.IsNaN output[1]) "NaN"
              let cotangent, _ = Contract.pullback layer Vector.empty 1 input (Vector.ofArray [| 2f; 4f |])
              Expect.equal (Vector.toArray cotangent) [| 0f; 2f; 0f; 4f; 0f; 0f; 0f; 0f |] "x̄"
          }
          property
              "an average of pictures of one colour has that colour, and a maximum too"
              (Gen.zip3 (pictureShape 6) (Gen.elements [ Max; Average ]) (Gen.choose (-8, 8)))
              (fun (shape, pooling, eighths) ->
                  let colour = float32 eighths / 8f
                  let layer = Pool.layer pooling { Height = 2; Width = 2; Stride = 1 } shape
                  let input = Vector.init layer.Inputs (fun _ -> colour)
                  let output = Contract.forward layer Vector.empty 1 input
                  Expect.allEqual (Vector.toArray output) colour "the colour") ]

let private normalisation =
    testList
        "layer normalisation"
        [ property
              "rows start with mean 0 and variance 1, whatever the mean and the scale of the input are"
              (Gen.zip3 (Gen.choose (2, 50)) key (Gen.choose (-10, 10)))
              (fun (width, key, mean) ->
                  let layer = LayerNormalisation.layer [ width ]

                  let input =
                      Vector.init width (fun i -> float32 (float mean + 5.0 * Key.normal (Key.at (int64 i) key)))

                  let row = Contract.forward layer (layer.Initialise key) 1 input |> Oracle.floats
                  expectClose 1e-4 (Array.average row) 0.0 "mean"
                  let center = Oracle.floats input |> Array.average
                  let variance = Oracle.floats input |> Array.averageBy (fun x -> (x - center) * (x - center))

                  // Not quite 1 where two numbers of a short row happen to be near: the layer divides by √(σ² + 10⁻⁵).
                  expectClose 1e-3 (row |> Array.averageBy (fun x -> x * x)) (variance / (variance + 1e-5)) "variance")
          test "a row of equal numbers becomes the shifts" {
              let layer = LayerNormalisation.layer [ 3 ]
              let parameters = Vector.ofArray [| 1f; 2f; 3f; 4f; 5f; 6f |]
              let row = Contract.forward layer parameters 1 (Vector.ofArray [| 7f; 7f; 7f |])
              Expect.equal (Vector.toArray row) [| 4f; 5f; 6f |] "b"
          } ]

let private refusals =
    testList
        "refusals"
        [ for name, layer in
              [ "convolution", (fun window -> Convolution.hidden 2 window Activation.Tanh)
                "maximum", Pool.layer Max
                "average", Pool.layer Average ] do
              test $"{name}: inputs that are no pictures, and windows beyond them" {
                  for shape, height, width in
                      [ [ 16 ], 1, 1; [ 4; 4 ], 1, 1; [ 4; 4; 1; 1 ], 1, 1; [ 4; 3; 2 ], 5, 1; [ 4; 3; 2 ], 1, 4 ] do
                      expectRefused $"%A{shape}" (fun () ->
                          layer { Height = height; Width = width; Stride = 1 } shape |> ignore)

                  for window in
                      [ { Height = 0; Width = 1; Stride = 1 }
                        { Height = 1; Width = -1; Stride = 1 }
                        { Height = 1; Width = 1; Stride = 0 } ] do
                      expectRefused $"%A{window}" (fun () -> layer window [ 4; 3; 2 ] |> ignore)
              }
          test "a convolution without filters, or with more than fit into memory" {
              let window = { Height = 1; Width = 1; Stride = 1 }

              for filters in [ 0; -1; 1 <<< 30 ] do
                  expectRefused $"{filters}" (fun () ->
                      Convolution.hidden filters window Activation.Tanh [ 4; 4; 2 ] |> ignore)
          } ]

let tests = testList "picture layers" [ convolution; pooling; normalisation; refusals ]
