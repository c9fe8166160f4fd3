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

/// A public method without parameters of a class called …Facts is a test: it fails by throwing, and does not run by `Assert.Skip`.
let private fact (method: MethodInfo) =
    testCaseTask (method.Name.Replace('_', ' ')) (fun () ->
        task {
            try
                match method.Invoke(Activator.CreateInstance method.DeclaringType, null) with
                | :? Task as running -> do! running
                | _ -> ()
            with :? TargetInvocationException as e ->
                match e.InnerException with
                | :? Xunit.Sdk.SkipException as skip -> skiptest (skip.Message.Replace("$XunitDynamicSkip$", ""))
                | error -> ExceptionDispatchInfo.Throw error
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
    property
        "options are the configuration, field by field"
        ConfigurationFieldsTests.configurations
        (fun configuration ->
            Expect.equal (TrainingOptions(configuration).ToCore()) configuration "there and back"
            Expect.equal (TrainingOptions(configuration).Validated()) configuration "and valid")

let private training =
    test "training through it is that of the pipeline, bit for bit" {
        let configuration = { Registry.all.Head.Preset with Horizon = 60 }

        let state =
            result {
                let! setup = Setup.create 2 configuration CartPole.environment
                let! state, _ = Training.runFor 2000L setup (TrainingState.start setup 5L) |> Seq.last
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
                let results = Training.runFor 2000L setup (TrainingState.start setup 5L) |> List.ofSeq
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

let private continuedOnACluster =
    test "a plan continues a state of another plan where its own environments are stepped" {
        let plan steps =
            Trpo.For("CartPole-v1").With(fun _ -> TrainingOptions(TotalSteps = steps, Environments = 10, Horizon = 100))

        let state = (plan 1000L).Train().State
        let asked = ref 0

        let workers =
            { new ShareWorkers with
                member _.Count = 1

                member _.Answers _ =
                    asked.Value <- asked.Value + 1
                    failwith "no silo" }

        let onCluster = (plan 3000L).SteppedBy workers

        Expect.throwsT<EnvironmentException> (fun () -> onCluster.Train state |> ignore) "the workers were not asked"
        let again = (plan 3000L).Train state
        Expect.equal again.Policy ((plan 3000L).Train().Policy) "in this process"
        Expect.equal asked.Value 1 "asked"
    }

let private quantities =
    test "its reports have every quantity of progress.csv under its name, in this order" {
        let plan = Trpo.For("CartPole-v1").With(fun _ -> TrainingOptions(TotalSteps = 3000L, Horizon = 100))
        let configuration = plan.Options.ToCore()

        let reports =
            result {
                let! setup = Setup.create 2 configuration CartPole.environment
                return! Training.runFor 3000L setup (TrainingState.start setup 0L) |> List.ofSeq |> Result.all
            }
            |> Result.defaultWith (Fault.message >> failtest)
            |> List.map snd

        let warned = { reports.Head with Warnings = [ LowEntropy(10, 1e-4); NotMoving(12, "why") ] }

        for report in warned :: reports do
            let told = ReportedQuantity.AllOf(IterationReport report)

            Expect.equal
                [ for quantity in told -> quantity.Name ]
                [ for field in Report.fields -> field.Name ]
                "the names"

            for quantity, field in Seq.zip told Report.fields do
                match field.Read report with
                | ReportValue.Whole number -> Expect.equal quantity.Number (Nullable(float number)) field.Name
                | ReportValue.Number number -> Expect.floatClose Accuracy.low quantity.Number.Value number field.Name
                | ReportValue.Text _ when field.Name = "warnings" ->
                    Expect.equal
                        quantity.Text
                        (report.Warnings |> List.map Warning.message |> String.concat "\n")
                        "the warnings as sentences"
                | ReportValue.Text text -> Expect.equal quantity.Text text field.Name
                | ReportValue.Missing ->
                    let number = Option.ofNullable quantity.Number
                    Expect.isTrue (Option.forall (Double.IsFinite >> not) number) field.Name
                    Expect.isNull quantity.Text field.Name
    }

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
    testList
        "Facade"
        [ testList "in C#" facts
          options
          training
          continuedOnACluster
          reports
          quantities
          documentation ]
