/// The facade for C#: what its callers expect, as tests in C#; and that it is thin, as properties here.
module FunTrpo.Tests.FacadeTests

open System
open System.Reflection
open System.Runtime.ExceptionServices
open System.Text.RegularExpressions
open System.Threading.Tasks
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.CSharp
open FunTrpo.Environments
open FunTrpo.Tests.Generators

// ---- The tests that are written in C# ----

/// A public method without parameters of a class called …Facts is a test: it fails by throwing.
let private fact (method: MethodInfo) =
    testCaseTask (method.Name.Replace('_', ' ')) (fun () ->
        task {
            try
                match method.Invoke(Activator.CreateInstance method.DeclaringType, null) with
                | :? Task as running -> do! running
                | _ -> ()
            with :? TargetInvocationException as e ->
                ExceptionDispatchInfo.Throw e.InnerException
        })

let private facts =
    [ for owner in typeof<FunTrpo.CSharp.Tests.SurfaceFacts>.Assembly.GetExportedTypes() do
          if owner.Name.EndsWith "Facts" then
              let methods =
                  owner.GetMethods(BindingFlags.Public ||| BindingFlags.Instance ||| BindingFlags.DeclaredOnly)

              // One after another: some count allocations or instances.
              testSequenced (testList owner.Name [ for method in methods -> fact method ]) ]

// ---- Thin ----

let private options =
    property "options are the configuration, field by field" ConfigurationTests.configurations (fun configuration ->
        Expect.equal (TrainingOptions(configuration).ToCore()) configuration "there and back"
        Expect.equal (TrainingOptions(configuration).Validated()) configuration "and valid")

let private training =
    test "training through it is that of the pipeline, bit for bit" {
        let configuration = { Registry.all.Head.Preset with Horizon = 60 }

        let state =
            result {
                let! setup = Setup.create 2 configuration CartPole.environment
                let! state, _ = Training.runFor 2000L setup (State.start setup 5L) |> Seq.last
                return state
            }

        let change (options: TrainingOptions) =
            TrainingOptions(configuration, Seed = 5L, TotalSteps = 2000L, Threads = options.Threads)

        let result = Trpo.For("CartPole-v1").With(change).Train()

        match state with
        | Ok state ->
            Expect.equal result.Policy.Saved.Actor.Parameters state.PolicyParameters "the parameters"
            Expect.equal result.State.Steps state.Steps "the steps"
        | Error fault -> failtest (Fault.message fault)
    }

let private reports =
    test "what it reports of iterations and episodes is what the pipeline says, number for number" {
        let configuration = { Registry.all.Head.Preset with Horizon = 60; DeltaHalfLife = 1000 }

        let ofPipeline =
            result {
                let! setup = Setup.create 2 configuration CartPole.environment
                let results = Training.runFor 2000L setup (State.start setup 5L) |> List.ofSeq
                return results |> List.map (Result.map snd >> Result.defaultWith (Fault.message >> failtest))
            }
            |> Result.defaultWith (Fault.message >> failtest)

        let change (_: TrainingOptions) = TrainingOptions(configuration, Seed = 5L, TotalSteps = 2000L)
        let plan = Trpo.For("CartPole-v1").With change
        let result = plan.Train()
        Expect.hasLength result.Reports ofPipeline.Length "iterations"

        for report, expected in Seq.zip result.Reports ofPipeline do
            let improvement, comparison = expected.Improvement, expected.Improvement.Comparison

            let fraction, tries =
                match improvement.Outcome with
                | Moved(fraction, tries) -> fraction, tries
                | LineSearchFailed tries -> 0.0, tries
                | _ -> 0.0, 0

            Expect.equal
                (report.Iteration, report.Steps, report.Episodes, Option.ofNullable report.MeanReturn)
                (expected.Iteration, expected.Steps, expected.Episodes, expected.MeanReturn)
                "counts"

            Expect.equal
                [ report.MeanKl; report.MaxKl; report.SurrogateGain; report.Entropy; report.GradientNorm ]
                [ comparison.MeanKl
                  comparison.MaxKl
                  comparison.Gain
                  comparison.Entropy
                  improvement.GradientNorm ]
                "the step"

            Expect.equal
                (report.ExplainedVariance, report.StepFraction, report.LineSearchTries)
                (expected.ExplainedVariance, fraction, tries)
                "the critic and the line search"

            let before = expected.Steps - int64 (configuration.Environments * configuration.Horizon)

            if report.Iteration < ofPipeline.Length then // the last one may be longer or shorter
                Expect.equal report.Delta (Configuration.deltaAt before configuration) "δ"

            let solution = improvement.Solution.Value
            Expect.equal report.CgIterations solution.Iterations "iterations of conjugate gradient"
            Expect.sequenceEqual report.CgResiduals solution.Residuals "residuals"
            Expect.sequenceEqual report.CgCurvatures solution.Curvatures "curvatures"

        for seed in [ 0L; 7L ] do
            let expected =
                Evaluation.run 2 CartPole.environment result.Policy.Saved.Actor 5 (Key.ofSeed seed)
                |> Result.defaultWith (Fault.message >> failtest)

            let scores = plan.Evaluate(result.Policy, 5, seed)
            Expect.sequenceEqual scores.Returns expected.Returns "returns"

            Expect.equal
                (scores.Mean, scores.StandardDeviation, scores.Min, scores.Max)
                (expected.Mean, expected.Std, expected.Min, expected.Max)
                "scores"
    }

