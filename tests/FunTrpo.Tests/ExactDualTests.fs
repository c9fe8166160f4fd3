module FunTrpo.Tests.ExactDualTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Exact
open FunTrpo.Tests.Generators
open FunTrpo.Tests.ExactCases

/// One state's problem.
type private Problem = { P: float[]; W: float[]; Key: Key }

let private dot = Array.fold2 (fun sum x y -> sum + x * y) 0.0

let private range (w: float[]) = Array.max w - Array.min w

/// Up to six actions of any probabilities (none, sure, tiny), and advantages of any size, with ties now and then.
let private problems =
    gen {
        let! actions = Gen.choose (1, 6)
        let! key = key
        let! exponent = Gen.choose (-8, 8)

        let! p =
            Gen.frequency
                [ 4, Gen.constant (simplex actions (Key.named "p" key))
                  4, Gen.constant (sparseSimplex actions (Key.named "p" key))
                  1, Gen.constant (corner actions 0)
                  1,
                  Gen.oneof [ Gen.choose (3, 40); Gen.choose (41, 323) ]
                  |> Gen.map (fun digits ->
                      let row = Key.named "p" key |> simplex actions
                      row[0] <- row[0] * 10.0 ** float -digits
                      let sum = Array.sum row
                      row |> Array.map (fun x -> x / sum)) ]

        let normals = Key.normals actions (Key.named "w" key)

        let! w =
            Gen.frequency
                [ 8, Gen.constant normals
                  2, Gen.constant (normals |> Array.map round)
                  1, Gen.constant (Array.create actions 1.0) ]

        return { P = p; W = w |> Array.map (fun x -> 10.0 ** float exponent * x); Key = key }
    }

let private largest w = Array.max (Array.map abs w)

/// What p leaves to the actions that are not the best.
let private others problem =
    Seq.sum (Seq.map2 (fun p w -> if w < Array.max problem.W then p else 0.0) problem.P problem.W)

/// Limits from a power of ten up to 50. To reach one, the other actions must have at least 10⁻³⁰⁰ left.
let private limits least problem =
    let most = if others problem > 0.0 then 300.0 * others problem else infinity
    Gen.choose (10 * least, 17) |> Gen.map (fun n -> min most (10.0 ** (float n / 10.0)))

let private limitedFrom least =
    gen {
        let! problem = problems
        let! limit = limits least problem
        return problem, limit
    }

/// Where rounding is far below the step.
let private limited = limitedFrom -14

/// By how much Σ π w can be more at most: 0 where no action is better than one that is sure.
let private room problem =
    let worst = Seq.min (Seq.map2 (fun p w -> if p > 0.0 then w else infinity) problem.P problem.W)
    Array.max problem.W - worst

/// Rows to compare with: corners, and anything.
let private candidates problem =
    let actions = problem.P.Length

    Array.append
        (Array.init actions (corner actions))
        (Array.init 20 (fun i ->
            let make = if i % 2 = 0 then simplex else sparseSimplex
            make actions (Key.at (int64 i) problem.Key)))

let private towards t (p: float[]) q = Array.map2 (fun x y -> (1.0 - t) * x + t * y) p q

/// The row that is as far from p towards q as a KL of at most the limit allows, by bisection.
let private asFarAs limit p q =
    let mutable low, high = 0.0, 1.0

    if Divergence.klOfRows p q <= limit then
        q
    else
        for _ in 1..80 do
            let middle = if low > 0.0 then 0.5 * (low + high) else high * 1e-3
            if Divergence.klOfRows p (towards middle p q) <= limit then low <- middle else high <- middle

        towards low p q

/// The effect of the rounding of probabilities on a KL, which is about half of the square of their relative change. It is a few 1e-16 √KL.
/// Where rounding puts the KL above its limit several times, the solver lowers its target further each time: about one solution in 100,000
/// is then 1e-14 √KL below the limit.
let private errorOf kl = 1e-9 * kl + 1e-13 * sqrt kl + 1e-30

let private isRow (row: float[]) =
    Expect.all row (fun x -> x >= 0.0) "no probability is negative"
    expectClose 1e-14 (Array.sum row) 1.0 "Σ π"

