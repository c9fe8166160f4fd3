/// Certificates from held-out rows: their formulas, which rows are held out, and that an improvement does not see them.
module FunTrpo.Tests.SampledCertificateTests

open System
open System.Collections.Immutable
open Expecto
open FsCheck.FSharp
open MathNet.Numerics.Distributions
open MathNet.Numerics.Statistics
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks

// ---- The formula ----

/// A policy with its rows, which come in clusters of some lengths; another policy; and γ.
let private cases =
    gen {
        let! case = policyCaseOf activation (Gen.choose (2, 12))
        let! step = vector 0.1 case.Parameters.Length
        let rows = case.Advantages.Length
        let! ends = Gen.arrayOfLength (rows - 1) (Gen.elements [ true; false ])
        let! gamma = Gen.elements [ 0.0; 0.5; 0.99 ]
        let cuts = [ 0; yield! [ 1 .. rows - 1 ] |> List.filter (fun row -> ends[row - 1]); rows ]

        let lengths =
            ImmutableArray.CreateRange(List.pairwise cuts |> List.map (fun (first, next) -> next - first))

        return case, lengths, Vector.addScaled 1.0 step case.Parameters, gamma
    }

let private estimate (case: PolicyCase) lengths parameters gamma =
    use surrogate = case.Surrogate
    SampledCertificate.estimate gamma surrogate lengths parameters

/// (π_new/π_old − 1) A of each row, and the mean bound of the total variation, by the oracle of densities.
let private rowsOf (case: PolicyCase) parameters =
    let outputs at = Network.forward case.Policy.Network at case.Observations
    let before, after = outputs case.Parameters, outputs parameters
    let row (m: Matrix) i = m.Row(i).ToArray()

    let logProbability (m: Matrix) i =
        (Oracle.logProbability case.Policy.Distribution case.Space (Oracle.constants (row m i)) (row case.Actions i)).X

    let gain i = (exp (logProbability after i - logProbability before i) - 1.0) * case.Advantages[i]
    let tv i = Family.totalVariation case.Policy.Family (before.Row i) (after.Row i)
    let count = case.Advantages.Length
    Array.init count gain, Seq.init count tv |> Seq.average

