namespace FunTrpo.Cli

open FunTrpo

/// What is told of a run while it trains: the lines of the terminal, for example. Observers are called on the thread that trains.
type Observer =
    {
        OnIteration: Report -> unit
        /// An evaluation of the policy, and whether it is the best so far.
        OnEvaluation: TrainingEvaluation -> bool -> unit
    }

module Observer =

    /// Tells all of them, in this order.
    let all (observers: Observer list) =
        { OnIteration = fun report -> observers |> List.iter (fun observer -> observer.OnIteration report)
          OnEvaluation =
            fun evaluation isBest -> observers |> List.iter (fun observer -> observer.OnEvaluation evaluation isBest) }