// ---- A caller's simulator as a value ----

/// What a walk shows after its seed and actions: a plain function of them.
let private walked seed (actions: float32 list) =
    actions
    |> List.fold (fun x action -> float32 (sin (2.0 * float x)) + action) (float32 (seed % 1000) / 100f)

/// The same walk as a mutable simulator, which ends where an action is 9.
type private Walk() =
    let mutable x = 0f

    interface IEnvironment with
        member _.ObservationSpace = Space.Box(1, -100f, 100f)
        member _.ActionSpace = Space.Box(1, -9f, 9f)

        member _.Reset seed =
            x <- walked seed []
            [| x |]

        member _.Step action =
            x <- float32 (sin (2.0 * float x)) + action[0]
            StepResult([| x |], float x, (action[0] = 9f), false)

/// A tree of situations: each entry says from which of the earlier ones the next one comes (0: a new episode), and by which action.
let private trees = Gen.listOf (Gen.zip (Gen.choose (0, 100)) (Gen.elements [ -1f; 0.25f; 0.5f; 9f ]))

let private situations =
    property
        "a simulator that is gone on from in any order, any number of times, walks as a function would"
        trees
        (fun tree ->
            let environment = SimulatorAdapter("Walk", (fun () -> Walk()), Int32.MaxValue)

            let seen situation =
                let observation = [| nanf |]
                environment.Observe(situation, observation.AsSpan())
                observation[0]

            let reset i = environment.Reset(Key.at (int64 i) (Key.ofSeed 1L))
            let start = reset 0
            let known = ResizeArray [ start, start.Seed, [] ]

            for i, (from, action) in List.indexed tree do
                let situation, seed, actions = known[from % known.Count]
                let isOver = List.contains 9f actions

                if from = 0 || isOver then
                    let start = reset i
                    known.Add((start, start.Seed, []))
                else
                    let next = environment.Step(Key.ofSeed 0L, ReadOnlySpan [| action |], situation)
                    let actions = actions @ [ action ]
                    Expect.equal (seen next.State) (walked seed actions) "what is seen"
                    Expect.equal next.Reward (float (walked seed actions)) "the reward"
                    Expect.equal next.Terminated (action = 9f) "the end"
                    known.Add((next.State, seed, actions))

            for a, seedOfA, actionsOfA in known do
                for b, seedOfB, actionsOfB in known do
                    let same = seedOfA = seedOfB && actionsOfA = actionsOfB
                    Expect.equal (a = b) same "situations are equal when what led to them is")

