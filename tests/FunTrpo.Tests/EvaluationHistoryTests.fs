/// Evaluations while a policy trains: when they happen, which is the best, and that training does not notice them.
module FunTrpo.Tests.EvaluationHistoryTests

open System
open System.Collections.Immutable
open System.IO
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Cli
open FunTrpo.Tests.Generators
open FunTrpo.Tests.TestFiles
open FunTrpo.Tests.Tasks
open FunTrpo.Tests.CommandRuns

let private plan: EvaluationPlan = { Every = 100L; Episodes = 3; StopAt = None; Patience = None }

/// Scores of one episode.
let private scoresOf mean : Scores =
    { Mean = mean
      Std = 0.0
      Min = mean
      Max = mean
      Returns = ImmutableArray.Create(mean: float)
      Lengths = ImmutableArray.Create 1 }

let private evaluationOf i mean : TrainingEvaluation =
    { Iteration = i
      Steps = 100L * int64 i
      Deterministic = scoresOf mean
      Sampled = scoresOf (mean - 1.0) }

let private historyOf means =
    (EvaluationHistory.empty, List.indexed means)
    ||> List.fold (fun history (i, mean) -> EvaluationHistory.add (evaluationOf i mean) history)

let private histories =
    [ testProperty "is due after the iteration that completes a multiple of the steps"
      <| fun (NonNegativeInt before) (PositiveInt steps) (PositiveInt every) ->
          let after = before + steps
          let isCompleted = List.exists (fun step -> step % every = 0) [ before + 1 .. after ]
          Expect.equal (EvaluationHistory.isDue { plan with Every = int64 every } before after) isCompleted "due"

      testProperty "knows the first of the highest means, and how many evaluations came after it"
      <| fun (means: int list) ->
          let history = historyOf (List.map float means)

          match means with
          | [] -> Expect.equal history EvaluationHistory.empty "nothing"
          | _ ->
              let first = List.findIndex ((=) (List.max means)) means

              let best: EvaluationMeans =
                  { Iteration = first
                    Steps = 100L * int64 first
                    Deterministic = float means[first]
                    Sampled = float means[first] - 1.0 }

              Expect.equal history { Best = Some best; SinceBest = means.Length - 1 - first } "history"

      testProperty "ends training at the goal, and after so many evaluations without a better one"
      <| fun (NonEmptyArray(means: int[])) goal (PositiveInt patience) ->
          let history = historyOf (means |> Array.map float |> List.ofArray)
          let first = Array.findIndex ((=) (Array.max means)) means

          Expect.equal
              (EvaluationHistory.hasReached { plan with StopAt = Some(float goal) } history)
              (Array.exists (fun mean -> mean >= goal) means)
              "goal"

          Expect.equal
              (EvaluationHistory.isOutOfPatience { plan with Patience = Some patience } history)
              (means.Length - 1 - first >= patience)
              "patience"

          Expect.isFalse (EvaluationHistory.hasReached plan history) "no goal"
          Expect.isFalse (EvaluationHistory.isOutOfPatience plan history) "no patience"

      everywhere
          "plays the same episodes each time, with the most probable actions and with drawn ones"
          { new OnEnvironment with
              member _.Check environment =
                  let setup = setupOf 2 Tasks.small environment
                  let state = iterations 2 setup (TrainingState.start setup 5L) |> last
                  let actor = TrainingState.actor setup state
                  let key = Key.ofSeed 7L |> Key.named "evaluation"
                  let evaluation = EvaluationHistory.evaluate plan 7L setup state |> expectOk
                  let probable = Evaluation.run 1 environment actor 3 key |> expectOk
                  Expect.isTrue (same evaluation.Deterministic probable) "most probable"

                  Expect.isTrue
                      (same evaluation.Sampled (Evaluation.sample 1 environment actor 3 key |> expectOk))
                      "drawn"

                  Expect.equal (evaluation.Iteration, evaluation.Steps) (2, state.Steps) "place" }

      test "draws actions as often as the policy's probabilities say" {
          // One step, and the reward is the action: the mean return is the probability of action 1.
          let environment =
              { new Environment<int> with
                  member _.Id = "Coin"
                  member _.ObservationSpace = Space.box 1 -1.0 1.0
                  member _.ActionSpace = Space.Discrete 2
                  member _.Reset _ = 0

                  member _.Step(_, action, state) =
                      { State = state; Reward = float action[0]; Terminated = true; Truncated = false }

                  member _.Observe(_, observation) = observation[0] <- 1.0f }

          let setup = setupOf 1 Tasks.small environment
          let actor = TrainingState.actor setup (TrainingState.start setup 1L)
          let probability = (InferencePolicy actor).Distribution(ReadOnlySpan [| 1.0f |])

          let expected =
              match probability with
              | ActionDistribution.Choices probabilities -> probabilities[1]
              | _ -> failtest "choices"

          let count = 20_000
          let scores = Evaluation.sample 2 environment actor count (Key.ofSeed 3L) |> expectOk
          let deviation = sqrt (expected * (1.0 - expected) / float count)
          Expect.isLessThan (abs (scores.Mean - expected)) (5.0 * deviation) "frequency"
      } ]

