/// Saved policies of every kind, and texts of policy files that only a program could have written.
module FunTrpo.Tests.PolicyFileCases

open System
open System.Security.Cryptography
open System.Text
open System.Text.Json.Nodes
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators

/// Any finite float32, of all magnitudes.
let anyFinite key =
    let struct (bits, _) = Key.bits 0UL key
    let x = BitConverter.UInt32BitsToSingle(uint32 bits)
    if Single.IsFinite x then x else 0f

let bound =
    Gen.frequency
        [ 4, Gen.choose (-1000, 1000) |> Gen.map (fun n -> float32 n / 8f)
          1, Gen.elements [ 0.1f; -0f; 1e-40f; Single.MaxValue; 16777216f; 3.4567e-12f ] ]

let private plainSpaces =
    let boxes =
        Gen.choose (1, 3)
        |> Gen.bind (fun count ->
            Gen.map4
                (fun (a: float32 list) (b: float32 list) infinite shape ->
                    // A policy could not act where every observation is beyond what its network can multiply.
                    let low = List.map2 min a b |> List.map (min 16777216f)
                    let high = List.map2 max a b

                    Box(
                        (if infinite then List.map (fun _ -> Single.NegativeInfinity) low else low) |> Vector.ofSeq,
                        Vector.ofSeq (Single.PositiveInfinity :: List.tail high),
                        shape
                    ))
                (Gen.listOfLength count bound)
                (Gen.listOfLength count bound)
                (Gen.elements [ true; false ])
                (Gen.elements [ [ count ]; [ count; 1 ]; [ 1; 1; count ] ]))

    Gen.oneof
        [ Gen.choose (1, 6) |> Gen.map Discrete
          boxes
          Gen.choose (1, 3)
          |> Gen.bind (fun length -> Gen.listOfLength length (Gen.choose (1, 4)))
          |> Gen.map MultiDiscrete
          Gen.choose (1, 4) |> Gen.map MultiBinary ]

/// Spaces of every kind, and parts of them.
let spaces =
    let nested = Gen.frequency [ 4, plainSpaces; 1, parts plainSpaces ]
    Gen.frequency [ 4, plainSpaces; 2, parts nested ]

/// A layer for parts, with layers for some of them. It is none for a space without parts.
let rec private layersOfParts space =
    gen {
        match space with
        | Parts parts ->
            let ofPart (name, part) = layersOfPart part |> Gen.map (Option.map (fun layers -> name, layers))
            let! readers = parts |> List.map ofPart |> Gen.sequenceToList
            return [ HiddenLayer.Parts(List.choose id readers) ]
        | _ -> return []
    }

/// Layers for a part, unless it is left out.
and private layersOfPart part =
    let dense = HiddenLayer.Dense(2, Activation.Tanh)

    Gen.oneof
        [ Gen.elements [ None; Some []; Some [ dense ]; Some [ dense; HiddenLayer.LayerNorm ] ]
          layersOfParts part |> Gen.map Some ]

/// Layers of any activations: all alike, or each its own, or with other layers between.
let architecturesFor observationSpace =
    let space = Space.observed observationSpace
    let activations = Gen.elements (List.map snd HiddenLayer.activations)

    let layer =
        Gen.map2 (fun units activation -> HiddenLayer.Dense(units, activation)) (Gen.choose (1, 5)) activations

    Gen.oneof
        [ Gen.map2
              Architecture.uniform
              (Gen.choose (0, 2) |> Gen.bind (fun layers -> Gen.listOfLength layers (Gen.choose (1, 5))))
              activations
          Gen.choose (2, 3) |> Gen.bind (fun layers -> Gen.listOfLength layers layer)
          if not (Space.hasIndices space) then
              Gen.map2
                  List.append
                  (layersOfParts space)
                  (Gen.choose (0, 2) |> Gen.bind (fun layers -> Gen.listOfLength layers layer))

              Gen.oneof [ layer; Gen.elements [ HiddenLayer.LayerNorm; HiddenLayer.Flatten ] ]
              |> Gen.listOfLength 3 ]

let names =
    Gen.elements [ "CartPole-v1"; "Pendulum-v1"; "x"; "a \"quoted\" \\ name\n"; "π ≤ 𝛑 <é>"; "" ]

let private withLabels labels normaliser =
    match normaliser with
    | Standardise moments -> Standardise(Moments.withLabels labels moments)
    | Unnormalised -> Unnormalised

let normalisers width key =
    let numbers name = Key.normals width (Key.named name key) |> Array.map (fun x -> exp (20.0 * x))
    let moments = Moments.create (1.0 + floor (1e6 * Key.uniform key)) (numbers "means") (numbers "squares")
    Gen.elements [ Unnormalised; Standardise(Moments.empty width); Standardise moments ]

let rec private hasSwitches space =
    match space with
    | MultiBinary _ -> true
    | Parts parts -> parts |> List.exists (snd >> hasSwitches)
    | _ -> false

