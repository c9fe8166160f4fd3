/// The faults of `tests/planted.fsx` fit the sources, so that `build.fsx faults` can plant each of them.
module FunTrpo.Tests.PlantedTests

open Expecto

let tests =
    test "Planted faults have a text that is in their file, once" {
        let misfits =
            [ for fault in Planted.all do
                  match (DocumentationTests.read fault.File).Split(fault.Text).Length - 1 with
                  | 1 -> ()
                  | count -> $"{fault.File} has {count} times: {fault.Text}" ]

        Expect.equal misfits [] "faults to be adapted"
    }
