// Runs the exact algorithms from conservative policy iteration to TRPO. Every algorithm starts from the uniform policy of a finite process,
// and every step has a lower bound of η of the new policy. The script makes one page of the results:
//
//     dotnet fsi scripts/exact-algorithms.fsx                               100 iterations; writes artifacts/exact-algorithms.html
//     dotnet fsi scripts/exact-algorithms.fsx 500 --page FILE --json FILE   500 iterations; writes page and numbers into these files
#load "load.fsx"
#load "lesson.fsx"
#load "chart.fsx"

open System
open System.Diagnostics
open FunTrpo
open FunTrpo.Exact
open Lesson
open Plot
open Chart

let iterations = int (steps 100L)

/// γ = 0.9, because the certified steps are a hundred times smaller at 0.99, and would not be visible.
let processes = [ Builders.frozenLake4 0.9 true; Builders.garnet 0.9 30 4 3 (Key.ofSeed 1L) ]

/// One algorithm on one process, and the mean time of a step in seconds.
type Run = { Mdp: FiniteMdp; Algorithm: Algorithm; Sequence: PolicySequence list; StepSeconds: float }

let run mdp algorithm =
    let clock = Stopwatch.StartNew()

    let sequence =
        PolicySequence.run mdp algorithm |> Seq.truncate (iterations + 1) |> Seq.map orFail |> List.ofSeq

    let steps = max 1 (sequence.Length - 1)

    { Mdp = mdp
      Algorithm = algorithm
      Sequence = sequence
      StepSeconds = clock.Elapsed.TotalSeconds / float steps }

/// TRPO with damping, as practice needs it. The length of the step is measured with the damping, or without.
let damped =
    [ for length in [ Curvature.Damped; Curvature.Undamped ] ->
          Algorithms.dampedTrustRegion { Delta = 0.01; Damping = 0.1; Length = length } ]

let runs =
    [ for mdp in processes -> mdp, [ for algorithm in PolicySequence.algorithms 0.01 0.1 @ damped -> run mdp algorithm ] ]

/// The reason why η never falls, if there is one.
let promise (algorithm: Algorithm) =
    match algorithm.Promise with
    | Promise.ByItsBound -> "by its bound"
    | Promise.InEachState -> "in each state"
    | Promise.Nothing -> "not promised"

// ---- Numbers ----

/// Null for infinities, because JSON has none; a bound of −∞ has no information.
let number (x: float) = if Double.IsFinite x then Nullable x else Nullable()

let rows =
    [ for _, ofMdp in runs do
          for run in ofMdp do
              for step in run.Sequence do
                  let certified (value: Certificate -> float) =
                      step.Certificate |> Option.map (value >> number) |> Option.defaultValue (Nullable())

                  {| mdp = run.Mdp.Name
                     gamma = run.Mdp.Gamma
                     algorithm = run.Algorithm.Name
                     iteration = step.Iteration
                     eta = step.Values.Eta
                     bound = certified _.Lower
                     klMax = certified _.KlMax
                     klMean = certified _.KlMean
                     monotone = run.Algorithm.IsMonotone |} ]

saveNumbers rows

// ---- The table ----

let first (share: float) optimal (run: Run) =
    let start = run.Sequence.Head.Values.Eta

    run.Sequence
    |> List.tryFind (fun step -> step.Values.Eta - start >= share * (optimal - start))
    |> Option.map _.Iteration

let header =
    [ "algorithm"
      "η never falls"
      "η reached"
      "half of the way"
      "99 %"
      "median max KL"
      "median bound below η"
      "ms a step" ]

let cells optimal (run: Run) =
    let certificates = run.Sequence |> List.choose _.Certificate |> Array.ofList
    let medianOf value = if certificates.Length = 0 then 0.0 else certificates |> Array.map value |> median
    let iteration share = first share optimal run |> Option.map string |> Option.defaultValue "–"
    let text (x: float) = if Double.IsInfinity x then "unbounded" else x.ToString "G3"

    [ run.Algorithm.Name
      promise run.Algorithm
      (List.last run.Sequence).Values.Eta.ToString "F6"
      iteration 0.5
      iteration 0.99
      text (medianOf _.KlMax)
      text (medianOf (fun c -> c.EtaAfter - c.Lower))
      (1000.0 * run.StepSeconds).ToString "F2" ]

for mdp, ofMdp in runs do
    let optimal = (Values.optimal mdp).Eta
    printfn "%s, γ = %g, %d iterations at most; the best policy has η = %.6f" mdp.Name mdp.Gamma iterations optimal
    printfn "  %-44s %13s %10s %6s %6s" "" "η never falls" "η" "half" "99 %"

    for run in ofMdp do
        match cells optimal run with
        | name :: promise :: eta :: half :: most :: _ -> printfn "  %-44s %13s %10s %6s %6s" name promise eta half most
        | _ -> ()

    // The price of KL at which a penalty gives the step of the limit δ = 0.01, and the price of the bound.
    let values = ofMdp.Head.Sequence.Head.Values
    let price = Algorithms.maximumKlPrice 0.01 values
    let c = Bounds.penalty mdp (Bounds.epsilon mdp values)
    printfn "  the first step: a nat of max KL costs C = %.3g by the bound, and λ = %.3g by the limit 0.01" c price

// ---- The page ----

/// The chart of a quantity of each iteration, for every algorithm.
let chart title label scale value ofMdp =
    let drawn =
        [ for run in ofMdp ->
              line
                  run.Algorithm.Name
                  [ for step in run.Sequence do
                        match value step with
                        | Some y when Double.IsFinite y -> float step.Iteration, y
                        | _ -> () ] ]

    lines title (iterationAxis "iteration" drawn) { Label = label; Scale = scale } drawn

let sections =
    [ for mdp, ofMdp in runs do
          let optimal = (Values.optimal mdp).Eta
          let uniform = ofMdp.Head.Sequence.Head.Values.Eta
          let margin = 0.05 * (optimal - uniform)
          let certified value (step: PolicySequence) = step.Certificate |> Option.map value
          $"<h2>{mdp.Name}, γ = {mdp.Gamma}</h2>"
          $"<p>{mdp.States} states, {mdp.Actions} actions. The uniform policy is worth {uniform:F6}, the best one {optimal:F6}.</p>"

          chart
              "Expected return after each iteration"
              "η"
              (Linear(uniform - margin, optimal + margin))
              (fun step -> Some step.Values.Eta)
              ofMdp

          chart
              "The certified lower bound of each step, where it is above the uniform policy's η"
              "lower bound of η"
              (Linear(uniform, optimal + margin))
              (certified _.Lower >> Option.filter (fun bound -> bound >= uniform))
              ofMdp

          chart "Maximum KL of each step" "nats" (Logarithmic(1e-9, 1.0)) (certified _.KlMax) ofMdp
          table header (ofMdp |> List.map (cells optimal)) ]

savePage "exact-algorithms.html" "The exact algorithms from conservative policy iteration to TRPO" sections
