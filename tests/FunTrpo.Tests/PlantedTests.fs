/// The faults of `tests/planted.fsx` fit the sources, so that `build.fsx faults` can plant each of them.
module FunTrpo.Tests.PlantedTests

open Expecto

/// The names of all lists of tests.
let private listsOf all =
    Test.toTestCodeList all
    |> Seq.collect (fun flat -> List.take (flat.name.Length - 1) flat.name)
    |> Set

let private texts =
    test "have a text that is in their file, once" {
        let misfits =
            [ for fault in Planted.all do
                  match (DocumentationTests.read fault.File).Split(fault.Text).Length - 1 with
                  | 1 -> ()
                  | count -> $"{fault.File} has {count} times: {fault.Text}" ]

        Expect.equal misfits [] "faults to be adapted"
    }

/// The properties of the planted faults, given all other tests.
let tests others =
    testList
        "Planted faults"
        [ texts
          test "name lists of tests that exist" {
              let missing = Planted.all |> List.collect _.Lists |> List.distinct |> List.except (listsOf others)
              Expect.isEmpty missing "missing lists"
          } ]
