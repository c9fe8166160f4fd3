/// Random finite processes and policies, and what they are worth by other means than those of the library.
module FunTrpo.Tests.ExactCases

open System
open System.Numerics
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Exact
open FunTrpo.Tests.Generators

/// Numbers of 512 binary places, to check float64 by.
module Fixed =

    let places = 512
    let one = BigInteger.One <<< places

    /// Exact from 2⁻¹⁴⁷ on.
    let ofFloat (x: float) = BigInteger(Math.ScaleB(x, 200)) <<< (places - 200)

    let toFloat (x: BigInteger) = Math.ScaleB(float x, -places)

    let times (x: BigInteger) (y: BigInteger) = (x * y) >>> places
    let over (x: BigInteger) (y: BigInteger) = (x <<< places) / y

    /// log(x / y) = 2 artanh z = 2 (z + z³/3 + …), z = (x − y) / (x + y)
    let logOfRatio x y =
        let z = over (x - y) (x + y)
        let square = times z z
        let mutable power = z
        let mutable sum = BigInteger.Zero
        let mutable n = 1

        while not power.IsZero && power <> BigInteger.MinusOne do
            sum <- sum + power / BigInteger n
            power <- times power square
            n <- n + 2

        sum + sum

    let normalised row =
        let row = Array.map ofFloat row
        let sum = Array.reduce (+) row
        row |> Array.map (fun x -> over x sum)

    /// Σ p log(p / q), of rows that sum to 1 to the last place.
    let kl p q =
        Array.map2
            (fun p q -> if p = BigInteger.Zero then p else times p (logOfRatio p q))
            (normalised p)
            (normalised q)
        |> Array.reduce (+)
        |> toFloat

    /// Σ x y
    let dot x y = Array.map2 times x y |> Array.fold (+) BigInteger.Zero

    /// A⁻¹b by elimination, where A is given by its rows.
    let solve (matrix: BigInteger[][]) (b: BigInteger[]) =
        let rows = Array.map2 (fun row bi -> Array.append row [| bi |]) matrix b

        for k in 0 .. b.Length - 1 do
            let pivot = [ k .. b.Length - 1 ] |> List.maxBy (fun i -> BigInteger.Abs(rows[i][k]))
            let row = rows[pivot]
            rows[pivot] <- rows[k]
            rows[k] <- row |> Array.map (fun x -> over x row[k])

            for i in 0 .. b.Length - 1 do
                if i <> k then
                    let factor = rows[i][k]
                    rows[i] <- Array.map2 (fun x y -> x - times factor y) rows[i] rows[k]

        rows |> Array.map Array.last

/// Positive numbers that sum to 1: intervals between uniform points, no smaller than a thousandth of their mean.
let simplex count key =
    let numbers = Key.uniforms count key |> Array.map (fun u -> -log(1.0 - u) + 1e-3)
    let sum = Array.sum numbers
    numbers |> Array.map (fun x -> x / sum)

/// Numbers that sum to 1, of which about a third are 0.
let sparseSimplex count key =
    let isKept = Key.uniforms count (Key.named "kept" key) |> Array.map (fun u -> u < 0.65)
    isKept[int (Key.uniform (Key.named "sure" key) * float count)] <- true
    let numbers = Array.map2 (fun kept x -> if kept then x else 0.0) isKept (simplex count key)
    let sum = Array.sum numbers
    numbers |> Array.map (fun x -> x / sum)

/// A unit vector.
let corner count chosen = Array.init count (fun i -> if i = chosen then 1.0 else 0.0)

/// A process that a Garnet is too regular for: rewards of both signs that depend on what follows, terminal states, branches of
/// probability 0, several branches to one state, any start.
let irregular gamma states actions key =
    let uniform name count = Key.uniforms count (Key.named name key)
    let isTerminal = uniform "terminal" states |> Array.map (fun u -> u < 0.2)
    isTerminal[int (uniform "going" 1 |> Array.head |> (*) (float states))] <- false

    FiniteMdp.create
        "irregular"
        gamma
        actions
        (sparseSimplex states (Key.named "start" key))
        isTerminal
        (fun state action ->
            let key = Key.at (int64 (state * actions + action)) key
            let count = 1 + int (4.0 * Key.uniform (Key.named "branches" key))
            let probabilities = sparseSimplex count (Key.named "probabilities" key)
            let next = Key.uniforms count (Key.named "next" key)
            let rewards = Key.uniforms count (Key.named "rewards" key)

            [ for i in 0 .. count - 1 ->
                  { Next = int (next[i] * float states)
                    Probability = probabilities[i]
                    Reward = 4.0 * rewards[i] - 2.0 } ])
    |> expectOk