let private formulas =
    testList
        "a certificate"
        [ property "is what its formula says" cases (fun (case, lengths, parameters, gamma) ->
              let found = estimate case lengths parameters gamma
              let gains, meanTv = rowsOf case parameters
              let size = 1e-9 + (gains |> Array.map abs |> Array.max)
              let mean = Array.average gains
              let epsilon = gains |> Array.map abs |> Array.max
              expectClose (1e-6 * size) found.Gain mean "gain"
              expectClose 1e-12 found.MeanTv meanTv "mean TV"
              expectClose (1e-6 * size) found.Epsilon epsilon "ε′"
              let penalty = 2.0 * gamma / (1.0 - gamma) * epsilon * meanTv
              expectClose (1e-5 * (size + penalty)) found.Penalty penalty "penalty"
              Expect.equal found.Lower (found.GainLow - found.Penalty) "the certificate"

              if lengths.Length > 1 then
                  // The sum over each cluster, less what the mean of the rows would give it.
                  let starts = Seq.scan (+) 0 lengths |> Array.ofSeq

                  let residuals =
                      Array.init lengths.Length (fun c ->
                          Array.sum (Array.sub gains starts[c] lengths[c]) - float lengths[c] * mean)

                  let count = float lengths.Length
                  let rowsOfEach = float gains.Length / count
                  let variance = (residuals |> Array.sumBy (fun d -> d * d)) / (count - 1.0)
                  let error = sqrt (variance / count) / rowsOfEach
                  expectClose (1e-5 * size) found.GainError error "standard error"
                  let t = StudentT.InvCDF(0.0, 1.0, count - 1.0, 0.95)
                  expectClose (1e-5 * size * (1.0 + t)) found.GainLow (mean - t * error) "lower bound")

          property
              "of rows that are all independent has the usual standard error"
              cases
              (fun (case, _, parameters, gamma) ->
                  let ones = ImmutableArray.CreateRange(Seq.replicate case.Advantages.Length 1)
                  let gains, _ = rowsOf case parameters
                  let expected = Statistics.StandardDeviation gains / sqrt (float gains.Length)
                  let size = gains |> Array.map abs |> Array.max
                  expectClose (1e-6 * size + 1e-12) (estimate case ones parameters gamma).GainError expected "error")

          property "is 0, gain and penalty too, if the policy stays as it is" cases (fun (case, lengths, _, gamma) ->
              let found = estimate case lengths case.Parameters gamma
              Expect.equal (found.Gain, found.MeanTv, found.Epsilon, found.Penalty) (0.0, 0.0, 0.0, 0.0) "nothing"

              if lengths.Length > 1 then
                  Expect.equal found.Lower 0.0 "the certificate")

          property
              "is below the lower bound of the gain, which is below the gain"
              cases
              (fun (case, lengths, parameters, gamma) ->
                  let found = estimate case lengths parameters gamma
                  Expect.isLessThanOrEqual found.Lower found.GainLow "the certificate"
                  Expect.isLessThanOrEqual found.GainLow found.Gain "the lower bound"
                  Expect.isLessThanOrEqual (abs found.Gain) found.Epsilon "the mean and the largest")

          property
              "is in the unit of the advantages"
              (Gen.zip cases (Gen.choose (-8, 8)))
              (fun ((case, lengths, parameters, gamma), power) ->
                  let scale = 2.0 ** float power

                  let scaled =
                      { case with Advantages = ImmutableArray.CreateRange(case.Advantages |> Seq.map ((*) scale)) }

                  let one, other = estimate case lengths parameters gamma, estimate scaled lengths parameters gamma
                  // A power of 2 changes no digit.
                  Expect.equal other.MeanTv one.MeanTv "mean TV"

                  let numbers (c: SampledCertificate) =
                      [ c.Gain; c.GainError; c.GainLow; c.Epsilon; c.Penalty; c.Lower ]

                  Expect.isTrue (same (numbers other) (numbers one |> List.map ((*) scale))) "scaled")

          property "of a single episode has no lower bound" cases (fun (case, _, parameters, gamma) ->
              let single = estimate case (ImmutableArray.Create case.Advantages.Length) parameters gamma
              Expect.equal single.GainError infinity "any error"
              Expect.equal single.Lower -infinity "no bound")

          property
              "has an infinite penalty without discount, unless nothing changes"
              cases
              (fun (case, lengths, parameters, _) ->
                  let found = estimate case lengths parameters 1.0
                  Expect.equal found.Penalty (if found.Epsilon * found.MeanTv > 0.0 then infinity else 0.0) "penalty"
                  Expect.equal (estimate case lengths case.Parameters 1.0).Penalty 0.0 "no change")

          property "refuses clusters of more or fewer rows" cases (fun (case, lengths, parameters, gamma) ->
              for wrong in [ lengths.Add 1; lengths.RemoveAt 0 ] do
                  expectRefused "clusters" (fun () -> estimate case wrong parameters gamma |> ignore)) ]

// ---- Which rows are held out ----

let private choosing =
    testList
        "held-out instances"
        [ property
              "are the share of all, at least one and not all, and the others are the rest"
              (Gen.zip3 (Gen.choose (1, 99)) (Gen.choose (2, 70)) key)
              (fun (percent, count, key) ->
                  let share = 0.01 * float percent
                  let held = HeldOut.instances share count key
                  let rest = HeldOut.others held count
                  Expect.equal held (Array.sort (Array.distinct held)) "ascending"
                  Expect.equal (Array.sort (Array.append held rest)) [| 0 .. count - 1 |] "each on one side"
                  Expect.equal rest (Array.sort rest) "ascending"
                  Expect.isTrue (held.Length >= 1 && rest.Length >= 1) "on both sides"
                  Expect.isLessThanOrEqual (abs (float held.Length - share * float count)) 1.0 "the share")

          test "are none with a share of 0, and need two instances" {
              Expect.isEmpty (HeldOut.instances 0.0 1 (Key.ofSeed 1L)) "none"
              expectRefused "one instance" (fun () -> HeldOut.instances 0.5 1 (Key.ofSeed 1L) |> ignore)
          }

          test "are each of them equally often" {
              let counts = Array.zeroCreate<int> 8

              for i in 1..4000 do
                  for instance in HeldOut.instances 0.25 8 (Key.at (int64 i) (Key.ofSeed 5L)) do
                      counts[instance] <- counts[instance] + 1

              // 1,000 each; five deviations are 137.
              Expect.all counts (fun count -> abs (count - 1000) < 137) $"%A{counts}"
          }

          property
              "have episodes that cover their rows, and end where episodes end"
              (Gen.zip3 (Gen.choose (1, 6)) (Gen.choose (1, 12)) seeds)
              (fun (instances, horizon, seed) ->
                  let endOf row =
                      match int (Key.uniform (Key.at (int64 row) (Key.ofSeed seed)) * 6.0) with
                      | 0 -> End.Terminated
                      | 1 -> End.Truncated
                      | _ when (row + 1) % horizon = 0 -> End.Interrupted
                      | _ -> End.Continues

                  let rows = instances * horizon
                  let none = Matrix.init rows 0 (fun _ _ -> 0f)

                  let batch =
                      { Instances = instances
                        Horizon = horizon
                        Observations = none
                        Memory = none
                        Actions = none
                        Rewards = ImmutableArray.CreateRange(Seq.replicate rows 0.0)
                        Ends = ImmutableArray.CreateRange(Seq.init rows endOf)
                        BootstrapObservations = none
                        Episodes = ImmutableArray.Empty }

                  let held = [| for i in 0..2 .. instances - 1 -> i |]
                  let lengths = HeldOut.episodes batch held

                  let expected =
                      [ for instance in held do
                            let ends =
                                [ for t in 0 .. horizon - 1 do
                                      if batch.Ends[instance * horizon + t] <> End.Continues then
                                          t + 1 ]

                            for before, next in List.pairwise (0 :: ends) -> next - before ]

                  Expect.equal (List.ofSeq lengths) expected "lengths") ]

