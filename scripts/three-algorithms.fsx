// REINFORCE, the natural policy gradient and TRPO are one pipeline. Rollouts, advantages and critic are the same; the direction and the
// rule for the length of the step differ. Here all three learn to swing a pendulum up. Each has three settings, which differ by factors of
// about 3, and each setting has five seeds.
#load "load.fsx"
#load "lesson.fsx"

open FunTrpo
open FunTrpo.Environments
open Lesson

let total = steps 60_000L
let seeds = [| 0L .. 4L |]

let common =
    { Configuration.standard with
        Environments = 4
        Horizon = 512
        Gamma = 0.95
        Lambda = 0.9
        Critic = CriticKind.Adam }

/// θ + α g: REINFORCE with a baseline (Williams 1992).
let reinforce rate = { common with Direction = DirectionKind.Gradient; Step = StepKind.Fixed; LearningRate = rate }

/// θ + α F⁻¹g: the natural policy gradient (Kakade 2001).
let natural rate = { common with Direction = DirectionKind.Natural; Step = StepKind.Fixed; LearningRate = rate }

/// θ + F⁻¹g as far as the mean KL allows: TRPO (Schulman et al. 2015).
let trpo delta = { common with Direction = DirectionKind.Natural; Step = StepKind.TrustRegion; Delta = delta }

let contenders =
    [ for rate in [ 0.03; 0.1; 0.3 ] do
          "REINFORCE", $"α = {rate}", reinforce rate
      for rate in [ 0.3; 1.0; 3.0 ] do
          "natural gradient", $"α = {rate}", natural rate
      for delta in [ 0.005; 0.015; 0.05 ] do
          "TRPO", $"δ = {delta}", trpo delta ]

/// All reports of one training run. The library can use several threads for one run, but many runs are faster with one thread each.
let train configuration seed =
    let setup = Setup.create 1 configuration Pendulum.environment |> orFail

    TrainingState.start setup seed
    |> Training.runFor total setup
    |> Seq.map (orFail >> snd)
    |> Array.ofSeq

let marks = [ for fifth in 1L .. 5L -> total * fifth / 5L ]

/// The mean return of the last 100 episodes after the first iteration with at least `mark` steps in all.
let returnAt mark (reports: Report[]) =
    let report = reports |> Array.find (fun report -> report.Steps >= mark)
    report.MeanReturn |> Option.defaultValue 0.0

/// The longest step of a run: the largest mean KL(old ‖ new) of its updates, in nats.
let longestStep (reports: Report[]) = reports |> Array.map _.Improvement.Comparison.MeanKl |> Array.max

printfn "Pendulum-v1, medians over %d seeds: mean return after so many steps, and the longest step in nats" seeds.Length
printfn ""
printfn "%-17s %-10s %s %10s" "" "setting" (marks |> List.map (sprintf "%7d") |> String.concat " ") "longest"

for name, setting, configuration in contenders do
    let runs = seeds |> Array.Parallel.map (train configuration)
    let medianOf number = runs |> Array.map number |> median
    let returns = marks |> List.map (fun mark -> sprintf "%7.1f" (medianOf (returnAt mark)))
    printfn "%-17s %-10s %s %10.4f" name setting (String.concat " " returns) (medianOf longestStep)

// What the full table shows:
//
// * REINFORCE does not learn in so few steps, at any of the rates. It measures steps in units of the parameters, whatever their effect on
//   the policy: with a small α the policy hardly moves, with a large one it moves far in bad directions.
// * The natural gradient measures steps by the change of the distributions, and learns. But α does not determine how far a step moves the
//   policy: a third of the best α is far too slow, and three times the best α makes steps of up to 0.6 nats and ends at a lower return.
// * TRPO learns at every δ. No step is longer than δ, and a δ that is too small only costs time.
