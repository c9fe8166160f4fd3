/// From exact quantities to samples: the practical pipeline estimates what the theory computes.
module FunTrpo.Tests.ExactBridgeTests

open System
open System.Collections.Immutable
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Exact
open FunTrpo.Tests.Generators
open FunTrpo.Tests.ExactCases

// ---- Statistics ----

/// A mean of independent numbers and its standard error.
let private meanAndError (numbers: float[]) =
    let mean = Array.average numbers
    let variance = (numbers |> Array.sumBy (fun x -> (x - mean) ** 2.0)) / float (numbers.Length - 1)
    struct (mean, sqrt (variance / float numbers.Length))

/// Whether the mean of the samples is what is expected, within seven standard errors: with forty samples chance alone goes beyond them once in
/// some 10⁸ times.
let private expectMean what expected floor (samples: float[]) =
    let struct (mean, error) = meanAndError samples
    Expect.isLessThan (abs (mean - expected)) (7.0 * error + floor) $"{what}: {mean} ± {error}, and not {expected}"

let private numbers (table: Table) =
    [| for s in 0 .. table.Rows - 1 do
           yield! Table.rowArray table s |]

let private norm table = sqrt (numbers table |> Array.sumBy (fun x -> x * x))

/// ‖x − y‖ / ‖y‖
let private relative x y = norm (Table.map2 (-) x y) / norm y

// ---- The process as an environment ----

/// A process and a policy without zeros, of which something is visited.
let private bridgeable =
    casesOf 0.9 interior |> Gen.where (fun case -> Seq.sum case.Values.Visitation > 0.0)

/// How often each state is met in an episode, over many.
let private visits (environment: Environment<int>) (mdp: FiniteMdp) (policy: TabularPolicy) episodes key =
    let choose state key =
        let u = Key.uniform key
        let row = TabularPolicy.rowArray policy state

        Array.scan (+) 0.0 row
        |> Array.skip 1
        |> Array.tryFindIndex (fun sum -> u < sum)
        |> Option.defaultValue (row.Length - 1)

    Array.init episodes (fun episode ->
        let key = Key.at (int64 episode) key
        let counts = Array.zeroCreate<float> mdp.States

        let rec play state step =
            counts[state] <- counts[state] + 1.0
            let key = Key.at (int64 step) key
            let action = [| float32 (choose state (Key.named "action" key)) |]
            let next = environment.Step(Key.named "step" key, ReadOnlySpan action, state)

            if not (next.Terminated || next.Truncated) then
                play next.State (step + 1)

        play (environment.Reset(Key.named "reset" key)) 0
        counts)

/// Processes that do not start at their end.
let private playable =
    processes 0.99
    |> Gen.where (fun mdp -> Seq.exists (fun s -> mdp.Start[s] > 0.0 && not (mdp.IsTerminal s)) [ 0 .. mdp.States - 1 ])

