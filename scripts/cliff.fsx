// Shows where a step needs a trust region: when states share parameters, a step that raises L can lower η. With a table it cannot. The script
// runs the exact algorithms on random processes, with one row of probabilities for each class of states and a third as many classes as
// states, counts the steps by which η falls, and makes one page of the results:
//
//     dotnet fsi scripts/cliff.fsx        40 iterations on each of 20 processes; writes artifacts/cliff.html
//     dotnet fsi scripts/cliff.fsx 10 --page FILE --json FILE --picture FILE
//                                         10 iterations; writes the page, the numbers and the picture into these files
#load "load.fsx"
#load "lesson.fsx"
#load "garnets.fsx"
#load "chart.fsx"

open System
open FunTrpo
open FunTrpo.Exact
open Lesson
open Garnets
open Plot
open Chart

let iterations = int (steps 40L)
let deltas = [ 0.001; 0.003; 0.01; 0.05; 0.2; 1.0 ]
let cases = garnets 20

// ---- The algorithms ----

/// An algorithm for a δ; those without δ ignore it.
type Rule = { Name: string; HasLimit: bool; Make: (int -> int) -> Features -> float -> Algorithm }

let rule name make = { Name = name; HasLimit = true; Make = make }
let without name make = { Name = name; HasLimit = false; Make = fun classOf features _ -> make classOf features }

let rules =
    [ rule "classes: mean KL ≤ δ, exactly" (fun classOf _ -> SharedAlgorithms.meanKlOfClasses classOf)
      rule "classes: max KL ≤ δ, exactly" (fun classOf _ -> SharedAlgorithms.maximumKlOfClasses classOf)
      rule "classes: TRPO" (fun _ features -> SharedAlgorithms.trustRegion features)
      rule "table: mean KL ≤ δ, exactly" (fun _ _ -> Algorithms.meanKl)
      rule "table: TRPO" (fun _ _ -> Algorithms.trustRegion)
      without "classes: MM, Pinsker" (fun classOf _ -> SharedAlgorithms.minorizationMaximizationOfClasses classOf)
      without "classes: mixtures, mean TV" (fun classOf _ ->
          SharedAlgorithms.conservativePolicyIterationOfClasses classOf)
      without "classes: natural gradient, certified" (fun _ features -> SharedAlgorithms.naturalSafe features) ]

/// All steps of a rule, from the uniform policy of each process.
type Result =
    {
        Rule: Rule
        Delta: float
        Certificates: Certificate list[]
        /// η at the beginning, the largest η of the sequence, and the last one.
        Etas: (float * float * float)[]
    }

let run rule delta =
    let ofCase (mdp, classOf) =
        let features = Features.ofClasses mdp classOf |> orFail

        let sequence =
            PolicySequence.run mdp (rule.Make classOf features delta)
            |> Seq.truncate (iterations + 1)
            |> Seq.map orFail
            |> List.ofSeq

        let etas = sequence |> List.map _.Values.Eta
        sequence |> List.choose _.Certificate, (List.head etas, List.max etas, List.last etas)

    let certificates, etas = cases |> Array.Parallel.map ofCase |> Array.unzip
    { Rule = rule; Delta = delta; Certificates = certificates; Etas = etas }

let results =
    [ for rule in rules do
          for delta in (if rule.HasLimit then deltas else [ nan ]) -> run rule delta ]

// ---- Numbers ----

let stepsOf result = result.Certificates |> Seq.collect id |> Array.ofSeq
let hasFallen (step: Certificate) = step.EtaBefore - step.EtaAfter > step.Rounding

/// The percentage of the steps for which this holds.
let share holds result =
    let steps = stepsOf result
    100.0 * float (steps |> Array.filter holds |> Array.length) / float (max 1 steps.Length)

