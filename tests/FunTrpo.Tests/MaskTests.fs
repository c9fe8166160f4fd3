/// Environments that say which actions are legal, through everything that plays and trains.
module FunTrpo.Tests.MaskTests

open System
open System.IO
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.MaskCases
open FunTrpo.Tests.Tasks
open FunTrpo.Tests.TestFiles

// ---- Rows ----

let private rowCase =
    gen {
        let! counts = someCounts
        let! mask = Gen.arrayOfLength (List.sum counts) (Gen.elements [ true; true; false ])
        let! action = counts |> List.map (fun count -> Gen.choose (0, count - 1)) |> Gen.sequenceToArray
        let! key = key
        return counts, mask, action, key
    }

let private rows =
    testList
        "rows"
        [ property "what is legal, choice by choice" rowCase (fun (counts, mask, action, key) ->
              let space = Masked(Space.box 2 0.0 1.0, counts)
              let row = Array.append [| 0.5f; 1f |] (toNumbers mask)
              let legal = legalOf counts mask
              let allowed = List.forall2 Array.contains (List.ofArray action) legal
              Expect.equal ((Mask.ofRow space (ReadOnlySpan row)).ToArray()) (toNumbers mask) "the mask"

              Expect.equal
                  (Mask.allows space (ReadOnlySpan row) (ReadOnlySpan(Array.map float32 action)))
                  allowed
                  "an action"

              let isThere = legal |> List.forall (fun legal -> legal.Length > 0)
              Expect.equal (Mask.hasLegalAction space (ReadOnlySpan row)) isThere "any action"
              Expect.isTrue (Space.contains space (ReadOnlySpan row)) "an element of the space"

              if isThere then
                  let drawn = Mask.sample space (actionsOf counts) (ReadOnlySpan row) key
                  Expect.isTrue (Mask.allows space (ReadOnlySpan row) drawn.Span) "a random action"
              else
                  Expect.throwsT<InvalidOperationException>
                      (fun () -> Mask.sample space (actionsOf counts) (ReadOnlySpan row) key |> ignore)
                      "none"

              Mask.allowAll space (row.AsSpan())
              Expect.equal row (Array.append [| 0.5f; 1f |] (Array.create mask.Length 1f)) "all")
          test "a random action is uniform among the legal ones" {
              let row = [| 0f; 1f; 0f; 1f; 1f |]
              let space = Masked(Discrete 3, [ 4 ])

              let drawn =
                  [ for i in 0L .. 29_999L ->
                        (Mask.sample space (Discrete 4) (ReadOnlySpan row) (Key.at i (Key.ofSeed 3L)))[0] ]
                  |> List.countBy id
                  |> Map.ofList

              Expect.equal (Map.keys drawn |> List.ofSeq) [ 0f; 2f; 3f ] "legal"

              for KeyValue(action, count) in drawn do
                  // Five standard deviations of a count around 10,000.
                  expectClose 410.0 (float count) 10_000.0 $"{action}"
          }
          test "a mask is for a valid space of observations, and has a text and a JSON" {
              let space = Masked(Space.box 2 -1.0 1.0, [ 3; 2 ])
              Expect.equal (Space.describe space) "Masked(Box(2; [-1, 1]); 3, 2)" "text"
              Expect.equal (Space.width space) 7 "width"

              Expect.equal
                  (SpaceJson.print space)
                  """{"kind":"Masked","observed":{"kind":"Box","low":[-1,-1],"high":[1,1]},"counts":[3,2]}"""
                  "JSON"

              for space, why in
                  [ Masked(Discrete 0, [ 2 ]), "has no elements"
                    Masked(Discrete 2, []), "has no elements"
                    Masked(Discrete 2, [ 2; 0 ]), "has no elements"
                    Masked(Discrete 2, [ 1 <<< 24 ]), "has more than 2²⁴ alternatives, or numbers"
                    Masked(Masked(Discrete 2, [ 2 ]), [ 2 ]), "has a mask of a mask" ] do
                  Expect.equal (Space.invalidReason space) (Some why) (Space.describe space)
          }
          test "only Discrete and MultiDiscrete actions have masks" {
              Expect.equal (Mask.space (Discrete 2) (MultiDiscrete [ 2; 3 ])) (Masked(Discrete 2, [ 2; 3 ])) "choices"
              expectRefused "switches" (fun () -> Mask.space (Discrete 2) (MultiBinary 2) |> ignore)
              expectRefused "a box" (fun () -> Mask.space (Discrete 2) (Space.box 1 0.0 1.0) |> ignore)
          } ]