let private simulation =
    testList
        "simulation"
        [ statisticOf
              40
              "leads where the table says, with the rewards that it says"
              (Gen.zip playable key)
              (fun (mdp, key) ->
                  let environment = Simulation.ofMdp mdp
                  let samples = 400

                  for state in 0 .. mdp.States - 1 do
                      if not (mdp.IsTerminal state) then
                          for action in 0 .. mdp.Actions - 1 do
                              let transitions =
                                  Array.init samples (fun i ->
                                      let key =
                                          key |> Key.at (int64 (state * mdp.Actions + action)) |> Key.at (int64 i)

                                      environment.Step(key, ReadOnlySpan [| float32 action |], state))

                              // A branch that is rarer than the samples are many may be in none of them.
                              expectMean "reward" mdp.Rewards[state, action] 0.05 (transitions |> Array.map _.Reward)

                              let branches = mdp.Branches(state, action).ToArray()

                              for next in 0 .. mdp.States - 1 do
                                  let probability =
                                      branches |> Array.filter (fun b -> b.Next = next) |> Array.sumBy _.Probability

                                  let share =
                                      transitions |> Array.averageBy (fun t -> if t.State = next then 1.0 else 0.0)

                                  let error = sqrt (probability * (1.0 - probability) / float samples)

                                  Expect.isLessThanOrEqual
                                      (abs (share - probability))
                                      (6.0 * error + 0.02)
                                      "where it leads"

                                  Expect.isTrue (share = 0.0 || probability > 0.0) "never where it cannot"

                              for transition in transitions do
                                  Expect.equal
                                      transition.Terminated
                                      (mdp.IsTerminal transition.State)
                                      "it ends at the end"

                                  Expect.isFalse transition.Truncated "nobody stops watching")

          statisticOf 40 "meets each state as often as ρ says" (Gen.zip bridgeable key) (fun (case, key) ->
              let { Mdp = mdp; Values = values } = case
              // ρ counts from starts that are not terminal
              let going = Seq.sum (Seq.init mdp.States (fun s -> if mdp.IsTerminal s then 0.0 else mdp.Start[s]))

              for environment in [ Simulation.discounted mdp; Simulation.truncated mdp ] do
                  let counts = visits environment mdp values.Policy 300 key

                  for state in 0 .. mdp.States - 1 do
                      expectMean
                          $"visits of {state}"
                          (values.Visitation[state] / going)
                          0.1
                          (counts |> Array.map (Array.item state)))

          test "a process that starts at its end has no steps" {
              let ended =
                  expectOk (
                      FiniteMdp.create "ended" 0.9 1 [| 0.0; 1.0 |] [| false; true |] (fun _ _ ->
                          [ { Next = 1; Probability = 1.0; Reward = 1.0 } ])
                  )

              Expect.throwsT<ArgumentException> (fun () -> Simulation.ofMdp ended |> ignore) "no steps"
          }

          statisticOf 40 "draws states from the visitation" (Gen.zip bridgeable key) (fun (case, key) ->
              let values = case.Values
              let drawn = Array.init 2000 (fun i -> Simulation.visited values (Key.at (int64 i) key))

              for state in 0 .. values.Visitation.Length - 1 do
                  let probability = values.Visitation[state] / Seq.sum values.Visitation
                  let share = drawn |> Array.averageBy (fun s -> if s = state then 1.0 else 0.0)
                  let error = sqrt (probability * (1.0 - probability) / 2000.0)
                  Expect.isLessThanOrEqual (abs (share - probability)) (6.0 * error + 0.004) "share"
                  Expect.isTrue (share = 0.0 || probability > 0.0) "never where it never is") ]

// ---- Exact derivatives ----

let private exact =
    testList
        "softmax"
        [ property
              "without damping x is the smallest that solves F x = ∇η, also where actions are excluded"
              (cases 0.9)
              (fun case ->
                  let { Mdp = mdp; Values = values } = case
                  let x, _ = Softmax.naturalGradient mdp 0.0 values
                  let gradient = Softmax.gradient values
                  let difference = Table.map2 (-) (Softmax.fisherProduct mdp values x) gradient
                  Expect.isLessThan (norm difference) (1e-9 * (1.0 + norm gradient)) "F x"

                  // The smallest one has nothing of what F does not see: of excluded actions, and of constants in a state.
                  for state in 0 .. mdp.States - 1 do
                      let row = Table.rowArray x state
                      Expect.isLessThan (abs (Array.sum row)) (1e-9 * (1.0 + norm x)) "a constant"

                      for action in 0 .. mdp.Actions - 1 do
                          if values.Policy[state, action] = 0.0 then
                              Expect.equal row[action] 0.0 "an excluded action")

          property "(F + c) x = ∇η, and xᵀ (F + c) x" (Gen.zip bridgeable (Gen.choose (-4, 1))) (fun (case, power) ->
              let { Mdp = mdp; Values = values } = case
              let damping = 10.0 ** float power
              let x, quadratic = Softmax.naturalGradient mdp damping values
              let product = Table.map2 (fun fx xi -> fx + damping * xi) (Softmax.fisherProduct mdp values x) x
              let gradient = Softmax.gradient values
              let size = 1e-9 * (1.0 + norm gradient) / damping
              Expect.isLessThan (norm (Table.map2 (-) product gradient)) size "(F + c) x"
              let dot = Array.sum (Array.map2 (*) (numbers x) (numbers product))
              Expect.isLessThan (abs (dot - quadratic)) (size * (1.0 + norm x)) "xᵀ (F + c) x")

          property "F is the Hessian of the mean KL" (Gen.zip bridgeable key) (fun (case, key) ->
              let { Mdp = mdp; Values = values } = case

              let x =
                  Table.init mdp.States mdp.Actions (fun s a -> Key.normal (Key.at (int64 (s * mdp.Actions + a)) key))

              let klAlong h =
                  let moved = TabularPolicy.tilt (Table.map (fun xi -> h * xi) x) values.Policy
                  Divergence.mean mdp values (Divergence.kl values.Policy moved)

              // twice the even part, so that what is odd in h cancels
              let h = 1e-3
              let second = (klAlong h + klAlong -h) / (h * h)
              let dot = Array.sum (Array.map2 (*) (numbers x) (numbers (Softmax.fisherProduct mdp values x)))
              Expect.isLessThan (abs (second - dot)) (1e-4 * (1.0 + dot)) "xᵀ F x"
              expectClose (1e-12 * (1.0 + dot)) (Softmax.fisherQuadratic mdp values x) dot "the same, at once") ]