// ---- In training ----

/// What the stages make of a state after `count` iterations, with `change` applied to the batch.
let private stagesOf count configuration environment (change: TrainingState<'State> -> Batch -> Batch) =
    let setup = setupOf 1 configuration environment
    let start = TrainingState.start setup 23L
    let state = if count = 0 then start else iterations count setup start |> last
    let batch, instances = Stages.rollout configuration.Horizon setup state |> expectOk
    let batch = change state batch
    let advantages = Stages.advantageBatch setup state batch
    setup, state, batch, Stages.updateBatch setup state batch advantages instances |> expectOk

let private unchanged _ batch = batch

let private heldIn (configuration: Configuration) (state: TrainingState<'State>) =
    let key = state.Key |> Key.named "iteration" |> Key.at (int64 state.Iteration)
    HeldOut.instances configuration.HeldOut configuration.Environments (Key.named "heldOut" key)

/// Other rewards in the rows of the held-out instances, and other observations after the first batch, whose moments are those of all rows.
let private disturb (configuration: Configuration) (state: TrainingState<'State>) (batch: Batch) =
    let held = heldIn configuration state
    let isHeld row = Array.contains (row / batch.Horizon) held
    let observations = batch.Observations

    { batch with
        Rewards =
            ImmutableArray.CreateRange(
                batch.Rewards |> Seq.mapi (fun row r -> if isHeld row then -3.0 * r + 1.0 else r)
            )
        Observations =
            if state.Iteration = 0 then
                observations
            else
                Matrix.init observations.Rows observations.Columns (fun row column ->
                    if isHeld row then -0.5f * observations[row, column] else observations[row, column]) }

let private withRecurrent (configuration: Configuration) =
    { configuration with
        Architecture = Architecture.parse "gru 4" |> expectOk
        CriticArchitecture = Architecture.parse "gru 3" |> expectOk }

let private split =
    [ for name, configuration in
          [ "a single path", { small with NormaliseReturns = false; NormaliseAdvantages = false }
            "a path with memory", withRecurrent { small with NormaliseReturns = false; NormaliseAdvantages = false }
            "a vine",
            { small with Branches = 2; BranchSteps = 4; NormaliseReturns = false; NormaliseAdvantages = false }
            "a vine with memory",
            withRecurrent
                { small with Branches = 3; BranchSteps = 4; NormaliseReturns = false; NormaliseAdvantages = false } ] do
          everywhere
              $"are those of their instances, and the update has all others: {name}"
              { new OnEnvironment with
                  member _.Check environment =
                      let held = { configuration with HeldOut = 0.4 }
                      let _, state, batch, rows = stagesOf 1 held environment unchanged
                      // The state is that after an iteration with held-out rows; nothing else knows of them.
                      let setup = setupOf 1 configuration environment
                      let advantages = Stages.advantageBatch setup state batch
                      let _, instances = Stages.rollout configuration.Horizon setup state |> expectOk
                      let all = Stages.updateBatch setup state batch advantages instances |> expectOk
                      Expect.isNone all.HeldOut "none"
                      let out = rows.HeldOut.Value
                      let length = all.Advantages.Length / configuration.Environments
                      let chosen = heldIn held state
                      Expect.equal (Seq.sum out.Clusters) out.Rows.Advantages.Length "the clusters"
                      Expect.equal rows.Steps all.Steps "steps"
                      Expect.equal out.Rows.Steps 0L "counted once"

                      for found, of' in [ out.Rows, chosen; rows, HeldOut.others chosen configuration.Environments ] do
                          let indices =
                              ImmutableArray.CreateRange(
                                  of' |> Seq.collect (fun i -> Seq.init length (fun t -> i * length + t))
                              )

                          Expect.equal found.Observations (Matrix.gather indices all.Observations) "observations"
                          Expect.equal found.Actions (Matrix.gather indices all.Actions) "actions"

                          Expect.sequenceEqual
                              found.Advantages
                              (indices |> Seq.map (fun row -> all.Advantages[row]))
                              "advantages"

                          match found.Sequences, all.Sequences with
                          | Some some, Some sequences ->
                              let memoryOf row = sequences.Memory.Row(row / sequences.Length).ToArray()

                              for place, row in Seq.indexed indices do
                                  Expect.equal some.Begins[place] sequences.Begins[row] "beginnings"
                                  Expect.equal (some.Memory.Row(place / some.Length).ToArray()) (memoryOf row) "memory"
                          | None, None -> ()
                          | _ -> failtest "sequences"

                      // Standardised, both have the unit of the rows that stay.
                      let scaling = setupOf 1 { held with NormaliseAdvantages = true } environment
                      let scaled = Stages.updateBatch scaling state batch advantages instances |> expectOk
                      let mean = Seq.average rows.Advantages
                      let deviation = sqrt (rows.Advantages |> Seq.averageBy (fun a -> (a - mean) ** 2.0))

                      for raw, found in [ rows, scaled; out.Rows, scaled.HeldOut.Value.Rows ] do
                          for row in 0 .. raw.Advantages.Length - 1 do
                              let expected = (raw.Advantages[row] - mean) / deviation
                              expectClose (1e-9 * (1.0 + abs expected)) found.Advantages[row] expected "standardised" } ]

let private unseen =
    [ for name, configuration in
          ("memory", withRecurrent small)
          :: List.filter (fun (_, c: Configuration) -> c.HeldOut = 0.0) variants do
          everywhere
              $"do not change a bit of the policy: {name}"
              { new OnEnvironment with
                  member _.Check environment =
                      let configuration = { configuration with HeldOut = 0.4 }

                      for count in [ 0; 2 ] do
                          let setup, state, _, rows = stagesOf count configuration environment unchanged
                          let _, _, _, disturbed = stagesOf count configuration environment (disturb configuration)

                          let improve rows =
                              let improvement, _ = Stages.improve setup state rows |> expectOk
                              improvement, Stages.certificate setup state rows improvement.Parameters |> Option.get

                          let improvement, certificate = improve rows
                          let same', other = improve disturbed
                          Expect.equal same'.Parameters improvement.Parameters "the policy"
                          Expect.isTrue (same same'.Comparison improvement.Comparison) "its gain and KL"

                          if improvement.Outcome.IsMoved then
                              Expect.notEqual other.Gain certificate.Gain "what is held out counts" } ]

let private reported =
    [ test "are in the report of each iteration, and absent without a share" {
          for configuration in [ { small with HeldOut = 0.5 }; { ppo with HeldOut = 0.5 } ] do
              let setup = setupOf 1 configuration CartPole.environment
              let start = TrainingState.start setup 4L

              for before, (after, report) in iterations 4 setup start |> withBefore start do
                  let batch, instances = Stages.rollout configuration.Horizon setup before |> expectOk
                  let advantages = Stages.advantageBatch setup before batch
                  let rows = Stages.updateBatch setup before batch advantages instances |> expectOk
                  let expected = Stages.certificate setup before rows after.PolicyParameters
                  Expect.isSome expected "a certificate"
                  Expect.isTrue (same report.Certificate expected) "the same"
                  Expect.equal (Report.value "certificate" report) (ReportValue.Number expected.Value.Lower) "reported"

          let setup = setupOf 1 small CartPole.environment

          for _, report in iterations 2 setup (TrainingState.start setup 4L) do
              Expect.isNone report.Certificate "none"
              Expect.equal (Report.value "certificate" report) ReportValue.Missing "missing"
      }

      test "do not depend on the number of threads" {
          let reports threads =
              let setup = setupOf threads { small with HeldOut = 0.5 } CartPole.environment
              iterations 3 setup (TrainingState.start setup 4L) |> List.map snd

          Expect.isTrue (same (reports 3) (reports 1)) "the same"
      } ]

let tests =
    testList
        "sampled certificate"
        [ formulas; choosing; testList "held-out rows" (split @ unseen); testList "certificates" reported ]