// ---- Draws ----

let private draws =
    testList
        "draws"
        [ test "no illegal action in a million draws, and their probabilities are 0" {
              let space = Masked(numbersOf 3, [ 40; 2 ])

              let policy =
                  Policy.create [ HiddenLayer.Dense(8, Activation.Tanh) ] 0.0 false space (MultiDiscrete [ 40; 2 ])

              let key = Key.ofSeed 8L
              // Logits far apart, so that many legal ones are improbable too.
              let parameters = policy.Network.Initialise key |> Vector.scale 100.0
              let player = InferencePolicy { Policy = policy; Parameters = parameters; Normaliser = Unnormalised }
              let count = 1000
              let observation i = Space.sample space (Key.at (int64 i) key)
              let rows = Array.init count (fun i -> Vector.toArray (observation i))
              let actions = Array.zeroCreate<float32>(2 * count)

              for repetition in 1..1000 do
                  player.Sample(ReadOnlySpan(Array.concat rows), Key.at (int64 repetition) key, actions.AsSpan())

                  for i in 0 .. count - 1 do
                      if not (Mask.allows space (ReadOnlySpan rows[i]) (ReadOnlySpan(actions, 2 * i, 2))) then
                          failtest $"an illegal action for observation {i}"

              for row in rows do
                  match player.Distribution(ReadOnlySpan row) with
                  | ActionDistribution.Choices probabilities ->
                      for i in 0..41 do
                          if row[3 + i] = 0f then
                              Expect.equal probabilities[i] 0.0 "probability"
                  | other -> failtest $"{other}"
          }
          property
              "the largest random number belongs to an alternative whose probability is not 0"
              (Gen.zip (Gen.choose (1, 60)) key)
              (fun (count, key) ->
                  let logits =
                      Array.init (count + 2) (fun i ->
                          if i >= count then
                              MaskedLayers.illegalLogit
                          else
                              float32 (Key.normal (Key.at (int64 i) key)))

                  let chosen = Distribution.choiceAt (ReadOnlySpan logits) (1.0 - Math.Pow(2.0, -53.0))
                  Expect.isLessThan chosen count "legal") ]

// ---- Playing and training ----

let private wide = { small with Hidden = [ 32 ]; CriticHidden = [ 32 ] }

/// The policy and the critic remember what they have seen.
let private remembering =
    let parsed text = Architecture.parse text |> Result.defaultWith failwith
    { small with Architecture = parsed "dense 9 tanh; gru 12"; CriticArchitecture = parsed "lstm 6" }

let private variants =
    [ wide
      { wide with NormaliseObservations = false; EntropyBonus = 0.05 }
      remembering
      { remembering with FisherFraction = 0.5; EntropyBonus = 0.05 }
      { wide with Branches = 3; BranchSteps = 6 }
      { remembering with Rule = RuleKind.Ppo }
      { wide with Rule = RuleKind.Ppo; Branches = 3; BranchSteps = 6 } ]

/// The variants whose batches are rollouts, with the units of the last hidden layer of the policy.
let private rollouts = List.zip (List.take 4 variants) [ 32; 32; 12; 12 ]

let private trained configuration environment count =
    let setup = setupOf 1 configuration environment
    setup, iterations count setup (TrainingState.start setup 4L)