/// By how much λ p/π + w differs between actions with p > 0, and what others have more; with rounding taken off.
let private expectStationary problem (solution: KlDual.Solution) =
    let lambda, row = solution.Multiplier, solution.Row
    // Nothing is left with less than 10⁻³⁰⁰, or than it had.
    let isHeld a = row[a] <= 1e-300
    let support = [ 0 .. row.Length - 1 ] |> List.filter (fun a -> problem.P[a] > 0.0 && not (isHeld a))
    // The quotient comes first: where p is tiny, λ p is too small for all digits of a float.
    let paid a = lambda * (problem.P[a] / row[a])
    let nu a = problem.W[a] + paid a

    // ν − w = λ p/π has the relative error of π, and what is nearly certain knows ν best.
    let error a = 1e-14 * paid a
    let best = support |> List.minBy error
    let tolerance = 1e-10 * range problem.W

    for a in support do
        expectClose (tolerance + error a + error best) (nu a) (nu best) $"ν of action {a}"

    for a in 0 .. row.Length - 1 do
        if problem.P[a] = 0.0 then
            let more = problem.W[a] - nu best
            Expect.isTrue (more <= tolerance + error best) $"action {a} is worth {more} more than ν"

            if row[a] > 0.0 then
                expectClose (tolerance + error best) more 0.0 $"action {a} is taken, and worth ν"

let private limiting =
    testList
        "a limit on KL"
        [ propertyOf
              500
              "is kept, and reached where there is something to gain"
              (limitedFrom -34)
              (fun (problem, limit) ->
                  let solution = KlDual.withinLimit limit problem.P problem.W
                  isRow solution.Row
                  let kl = Divergence.klOfRows problem.P solution.Row
                  Expect.isTrue (kl <= limit) $"KL = {kl}"
                  Expect.equal solution.Kl kl "it says which KL"

                  if others problem = 0.0 then
                      Expect.equal solution.Row problem.P "nothing to gain: nothing changes"
                      Expect.equal (solution.Kl, solution.Multiplier) (0.0, 0.0) "and more KL is worth nothing"
                  else
                      expectClose (errorOf limit) kl limit "the limit is reached")

          propertyOf 500 "is met by a row that is stationary" limited (fun (problem, limit) ->
              let solution = KlDual.withinLimit limit problem.P problem.W

              if Double.IsFinite solution.Multiplier then
                  expectStationary problem solution
              else
                  // Where hardly any probability is left to be taken.
                  Expect.isTrue (limit < 1e-28) "float64 knows no other row so near")

          propertyOf 300 "leaves no better row, by brute force" (limitedFrom -24) (fun (problem, limit) ->
              let solution = KlDual.withinLimit limit problem.P problem.W
              let advantages = problem.W |> Array.map (fun w -> w - dot problem.P problem.W)
              let gain = dot solution.Row advantages
              // The gain follows the root of KL.
              let rounding = 1e-15 * largest problem.W + (1e-9 + errorOf limit / limit) * abs gain

              let near =
                  Array.init 20 (fun i ->
                      let noise = simplex problem.P.Length (Key.at (int64 (100 + i)) problem.Key)
                      towards (10.0 ** float (-1 - i % 6)) solution.Row noise)

              for candidate in Array.append (candidates problem) near do
                  let candidate = asFarAs limit problem.P candidate
                  Expect.isTrue (dot candidate advantages <= gain + rounding) "a better one")

          property "for two actions is the one row at that KL" (Gen.zip key (Gen.choose (-140, 8))) (fun (key, n) ->
              let p, limit = simplex 2 key, 10.0 ** (float n / 10.0)
              let row = (KlDual.withinLimit limit p [| 0.0; 1.0 |]).Row
              let expected = asFarAs limit p [| 0.0; 1.0 |]
              expectClose (1e-9 * (expected[1] - p[1]) + 1e-15) (row[1] - p[1]) (expected[1] - p[1]) "gain"
              expectClose (1e-8 * expected[0] + 1e-15) row[0] expected[0] "rest")

          // A difference quotient needs limits of which float64 knows a ten-thousandth.
          let measurable problem = others problem = 0.0 || others problem > 1e-290

          property
              "has its worth for a multiplier"
              (Gen.zip (Gen.where measurable problems) (Gen.choose (-30, 5)))
              (fun (problem, n) ->
                  let limit =
                      min (10.0 ** (float n / 10.0)) (if others problem > 0.0 then 300.0 * others problem else 1.0)

                  let value limit = dot (KlDual.withinLimit limit problem.P problem.W).Row problem.W
                  let h = 1e-4 * limit
                  let multiplier = (KlDual.withinLimit limit problem.P problem.W).Multiplier
                  let slope = (value (limit + h) - value (limit - h)) / (2.0 * h)
                  expectClose (1e-5 * multiplier + 1e-15 * largest problem.W / h) slope multiplier "slope")

          propertyOf
              300
              "is spent on the best action, however improbable it is, as where it has no probability at all"
              (Gen.zip (Gen.zip problems (Gen.choose (20, 323))) (Gen.choose (-60, 10)))
              (fun ((problem, digits), exponent) ->
                  let limit = 10.0 ** (float exponent / 10.0)
                  let w = Array.append [| Array.max problem.W + 0.1 * (1e-9 + range problem.W) |] problem.W
                  let rowWith tiny = (KlDual.withinLimit limit (Array.append [| tiny |] problem.P) w).Row
                  let rare, impossible = rowWith (10.0 ** float -digits), rowWith 0.0
                  // What it has already costs it no KL, but for its logarithm.
                  let tolerance = 1e-14 + 1e-12 * sqrt limit
                  expectSame tolerance rare impossible "π"
                  expectClose (1e-14 + 1e-9 * impossible[0]) rare[0] impossible[0] "the share of the best")

          property "of 0 changes nothing" problems (fun problem ->
              let solution = KlDual.withinLimit 0.0 problem.P problem.W
              Expect.equal (solution.Row, solution.Kl) (problem.P, 0.0) "π = p") ]

