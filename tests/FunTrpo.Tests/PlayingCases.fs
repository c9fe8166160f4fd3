/// Policies of every kind as training leaves them, with observations to play: what every program that plays a policy must agree on.
module FunTrpo.Tests.PlayingCases

open System
open FunTrpo
open FunTrpo.Kernels

type Case =
    {
        Name: string
        Saved: SavedPolicy
        /// Rows of raw observations that a policy can act on.
        Observations: Matrix
    }

/// What the coordinates of an action space, or of a part of it, are counted in: half the width of a coordinate, if the policy scales it.
let unitsOf (policy: Policy) space =
    match space with
    | Box(low, high, _) when policy.IsScaled || Distribution.isSquashed policy.Distribution ->
        [| for i in 0 .. low.Length - 1 do
               let half = 0.5 * (float high[i] - float low[i])
               if Double.IsFinite half then half else 1.0 |]
    | _ -> [| 1.0 |]

let private normals name count key = Key.normals count (Key.named name key)

/// Observations of a box whose columns differ: the second is far from 0 for its deviation, and the last is always the same.
let private means = [| 0.0; 1000.1; -3.0; 0.25 |]
let private deviations = [| 1.0; 0.01; 20.0; 0.0 |]

let private moments =
    Moments.create 5000.0 means (deviations |> Array.map (fun deviation -> 5000.0 * deviation * deviation))

let private width = means.Length

type private Seen =
    | Standardised
    | Raw
    | Indexed of Space
    | Switched
    /// Pictures of 6 × 5 pixels with two channels.
    | Pictured
    /// A picture, numbers that are standardised, and parts with indices.
    | Apart

/// The last column holds an index.
let private apart =
    Parts
        [ "camera", Space.boxOfShape [ 4; 3; 2 ] 0.0 1.0
          "place", MultiDiscrete [ 3; 2 ]
          "hand", Parts [ "speeds", Space.box 2 -1.0 1.0; "lamps", MultiBinary 2 ]
          "tool", Discrete 12 ]

/// Their moments, in which labels count as 0.
let private momentsApart =
    let number i = 0.3 * float (i % 7) - 0.5
    let width = Space.width apart

    Moments.create 200.0 (Seq.init width number) (Seq.init width (fun i -> 50.0 + 40.0 * float (i % 3)))
    |> Moments.withLabels (Space.labels apart)

let private spaceOf seen =
    match seen with
    | Standardised -> Space.box width Double.NegativeInfinity Double.PositiveInfinity
    | Raw -> Space.box width -1.0 1.0
    | Indexed space -> space
    | Switched -> MultiBinary 3
    | Pictured -> Space.boxOfShape [ 6; 5; 2 ] 0.0 1.0
    | Apart -> apart

let private normaliserOf seen =
    match seen with
    | Standardised -> Standardise moments
    | Apart -> Standardise momentsApart
    | Raw
    | Indexed _
    | Switched
    | Pictured -> Unnormalised

/// Rows of observations. Of those that are standardised, some are far beyond what is clipped, up to the largest float32.
let private observationsOf seen rows key =
    match seen with
    | Indexed _
    | Pictured
    | Apart
    | Switched ->
        let space = spaceOf seen
        let key = Key.named "observations" key
        Matrix.ofRows (Array.init rows (fun i -> Vector.toArray (Space.sample space (Key.at (int64 i) key))))
    | Raw
    | Standardised ->
        let numbers = normals "observations" (rows * width) key

        Matrix.init rows width (fun row column ->
            let number = numbers[row * width + column]

            match seen with
            | Standardised when row % 50 = 1 && (row / 50 + column) % 3 = 0 ->
                MathF.CopySign(Single.MaxValue, float32 number)
            | Standardised when row % 10 = 2 -> float32 (means[column] + 20.0 * number * (deviations[column] + 1.0))
            | Standardised -> float32 (means[column] + number * deviations[column])
            | _ -> float32 (3.0 * number))

let private scalesOfLayer shape layer =
    let struct (weights, biases) = HiddenLayer.sizes shape layer

    [ yield! List.replicate (int weights) (1.5 / sqrt (weights / biases))
      yield! List.replicate (int biases) 0.3 ]

/// The scale of each parameter of the layers of an architecture, and of further ones after it.
let rec private scalesOf space architecture further =
    let shapes = Architecture.shapes space architecture |> Result.defaultWith failwith

    match architecture @ further with
    | HiddenLayer.Dense(units, _) :: rest when Space.hasIndices space ->
        let table = List.replicate (units * int (Space.indexCount space)) 1.0
        table @ List.concat (List.map2 scalesOfLayer (List.truncate rest.Length shapes.Tail) rest)
    | HiddenLayer.Parts _ :: rest ->
        [ for struct (_, part, layers) in Architecture.readers space architecture do
              yield! scalesOf part layers []

          yield! List.concat (List.map2 scalesOfLayer (List.truncate rest.Length shapes.Tail) rest) ]
    | layers -> List.concat (List.map2 scalesOfLayer (List.truncate layers.Length shapes) layers)

/// Parameters as large as those of a network that has learned: layer by layer, normal random numbers for as many inputs.
let private parametersOf (policy: Policy) key =
    let struct (outputs, _) = Distribution.sizes policy.Distribution policy.ActionSpace
    let last = HiddenLayer.Dense(int outputs, Activation.Identity)
    let scales = scalesOf policy.ObservationSpace policy.Architecture [ last ]
    let numbers = normals "parameters" policy.Network.ParameterCount key
    let scales = Array.ofList scales
    Vector.init numbers.Length (fun i -> float32 (numbers[i] * if i < scales.Length then scales[i] else 0.5))

