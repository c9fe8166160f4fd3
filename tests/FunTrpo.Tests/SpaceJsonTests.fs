module FunTrpo.Tests.SpaceJsonTests

open Expecto
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.JsonTests
open FunTrpo.Tests.PolicyFileCases

/// An object whose observation space is `space`.
let private printed space = written (fun writer -> SpaceJson.write writer "observationSpace" space)

let private ofText (text: string) = SpaceJson.read "observation" (parsed $"{{ \"observationSpace\": {text} }}")

let tests =
    testList
        "spaces as JSON"
        [ property "read ∘ write is the identity, to the last bit of every bound" spaces (fun space ->
              Expect.equal (SpaceJson.read "observation" (printed space)) space "space")
          test "an infinite bound is null, and the other side says which infinity it is" {
              let space = ofText """{ "kind": "Box", "low": [null, 0], "high": [1, null] }"""

              Expect.equal
                  space
                  (Space.between (Vector.ofArray [| -infinityf; 0f |]) (Vector.ofArray [| 1f; infinityf |]))
                  "space"

              let text = (printed space).GetRawText()
              Expect.stringContains text "\"low\":[null,0]" "low"
              Expect.stringContains text "\"high\":[1,null]" "high"
          }
          test "a box of several axes has a shape, and one of a single axis has none in the file" {
              let picture = Space.boxOfShape [ 2; 3; 1 ] 0.0 1.0
              Expect.equal (SpaceJson.read "observation" (printed picture)) picture "read"
              Expect.stringContains ((printed picture).GetRawText()) "\"shape\":[2,3,1]" "several axes"
              let flat = printed (Space.box 6 0.0 1.0)
              Expect.isFalse (fst (flat.TryGetProperty "shape")) "one axis"
          }
          for text, part in
              [ """{ "kind": "Sphere" }""", "is of the unknown kind Sphere"
                """{ "count": 3 }""", "it has no kind"
                """{ "kind": "Discrete" }""", "it has no count"
                """{ "kind": "Discrete", "count": 0 }""", "its observation space"
                """{ "kind": "MultiBinary", "count": -1 }""", "its observation space"
                """{ "kind": "MultiDiscrete", "counts": [] }""", "its observation space"
                """{ "kind": "MultiDiscrete", "counts": [2, null] }""", "its counts has an empty place"
                """{ "kind": "MultiDiscrete", "counts": [2, 16777217] }""", "its observation space"
                """{ "kind": "Box", "low": [0], "high": [1, 2] }""", "its observation space"
                """{ "kind": "Box", "low": [2], "high": [1] }""", "its observation space"
                """{ "kind": "Box", "low": [0] }""", "it has no high"
                """{ "kind": "Box", "low": [0, 0], "high": [1, 1], "shape": [3] }""",
                "its observation space has the shape 3, which is not one of 2 numbers"
                """{ "kind": "Box", "low": [0, 0], "high": [1, 1], "shape": [] }""", "its observation space"
                """{ "kind": "Box", "low": [0, 0], "high": [1, 1], "shape": [-1, -2] }""", "its observation space"
                """{ "kind": "Box", "low": [0], "high": [1], "shape": null }""", "it has no shape"
                "null", "it has no observationSpace" ] do
              test $"{text} is refused, and says why" {
                  Expect.stringContains (JsonTests.why (fun () -> ofText text)) part "why"
              } ]