let private discounts most =
    Gen.frequency
        [ 1, Gen.constant 0.0
          4, Gen.elements [ min 0.5 most; min 0.9 most; most ]
          5, Gen.choose (1, 999) |> Gen.map (fun n -> most * float n / 1000.0) ]

/// The same process with all rewards multiplied by `unit`.
let inUnit unit (mdp: FiniteMdp) =
    FiniteMdp.create
        "scaled"
        mdp.Gamma
        mdp.Actions
        (Array.ofSeq mdp.Start)
        (Array.init mdp.States mdp.IsTerminal)
        (fun state action ->
            [ for branch in mdp.Branches(state, action).ToArray() -> { branch with Reward = unit * branch.Reward } ])
    |> expectOk

/// Small processes of every kind with a γ of at most so much.
let processes most =
    gen {
        let! gamma = discounts most
        let! states = Gen.choose (1, 8)
        let! actions = Gen.choose (1, 4)
        let! branching = Gen.choose (1, states)
        let! key = key

        return!
            Gen.frequency
                [ 4, Gen.constant (Builders.garnet gamma states actions branching key)
                  4, Gen.constant (irregular gamma states actions key)
                  1, Gen.constant (Builders.chain4 gamma)
                  1, Gen.constant (Builders.frozenLake4 gamma true)
                  1, Gen.constant (Builders.grid "walled" gamma 0.1 [ "S.#G"; ".#.."; "...H" ]) ]
    }

/// The policy with these rows.
let policyOf (mdp: FiniteMdp) (row: int -> float[]) =
    Table.initRows mdp.States mdp.Actions row |> TabularPolicy.create mdp |> expectOk

let private drawn (mdp: FiniteMdp) (row: Key -> float[]) key =
    policyOf mdp (fun state -> row (Key.at (int64 state) key))

let stochastic (mdp: FiniteMdp) key = drawn mdp (simplex mdp.Actions) key

/// The policy with some probabilities at 0.
let withZeros (mdp: FiniteMdp) key = drawn mdp (sparseSimplex mdp.Actions) key

let deterministic (mdp: FiniteMdp) key =
    drawn mdp (fun key -> corner mdp.Actions (int (Key.uniform key * float mdp.Actions))) key

/// Softmax of logits of this size.
let softmax scale (mdp: FiniteMdp) key =
    Table.initRows mdp.States mdp.Actions (fun state -> Key.normals mdp.Actions (Key.at (int64 state) key))
    |> Table.map (fun x -> scale * x)
    |> TabularPolicy.ofLogits

/// Policies of every kind.
let policies mdp =
    Gen.map2
        (fun make key -> make mdp key)
        (Gen.elements
            [ (fun mdp _ -> TabularPolicy.uniform mdp)
              stochastic
              withZeros
              deterministic
              softmax 1.0
              softmax 8.0 ])
        key

/// Policies in which every action is possible.
let interior mdp = Gen.map2 (fun make key -> make mdp key) (Gen.elements [ stochastic; softmax 1.0; softmax 3.0 ]) key

/// A process and a policy there.
[<NoComparison; NoEquality>]
type Case = { Mdp: FiniteMdp; Values: Values }

let casesOf most (policies: FiniteMdp -> FsCheck.Gen<TabularPolicy>) =
    gen {
        let! mdp = processes most
        let! policy = policies mdp
        return { Mdp = mdp; Values = Values.ofPolicy mdp policy }
    }

let cases most = casesOf most policies

/// Processes with any γ from `least` to 1 − 10⁻¹², and a policy.
let patient least =
    gen {
        let! mdp = processes 0.9
        let! tenths = Gen.choose (int (round (-10.0 * log10 (1.0 - least))), 120)
        let mdp = FiniteMdp.withGamma (1.0 - 10.0 ** (-float tenths / 10.0)) mdp |> expectOk
        let! policy = policies mdp
        return { Mdp = mdp; Values = Values.ofPolicy mdp policy }
    }

/// A case and another policy, near or far.
let pairs most =
    gen {
        let! case = cases most
        let! other = policies case.Mdp
        let! exponent = Gen.choose (0, 9)

        let! other =
            Gen.elements
                [ other
                  other
                  TabularPolicy.mix (10.0 ** float -exponent) case.Values.Policy other
                  TabularPolicy.tiltBy (10.0 ** float -exponent) other.Table case.Values.Policy
                  case.Values.Policy ]

        return case, other
    }