let private playing =
    testList
        "playing"
        [ for number, configuration in List.indexed variants do
              test $"no illegal action is taken while training, variant {number}" {
                  let setup, results = trained configuration (walk changing) 4
                  Expect.isTrue (results |> List.exists (snd >> hasMoved)) "it has learned"
                  let actor = TrainingState.actor setup (last results)
                  let key = Key.ofSeed 5L
                  Evaluation.run 1 setup.Environment actor 30 key |> expectOk |> ignore
                  Evaluation.sample 1 setup.Environment actor 30 key |> expectOk |> ignore
              }
          test "nor in a vine that could try every action, whose branches end with their episodes" {
              let configuration = { wide with Environments = 8; Horizon = 8; Branches = 5; BranchSteps = 30 }
              let rule: Rule = fun place i -> i = place.At % 5 || (place.Time + i) % 3 = 0
              let setup = setupOf 1 configuration (narrow 5 rule)
              Expect.equal (Vine.branchesIn setup.Environment 9) 9 "branches"
              let results = iterations 3 setup (TrainingState.start setup 4L)
              Expect.isTrue (results |> List.exists (snd >> hasMoved)) "it has learned"
          }
          test "nor in random play, nor by a check" {
              Evaluation.random 1 (walk changing) 50 (Key.ofSeed 1L) |> expectOk |> ignore
              let findings = Check.run (walk changing) 1L |> List.map Finding.message
              Expect.isEmpty (findings |> List.filter (fun text -> text.Contains "illegal")) "findings"
          }
          test "a rule that takes an illegal action is refused" {
              let fault = Evaluation.play 1 (walk changing) (fun _ -> Vector.ofArray [| 1f; 0f |]) 5 (Key.ofSeed 1L)

              match fault with
              | Error(Mismatch why) -> Expect.stringContains why "Walk does not allow this action now" "why"
              | other -> failtest $"{other}"
          }
          test "with all actions legal, training has the bits of training without masks" {
              for configuration, _ in rollouts do
                  let _, plain = trained configuration (unmaskedWalk [| 0..4 |]) 3
                  let _, masked = trained configuration (narrow 5 allLegal) 3

                  for (before, report), (after, itsReport) in List.zip plain masked do
                      Expect.equal after.PolicyParameters before.PolicyParameters "policy"
                      Expect.equal after.Critic before.Critic "critic"
                      Expect.equal after.Normaliser before.Normaliser "normaliser"
                      Expect.isTrue (same itsReport report) "report"
          }
          test "with a constant mask, an update is that of the smaller action space" {
              // The same parameters without the columns of illegal actions. What differs is the order in which the vectors of conjugate
              // gradient are added up, so the update is the same to rounding, and the critic and what was drawn are the same in every bit.
              let legal = [| 0; 2; 3 |]
              let rule _ i = Array.contains i legal

              for configuration, units in rollouts do
                  let masked = setupOf 1 configuration (narrow 5 rule)
                  let plain = setupOf 1 configuration (unmaskedWalk legal)
                  let start = TrainingState.start masked 4L
                  let hidden = start.PolicyParameters.Length - (units + 1) * 5

                  let restrict (parameters: Vector) =
                      Vector.ofSeq (
                          seq {
                              for i in 0 .. hidden - 1 do
                                  parameters[i]

                              for unit in 0..units do
                                  for i in legal do
                                      parameters[hidden + unit * 5 + i]
                          }
                      )

                  let ofPlain = { TrainingState.start plain 4L with PolicyParameters = restrict start.PolicyParameters }
                  let next, report = Training.update masked start |> expectOk
                  let expected, itsReport = Training.update plain ofPlain |> expectOk
                  Expect.equal report.MeanReturn itsReport.MeanReturn "what was drawn"
                  Expect.isTrue (hasMoved report) "a step"
                  Expect.equal next.Critic expected.Critic "critic"
                  Expect.equal next.Normaliser expected.Normaliser "normaliser"

                  let size = Vector.norm (Vector.addScaled -1.0 ofPlain.PolicyParameters expected.PolicyParameters)

                  expectAllClose
                      (1e-3 * size)
                      (Vector.toArray (restrict next.PolicyParameters))
                      (Oracle.floats expected.PolicyParameters)
                      "policy"

                  for unit in 0..units do
                      for i in [ 1; 4 ] do
                          let at = hidden + unit * 5 + i
                          Expect.equal next.PolicyParameters[at] start.PolicyParameters[at] "of illegal actions"
          }
          for name, configuration in [ "", wide; ", with memory", remembering ] do
              inNewFolder $"a run that is saved and loaded goes on with the same bits{name}" (fun folder ->
                  let setup, results = trained configuration (walk changing) 4
                  let path = Path.Combine(folder, "checkpoint")
                  Checkpoint.save path setup "note" (fst results[1]) |> expectOk
                  let loaded = Checkpoint.load path (setupOf 2 configuration (walk changing)) |> expectOk
                  let again = iterations 2 setup loaded.State |> last
                  Expect.equal again.PolicyParameters (last results).PolicyParameters "policy"
                  Expect.equal again.Critic (last results).Critic "critic")
          test "a policy goes through its file, and fits only environments with such masks" {
              let setup, results = trained wide (walk changing) 1
              let saved = { Environment = "Walk"; Actor = TrainingState.actor setup (last results) }
              let loaded = PolicyFile.parse "file" (PolicyFile.print saved) |> expectOk
              Expect.equal loaded.ObservationSpace setup.Environment.ObservationSpace "space"
              Expect.equal loaded.Actor.Normaliser saved.Actor.Normaliser "normaliser"
              let scores actor = Evaluation.sample 1 setup.Environment actor 10 (Key.ofSeed 2L) |> expectOk
              Expect.equal (scores loaded.Actor).Returns (scores saved.Actor).Returns "returns"
              Expect.isOk (PolicyFile.requireFit "file" (walk allLegal) loaded) "the same masks"
              let unlike = withSpaces "Plain" (Space.box 10 -1.0 1.0) (MultiDiscrete walkCounts)
              Expect.isError (PolicyFile.requireFit "file" unlike loaded) "as wide, but without masks"
          }
          test "the normaliser is of the observations without masks" {
              let _, results = trained wide (walk changing) 1

              match (last results).Normaliser with
              | Standardise moments -> Expect.equal moments.Width 2 "columns"
              | Unnormalised -> failtest "not normalised"
          } ]

