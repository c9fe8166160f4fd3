namespace FunTrpo

open System
open System.Collections.Immutable
open System.Globalization

/// Wall-clock seconds of an iteration and of its stages. The policy's improvement and the critic's fit may run at the same time. Two of these
/// are always equal: the same iteration takes other times when it is repeated, and its reports are equal all the same.
[<Struct; CustomEquality; NoComparison>]
type StageSeconds =
    {
        Rollout: float
        /// The surrogate and the policy's improvement.
        Policy: float
        /// The critic's fit.
        Critic: float
        /// The whole iteration.
        Total: float
    }

    override _.Equals other = other :? StageSeconds
    override _.GetHashCode() = 0

/// A summary of one iteration. `Report.fields` describes its quantities.
type Report =
    {
        /// The number of iterations so far, with this one.
        Iteration: int
        /// All environment steps so far, with those of branches.
        Steps: int64
        /// The environment steps of this iteration, with those of branches.
        BatchSteps: int64
        /// The number of episodes that have finished so far.
        Episodes: int64
        /// The episodes that finished in this iteration, in the order in which they ended.
        Finished: ImmutableArray<Episode>
        /// The mean return of the last 100 finished episodes, or of all if fewer have finished.
        MeanReturn: float option
        /// The improvement of the policy.
        Improvement: Improvement
        /// What the rows that the improvement has not seen say of it. None unless `heldOut` keeps some apart.
        Certificate: SampledCertificate option
        /// The radius δ of the trust region in nats; ∞ for fixed steps and PPO, which have none.
        Delta: float
        /// 1 − Var(G − V) / Var(G), with the returns G of the batch and the values V of the critic before this iteration's fit.
        ExplainedVariance: float
        /// The root mean squared error of V against G before the critic's fit, in the unit of the reward.
        CriticErrorBefore: float
        /// The same error after the fit.
        CriticErrorAfter: float
        /// How long the iteration and its stages took.
        Seconds: StageSeconds
        /// Usually empty.
        Warnings: Warning list
    }

/// The value of a quantity in one report.
[<RequireQualifiedAccess>]
type ReportValue =
    | Whole of int64
    | Number of float
    | Text of string
    /// The quantity has no value in this iteration, such as the mean return before the first episode has finished.
    | Missing

/// One quantity of a report of an iteration, such as a `Report`.
type ReportField<'Report> =
    {
        Name: string
        Meaning: string
        /// The unit, such as "nats" or "s"; empty for plain numbers and texts.
        Unit: string
        Read: 'Report -> ReportValue
        /// The value that a text of `Report.toText` stands for, which is not empty; none if it is no value of this quantity.
        Parse: string -> ReportValue option
    }

