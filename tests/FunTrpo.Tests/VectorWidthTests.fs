/// The numerics again on the narrower vectors of older processors, each in a process of its own.
module FunTrpo.Tests.VectorWidthTests

open System
open System.Diagnostics
open System.Runtime.Intrinsics
open Expecto
open FunTrpo.Kernels

/// How many numbers a vector holds, and whether the processor knows such vectors at all.
let private describe width isAccelerated = if isAccelerated then $"{width}" else $"{width}, by software"

let private expected = "FUNTRPO_TESTS_VECTORS"

let private ofThisProcess =
    testCase "vectors are those that the process was started for" (fun () ->
        let vectors = describe Lanes.Width Vector128.IsHardwareAccelerated

        match Environment.GetEnvironmentVariable expected with
        | null -> Expect.contains [ 4; 8; 16 ] Lanes.Width $"width of {vectors}"
        | asked -> Expect.equal vectors asked "vectors")

/// What holds for vectors of every width, and whatever else is run on each of them.
let numerics tests = testList "numerics" (ofThisProcess :: tests)

/// Runs the numerics with fewer random cases, with these features of the processor turned off.
let private pass vectors (settings: (string * string) list) () =
    let host = Environment.GetEnvironmentVariable "DOTNET_HOST_PATH"

    let start =
        ProcessStartInfo(
            (if String.IsNullOrEmpty host then "dotnet" else host),
            [ Reflection.Assembly.GetExecutingAssembly().Location
              "--filter-test-list"
              "numerics"
              "--colours"
              "0" ],
            RedirectStandardOutput = true,
            RedirectStandardError = true
        )

    for name, value in (expected, vectors) :: (Generators.casesVariable, "20") :: settings do
        start.Environment[name] <- value

    use running = Process.Start start
    let errors = running.StandardError.ReadToEndAsync()
    let output = running.StandardOutput.ReadToEnd()
    running.WaitForExit()
    Expect.equal running.ExitCode 0 $"%s{output}\n%s{errors.Result}\nexit code"

let tests =
    testList
        "narrower vectors"
        [ // Where the processor has the wider ones, they are what the other tests run on.
          if Lanes.Width > 8 then
              testCase "256 bits" (pass (describe 8 true) [ "DOTNET_EnableAVX512", "0" ])

          if Lanes.Width > 4 then
              testCase "128 bits" (pass (describe 4 true) [ "DOTNET_EnableAVX2", "0" ])

          if Vector128.IsHardwareAccelerated then
              testCase "software" (pass (describe 4 false) [ "DOTNET_EnableHWIntrinsic", "0" ]) ]
