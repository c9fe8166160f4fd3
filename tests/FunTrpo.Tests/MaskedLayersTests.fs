/// Masks in networks, against hyper-dual numbers of the distributions of the legal actions alone.
module FunTrpo.Tests.MaskedLayersTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.MaskCases
open FunTrpo.Tests.Oracle

/// The logits of the legal alternatives of a row, and the space of these alternatives alone.
let private restricted (case: MaskedCase) row (logits: 'Logit[]) =
    let legal = legalOf case.Counts case.Masks[row]
    let firsts = List.scan (+) 0 case.Counts

    let kept =
        List.zip (List.take legal.Length firsts) legal
        |> Seq.collect (fun (first, legal) -> legal |> Seq.map (fun i -> logits[first + i]))
        |> Array.ofSeq

    kept, MultiDiscrete(legal |> List.map Array.length)

/// The action of a row by the indices among the legal alternatives.
let private restrictedAction (case: MaskedCase) row =
    let action = case.Actions.Row(row).ToArray()

    legalOf case.Counts case.Masks[row]
    |> List.mapi (fun choice legal -> float32 (Array.findIndex ((=) (int action[choice])) legal))
    |> Array.ofList

/// The distributions of the legal actions of each row at θ.
let private distributions (case: MaskedCase) parameters =
    Array.init case.Masks.Length (fun row ->
        output case.Layers parameters (constants (case.Observed.Row(row).ToArray())) |> restricted case row)

let private meanOf terms =
    let terms = Array.ofSeq terms
    Array.fold (+) HyperDual.Zero terms * constant (1.0 / float terms.Length)

let private before (case: MaskedCase) = distributions case (constants (Vector.toArray case.Parameters))

let private meanKl (case: MaskedCase) =
    let before = before case

    fun parameters ->
        Array.map2
            (fun (p, space) (q, _) -> kl DistributionKind.Gaussian space p q)
            before
            (distributions case parameters)
        |> meanOf

let private meanEntropy (case: MaskedCase) parameters =
    distributions case parameters
    |> Seq.map (fun (p, space) -> entropy DistributionKind.Gaussian space p)
    |> meanOf

let private gain (case: MaskedCase) =
    let logProbabilities =
        Array.mapi (fun row (p, space) -> logProbability DistributionKind.Gaussian space p (restrictedAction case row))

    let old = logProbabilities (before case)

    fun parameters ->
        Array.map3
            (fun old now advantage -> (exp (now - old) - constant 1.0) * constant advantage)
            old
            (logProbabilities (distributions case parameters))
            (Array.ofSeq case.Advantages)
        |> meanOf

let private stepCase =
    gen {
        let! case = maskedCase
        let! step = vector 0.1 case.Parameters.Length
        let! v = vector 1.0 case.Parameters.Length
        let! bonus = Gen.elements [ 0.0; 0.3 ]
        return case, step, v, bonus
    }

let private largest = Array.fold (fun most (x: float) -> max most (abs x)) 1.0

let private expectSame (actual: Vector) (expected: float[]) what =
    expectAllClose (1e-4 * largest expected) (Vector.toArray actual) expected what

let private outputs =
    property
        "legal logits have the bits of the network without masks, illegal ones are the constant"
        maskedCase
        (fun case ->
            let masked = Network.forward case.Policy.Network case.Parameters case.Observations
            let plain = Network.forward case.Unmasked.Network case.Parameters case.Observed
            use linearization = Network.linearize case.Policy.Network case.Parameters case.Observations

            for row in 0 .. masked.Rows - 1 do
                let expected =
                    Array.map2
                        (fun legal logit -> if legal then logit else MaskedLayers.illegalLogit)
                        case.Masks[row]
                        (plain.Row(row).ToArray())

                Expect.equal (bitsOf (masked.Row(row).ToArray())) (bitsOf expected) $"row {row}"

                Expect.equal
                    (bitsOf (linearization.Outputs.Row(row).ToArray()))
                    (bitsOf expected)
                    $"linearized, row {row}")

let private family =
    property
        "every member has the bits of the family of the legal actions alone"
        (Gen.zip stepCase key)
        (fun ((case, step, _, _), key) ->
            let family = case.Policy.Family
            let before = Network.forward case.Policy.Network case.Parameters case.Observations

            let after =
                Network.forward case.Policy.Network (Vector.addScaled 1.0 step case.Parameters) case.Observations

            for row in 0 .. before.Rows - 1 do
                let p, q = before.Row(row).ToArray(), after.Row(row).ToArray()
                let small, space = restricted case row p
                let smallAfter, _ = restricted case row q
                let alone = Distribution.forSpace DistributionKind.Gaussian space
                let legal = legalOf case.Counts case.Masks[row]
                let action, smallAction = case.Actions.Row(row).ToArray(), restrictedAction case row

                let logP (family: Family) (parameters: float32[]) (action: float32[]) =
                    family.LogProbability(ReadOnlySpan parameters, ReadOnlySpan action)

                Expect.equal (logP family p action) (logP alone small smallAction) "log-probability"

                Expect.equal
                    (family.Kl(ReadOnlySpan p, ReadOnlySpan q))
                    (alone.Kl(ReadOnlySpan small, ReadOnlySpan smallAfter))
                    "KL"

                Expect.equal (family.Entropy(ReadOnlySpan p)) (alone.Entropy(ReadOnlySpan small)) "entropy"

                let drawn (family: Family) (parameters: float32[]) key =
                    let action = Array.zeroCreate<float32> family.ActionWidth
                    family.Sample(ReadOnlySpan parameters, key, action.AsSpan())
                    action

                let index = drawn alone small key

                let expected =
                    legal |> List.mapi (fun choice legal -> float32 legal[int index[choice]]) |> Array.ofList

                Expect.equal (drawn family p key) expected "draw"

                let written width write =
                    let row = Array.create<float32> width nanf
                    write (row.AsMemory())
                    row

                let score (family: Family) (parameters: float32[]) (action: float32[]) =
                    written parameters.Length (fun row ->
                        family.Score(ReadOnlySpan parameters, ReadOnlySpan action, row.Span))

                let entropyGradient (family: Family) (parameters: float32[]) =
                    written parameters.Length (fun row -> family.EntropyGradient(ReadOnlySpan parameters, row.Span))

                let expectLegal (ofAll: float32[]) (ofLegal: float32[]) what =
                    Expect.equal (bitsOf (fst (restricted case row ofAll))) (bitsOf ofLegal) $"{what} of legal actions"

                    Array.iter2
                        (fun legal number ->
                            if not legal then
                                Expect.equal number 0f $"{what} of an illegal action")
                        case.Masks[row]
                        ofAll

                expectLegal (score family p action) (score alone small smallAction) "the score"
                expectLegal (entropyGradient family p) (entropyGradient alone small) "the gradient of the entropy")

let private derivatives =
    testList
        "derivatives"
        [ propertyOf 60 "the gain, KL and entropy are those of the legal actions" stepCase (fun (case, step, _, _) ->
              let moved = Vector.addScaled 1.0 step case.Parameters
              use surrogate = case.Surrogate
              let comparison = Surrogate.compare surrogate moved
              let at = constants (Vector.toArray moved)
              let tolerance (x: float) = 1e-4 * (1.0 + abs x)
              let expected = (gain case at).X
              expectClose (tolerance expected) comparison.Gain expected "gain"
              let expected = (meanKl case at).X
              expectClose (tolerance expected) comparison.MeanKl expected "KL"
              let expected = (meanEntropy case at).X
              expectClose (tolerance expected) comparison.Entropy expected "entropy")
          propertyOf 60 "the gradient is that of the legal actions" stepCase (fun (case, _, _, bonus) ->
              use surrogate = Surrogate.withEntropyBonus bonus case.Surrogate
              let objective theta = gain case theta + constant bonus * meanEntropy case theta
              expectSame (Surrogate.gradient surrogate) (gradient objective (floats case.Parameters)) "gradient")
          propertyOf 40 "F is the Hessian of the mean KL of the legal actions" stepCase (fun (case, _, v, _) ->
              let expected = hessianTimes (meanKl case) (floats case.Parameters) (floats v)
              expectSame (fisherProduct 0.0 1.0 case.Surrogate v) expected "Fv")
          property "J v of illegal actions is 0, and Jᵀ u does not depend on their u" stepCase (fun (case, _, v, _) ->
              use linearization = Network.linearize case.Policy.Network case.Parameters case.Observations
              use plain = Network.linearize case.Unmasked.Network case.Parameters case.Observed

              let masked (m: Matrix) =
                  Matrix.init m.Rows m.Columns (fun row i -> if case.Masks[row][i] then m[row, i] else 0f)

              let tangents = linearization.Pushforward v
              Expect.equal tangents (masked (plain.Pushforward v)) "J v"
              let u = Matrix.init tangents.Rows tangents.Columns (fun row i -> float32 (row - 2 * i))
              Expect.equal (linearization.Pullback u) (plain.Pullback(masked u)) "Jᵀ u"
              Expect.equal (linearization.Pullback(masked u)) (linearization.Pullback u) "only of the legal ones"

              let ofPlain = plain.PullbackInputs(masked u)

              let withZeros =
                  Matrix.init case.Observations.Rows case.Observations.Columns (fun row i ->
                      if i < ofPlain.Columns then ofPlain[row, i] else 0f)

              Expect.equal (linearization.PullbackInputs u) withZeros "of the inputs, and 0 of the masks") ]

let tests = testList "masked layers" [ outputs; family; derivatives ]
