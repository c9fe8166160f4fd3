/// The command before it comes to one of its subcommands.
module FunTrpo.Tests.CommandTests

open Expecto
open FunTrpo.Tests.TestFiles
open FunTrpo.Tests.CommandRuns

let tests =
    testList
        "the command itself"
        [ inNewFolder "tells with --help every command, and with train --help every option" (fun folder ->
              let root = funtrpo folder [ "--help" ]
              Expect.equal root.Code 0 "exit code"

              for command in [ "train"; "report"; "sweep"; "compare"; "evaluate"; "export"; "check"; "list"; "config" ] do
                  Expect.stringContains root.Output command "commands"

              let train = funtrpo folder [ "train"; "--help" ]
              Expect.equal train.Code 0 "exit code"

              for option in
                  [ "--env"; "--seed"; "--config"; "--steps"; "--stop-at"; "--out"; "--from"; "--threads"; "--set" ] do
                  Expect.stringContains train.Output option "options")

          refusals
              [ "no command", (fun _ -> []), [ "ommand" ]
                "an unknown command", (fun _ -> [ "learn" ]), [ "learn" ]
                "a mistyped command", (fun _ -> [ "trian" ]), [ "did you mean train?" ] ] ]
