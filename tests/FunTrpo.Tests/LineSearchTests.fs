module FunTrpo.Tests.LineSearchTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators

/// Settings, parameters, the length and direction of a step, and which of the tries would be accepted.
let private search =
    gen {
        let! tries = Gen.choose (1, 12)
        let! percent = Gen.choose (5, 95)
        let! answers = Gen.listOfLength tries (Gen.frequency [ 3, Gen.constant false; 1, Gen.constant true ])
        let! count = Gen.choose (1, 20)
        let! parameters = vector 1.0 count
        let! direction = vector 1.0 count
        let! length = Gen.choose (-300, 300) |> Gen.map (fun exponent -> 10.0 ** (float exponent / 100.0))

        let settings = { Tries = tries; Ratio = float percent / 100.0 }

        return settings, answers, parameters, (length, direction)
    }

/// Runs the search, and tells its result and all that it tried. What compares is the number of the try.
let private backtrack settings (answers: bool list) parameters (length, direction) =
    let tried = Collections.Generic.List<Vector>()

    let evaluate candidate =
        tried.Add candidate
        tried.Count

    let isAcceptable number = answers[number - 1]
    let result = LineSearch.backtrack settings evaluate isAcceptable parameters length direction

    result, List.ofSeq tried

/// 1, ratio, ratio² …
let private fractions settings = List.init settings.Tries (fun k -> List.fold (*) 1.0 (List.replicate k settings.Ratio))

let private backtracking =
    testList
        "backtracking"
        [ property
              "it tries θ + ratioᵏ · length · direction for k = 0, 1, …"
              search
              (fun (settings, answers, parameters, (length, direction)) ->
                  let _, tried = backtrack settings answers parameters (length, direction)

                  let expected =
                      fractions settings
                      |> List.take tried.Length
                      |> List.map (fun fraction -> Vector.addScaled (fraction * length) direction parameters)

                  Expect.equal tried expected "tried")
          property
              "it stops at the first that is acceptable, and else after all tries"
              search
              (fun (settings, answers, parameters, step) ->
                  let result, tried = backtrack settings answers parameters step

                  match List.tryFindIndex id answers with
                  | Some first ->
                      Expect.equal tried.Length (first + 1) "tries"
                      let expected = Accepted(List.last tried, first + 1, (fractions settings)[first], first + 1)
                      Expect.equal result expected "accepted"
                  | None ->
                      Expect.equal tried.Length settings.Tries "tries"
                      Expect.equal result (Refused(settings.Tries, settings.Tries)) "refused") ]

let private withinTrustRegion =
    let delta = Gen.choose (-60, 20) |> Gen.map (fun exponent -> 10.0 ** (float exponent / 10.0))

    testList
        "within a trust region"
        [ property
              "it backtracks from the length at which the quadratic model is δ, or from the longest allowed one"
              (Gen.zip3 search delta (Gen.elements [ infinity; 1.0; 1e-3 ]))
              (fun ((settings, answers, parameters, (curvature, direction)), delta, longest) ->
                  let run find =
                      let mutable count = 0

                      let evaluate _ =
                          count <- count + 1
                          count

                      find evaluate (fun number -> answers[number - 1])

                  let length = min longest (sqrt (2.0 * delta / curvature))
                  let model = 0.5 * length * length * curvature
                  Expect.isLessThanOrEqual model (delta * (1.0 + 1e-12)) "the model"
                  Expect.isTrue (length = longest || model >= delta * (1.0 - 1e-12)) "as long as allowed"

                  let expected =
                      run (fun evaluate isAcceptable ->
                          LineSearch.backtrack settings evaluate isAcceptable parameters length direction)

                  let actual =
                      run (fun evaluate isAcceptable ->
                          LineSearch.withinTrustRegion
                              settings
                              evaluate
                              isAcceptable
                              parameters
                              { Delta = delta; Longest = longest; Curvature = curvature; Direction = direction })

                  Expect.equal actual expected "result")
          property
              "without a positive and finite curvature there is no length, and no point is tried"
              (Gen.zip search (Gen.elements [ 0.0; -0.0; -1.0; nan; infinity; -infinity ]))
              (fun ((settings, _, parameters, (_, direction)), curvature) ->
                  let result =
                      LineSearch.withinTrustRegion
                          settings
                          (fun _ -> failtest "a point")
                          (fun () -> true)
                          parameters
                          { Delta = 0.01; Longest = infinity; Curvature = curvature; Direction = direction }

                  Expect.equal result InvalidCurvature "result") ]

let tests = testList "line search" [ backtracking; withinTrustRegion ]
