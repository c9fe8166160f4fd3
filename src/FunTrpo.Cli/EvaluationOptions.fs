/// The options of evaluations during training, which `funtrpo train` and `funtrpo sweep` have.
module FunTrpo.Cli.EvaluationOptions

open System.CommandLine
open FunTrpo
open FunTrpo.Plots
open FunTrpo.Cli.CommandOptions

let private every =
    optional
        "--evaluate-every"
        "Evaluate the policy after this many environment steps, and keep the best one [default: never]"

let private episodes =
    optional "--evaluate-episodes" "How many episodes an evaluation plays [default: 20]"

let private stopAt =
    optional "--evaluate-stop-at" "Stop when an evaluation has at least this mean return [default: never]"

let private patience =
    optional
        "--patience"
        "Stop after this many evaluations in a row that are not better than the best one [default: never]"

/// All of them.
let all: Option list = [ every; episodes; stopAt; patience ]

/// The plan of evaluations, if there is to be one: as recorded, except for what the options say.
let parse (parsed: ParseResult) (recorded: EvaluationPlan option) =
    result {
        let get option check (read: EvaluationPlan -> 'T option) =
            tryGet parsed option
            |> checkedOption check
            |> Result.map (Option.orElse (recorded |> Option.bind read))

        let! every = get every (Arguments.steps "--evaluate-every") (_.Every >> Some)
        let! episodes = get episodes (Arguments.episodes "--evaluate-episodes") (_.Episodes >> Some)
        let! stopAt = get stopAt (Arguments.number "--evaluate-stop-at") _.StopAt
        let! patience = get patience (Arguments.evaluations "--patience") _.Patience

        match every with
        | Some every ->
            return Some { Every = every; Episodes = defaultArg episodes 20; StopAt = stopAt; Patience = patience }
        | None when episodes.IsSome || stopAt.IsSome || patience.IsSome ->
            return!
                Error(
                    Mismatch
                        "--evaluate-episodes, --evaluate-stop-at and --patience are about evaluations: say with --evaluate-every after how many steps there is one"
                )
        | None -> return None
    }
