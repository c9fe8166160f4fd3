// From the theory to samples: compares the practical pipeline on a finite process with the exact quantities that it estimates. The first
// part measures how fast the estimates converge in the setting in which the theory says that they do. The second part measures what each
// departure of practice from that setting costs.
//
//     dotnet fsi scripts/bridge.fsx           all of it, some minutes; writes artifacts/bridge.html
//     dotnet fsi scripts/bridge.fsx 4096 --page FILE --json FILE --picture FILE
//                                             batches of at most 4096 steps; writes the page, the numbers and the curves into these files
#load "load.fsx"
#load "lesson.fsx"
#load "chart.fsx"

open System
open FunTrpo
open FunTrpo.Exact
open Lesson
open Plot
open Chart

let most = int (steps 65_536L)
let isShort = most < 65_536

let norm x = sqrt (Table.fold (fun sum xi -> sum + xi * xi) 0.0 x)

// ---- How fast estimates converge ----

// The policy after three steps of exact TRPO. The estimated quantities are L at the next policy, and those that the step there needs.
let garnet = Builders.garnet 0.9 10 3 3 (Key.ofSeed 1L)
let values = (PolicySequence.run garnet (Algorithms.trustRegion 0.05) |> Seq.item 3 |> orFail).Values
let damping, delta = 0.1, 0.01
let region = { Delta = delta; Damping = damping; Length = Curvature.Damped }
let step = (Algorithms.trustRegionStep garnet region values).Value
let next = TabularPolicy.tilt step values.Policy
let gain = Values.policyAdvantage values next
let gradient = Softmax.gradient values

/// An arbitrary direction, to multiply Fisher matrices by.
let direction =
    Table.init garnet.States garnet.Actions (fun s a ->
        Key.normal (Key.at (int64 (s * garnet.Actions + a)) (Key.ofSeed 2L)))

let product = Softmax.fisherProduct garnet values direction

type Estimator =
    {
        Name: string
        Setup: int -> Setup<int>
        /// Makes a surrogate, and returns the number of environment steps that it took.
        Sample: Setup<int> -> int64 -> Surrogate * int64
        /// The environment steps for each unit of `Setup`'s argument; the sizes of the batches are chosen by it.
        StepsEach: int
    }

let singlePath name returns =
    { Name = $"single path, {name}"
      Setup = fun rows -> Bridge.setup 2 returns 16 (rows / 16) garnet |> orFail
      Sample =
        fun setup seed ->
            let surrogate = Bridge.singlePath setup values seed |> orFail in surrogate, int64 surrogate.Actions.Rows
      StepsEach = 1 }

let vine name returns stepsEach =
    { Name = $"vine, {name}"
      Setup = fun states -> Bridge.setup 2 returns states 1 garnet |> orFail
      Sample = fun setup seed -> Bridge.vine setup values seed |> orFail
      StepsEach = stepsEach }

// The branches of a vine take 1 / (1 − γ) = 10 steps on average, and each state has three branches.
let estimators =
    [ singlePath "exact values" Bridge.ByExactValues
      vine "exact values" Bridge.ByExactValues 3
      vine "rewards" Bridge.ByRewards 30
      singlePath "rewards" Bridge.ByRewards ]

let quantities = [ "L"; "gradient"; "Fisher matrix"; "step" ]

/// The relative errors of the quantities.
let errors setup surrogate =
    let relative estimate exact = norm (Table.map2 (-) estimate exact) / norm exact

    [ abs (Bridge.localApproximation values surrogate next - values.Eta - gain) / gain
      relative (Bridge.gradient garnet values surrogate) gradient
      relative (Bridge.fisherProduct garnet values surrogate direction) product
      relative (Bridge.step setup garnet values damping delta surrogate |> Result.defaultWith failwith) step ]

/// The mean number of environment steps of batches of a size, and the root mean squares of their errors.
let measure estimator rows =
    let setup = estimator.Setup rows

    let samples =
        [ for seed in 1L .. (if isShort then 4L else 24L) ->
              let surrogate, steps = estimator.Sample setup seed
              use surrogate = surrogate
              float steps, errors setup surrogate ]

    List.averageBy fst samples,
    [ for i in 0 .. quantities.Length - 1 -> sqrt (samples |> List.averageBy (fun (_, errors) -> errors[i] * errors[i])) ]

let sizes estimator =
    [ for power in 8..2..16 do
          if (1 <<< power) <= most then
              max 16 ((1 <<< power) / estimator.StepsEach) ]

let convergence =
    [ for estimator in estimators -> estimator, [ for rows in sizes estimator -> measure estimator rows ] ]

/// The slope of log error over log steps: −½ if the error falls as 1/√N.
let slope (points: (float * float) list) =
    let x, y = points |> List.map (fst >> log), points |> List.map (snd >> log)
    let meanX, meanY = List.average x, List.average y

    List.sum (List.map2 (fun a b -> (a - meanX) * (b - meanY)) x y)
    / List.sumBy (fun a -> (a - meanX) ** 2.0) x

