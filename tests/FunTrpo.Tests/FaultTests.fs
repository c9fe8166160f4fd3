/// result { … } is the first error of its steps, and does nothing after it.
module FunTrpo.Tests.FaultTests

open Expecto
open FunTrpo

/// The steps of a computation that fails at those of the given numbers, and which of its steps it came to.
let private stepping (failing: Set<int>) compute =
    let seen = ResizeArray<int>()

    let step i =
        seen.Add i
        if failing.Contains i then Error i else Ok()

    let outcome = compute step
    outcome, List.ofSeq seen

let tests =
    testList
        "result { … }"
        [ testProperty "do! goes as far as the first error"
          <| fun (failing: Set<int>) ->
              stepping failing (fun step ->
                  result {
                      do! step 1
                      do! step 2
                      do! step 3
                      return "done"
                  })
                  =
                  (match [ 1; 2; 3 ] |> List.tryFind failing.Contains with
                   | Some i -> Error i, [ 1..i ]
                   | None -> Ok "done", [ 1; 2; 3 ])

          testProperty "for and if go as far as the first error"
          <| fun (failing: Set<int>) (count: byte) (between: bool) ->
              let items = [ 1 .. int count ]

              let expected =
                  if between && failing.Contains -1 then
                      Error -1, [ -1 ]
                  else
                      let before = if between then [ -1 ] else []

                      match List.tryFind failing.Contains items with
                      | Some i -> Error i, before @ [ 1..i ]
                      | None -> Ok(int count), before @ items

              stepping failing (fun step ->
                  result {
                      if between then
                          do! step -1

                      for item in items do
                          do! step item

                      return int count
                  })
                  =
                  expected ]
