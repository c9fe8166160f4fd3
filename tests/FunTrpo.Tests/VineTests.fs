module FunTrpo.Tests.VineTests

open System
open System.Collections.Immutable
open System.Threading
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks

// ---- An environment with chance, whose episodes end in every way ----

[<Struct>]
type private Trail =
    {
        X: float32
        Time: int
        /// No step may follow.
        IsOver: bool
    }

/// A walk on chance, actions and time. It terminates where chance says so, and is truncated after so many steps; a step of an
/// episode that is over is refused. `steps` counts.
let private walk space limit (steps: int ref) =
    { new Environment<Trail> with
        member _.Id = "Walk-v0"
        member _.ObservationSpace = Space.box 2 -10.0 10.0
        member _.ActionSpace = space
        member _.Reset key = { X = float32 (Key.uniformIn -1.0 1.0 key); Time = 0; IsOver = false }

        member _.Step(key, action, state) =
            if state.IsOver then
                invalidOp "the episode is over"

            if not (Space.contains space action) then
                invalidOp $"{action.ToString()} is not in {Space.describe space}"

            Interlocked.Increment &steps.contents |> ignore
            let noise, chance = Key.uniform (Key.named "noise" key), Key.uniform (Key.named "end" key)
            let mutable pushed = 0.0

            for i in 0 .. action.Length - 1 do
                pushed <- pushed + float (i + 1) * float action[i]

            let x = float32 (sin (float state.X + 0.7 * pushed + 3.0 * noise))
            let terminated, truncated = chance < 0.1, state.Time + 1 >= limit

            { State = { X = x; Time = state.Time + 1; IsOver = terminated || truncated }
              Reward = float x + 0.3 * pushed + noise
              Terminated = terminated
              Truncated = truncated }

        member _.Observe(state, observation) =
            observation[0] <- state.X
            observation[1] <- 0.1f * float32 state.Time }

type private Case =
    { Space: Space
      Limit: int
      Settings: VineSettings
      States: int
      Key: Key }

    member this.Keyed name = Key.named name this.Key

let private valueOf (observation: ReadOnlySpan<float32>) = 2.0 + 3.0 * float observation[0] - float observation[1]

let private valuesOf (observations: Matrix) =
    ImmutableArray.CreateRange(Seq.init observations.Rows (fun row -> valueOf (observations.Row row)))

let private settingsOf branches steps gamma : VineSettings = { Branches = branches; Steps = steps; Gamma = gamma }

let private casesOn spaces =
    gen {
        let! space = spaces
        let! limit = Gen.choose (1, 9)
        let! branches = Gen.choose (2, 5)
        let! steps = Gen.choose (1, 12)
        let! gamma = Gen.elements [ 0.0; 0.5; 0.97; 1.0 ]
        let! states = Gen.choose (1, 6)
        let! key = key

        return
            { Space = space
              Limit = limit
              Settings = settingsOf branches steps gamma
              States = states
              Key = key }
    }

let private cases = casesOn actionSpace

let private actorOf (case: Case) =
    let policy =
        Policy.create
            (Architecture.uniform [ 4 ] Activation.Tanh)
            -0.3
            (Key.uniform (case.Keyed "scaled") < 0.5)
            (numbersOf 2)
            case.Space

    let initial = policy.Network.Initialise(case.Keyed "policy")

    { Policy = policy
      // Outputs of a fair size, so that actions depend on observations.
      Parameters = Vector.map (fun x -> 8f * x) initial
      Normaliser = Standardise(Moments.create 10.0 [ 0.2; 0.3 ] [ 4.0; 0.9 ]) }

/// Where the instances of a case stand: at the start of an episode or within one.
let private instancesOf (case: Case) environment =
    let start = Rollout.start environment case.States (case.Keyed "start") |> expectOk
    let actor = { actorOf case with Parameters = Vector.scale 0.5 (actorOf case).Parameters }
    Rollout.collect environment actor 5 1 (case.Keyed "trunk") start |> expectOk |> snd

