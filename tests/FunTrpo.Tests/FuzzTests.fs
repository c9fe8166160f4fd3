/// Files from strangers: changed at random, also so that their checksums fit, they are refused or loaded, and nothing else happens.
module FunTrpo.Tests.FuzzTests

open System
open System.IO
open Expecto
open FunTrpo.Tests.HostileFiles
open FunTrpo.Tests.TestFiles

/// The number of changed files of each kind: 500 in the ordinary run, and more if the environment variable says so.
let private count =
    match Environment.GetEnvironmentVariable "FUNTRPO_TESTS_MUTANTS" with
    | null -> 500
    | number -> int number

let private harmless kind =
    inNewFolder kind.Name (fun folder ->
        let path = Path.Combine(folder, "file")
        let original = kind.Original.Value
        Expect.isTrue (expectHarmless kind "the original" path original) "the original loads"
        Expect.isTrue (expectHarmless kind "sealed" path (kind.Seal original)) "the original loads, sealed again"
        let random = Random 1
        let mutable loaded = 0

        for i in 1..count do
            if expectHarmless kind $"change {i}" path (changed random kind) then
                loaded <- loaded + 1

        // The changes are small enough that some files still load, and large enough that others do not.
        Expect.isGreaterThan loaded 0 "files that load")

/// Names that an object has twice: the parser of .NET accepts them, and throws where one is looked up.
let private twice =
    testList
        "a property twice"
        [ for kind in kinds do
              if kind.Original.Value.Length > 0 && kind.Original.Value[0] = byte '{' then
                  inNewFolder kind.Name (fun folder ->
                      let text = Text.Encoding.UTF8.GetString(kind.Original.Value).TrimEnd()
                      let name = text.Split('"')[1]
                      let bytes = Text.Encoding.UTF8.GetBytes($"{text.Substring(0, text.Length - 1)}, \"{name}\": 1}}")
                      let loads = expectHarmless kind "the file" (Path.Combine(folder, "file")) bytes
                      Expect.isFalse loads "it is refused") ]

let tests = testList "changed files" (twice :: (kinds |> List.map harmless))