let policies =
    gen {
        let! seed = seeds
        let key = Key.ofSeed seed
        let! observed = spaces
        let! space = spaces

        let! observationSpace =
            if Distribution.hasDensity space || hasSwitches space then
                Gen.constant observed
            else
                Gen.elements [ observed; Mask.space observed space ]

        let! architecture = architecturesFor observationSpace

        let! normaliser =
            if Space.hasIndices observationSpace then
                Gen.constant Unnormalised
            else
                normalisers (Space.width observed) key |> Gen.map (withLabels (Space.labels observed))

        let! name = names
        let! isScaled = Gen.elements [ true; false ]

        let fitting =
            Distribution.kinds
            |> List.map snd
            |> List.filter (fun kind -> (Distribution.misfit kind space).IsNone)

        let! kind = Gen.elements fitting
        let policy = Policy.createWith kind architecture -0.5 isScaled observationSpace space

        let! parameters =
            Gen.frequency
                [ 1, Gen.constant (policy.Network.Initialise key)
                  // Of all magnitudes that a policy can still act with.
                  1,
                  Gen.constant (
                      Vector.init policy.Network.ParameterCount (fun i ->
                          let x = anyFinite (Key.at (int64 i) key)
                          if abs x < 20f then x else MathF.CopySign(1f + 1f / x, x))
                  ) ]

        return
            { Environment = name
              Actor = { Policy = policy; Parameters = parameters; Normaliser = normaliser } }
    }

let saved = Arb.fromGen policies

let sameBits (a: float) (b: float) = BitConverter.DoubleToInt64Bits a = BitConverter.DoubleToInt64Bits b

let sameNormaliser a b =
    match a, b with
    | Unnormalised, Unnormalised -> true
    | Standardise a, Standardise b ->
        a.Width = b.Width
        && sameBits a.Count b.Count
        && List.forall
            (fun c -> sameBits (a.Mean c) (b.Mean c) && sameBits (a.SquaredDeviations c) (b.SquaredDeviations c))
            [ 0 .. a.Width - 1 ]
    | _ -> false

let sameSaved (a: SavedPolicy) (b: SavedPolicy) =
    a.Environment = b.Environment
    && a.ObservationSpace = b.ObservationSpace
    && a.ActionSpace = b.ActionSpace
    && a.Architecture = b.Architecture
    && a.Actor.Policy.IsScaled = b.Actor.Policy.IsScaled
    && a.Actor.Policy.Distribution = b.Actor.Policy.Distribution
    && a.Actor.Parameters = b.Actor.Parameters
    && sameNormaliser a.Actor.Normaliser b.Actor.Normaliser
    && a.Actor.Policy.Network.ParameterCount = b.Actor.Policy.Network.ParameterCount

let name = "somewhere/policy.json"

let isRefused fileName result =
    match result with
    | Error(Damaged(file, why) as fault) ->
        file = fileName && why <> "" && (Fault.message fault).Contains(Fault.printable fileName)
    | _ -> false

/// The text after `change` with a checksum that is right again: what only a program could have written.
let resealed (change: JsonObject -> unit) (policy: SavedPolicy) =
    let node = JsonNode.Parse(PolicyFile.print policy) :?> JsonObject
    node.Remove "checksum" |> ignore
    change node
    let hash = SHA256.HashData(Encoding.UTF8.GetBytes(node.ToJsonString()))
    node["checksum"] <- JsonValue.Create(Convert.ToHexStringLower hash)
    node.ToJsonString()

let example =
    let space = Space.between (Vector.ofArray [| -1f |]) (Vector.ofArray [| 1f |])
    let architecture = (Architecture.uniform [ 2 ] Activation.Tanh)
    let policy = Policy.create architecture 0.0 false (numbersOf 2) space

    { Environment = "Example-v0"
      Actor =
        { Policy = policy
          Parameters = policy.Network.Initialise(Key.ofSeed 1L)
          Normaliser = Standardise(Moments.create 5.0 [ 1.0; 2.0 ] [ 3.0; 4.0 ]) } }

let why result =
    match result with
    | Error fault -> Fault.message fault
    | Ok _ -> "it was accepted"

/// Bytes that the call allocates, and what it gives.
let allocating (call: unit -> 'T) =
    let before = GC.GetAllocatedBytesForCurrentThread()
    let result = call ()
    GC.GetAllocatedBytesForCurrentThread() - before, result

/// Every place in a tree of JSON, as the names and indices that lead there.
let rec places (node: JsonNode) : string list list =
    match node with
    | :? JsonObject as fields ->
        [ for field in fields do
              yield [ field.Key ]

              for rest in places field.Value do
                  yield field.Key :: rest ]
    | :? JsonArray as items ->
        [ for i in 0 .. items.Count - 1 do
              yield [ string i ]

              for rest in places items[i] do
                  yield string i :: rest ]
    | _ -> []

let rec put (value: string) (place: string list) (node: JsonNode) =
    match node, place with
    | (:? JsonObject as fields), [ name ] -> fields[name] <- JsonNode.Parse value
    | (:? JsonArray as items), [ index ] -> items[Int32.Parse index] <- JsonNode.Parse value
    | (:? JsonObject as fields), name :: rest -> put value rest fields[name]
    | (:? JsonArray as items), index :: rest -> put value rest items[Int32.Parse index]
    | _ -> ()
