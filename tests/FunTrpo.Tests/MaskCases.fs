/// Masks, policies with masks, and environments that mask actions, for several tests.
module FunTrpo.Tests.MaskCases

open System
open System.Collections.Immutable
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators

/// The numbers of alternatives of a few choices.
let someCounts =
    Gen.choose (1, 3) |> Gen.bind (fun choices -> Gen.listOfLength choices (Gen.choose (1, 5)))

let actionsOf counts =
    match counts with
    | [ count ] -> Discrete count
    | counts -> MultiDiscrete counts

/// A mask that allows at least one alternative of each choice.
let maskOf (counts: int list) =
    counts
    |> List.map (fun count ->
        Gen.zip (Gen.choose (0, count - 1)) (Gen.arrayOfLength count (Gen.elements [ true; false ]))
        |> Gen.map (fun (legal, others) -> others |> Array.mapi (fun i other -> other || i = legal)))
    |> Gen.sequenceToArray
    |> Gen.map Array.concat

let toNumbers (mask: bool[]) = mask |> Array.map (fun legal -> if legal then 1f else 0f)

/// The legal alternatives of each choice, by their indices.
let legalOf (counts: int list) (mask: bool[]) =
    let firsts = List.scan (+) 0 counts

    [ for first, count in List.zip (List.take counts.Length firsts) counts ->
          [| for i in 0 .. count - 1 do
                 if mask[first + i] then
                     i |] ]

/// A policy for a player, with normally distributed parameters.
let savedAtRandom (policy: Policy) key normaliser =
    let parameters = Key.normals policy.Network.ParameterCount (Key.named "parameters" key)

    { Environment = "Case-v0"
      Actor =
        { Policy = policy
          Parameters = parameters |> Array.map float32 |> Vector.ofArray
          Normaliser = normaliser } }

/// A policy of any layers with masks, and a batch that it collected, each row of which has a mask of its own.
type MaskedCase =
    {
        Counts: int list
        Layers: Layers
        /// The policy without masks, of the same network.
        Unmasked: Policy
        Policy: Policy
        Parameters: Vector
        /// The observations without their masks.
        Observed: Matrix
        Masks: bool[][]
        Actions: Matrix
        Advantages: ImmutableArray<float>
    }

    /// The rows that the network reads.
    member this.Observations =
        Matrix.ofRows (
            Array.init this.Masks.Length (fun row ->
                Array.append (this.Observed.Row(row).ToArray()) (toNumbers this.Masks[row]))
        )

    member this.Surrogate =
        Surrogate.create 1 this.Policy this.Observations this.Actions this.Advantages this.Parameters

let maskedCase =
    gen {
        let! counts = someCounts
        let width = List.sum counts
        let! depth = Gen.choose (0, 2)

        let! layers =
            Gen.frequency [ 4, layersOf activation depth width; 1, pictureLayers activation [ Average ] width ]

        let! inputs = Layers.inputs layers
        let! rows = Gen.choose (1, 9)
        let! masks = Gen.arrayOfLength rows (maskOf counts)

        let unmasked =
            { ObservationSpace = numbersOf inputs
              ActionSpace = actionsOf counts
              Architecture = []
              Distribution = DistributionKind.Gaussian
              Family = Distribution.categoricals counts
              Network = Layers.network inputs layers
              IsScaled = false }

        let policy =
            { unmasked with
                ObservationSpace = Masked(numbersOf inputs, counts)
                Network =
                    unmasked.Network
                    |> Network.mapLayer (MaskedLayers.besides width)
                    |> Network.mapLayer MaskedLayers.head }

        let! parameters = vector 1.0 policy.Network.ParameterCount
        let! observed = matrix 1.5 rows inputs
        let! key = key
        let! advantages = numbers 2.0 rows

        let case =
            { Counts = counts
              Layers = layers
              Unmasked = unmasked
              Policy = policy
              Parameters = parameters
              Observed = observed
              Masks = masks
              Actions = observed
              Advantages = ImmutableArray.CreateRange(Seq.map float advantages) }

        return { case with Actions = drawActions policy parameters case.Observations key }
    }

/// A walk in which both choices of an action are masked by where it is. The state is the place and the time.
[<Struct>]
type Place = { At: int; Time: int }

let walkCounts = [ 5; 3 ]

/// Which alternatives the walk allows in a state.
type Rule = Place -> int -> bool

/// At least the first alternative of the first choice, and the last one of the second.
let changing: Rule = fun place i -> i = 0 || i = 7 || (place.At * 31 + place.Time * 7 + i * i) % 3 = 0

let allLegal: Rule = fun _ _ -> true

let private step (place: Place) (action: int[]) =
    let at = (place.At + 2 * action[0] + 3 * action[1] + 1) % 11

    { State = { At = at; Time = place.Time + 1 }
      Reward = cos (float at) - 0.1 * float action[0]
      Terminated = (place.Time + 1 = 17)
      Truncated = false }

let private show (place: Place) (observation: Span<float32>) =
    observation[0] <- float32 (3.0 * sin (float place.At))
    observation[1] <- 7f + float32 place.Time

/// The walk, which throws where an illegal action is taken. `chosen` gives the choices of the walk for those of the policy.
let private walkOf counts (chosen: int[] -> int[]) (rule: Rule) =
    { new Environment<Place> with
        member _.Id = "Walk"
        member _.ObservationSpace = Masked(Space.box 2 -100.0 100.0, counts)
        member _.ActionSpace = actionsOf counts
        member _.Reset key = { At = int (11.0 * Key.uniform key); Time = 0 }

        member _.Step(_, action, place) =
            let action = action.ToArray() |> Array.map int
            let firsts = List.scan (+) 0 counts

            for choice in 0 .. action.Length - 1 do
                if not (rule place (firsts[choice] + action[choice])) then
                    failwith $"the action {action[choice]} of choice {choice} is illegal"

            step place (chosen action)

        member _.Observe(place, observation) =
            show place observation

            for i in 0 .. List.sum counts - 1 do
                observation[2 + i] <- if rule place i then 1f else 0f }

let walk rule = walkOf walkCounts id rule

/// The walk with one choice, of `count` alternatives.
let narrow count rule = walkOf [ count ] (fun action -> [| action[0]; 1 |]) rule

/// The walk without masks, where the policy chooses among these alternatives of the first choice.
let unmaskedWalk (alternatives: int[]) =
    { new Environment<Place> with
        member _.Id = "Walk"
        member _.ObservationSpace = Space.box 2 -100.0 100.0
        member _.ActionSpace = Discrete alternatives.Length
        member _.Reset key = { At = int (11.0 * Key.uniform key); Time = 0 }
        member _.Step(_, action, place) = step place [| alternatives[int action[0]]; 1 |]
        member _.Observe(place, observation) = show place observation }
