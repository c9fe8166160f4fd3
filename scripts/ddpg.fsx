// Deep deterministic policy gradient: trains a policy that swings a pendulum up, and shows what the critic has learned.
#load "load.fsx"
#r "../bin/FunTrpo.Ddpg.dll"
#load "lesson.fsx"

open FunTrpo
open FunTrpo.Ddpg
open FunTrpo.Environments
open Lesson

let total = steps 15_000L
let environment = Pendulum.environment
let setup = DdpgSetup.create 1 DdpgSettings.standard environment |> orFail
let start = DdpgState.start setup 7L |> orFail

let show (report: DdpgReport) =
    if report.Steps % 1000L = 0L && report.Updates > 0L then
        let mean = defaultArg report.MeanReturn 0.0

        printfn
            "%6d steps: mean return %8.1f, critic's loss %6.2f, mean Q %7.1f"
            report.Steps
            mean
            report.CriticLoss
            report.MeanQ

// Training is a fold: a lazy sequence of (state, report), each element made from the state before it.
let states =
    DdpgTraining.runFor total setup start
    |> Seq.map orFail
    |> Seq.map (fun (state, report) ->
        show report
        state)
    |> Array.ofSeq

let trained = Array.last states

// A state is a value. The first one still has its empty memory, and plays as it did.
let score state = (Evaluation.run 1 environment (DdpgState.actor setup state) 20 (Key.ofSeed 1L) |> orFail).Mean
printfn "The first policy has a mean return of %.1f, the last one of %.1f." (score start) (score trained)
printfn "The first memory has %d experiences, the last one %d." start.Memory.Count trained.Memory.Count

// Q of the actions from −1 to 1 (half-widths of the box of torques), for a pendulum that hangs to the side: cos, sin, angular velocity.
let observation = [| cos 0.5f; sin 0.5f; 0f |]
let actions = [| for i in -4 .. 4 -> float32 i / 4f |]

let values =
    QCritic.values
        setup.Critic
        trained.Critic.Parameters
        (Matrix.init actions.Length 3 (fun _ column -> observation[column]))
        (Matrix.init actions.Length 1 (fun row _ -> actions[row]))

let best = actions |> Array.indexed |> Array.maxBy (fun (i, _) -> values[i]) |> snd

let chosen =
    DeterministicActor.actions setup.Policy trained.Actor.Parameters (Matrix.ofRows [| observation |])

printfn "Of nine actions Q is largest at %.2f; the policy takes %.2f." best chosen[0, 0]
