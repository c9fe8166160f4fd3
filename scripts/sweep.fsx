// A sweep over a grid of trust-region sizes (δ) and damping of the Fisher matrix (λ), with several seeds.
#load "load.fsx"
#load "lesson.fsx"

open System
open FunTrpo
open FunTrpo.Environments
open Lesson

let total = steps 20_000L
let deltas = [| 0.001; 0.01; 0.1; 0.3 |]
let dampings = [| 0.001; 0.1; 1.0; 10.0 |]
let seeds = [| 0L .. 4L |]

type Run = { Delta: float; Damping: float; Seed: int64; Return: float; MeanKl: float; Policy: Vector }

/// One training run, which depends only on its arguments. The library can use several threads for one run, but a sweep is faster with one
/// thread for each run and many runs at a time.
let train threads (delta, damping, seed) =
    let configuration = { Configuration.standard with Delta = delta; Damping = damping; CriticSteps = 1 }
    let setup = Setup.create threads configuration CartPole.environment |> orFail

    let iterations =
        TrainingState.start setup seed |> Training.runFor total setup |> Seq.map orFail |> Array.ofSeq

    let state, _ = Array.last iterations

    { Delta = delta
      Damping = damping
      Seed = seed
      Return = TrainingState.meanReturn state |> Option.defaultValue 0.0
      MeanKl = iterations |> Array.averageBy (fun (_, report) -> report.Improvement.Comparison.MeanKl)
      Policy = state.PolicyParameters }

// The whole sweep is one map, so `Array.Parallel.map` runs all of it in parallel.
let grid =
    [| for delta in deltas do
           for damping in dampings do
               for seed in seeds -> delta, damping, seed |]

let runs = grid |> Array.Parallel.map (train 1)

/// Prints the median over the seeds of a number of each run, for each point of the grid.
let table title (number: Run -> float) =
    printfn "\n%s" title
    printfn "%9s%s" "" (dampings |> Array.map (fun damping -> sprintf "%12s" $"λ = {damping}") |> String.concat "")

    for delta in deltas do
        let cell damping =
            runs
            |> Array.filter (fun run -> run.Delta = delta && run.Damping = damping)
            |> Array.map number
            |> median

        printfn "δ = %-5g%s" delta (dampings |> Array.map (cell >> sprintf "%12.2f") |> String.concat "")

printfn "CartPole-v1 after %d steps, medians over %d seeds" total seeds.Length
table "mean return of the last 100 episodes" _.Return
table "mean KL of a step, as a fraction of δ" (fun run -> run.MeanKl / run.Delta)

// The full tables show that a small δ is safe and slow, and a large one needs some damping. Damping turns the natural gradient towards the
// plain one, but does not shorten a step, whose length follows from xᵀFx alone. With `DampedLength`, steps at λ = 10 stay far inside the
// trust region, and learning is slow there.

// Neither the order of the runs nor the threads change a bit of any result. No run shares anything with another, and within a run the sums
// are divided into pieces whose number does not depend on the threads. To check this, repeat the first seed of each point in reverse order,
// one run after another, on all processors.
let again =
    grid
    |> Array.filter (fun (_, _, seed) -> seed = seeds[0])
    |> Array.rev
    |> Array.map (train Environment.ProcessorCount)

// Two runs are equal if all their fields are, and two vectors are equal if all their bits are.
match again |> Array.filter (fun run -> not (Array.contains run runs)) with
| [||] -> printfn "\n%d runs again, in another order and on other threads: the same, bit for bit" again.Length
| others -> printfn "\n%d runs came out otherwise" others.Length
