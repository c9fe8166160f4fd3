/// Runs ONNX models by ONNX Runtime.
module FunTrpo.Tests.OnnxRuns

open System
open System.IO
open Microsoft.ML.OnnxRuntime
open Microsoft.ML.OnnxRuntime.Tensors
open FunTrpo
open FunTrpo.Onnx

/// The bytes of the policy's model.
let bytesOf (saved: SavedPolicy) =
    use stream = new MemoryStream()
    (FunTrpo.CSharp.Policy.FromJson(PolicyFile.print saved)).ExportOnnx stream
    stream.ToArray()

type Outputs =
    {
        /// The shape of each output.
        Shapes: Map<string, int list>
        Floats: Map<string, float32[]>
        Integers: Map<string, int64[]>
    }

    /// The actions, as rows of numbers.
    member this.Actions =
        match Map.tryFind "action" this.Integers with
        | Some indices -> Array.map float32 indices
        | None -> this.Floats["action"]

let session (model: byte[]) = new InferenceSession(model)

/// The outputs for named rows.
let private runWith (session: InferenceSession) (inputs: (string * Matrix) list) =
    let tensor (rows: Matrix) = DenseTensor<float32>(rows.Memory.ToArray().AsMemory(), [| rows.Rows; rows.Columns |])

    use results =
        session.Run [ for name, rows in inputs -> NamedOnnxValue.CreateFromTensor(name, tensor rows) ]

    let tensors =
        [ for result in results do
              match result.Value with
              | :? DenseTensor<float32> as floats ->
                  result.Name, List.ofSeq (floats.Dimensions.ToArray()), Choice1Of2(floats.Buffer.ToArray())
              | :? DenseTensor<int64> as integers ->
                  result.Name, List.ofSeq (integers.Dimensions.ToArray()), Choice2Of2(integers.Buffer.ToArray())
              | other -> failwith $"{result.Name} is {other.GetType()}" ]

    { Shapes = Map [ for name, shape, _ in tensors -> name, shape ]
      Floats =
        Map
            [ for name, _, values in tensors do
                  match values with
                  | Choice1Of2 floats -> name, floats
                  | Choice2Of2 _ -> () ]
      Integers =
        Map
            [ for name, _, values in tensors do
                  match values with
                  | Choice2Of2 integers -> name, integers
                  | Choice1Of2 _ -> () ] }

/// The inputs of a model for rows of observations, which end with a mask if it has an input for one.
let private inputsOf (session: InferenceSession) (observations: Matrix) =
    let maskWidth =
        match session.InputMetadata.TryGetValue "legal" with
        | true, input -> input.Dimensions[1]
        | _ -> 0

    let observed = observations.Columns - maskWidth

    let columns first count = Matrix.init observations.Rows count (fun row column -> observations[row, first + column])

    [ "observation", columns 0 observed
      if maskWidth > 0 then
          "legal", columns observed maskWidth ]

/// The outputs for rows of observations.
let run session observations = inputsOf session observations |> runWith session

/// The outputs for rows of observations of a policy that remembers rows of memory.
let runFrom memory session observations = ("memory", memory) :: inputsOf session observations |> runWith session
