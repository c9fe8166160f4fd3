// Runs the exact algorithms from conservative policy iteration to TRPO. Every algorithm starts from the uniform policy of a finite process,
// and every step has a lower bound of η of the new policy. The script makes one page of the results:
//
//     dotnet fsi scripts/exact-algorithms.fsx                               100 iterations; writes artifacts/ladder.html
//     dotnet fsi scripts/exact-algorithms.fsx 500 --page FILE --json FILE   500 iterations; writes page and numbers into these files
#load "load.fsx"
#load "lesson.fsx"
#load "chart.fsx"

open System
open System.Diagnostics
open FunTrpo
open FunTrpo.Exact
open Lesson
open Chart

let iterations = int (steps 100L)

/// γ = 0.9, because the certified steps are a hundred times smaller at 0.99, and would not be visible.
let processes = [ Builders.frozenLake4 0.9 true; Builders.garnet 0.9 30 4 3 (Key.ofSeed 1L) ]

/// One algorithm on one process, and the mean time of a step in seconds.
type Run = { Mdp: FiniteMdp; Algorithm: Algorithm; Climbs: PolicySequence list; StepSeconds: float }

let run mdp rung =
    let clock = Stopwatch.StartNew()

    let climbs =
        PolicySequence.run mdp rung |> Seq.truncate (iterations + 1) |> Seq.map orFail |> List.ofSeq

    let steps = max 1 (climbs.Length - 1)

    { Mdp = mdp
      Algorithm = rung
      Climbs = climbs
      StepSeconds = clock.Elapsed.TotalSeconds / float steps }

/// TRPO with damping, as practice needs it. The length of the step is measured with the damping, or without.
let damped =
    [ for length in [ Curvature.Damped; Curvature.Undamped ] ->
          Algorithms.dampedTrustRegion { Delta = 0.01; Damping = 0.1; Length = length } ]

let runs =
    [ for mdp in processes -> mdp, [ for rung in PolicySequence.algorithms 0.01 0.1 @ damped -> run mdp rung ] ]

/// The reason why η never falls, if there is one.
let promise (rung: Algorithm) =
    match rung.Promise with
    | Promise.ByItsBound -> "by its bound"
    | Promise.InEachState -> "in each state"
    | Promise.Nothing -> "not promised"

// ---- Numbers ----

/// Null for infinities, because JSON has none; a bound of −∞ has no information.
let number (x: float) = if Double.IsFinite x then Nullable x else Nullable()

let rows =
    [ for _, ofMdp in runs do
          for run in ofMdp do
              for climb in run.Climbs do
                  let certified (value: Certificate -> float) =
                      climb.Certificate |> Option.map (value >> number) |> Option.defaultValue (Nullable())

                  {| mdp = run.Mdp.Name
                     gamma = run.Mdp.Gamma
                     rung = run.Algorithm.Name
                     iteration = climb.Iteration
                     eta = climb.Values.Eta
                     bound = certified _.Lower
                     klMax = certified _.KlMax
                     klMean = certified _.KlMean
                     monotone = run.Algorithm.IsMonotone |} ]

saveNumbers rows

// ---- The table ----

let first (share: float) optimal (run: Run) =
    let start = run.Climbs.Head.Values.Eta

    run.Climbs
    |> List.tryFind (fun climb -> climb.Values.Eta - start >= share * (optimal - start))
    |> Option.map _.Iteration

let header =
    [ "rung"
      "η never falls"
      "η reached"
      "half of the way"
      "99 %"
      "median max KL"
      "median bound below η"
      "ms a step" ]

let cells optimal (run: Run) =
    let certificates = run.Climbs |> List.choose _.Certificate |> Array.ofList
    let medianOf value = if certificates.Length = 0 then 0.0 else certificates |> Array.map value |> median
    let iteration share = first share optimal run |> Option.map string |> Option.defaultValue "–"
    let text (x: float) = if Double.IsInfinity x then "unbounded" else x.ToString "G3"

    [ run.Algorithm.Name
      promise run.Algorithm
      (List.last run.Climbs).Values.Eta.ToString "F6"
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

// ---- The page ----

let series value ofMdp =
    [ for run in ofMdp ->
          run.Algorithm.Name,
          [ for climb in run.Climbs do
                match value climb with
                | Some y when Double.IsFinite y -> float climb.Iteration, y
                | _ -> () ] ]

let sections =
    [ for mdp, ofMdp in runs do
          let optimal = (Values.optimal mdp).Eta
          let uniform = ofMdp.Head.Climbs.Head.Values.Eta
          let certified value (climb: PolicySequence) = climb.Certificate |> Option.map value
          $"<h2>{mdp.Name}, γ = {mdp.Gamma}</h2>"
          $"<p>{mdp.States} states, {mdp.Actions} actions. The uniform policy is worth {uniform:F6}, the best one {optimal:F6}.</p>"

          lines
              "η after each iteration"
              (Linear(uniform - 0.05 * (optimal - uniform), optimal))
              (series (fun c -> Some c.Values.Eta) ofMdp)

          lines
              "the lower bound that was certified for the step there (where it is above the uniform policy's η)"
              (Linear(uniform, optimal))
              (series (certified _.Lower >> Option.filter (fun bound -> bound >= uniform)) ofMdp)

          lines "max KL of the step, in nats" (Logarithmic(1e-9, 1.0)) (series (certified _.KlMax) ofMdp)
          table header (ofMdp |> List.map (cells optimal)) ]

savePage "ladder.html" "The ladder from conservative policy iteration to TRPO" sections
