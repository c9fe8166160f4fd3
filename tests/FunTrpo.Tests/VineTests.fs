module FunTrpo.Tests.VineTests

open System
open System.Collections.Immutable
open System.Threading
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks

// ---- An environment with chance, whose episodes end in every way ----

[<Struct>]
type Trail =
    {
        X: float32
        Time: int
        /// No step may follow.
        IsOver: bool
    }

/// A walk on chance, actions and time. It terminates where chance says so, and is truncated after so many steps; a step of an
/// episode that is over is refused. `steps` counts.
let walk space limit (steps: int ref) =
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
    { Layers: HiddenLayer list
      Space: Space
      Limit: int
      Settings: VineSettings
      States: int
      Key: Key }

    member this.Keyed name = Key.named name this.Key

let private valueOf (observation: ReadOnlySpan<float32>) = 2.0 + 3.0 * float observation[0] - float observation[1]

let private valuesOf (branch: Batch) =
    let observations = branch.BootstrapObservations
    ImmutableArray.CreateRange(Seq.init observations.Rows (fun row -> valueOf (observations.Row row)))

let settingsOf branches steps gamma : VineSettings = { Branches = branches; Steps = steps; Gamma = gamma }

let private plainLayers = Architecture.uniform [ 4 ] Activation.Tanh

let private casesWith layers spaces =
    gen {
        let! layers = layers
        let! space = spaces
        let! limit = Gen.choose (1, 9)
        let! branches = Gen.choose (2, 5)
        let! steps = Gen.choose (1, 12)
        let! gamma = Gen.elements [ 0.0; 0.5; 0.97; 1.0 ]
        let! states = Gen.choose (1, 6)
        let! key = key

        return
            { Layers = layers
              Space = space
              Limit = limit
              Settings = settingsOf branches steps gamma
              States = states
              Key = key }
    }

/// Cases of policies without memory.
let private casesOn spaces = casesWith (Gen.constant plainLayers) spaces

/// Cases of policies with and without memory.
let private cases =
    actionSpace
    |> casesWith (Gen.elements [ plainLayers; [ HiddenLayer.Gru 3 ]; [ HiddenLayer.Lstm 2; HiddenLayer.Gru 2 ] ])

let private actorOf (case: Case) =
    let policy =
        Policy.create case.Layers -0.3 (Key.uniform (case.Keyed "scaled") < 0.5) (numbersOf 2) case.Space

    let initial = policy.Network.Initialise(case.Keyed "policy")

    { Policy = policy
      // Outputs of a fair size, so that actions depend on observations.
      Parameters = Vector.map (fun x -> 8f * x) initial
      Normaliser = Standardise(Moments.create 10.0 [ 0.2; 0.3 ] [ 4.0; 0.9 ]) }

/// Where the instances of a case stand: at the start of an episode or within one.
let private instancesOf (case: Case) environment =
    let actor = { actorOf case with Parameters = Vector.scale 0.5 (actorOf case).Parameters }

    let start =
        Rollout.startWithMemory actor.Policy.Network.Memory environment case.States (case.Keyed "start")
        |> expectOk

    Rollout.collect environment actor 5 1 (case.Keyed "trunk") start |> expectOk |> snd

let private growOn threads environment (case: Case) =
    instancesOf case environment
    |> Vine.sample environment (actorOf case) case.Settings valuesOf threads (case.Keyed "vine")

let private grow (case: Case) = growOn 1 (walk case.Space case.Limit (ref 0)) case |> expectOk

/// A branch, played step by step: its Q, and the steps that it took.
let private followed (case: Case) number (instance: Instance<Trail>) (drawn: float32[]) =
    let environment = walk case.Space case.Limit (ref 0)
    let actor = actorOf case
    let family = actor.Policy.Family
    let keys = case.Keyed "vine" |> Key.named "play" |> Key.at (int64 number)

    let look state : float32[] =
        let row = [| nanf; nanf |]
        environment.Observe(state, row.AsSpan())
        row

    let memory = Vector.toArray instance.Memory
    use network = Network.at actor.Policy.Network actor.Parameters

    /// Draws an action, and replaces the memory.
    let draw t state =
        let distribution = Array.zeroCreate<float32> family.ParameterWidth
        let normalised = Normaliser.apply actor.Normaliser (Matrix.ofRows [| look state |])
        network.Step(normalised.Row 0, memory.AsMemory(), distribution.AsSpan())
        let action = Array.zeroCreate<float32> family.ActionWidth
        family.Sample(ReadOnlySpan distribution, keys |> Key.named "action" |> Key.at (int64 t), action.AsSpan())
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

    draw 0 instance.State |> ignore
    goOn 0 instance.State drawn

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
                  let q, length = followed case instance instances[instance] (actionOf vine row)
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

                  Expect.equal
                      (vine.Memory.Row(row).ToArray())
                      (Vector.toArray instances[row / vine.Branches].Memory)
                      "memory"

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

          property
              "actions that the policy draws as it does in a rollout of one step, and other branches by themselves"
              (casesWith
                  (Gen.elements [ plainLayers; [ HiddenLayer.Gru 3 ] ])
                  (actionSpace |> Gen.filter (fun space -> not space.IsDiscrete)))
              (fun case ->
                  let vine = grow case
                  let environment = walk case.Space case.Limit (ref 0)

                  let drawn, _ =
                      instancesOf case environment
                      |> Rollout.collect environment (actorOf case) 1 1 (case.Keyed "vine" |> Key.named "draw")
                      |> expectOk

                  for state in 0 .. vine.States - 1 do
                      let first = state * vine.Branches
                      Expect.equal (actionOf vine first) (drawn.Actions.Row(state).ToArray()) "the first branch"

                  let changed =
                      { case with Settings = settingsOf (vine.Branches + 1) case.Settings.Steps case.Settings.Gamma }

                  let more = grow changed

                  for state in 0 .. vine.States - 1 do
                      for branch in 0 .. vine.Branches - 1 do
                          Expect.equal
                              (actionOf more (state * more.Branches + branch))
                              (actionOf vine (state * vine.Branches + branch))
                              "with one more branch")

          test "drawn actions follow the policy" {
              let case =
                  { Layers = plainLayers
                    Space = Discrete 3
                    Limit = 5
                    Settings = settingsOf 2 1 1.0
                    States = 3000
                    Key = Key.ofSeed 4L }

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
        match (Policy.logSigmas actor.Policy actor.Parameters).Length with
        | 0 -> Dense(size, Activation.Identity)
        | free -> LinearThenStateIndependent(size - free, free)

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

        Oracle.logProbability DistributionKind.Gaussian case.Space distribution (case.Actions.Row(row).ToArray()))

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

let tests = testList "Vine" [ growing; surrogates ]