// ---- Estimates ----

/// A policy that differs a little, towards what a key says.
let private near (values: Values) key =
    let x =
        Table.init values.Policy.Rows values.Policy.Columns (fun s a ->
            Key.normal (Key.at (int64 (s * values.Policy.Columns + a)) key))

    x, TabularPolicy.tilt (Table.map (fun xi -> 0.3 * xi) x) values.Policy

/// The samples of each estimate are around what the theory computes.
let private expectUnbiased (mdp: FiniteMdp) (values: Values) (estimate: int64 -> Surrogate) key =
    let x, other = near values key

    let samples =
        Array.init 40 (fun i ->
            use surrogate = estimate (int64 i + int64 (1e9 * Key.uniform key))

            {| L = Bridge.localApproximation values surrogate other
               Gradient = Bridge.gradient mdp values surrogate
               Product = Bridge.fisherProduct mdp values surrogate x |})

    let scale = 1e-5 * (1.0 + norm values.Q) * (1.0 + Seq.sum values.Visitation)
    expectMean "L" (Values.localApproximation values other) scale (samples |> Array.map _.L)
    let gradient = Softmax.gradient values
    let product = Softmax.fisherProduct mdp values x

    for state in 0 .. mdp.States - 1 do
        let share = values.Visitation[state] / Seq.sum values.Visitation
        let rarest = share * Array.min (TabularPolicy.rowArray values.Policy state)

        for action in 0 .. mdp.Actions - 1 do
            let of' (estimate: Table) = estimate[state, action]

            // What is hardly ever met may be in none of the batches: then they say nothing of it, and nothing of their own error.
            if rarest > 0.005 then
                expectMean "gradient" (of' gradient) scale (samples |> Array.map (fun s -> of' s.Gradient))

            if share > 0.02 then
                expectMean "Fisher" (of' product) 1e-4 (samples |> Array.map (fun s -> of' s.Product))

let private setupOf returns instances horizon mdp = Bridge.setup 1 returns instances horizon mdp |> expectOk

/// Root mean squares, over some seeds, of the relative errors of L, gradient, Fisher product and step.
let private errors mdp (values: Values) estimate seeds =
    let damping, delta = 0.1, 0.002

    let exactStep =
        (Algorithms.trustRegionStep mdp { Delta = delta; Damping = damping; Length = Curvature.Damped } values).Value

    let other = TabularPolicy.tilt exactStep values.Policy
    let gain = Values.policyAdvantage values other
    let gradient = Softmax.gradient values
    let x, _ = near values (Key.ofSeed 1L)
    let product = Softmax.fisherProduct mdp values x

    let samples =
        seeds
        |> Array.map (fun seed ->
            let setup, surrogate = estimate seed
            use surrogate: Surrogate = surrogate

            [| (Bridge.localApproximation values surrogate other - values.Eta - gain) / gain
               relative (Bridge.gradient mdp values surrogate) gradient
               relative (Bridge.fisherProduct mdp values surrogate x) product
               relative (Bridge.step setup mdp values damping delta surrogate |> Result.defaultWith failtest) exactStep |])

    Array.init 4 (fun i -> sqrt (samples |> Array.averageBy (fun sample -> sample[i] * sample[i])))