let private heads =
    let gaussian = DistributionKind.Gaussian
    let narrow = Space.between (Vector.ofArray [| -2f; 999f |]) (Vector.ofArray [| 2f; 1001f |])
    let hand = Parts [ "grip", MultiBinary 2; "arm", Space.box 3 -2.0 1.0 ]
    let parts = Parts [ "steer", narrow; "gear", Discrete 4; "hand", hand ]

    [ "choice", Discrete 5, gaussian, false
      "choices", MultiDiscrete [ 3; 1; 7 ], gaussian, false
      "switches", MultiBinary 4, gaussian, false
      "box", Space.box 2 -2.0 2.0, gaussian, false
      "state-dependent box", Space.box 2 -2.0 2.0, DistributionKind.StateDependentGaussian, false
      "scaled state-dependent box", narrow, DistributionKind.StateDependentGaussian, true
      "squashed box", narrow, DistributionKind.SquashedGaussian, false
      "Beta box", narrow, DistributionKind.Beta, true
      // Narrow and far from 0, as wide as float32, and open on one side.
      "scaled box",
      Space.between
          (Vector.ofArray [| -2f; 999f; Single.MinValue; 0f |])
          (Vector.ofArray [| 2f; 1001f; Single.MaxValue; Single.PositiveInfinity |]),
      gaussian,
      true
      "parts of choices", Parts [ "gear", Discrete 4; "lamps", MultiDiscrete [ 2; 3 ] ], gaussian, false
      "parts", parts, gaussian, true
      "state-dependent parts", parts, DistributionKind.StateDependentGaussian, false
      "squashed parts", parts, DistributionKind.SquashedGaussian, false
      "Beta parts", parts, DistributionKind.Beta, false ]

let private networks =
    [ "no layers", []
      "64, 64 tanh", Architecture.uniform [ 64; 64 ] Activation.Tanh
      "mixed", [ HiddenLayer.Dense(17, Activation.Softplus); HiddenLayer.Dense(5, Activation.Identity) ]
      for name, activation in HiddenLayer.activations do
          $"12 {name}", Architecture.uniform [ 12 ] activation ]

let private pictureNetworks =
    [ for text in
          [ "conv 5 3x2 stride 1 relu; pool max 2x2 stride 1; layernorm; conv 16 2x2 stride 1 tanh; flatten; dense 12 relu"
            "pool average 2x2 stride 2; layernorm; dense 9 swish"
            "conv 3 2x3 stride 2 softplus; dense 4 tanh" ] do
          text, Architecture.parse text |> Result.defaultWith failwith ]

let private networksOfParts =
    [ for text in
          [ ""
            "dense 24 tanh; dense 16 relu"
            "parts { camera: conv 3 2x2 stride 1 relu; flatten; tool: dense 5 tanh; hand: parts { lamps: dense 3 elu } }; dense 16 tanh"
            "parts { place: dense 6 swish; dense 4 tanh; hand: dense 4 tanh; layernorm; camera: pool max 2x2 stride 1 }; dense 12 sigmoid" ] do
          text, Architecture.parse text |> Result.defaultWith failwith ]

let private seen =
    [ "standardised", Standardised
      "raw", Raw
      "index", Indexed(Discrete 6)
      "indices", Indexed(MultiDiscrete [ 4; 2; 3 ])
      "switches", Switched
      "pictures", Pictured
      "parts", Apart ]

let private networksOf seen =
    match seen with
    | Pictured -> pictureNetworks
    | Apart -> networksOfParts
    | Standardised
    | Raw
    | Indexed _
    | Switched -> networks

/// Every network with every head on standardised observations, and every kind of observations with every head. `rows` is the number of
/// observations of each case.
let all rows =
    [ for seenName, seen in seen do
          for networkName, architecture in networksOf seen do
              for headName, actionSpace, kind, isScaled in heads do
                  if seen = Standardised || architecture.Length <> 1 then
                      let name = $"{seenName} → {networkName} → {headName}"
                      let key = Key.named name (Key.ofSeed 1L)
                      let policy = Policy.createWith kind architecture 0.0 isScaled (spaceOf seen) actionSpace

                      let actor =
                          { Policy = policy; Parameters = parametersOf policy key; Normaliser = normaliserOf seen }

                      { Name = name
                        Saved = { Environment = "Case-v0"; Actor = actor }
                        Observations = observationsOf seen rows key } ]

/// The largest number, for each observation, that the last layer of the case's network multiplies with its weights. What rounding does to
/// outputs is proportional to it.
let scales (case: Case) =
    let actor = case.Saved.Actor
    let normalised = Normaliser.apply actor.Normaliser case.Observations
    let space = actor.Policy.ObservationSpace

    let last =
        match List.rev actor.Policy.Architecture with
        | []
        | [ HiddenLayer.Parts [] ] -> normalised
        | HiddenLayer.Dense(units, activation) :: earlier ->
            let network = Architecture.network space 1.0 units 0 0.0 (List.rev earlier)
            let outputs = Network.forward network (actor.Parameters.Slice(0, network.ParameterCount)) normalised
            let values = outputs.Memory.ToArray()
            Activations.Apply(activation, values.AsSpan(), Span.Empty)
            Matrix.adopt outputs.Rows outputs.Columns values
        | other :: _ -> failwith $"a network whose last hidden layer is {HiddenLayer.print other}"

    Array.init last.Rows (fun row -> float (last.Row(row).ToArray() |> Array.map abs |> Array.max))
