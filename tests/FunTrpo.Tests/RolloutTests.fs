module FunTrpo.Tests.RolloutTests

open System
open System.Collections.Immutable
open System.Threading
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks

// ---- An environment that tells in its observations all that happened to it ----

[<Struct>]
type private Diary =
    {
        /// Drawn at the reset: tells one episode from another.
        Tag: float32
        Time: int
        /// Drawn in the last step.
        Noise: float32
        /// The action as it arrived in the last step.
        Heard: float32
    }

type private Case =
    {
        Seed: int64
        Instances: int
        Horizon: int
        /// Episodes terminate after 1 … Longest steps, as their tag has it.
        Longest: int
        /// And are truncated after so many.
        Limit: int
    }

let private bound = 0.5f
let private actionSpace = Space.box 1 (float -bound) (float bound)

let private lengthOf case (tag: float32) = 1 + int (float tag * float case.Longest)

let private rewardOf (before: Diary) noise heard =
    float before.Tag
    + 10.0 * float before.Time
    + 100.0 * float (noise: float32)
    + 1000.0 * float (heard: float32)

let private environment case =
    { new Environment<Diary> with
        member _.Id = "Diary-v0"

        member _.ObservationSpace = Space.box 4 Double.NegativeInfinity Double.PositiveInfinity

        member _.ActionSpace = actionSpace

        member _.Reset key = { Tag = float32 (Key.uniform key); Time = 0; Noise = 0f; Heard = 0f }

        member _.Step(key, action, state) =
            let noise = float32 (Key.uniform key)
            let time = state.Time + 1

            { State = { state with Time = time; Noise = noise; Heard = action[0] }
              Reward = rewardOf state noise action[0]
              Terminated = time >= lengthOf case state.Tag
              Truncated = time >= case.Limit }

        member _.Observe(state, observation) =
            observation[0] <- state.Tag
            observation[1] <- float32 state.Time
            observation[2] <- state.Noise
            observation[3] <- state.Heard }

/// What an observation says.
let private read (row: ReadOnlySpan<float32>) = { Tag = row[0]; Time = int row[1]; Noise = row[2]; Heard = row[3] }

let actorFor observationWidth space key =
    let policy =
        Policy.create (Architecture.uniform [ 3 ] Activation.Tanh) 0.0 false (numbersOf observationWidth) space

    let initial = policy.Network.Initialise key

    { Policy = policy
      // Outputs of a fair size, so that actions depend on observations.
      Parameters = Vector.map (fun x -> 30f * x) initial
      Normaliser = Unnormalised }

let private cases =
    Gen.map5
        (fun seed instances horizon longest limit ->
            { Seed = seed; Instances = instances; Horizon = horizon; Longest = longest; Limit = limit })
        seeds
        (Gen.choose (1, 7))
        (Gen.choose (1, 15))
        (Gen.choose (1, 9))
        (Gen.choose (1, 9))
    |> Arb.fromGen

let private keyOf case name = Key.ofSeed case.Seed |> Key.named name

let private start case = Rollout.start (environment case) case.Instances (keyOf case "start") |> expectOk

let private collectWith threads case name instances =
    let actor = actorFor 4 actionSpace (keyOf case "policy")

    match Rollout.collect (environment case) actor case.Horizon threads (keyOf case name) instances with
    | Ok collected -> collected
    | Error fault -> failtest (Fault.message fault)

let private collect case = collectWith 1 case "rollout" (start case)

let private rowsOf (batch: Batch) instance = [ instance * batch.Horizon .. (instance + 1) * batch.Horizon - 1 ]

let private hasBootstrap ending = ending = End.Truncated || ending = End.Interrupted

/// The observation after each row that has one of its own.
let private bootstraps (batch: Batch) =
    List.init batch.Ends.Length id
    |> List.filter (fun row -> hasBootstrap batch.Ends[row])
    |> List.mapi (fun i row -> row, read (batch.BootstrapObservations.Row i))
    |> Map.ofList

