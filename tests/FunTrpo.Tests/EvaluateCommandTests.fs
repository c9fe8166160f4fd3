/// What `evaluate` refuses. Its scores are tested together with the training that they are of, in `TrainCommandTests`.
module FunTrpo.Tests.EvaluateCommandTests

open System
open System.IO
open Expecto
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.CommandRuns
open FunTrpo.Tests.TrainTests

let private refused =
    refusals
        [ "a folder for a policy", (fun folder -> [ "evaluate"; "--policy"; folder ]), [ "it is a folder" ]
          "a run's folder for its policy",
          (fun folder ->
              let ended = run (optionsFor folder 40L) CartPole.environment
              Expect.equal ended.Code 0 "exit code"
              [ "evaluate"; "--policy"; folder ]),
          [ "it is a folder; did you mean"; "policy.json?" ]
          "a policy of somebody's own environment",
          (fun folder ->
              let ended = run (optionsFor folder 40L) (failing Int32.MaxValue)
              Expect.equal ended.Code 0 "exit code"
              [ "evaluate"; "--policy"; Path.Combine(folder, "policy.json") ]),
          [ "was trained on Failing-v0"; "CartPole-v1"; "--env" ]
          "a damaged policy",
          (fun folder ->
              let space = Discrete 2

              let policy =
                  Policy.create (Architecture.uniform [] Activation.Tanh) 0.0 false (Space.box 4 -10.0 10.0) space

              let text =
                  PolicyFile.print
                      { Environment = "CartPole-v1"
                        Actor =
                          { Policy = policy
                            Parameters = policy.Network.Initialise(Key.ofSeed 1L)
                            Normaliser = Unnormalised } }

              [ "evaluate"
                "--policy"
                file folder "damaged.json" (text.Replace("\"scaledActions\": false", "\"scaledActions\": true")) ]),
          [ "damaged.json" ]
          "a policy that is not there",
          (fun folder -> [ "evaluate"; "--policy"; Path.Combine(folder, "missing.json") ]),
          [ "missing.json" ]
          "a policy without a name", (fun _ -> [ "evaluate"; "--policy"; "" ]), [ "cannot be used" ]
          "no policy", (fun _ -> [ "evaluate" ]), [ "--policy" ]
          "no episodes",
          (fun folder ->
              let ended = run (optionsFor folder 40L) CartPole.environment
              Expect.equal ended.Code 0 "exit code"
              [ "evaluate"; "--policy"; Path.Combine(folder, "policy.json"); "--episodes"; "0" ]),
          [ "--episodes"; "0"; "[1, " ] ]

let tests = testList "evaluate" [ refused ]
