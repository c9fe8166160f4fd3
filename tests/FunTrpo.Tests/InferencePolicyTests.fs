/// An actor that plays: what its actions are made of, and what they cost.
module FunTrpo.Tests.InferencePolicyTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators

/// An actor, some rows of raw observations, and a key.
let private cases =
    gen {
        let! architecture = architecture
        let! actionSpace = actionSpace
        let! width = Gen.choose (1, 6)
        let! rows = Gen.choose (1, 600)
        let! key = key
        let! isStandardised = Gen.elements [ true; false ]
        let! isScaled = Gen.elements [ true; false ]
        let policy = Policy.create architecture 0.5 isScaled (numbersOf width) actionSpace

        let normals name scale count =
            Key.named name key |> Key.normals count |> Array.map (fun x -> float32 (scale * x))

        let observations = Matrix.adopt rows width (normals "observations" 3.0 (rows * width))

        let actor =
            { Policy = policy
              // As if it had learned: far from uniform.
              Parameters = Vector.ofArray (normals "parameters" 1.0 policy.Network.ParameterCount)
              Normaliser = if isStandardised then Standardise(Moments.ofMatrix observations) else Unnormalised }

        return actor, observations, key
    }

/// What a drawn number stands for: in half-widths around the middle of its bounds, where the policy is scaled, and inside of them.
let private meant isScaled (low: float32) (high: float32) (drawn: float32) =
    let value = if isScaled then (low + high) / 2f + drawn * ((high - low) / 2f) else drawn
    Math.Clamp(value, low, high)

/// One action after another, as `choose` writes it, scaled where the policy is, and inside the space.
let private expected (actor: Actor) observations (choose: int -> Vector -> Fill) =
    let distributions = Actor.distributions actor observations

    [ for row in 0 .. observations.Rows - 1 do
          let ofRow = distributions.Row(row).ToArray() |> Vector.ofArray
          let action = Vector.Create(actor.Policy.Family.ActionWidth, choose row ofRow)

          Vector.init action.Length (fun column ->
              match Space.leaf column actor.Policy.ActionSpace with
              | ValueSome(struct (Box(low, high, _), i)) -> meant actor.Policy.IsScaled low[i] high[i] action[column]
              | _ -> action[column]) ]
    |> Vector.concat

let private actions (actor: Actor) (observations: Matrix) (act: InferencePolicy -> Fill) =
    let player = InferencePolicy actor
    Vector.Create(observations.Rows * actor.Policy.Family.ActionWidth, act player)

/// The log-probability of a drawn action, of what is said about its distribution.
let rec private logProbabilityOf isScaled space distribution (drawn: float32[]) =
    match space, distribution with
    | Box(low, high, _), ActionDistribution.Normals(means, deviations) ->
        // The density of a scaled action is that of the drawn number over the length of its unit.
        let mutable sum = 0.0

        for i in 0 .. low.Length - 1 do
            let isUnit = isScaled && Single.IsFinite low[i] && Single.IsFinite high[i]
            let unitLength = if isUnit then (float high[i] - float low[i]) / 2.0 else 1.0
            let middle = if isUnit then (float high[i] + float low[i]) / 2.0 else 0.0
            let z = (middle + unitLength * float drawn[i] - means[i]) / deviations[i]
            sum <- sum - 0.5 * z * z - log (deviations[i] / unitLength) - 0.5 * log (2.0 * Math.PI)

        sum
    | Parts parts, ActionDistribution.Parts distributions ->
        Expect.equal (List.map fst distributions) (List.map fst parts) "names"

        List.zip (Space.placed space) distributions
        |> List.sumBy (fun (struct (_, first, part), (_, distribution)) ->
            logProbabilityOf isScaled part distribution drawn[first .. first + Space.width part - 1])
    | space, ActionDistribution.Choices probabilities ->
        let counts = countsOf space
        let starts = List.scan (+) 0 counts
        Expect.hasLength probabilities (List.last starts) "alternatives"

        for first, count in Seq.zip starts counts do
            expectClose 1e-12 (Seq.sum (Seq.truncate count (Seq.skip first probabilities))) 1.0 "of one choice"

        Seq.indexed (List.truncate counts.Length starts)
        |> Seq.sumBy (fun (i, first) -> log probabilities[first + int drawn[i]])
    | space, distribution -> failtest $"{Space.describe space} has {distribution}"