let private growOn threads environment (case: Case) =
    instancesOf case environment
    |> Vine.sample environment (actorOf case) case.Settings valuesOf threads (case.Keyed "vine")

let private grow (case: Case) = growOn 1 (walk case.Space case.Limit (ref 0)) case |> expectOk

/// A branch, played step by step: its Q, and the steps that it took.
let private followed (case: Case) instance (start: Trail) (drawn: float32[]) =
    let environment = walk case.Space case.Limit (ref 0)
    let actor = actorOf case
    let family = actor.Policy.Family
    let keys = case.Keyed "vine" |> Key.named "play" |> Key.at (int64 instance)

    let look state : float32[] =
        let row = [| nanf; nanf |]
        environment.Observe(state, row.AsSpan())
        row

    let draw t state =
        let distribution = Actor.distributions actor (Matrix.ofRows [| look state |])
        let action = Array.zeroCreate<float32> family.ActionWidth
        family.Sample(distribution.Row 0, keys |> Key.named "action" |> Key.at (int64 t), action.AsSpan())
        action

    let rec goOn t state (drawn: float32[]) =
        let action = Array.zeroCreate<float32> family.ActionWidth
        Policy.toAction actor.Policy (ReadOnlySpan drawn) (action.AsSpan())

        let next =
            environment.Step(keys |> Key.named "environment" |> Key.at (int64 t), ReadOnlySpan action, state)

        let reward = next.Reward
        let bootstrap () = valueOf (ReadOnlySpan(look next.State))

        if next.Terminated then
            reward, t + 1
        elif next.Truncated || t + 1 = case.Settings.Steps then
            reward + case.Settings.Gamma * bootstrap (), t + 1
        else
            let later, steps = goOn (t + 1) next.State (draw (t + 1) next.State)
            reward + case.Settings.Gamma * later, steps

    goOn 0 start drawn

let private stateRows (vine: Vine) =
    [ for state in 0 .. vine.States - 1 -> [ state * vine.Branches .. (state + 1) * vine.Branches - 1 ] ]

let private actionOf (vine: Vine) row = vine.Actions.Row(row).ToArray()

