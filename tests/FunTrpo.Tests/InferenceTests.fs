/// The package FunTrpo.Inference acts as the library does.
module FunTrpo.Tests.InferenceTests

open System
open System.IO
open System.Runtime.Intrinsics.Arm
open System.Runtime.Intrinsics.X86
open System.Runtime.Loader
open Expecto
open FunTrpo
open FunTrpo.Tests.Generators

type private Small = FunTrpo.Inference.Policy

let private loadedBy (saved: SavedPolicy) = Small.FromJson(PolicyFile.print saved)

// ---- The same actions ----

/// 2e-6, where the library computes with fused multiply-adds, as the package always does.
let private tolerance = if Fma.IsSupported || AdvSimd.IsSupported then 2e-6 else 1e-5

/// Equal within the tolerance: relative to numbers beyond 1, to the unit that they count in, and to the largest number that is summed.
let private expectClose (units: float[]) what scale (expected: seq<float>) (found: seq<float>) =
    let expected, found = Array.ofSeq expected, Array.ofSeq found
    Expect.hasLength found expected.Length what

    for i in 0 .. found.Length - 1 do
        let unit = units[i % units.Length] * max 1.0 scale

        let isClose =
            expected[i] = found[i] || abs (expected[i] - found[i]) <= tolerance * max unit (abs expected[i])

        if not isClose then
            failtest $"{what}: {expected[i]} and {found[i]} at {i}"

let private actionsOf (act: Fill) count = Vector.Create(count, act) |> Vector.toArray

/// The two largest probabilities of a choice are the same, up to rounding.
let private isTie (space: Space) (probabilities: seq<float>) =
    let counts = countsOf space
    let probabilities = Array.ofSeq probabilities

    List.zip (List.scan (+) 0 counts |> List.take counts.Length) counts
    |> List.exists (fun (first, count) ->
        match Array.sub probabilities first count |> Array.sortDescending with
        | [| _ |] -> false
        | sorted -> sorted[0] - sorted[1] < 1e-6)

/// What a policy does in a space of actions, or in a part of it.
type private Done<'Distribution> = { Distribution: 'Distribution; Action: float32[] }

/// Compares what the library and the package do in a space of actions, or in a part of it.
let rec private expectSameIn
    (policy: Policy)
    scale
    space
    (expected: Done<ActionDistribution>)
    (found: Done<FunTrpo.Inference.ActionDistribution>)
    =
    let units = PlayingCases.unitsOf policy space
    let distribution = found.Distribution
    let one = [| 1.0 |]

    let expectSameAction () =
        expectClose units "action" scale (Array.map float expected.Action) (Array.map float found.Action)
        Expect.isTrue (Space.contains space (ReadOnlySpan found.Action)) "an action of the space"

    match expected.Distribution with
    | ActionDistribution.Normals(means, deviations) ->
        expectClose units "mean" scale means distribution.Mean
        // Rounding changes an output of the network, which may be a log σ.
        let logs (numbers: seq<float>) = Seq.map log numbers
        expectClose one "log σ" scale (logs deviations) (logs distribution.StandardDeviation)
        expectSameAction ()
    | ActionDistribution.SquashedNormals(means, deviations) ->
        expectClose one "latent mean" scale means distribution.LatentMean
        expectClose one "latent deviation" scale deviations distribution.LatentStandardDeviation
        expectSameAction ()
    | ActionDistribution.Betas(alphas, betas, means, deviations) ->
        expectClose one "α" scale alphas distribution.Alpha
        expectClose one "β" scale betas distribution.Beta
        expectClose units "mean" scale means distribution.Mean
        expectClose units "standard deviation" scale deviations distribution.StandardDeviation
        expectSameAction ()
    | ActionDistribution.Choices probabilities ->
        expectClose one "probabilities" scale probabilities distribution.Probabilities

        if expected.Action <> found.Action then
            Expect.isTrue (isTie space probabilities) "the actions differ without a tie"
    | ActionDistribution.Parts parts ->
        Expect.equal [ for part in distribution.Parts -> part.Name ] (List.map fst parts) "the names of the parts"

        for (_, ofPart), foundPart, struct (_, first, part) in
            List.zip3 parts (List.ofSeq distribution.Parts) (Space.placed space) do
            let within action = Array.sub action first (Space.width part)

            expectSameIn
                policy
                scale
                part
                { Distribution = ofPart; Action = within expected.Action }
                { Distribution = foundPart.Distribution; Action = within found.Action }