/// Makes the quantities of reports.
module internal ReportField =

    let private parseWhole (text: string) =
        match Int64.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture) with
        | true, number -> Some(ReportValue.Whole number)
        | _ -> None

    let private parseNumber (text: string) =
        match Double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture) with
        | true, number when Double.IsFinite number -> Some(ReportValue.Number number)
        | _ -> None

    /// A whole number.
    let whole name unit meaning (read: 'Report -> int64) =
        { Name = name
          Meaning = meaning
          Unit = unit
          Read = read >> ReportValue.Whole
          Parse = parseWhole }

    /// A quantity that is missing where it is NaN or infinite.
    let number name unit meaning (read: 'Report -> float) =
        let read report =
            let value = read report
            if Double.IsFinite value then ReportValue.Number value else ReportValue.Missing

        { Name = name; Meaning = meaning; Unit = unit; Read = read; Parse = parseNumber }

    /// A text that may be missing.
    let text name meaning (read: 'Report -> string option) =
        let read report = read report |> Option.map ReportValue.Text |> Option.defaultValue ReportValue.Missing

        { Name = name; Meaning = meaning; Unit = ""; Read = read; Parse = ReportValue.Text >> Some }

    /// The mean return of episodes; NaN if there are none.
    let meanReturnOf (episodes: ImmutableArray<Episode>) =
        if episodes.IsEmpty then nan else episodes |> Seq.averageBy _.Return

    /// A quantile of the returns of episodes; NaN if there are none.
    let returnQuantileOf fraction (episodes: ImmutableArray<Episode>) =
        if episodes.IsEmpty then
            nan
        else
            episodes |> Seq.map _.Return |> Array.ofSeq |> Statistics.quantile fraction

module Report =

    open ReportField

    let private outcomeName outcome =
        match outcome with
        | Moved _ -> "moved"
        | NoGradient -> "no gradient"
        | NoCurvature -> "no curvature"
        | LineSearchFailed _ -> "line search failed"

    let private stopName stop =
        match stop with
        | Converged -> "converged"
        | IterationLimit -> "iteration limit"
        | VanishingCurvature _ -> "vanishing curvature"

    let private meanLength (report: Report) =
        if report.Finished.IsEmpty then
            nan
        else
            report.Finished |> Seq.averageBy (fun episode -> float episode.Length)

    let private warningNames (report: Report) =
        match report.Warnings with
        | [] -> None
        | warnings -> warnings |> List.map Warning.name |> String.concat "; " |> Some

    let private comparison (report: Report) = report.Improvement.Comparison
    let private solution (report: Report) = report.Improvement.Solution

    /// A number of the certificate; NaN without one.
    let private ofCertificate (read: SampledCertificate -> float) (report: Report) =
        report.Certificate |> Option.map read |> Option.defaultValue nan

    /// NaN for fixed steps and PPO, which have no trust region.
    let private klOverDelta (report: Report) =
        if Double.IsInfinity report.Delta then nan else (comparison report).MeanKl / report.Delta

    /// A number of the solution; NaN if conjugate gradient was not used.
    let private ofSolution (read: Solution -> float) report =
        solution report |> Option.map read |> Option.defaultValue nan

    /// All quantities of an iteration, in the order in which they are shown. The console, progress.csv and the facade show these. A new
    /// quantity comes last: the lines of a progress.csv that an earlier version has begun then lack only their last cells.
    let fields =
        [ whole "iteration" "" "iterations so far" (fun r -> int64 r.Iteration)
          whole "steps" "steps" "environment steps so far" _.Steps
          whole "episodes" "episodes" "episodes that have finished so far" _.Episodes
          whole "batchSteps" "steps" "environment steps of this iteration" _.BatchSteps
          whole "finishedEpisodes" "episodes" "episodes that finished in this iteration" (fun r ->
              int64 r.Finished.Length)
          number "meanReturn" "reward" "mean return of the last 100 finished episodes" (fun r ->
              defaultArg r.MeanReturn nan)
          number "meanEpisodeLength" "steps" "mean length of the episodes that finished in this iteration" meanLength
          text "outcome" "whether the policy moved and, if not, why" (fun r -> Some(outcomeName r.Improvement.Outcome))
          number "meanKl" "nats" "mean KL(old ‖ new) of the step over the batch" (fun r -> (comparison r).MeanKl)
          number "maxKl" "nats" "largest KL(old ‖ new) of the step over the batch" (fun r -> (comparison r).MaxKl)
          number "delta" "nats" "radius δ of the trust region" _.Delta
          number "klOverDelta" "" "fraction of the trust region that the step used" klOverDelta
          number "surrogateGain" "" "increase of the surrogate by the step" (fun r -> (comparison r).Gain)
          number "surrogateGainError" "" "standard error of that increase" (fun r -> (comparison r).GainError)
          number "gradientNorm" "" "norm of the surrogate's gradient" (fun r -> r.Improvement.GradientNorm)
          number "cgIterations" "" "iterations of conjugate gradient" (ofSolution (fun s -> float s.Iterations))
          number "cgResidual" "" "relative residual of conjugate gradient" (ofSolution _.Residual)
          text
              "cgStop"
              "why conjugate gradient stopped"
              (solution >> Option.map (fun solution -> stopName solution.Stop))
          whole "lineSearchTries" "" "step lengths that the line search tried" (fun r ->
              int64 r.Improvement.Outcome.Tries)
          number
              "stepFraction"
              ""
              "fraction of the full step that was accepted, or of PPO's minibatch steps that were made; 0 if none was"
              _.Improvement.Outcome.Fraction
          number
              "explainedVariance"
              ""
              "fraction of the variance of the returns that the critic predicted before its fit"
              _.ExplainedVariance
          number "criticErrorBefore" "reward" "root mean squared error of the critic before its fit" _.CriticErrorBefore
          number "criticErrorAfter" "reward" "root mean squared error of the critic after its fit" _.CriticErrorAfter
          number "entropy" "nats" "mean entropy of the new policy over the batch" (fun r -> (comparison r).Entropy)
          number "rolloutSeconds" "s" "time of the rollout" (fun r -> Math.Round(r.Seconds.Rollout, 6))
          number "policySeconds" "s" "time of the policy's improvement" (fun r -> Math.Round(r.Seconds.Policy, 6))
          number "criticSeconds" "s" "time of the critic's fit" (fun r -> Math.Round(r.Seconds.Critic, 6))
          number "seconds" "s" "time of the iteration" (fun r -> Math.Round(r.Seconds.Total, 6))
          number "stepsPerSecond" "steps/s" "environment steps of this iteration over its time" (fun r ->
              Math.Round(float r.BatchSteps / r.Seconds.Total))
          number "batchReturn" "reward" "mean return of the episodes that finished in this iteration" (fun r ->
              meanReturnOf r.Finished)
          number "batchReturnLow" "reward" "lower quartile of the returns of those episodes" (fun r ->
              returnQuantileOf 0.25 r.Finished)
          number "batchReturnHigh" "reward" "upper quartile of the returns of those episodes" (fun r ->
              returnQuantileOf 0.75 r.Finished)
          text "warnings" "what the iteration warns about, separated by semicolons" warningNames
          number
              "signalShare"
              ""
              "share of the gradient on which two halves of the batch agree, if deltaShrinkage needs it"
              (fun r -> defaultArg r.Improvement.SignalShare nan)
          number "heldOutGain" "" "increase of the surrogate by the step on held-out rows" (ofCertificate _.Gain)
          number "heldOutGainLow" "" "95 % lower confidence bound of that increase" (ofCertificate _.GainLow)
          number
              "certificatePenalty"
              ""
              "what the certificate subtracts for the mean total variation of the step"
              (ofCertificate _.Penalty)
          number "certificate" "" "heldOutGainLow less certificatePenalty: a gain if above 0" (ofCertificate _.Lower) ]

    let private readers = fields |> List.map (fun field -> field.Name, field.Read) |> dict

    /// The value of the quantity with this name. Throws `KeyNotFoundException` for a name that is not in `fields`.
    let value name report = readers[name] report

    /// The value as text, with enough digits to read back the same number; empty if it is missing.
    let toText value =
        match value with
        | ReportValue.Whole number -> number.ToString CultureInfo.InvariantCulture
        | ReportValue.Number number -> number.ToString("R", CultureInfo.InvariantCulture)
        | ReportValue.Text text -> text
        | ReportValue.Missing -> ""

    /// The value of a quantity from the text that `toText` has made of it; none if the text is no value of this quantity.
    let ofText field text = if text = "" then Some ReportValue.Missing else field.Parse text
