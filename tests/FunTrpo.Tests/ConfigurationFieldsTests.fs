/// The table of all settings: what each of them takes, prints and refuses.
module FunTrpo.Tests.ConfigurationFieldsTests

open System
open System.Globalization
open Expecto
open FsCheck.FSharp
open Microsoft.FSharp.Reflection
open FunTrpo
open FunTrpo.Tests.Generators

let private standard = Configuration.standard

/// Texts that no number is written with, or that are no number to train with.
let private noNumbers =
    [ ""
      " "
      "NaN"
      "nan"
      "Infinity"
      "-Infinity"
      "∞"
      "1e999"
      "abc"
      "1,5"
      "1.2.3"
      "0x10"
      "true"
      "--1" ]

let private noIntegers = "0.5" :: "1e3" :: "99999999999" :: "2147483648" :: noNumbers
let private noTruths = [ ""; "True"; "TRUE"; "yes"; "1"; "0"; "on"; "truee" ]

let private noLayers =
    [ String.Join(",", Seq.replicate 1001 "1")
      "0"
      "-1"
      "65537"
      "64,0"
      "64,,64"
      ",64"
      "64,"
      "a"
      "64;64"
      "1.5"
      "NaN"
      "[64]" ]

let private noChoice = [ ""; "none"; "0"; "Tanh"; "tanh "; "gradient,natural" ]

let private noArchitecture =
    [ " "
      "none"
      "64,64"
      "dense"
      "dense 64"
      "dense 64 Tanh"
      "dense tanh 64"
      "dense 0 tanh"
      "dense -1 tanh"
      "dense +1 tanh"
      "dense 1.5 tanh"
      "dense 65537 tanh"
      "dense 2147483648 tanh"
      "dense 99999999999999999999 tanh"
      "dense 64 tanh 3"
      "dense 64 tanh,"
      ",dense 64 tanh"
      "dense 64 tanh:dense 64 tanh"
      "conv 16 3x3 stride 1"
      "conv 65537 3x3 stride 1 relu"
      "conv 16 3x65537 stride 1 relu"
      "pool min 2x2 stride 2"
      "flatten 3"
      "Dense 64 tanh"
      "conv 64 tanh"
      String.Join(", ", Seq.replicate 1001 "dense 1 tanh") ]

let private activations = [ "tanh"; "relu"; "sigmoid"; "elu"; "softplus"; "swish"; "identity" ]