let private properties =
    [ property "acts with the mode of the distribution, inside the space, for one row and for many" cases (fun case ->
          let actor, observations, _ = case

          let modes =
              expected actor observations (fun _ ofRow -> Fill(fun a -> actor.Policy.Family.Mode(ofRow.Span, a)))

          let together =
              actions actor observations (fun player -> Fill(fun a -> player.Act(observations.Span, a)))

          expectAllClose 1e-5 (Vector.toArray together) (toFloats (Vector.toArray modes)) "all rows at once"
          let player = InferencePolicy actor

          let single =
              [ for row in 0 .. observations.Rows - 1 do
                    player.Act(Vector.ofArray (observations.Row(row).ToArray())) ]

          Expect.equal (Vector.concat single) together "row by row")

      property "draws from the distribution by the key, inside the space" cases (fun case ->
          let actor, observations, key = case

          let drawn =
              expected actor observations (fun row ofRow ->
                  Fill(fun a -> actor.Policy.Family.Sample(ofRow.Span, Key.at (int64 row) key, a)))

          let sampled =
              actions actor observations (fun player -> Fill(fun a -> player.Sample(observations.Span, key, a)))

          expectAllClose 1e-5 (Vector.toArray sampled) (toFloats (Vector.toArray drawn)) "all rows at once")

      property "gives the distributions themselves" cases (fun case ->
          let actor, observations, _ = case
          let distributions = Actor.distributions actor observations
          let player = InferencePolicy actor

          let given =
              Vector.Create(
                  observations.Rows * actor.Policy.Family.ParameterWidth,
                  Fill(fun parameters -> player.Distributions(observations.Span, parameters))
              )

          Expect.equal given (Matrix.flatten distributions) "the parameters")

      property "says how probable actions are, as the family does, in the unit of the actions" cases (fun case ->
          let actor, observations, key = case
          let player = InferencePolicy actor
          let policy = actor.Policy
          let family = policy.Family
          let observation = observations.Row(0).ToArray()
          let parameters = (Actor.distributions actor observations).Row(0).ToArray()

          let drawn =
              Vector.Create(family.ActionWidth, Fill(fun a -> family.Sample(ReadOnlySpan parameters, key, a)))

          let logProbability = family.LogProbability(ReadOnlySpan parameters, drawn.Span)

          let found =
              logProbabilityOf
                  policy.IsScaled
                  policy.ActionSpace
                  (player.Distribution(ReadOnlySpan observation))
                  (Vector.toArray drawn)

          expectClose (1e-3 * (1.0 + abs logProbability)) found logProbability "of what was drawn") ]

let private someActor space =
    let policy =
        Policy.create (Architecture.uniform [ 64; 64 ] Activation.Tanh) 0.0 false (numbersOf 4) space

    { Policy = policy
      Parameters = policy.Network.Initialise(Key.ofSeed 1L)
      Normaliser = Unnormalised }

let private allocation =
    testSequenced (
        testList
            "allocates nothing"
            [ for space in [ Discrete 3; Space.box 2 -1.0 1.0; MultiDiscrete [ 2; 3 ]; MultiBinary 4 ] do
                  test $"for actions {Space.describe space}" {
                      let player = InferencePolicy(someActor space)
                      let observation = [| 0.1f; -0.2f; 0.3f; -0.4f |]
                      let action = Array.zeroCreate (Space.width space)

                      let play () =
                          for i in 1..1000 do
                              player.Act(ReadOnlySpan observation, action.AsSpan())
                              player.Sample(ReadOnlySpan observation, Key.ofSeed (int64 i), action.AsSpan())

                      play ()
                      let before = GC.GetAllocatedBytesForCurrentThread()
                      play ()
                      Expect.equal (GC.GetAllocatedBytesForCurrentThread() - before) 0L "bytes"
                  } ]
    )

let private refusals =
    test "numbers that are not rows, and memory that does not hold the actions, are refused" {
        let player = InferencePolicy(someActor (Discrete 3))
        let one = Array.zeroCreate<float32> 1
        expectRefused "5 numbers" (fun () -> player.Act(ReadOnlySpan(Array.zeroCreate<float32> 5), one.AsSpan()))
        expectRefused "two rows" (fun () -> player.Act(ReadOnlySpan(Array.zeroCreate<float32> 8), one.AsSpan()))

        expectRefused "room for two" (fun () ->
            player.Act(ReadOnlySpan(Array.zeroCreate<float32> 4), (Array.zeroCreate 2).AsSpan()))
    }

let tests = testList "InferencePolicy" [ testList "properties" properties; allocation; refusals ]
