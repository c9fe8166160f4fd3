module FunTrpo.Tests.ExactFiniteMdpTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Exact
open FunTrpo.Tests.Generators
open FunTrpo.Tests.ExactCases

/// A table that is right, and what is to be made wrong in it.
let rightRow =
    [ { Next = 0; Probability = 0.25; Reward = 1.0 }; { Next = 1; Probability = 0.75; Reward = -1.0 } ]

let private damages =
    [ "a sum below 1", [ { rightRow[0] with Probability = 0.2499 }; rightRow[1] ]
      "a sum above 1", [ rightRow[0]; { rightRow[1] with Probability = 0.7500001 } ]
      "nothing that follows", []
      "a negative probability",
      [ { rightRow[0] with Probability = -0.25 }; rightRow[1]; { rightRow[1] with Probability = 0.5 } ]
      "a probability that is NaN", [ { rightRow[0] with Probability = nan }; rightRow[1] ]
      "an infinite probability", [ { rightRow[0] with Probability = infinity }; rightRow[1] ]
      "a state before the first", [ { rightRow[0] with Next = -1 }; rightRow[1] ]
      "a state after the last", [ rightRow[0]; { rightRow[1] with Next = 1_000_000 } ]
      "a reward that is NaN", [ { rightRow[0] with Reward = nan }; rightRow[1] ]
      "an infinite reward", [ rightRow[0]; { rightRow[1] with Reward = -infinity } ]
      "a reward whose return would overflow", [ rightRow[0]; { rightRow[1] with Reward = 1e308 } ] ]

let table gamma start terminal branches = FiniteMdp.create "table" gamma 2 start terminal (fun _ _ -> branches)

let private isRefused result =
    match result with
    | Error(InvalidTable("table", _)) -> true
    | _ -> false

/// A process of few states in which an action of every row leads to one state or two; some end.
let private tangles =
    gen {
        let! states = Gen.choose (1, 4)
        let! terminal = Gen.arrayOfLength states (Gen.frequency [ 2, Gen.constant false; 1, Gen.constant true ])
        let! first = Gen.arrayOfLength (2 * states) (Gen.choose (0, states - 1))
        let! second = Gen.arrayOfLength (2 * states) (Gen.choose (0, states - 1))
        let! chance = Gen.elements [ 0.0; 0.5 ]

        return
            terminal,
            fun state action ->
                [ { Next = first[2 * state + action]; Probability = 1.0 - chance; Reward = 1.0 }
                  { Next = second[2 * state + action]; Probability = chance; Reward = 0.0 } ]
    }

/// Whether each deterministic policy of two actions ends from everywhere: a terminal state can be reached.
let private alwaysEnds (terminal: bool[]) (branches: int -> int -> Branch list) =
    let states = terminal.Length

    let ends policy =
        let step (reaching: bool[]) =
            Array.init states (fun state ->
                reaching[state]
                || branches state ((policy >>> state) &&& 1)
                   |> List.exists (fun branch -> branch.Probability > 0.0 && reaching[branch.Next]))

        Seq.init states id |> Seq.fold (fun reaching _ -> step reaching) terminal |> Array.forall id

    Seq.forall ends (seq { 0 .. (1 <<< states) - 1 })

let private creating =
    testList
        "tables"
        [ property
              "a wrong row is refused with its state and its action"
              (Gen.zip (Gen.elements damages) (Gen.zip (Gen.choose (0, 3)) (Gen.choose (0, 1))))
              (fun ((what, row), (wrongState, wrongAction)) ->
                  let create terminal =
                      FiniteMdp.create
                          "table"
                          0.9
                          2
                          (corner 4 0)
                          (Array.init 4 (fun state -> state = wrongState && terminal))
                          (fun state action -> if (state, action) = (wrongState, wrongAction) then row else rightRow)

                  match create false with
                  | Error(InvalidTable("table", why)) ->
                      Expect.stringContains why $"state {wrongState}, action {wrongAction}:" what
                  | _ -> failtest what

                  Expect.isOk (create true) "but what follows a terminal state is not looked at")
          testCase "a wrong γ, start or size is refused"
          <| fun () ->
              let half = [| 0.5; 0.5 |]
              let on = [| false; false |]
              Expect.isOk (table 0.9 half on rightRow) "the right one"

              for gamma in [ -0.1; 1.1; nan; infinity ] do
                  Expect.isTrue (table gamma half on rightRow |> isRefused) $"γ = {gamma}"

              for start in [ [| 0.5; 0.4 |]; [| 1.5; -0.5 |]; [| nan; 1.0 |]; [| infinity; 0.0 |]; [| 1.0 |]; [||] ] do
                  Expect.isTrue (table 0.9 start on rightRow |> isRefused) $"the start {List.ofArray start}"

              Expect.isTrue (table 0.9 half [| false |] rightRow |> isRefused) "one terminal state too few"

              let withoutActions = FiniteMdp.create "table" 0.9 0 half on (fun _ _ -> rightRow)
              Expect.isTrue (isRefused withoutActions) "no actions"
          property "probabilities of nine digits are made to sum to 1" key (fun key ->
              let rounded (x: float) = Math.Round(x, 10)
              let start = Key.named "start" key |> simplex 3 |> Array.map rounded

              let branches state action =
                  let p = Key.at (int64 (2 * state + action)) key |> simplex 3 |> Array.map rounded
                  [ for next in 0..2 -> { Next = next; Probability = p[next]; Reward = float next } ]

              let mdp = FiniteMdp.create "table" 0.9 2 start (Array.create 3 false) branches |> expectOk
              expectClose 1e-15 (Seq.sum mdp.Start) 1.0 "start"

              for state in 0..2 do
                  for action in 0..1 do
                      let row = mdp.Branches(state, action).ToArray()
                      expectClose 1e-15 (row |> Array.sumBy _.Probability) 1.0 "row"

                      expectClose
                          1e-14
                          mdp.Rewards[state, action]
                          (row |> Array.sumBy (fun branch -> branch.Probability * float branch.Next))
                          "r(s, a)")
          propertyOf
              1000
              "γ = 1 is refused exactly where some policy never comes to an end"
              tangles
              (fun (terminal, branches) ->
                  let states = terminal.Length
                  let start = Array.create states (1.0 / float states)
                  let created = FiniteMdp.create "table" 1.0 2 start terminal branches
                  Expect.equal (Result.isOk created) (alwaysEnds terminal branches) "as counted policy by policy"
                  Expect.isOk (FiniteMdp.create "table" 0.999 2 start terminal branches) "any γ below 1 is allowed")
          property
              "another discount changes nothing else, and back again nothing at all"
              (cases 0.99)
              (fun { Mdp = mdp; Values = values } ->
                  let other = FiniteMdp.withGamma 0.25 mdp |> expectOk
                  Expect.equal other.Gamma 0.25 "γ"
                  Expect.equal (other.Name, other.States, other.Actions) (mdp.Name, mdp.States, mdp.Actions) "sizes"
                  expectSame 1e-15 (numbersOf other.Rewards) (numbersOf mdp.Rewards) "rewards"
                  let back = FiniteMdp.withGamma mdp.Gamma other |> expectOk
                  // Probabilities may be rounded once more.
                  let again = Values.ofPolicy back values.Policy
                  expectClose (values.EtaError + again.EtaError) again.Eta values.Eta "η") ]

let tests = testList "Exact processes" [ creating ]