/// A problem, a price of KL, and the solution at this price.
let private priced =
    Gen.map2
        (fun problem n ->
            let price = 10.0 ** (float n / 10.0) * (1e-12 + room problem)
            problem, price, KlDual.atPrice price problem.P problem.W)
        problems
        (Gen.choose (-60, 60))

let private pricing =
    testList
        "a price on KL"
        [ propertyOf 500 "is paid by a row that is stationary" priced (fun (problem, price, solution) ->
              isRow solution.Row
              Expect.equal solution.Multiplier price "λ"
              expectStationary problem solution
              let kl = Divergence.klOfRows problem.P solution.Row
              expectClose (errorOf kl) solution.Kl kl "it says which KL")

          propertyOf 300 "leaves no better row, by brute force" priced (fun (problem, price, solution) ->
              let advantages = problem.W |> Array.map (fun w -> w - dot problem.P problem.W)
              let value row = dot row advantages - price * Divergence.klOfRows problem.P row
              let best = value solution.Row
              let rounding = 1e-15 * largest problem.W + 1e-9 * abs best + 1e-30 * price
              Expect.isTrue (best >= -rounding) "nothing is lost"

              for i in 0..12 do
                  for candidate in candidates problem do
                      let candidate = towards (10.0 ** (-0.5 * float i)) problem.P candidate
                      Expect.isTrue (value candidate <= best + rounding) "a better one"
                      let candidate = towards (10.0 ** (-0.5 * float i)) solution.Row candidate
                      Expect.isTrue (value candidate <= best + rounding) "a better one")

          propertyOf
              300
              "at the multiplier of a limit gives the row of the limit"
              (Gen.zip problems (Gen.choose (-100, 7)))
              (fun (problem, n) ->
                  let limit = min (10.0 ** (float n / 10.0)) (300.0 * others problem)
                  let limited = KlDual.withinLimit limit problem.P problem.W

                  if others problem = 0.0 then
                      Expect.equal limited.Row problem.P "nothing to gain"
                  elif Double.IsInfinity limited.Multiplier then
                      Expect.isTrue (limit < 1e-28) "float64 knows no other row so near"
                  else
                      let priced = KlDual.atPrice limited.Multiplier problem.P problem.W

                      for a in 0 .. problem.P.Length - 1 do
                          expectClose (1e-9 * sqrt limit + 1e-14) priced.Row[a] limited.Row[a] $"π({a})") ]