/// What is seen after a row, within its episode: nothing where it terminated.
let private seenAfter (batch: Batch) =
    let bootstraps = bootstraps batch

    fun row ->
        match batch.Ends[row] with
        | End.Continues -> Some(read (batch.Observations.Row(row + 1)))
        | End.Terminated -> None
        | _ -> Some bootstraps[row]

let private clipped (batch: Batch) row = MathF.Min(MathF.Max(batch.Actions[row, 0], -bound), bound)

let private sameBatch (a: Batch) (b: Batch) =
    let same (x: ImmutableArray<'T>) (y: ImmutableArray<'T>) = List.ofSeq x = List.ofSeq y

    a.Instances = b.Instances
    && a.Horizon = b.Horizon
    && a.Observations = b.Observations
    && a.Actions = b.Actions
    && same a.Rewards b.Rewards
    && same a.Ends b.Ends
    && a.BootstrapObservations = b.BootstrapObservations
    && same a.Episodes b.Episodes

/// Shows the step of an episode as the place of a one, and writes nothing else.
let private oneHot places limit =
    { new Environment<int> with
        member _.Id = "OneHot-v0"
        member _.ObservationSpace = Space.box places 0.0 1.0
        member _.ActionSpace = actionSpace
        member _.Reset _ = 0

        member _.Step(_, _, time) =
            { State = time + 1; Reward = 0.0; Terminated = false; Truncated = time + 1 >= limit }

        member _.Observe(time, observation) = observation[time % places] <- 1f }