let private expectSame (case: PlayingCases.Case) =
    let saved, observations = case.Saved, case.Observations
    let scales = PlayingCases.scales case
    let large, small = InferencePolicy saved.Actor, loadedBy saved
    let width = Space.width saved.ActionSpace

    for row in 0 .. observations.Rows - 1 do
        let observation = observations.SliceRows(row, 1)

        expectSameIn
            saved.Actor.Policy
            scales[row]
            saved.ActionSpace
            { Distribution = large.Distribution observation.Span
              Action = actionsOf (Fill(fun action -> large.Act(observation.Span, action))) width }
            { Distribution = small.Distribution observation.Span
              Action = actionsOf (Fill(fun action -> small.Act(observation.Span, action))) width }

let private acting =
    [ for case in PlayingCases.all 2000 do
          test case.Name { expectSame case } ]

let private rows =
    test "rows are acted on as single observations, and indices are the numbers" {
        for case in PlayingCases.all 20 do
            let small = loadedBy case.Saved
            let width = Space.width case.Saved.ActionSpace
            let all = case.Observations
            let together = actionsOf (Fill(fun action -> small.Act(all.Span, action))) (20 * width)

            let single =
                [| for row in 0..19 do
                       yield! actionsOf (Fill(fun action -> small.Act(all.Row row, action))) width |]

            Expect.equal single together "row by row"

            if not (Distribution.hasDensity case.Saved.ActionSpace) then
                let indices = Array.zeroCreate<int>(20 * width)
                small.Act(all.Span, indices.AsSpan())
                Expect.equal (Array.map float32 indices) together "as indices"
    }

// ---- The assembly for netstandard2.1 ----

/// `Policy.Act` with numbers.
type ActInto = delegate of ReadOnlySpan<float32> * Span<float32> -> unit

let private olderNet =
    test "the assembly for netstandard2.1 computes the same bits, and needs nothing but netstandard" {
        let path = Path.Combine(AppContext.BaseDirectory, "netstandard2.1", "FunTrpo.Inference.dll")
        let context = AssemblyLoadContext("netstandard2.1", true)
        let assembly = context.LoadFromAssemblyPath path
        let references = [ for reference in assembly.GetReferencedAssemblies() -> reference.Name ]
        Expect.equal references [ "netstandard" ] "what it references"
        let policy = assembly.GetType "FunTrpo.Inference.Policy"

        for case in PlayingCases.all 50 do
            let older = policy.GetMethod("FromJson").Invoke(null, [| PolicyFile.print case.Saved |])

            let types =
                [| for parameter in typeof<ActInto>.GetMethod("Invoke").GetParameters() -> parameter.ParameterType |]

            let act = policy.GetMethod("Act", types).CreateDelegate(typeof<ActInto>, older) :?> ActInto
            let count = 50 * Space.width case.Saved.ActionSpace
            let small = loadedBy case.Saved

            Expect.equal
                (actionsOf (Fill(fun action -> act.Invoke(case.Observations.Span, action))) count)
                (actionsOf (Fill(fun action -> small.Act(case.Observations.Span, action))) count)
                case.Name

        context.Unload()
    }

// ---- Drawing ----

