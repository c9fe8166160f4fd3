/// The share of a policy gradient that is signal, by the gradients of half batches as an oracle.
module FunTrpo.Tests.SignalShareTests

open System
open System.Collections.Immutable
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks

/// The rows of a case from `first` to before `last`, as a case of their own.
let private slice first last (case: PolicyCase) =
    let rows = ImmutableArray.CreateRange(seq { first .. last - 1 })

    { case with
        Observations = Matrix.gather rows case.Observations
        Actions = Matrix.gather rows case.Actions
        Advantages = ImmutableArray.CreateRange(rows |> Seq.map (fun row -> case.Advantages[row])) }

let private gradientOf (case: PolicyCase) =
    use surrogate = case.Surrogate
    Surrogate.gradient surrogate

/// The share in the Euclidean metric, where the direction of a gradient is the gradient.
let private shareOf (case: PolicyCase) =
    use surrogate = case.Surrogate
    let gradient = Surrogate.gradient surrogate
    SignalShare.estimate Some surrogate gradient gradient

/// The case twice, one after the other, with other advantages the second time.
let private twice (second: ImmutableArray<float>) (case: PolicyCase) =
    let rows =
        ImmutableArray.CreateRange(Seq.append (seq { 0 .. case.Actions.Rows - 1 }) (seq { 0 .. case.Actions.Rows - 1 }))

    { case with
        Observations = Matrix.gather rows case.Observations
        Actions = Matrix.gather rows case.Actions
        Advantages = case.Advantages.AddRange second }

let private hasGradient case = Vector.norm (gradientOf case) > 1e-3

let private cases = policyCase |> Gen.filter (fun case -> case.Actions.Rows >= 2)

let private estimate =
    testList
        "estimate"
        [ property "is that of the gradients of the halves" cases (fun case ->
              let rows = case.Actions.Rows
              let gradient = gradientOf case
              let total = Vector.dot gradient gradient

              if total > 1e-6 then
                  let first = case |> slice 0 (rows / 2) |> gradientOf
                  let second = case |> slice (rows / 2) rows |> gradientOf
                  // With an odd number of rows the gradient is not exactly the mean of the two. The formula is the same.
                  let expected = Math.Clamp(Vector.dot first second / total, SignalShare.least, 1.0)
                  let magnitude = Vector.norm first * Vector.norm second / total
                  Expect.isLessThan (abs (shareOf case - expected)) (1e-4 * (1.0 + magnitude)) "the share")

          property "is 1 if the halves are the same" (cases |> Gen.filter hasGradient) (fun case ->
              Expect.floatClose
                  { absolute = 1e-3; relative = 0.0 }
                  (shareOf (twice case.Advantages case))
                  1.0
                  "the share")

          property "is the least if the halves disagree" (cases |> Gen.filter hasGradient) (fun case ->
              // The second half says half of the opposite, so that a gradient is left.
              let opposite = ImmutableArray.CreateRange(case.Advantages |> Seq.map (fun a -> -0.5 * a))
              Expect.equal (shareOf (twice opposite case)) SignalShare.least "the share")

          property "is 1 without a gradient, and of a single row" cases (fun case ->
              let none = ImmutableArray.CreateRange(case.Advantages |> Seq.map (fun _ -> 0.0))
              Expect.equal (shareOf { case with Advantages = none }) 1.0 "no gradient"
              Expect.equal (shareOf (slice 0 1 case)) 1.0 "one row")

          test "multiplies δ by its power" {
              Expect.equal (SignalShare.factor 2.0 (Some 0.5)) 0.25 "squared"
              Expect.equal (SignalShare.factor 0.0 (Some 0.5)) 1.0 "kept"
              Expect.equal (SignalShare.factor 2.0 None) 1.0 "without a share"
          } ]

/// The shares of the first iterations of a run, with the shrinkage.
let private run shrinkage iterations =
    let configuration = { Configuration.standard with DeltaShrinkage = shrinkage; CriticSteps = 1 }
    let setup = setupOf 1 configuration CartPole.environment

    Training.run setup (TrainingState.start setup 5L)
    |> Seq.truncate iterations
    |> Seq.map (expectOk >> snd)
    |> List.ofSeq

let private inTraining =
    testList
        "in training"
        [ test "shrinks the region: δ · share², which no step leaves" {
              for report in run 2.0 20 do
                  let share = report.Improvement.SignalShare.Value
                  Expect.floatClose Accuracy.high report.Delta (0.01 * share * share) "the radius"
                  Expect.isLessThanOrEqual report.Improvement.Comparison.MeanKl report.Delta "the KL"
                  Expect.isTrue (share >= SignalShare.least && share <= 1.0) "the share"
          }

          test "is not computed, and changes nothing, if the power is 0" {
              for report in run 0.0 3 do
                  Expect.isNone report.Improvement.SignalShare "no share"
                  Expect.equal report.Delta 0.01 "the radius"
          }

          test "is large while the policy learns, and small where every episode has the same return" {
              // Untrained, the pole falls for reasons that all of the batch shows. When it never falls, the advantages are the critic's errors.
              let shares = run 2.0 100 |> List.map _.Improvement.SignalShare.Value
              let mean = List.average
              let early, late = mean (List.truncate 10 shares), mean (List.skip 90 shares)
              Expect.isGreaterThan early 0.4 "early"
              Expect.isLessThan late (0.7 * early) "late"
          } ]

[<Tests>]
let tests = testList "signal share" [ estimate; inTraining ]