/// Σ_s′ P(s′|s, a) f(s′), where what follows a terminal state is nothing.
let expectation (mdp: FiniteMdp) state action (f: int -> float) =
    mdp.Branches(state, action).ToArray()
    |> Array.sumBy (fun branch -> if mdp.IsTerminal branch.Next then 0.0 else branch.Probability * f branch.Next)

/// So many terms of a power series in γ are enough: γⁿ/(1−γ) is below 10⁻¹⁸.
let private terms gamma = if gamma = 0.0 then 2 else 2 + int (log (1e-18 * (1.0 - gamma)) / log gamma)

/// Σ_a π(a|s) f(a)
let private average (policy: TabularPolicy) state (f: int -> float) =
    Seq.sum (
        Seq.init policy.Columns (fun action ->
            if policy[state, action] = 0.0 then 0.0 else policy[state, action] * f action)
    )

/// V by iteration from 0: Bellman's equation as an assignment.
let iteratedV (mdp: FiniteMdp) (policy: TabularPolicy) =
    let backup (v: float[]) state =
        average policy state (fun action ->
            mdp.Rewards[state, action] + mdp.Gamma * expectation mdp state action (fun next -> v[next]))

    let mutable v = Array.zeroCreate mdp.States

    for _ in 1 .. terms mdp.Gamma do
        v <- Array.init mdp.States (backup v)

    v

/// ρ = Σ γᵗ P(s_t = s), by following the distribution of states from the start, until nothing of it is left.
let propagated (mdp: FiniteMdp) (policy: TabularPolicy) =
    let rho = Array.zeroCreate mdp.States

    let mutable now =
        Array.init mdp.States (fun state -> if mdp.IsTerminal state then 0.0 else mdp.Start[state])

    for _ in 1 .. terms mdp.Gamma do
        let next = Array.zeroCreate mdp.States

        for state in 0 .. mdp.States - 1 do
            rho[state] <- rho[state] + now[state]

            for action in 0 .. mdp.Actions - 1 do
                for branch in mdp.Branches(state, action).ToArray() do
                    if not (mdp.IsTerminal branch.Next) then
                        next[branch.Next] <-
                            next[branch.Next] + mdp.Gamma * now[state] * policy[state, action] * branch.Probability

        now <- next

    rho

/// η of the process with the numbers that the table and the policy have, to 512 binary places.
let exactEta (mdp: FiniteMdp) (policy: TabularPolicy) =
    let number = Fixed.ofFloat
    let product = List.map number >> List.reduce Fixed.times
    let states = [| 0 .. mdp.States - 1 |] |> Array.filter (mdp.IsTerminal >> not)
    let place = states |> Array.mapi (fun i state -> state, i) |> Map.ofArray

    let matrix =
        Array.init states.Length (fun i ->
            Array.init states.Length (fun j -> if i = j then Fixed.one else BigInteger.Zero))

    let rewards = Array.create states.Length BigInteger.Zero

    for i, state in Array.indexed states do
        for action in 0 .. mdp.Actions - 1 do
            rewards[i] <- rewards[i] + product [ policy[state, action]; mdp.Rewards[state, action] ]

            for branch in mdp.Branches(state, action).ToArray() do
                if not (mdp.IsTerminal branch.Next) then
                    let j = place[branch.Next]
                    matrix[i][j] <- matrix[i][j] - product [ mdp.Gamma; policy[state, action]; branch.Probability ]

    Fixed.dot (states |> Array.map (fun state -> number mdp.Start[state])) (Fixed.solve matrix rewards)

/// The states that are not terminal.
let going (mdp: FiniteMdp) = [ 0 .. mdp.States - 1 ] |> List.filter (fun state -> not (mdp.IsTerminal state))

/// The largest of these numbers of the states that are not terminal, or 0.
let largestOf mdp (f: int -> float) = going mdp |> List.fold (fun largest state -> max largest (f state)) 0.0

/// The size of what a process is worth: max |r| / (1−γ).
let size (mdp: FiniteMdp) =
    let largest =
        Seq.max (
            seq {
                for s in 0 .. mdp.States - 1 do
                    for a in 0 .. mdp.Actions - 1 -> abs mdp.Rewards[s, a]
            }
        )

    largest / (1.0 - mdp.Gamma)

/// Fails unless each number is close to its counterpart.
let expectSame tolerance (actual: seq<float>) (expected: seq<float>) what =
    Expect.equal (Seq.length actual) (Seq.length expected) $"%s{what}: length"
    Seq.iteri2 (fun i x y -> expectClose tolerance x y $"%s{what}[{i}]") actual expected

/// The rows of a table, one after another.
let numbersOf (table: Table) = Seq.init table.Rows (Table.rowArray table) |> Seq.concat |> Array.ofSeq