/// The action of coordinate i that a drawn one is below with this probability, where z is the standard normal number of this probability.
let private quantile
    (distribution: FunTrpo.Inference.ActionDistribution)
    (low: float32)
    (high: float32)
    i
    z
    probability
    =
    let low, width = float low, float high - float low

    if distribution.Alpha.Count > 0 then
        low
        + width
          * MathNet.Numerics.Distributions.Beta.InvCDF(distribution.Alpha[i], distribution.Beta[i], probability)
    elif distribution.LatentMean.Count > 0 then
        let latent = distribution.LatentMean[i] + z * distribution.LatentStandardDeviation[i]
        low + 0.5 * width * (1.0 + tanh latent)
    else
        distribution.Mean[i] + z * distribution.StandardDeviation[i]

/// Drawn actions of a space, or of a part of it, have the frequencies of the distribution.
let rec private expectDrawn name space (distribution: FunTrpo.Inference.ActionDistribution) (drawn: float32[][]) =
    let share isSo = drawn |> Array.averageBy (fun row -> if isSo row then 1.0 else 0.0)

    match space with
    | Box(low, high, _) ->
        for i in 0 .. low.Length - 1 do
            for z, probability in [ -1.0, 0.158655; 0.0, 0.5; 0.5, 0.691462 ] do
                let x = quantile distribution low[i] high[i] i z probability

                if float low[i] < x && x < float high[i] then
                    let below = share (fun row -> float row[i] <= x)
                    Expect.isLessThan (abs (below - probability)) 0.03 $"{name}, coordinate {i}, below {z} σ"
    | Parts _ ->
        for ofPart, struct (_, first, part) in Seq.zip distribution.Parts (Space.placed space) do
            let rows = drawn |> Array.map (fun row -> Array.sub row first (Space.width part))
            expectDrawn $"{name}, {ofPart.Name}" part ofPart.Distribution rows
    | Discrete _
    | MultiDiscrete _
    | MultiBinary _
    | Masked _ ->
        let counts = countsOf space

        for choice, first in List.indexed (List.scan (+) 0 counts |> List.take counts.Length) do
            for index in 0 .. counts[choice] - 1 do
                let ofIndex = share (fun row -> int row[choice] = index)
                let difference = ofIndex - distribution.Probabilities[first + index]
                Expect.isLessThan (abs difference) 0.04 $"{name}, choice {choice}, index {index}"

let private drawing =
    test "drawn actions have the frequencies, means and deviations of the distribution" {
        for case in PlayingCases.all 1 do
            if case.Name.Contains "64, 64 tanh" && not (case.Name.EndsWith "scaled box") then
                let small = loadedBy case.Saved
                let random = Random 1
                let draws = 4000
                let width = Space.width case.Saved.ActionSpace
                let action = Array.zeroCreate<float32> width

                let drawn =
                    Array.init draws (fun _ ->
                        small.Sample(case.Observations.Span, random, action.AsSpan())
                        Array.copy action)

                let distribution = small.Distribution case.Observations.Span

                for row in drawn do
                    Expect.isTrue (Space.contains case.Saved.ActionSpace (ReadOnlySpan row)) "inside"

                expectDrawn case.Name case.Saved.ActionSpace distribution drawn
    }

let private allocations =
    testSequenced (
        test "acting and drawing allocate no memory" {
            for case in PlayingCases.all 10 do
                let small = loadedBy case.Saved
                let random = Random 1
                let action = Array.zeroCreate<float32>(10 * Space.width case.Saved.ActionSpace)

                let play () =
                    small.Act(case.Observations.Span, action.AsSpan())
                    small.Sample(case.Observations.Span, random, action.AsSpan())

                for _ in 1..100 do
                    play ()

                let before = GC.GetAllocatedBytesForCurrentThread()
                play ()
                let after = GC.GetAllocatedBytesForCurrentThread()
                Expect.equal (after - before) 0L case.Name
        }
    )

let tests =
    testList "Inference" [ testList "acts as the library does:" acting; rows; olderNet; drawing; allocations ]
