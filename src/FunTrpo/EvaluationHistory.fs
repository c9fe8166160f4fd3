namespace FunTrpo

/// How often a policy is evaluated while it trains, and when the evaluations end training.
type EvaluationPlan =
    {
        /// The number of environment steps from one evaluation to the next, at least 1. The policy is evaluated after the iteration that
        /// completes them.
        Every: int64
        /// The number of episodes of an evaluation, at least 1.
        Episodes: int
        /// Training ends when an evaluation has at least this mean return.
        StopAt: float option
        /// Training ends after this many evaluations in a row that are not better than the best one before, at least 1.
        Patience: int option
    }

/// An evaluation of the policy after an iteration.
type TrainingEvaluation =
    {
        Iteration: int
        Steps: int64
        /// The scores with the most probable actions. They decide which policy is the best.
        Deterministic: Scores
        /// The scores with actions drawn from the policy's distribution, as in training.
        Sampled: Scores
    }

/// The mean returns of an evaluation.
type EvaluationMeans = { Iteration: int; Steps: int64; Deterministic: float; Sampled: float }

/// What the evaluations so far have shown.
type EvaluationHistory =
    {
        /// The evaluation with the highest mean return of the most probable actions; the first one of several.
        Best: EvaluationMeans option
        /// The number of evaluations after the best one.
        SinceBest: int
    }

/// Evaluates policies while they train. An evaluation has its own keys and changes nothing in the training state, so training gives the same
/// bits with and without it.
module EvaluationHistory =

    let empty = { Best = None; SinceBest = 0 }

    /// Whether the policy is to be evaluated after an iteration that began after `before` environment steps and ended after `after`.
    let isDue plan (before: int64) (after: int64) = after / plan.Every > before / plan.Every

    /// Plays the episodes of an evaluation. They begin with the same states in every evaluation of a seed, so that two policies are compared on
    /// the same episodes. Faults: those of `Evaluation.run`.
    let evaluate plan seed (setup: Setup<'State>) (state: TrainingState<'State>) =
        let actor = TrainingState.actor setup state
        let key = Key.ofSeed seed |> Key.named "evaluation"

        result {
            let! deterministic = Evaluation.run setup.Threads setup.Environment actor plan.Episodes key
            let! sampled = Evaluation.sample setup.Threads setup.Environment actor plan.Episodes key

            return
                { TrainingEvaluation.Iteration = state.Iteration
                  Steps = state.Steps
                  Deterministic = deterministic
                  Sampled = sampled }
        }

    let private means (evaluation: TrainingEvaluation) =
        { Iteration = evaluation.Iteration
          Steps = evaluation.Steps
          Deterministic = evaluation.Deterministic.Mean
          Sampled = evaluation.Sampled.Mean }

    /// Whether the evaluation is better than all before.
    let isBest (evaluation: TrainingEvaluation) history =
        history.Best |> Option.forall (fun best -> evaluation.Deterministic.Mean > best.Deterministic)

    /// The history with one more evaluation.
    let add evaluation history =
        if isBest evaluation history then
            { Best = Some(means evaluation); SinceBest = 0 }
        else
            { history with SinceBest = history.SinceBest + 1 }

    /// Whether the best evaluation has the mean return at which training ends.
    let hasReached plan history =
        match plan.StopAt, history.Best with
        | Some goal, Some best -> best.Deterministic >= goal
        | _ -> false

    /// Whether no evaluation of the last few was better than the best one before.
    let isOutOfPatience plan history = plan.Patience |> Option.exists (fun patience -> history.SinceBest >= patience)
