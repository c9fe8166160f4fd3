namespace FunTrpo.Cli

open System
open FunTrpo

/// What the live view knows of a run.
type LiveModel =
    {
        /// The environment steps before the first iteration of this process: 0, unless the run was resumed.
        FirstSteps: int64
        /// The environment steps of the whole run at most.
        Budget: int64
        /// The mean return at which the run counts as solved, if there is one.
        Goal: float option
        /// The time of this process's iterations so far.
        Elapsed: TimeSpan
        HasEnded: bool
        Latest: Report option
        /// The mean returns of the last 100 episodes; NaN before the first one has finished.
        Returns: Series
        /// The KL of the steps as a share of δ, or in nats for fixed steps.
        Kls: Series
        /// How many steps were refused.
        Refused: int
        /// The last evaluation, and whether it is the best one.
        Evaluation: (TrainingEvaluation * bool) option
    }

module LiveModel =

    let start firstSteps budget goal =
        { FirstSteps = firstSteps
          Budget = budget
          Goal = goal
          Elapsed = TimeSpan.Zero
          HasEnded = false
          Latest = None
          Returns = Series.empty
          Kls = Series.empty
          Refused = 0
          Evaluation = None }

    let private kl (report: Report) =
        let nats = report.Improvement.Comparison.MeanKl
        if Double.IsInfinity report.Delta then nats else nats / report.Delta

    /// The model after one more iteration.
    let addReport (report: Report) model =
        { model with
            Latest = Some report
            Returns = Series.add (defaultArg report.MeanReturn nan) model.Returns
            Kls = Series.add (kl report) model.Kls
            Refused = model.Refused + (if report.Improvement.Outcome.IsMoved then 0 else 1) }

    /// The model after an evaluation.
    let addEvaluation evaluation isBest model = { model with Evaluation = Some(evaluation, isBest) }

    let steps model = model.Latest |> Option.map (fun report -> report.Steps) |> Option.defaultValue model.FirstSteps

    /// The share of the budget that is used, in [0, 1].
    let share model = if model.Budget <= 0L then 1.0 else Math.Clamp(float (steps model) / float model.Budget, 0.0, 1.0)

    /// The seconds until the budget is used, at the speed so far; none before the first iteration and after the last one.
    let secondsLeft model =
        let made = steps model - model.FirstSteps

        if model.HasEnded || made <= 0L || model.Elapsed.Ticks <= 0L then
            None
        else
            Some(model.Elapsed.TotalSeconds * float (max 0L (model.Budget - steps model)) / float made)