/// The slope of log error over log rows.
let private slopes (sizes: int list) (errors: float[] list) =
    let x = sizes |> List.map (float >> log)
    let meanX = List.average x

    Array.init 4 (fun i ->
        let y = errors |> List.map (fun e -> log e[i])
        let meanY = List.average y

        List.sum (List.map2 (fun a b -> (a - meanX) * (b - meanY)) x y)
        / List.sumBy (fun a -> (a - meanX) ** 2.0) x)

let private expectRate name (values: Values) mdp estimate sizes =
    let found = sizes |> List.map (fun size -> errors mdp values (estimate size) [| 1L .. 12L |])
    let last = List.last found

    for name, slope, error in Seq.zip3 [ "L"; "gradient"; "Fisher"; "step" ] (slopes sizes found) last do
        Expect.isLessThan (abs (slope + 0.5)) 0.12 $"the rate of {name}"
        Expect.isLessThan error 0.1 $"the error of {name} at the end"

    Expect.isGreaterThan found.Length 2 name

let private garnet = Builders.garnet 0.9 8 3 3 (Key.ofSeed 1L)
let private ofGarnet = Values.ofPolicy garnet (softmax 1.0 garnet (Key.ofSeed 2L))

let private estimates =
    testList
        "estimates"
        [ statisticOf 25 "of a single path are unbiased by exact values" (Gen.zip bridgeable key) (fun (case, key) ->
              let setup = setupOf Bridge.ByExactValues 8 32 case.Mdp
              expectUnbiased case.Mdp case.Values (Bridge.singlePath setup case.Values >> expectOk) key)

          statisticOf
              20
              "of a single path are unbiased by rewards, whatever the baseline"
              (Gen.zip bridgeable key)
              (fun (case, key) ->
                  // What has not come to an end within the batch is bootstrapped, from the baseline: that is to be next to nothing.
                  let mdp = expectOk (FiniteMdp.withGamma (min 0.5 case.Mdp.Gamma) case.Mdp)
                  let values = Values.ofPolicy mdp case.Values.Policy
                  let off = Key.normals mdp.States (Key.named "baseline" key)

                  let wrong =
                      { values with V = ImmutableArray.CreateRange(values.V |> Seq.mapi (fun s v -> v + off[s])) }

                  let setup = setupOf Bridge.ByRewards 1 3000 mdp
                  expectUnbiased mdp values (Bridge.singlePath setup wrong >> expectOk) key)

          test "of a single path converge at the rate 1/√N" {
              let estimate rows seed =
                  let setup = setupOf Bridge.ByExactValues 16 (rows / 16) garnet
                  setup, Bridge.singlePath setup ofGarnet seed |> expectOk

              expectRate "single path" ofGarnet garnet estimate [ 1 <<< 9; 1 <<< 11; 1 <<< 13; 1 <<< 15 ]
          }

          statisticOf
              20
              "of a vine are unbiased, by exact values and by rewards"
              (Gen.zip bridgeable key)
              (fun (case, key) ->
                  let mdp = expectOk (FiniteMdp.withGamma (min 0.8 case.Mdp.Gamma) case.Mdp)
                  let values = Values.ofPolicy mdp case.Values.Policy

                  for returns, states in [ Bridge.ByExactValues, 128; Bridge.ByRewards, 128 ] do
                      let setup = setupOf returns states 1 mdp
                      let estimate seed = Bridge.vine setup values seed |> Result.map fst |> expectOk
                      expectUnbiased mdp values estimate key)

          test "of a vine converge at the rate 1/√N" {
              let estimate states seed =
                  let setup = setupOf Bridge.ByExactValues states 1 garnet
                  setup, Bridge.vine setup ofGarnet seed |> Result.map fst |> expectOk

              expectRate "vine" ofGarnet garnet estimate [ 1 <<< 8; 1 <<< 10; 1 <<< 12; 1 <<< 14 ]
          }

          test "a policy that excludes an action has no logits" {
              Expect.throwsT<ArgumentException>
                  (fun () -> Bridge.logits (TabularPolicy.greedy ofGarnet.Q) |> ignore)
                  "zeros"
          } ]

let tests = testList "Bridge" [ simulation; exact; estimates ]
