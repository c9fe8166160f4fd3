module FunTrpo.Tests.ExactValuesTests

open System
open Expecto
open FsCheck.FSharp
open MathNet.Numerics.LinearAlgebra
open FunTrpo
open FunTrpo.Exact
open FunTrpo.Tests.Generators
open FunTrpo.Tests.ExactCases

/// States in a row, each action of which leads somewhere further on; the last state ends. γ = 1.
let private downhill states actions key =
    FiniteMdp.create
        "downhill"
        1.0
        actions
        (simplex states (Key.named "start" key))
        (Array.init states (fun state -> state = states - 1))
        (fun state action ->
            let key = Key.at (int64 (state * actions + action)) key
            let p = sparseSimplex (states - 1 - state) (Key.named "p" key)
            let rewards = Key.normals p.Length (Key.named "r" key)
            [ for i in 0 .. p.Length - 1 -> { Next = state + 1 + i; Probability = p[i]; Reward = rewards[i] } ])
    |> expectOk

let private downhills =
    gen {
        let! states = Gen.choose (2, 9)
        let! actions = Gen.choose (1, 4)
        let! key = key
        let mdp = downhill states actions key
        let! policy = policies mdp
        return mdp, policy
    }

/// The largest residual of Bellman's equation, and of the equation of ρ.
let private residuals (mdp: FiniteMdp) (values: Values) =
    let policy = values.Policy

    let incoming =
        Array.init mdp.States (fun state -> if mdp.IsTerminal state then 0.0 else mdp.Start[state])

    let mutable worst = 0.0

    for state in going mdp do
        let mutable v = 0.0

        for action in 0 .. mdp.Actions - 1 do
            v <-
                v
                + policy[state, action]
                  * (mdp.Rewards[state, action] + mdp.Gamma * expectation mdp state action (fun next -> values.V[next]))

            for branch in mdp.Branches(state, action).ToArray() do
                if not (mdp.IsTerminal branch.Next) then
                    incoming[branch.Next] <-
                        incoming[branch.Next]
                        + mdp.Gamma * values.Visitation[state] * policy[state, action] * branch.Probability

        worst <- max worst (abs (v - values.V[state]))

    worst, Seq.max (Seq.map2 (fun x y -> abs (x - y)) incoming values.Visitation)

/// Systems that are solved by sweeps: sparse, of positive weights whose rows sum to less than 1.
let private systems =
    gen {
        let! count = Gen.choose (LinearSystem.alwaysEliminated + 1, LinearSystem.alwaysEliminated + 120)
        let! perRow = Gen.choose (1, 6)
        let! most = Gen.elements [ 0.5; 0.9; 0.99 ]
        let! key = key
        let columns = Key.uniforms (count * perRow) (Key.named "columns" key)
        let weights = Key.uniforms (count * perRow) (Key.named "weights" key)

        let entries =
            [| for i in 0 .. count * perRow - 1 ->
                   struct (i / perRow, int (columns[i] * float count), most * weights[i] / float perRow) |]

        return count, entries, Key.normals count (Key.named "b" key)
    }