/// For each field: texts that it takes, in the form in which it prints them, and texts that it must refuse.
let private table =
    [ "environments", [ "1"; "8"; "65536" ], "0" :: "-1" :: "65537" :: noIntegers
      "horizon", [ "1"; "128"; "10000000" ], "0" :: "-5" :: "10000001" :: noIntegers
      "gamma", [ "0"; "0.5"; "0.99"; "1" ], "1.2" :: "-0.1" :: "1.0000000000000002" :: noNumbers
      "lambda", [ "0"; "0.95"; "1" ], "1.1" :: "-1E-300" :: noNumbers
      "branches", [ "0"; "2"; "3"; "1000" ], "1" :: "-1" :: "-2" :: "1001" :: noIntegers
      "branchSteps", [ "1"; "50"; "10000000" ], "0" :: "-1" :: "10000001" :: noIntegers
      "heldOut", [ "0"; "1E-06"; "0.2"; "0.99" ], "-0.1" :: "1" :: "1.5" :: noNumbers
      "architecture",
      [ ""
        "dense 64 tanh; dense 32 relu"
        "dense 3 swish"
        "dense 65536 identity; dense 1 tanh"
        "conv 16 3x3 stride 1 relu; pool max 2x2 stride 2; layernorm; flatten; dense 128 relu" ],
      noArchitecture
      "hidden", [ ""; "1"; "64,64"; "3,1,65536" ], noLayers
      "activation", activations, noChoice
      "distribution", [ "gaussian"; "state-dependent-gaussian"; "squashed-gaussian"; "beta" ], noChoice
      "initialLogSigma", [ "-20"; "-0.5"; "0"; "5" ], "-20.5" :: "5.1" :: noNumbers
      "rule", [ "single-step"; "ppo" ], noChoice
      "direction", [ "gradient"; "natural" ], noChoice
      "step", [ "fixed"; "trust-region" ], noChoice
      "delta", [ "1E-300"; "0.01"; "1E+300" ], "0" :: "-1" :: "-0" :: noNumbers
      "deltaHalfLife", [ "0"; "100000"; "2147483647" ], "-1" :: noIntegers
      "deltaShrinkage", [ "0"; "1"; "2"; "4" ], "-0.1" :: "4.1" :: noNumbers
      "previousSteps", [ "0"; "100000"; "2147483647" ], "-1" :: noIntegers
      "learningRate", [ "1E-05"; "0.5"; "1000" ], "0" :: "-0.1" :: noNumbers
      "clipRange", [ "1E-05"; "0.2"; "1000" ], "0" :: "-0.1" :: noNumbers
      "epochs", [ "1"; "10"; "10000" ], "0" :: "-1" :: "10001" :: noIntegers
      "minibatchSize", [ "1"; "64"; "10000000" ], "0" :: "-1" :: "10000001" :: noIntegers
      "ppoLearningRate", [ "1E-05"; "0.001"; "10" ], "0" :: "-0.1" :: noNumbers
      "targetKl", [ "0"; "0.01"; "1000" ], "-0.1" :: "1001" :: noNumbers
      "learningRateHalfLife", [ "0"; "100000"; "2147483647" ], "-1" :: noIntegers
      "entropyBonus", [ "0"; "0.01"; "1000" ], "-0.1" :: "1001" :: noNumbers
      "entropyHalfLife", [ "0"; "100000"; "2147483647" ], "-1" :: noIntegers
      "damping", [ "0"; "0.1"; "1000000" ], "-0.1" :: "1000001" :: noNumbers
      "dampedLength", [ "true"; "false" ], noTruths
      "fisherFraction", [ "1E-06"; "0.5"; "1" ], "0" :: "-0.5" :: "1.1" :: noNumbers
      "cgIterations", [ "1"; "10"; "10000" ], "0" :: "-1" :: "10001" :: noIntegers
      "cgTolerance", [ "0"; "1E-10"; "1" ], "-1E-10" :: "1.5" :: noNumbers
      "lineSearchTries", [ "1"; "10"; "1000" ], "0" :: "-1" :: "1001" :: noIntegers
      "lineSearchRatio", [ "0.001"; "0.5"; "0.999" ], "0" :: "1" :: "-0.5" :: "2" :: noNumbers
      "critic", [ "adam"; "gauss-newton" ], noChoice
      "criticArchitecture", [ ""; "dense 5 elu; dense 4 sigmoid"; "dense 64 softplus" ], noArchitecture
      "criticHidden", [ ""; "1"; "64,64"; "3,1,65536" ], noLayers
      "criticActivation", activations, noChoice
      "criticLearningRate", [ "1E-05"; "0.001"; "10" ], "0" :: "-0.1" :: noNumbers
      "criticEpochs", [ "1"; "10"; "10000" ], "0" :: "-1" :: "10001" :: noIntegers
      "criticBatchSize", [ "1"; "128"; "10000000" ], "0" :: "-1" :: "10000001" :: noIntegers
      "criticDelta", [ "1E-300"; "0.1"; "100" ], "0" :: "-1" :: noNumbers
      "criticSteps", [ "1"; "5"; "1000" ], "0" :: "-1" :: "1001" :: noIntegers
      "criticDamping", [ "0"; "0.001"; "1000000" ], "-0.1" :: "1000001" :: noNumbers
      "criticCgIterations", [ "1"; "10"; "10000" ], "0" :: "-1" :: "10001" :: noIntegers
      "longEpisode", [ "1"; "100000"; "2147483647" ], "0" :: "-1" :: noIntegers
      "normaliseObservations", [ "true"; "false" ], noTruths
      "normaliseReturns", [ "true"; "false" ], noTruths
      "normaliseAdvantages", [ "true"; "false" ], noTruths
      "scaleActions", [ "true"; "false" ], noTruths ]

let fieldOf name = Configuration.fields |> List.find (fun field -> field.Name = name)

/// A value of any sort is refused, in words that name the field, the value and what would be allowed.
let expectRefused name (value: string) allowed result =
    match result with
    | Ok _ -> failtest $"{name} = {value} was accepted"
    | Error fault ->
        let message = Fault.message fault

        for part in [ name; value; allowed ] do
            Expect.stringContains message part "the message"

/// Any configuration of a size that fits into memory and does not hold out its only environment: each field has one of the first values of
/// the table.
let configurations =
    table
    |> List.map (fun (name, good, _) -> Gen.elements (List.truncate 2 good) |> Gen.map (fun text -> name, text))
    |> Gen.sequenceToList
    |> Gen.map (fun assignments ->
        (standard, assignments)
        ||> List.fold (fun configuration (name, text) -> expectOk (Configuration.set name text configuration)))
    |> Gen.where (fun configuration -> configuration.HeldOut = 0.0 || configuration.Environments > 1)

