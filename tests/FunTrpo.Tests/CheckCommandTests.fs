module FunTrpo.Tests.CheckCommandTests

open Expecto
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.TestFiles
open FunTrpo.Tests.CommandRuns

let tests =
    testList
        "check"
        [ inNewFolder "tells what random play has found" (fun folder ->
              let quiet = funtrpo folder [ "check"; "--env"; "CartPole-v1" ]

              Expect.equal
                  (quiet.Code, quiet.Output.Trim(), quiet.Errors)
                  (0, "CartPole-v1: nothing was found", "")
                  "CartPole"

              let found = funtrpo folder [ "check"; "--env"; "MountainCar-v0"; "--seed"; "3" ]
              Expect.equal (found.Code, found.Errors) (0, "") "MountainCar: exit code and errors"
              let registered = Registry.tryFind "MountainCar-v0" |> Option.get

              for finding in Check.runFor registered.Preset MountainCar.environment 3L do
                  Expect.stringContains found.Output (Finding.message finding) "message"
                  Expect.stringContains found.Output (Finding.remedy finding) "remedy")

          refusals [ "no environment to check", (fun _ -> [ "check" ]), [ "--env" ] ] ]