let pointsOf i measured = [ for steps, (errors: float list) in measured -> steps, errors[i] ]

printfn
    "%s, γ = %g: relative errors of batches of %d steps, and the power of their number that they follow"
    garnet.Name
    garnet.Gamma
    most

for estimator, measured in convergence do
    printf "  %-26s" estimator.Name

    for i, quantity in List.indexed quantities do
        let points = pointsOf i measured
        printf "  %s %.4f %5.2f" quantity (snd (List.last points)) (slope points)

    printfn ""

// ---- What practice costs ----

/// A variant of training: its environment, a change of the configuration, and a change of the state before each iteration.
type Variant =
    { Name: string
      Environment: FiniteMdp -> Environment<int>
      Change: Configuration -> Configuration
      Arrange: Setup<int> -> Values -> TrainingState<int> -> TrainingState<int> }

let withExactCritic (_: Setup<int>) values state = Bridge.withExactCritic values state

/// Sets the exact values, and draws the states from the visitation.
let asTheorySays setup values (state: TrainingState<int>) =
    let key = state.Key |> Key.named "visited" |> Key.at (int64 state.Iteration)
    state |> withExactCritic setup values |> Bridge.withVisitedStates values key

/// Draws the states in the same way, and sets all values to 0.
let withoutValues setup values state =
    let state = asTheorySays setup values state
    { state with Critic = Critic.start Plain (Vector.zero values.V.Length) }

let asItComes _ _ state = state

let theory =
    { Name = "the theory's setting"
      Environment = Simulation.truncated
      Change = id
      Arrange = asTheorySays }

/// The standard configuration, but with tables instead of networks.
let inPractice (c: Configuration) =
    { Configuration.standard with
        Environments = c.Environments
        Horizon = c.Horizon
        Gamma = c.Gamma
        Hidden = []
        CriticHidden = [] }

let variants =
    [ theory
      { theory with
          Name = "conjugate gradient stops after 10 iterations"
          Change = fun c -> { c with CgIterations = 10 } }
      { theory with
          Name = "advantages are standardised"
          Change = fun c -> { c with NormaliseAdvantages = true } }
      { theory with
          Name = "states as they come"
          Environment = Simulation.ofMdp
          Arrange = withExactCritic }
      { theory with Name = "λ = 0.95"; Change = fun c -> { c with Lambda = 0.95 } }
      { theory with
          Name = "λ = 0.95, and a critic that learns"
          Change = fun c -> { c with Lambda = 0.95 }
          Arrange = asItComes }
      { theory with
          Name = "no values but what rewards say"
          Environment = Simulation.discounted
          Change = fun c -> { c with Gamma = 1.0; Lambda = 1.0 }
          Arrange = withoutValues }
      { theory with Name = "damping 0.01"; Change = fun c -> { c with Damping = 0.01 } }
      { theory with Name = "damping 0.1"; Change = fun c -> { c with Damping = 0.1 } }
      { Name = "the standard configuration"
        Environment = Simulation.ofMdp
        Change = inPractice
        Arrange = asItComes }
      { Name = "the same, damping 0.001"
        Environment = Simulation.ofMdp
        Change = fun c -> { inPractice c with Damping = 0.001 }
        Arrange = asItComes } ]

/// The configuration of the theory's setting, with batches of 2,048 rows. Without damping, states that a batch never visited would make F
/// singular.
let configurationOf (mdp: FiniteMdp) =
    { Configuration.standard with
        Environments = 16
        Horizon = 128
        Gamma = mdp.Gamma
        Lambda = 0.0
        Hidden = []
        CriticHidden = []
        Damping = 1e-4
        CgIterations = 200
        CgTolerance = 1e-6
        LineSearchTries = 20
        NormaliseReturns = false
        NormaliseAdvantages = false }

let setupOf horizon mdp variant =
    let configuration = variant.Change(configurationOf mdp)

    variant.Environment mdp
    |> Setup.create 1 { configuration with Horizon = horizon * configuration.Horizon }
    |> orFail

let uniformly (mdp: FiniteMdp) (state: TrainingState<int>) =
    { state with PolicyParameters = Bridge.logits (TabularPolicy.uniform mdp) }

let policyOf mdp (state: TrainingState<int>) = TabularPolicy.ofLogits (Bridge.table mdp state.PolicyParameters)

let iterate setup mdp variant state =
    variant.Arrange setup (Values.ofPolicy mdp (policyOf mdp state)) state
    |> Training.update setup
    |> orFail
    |> fst

/// η after each iteration.
let etas mdp variant count seed =
    let setup = setupOf 1 mdp variant

    (uniformly mdp (TrainingState.start setup seed), seq { 1..count })
    ||> Seq.scan (fun state _ -> iterate setup mdp variant state)
    |> Seq.map (fun state -> (Values.ofPolicy mdp (policyOf mdp state)).Eta)
    |> Array.ofSeq