let private rows =
    testList
        "rows"
        [ testProperty "are 0 where the environment writes nothing, bootstraps too"
          <| Prop.forAll cases (fun case ->
              let environment = oneHot 7 case.Limit
              let actor = actorFor 7 actionSpace (keyOf case "policy")
              let start = Rollout.start environment case.Instances (keyOf case "start") |> expectOk

              match Rollout.collect environment actor case.Horizon 1 (keyOf case "rollout") start with
              | Error fault -> failtest (Fault.message fault)
              | Ok(batch, _) ->
                  let isOneHot (m: Matrix) row = Seq.sum (m.Row(row).ToArray()) = 1f
                  let areOneHot m = Seq.forall (isOneHot m) (seq { 0 .. m.Rows - 1 })
                  areOneHot batch.Observations && areOneHot batch.BootstrapObservations)

          testProperty "are as many as instances × horizon, with a bootstrap for each truncated or interrupted one"
          <| Prop.forAll cases (fun case ->
              let batch, instances = collect case
              let rows = case.Instances * case.Horizon

              batch.Instances = case.Instances
              && batch.Horizon = case.Horizon
              && instances.Length = case.Instances
              && batch.Observations.Rows = rows
              && batch.Actions.Rows = rows
              && batch.Rewards.Length = rows
              && batch.Ends.Length = rows
              && batch.BootstrapObservations.Rows = (batch.Ends |> Seq.filter hasBootstrap |> Seq.length))

          testProperty "can be replayed: each leads, by the action as clipped, to what is seen after it"
          <| Prop.forAll cases (fun case ->
              let batch, _ = collect case
              let after = seenAfter batch

              List.forall
                  (fun row ->
                      let before = read (batch.Observations.Row row)

                      match after row with
                      | Some next ->
                          next.Tag = before.Tag
                          && next.Time = before.Time + 1
                          && next.Heard = clipped batch row
                          && batch.Rewards[row] = rewardOf before next.Noise next.Heard
                      | None ->
                          // The reward tells the noise, which was never seen.
                          let noise = (batch.Rewards[row] - rewardOf before 0f (clipped batch row)) / 100.0
                          -1e-9 <= noise && noise < 1.0 + 1e-9)
                  [ 0 .. batch.Ends.Length - 1 ])

          testProperty
              "end as the environment says: a termination is no truncation, and the last row of a rollout is interrupted"
          <| Prop.forAll cases (fun case ->
              let batch, _ = collect case

              List.forall
                  (fun row ->
                      let before = read (batch.Observations.Row row)
                      let time = before.Time + 1

                      let expected =
                          if time >= lengthOf case before.Tag then End.Terminated
                          elif time >= case.Limit then End.Truncated
                          elif row % case.Horizon = case.Horizon - 1 then End.Interrupted
                          else End.Continues

                      batch.Ends[row] = expected)
                  [ 0 .. batch.Ends.Length - 1 ])

          testProperty "after an end begin another episode, whose first observation is no bootstrap"
          <| Prop.forAll cases (fun case ->
              let batch, _ = collect case

              let fresh (state: Diary) = state.Time = 0 && state.Noise = 0f && state.Heard = 0f

              List.init case.Instances (rowsOf batch)
              |> List.forall (fun rows ->
                  let states = rows |> List.map (fun row -> read (batch.Observations.Row row))
                  let pairs = List.pairwise (List.zip rows states)

                  fresh states.Head
                  && pairs
                     |> List.forall (fun ((row, before), (_, next)) ->
                         batch.Ends[row] = End.Continues || fresh next && next.Tag <> before.Tag))
              && bootstraps batch |> Map.forall (fun _ state -> state.Time > 0))

          testProperty "tell different episodes apart: every tag, noise and action is drawn anew"
          <| Prop.forAll cases (fun case ->
              let batch, _ = collect case
              let states = List.init batch.Ends.Length (fun row -> read (batch.Observations.Row row))
              let tags = states |> List.filter (fun s -> s.Time = 0) |> List.map _.Tag
              let noises = states |> List.filter (fun s -> s.Time > 0) |> List.map _.Noise
              let actions = List.init batch.Actions.Rows (fun row -> batch.Actions[row, 0])
              let allDiffer xs = List.distinct xs = xs
              // float32 numbers in [0, 1): two of a hundred agree once in thousands of cases.
              let nearly xs = List.length (List.distinct xs) >= List.length xs - 1

              (allDiffer tags || nearly tags) && nearly noises && nearly actions)

          test "hold the actions as they were drawn, and the environment hears them clipped" {
              let case = { Seed = 1L; Instances = 4; Horizon = 250; Longest = 20; Limit = 20 }

              let batch, _ = collect case
              let after = seenAfter batch
              let beyond = List.init 1000 id |> List.filter (fun row -> abs batch.Actions[row, 0] > bound)
              Expect.isGreaterThan beyond.Length 300 "actions beyond the bound, of 1000"

              for row in beyond do
                  match after row with
                  | Some next -> Expect.equal (abs next.Heard) bound "what the environment heard"
                  | None -> ()
          }

          test "hold actions of the policy's distribution, given their observations" {
              let case = { Seed = 2L; Instances = 10; Horizon = 1000; Longest = 9; Limit = 9 }

              let batch, _ = collect case

              let distributions =
                  Actor.distributions (actorFor 4 actionSpace (keyOf case "policy")) batch.Observations

              let z =
                  Array.init batch.Actions.Rows (fun row ->
                      float (batch.Actions[row, 0] - distributions[row, 0]) / exp (float distributions[row, 1]))

              Expect.isLessThan (abs (Array.average z)) (5.0 / sqrt 10_000.0) "mean of (a − μ)/σ"

              Expect.isLessThan
                  (abs (Array.averageBy (fun x -> x * x) z - 1.0))
                  (5.0 * sqrt (2.0 / 10_000.0))
                  "variance of (a − μ)/σ"

              let means = Array.init batch.Actions.Rows (fun row -> float distributions[row, 0])
              Expect.isGreaterThan (Array.max means - Array.min means) 0.5 "range of the means"

              Expect.isLessThan
                  (abs (MathNet.Numerics.Statistics.Correlation.Pearson(z, means)))
                  (5.0 / sqrt 10_000.0)
                  "correlation of (a − μ)/σ and μ"
          } ]