let private growing =
    testList
        "grows"
        [ property "the same from the same, on any number of threads" cases (fun case ->
              let once = grow case

              for threads in [ 1; 2; 3; 7 ] do
                  let again = growOn threads (walk case.Space case.Limit (ref 0)) case |> expectOk
                  Expect.equal again.Actions once.Actions "actions"
                  Expect.equal again.Observations once.Observations "observations"
                  Expect.sequenceEqual again.Returns once.Returns "returns"
                  Expect.equal again.Steps once.Steps "steps")

          property "another vine from another key" (casesOn (Gen.constant (Space.box 2 -1.0 1.0))) (fun case ->
              let environment = walk case.Space case.Limit (ref 0)
              let instances = instancesOf case environment

              let grow key = Vine.sample environment (actorOf case) case.Settings valuesOf 1 key instances |> expectOk

              let one, other = grow (Key.at 1L case.Key), grow (Key.at 2L case.Key)
              Expect.equal one.Observations other.Observations "the same states"
              Expect.notEqual one.Actions other.Actions "actions")

          property "branches that lead where a step-by-step simulation does, in as many steps" cases (fun case ->
              let vine = grow case
              let instances = instancesOf case (walk case.Space case.Limit (ref 0))
              let mutable steps = 0L

              for row in 0 .. vine.Returns.Length - 1 do
                  let instance = row / vine.Branches
                  let q, length = followed case instance instances[instance].State (actionOf vine row)
                  expectClose 1e-9 vine.Returns[row] q $"Q of row {row}"
                  steps <- steps + int64 length

              Expect.equal vine.Steps steps "steps")

          property "by steps that it counts, and never beyond the end of a branch" cases (fun case ->
              let steps = ref 0
              let environment = walk case.Space case.Limit steps
              instancesOf case environment |> ignore
              let before = steps.Value
              // The instances are brought to their states once more.
              let vine = growOn 1 environment case |> expectOk
              Expect.equal (int64 (steps.Value - 2 * before)) vine.Steps "steps of the environment")

          property "rows that show the states, and actions as drawn" cases (fun case ->
              let vine = grow case
              let environment = walk case.Space case.Limit (ref 0)
              let instances = instancesOf case environment
              Expect.equal vine.States case.States "states"
              Expect.hasLength vine.Returns (vine.States * vine.Branches) "rows"

              for row in 0 .. vine.Returns.Length - 1 do
                  let seen = Environment.observation environment instances[row / vine.Branches].State
                  Expect.equal (vine.Observations.Row(row).ToArray()) (Vector.toArray seen) "observation"

              match case.Space with
              | Discrete count when count <= case.Settings.Branches ->
                  Expect.isTrue vine.HasEveryAction "every action"
                  Expect.equal vine.Branches count "as many branches as actions"

                  for rows in stateRows vine do
                      let actions = rows |> List.map (fun row -> (actionOf vine row)[0])
                      Expect.equal actions [ for action in 0 .. count - 1 -> float32 action ] "each action once"
              | _ ->
                  Expect.isFalse vine.HasEveryAction "not every action"
                  Expect.equal vine.Branches case.Settings.Branches "as many branches as asked for")

          property
              "equal returns, bit for bit, where equal actions were taken in one state"
              (casesOn (Gen.elements [ MultiBinary 1; MultiBinary 2; MultiDiscrete [ 2 ]; MultiDiscrete [ 1; 2 ] ])
               |> Gen.map (fun case -> { case with Settings = settingsOf 5 case.Settings.Steps case.Settings.Gamma }))
              (fun case ->
                  let vine = grow case

                  for rows in stateRows vine do
                      let alike = rows |> List.groupBy (actionOf vine)
                      Expect.isLessThan alike.Length 5 "of five branches some are alike"

                      for action, rows in alike do
                          let returns = rows |> List.map (fun row -> vine.Returns[row]) |> List.distinct
                          Expect.hasLength returns 1 $"returns of %A{action}")

          test "drawn actions follow the policy" {
              let case =
                  { Space = Discrete 3; Limit = 5; Settings = settingsOf 2 1 1.0; States = 3000; Key = Key.ofSeed 4L }

              let vine = grow case
              let distributions = Actor.distributions (actorOf case) vine.Observations
              let family = (actorOf case).Policy.Family

              for action in 0..2 do
                  let probability row =
                      exp (family.LogProbability(distributions.Row row, ReadOnlySpan [| float32 action |]))

                  let expected = Seq.init 6000 probability |> Seq.average
                  let found = Seq.init 6000 (fun row -> if vine.Actions[row, 0] = float32 action then 1.0 else 0.0)
                  // Five standard deviations of a mean of 6000.
                  expectClose 0.033 (Seq.average found) expected $"frequency of {action}"
          } ]

// ---- What the surrogate makes of it ----

/// A case whose surrogate is seen in float64 by the oracle: the policy case of the vine's rows.
let private policyCaseOfVine (case: Case) (vine: Vine) advantages =
    let actor = actorOf case
    let size = actor.Policy.Family.ParameterWidth

    let head =
        match case.Space with
        | Box(low, _) -> LinearThenStateIndependent(low.Length, low.Length)
        | _ -> Dense(size, Activation.Identity)

    { Layers = Then(Dense(4, Activation.Tanh), head)
      Policy = actor.Policy
      Parameters = actor.Parameters
      Observations = Normaliser.apply actor.Normaliser vine.Observations
      Actions = vine.Actions
      Advantages = advantages }

/// The log-probabilities of the rows' actions at parameters that carry derivatives.
let private logProbabilities (case: PolicyCase) parameters =
    Array.init case.Actions.Rows (fun row ->
        let distribution =
            Oracle.output case.Layers parameters (Oracle.constants (case.Observations.Row(row).ToArray()))

        Oracle.logProbability case.Space distribution (case.Actions.Row(row).ToArray()))

