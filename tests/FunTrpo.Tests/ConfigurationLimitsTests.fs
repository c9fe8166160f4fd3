/// Settings that are in their ranges, but together too large for memory.
module FunTrpo.Tests.ConfigurationLimitsTests

open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.ConfigurationFieldsTests

let private standard = Configuration.standard

/// Batches of any size.
let private batches =
    let any most = Gen.oneof [ Gen.choose (1, 100); Gen.choose (1, most) ]

    /// As many numbers as there may be, or a row of each environment more or fewer.
    let edges =
        gen {
            let! environments = Gen.choose (0, 8)
            let! width = Gen.choose (0, 8)
            let! more = Gen.choose (-1, 1)
            return 1 <<< environments, (1 <<< (29 - environments - width)) + more, 1 <<< width
        }

    gen {
        let! environments, horizon, width =
            Gen.frequency
                [ 3, Gen.zip3 (any 65536) (any 10_000_000) (Gen.oneof [ Gen.choose (1, 10); Gen.choose (1, 1 <<< 24) ])
                  1, edges ]

        let! branches = Gen.oneof [ Gen.constant 0; any 1000 ]
        let! branchSteps = any 10_000_000

        return
            { standard with
                Environments = environments
                Horizon = horizon
                Branches = branches
                BranchSteps = branchSteps },
            width
    }

let tests =
    testList
        "Configuration limits"
        [ property
              "a batch that is too large is refused by the name of the setting that makes it so"
              batches
              (fun (configuration, width) ->
                  /// Whether rows of so many numbers fit, with half as many rows more in the last iteration.
                  let fits (each: int) =
                      bigint configuration.Environments * bigint each * bigint width <= bigint (1 <<< 29)

                  let expected =
                      if not (fits configuration.Horizon) then Some "horizon"
                      elif not (fits configuration.Branches) then Some "branches"
                      elif configuration.Branches > 0 && not (fits configuration.BranchSteps) then Some "branchSteps"
                      else None

                  match ConfigurationLimits.limitBatch (int64 width) configuration, expected with
                  | Ok kept, None -> Expect.equal kept configuration "as it is"
                  | Error(InvalidSetting(name, value, limit)), Some expected ->
                      Expect.equal name expected "the setting"
                      Expect.equal value ((fieldOf name).Get configuration) "its value"
                      Expect.stringContains limit $"rows of {width} numbers" "why"
                  | found, expected -> failtest $"%A{found}, and not %A{expected}")
          test "layers are named by the field that they come from" {
              let layers = [ HiddenLayer.Dense(3, Activation.Tanh) ]
              Expect.equal (ConfigurationLimits.policyField standard) "hidden" "units of the policy"

              Expect.equal
                  (ConfigurationLimits.policyField { standard with Architecture = layers })
                  "architecture"
                  "text of the policy"

              Expect.equal (ConfigurationLimits.criticField standard) "criticHidden" "units of the critic"

              Expect.equal
                  (ConfigurationLimits.criticField { standard with CriticArchitecture = layers })
                  "criticArchitecture"
                  "text of the critic"
          }
          test "refuses to hold out rows of a single environment, and of no more" {
              let held environments share =
                  Configuration.validate { standard with Environments = environments; HeldOut = share }

              held 1 0.2 |> expectRefused "heldOut" "0.2" "single environment"
              Expect.isOk (held 1 0.0) "none"
              Expect.isOk (held 2 0.2) "two environments"
          }
          for name, value, bad in
              [ "hidden", "65536,65536", { standard with Hidden = [ 65536; 65536 ] }
                "hidden", "9000,9000", { standard with Hidden = List.replicate 40 9000 }
                "criticHidden", "65536,65536", { standard with CriticHidden = [ 65536; 65536 ] }
                "horizon", "10000000", { standard with Environments = 65536; Horizon = 10_000_000 }
                "branches", "1000", { standard with Environments = 65536; Horizon = 1; Branches = 1000 }
                "branchSteps",
                "10000000",
                { standard with Environments = 65536; Horizon = 1; Branches = 2; BranchSteps = 10_000_000 } ] do
              test $"refuses what would not fit into memory, by its name: {name} = {value} …" {
                  // Counted in 32 bits, 65536² weights are none.
                  Configuration.validate bad |> expectRefused name value ""
                  Setup.create 1 bad CartPole.environment |> Result.map ignore |> expectRefused name value ""
              } ]