/// The episodes of rollouts in turn, from their rows alone: in the order of time, then of the instances.
let private episodesOf (batches: Batch list) =
    let ofInstance i =
        batches
        |> List.indexed
        |> List.collect (fun (number, batch) ->
            rowsOf batch i |> List.mapi (fun t row -> (number, t), batch.Rewards[row], batch.Ends[row]))
        |> List.mapFold
            (fun (total, length) (time, reward, ending) ->
                let total, length = total + reward, length + 1

                if ending = End.Terminated || ending = End.Truncated then
                    Some((time, i), { Return = total; Length = length }), (0.0, 0)
                else
                    None, (total, length))
            (0.0, 0)
        |> fst
        |> List.choose id

    List.init batches.Head.Instances ofInstance |> List.concat |> List.sortBy fst |> List.map snd

let private episodes =
    testList
        "episodes"
        [ testProperty
              "have the sum of their rewards as return, the number of their rows as length, and finish in order"
          <| Prop.forAll cases (fun case ->
              let batch, _ = collect case
              List.ofSeq batch.Episodes = episodesOf [ batch ])

          testProperty "go on in the next rollout where the last one stopped, with all they had"
          <| Prop.forAll cases (fun case ->
              let first, between = collect case
              let second, final = collectWith 1 case "second rollout" between
              let resumed = bootstraps first

              let goesOn =
                  List.init case.Instances (fun i ->
                      let last = (i + 1) * case.Horizon - 1
                      let next = read (second.Observations.Row(i * case.Horizon))

                      if first.Ends[last] = End.Interrupted then
                          next = resumed[last] && between[i].State = next
                      else
                          next.Time = 0)

              List.forall id goesOn
              && List.append (List.ofSeq first.Episodes) (List.ofSeq second.Episodes) = episodesOf [ first; second ]
              && between |> Seq.forall (fun instance -> instance.Steps = int64 case.Horizon)
              && final |> Seq.forall (fun instance -> instance.Steps = 2L * int64 case.Horizon))

          testProperty "that are under way keep their return and length in their instance"
          <| Prop.forAll cases (fun case ->
              let batch, instances = collect case

              List.init case.Instances id
              |> List.forall (fun i ->
                  let open' =
                      rowsOf batch i
                      |> List.rev
                      |> List.takeWhile (fun row ->
                          batch.Ends[row] <> End.Terminated && batch.Ends[row] <> End.Truncated)
                      |> List.rev

                  instances[i].Length = open'.Length
                  && instances[i].State.Time = open'.Length
                  && instances[i].Return = (open' |> List.fold (fun sum row -> sum + batch.Rewards[row]) 0.0))) ]

let private independence =
    testList
        "the result"
        [ testProperty "is the same to the last bit on 1, 2, 3 and 8 threads"
          <| Prop.forAll cases (fun case ->
              let batch, instances = collect case

              [ 2; 3; 8 ]
              |> List.forall (fun threads ->
                  let other, otherInstances = collectWith threads case "rollout" (start case)
                  sameBatch batch other && List.ofSeq instances = List.ofSeq otherInstances))

          testProperty "is the same again, and the instances it began from are untouched"
          <| Prop.forAll cases (fun case ->
              let begun = start case
              let kept = List.ofSeq begun
              let first, _ = collectWith 1 case "rollout" begun
              let again, _ = collectWith 1 case "rollout" begun
              sameBatch first again && List.ofSeq begun = kept && kept = List.ofSeq (start case))

          testProperty "of an instance does not depend on how many others there are"
          <| Prop.forAll cases (fun case ->
              let few, _ = collect case
              let many, _ = collect { case with Instances = case.Instances + 3 }
              let rows = case.Instances * case.Horizon

              few.Observations = many.Observations.SliceRows(0, rows)
              && few.Actions = many.Actions.SliceRows(0, rows)
              && List.ofSeq few.Rewards = List.ofSeq (Seq.truncate rows many.Rewards))

          testProperty "is another one under another key"
          <| Prop.forAll cases (fun case ->
              let batch, _ = collect case
              let other, _ = collectWith 1 case "another rollout" (start case)
              batch.Actions <> other.Actions) ]

let tests = testList "Rollout" [ rows; episodes; independence ]