let private everyActionCases =
    casesOn (Gen.choose (1, 5) |> Gen.map Discrete)
    |> Gen.map (fun case -> { case with Settings = settingsOf 5 case.Settings.Steps case.Settings.Gamma })

let private drawnCases =
    casesOn (Gen.oneof [ actionSpace |> Gen.filter (fun space -> not space.IsDiscrete); Gen.constant (Discrete 6) ])

let private surrogates =
    testList
        "advantages"
        [ property
              "of every action make the surrogate the mean of Σ_a (π_θ − π_old) Q (equation 15)"
              (Gen.zip everyActionCases key)
              (fun (case, key) ->
                  let vine = grow case
                  Expect.isTrue vine.HasEveryAction "every action"
                  let advantages = Vine.advantages (actorOf case) vine
                  let seen = policyCaseOfVine case vine advantages
                  let step = Key.normals seen.Parameters.Length key
                  let theta = Vector.init step.Length (fun i -> seen.Parameters[i] + 0.3f * float32 step[i])

                  let probabilities parameters =
                      logProbabilities seen (Oracle.constants (Vector.toArray parameters))
                      |> Array.map (fun p -> exp p.X)

                  let expected =
                      Array.map2 (-) (probabilities theta) (probabilities seen.Parameters)
                      |> Array.mapi (fun row change -> change * vine.Returns[row])
                      |> Array.sum

                  let gain = (Surrogate.compare seen.Surrogate theta).Gain
                  let scale = 1.0 + (vine.Returns |> Seq.map abs |> Seq.max)
                  expectClose (2e-5 * scale) gain (expected / float vine.States) "gain")

          property
              "sum to 0 in each state, where each is the return less the mean of the others"
              drawnCases
              (fun case ->
                  let vine = grow case
                  Expect.isFalse vine.HasEveryAction "drawn"
                  let advantages = Vine.advantages (actorOf case) vine

                  for rows in stateRows vine do
                      let scale = 1.0 + (rows |> List.map (fun row -> abs vine.Returns[row]) |> List.max)
                      expectClose (1e-12 * scale) (rows |> List.sumBy (fun row -> advantages[row])) 0.0 "sum"

                      for row in rows do
                          let others = rows |> List.except [ row ] |> List.averageBy (fun other -> vine.Returns[other])
                          expectClose (1e-12 * scale) advantages[row] (vine.Returns[row] - others) $"row {row}")

          property
              "of drawn actions make a gradient K/(K − 1) times that of the self-normalised estimator (equation 16)"
              drawnCases
              (fun case ->
                  let vine = grow case
                  let seen = policyCaseOfVine case vine (Vine.advantages (actorOf case) vine)

                  let old =
                      logProbabilities seen (Oracle.constants (Vector.toArray seen.Parameters))
                      |> Array.map (fun p -> p.X)

                  /// (1/N) Σ_n Σ_k r_k Q_k / Σ_k r_k with r = π_θ/π_old
                  let selfNormalised parameters =
                      let now = logProbabilities seen parameters
                      let ratio row = exp (now[row] - Oracle.constant old[row])
                      let sum = List.fold (+) (Oracle.constant 0.0)

                      stateRows vine
                      |> List.map (fun rows ->
                          sum (rows |> List.map (fun row -> ratio row * Oracle.constant vine.Returns[row]))
                          / sum (rows |> List.map ratio))
                      |> sum
                      |> fun total -> total / Oracle.constant (float vine.States)

                  let k = float vine.Branches
                  let expected = Oracle.gradient selfNormalised (Oracle.floats seen.Parameters)
                  let gradient = Surrogate.gradient seen.Surrogate
                  let scale = 1.0 + (expected |> Array.map abs |> Array.max)

                  for i in 0 .. gradient.Length - 1 do
                      expectClose (1e-4 * scale) (float gradient[i]) (k / (k - 1.0) * expected[i]) $"gradient[{i}]") ]