let private special =
    testList
        "special cases"
        [ testCase "what is no row of probabilities, no worth, no limit and no price is refused"
          <| fun () ->
              let p, w = [| 0.5; 0.5 |], [| 0.0; 1.0 |]

              let solvers = [ "limit", KlDual.withinLimit; "price", KlDual.atPrice ]

              for name, solve in solvers do
                  for row in [ [| 1.0; 1.0 |]; [| 1.5; -0.5 |]; [| nan; 1.0 |]; [| 0.0; 0.0 |]; [| 1.0 |]; [||] ] do
                      expectRefused $"{name}: the row {List.ofArray row}" (fun () -> solve 0.1 row w |> ignore)

                  for worth in [ [| nan; 1.0 |]; [| infinity; 1.0 |]; [| -1.7e308; 1.7e308 |] ] do
                      expectRefused $"{name}: what actions are worth" (fun () -> solve 0.1 p worth |> ignore)

                  for number in [ -1e-9; infinity; nan ] do
                      expectRefused $"{name} = {number}" (fun () -> solve number p w |> ignore)

              expectRefused "price = 0" (fun () -> KlDual.atPrice 0.0 p w |> ignore)

          testCase "a free action takes all that the limit allows"
          <| fun () ->
              // p is sure of an action: another one of probability q costs −log(1 − q).
              for limit in [ 1e-14; 1e-6; 0.1; 3.0 ] do
                  let solution = KlDual.withinLimit limit [| 1.0; 0.0; 0.0 |] [| 0.0; 1.0; 2.0 |]
                  let taken = -(exp (-limit) - 1.0)
                  let taken = if limit < 1e-5 then limit - limit * limit / 2.0 else taken
                  expectClose (1e-10 * taken) solution.Row[2] taken "the better one"
                  Expect.equal solution.Row[1] 0.0 "the other one"

          testCase "a free action that is worth no more is not taken"
          <| fun () ->
              for w in [ [| 1.0; 1.0 |]; [| 1.0; 0.0 |] ] do
                  let p = [| 1.0; 0.0 |]
                  Expect.equal (KlDual.withinLimit 1.0 p w).Row p "limit"
                  Expect.equal (KlDual.atPrice 0.1 p w).Row p "price"

          testCase "of equal best actions each grows in its share"
          <| fun () ->
              let p = [| 0.1; 0.3; 0.6 |]

              for solution in [ KlDual.withinLimit 0.1 p [| 5.0; 5.0; 4.0 |]; KlDual.atPrice 1.0 p [| 5.0; 5.0; 4.0 |] ] do
                  expectClose 1e-14 (solution.Row[1] / solution.Row[0]) 3.0 "share"
                  Expect.isTrue (solution.Row[0] > p[0]) "growth"

          testCase "a limit and a price in closed form"
          <| fun () ->
              // π(1) = q costs −½ log(4 q (1 − q)) from the uniform row.
              let q = 0.9
              let limit = -0.5 * log (4.0 * q * (1.0 - q))
              let solution = KlDual.withinLimit limit [| 0.5; 0.5 |] [| 0.0; 1.0 |]
              expectClose 1e-14 solution.Row[1] q "π"
              // λ/2q + 0 = ν − 1 and λ/2(1 − q) = ν
              expectClose 1e-13 solution.Multiplier (1.0 / (0.5 / (1.0 - q) - 0.5 / q)) "λ"

              expectClose
                  1e-13
                  (KlDual.atPrice solution.Multiplier [| 0.5; 0.5 |] [| 0.0; 1.0 |]).Row[1]
                  q
                  "π at price λ"

          property
              "neither sees the unit of w, nor what is added to it"
              (Gen.zip key (Gen.choose (-20, 20)))
              (fun (key, n) ->
                  let p, w = simplex 4 key, Key.normals 4 (Key.named "w" key) |> Array.map (fun x -> Math.Round(x, 3))
                  let unit = Math.ScaleB(1.0, n)
                  let other = w |> Array.map (fun x -> unit * (x + 4.0))
                  let limited, scaled = KlDual.withinLimit 0.01 p w, KlDual.withinLimit 0.01 p other
                  expectSame 1e-12 scaled.Row limited.Row "limit"
                  expectClose (1e-11 * unit * limited.Multiplier) scaled.Multiplier (unit * limited.Multiplier) "λ"
                  expectSame 1e-12 (KlDual.atPrice unit p other).Row (KlDual.atPrice 1.0 p w).Row "price") ]

let tests = testList "Exact duals" [ limiting; pricing; special ]
