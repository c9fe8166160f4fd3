module FunTrpo.Tests.StateTests

open System.Collections.Immutable
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks

let private small = withFourUnits 3 10

let private setupOf configuration = setupOf 1 configuration CartPole.environment

let private withReturns returns =
    { State.start (setupOf small) 1L with RecentReturns = ImmutableArray.CreateRange<float> returns }

let private goals =
    testList
        "a goal"
        [ property
              "is reached if 100 episodes have a mean of at least it, and not with fewer episodes"
              (gen {
                  let! count = Gen.elements [ 0; 1; 99; 100 ]
                  let! returns = Gen.listOfLength count number
                  let! goal = number
                  return List.map float returns, float goal
              })
              (fun (returns, goal) ->
                  let expected = returns.Length = 100 && List.average returns >= goal
                  Expect.equal (State.hasReached goal (withReturns returns)) expected "reached") ]

let private fitting =
    let other =
        [ "instances", { small with Environments = 4 }
          "policy parameters", { small with Hidden = [ 5 ] }
          "critic parameters", { small with CriticHidden = [ 5 ] } ]

    testList
        "a state of another setup is refused:"
        [ for what, configuration in other ->
              test what {
                  let state = State.start (setupOf configuration) 1L

                  match Training.update (setupOf small) state with
                  | Error(Mismatch why) -> Expect.stringContains why what "why"
                  | other -> failtest $"{other} is not that fault"
              } ]

let tests = testList "state" [ goals; fitting ]
