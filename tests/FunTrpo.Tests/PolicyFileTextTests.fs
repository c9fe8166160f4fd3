/// Policy files whose bytes are no UTF-8.
module FunTrpo.Tests.PolicyFileTextTests

open System.IO
open System.Text
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks
open FunTrpo.Tests.TestFiles

let private example =
    let setup = setupOf 1 small FunTrpo.Environments.CartPole.environment
    { Environment = "Ünïcode-v0"; Actor = TrainingState.actor setup (TrainingState.start setup 1L) }

let tests =
    testList
        "Policy file as bytes"
        [ property
              "is no text if a byte of it is none in UTF-8, wherever that is"
              (Gen.zip (Gen.choose (0, 1_000_000)) (Gen.elements [ 0xC0uy; 0xF5uy; 0xFEuy; 0xFFuy ]))
              (fun (place, wrong) ->
                  let bytes = Encoding.UTF8.GetBytes(PolicyFile.print example)
                  bytes[place % bytes.Length] <- wrong

                  inFolder (fun folder ->
                      let path = Path.Combine(folder, "policy.json")
                      File.WriteAllBytes(path, bytes)

                      match PolicyFile.load path with
                      | Error(Damaged(_, why)) -> Expect.equal why "it is not text" "why"
                      | other -> failtest $"%A{Result.map ignore other}")) ]