// ---- Training ----

/// Small networks and batches: what is tested here does not depend on their size.
let private small =
    { Configuration.standard with
        Environments = 3
        Horizon = 20
        Branches = 2
        BranchSteps = 15
        Hidden = [ 6 ]
        CriticHidden = [ 5 ]
        CriticSteps = 2
        NormaliseObservations = true }

/// The steps of two iterations, which are finite, and count the environment's steps.
let private trains branches =
    { new EnvironmentUse<int64> with
        member _.With environment =
            let steps = ref 0
            let configuration = { small with Branches = branches }
            let setup = setupOf 2 configuration (counting steps environment)
            let results = iterations 2 setup (TrainingState.start setup 3L)
            let state, report = List.last results
            let ofBatches = 2L * int64 (small.Environments * small.Horizon)
            let branchesPerState = Vine.branchesIn environment.ActionSpace branches
            let most = ofBatches + 2L * int64 (small.Environments * branchesPerState * small.BranchSteps)
            Expect.isTrue (Vector.isFinite state.PolicyParameters) "policy"
            Expect.isTrue (Vector.isFinite state.Critic.Parameters) "critic"
            Expect.isTrue (Double.IsFinite report.Improvement.Comparison.Gain) "gain"
            Expect.equal state.Steps (int64 steps.Value) "steps that were made"
            Expect.equal report.Steps state.Steps "reported steps"

            Expect.isGreaterThanOrEqual
                state.Steps
                (ofBatches + 2L * int64 (small.Environments * branchesPerState))
                "steps"

            Expect.isLessThanOrEqual state.Steps most "steps"

            for _, report in results do
                match report.Improvement.Outcome with
                | Moved _
                | LineSearchFailed _
                | NoGradient -> () // All branches of the first vine can be worth the same.
                | other -> failtest $"{other}"

            state.Steps }

/// What one iteration improves the policy to, put together once more from the stages.
let private improvedByHand (setup: Setup<'State>) (state: TrainingState<'State>) =
    let configuration = setup.Configuration
    let key = state.Key |> Key.named "iteration" |> Key.at (int64 state.Iteration)
    let batch, instances = Stages.rollout configuration.Horizon setup state |> expectOk
    let normaliser = Normaliser.orMomentsOf batch.Observations state.Normaliser
    let actor = { TrainingState.actor setup state with Normaliser = normaliser }
    let values = Normaliser.apply normaliser >> Critic.values setup.Critic state.Critic

    let vine =
        Vine.sample
            setup.Environment
            actor
            (settingsOf configuration.Branches configuration.BranchSteps configuration.Gamma)
            values
            1
            (Key.named "vine" key)
            instances
        |> expectOk

    let advantages = Vine.advantages actor vine

    let settings = Configuration.improvement state.Steps configuration

    Surrogate.create
        1
        setup.Policy
        (Normaliser.apply normaliser vine.Observations)
        vine.Actions
        (if configuration.NormaliseAdvantages then Advantage.normalise advantages else advantages)
        state.PolicyParameters
    |> Surrogate.withEntropyBonus configuration.EntropyBonus
    |> TrustRegion.improve { settings with FisherFraction = settings.FisherFraction / float vine.Branches }
    |> Result.defaultWith failtest

let private everywhere =
    everywhereAnd (fun check -> [ test "a walk" { check.Check(walk (MultiDiscrete [ 2; 3 ]) 30 (ref 0)) } ])

let private variants =
    [ "as it is", small
      "nothing normalised",
      { small with NormaliseObservations = false; NormaliseReturns = false; NormaliseAdvantages = false }
      "three branches, a part of the states, entropy",
      { small with Branches = 3; FisherFraction = 0.5; EntropyBonus = 0.1 } ]

