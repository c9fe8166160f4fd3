/// The tests that take long. `build.fsx test` leaves them out, and `build.fsx test --all` runs them, too.
///
/// Each takes from three seconds to a minute, most because it starts programs again and again. What they check is checked in less time by other
/// tests, too, but with fewer machines, browsers, scripts or moments of an interruption.
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

let private isLong (path: string list) =
    let name = String.concat "." path
    beginnings |> List.exists (fun beginning -> name.StartsWith(beginning, StringComparison.Ordinal))

/// The test without those at a path that `isLeftOut`; nothing if none is left.
let rec private without isLeftOut path test =
    match test with
    | TestCase _ -> if isLeftOut (List.rev path) then None else Some test
    | TestList(tests, focus) ->
        match List.choose (without isLeftOut path) tests with
        | [] -> None
        | rest -> Some(TestList(rest, focus))
    | TestLabel(name, inner, focus) ->
        without isLeftOut (name :: path) inner |> Option.map (fun rest -> TestLabel(name, rest, focus))
    | Test.Sequenced(how, inner) -> without isLeftOut path inner |> Option.map (fun rest -> Test.Sequenced(how, rest))

/// The lists of tests without those that take long.
let leaveOut tests = List.choose (without isLong []) tests

/// How many tests these are.
let count tests = Test.toTestCodeList (testList "" tests) |> Seq.length

/// Each beginning is that of a test that exists.
let tests others =
    let names =
        Test.toTestCodeList (testList "" others)
        |> Seq.map (fun flat -> String.concat "." (List.tail flat.name))

    testList
        "Long tests"
        [ test "exist" {
              let missing =
                  beginnings
                  |> List.filter (fun beginning ->
                      not (names |> Seq.exists (fun name -> name.StartsWith(beginning, StringComparison.Ordinal))))

              Expect.isEmpty missing "no test has such a name"
          }
          test "are left out, and no others" {
              let left =
                  Test.toTestCodeList (testList "" (leaveOut others))
                  |> Seq.map (fun flat -> String.concat "." (List.tail flat.name))

              let expected = names |> Seq.filter (fun name -> not (isLong [ name ]))
              Expect.sequenceEqual left expected "names, in their order"
          } ]
