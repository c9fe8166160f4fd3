namespace FunTrpo.Ddpg

open System
open System.Collections.Immutable
open FunTrpo

/// A summary of an iteration of DDPG. `DdpgReport.fields` describes its quantities.
type DdpgReport =
    {
        /// The number of iterations so far, with this one.
        Iteration: int
        /// The number of environment steps so far.
        Steps: int64
        /// The environment steps of this iteration.
        BatchSteps: int64
        /// The number of updates so far.
        Updates: int64
        /// The number of episodes that have finished so far.
        Episodes: int64
        /// The episodes that finished in this iteration, in the order in which they ended.
        Finished: ImmutableArray<Episode>
        /// The mean return of the last 100 finished episodes, or of all if fewer have finished.
        MeanReturn: float option
        /// The mean of the critic's loss (1/N) Σ (Q − y)² over the updates of the iteration; NaN without updates.
        CriticLoss: float
        /// The mean of Q(s, μ(s)) over their experiences, in the unit of scaled rewards; NaN without updates.
        MeanQ: float
        /// The mean norm of the deterministic policy gradient; NaN without updates.
        ActorGradientNorm: float
        /// The standard deviation of the noise after the iteration, in half-widths of the box of actions.
        Noise: float
        /// The wall-clock seconds of the iteration.
        Seconds: float
    }

module DdpgReport =

    open ReportField

    /// All quantities of an iteration, in the order in which they are shown. Those that reports of TRPO have, too, have the same names.
    let fields: ReportField<DdpgReport> list =
        [ whole "iteration" "" "iterations so far" (fun r -> int64 r.Iteration)
          whole "steps" "steps" "environment steps so far" _.Steps
          whole "episodes" "episodes" "episodes that have finished so far" _.Episodes
          whole "batchSteps" "steps" "environment steps of this iteration" _.BatchSteps
          whole "finishedEpisodes" "episodes" "episodes that finished in this iteration" (fun r ->
              int64 r.Finished.Length)
          number "meanReturn" "reward" "mean return of the last 100 finished episodes" (fun r ->
              defaultArg r.MeanReturn nan)
          number "batchReturn" "reward" "mean return of the episodes that finished in this iteration" (fun r ->
              meanReturnOf r.Finished)
          whole "updates" "updates" "updates so far" _.Updates
          number
              "criticLoss"
              ""
              "mean squared error of Q against its targets, over the updates of this iteration"
              _.CriticLoss
          number "meanQ" "" "mean of Q at the policy's own actions" _.MeanQ
          number "actorGradientNorm" "" "mean norm of the deterministic policy gradient" _.ActorGradientNorm
          number "noise" "" "standard deviation of the noise of actions, in half-widths of their box" _.Noise
          number "seconds" "s" "time of the iteration" (fun r -> Math.Round(r.Seconds, 6))
          number "stepsPerSecond" "steps/s" "environment steps of this iteration over its time" (fun r ->
              Math.Round(float r.BatchSteps / r.Seconds))
          number "batchReturnLow" "reward" "lower quartile of the returns of those episodes" (fun r ->
              returnQuantileOf 0.25 r.Finished)
          number "batchReturnHigh" "reward" "upper quartile of the returns of those episodes" (fun r ->
              returnQuantileOf 0.75 r.Finished) ]