let private training =
    testList
        "training"
        [ for registered in Registry.all do
              for branches in [ 2; 3 ] do
                  test $"is finite and counts its steps on {registered.Id}, {branches} branches" {
                      registered.Use(trains branches) |> ignore
                  }

          propertyOf 30 "is finite and counts its steps in every action space" actionSpace (fun space ->
              match space with
              // There is nothing to choose, and so nothing to improve.
              | Discrete 1 -> ()
              | MultiDiscrete counts when List.forall ((=) 1) counts -> ()
              | _ -> (trains 3).With(walk space 12 (ref 0)) |> ignore)

          for name, configuration in variants do
              everywhere
                  $"is improve ∘ estimate ∘ rollout, on the rows of a vine: {name}"
                  { new OnEnvironment with
                      member _.Check environment =
                          let setup = setupOf 2 configuration environment
                          let start = TrainingState.start setup 17L
                          let results = iterations 3 setup start

                          for before, (after, report) in withBefore start results do
                              let byHand = improvedByHand setup before
                              Expect.equal after.PolicyParameters byHand.Parameters "policy"
                              Expect.isTrue (same report.Improvement byHand) "improvement" }

              everywhere
                  $"gives the same on any number of threads: {name}"
                  { new OnEnvironment with
                      member _.Check environment =
                          let run threads =
                              let setup = setupOf threads configuration environment
                              iterations 3 setup (TrainingState.start setup 1L)

                          let once = run 1

                          for threads in [ 1; 2; 3 ] do
                              Expect.isTrue (same once (run threads)) $"{threads} threads" }

              everywhere
                  $"leaves all but the policy to the single path: {name}"
                  { new OnEnvironment with
                      member _.Check environment =
                          let once configuration =
                              let setup = setupOf 1 configuration environment
                              iterations 1 setup (TrainingState.start setup 5L) |> List.exactlyOne |> fst

                          let vine, path = once configuration, once { configuration with Branches = 0 }
                          let start = TrainingState.start (setupOf 1 configuration environment) 5L

                          Expect.notEqual
                              path.PolicyParameters
                              start.PolicyParameters
                              "the single path moves the policy"

                          // The normaliser goes with the policy, and the streaks are those of its step.
                          let normaliser =
                              if vine.PolicyParameters = start.PolicyParameters then
                                  start.Normaliser
                              else
                                  path.Normaliser

                          Expect.notEqual vine.PolicyParameters path.PolicyParameters "the policy"
                          Expect.isGreaterThan vine.Steps path.Steps "steps"

                          Expect.isTrue
                              (same
                                  vine
                                  { path with
                                      PolicyParameters = vine.PolicyParameters
                                      Steps = vine.Steps
                                      Normaliser = normaliser
                                      Streaks = vine.Streaks })
                              "the rest" }

          for seed in 1L .. 2L do
              test $"clearly improves on CartPole-v1, seed {seed}" {
                  let configuration =
                      { Configuration.standard with
                          Environments = 16
                          Horizon = 16
                          Branches = 2
                          BranchSteps = 10
                          Delta = 0.03
                          Hidden = [ 32 ]
                          CriticHidden = [ 32 ] }

                  let setup = setupOf 2 configuration CartPole.environment
                  let start = TrainingState.start setup seed
                  let _, early = Training.run setup start |> Seq.item 1 |> expectOk
                  let trained, _ = Training.runFor 20_000L setup start |> Seq.last |> expectOk
                  let actor = TrainingState.actor setup trained
                  let scores = Evaluation.run 2 CartPole.environment actor 20 (Key.ofSeed 5L) |> expectOk
                  Expect.isLessThan early.MeanReturn.Value 30.0 "mean return of the first episodes"
                  Expect.isGreaterThan scores.Mean 200.0 "mean return of the trained policy"
              }

          propertyOf
              30
              "until a total is met to within a step of each environment and branch"
              (Gen.choose (1, 1000))
              (fun total ->
                  let setup = setupOf 1 { small with Branches = 3 } (walk (MultiBinary 2) 12 (ref 0))

                  let results =
                      Training.runFor (int64 total) setup (TrainingState.start setup 1L)
                      |> Seq.map expectOk
                      |> List.ofSeq

                  let made = (List.last results |> fst).Steps
                  Expect.isGreaterThanOrEqual made (int64 total) "met"
                  Expect.isLessThan made (int64 (total + small.Environments * (1 + 3))) "and little more")

          test "until a total is met makes whole iterations while there is room for them" {
              let setup = setupOf 1 small CartPole.environment
              let start = TrainingState.start setup 1L
              let most = int64 (small.Environments * (small.Horizon + small.Branches * small.BranchSteps))
              let total = 5L * most
              let results = Training.runFor total setup start |> Seq.map expectOk |> List.ofSeq
              let whole = results |> List.takeWhile (fun (state, _) -> state.Steps <= total - most)
              Expect.isGreaterThanOrEqual whole.Length 4 "whole iterations"
              // The last of them is the one that may leave too little for another whole one.
              Expect.isTrue (same whole (iterations whole.Length setup start)) "as without a total"
          }

          test "until the largest number of steps makes whole iterations" {
              let setup = setupOf 1 small CartPole.environment
              let start = TrainingState.start setup 1L

              let results =
                  Training.runFor Int64.MaxValue setup start |> Seq.truncate 2 |> Seq.map expectOk |> List.ofSeq

              Expect.isTrue (same results (iterations 2 setup start)) "as without a total"
          }

          test "asks the Fisher matrix for each state once" {
              let case = policyCase |> Gen.sample 40 |> Array.filter (fun case -> case.Observations.Rows > 1)
              Expect.isNonEmpty case "cases"

              for case in case do
                  for branches in [ 2; 3; 7 ] do
                      let repeat (m: Matrix) =
                          Matrix.init (m.Rows * branches) m.Columns (fun row column -> m[row / branches, column])

                      let repeated =
                          Surrogate.create
                              1
                              case.Policy
                              (repeat case.Observations)
                              (repeat case.Actions)
                              (ImmutableArray.CreateRange(Seq.init (case.Observations.Rows * branches) float))
                              case.Parameters

                      let v = Vector.init case.Parameters.Length (float >> sin >> float32)
                      use ofEach = Fisher.matrix 0.1 1.0 case.Surrogate
                      use ofRepeated = Fisher.matrix 0.1 (1.0 / float branches) repeated
                      Expect.equal (Fisher.product ofRepeated v) (Fisher.product ofEach v) "the product"
          } ]

