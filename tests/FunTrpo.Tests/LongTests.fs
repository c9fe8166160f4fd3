/// The tests that take long. `build.fsx test` leaves them out, and `build.fsx test --all` runs them, too.
///
/// Each takes from three seconds to a minute, most because it starts programs again and again. Other tests check most of the same in less time,
/// with fewer machines, browsers, scripts and moments of an interruption.
module FunTrpo.Tests.LongTests

open System
open Expecto

/// How the names of these tests begin, without that of the whole.
let private beginnings =
    [ "narrower vectors"
      "long runs"
      "Documentation.lessons.scripts/architecture-benchmark.fsx"
      "Documentation.lessons.scripts/bridge.fsx"
      "Documentation.lessons.scripts/cliff.fsx"
      "Documentation.lessons.scripts/ddpg-benchmark.fsx"
      "Documentation.lessons.scripts/exact-algorithms.fsx"
      "Documentation.lessons.scripts/learning-benchmark.fsx"
      "Documentation.lessons.scripts/masks.fsx"
      "Documentation.lessons.scripts/maximum-kl.fsx"
      "Documentation.lessons.scripts/mujoco-benchmark.fsx"
      "Documentation.lessons.scripts/ppo-benchmark.fsx"
      "Documentation.lessons.scripts/price.fsx"
      "Documentation.lessons.scripts/scaling.fsx"
      "Documentation.lessons.scripts/step-size.fsx"
      "Documentation.lessons.scripts/sweep.fsx"
      "Documentation.lessons.scripts/vine.fsx"
      "Packages.scripts"
      "Packages.FunTrpo.Onnx"
      "Packages.FunTrpo.Plots.CSharp"
      "Packages.examples/run-policy.cs"
      "Packages.the commands and the nuget.config"
      "Packages.the crane"
      "Packages.the tool is installed"
      "Packages.a C# program sees the facade"
      "Command.file faults"
      "Command.ddpg.pages"
      "Command.resume.a run.of PPO"
      "Command.resume.a run.that is killed"
      "Command.train.repeats"
      "funtrpo sweep.a sweep.that"
      "funtrpo sweep.a sweep.goes on"
      "Watch command.shows a run while it trains: phone"
      "Watch command.lists the runs, and follows them: desktop-dark"
      "Watch command.lists the runs, and follows them: phone"
      "Report in a browser.shows its charts and plays the policy: desktop-dark"
      "Report in a browser.shows its charts and plays the policy: phone"
      "Compare page in a browser.shows its charts and tables: desktop-dark"
      "Compare page in a browser.shows its charts and tables: phone"
      "Compare page.funtrpo compare.finds runs"
      "Cluster.three silos"
      "Cluster.silos that a Redis lists"
      "EnvironmentFiles.trains"
      "Remote.is a fault with instance and step.a process"
      "Web example"
      "Run files.a killed run"
      "In flight"
      "Async simulators" ]

let private beginsAs (name: string) (beginning: string) = name.StartsWith(beginning, StringComparison.Ordinal)

/// Whether a test with this name takes long. The names of a test and of its lists are joined by dots.
let private isLong name = List.exists (beginsAs name) beginnings

/// The test without those that take long; `path` has the names of the lists around it, the innermost first. Nothing if none is left.
let rec private without path test =
    match test with
    | TestCase _ -> if isLong (String.concat "." (List.rev path)) then None else Some test
    | TestList(tests, focus) ->
        match List.choose (without path) tests with
        | [] -> None
        | rest -> Some(TestList(rest, focus))
    | TestLabel(name, inner, focus) ->
        without (name :: path) inner |> Option.map (fun rest -> TestLabel(name, rest, focus))
    | Test.Sequenced(how, inner) -> without path inner |> Option.map (fun rest -> Test.Sequenced(how, rest))

/// The lists of tests without those that take long.
let leaveOut tests = List.choose (without []) tests

let private namesOf tests =
    [ for flat in Test.toTestCodeList (TestList(tests, FocusState.Normal)) -> String.concat "." flat.name ]

/// How many tests these are.
let count tests = List.length (namesOf tests)

/// The properties of the list above, given all other tests.
let tests others =
    testList
        "Long tests"
        [ test "exist" {
              let names = namesOf others

              let missing =
                  beginnings
                  |> List.filter (fun beginning -> not (List.exists (fun name -> beginsAs name beginning) names))

              Expect.isEmpty missing "no test has such a name"
          }
          test "are left out, and no others" {
              Expect.equal
                  (namesOf (leaveOut others))
                  (List.filter (isLong >> not) (namesOf others))
                  "names, in their order"
          } ]