let private valuing =
    testList
        "values"
        [ propertyOf
              200
              "V, Q, A and η are those of value iteration"
              (cases 0.99)
              (fun { Mdp = mdp; Values = values } ->
                  let v = iteratedV mdp values.Policy
                  let tolerance = 1e-13 * (1.0 + size mdp)
                  expectSame tolerance values.V v "V"
                  expectClose tolerance values.Eta (Seq.sum (Seq.map2 (*) mdp.Start v)) "η"

                  for state in 0 .. mdp.States - 1 do
                      for action in 0 .. mdp.Actions - 1 do
                          let q =
                              mdp.Rewards[state, action]
                              + mdp.Gamma * expectation mdp state action (fun next -> v[next])

                          let advantage = if mdp.IsTerminal state then 0.0 else q - v[state]
                          expectClose tolerance values.Q[state, action] q "Q"
                          expectClose tolerance values.Advantages[state, action] advantage "A")

          propertyOf
              200
              "ρ is where the start distribution goes, and η what it collects there"
              (cases 0.99)
              (fun { Mdp = mdp; Values = values } ->
                  expectSame (1e-13 / (1.0 - mdp.Gamma)) values.Visitation (propagated mdp values.Policy) "ρ"

                  let collected =
                      going mdp
                      |> List.sumBy (fun state ->
                          values.Visitation[state] * Table.rowDot values.Policy.Table mdp.Rewards state)

                  expectClose (1e-13 * (1.0 + size mdp)) collected values.Eta "Σ ρ r")

          property "a policy has no advantage over itself" (cases 0.99) (fun { Mdp = mdp; Values = values } ->
              for state in 0 .. mdp.States - 1 do
                  expectClose
                      (1e-13 * (1.0 + size mdp))
                      (Table.rowDot values.Policy.Table values.Advantages state)
                      0.0
                      $"Σ π A in state {state}"

              expectClose
                  (1e-13 * (1.0 + size mdp) / (1.0 - mdp.Gamma))
                  (Values.localApproximation values values.Policy)
                  values.Eta
                  "L(π)")

          propertyOf
              200
              "η of a policy follows from the advantages of any other"
              (pairs 0.99)
              (fun ({ Mdp = mdp; Values = values }, other) ->
                  let ofOther = Values.ofPolicy mdp other
                  let tolerance = 1e-13 * (1.0 + size mdp) / (1.0 - mdp.Gamma)
                  expectClose tolerance (Values.byIdentity values ofOther) ofOther.Eta "η(π̃)"
                  // and the other way round, with ρ of the propagated start
                  let rho = propagated mdp values.Policy

                  let gain =
                      going mdp |> List.sumBy (fun s -> rho[s] * Table.rowDot values.Policy.Table ofOther.Advantages s)

                  expectClose tolerance (ofOther.Eta + gain) values.Eta "η(π)")

          property "L has the slope of η in every direction" (pairs 0.9) (fun ({ Mdp = mdp; Values = values }, other) ->
              // η is a rational function of the step: its slope at 0 by Richardson's extrapolation of forward differences.
              let eta h = (Values.ofPolicy mdp (TabularPolicy.mix h values.Policy other)).Eta
              let difference h = (eta h - values.Eta) / h
              let h = 1e-3
              let d1, d2, d4 = difference h, difference (h / 2.0), difference (h / 4.0)
              let slope = (8.0 * d4 - 6.0 * d2 + d1) / 3.0
              let ofL h = Values.localApproximation values (TabularPolicy.mix h values.Policy other)
              let size = (1.0 + size mdp) / (1.0 - mdp.Gamma)
              expectClose (1e-6 * size) (ofL 1.0 - values.Eta) slope "slope"
              expectClose (1e-12 * size) (ofL 0.25 - values.Eta) (0.25 * (ofL 1.0 - values.Eta)) "L is linear")

          property "γ = 1: values of processes that end, from the last state back" downhills (fun (mdp, policy) ->
              let values = Values.ofPolicy mdp policy
              let v = Array.zeroCreate mdp.States
              let rho = Array.init mdp.States (fun state -> if mdp.IsTerminal state then 0.0 else mdp.Start[state])

              for state in mdp.States - 2 .. -1 .. 0 do
                  for action in 0 .. mdp.Actions - 1 do
                      for branch in mdp.Branches(state, action).ToArray() do
                          v[state] <-
                              v[state] + policy[state, action] * branch.Probability * (branch.Reward + v[branch.Next])

              for state in 0 .. mdp.States - 2 do
                  for action in 0 .. mdp.Actions - 1 do
                      for branch in mdp.Branches(state, action).ToArray() do
                          if not (mdp.IsTerminal branch.Next) then
                              rho[branch.Next] <-
                                  rho[branch.Next] + rho[state] * policy[state, action] * branch.Probability

              expectSame 1e-12 values.V v "V"
              expectSame 1e-12 values.Visitation rho "ρ")

          property
              "optimal values satisfy Bellman's equation, and no policy is worth more"
              (cases 0.99)
              (fun { Mdp = mdp; Values = values } ->
                  let optimal = Values.optimal mdp
                  let tolerance = 1e-11 * (1.0 + size mdp)

                  for state in going mdp do
                      expectClose tolerance (Seq.max (Table.rowArray optimal.Q state)) optimal.V[state] "max Q = V"
                      Expect.isTrue (optimal.V[state] >= values.V[state] - tolerance) "V* ≥ V")

          property
              "optimal policies do not see the unit of the reward"
              (Gen.zip (processes 0.99) (Gen.choose (-12, 12)))
              (fun (mdp, exponent) ->
                  let unit = 10.0 ** float exponent

                  let scaled = inUnit unit mdp
                  expectClose (1e-11 * size mdp) ((Values.optimal scaled).Eta / unit) (Values.optimal mdp).Eta "η*") ]

let private rounding =
    testList
        "rounding"
        [ propertyOf 300 "η is what it is to 512 places, but for the error that is said" (patient 0.0) (fun case ->
              let { Mdp = mdp; Values = values } = case
              let exact = exactEta mdp values.Policy
              let error = Fixed.ofFloat values.Eta - exact |> Fixed.toFloat |> abs
              Expect.isTrue (error <= values.EtaError + 1e-130) $"{error} ≤ {values.EtaError}"

              // Each state's own error, counted 1/(1−γ) times.
              let most = 1e-13 * (1.0 + size mdp) / (1.0 - mdp.Gamma)
              Expect.isTrue (values.EtaError <= most) $"{values.EtaError} ≤ {most}") ]

