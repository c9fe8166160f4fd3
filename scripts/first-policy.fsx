// Trains a policy that balances a pole, and plays 100 episodes with it.
#load "load.fsx"

open FunTrpo
open FunTrpo.Environments

let environment = CartPole.environment

let show (report: Report) =
    if report.Iteration % 10 = 0 then
        let kl = report.Improvement.Comparison.MeanKl
        printfn "%6d steps: mean return %6.2f, mean KL %.4f" report.Steps (defaultArg report.MeanReturn nan) kl

let scores =
    result {
        let! setup = Setup.create 2 Configuration.standard environment
        let start = TrainingState.start setup 7L

        // Training is a lazy sequence of (state, report), each element made from the state before it.
        let iterations =
            Training.runFor 50_000L setup start
            |> Seq.map (
                Result.map (fun (state, report) ->
                    show report
                    state)
            )

        let! trained = Seq.last iterations
        return! Evaluation.run 2 environment (TrainingState.actor setup trained) 100 (Key.ofSeed 1L)
    }

match scores with
| Ok scores -> printfn "deterministic play: %.1f ± %.1f over %d episodes" scores.Mean scores.Std scores.Returns.Length
| Error fault -> printfn "%s" (Fault.message fault)