// ---- What goes wrong in a branch ----

/// Steps on and on; from so many steps on something is wrong with each of them.
let private failing (failure: string) failAt =
    let wrongAt what time = failure = what && time >= failAt

    { new Environment<int> with
        member _.Id = "Failing-v0"
        member _.ObservationSpace = Space.box 1 -1.0 1.0
        member _.ActionSpace = Discrete 2
        member _.Reset _ = 0

        member _.Step(_, action, time) =
            let time = time + 1

            if wrongAt "exception" time then
                failwith "broken"

            { State = time
              Reward =
                if wrongAt "reward" time then nan
                elif wrongAt "size" time then 3e38 * float action[0]
                else float action[0] + sin (float time)
              Terminated = false
              Truncated = false }

        member _.Observe(time, observation) =
            observation[0] <- if wrongAt "observation" time then nanf else float32 (sin (float time)) }

/// Each episode has as many steps as a rollout, and something is wrong where the second one begins, which the rollout does not see.
let private failingStart throws =
    let begun = ref 0

    { new Environment<struct (int * int)> with
        member _.Id = "FailingStart-v0"
        member _.ObservationSpace = Space.box 1 -1.0 1.0
        member _.ActionSpace = Discrete 2
        member _.Reset _ = struct (Interlocked.Increment &begun.contents, 0)

        member _.Step(_, _, struct (episode, time)) =
            { State = struct (episode, time + 1)
              Reward = 1.0
              Terminated = time + 1 = small.Horizon
              Truncated = false }

        member _.Observe(struct (episode, time), observation) =
            let isWrong = episode > small.Environments

            if isWrong && throws then
                failwith "broken"

            observation[0] <- if isWrong then nanf else float32 time }

