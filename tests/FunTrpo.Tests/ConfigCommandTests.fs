module FunTrpo.Tests.ConfigCommandTests

open Expecto
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.TestFiles
open FunTrpo.Tests.CommandRuns

let tests =
    testList
        "config"
        [ inNewFolder "tells every field, its meaning, its range and its value" (fun folder ->
              let standard = funtrpo folder [ "config" ]
              let preset = funtrpo folder [ "config"; "--env"; "Pendulum-v1" ]
              let registered = Registry.tryFind "Pendulum-v1" |> Option.get

              for ended, configuration in [ standard, Configuration.standard; preset, registered.Preset ] do
                  Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"

                  for field in Configuration.fields do
                      for part in [ $"{field.Name} = {field.Get configuration}"; field.Meaning; field.Allowed ] do
                          Expect.stringContains ended.Output part "output"

              Expect.notEqual standard.Output preset.Output "the preset differs") ]