/// The percentage of steps by which η falls among those from a policy with less than 99 % of the gain of its sequence's best policy.
let early result =
    let steps =
        [| for certificates, (first, best, _) in Array.zip result.Certificates result.Etas do
               for step in certificates do
                   if step.EtaBefore - first < 0.99 * (best - first) then
                       step |]

    100.0 * float (steps |> Array.filter hasFallen |> Array.length) / float steps.Length

/// How much of the gain of its sequence's best policy the last policy has lost, in percent: the process with the largest loss.
let lost result =
    result.Etas
    |> Array.map (fun (first, best, last) -> 100.0 * (best - last) / (best - first))
    |> Array.max

/// The median fall of the steps by which η falls, as a percentage of what L promised to gain.
let depth result =
    match stepsOf result |> Array.filter hasFallen with
    | [||] -> nan
    | falls ->
        falls
        |> Array.map (fun step -> (step.EtaBefore - step.EtaAfter) / (step.L - step.EtaBefore))
        |> median

let header =
    [ "rule"
      "δ"
      "steps"
      "η falls"
      "before 99 %"
      "a state gets worse"
      "lost at the end"
      "fall / promised gain" ]

let cells result =
    let percent (x: float) = if Double.IsNaN x then "–" else x.ToString "F1" + " %"

    [ result.Rule.Name
      (if result.Rule.HasLimit then result.Delta.ToString "G3" else "–")
      string (stepsOf result).Length
      percent (share hasFallen result)
      percent (early result)
      percent (share (fun step -> step.AdvantageMin < -step.Rounding) result)
      percent (lost result)
      (match depth result with
       | depth when Double.IsNaN depth -> "–"
       | depth -> depth.ToString "F2") ]

printfn
    "%d Garnet processes of %d states in %d classes, γ = 0.9, at most %d steps from the uniform policy"
    cases.Length
    states
    classes
    iterations

printfn "  %-34s %6s %6s %8s %12s %12s %7s" "" "δ" "steps" "η falls" "before 99 %" "state worse" "lost"

for result in results do
    match cells result with
    | name :: delta :: steps :: falls :: early :: worse :: lost :: _ ->
        printfn "  %-34s %6s %6s %8s %12s %12s %7s" name delta steps falls early worse lost
    | _ -> ()

// L rises by every step, also where η falls.
let allRise = results |> Seq.collect stepsOf |> Seq.forall (fun step -> step.L > step.EtaBefore)
printfn "L rises in every step: %b" allRise

saveNumbers
    [ for result in results ->
          {| rule = result.Rule.Name
             delta = (if result.Rule.HasLimit then Nullable result.Delta else Nullable())
             steps = (stepsOf result).Length
             falls = stepsOf result |> Array.filter hasFallen |> Array.length
             fallsBefore99 = early result
             worse = share (fun step -> step.AdvantageMin < -step.Rounding) result
             risesByL = stepsOf result |> Array.forall (fun step -> step.L > step.EtaBefore)
             lost = lost result |} ]

// ---- The picture and the page ----

let shown =
    [ for rule in rules do
          if rule.HasLimit then
              line
                  rule.Name
                  [ for result in results do
                        if result.Rule.Name = rule.Name then
                            result.Delta, share hasFallen result ] ]

/// Steps that a bound certifies have no δ: their share is drawn over all δ.
let certifiedLines =
    [ for result in results do
          if not result.Rule.HasLimit then
              line
                  result.Rule.Name
                  [ for delta in [ List.head deltas; List.last deltas ] -> delta, share hasFallen result ] ]

let picture =
    lines
        "How often η falls by a step, though L rises"
        { Label = "δ, nats"; Scale = Logarithmic(List.head deltas, List.last deltas) }
        { Label = "% of the steps"; Scale = Linear(0.0, 50.0) }
        (shown @ certifiedLines)

savePicture picture

savePage
    "cliff.html"
    "Where a step needs a trust region"
    [ "<h2>The share of the steps by which η falls</h2>"
      picture
      "<h2>All rules</h2>"
      table header (results |> List.map cells) ]