let private faults =
    let plain = { small with NormaliseReturns = false }

    let update environment =
        let setup = setupOf 2 plain environment
        Training.update setup (TrainingState.start setup 1L)

    let horizon = small.Horizon

    testList
        "a fault in a branch"
        [ for step in [ horizon + 1; horizon + 2; horizon + small.BranchSteps ] do
              for what in [ "reward"; "observation" ] do
                  test $"is an error that names the step: a NaN {what} in step {step}" {
                      match update (failing what step) with
                      | Error fault ->
                          Expect.equal fault (NonFiniteEnvironment(what, "Failing-v0", 0, int64 step)) "the fault"
                      | Ok _ -> failtest "it went on"
                  }

              test $"is an error that names the step: an exception in step {step}" {
                  match update (failing "exception" step) with
                  | Error(FailedEnvironment(error, "Failing-v0", 0, at)) ->
                      Expect.equal (error.Message, at) ("broken", int64 step) "the fault"
                  | other -> failtest $"%A{Result.map fst other}"
              }

          test "is no error after the end of the branches" {
              for what in [ "reward"; "observation"; "exception" ] do
                  Expect.isOk (update (failing what (horizon + small.BranchSteps + 1)) |> Result.map ignore) what
          }

          test "is one of the returns where they do not fit into float32" {
              match update (failing "size" (horizon + 1)) with
              | Error(NonFiniteStage("branches' returns", "Failing-v0", 1)) -> ()
              | other -> failtest $"%A{Result.map fst other}"
          }

          for throws in [ false; true ] do
              test $"is an error where an episode begins whose observation is not finite, or throws: throws = {throws}" {
                  match update (failingStart throws), throws with
                  | Error(NonFiniteEnvironment("observation", "FailingStart-v0", 0, step)), false
                  | Error(FailedEnvironment(_, "FailingStart-v0", 0, step)), true ->
                      Expect.equal step (int64 horizon) "step"
                  | other, _ -> failtest $"%A{Result.map fst other}"
              } ]

/// A state that counts how often it is released.
[<Sealed>]
type private Borrowed(count: int ref) =
    interface Releasable with
        member _.Release() = Threading.Interlocked.Increment count |> ignore

let private borrowing =
    testList
        "a state that holds a resource"
        [ for limit in [ None; Some 1000 ] do
              test $"is released where a branch is left before its end (time limit {limit})" {
                  let count = ref 0

                  let endless =
                      { new Environment<Borrowed> with
                          member _.Id = "Borrowing-v0"
                          member _.ObservationSpace = Space.box 1 -1.0 1.0
                          member _.ActionSpace = Discrete 2
                          member _.Reset _ = Borrowed count

                          member _.Step(_, _, _) =
                              { State = Borrowed count; Reward = 1.0; Terminated = false; Truncated = false }

                          member _.Observe(_, observation) = observation[0] <- 0f }

                  let configuration =
                      { Configuration.standard with
                          Environments = 4
                          Horizon = 3
                          Hidden = [ 2 ]
                          CriticHidden = [ 2 ]
                          Branches = 2
                          BranchSteps = 5 }

                  let update environment =
                      let setup = setupOf 1 configuration environment
                      Training.update setup (TrainingState.start setup 1L) |> Result.isOk

                  let isDone =
                      match limit with
                      | None -> update endless
                      | Some limit -> update (Environment.withTimeLimit limit endless)

                  Expect.isTrue isDone "an update"
                  Expect.equal count.Value 8 "two branches of four instances"
              } ]

let tests = testList "Vine" [ growing; surrogates; training; faults; borrowing ]
