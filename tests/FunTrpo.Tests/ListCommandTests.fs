module FunTrpo.Tests.ListCommandTests

open Expecto
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.TestFiles
open FunTrpo.Tests.CommandRuns

let tests =
    testList
        "list"
        [ inNewFolder "tells every environment, its spaces, and its preset" (fun folder ->
              let ended = funtrpo folder [ "list" ]
              Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"

              for registered in Registry.all do
                  Expect.stringContains ended.Output registered.Id "environments"

                  let spaces =
                      registered.Use
                          { new EnvironmentUse<_> with
                              member _.With environment = [ environment.ObservationSpace; environment.ActionSpace ] }

                  for space in spaces do
                      Expect.stringContains ended.Output (Space.describe space) "spaces"

                  for field in Configuration.fields do
                      let value = field.Get registered.Preset

                      if value <> field.Get Configuration.standard then
                          Expect.stringContains ended.Output $"{field.Name}={value}" "presets")

          refusals
              [ "a word after a command that has none", (fun _ -> [ "list"; "x" ]), [ "x"; "The commands are" ]
                "an option of a command that has none", (fun _ -> [ "list"; "--foo" ]), [ "--foo"; "The commands are" ] ] ]
