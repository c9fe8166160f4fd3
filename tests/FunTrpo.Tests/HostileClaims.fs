/// What an update promises, whatever the numbers are, and what is claimed of several updates.
module FunTrpo.Tests.HostileClaims

open System
open Expecto
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks
open FunTrpo.Tests.HostileCases

// ---- What an update promises ----

/// All numbers of a state, copied.
let private copyOf (state: TrainingState<'State>) =
    let moments =
        match state.Normaliser with
        | Standardise moments -> [ for i in 0 .. moments.Width - 1 -> moments.Mean i, moments.SquaredDeviations i ]
        | Unnormalised -> []

    [ state.PolicyParameters
      state.Critic.Parameters
      state.Critic.Optimiser.FirstMoment
      state.Critic.Optimiser.SecondMoment ]
    |> List.map (Vector.toArray >> bitsOf),
    moments,
    state.Critic.Unit,
    (state.Iteration, state.Steps, List.ofSeq state.Instances, List.ofSeq state.RecentReturns)

/// Fails unless the fault says where the number came from: the environment, the instance and its step, or the stage and the iteration.
let private expectNamed (setup: Setup<'State>) (state: TrainingState<'State>) fault =
    let isInstance instance = 0 <= instance && instance < setup.Configuration.Environments

    match fault with
    | NonFiniteEnvironment(("observation" | "reward"), "Hostile-v0", instance, step)
    | OversizedEnvironment(("observation" | "reward"), _, "Hostile-v0", instance, step)
    | NonFinitePolicy("Hostile-v0", instance, step) ->
        Expect.isTrue (isInstance instance && step >= state.Instances[instance].Steps) $"%A{fault}"
    | NonFiniteStage(stage, "Hostile-v0", iteration) ->
        Expect.isNotEmpty stage "stage"
        Expect.equal iteration (state.Iteration + 1) "iteration"
    | other -> failtest $"no place is named: %A{other}"

/// The mean KL(old ‖ new) over the rows and the gain of the surrogate, in float64 by the formulas of the oracle.
let private measured (setup: Setup<'State>) (rows: UpdateBatch) oldParameters newParameters =
    let space = setup.Policy.ActionSpace
    let distributions parameters = Network.forward setup.Policy.Network parameters rows.Observations
    let before, after = distributions oldParameters, distributions newParameters
    let count = rows.Observations.Rows
    let row (m: Matrix) i = m.Row(i).ToArray()
    let at m i = Oracle.constants (row m i)

    let gainOf i =
        let logProbability m = (Oracle.logProbability DistributionKind.Gaussian space (at m i) (row rows.Actions i)).X
        let entropyOf m = (Oracle.entropy DistributionKind.Gaussian space (at m i)).X

        (exp (logProbability after - logProbability before) - 1.0) * rows.Advantages[i]
        + setup.Configuration.EntropyBonus * (entropyOf after - entropyOf before)

    let mean f = Seq.init count f |> Seq.average
    mean (fun i -> (Oracle.kl DistributionKind.Gaussian space (at before i) (at after i)).X), mean gainOf

/// The rows of the iteration after the state.
let private rowsAfter (setup: Setup<'State>) state =
    result {
        let! batch, instances = Stages.rollout setup.Configuration.Horizon setup state
        return! Stages.updateBatch setup state batch (Stages.advantageBatch setup state batch) instances
    }
    |> expectOk

/// Fails unless a step of the trust region is one: it gains, and its mean KL is at most δ.
let private expectTrusted (setup: Setup<'State>) state (report: Report) =
    let rows = rowsAfter setup state
    let kl, gain = measured setup rows state.PolicyParameters report.Improvement.Parameters
    let size = rows.Advantages |> Seq.averageBy abs
    expectClose (1e-9 + 1e-6 * report.Delta) (max 0.0 kl) report.Improvement.Comparison.MeanKl "mean KL"
    Expect.isLessThanOrEqual kl (report.Delta * (1.0 + 1e-6) + 1e-9) "mean KL"
    Expect.isGreaterThan gain (-1e-9 * (1.0 + size)) "gain"

/// Fails unless the numbers of a state are finite.
let private expectFinite (state: TrainingState<'State>) =
    let critic = state.Critic
    Expect.isTrue (Vector.isFinite state.PolicyParameters) "policy"
    Expect.isTrue (Vector.isFinite critic.Parameters) "critic"
    Expect.isTrue (Adam.isFinite critic.Optimiser) "the critic's moments"
    Expect.isTrue (Adam.isFinite state.PolicyOptimiser) "the policy's moments"
    Expect.isTrue (Double.IsFinite(ReturnUnit.mean critic.Unit + ReturnUnit.deviation critic.Unit)) "return unit"

    match state.Normaliser with
    | Unnormalised -> ()
    | Standardise moments ->
        for i in 0 .. moments.Width - 1 do
            Expect.isTrue (Double.IsFinite(moments.Mean i + moments.Variance i)) "normaliser"

/// Makes an update, and fails unless it keeps its promise: a fault that names its place, or finite numbers, where the policy is the old one
/// to the last bit for a reason that the report gives, or another one after a step of the trust region. In any case the state is as before.
let update (setup: Setup<'State>) state =
    let before = copyOf state
    let result = Training.update setup state
    Expect.equal (copyOf state) before "the state before"

    match result with
    | Error fault -> expectNamed setup state fault
    | Ok(next, report) ->
        expectFinite next
        Expect.isTrue (Double.IsFinite report.CriticErrorAfter) "critic's error"
        Expect.isTrue (Double.IsFinite report.Improvement.Comparison.MeanKl) "mean KL"
        Expect.isTrue (Double.IsFinite report.Improvement.Comparison.Entropy) "entropy"

        match report.Improvement.Outcome, setup.Configuration.Rule, setup.Configuration.Step with
        | Moved _, RuleKind.SingleStep, StepKind.TrustRegion -> expectTrusted setup state report
        | Moved _, _, _ -> ()
        | _ ->
            Expect.equal next.PolicyParameters state.PolicyParameters "the old parameters"
            Expect.isTrue (same next.Normaliser state.Normaliser) "the old normaliser"

    result

/// The results of up to `count` updates, each of which keeps the promise; a fault is the last.
let rec updates count setup state =
    if count = 0 then
        []
    else
        match update setup state with
        | Ok(next, _) as result -> result :: updates (count - 1) setup next
        | Error _ as result -> [ result ]

// ---- Claims ----

/// Checks a claim for each of the action spaces with each of the configurations. The claim is given a name for messages.
let forEachOf spaces configurations name (check: string -> Space -> Configuration -> unit) =
    test name {
        for actions in spaces do
            for variant, configuration in configurations do
                check $"{variant}, {Space.describe actions}" actions configuration
    }

/// Checks a claim for discrete and continuous actions with each of the configurations.
let forEach configurations name check = forEachOf heads configurations name check

let setupIn hostile configuration = setupOf 1 configuration (environmentOf hostile)

/// The results of up to `count` updates from seed 1.
let resultsIn hostile count configuration =
    let setup = setupIn hostile configuration
    updates count setup (TrainingState.start setup 1L)

let reportsOf what results =
    [ for result in results do
          match result with
          | Ok(_, report: Report) -> report
          | Error fault -> failtest $"{what}: {Fault.message fault}" ]

let outcomesOf what results = reportsOf what results |> List.map _.Improvement.Outcome

/// Fails unless the first update ends with such a fault.
let expectFault what isExpected results =
    match results with
    | [ Error fault ] when isExpected fault -> ()
    | [ Error fault ] -> failtest $"{what}: {Fault.message fault}"
    | _ -> failtest $"{what}: {results.Length} results"

let expectStage what stages results =
    results
    |> expectFault what (fun fault ->
        match fault with
        | NonFiniteStage(stage, "Hostile-v0", 1) -> List.contains stage stages
        | _ -> false)

/// Fails if an update ends with a fault of another stage.
let expectStageIfAny what stages results =
    match List.last results with
    | Ok _ -> ()
    | Error(NonFiniteStage(stage, "Hostile-v0", _)) -> Expect.contains stages stage what
    | Error fault -> failtest $"{what}: {Fault.message fault}"

/// Fails unless no update fails, and one of them moves the policy.
let expectTrains what results = Expect.exists (outcomesOf what results) _.IsMoved what

/// Fails unless none of at least ten updates moves the policy, for this reason, which a warning also gives.
let expectUnmoved what (isExpected: Outcome -> bool) (reason: string) results =
    let reports = reportsOf what results
    Expect.isGreaterThanOrEqual reports.Length 10 what
    Expect.all reports (fun report -> isExpected report.Improvement.Outcome) what

    let reasons =
        reports
        |> List.collect _.Warnings
        |> List.choose (fun warning ->
            match warning with
            | NotMoving(_, why) -> Some why
            | _ -> None)

    Expect.isNonEmpty reasons what
    Expect.all reasons _.Contains(reason) what