/// Of an episode that goes on, only so many actions are kept: what went before can still be gone back to, what comes after cannot.
let private forgetting =
    testList
        "an episode that never ends"
        [ property
              "is gone back to as long as its actions are kept, and said not to be afterwards"
              (Gen.zip (Gen.choose (1, 30)) (Gen.choose (1, 60)))
              (fun (mostKept, steps) ->
                  let walks () = SimulatorAdapter("Walk", (fun () -> Walk()), Int32.MaxValue, true, mostKept)
                  let environment = walks ()
                  let action i = [| (if i % 3 = 0 then -1f else 0.25f) |]

                  /// The situations of an episode, one after another.
                  let walk (environment: SimulatorAdapter) =
                      [ 1..steps ]
                      |> List.scan
                          (fun situation i -> environment.Step(Key.ofSeed 0L, ReadOnlySpan(action i), situation).State)
                          (environment.Reset(Key.ofSeed 5L))

                  let known = walk environment
                  Expect.equal (walk (walks ())) known "the same episode again: situations are equal, kept or not"
                  Expect.hasLength (List.distinct known) (steps + 1) "and different from each other"

                  for i, situation in List.indexed known do
                      let again () = environment.Step(Key.ofSeed 0L, ReadOnlySpan(action (i + 1)), situation).State

                      if i <= mostKept then
                          let next = again ()

                          if i < steps then
                              Expect.equal next known[i + 1] "what follows, once more"
                      elif i < steps then // The last one has not been gone on from.
                          Expect.throwsC (again >> ignore) (fun error ->
                              Expect.stringContains error.Message "a second time" "what is not possible"
                              Expect.stringContains error.Message "time limit" "what to do"))
          testSequenced (
              test "takes no more memory, however long it is" {
                  let environment =
                      SimulatorAdapter(
                          "Endless",
                          (fun () ->
                              { new IEnvironment with
                                  member _.ObservationSpace = Space.Box(1, -1f, 1f)
                                  member _.ActionSpace = Space.Box(16, -1f, 1f)
                                  member _.Reset _ = [| 0f |]
                                  member _.Step _ = StepResult([| 0f |], 0.0, false, false) }),
                          Int32.MaxValue
                      )

                  let action = Array.create 16 0.5f
                  let mutable state = environment.Reset(Key.ofSeed 1L)

                  let growth steps =
                      let before = GC.GetTotalMemory true

                      for _ in 1..steps do
                          state <- environment.Step(Key.ofSeed 0L, ReadOnlySpan action, state).State

                      float (GC.GetTotalMemory true - before) / 1048576.0

                  // What is kept at most is 4 MB; all actions would be 12.
                  Expect.isLessThan (growth 200_000) 5.0 "MB"
                  GC.KeepAlive state
              }
          ) ]

// ---- Documented ----

let private documentation =
    test "each option's documentation gives its default and its range, as the configuration has them" {
        let file = IO.Path.ChangeExtension(typeof<TrainingOptions>.Assembly.Location, ".xml")

        let summaries =
            Map.ofSeq
                [ for element in (Xml.Linq.XDocument.Load file).Descendants(Xml.Linq.XName.Get "member") do
                      let name = element.Attribute(Xml.Linq.XName.Get "name").Value
                      let prefix = $"P:{typeof<TrainingOptions>.FullName}."

                      if name.StartsWith prefix then
                          name.Substring prefix.Length, Regex.Replace(element.Value.Trim(), @"\s+", " ") ]

        let named (name: string) = string (Char.ToUpperInvariant name[0]) + name.Substring 1
        let withoutDashes (text: string) = text.Replace("-", "")

        for field in Configuration.fields do
            let standard = field.Get Configuration.standard
            let property = typeof<TrainingOptions>.GetProperty(named field.Name)

            let expected =
                if property.PropertyType.IsEnum then
                    let name =
                        Enum.GetNames property.PropertyType
                        |> Array.find (fun name -> name.ToLowerInvariant() = withoutDashes standard)

                    $"Default {name}."
                elif property.PropertyType = typeof<bool> then
                    $"Default {standard}."
                elif property.PropertyType = typeof<Collections.Generic.IReadOnlyList<int>> then
                    let units = Regex.Match(field.Allowed, @"integers in \[\d+, \d+\]").Value
                    $"""Default [{standard.Replace(",", ", ")}]; {units}."""
                elif field.Name = "branches" then
                    $"Default {standard}, which tries none; {field.Allowed}."
                elif standard = "" then
                    $"Default empty; {field.Allowed}."
                else
                    $"Default {standard}; {field.Allowed}."

            Expect.stringContains summaries[property.Name] expected property.Name

        for property in typeof<TrainingOptions>.GetProperties() do
            if property.CanWrite then
                Expect.stringContains summaries[property.Name] "Default" property.Name
    }

let tests =
    testList "Facade" [ testList "in C#" facts; options; training; reports; situations; forgetting; documentation ]