// ---- Faults ----

/// Without a legal alternative of the second choice from step 3 on.
let private stuck: Rule = fun place i -> place.Time < 3 || i < 5

let private messageOf result =
    match result with
    | Ok _ -> failtest "no fault"
    | Error fault -> Fault.message fault

let private faults =
    testList
        "faults"
        [ test "no legal action is a fault that names the instance and the step" {
              let text instance step =
                  $"Walk gave a mask without a legal action (environment {instance}, step {step}): an episode ends where none is left"

              let environment = walk stuck
              let setup = setupOf 1 small environment
              let rolled = Training.run setup (TrainingState.start setup 4L) |> Seq.head |> Result.map ignore
              Expect.equal (messageOf rolled) (text 0 3) "training"
              let actor = TrainingState.actor setup (TrainingState.start setup 4L)
              Expect.equal (messageOf (Evaluation.run 1 environment actor 3 (Key.ofSeed 1L))) (text 0 3) "evaluation"
              Expect.equal (messageOf (Evaluation.random 1 environment 3 (Key.ofSeed 1L))) (text 0 3) "random play"
              Expect.equal (Check.run environment 1L |> List.map Finding.message) [ text 0 3 + "." ] "check"
              let vine = setupOf 1 { small with Branches = 2; BranchSteps = 9; Horizon = 2 } environment
              let grown = Training.run vine (TrainingState.start vine 4L) |> Seq.head |> Result.map ignore
              Expect.stringContains (messageOf grown) "Walk gave a mask without a legal action" "vine"
          }
          test "a mask of other numbers than 0 and 1 is a fault" {
              let half =
                  { new Wrapped<Place>(walk changing) with
                      override this.Observe(place, observation) =
                          (walk changing).Observe(place, observation)
                          observation[4] <- 0.5f }

              let setup = setupOf 1 small half
              let rolled = Training.run setup (TrainingState.start setup 4L) |> Seq.head |> Result.map ignore

              Expect.equal
                  (messageOf rolled)
                  "Walk gave an observation outside its space (environment 0, step 0)"
                  "half"
          }
          test "spaces that do not fit together are refused" {
              for observations, actions, why in
                  [ Masked(Discrete 2, [ 3 ]),
                    Discrete 4,
                    "its observations have a mask for MultiDiscrete(3), and its actions are Discrete(4)"
                    Masked(Discrete 2, [ 2; 2 ]), MultiBinary 2, "and its actions are MultiBinary(2)"
                    Discrete 2, Masked(Discrete 2, [ 2 ]), "its actions, Masked(Discrete(2); 2), cannot be observations" ] do
                  let environment = withSpaces "Odd" observations actions

                  Expect.stringContains
                      (messageOf (Setup.create 1 small environment |> Result.map ignore))
                      why
                      "training"

                  Expect.stringContains (messageOf (Evaluation.random 1 environment 1 (Key.ofSeed 1L))) why "evaluation"
          }
          test "sticky actions are refused" {
              expectRefused "sticky" (fun () -> StickyActions.wrap 0.25 (walk changing) |> ignore)
          }
          test "a player refuses observations without a legal action" {
              let policy = Policy.create [] 0.0 false (Masked(numbersOf 1, [ 2 ])) (Discrete 2)

              let player =
                  InferencePolicy
                      { Policy = policy
                        Parameters = policy.Network.Initialise(Key.ofSeed 1L)
                        Normaliser = Unnormalised }

              expectRefused "act" (fun () -> player.Act(Vector.ofArray [| 1f; 0f; 0f |]) |> ignore)
          } ]

let tests = testList "masks" [ rows; draws; playing; faults ]