/// The angle in degrees between the first step of a variant, with a batch 128 times as large, and the exact natural gradient. A critic that
/// learns has learned nothing yet, so it is set to the exact values. If rewards are rescaled, these are in another unit, which turns the
/// step by a few degrees.
let angle mdp variant seed =
    let setup = setupOf (if isShort then 1 else 128) mdp variant
    let start = uniformly mdp (TrainingState.start setup seed)
    let values = Values.ofPolicy mdp (policyOf mdp start)
    let after = withExactCritic setup values start |> iterate setup mdp variant

    let step =
        Table.map2 (-) (Bridge.table mdp after.PolicyParameters) (Bridge.table mdp start.PolicyParameters)

    let exact, _ = Softmax.naturalGradient mdp 0.0 values
    let cosine = Table.fold (+) 0.0 (Table.map2 (*) step exact) / (norm step * norm exact)
    180.0 / Math.PI * acos (min 1.0 cosine)

type Cost = { Mdp: FiniteMdp; Variant: string; Angle: float; Way: float list }

let shown = [ 10; 30; 100 ]
let seeds = [| 0L .. (if isShort then 1L else 9L) |]

let costs =
    [ for mdp in [ Builders.frozenLake4 0.9 true; Builders.garnet 0.9 30 4 3 (Key.ofSeed 1L) ] do
          let best = (Values.optimal mdp).Eta
          let uniform = (Values.ofPolicy mdp (TabularPolicy.uniform mdp)).Eta
          let way eta = 100.0 * (eta - uniform) / (best - uniform)

          let exact =
              PolicySequence.run mdp (Algorithms.trustRegion 0.01)
              |> Seq.truncate (List.last shown + 1)
              |> Seq.map (fun step -> (orFail step).Values.Eta)
              |> Array.ofSeq

          { Mdp = mdp
            Variant = "exact TRPO, no samples"
            Angle = 0.0
            Way = shown |> List.map (fun i -> way exact[min i (exact.Length - 1)]) }

          for variant in variants do
              let runs = seeds |> Array.Parallel.map (etas mdp variant (List.last shown))

              { Mdp = mdp
                Variant = variant.Name
                Angle = seeds |> Array.truncate 4 |> Array.Parallel.map (angle mdp variant) |> median
                Way = shown |> List.map (fun i -> runs |> Array.map (Array.item i >> way) |> median) } ]

let header =
    [ "one change"; "angle to the exact step, many samples" ]
    @ [ for i in shown -> $"%% of the way after {i} iterations" ]

let cells cost = cost.Variant :: cost.Angle.ToString "F1" :: [ for way in cost.Way -> way.ToString "F1" ]

for mdp, ofMdp in costs |> List.groupBy _.Mdp.Name do
    printfn "%s, γ = 0.9, δ = 0.01, batches of 2,048 steps, medians of %d seeds" mdp seeds.Length

    for cost in ofMdp do
        match cells cost with
        | name :: angle :: ways ->
            printfn "  %-46s %5s° %s" name angle (ways |> List.map (sprintf "%6s") |> String.concat " ")
        | _ -> ()

// ---- Numbers, the page, and the picture ----

saveNumbers
    {| convergence =
        [ for estimator, measured in convergence do
              for i, quantity in List.indexed quantities do
                  {| estimator = estimator.Name
                     quantity = quantity
                     slope = slope (pointsOf i measured)
                     steps = List.map fst measured
                     errors = measured |> List.map (fun (_, errors) -> errors[i]) |} ]
       costs =
        [ for cost in costs ->
              {| mdp = cost.Mdp.Name
                 change = cost.Variant
                 angle = cost.Angle
                 iterations = shown
                 percentOfTheWay = cost.Way |} ] |}

let curves i =
    lines
        $"Error of the estimated {quantities[i]}"
        { Label = "environment steps"; Scale = Logarithmic(100.0, 100_000.0) }
        { Label = "root mean square of the relative error"; Scale = Logarithmic(0.001, 10.0) }
        [ for estimator, measured in convergence do
              line estimator.Name (pointsOf i measured)
          line "1/√N" [ for steps in [ 256.0; 65536.0 ] -> steps, 16.0 / sqrt steps ] ]

let sections =
    [ $"<h2>How fast estimates converge</h2><p>{garnet}</p>"
      for i in 0 .. quantities.Length - 1 do
          curves i
      "<h2>What practice costs</h2>"
      for mdp, ofMdp in costs |> List.groupBy _.Mdp.Name do
          $"<h3>{mdp}, γ = 0.9</h3>"
          table header (ofMdp |> List.map cells) ]

savePicture (curves 1)
savePage "bridge.html" "From the theory to samples" sections