/// Dense systems, which sweeps solve as slowly as `most` is near to 1.
let private dense count most key =
    let weights = Key.uniforms (count * count) key

    [| for row in 0 .. count - 1 do
           let sum = Array.sum weights[row * count .. row * count + count - 1]

           for column in 0 .. count - 1 -> struct (row, column, most * weights[row * count + column] / sum) |]

let private large =
    testList
        "many states"
        [ testCase "sweeps that would take longer than elimination are given up for it"
          <| fun () ->
              let count = LinearSystem.alwaysEliminated + 50
              let b = Key.normals count (Key.ofSeed 1L)
              let ones = Array.create count 1.0

              for most, pays in [ 0.1, true; 0.5, true; 0.99, false; 0.999, false; 1.0 - 1e-6, false ] do
                  let entries = dense count most (Key.ofSeed 2L)
                  Expect.equal (LinearSystem.sweep b entries b).IsSome pays $"sweeps pay at {most}"
                  // x = 1 / (1 − most) for b = 1, since the rows sum to `most`.
                  let x = LinearSystem.solve entries ones
                  expectSame (1e-14 / (1.0 - most) ** 2.0) x (Array.create count (1.0 / (1.0 - most))) "x"

              // What is far from dense is swept for as long as it takes.
              let sparse =
                  [| for row in 0 .. count - 1 do
                         struct (row, (row + 1) % count, 0.9)
                         struct (row, (7 * row + 3) % count, 0.099) |]

              Expect.isTrue (LinearSystem.sweep b sparse b).IsSome "few entries are swept"

          propertyOf 20 "sweeps come to where elimination comes" systems (fun (count, entries, b) ->
              let matrix = Matrix<float>.Build.DenseIdentity count

              for struct (row, column, weight) in entries do
                  matrix[row, column] <- matrix[row, column] - weight

              let solve (matrix: Matrix<float>) = matrix.Solve(Vector<float>.Build.DenseOfArray b).ToArray()
              expectSame 1e-11 (LinearSystem.solve entries b) (solve matrix) "x"

              expectSame
                  1e-11
                  (LinearSystem.solve (LinearSystem.transpose entries) b)
                  (solve (matrix.Transpose()))
                  "x of the transpose")

          testCase "10 000 cells of ice"
          <| fun () ->
              let row i = String.init 100 (fun j -> if i % 7 = 3 && j % 5 = 2 then "H" else "F")

              let map =
                  List.init 100 (fun i ->
                      match i with
                      | 0 -> "S" + (row i).Substring 1
                      | 99 -> (row i).Substring 1 + "G"
                      | _ -> row i)

              let mdp = Builders.grid "ice" 0.99 (1.0 / 3.0) map

              let check (values: Values) what =
                  let ofV, ofRho = residuals mdp values
                  expectClose 1e-13 ofV 0.0 $"{what}: residual of V"
                  expectClose 1e-11 ofRho 0.0 $"{what}: residual of ρ"

                  let collected =
                      Seq.init mdp.States (fun state ->
                          values.Visitation[state] * Table.rowDot values.Policy.Table mdp.Rewards state)

                  expectClose 1e-13 (Seq.sum collected) values.Eta $"{what}: η"

              check (Values.ofPolicy mdp (TabularPolicy.uniform mdp)) "uniform"
              let optimal = Values.optimal mdp
              check optimal "optimal"
              expectClose 1e-11 (Seq.max (numbersOf optimal.Advantages)) 0.0 "nothing is better"

          testCase "10 000 states without any order"
          <| fun () ->
              let count = 10_000

              let mdp =
                  FiniteMdp.create "random" 0.95 2 (corner count 0) (Array.create count false) (fun state action ->
                      let key = Key.at (int64 (2 * state + action)) (Key.ofSeed 5L)
                      let p, next = simplex 3 (Key.named "p" key), Key.uniforms 3 (Key.named "next" key)

                      [ for i in 0..2 ->
                            { Next = int (next[i] * float count); Probability = p[i]; Reward = next[i] - 0.5 } ])
                  |> expectOk

              let values = Values.ofPolicy mdp (stochastic mdp (Key.ofSeed 6L))
              let ofV, ofRho = residuals mdp values
              expectClose 1e-13 ofV 0.0 "residual of V"
              expectClose 1e-12 ofRho 0.0 "residual of ρ"
              expectClose 1e-10 (Seq.sum values.Visitation) 20.0 "Σ ρ = 1/(1−γ)" ]

let tests = testList "Exact processes" [ valuing; rounding; large ]
