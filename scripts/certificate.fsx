// What a step gains on rows that it has not seen, and the certificate: a 95 % lower confidence bound of this gain, less what the theory
// subtracts for the total variation of the step. A quarter of the environments is held out of each improvement (`heldOut`).
#load "load.fsx"
#load "lesson.fsx"

open FunTrpo
open FunTrpo.Environments
open Lesson

let total = steps 100_000L

/// The rules: the preset of the task, the same with a much smaller trust region, and PPO on the same batches.
let rules (preset: Configuration) =
    let constant delta = { preset with Delta = delta; DeltaHalfLife = 0 }

    [ $"TRPO, δ = {preset.Delta}", { preset with DeltaHalfLife = 0 }
      "TRPO, δ = 1e-4", constant 1e-4
      "TRPO, δ = 1e-6", constant 1e-6
      "TRPO, δ = 1e-8", constant 1e-8
      "PPO", { preset with Rule = RuleKind.Ppo } ]

/// As many rows as the preset has, from more environments.
let preset id horizon =
    let preset = Registry.tryFind id |> Option.get |> _.Preset
    let rows = preset.Environments * preset.Horizon
    { preset with Environments = rows / horizon; Horizon = horizon; HeldOut = 0.25 }

let train (environment: Environment<'State>) configuration =
    let setup = Setup.create 1 configuration environment |> orFail
    let start = TrainingState.start setup 1L
    Training.runFor total setup start |> Seq.map (orFail >> snd) |> List.ofSeq

let show (environment: Environment<'State>) horizon =
    for name, configuration in rules (preset environment.Id horizon) do
        let reports = train environment configuration
        let certificates = reports |> List.map _.Certificate.Value
        let typical read = certificates |> List.map read |> Array.ofList |> median

        let share holds = 100.0 * float (List.length (List.filter holds certificates)) / float certificates.Length

        let seen = reports |> List.map _.Improvement.Comparison.Gain |> Array.ofList |> median
        let last = reports |> List.rev |> List.pick _.MeanReturn

        printfn
            "  %-15s %8.1f %9.6f %9.6f %9.6f %9.6f %9.6f %9.6f %5.0f %% %5.0f %%"
            name
            last
            seen
            (typical _.Gain)
            (typical _.GainLow)
            (typical _.Epsilon)
            (typical _.MeanTv)
            (typical _.Penalty)
            (share (fun c -> c.GainLow > 0.0))
            (share (fun c -> c.Lower > 0.0))

printfn "Medians over the iterations of %d steps; the last columns are shares of the iterations" total
printfn ""
printfn "  %-15s %8s %9s %9s %9s %9s %9s %9s %7s %7s" "" "" "gain on" "held-out" "" "" "" "" "bound" "certif."

printfn
    "  %-15s %8s %9s %9s %9s %9s %9s %9s %7s %7s"
    ""
    "return"
    "own rows"
    "gain"
    "bound"
    "ε′"
    "mean TV"
    "penalty"
    "> 0"
    "> 0"

printfn "CartPole-v1, γ = 0.99"
show CartPole.environment 64
printfn "Pendulum-v1, γ = 0.95"
show Pendulum.environment 128