let private fields =
    testList
        "fields"
        [ test "have names of their own, and this test knows them all" {
              let names = Configuration.fields |> List.map _.Name
              Expect.equal (List.distinct names) names "names"
              Expect.equal names (table |> List.map (fun (name, _, _) -> name)) "names"
          }

          test "have a meaning and a range each" {
              for field in Configuration.fields do
                  Expect.isNotWhitespace field.Meaning $"meaning of {field.Name}"
                  Expect.isNotWhitespace field.Allowed $"range of {field.Name}"
          }

          test "are those of the record: each sets the one of its name, and no other" {
              let properties =
                  FSharpType.GetRecordFields typeof<Configuration>
                  |> Array.map (fun property ->
                      string (Char.ToLowerInvariant property.Name[0]) + property.Name.Substring 1)

              Expect.equal (List.ofArray properties) (Configuration.fields |> List.map _.Name) "fields of the record"

              for name, good, _ in table do
                  let other = good |> List.find (fun text -> text <> (fieldOf name).Get standard)
                  let changed = Configuration.set name other standard |> expectOk

                  let differing =
                      Array.zip3 properties (FSharpValue.GetRecordFields standard) (FSharpValue.GetRecordFields changed)
                      |> Array.filter (fun (_, before, after) -> before <> after)
                      |> Array.map (fun (property, _, _) -> property)

                  Expect.equal differing [| name |] $"what setting {name} changes"
          }

          for name, good, bad in table do
              let field = fieldOf name

              testList
                  name
                  [ testPropertyWithConfig (few 20) "get ∘ set is the identity, whatever the other fields are"
                    <| Prop.forAll (Gen.zip configurations (Gen.elements good) |> Arb.fromGen) (fun (c, text) ->
                        match field.Set text c with
                        | Ok changed ->
                            field.Get changed = text
                            && field.Set (field.Get c) changed = Ok c
                            && Configuration.set name text c = Ok changed
                        | Error _ -> false)

                    test "what is out of range or ill-typed is refused, naming the field, the value and the range" {
                        for text in bad do
                            field.Set text standard |> expectRefused name text field.Allowed
                            Configuration.set name text standard |> expectRefused name text field.Allowed
                    } ] ]

/// A number field, its bounds, and how the record holds it.
let private numbers =
    [ "gamma", 0.0, 1.0, _.Gamma
      "lambda", 0.0, 1.0, _.Lambda
      "initialLogSigma", -20.0, 5.0, _.InitialLogSigma
      "delta", 1e-300, 1e300, _.Delta
      "damping", 0.0, 1e6, _.Damping
      "cgTolerance", 0.0, 1.0, _.CgTolerance
      "criticLearningRate", 1e-300, 1e300, _.CriticLearningRate ]

let private texts =
    testList
        "as text"
        [ for name, low, high, get in numbers do
              testProperty $"{name} keeps every bit of every number in its range"
              <| Prop.forAll (Arb.fromGen seeds) (fun seed ->
                  let x = Key.uniformIn low high (Key.ofSeed seed)
                  let text = x.ToString("R", CultureInfo.InvariantCulture)
                  let c = Configuration.set name text standard |> expectOk
                  (get: Configuration -> float) c = x && (fieldOf name).Get c = text)

          testProperty "hidden keeps every list of layers"
          <| Prop.forAll (Gen.listOf (Gen.choose (1, 65536)) |> Arb.fromGen) (fun units ->
              let text = units |> List.map string |> String.concat ","
              Configuration.set "hidden" text standard = Ok { standard with Hidden = units })

          testProperty "does not depend on the culture"
          <| Prop.forAll (Arb.fromGen configurations) (fun c ->
              let before = CultureInfo.CurrentCulture
              let german = CultureInfo.InvariantCulture.Clone() :?> CultureInfo
              german.NumberFormat.NumberDecimalSeparator <- ","
              german.NumberFormat.NegativeSign <- "−"
              let texts () = Configuration.fields |> List.map (fun field -> field.Get c)
              let invariant = texts ()

              try
                  CultureInfo.CurrentCulture <- german
                  texts () = invariant && Configuration.validate c = Ok c
              finally
                  CultureInfo.CurrentCulture <- before) ]

let tests = testList "Configuration fields" [ fields; texts ]