// ---- The command ----

let private evaluating = Some { plan with Every = 150L }

let private train folder steps evaluation every =
    let options =
        { TrainTests.optionsFor folder steps with Evaluation = evaluation; CheckpointEvery = every }

    use output = new StringWriter()
    use errors = new StringWriter()
    let code = Train.run options None CartPole.environment output errors
    Expect.equal code 0 (string errors)
    string output

let private resume folder steps evaluation =
    let options =
        { TrainTests.optionsFor folder steps with Evaluation = evaluation; CheckpointEvery = Some 1 }

    use output = new StringWriter()
    use errors = new StringWriter()
    Expect.equal (Train.resume options CartPole.environment output errors) 0 (string errors)
    string output

let private summaryOf folder = json (Path.Combine(folder, "summary.json"))

let private bestOf folder = (let summary = summaryOf folder in string summary["best"])

let private runs =
    [ inNewFolder "trains the same parameters, and keeps the best policy and the scores of all" (fun folder ->
          let plain, evaluated = Path.Combine(folder, "plain"), Path.Combine(folder, "evaluated")
          train plain 1000L None None |> ignore
          let output = train evaluated 1000L evaluating None
          let sha folder = get<string> "parametersSha256" (summaryOf folder)
          Expect.equal (sha evaluated) (sha plain) "parameters"
          Expect.isFalse (File.Exists(Path.Combine(plain, "best.policy"))) "nothing without evaluations"

          let lines = File.ReadAllLines(Path.Combine(evaluated, "evaluations.csv"))
          let rows = lines[1..] |> Array.map _.Split(',')
          Expect.hasLength rows 6 "1000 steps of 40 complete 150, 300, …, 900"
          Expect.equal (rows |> Array.map (fun row -> row[1])) [| "160"; "320"; "480"; "600"; "760"; "920" |] "steps"

          let summary = summaryOf evaluated
          let best = summary["best"].AsObject()
          let saved = PolicyFile.load (Path.Combine(evaluated, "best.policy")) |> expectOk
          let key = Key.ofSeed 1L |> Key.named "evaluation"
          let scores = Evaluation.run 1 CartPole.environment saved.Actor 3 key |> expectOk
          Expect.equal (get<float> "mean" best) scores.Mean "the policy that was the best"
          Expect.equal scores.Mean (rows |> Array.map (fun row -> float row[3]) |> Array.max) "the highest mean"
          Expect.stringContains output "the best so far" "line"
          Expect.stringContains output "The best policy had a mean return of" "conclusion")

      inNewFolder "goes on where it was after an interruption" (fun folder ->
          let once, parts = Path.Combine(folder, "once"), Path.Combine(folder, "parts")
          let patient = Some { plan with Every = 150L; Patience = Some 1000 }
          train once 1200L patient (Some 1) |> ignore
          train parts 440L patient (Some 1) |> ignore
          // What a killed process has written after its last checkpoint.
          File.AppendAllText(Path.Combine(parts, "evaluations.csv"), "999,1,2,3,4,5,6,7,8,9,10\n")
          resume parts 1200L patient |> ignore
          let text folder name = File.ReadAllText(Path.Combine(folder, name))
          Expect.equal (text parts "evaluations.csv") (text once "evaluations.csv") "evaluations.csv"
          Expect.equal (text parts "best.policy") (text once "best.policy") "best.policy"
          Expect.equal (bestOf parts) (bestOf once) "best")

      inNewFolder "stops at a goal, and without a better evaluation; and a resumed run knows it" (fun folder ->
          let goal = Path.Combine(folder, "goal")
          let reached = Some { plan with Every = 150L; StopAt = Some 1.0 }
          let output = train goal 1000L reached (Some 1)
          Expect.equal (get<int64> "steps" (summaryOf goal)) 160L "after the first evaluation"
          Expect.stringContains output "its evaluation has reached its goal" "reason"
          Expect.stringContains (resume goal 1000L reached) "is finished" "resumed"

          let patience = Path.Combine(folder, "patience")
          let output = train patience 100_000L (Some { plan with Every = 150L; Patience = Some 2 }) None
          let rows = File.ReadAllLines(Path.Combine(patience, "evaluations.csv"))[1..]
          let means = rows |> Array.map (fun row -> float (row.Split(',')[3]))
          let first = Array.findIndex ((=) (Array.max means)) means
          Expect.equal means.Length (first + 3) "two more than the best"
          Expect.stringContains output "2 evaluations in a row were not better" "reason") ]

let private options =
    refusals
        [ "options about evaluations without evaluations",
          (fun _ -> [ "train"; "--patience"; "3" ]),
          [ "--evaluate-every" ]
          "an evaluation of no episodes",
          (fun _ -> [ "train"; "--evaluate-every"; "1k"; "--evaluate-episodes"; "0" ]),
          [ "--evaluate-episodes"; "0" ] ]

let tests =
    testList "evaluations during training" [ testList "a history" histories; testList "a run" runs; options ]
