// The vine of the TRPO paper (section 5.2): it tries several actions from each state of a rollout set, with the same random numbers for all
// of them. This requires environments that can return to a state. Here states are values, so all environments can.
#load "load.fsx"
#load "lesson.fsx"

open System
open System.Collections.Immutable
open FunTrpo
open FunTrpo.Environments
open Lesson

let total = steps 60_000L
let seeds = [| 0L .. 4L |]

// A shop orders one kind of goods each evening, which arrive a day later. The demand depends on the season and, more than that, on random
// numbers. Unsold goods cost storage. The reward of a day also contains the takings of the rest of the shop, which do not depend on the
// orders: they are 0 in the quiet shop, and in the busy shop they vary far more than an order can influence.
[<Struct>]
type Shop =
    {
        Stock: float
        Coming: float
        /// The fraction of the year that has passed.
        Season: float
    }

let orders = [| 0.0; 4.0; 8.0; 12.0; 16.0 |]

let shop name otherTakings =
    { new Environment<Shop> with
        member _.Id = name
        member _.ObservationSpace = Space.box 3 -1.0 6.0
        member _.ActionSpace = Discrete orders.Length

        member _.Reset key =
            { Stock = Key.uniformIn 0.0 30.0 (Key.named "stock" key)
              Coming = 0.0
              Season = Key.uniform (Key.named "season" key) }

        member _.Step(key, action, state) =
            let expected = 6.0 + 4.0 * sin (2.0 * Math.PI * state.Season)
            let demand = -expected * log (1.0 - Key.uniform (Key.named "demand" key))
            let sold = min demand state.Stock
            let ordered = orders[int action[0]]
            let stock = min 60.0 (state.Stock - sold + state.Coming)
            let others = otherTakings * Key.normal (Key.named "others" key)

            { State = { Stock = stock; Coming = ordered; Season = (state.Season + 0.05) % 1.0 }
              Reward = 2.0 * sold - 0.1 * stock - ordered + others
              Terminated = false
              Truncated = false }

        member _.Observe(state, observation) =
            observation[0] <- float32 (state.Stock / 10.0)
            observation[1] <- float32 (state.Coming / 10.0)
            observation[2] <- float32 (sin (2.0 * Math.PI * state.Season)) }
    |> Environment.withTimeLimit 100

let quiet, busy = shop "a quiet shop" 0.0, shop "a busy shop" 20.0

// The single path improves the policy on the states of all its steps, a vine on the states of the environments after the horizon. So the
// vine has more environments and a shorter horizon. An iteration of either is about a thousand steps. Observations are already about 1 in
// size.
let path gamma =
    { Configuration.standard with
        Gamma = gamma
        Delta = 0.03
        CriticSteps = 1
        NormaliseObservations = false }

let vine gamma = { path gamma with Environments = 16; Horizon = 16; Branches = 5; BranchSteps = 10 }

let marks = [ for fifth in 1L .. 5L -> total * fifth / 5L ]

/// The mean return of the most probable actions of one training run's policy, after each number of steps in `marks`.
let train (environment: Environment<'State>) judgedOn configuration seed =
    let setup = Setup.create 1 configuration environment |> orFail

    let states =
        TrainingState.start setup seed
        |> Training.runFor total setup
        |> Seq.map (orFail >> fst)
        |> Array.ofSeq

    [ for mark in marks do
          let actor = states |> Array.find (fun state -> state.Steps >= mark) |> TrainingState.actor setup
          (Evaluation.run 1 judgedOn actor 20 (Key.ofSeed 99L) |> orFail).Mean ]

/// The variance of Q(s, last action) − Q(s, first action) in the states of a new training: with common random numbers for both actions, and
/// with independent ones.
let variances (environment: Environment<'State>) gamma =
    let setup = Setup.create 1 (vine gamma) environment |> orFail
    let start = TrainingState.start setup 0L
    let settings: VineSettings = { Branches = 5; Steps = 30; Gamma = gamma }

    let noValues (branch: Batch) = Seq.replicate branch.BootstrapObservations.Rows 0.0 |> ImmutableArray.CreateRange

    let vines =
        [| for i in 1L .. 200L ->
               Vine.sample
                   environment
                   (TrainingState.actor setup start)
                   settings
                   noValues
                   1
                   (Key.ofSeed i)
                   start.Instances
               |> orFail |]

    let q (vine: Vine) state branch = vine.Returns[state * vine.Branches + branch]

    let variance (differences: float[]) =
        let mean = Array.average differences
        differences |> Array.averageBy (fun difference -> (difference - mean) * (difference - mean))

    let over (other: int -> Vine) =
        List.average
            [ for state in 0 .. vines[0].States - 1 ->
                  variance
                      [| for i in 0 .. vines.Length - 1 ->
                             q vines[i] state (vines[i].Branches - 1) - q (other i) state 0 |] ]

    over (fun i -> vines[i]), over (fun i -> vines[(i + 1) % vines.Length])

let show (environment: Environment<'State>) judgedOn gamma =
    for name, configuration in [ "single path", path gamma; "vine", vine gamma ] do
        let runs = seeds |> Array.Parallel.map (train environment judgedOn configuration)
        let medians = marks |> List.mapi (fun i _ -> runs |> Array.map (fun run -> run[i]) |> median)
        printfn "%-14s %-12s %s" environment.Id name (medians |> List.map (sprintf "%7.1f") |> String.concat " ")

printfn "Mean return of the policy after so many steps, branches counted; medians over %d seeds" seeds.Length
printfn ""
printfn "%-27s %s" "" (marks |> List.map (sprintf "%7d") |> String.concat " ")
show CartPole.environment CartPole.environment 0.99
show quiet quiet 0.95
show busy quiet 0.95 // the takings of the rest of the shop do not depend on the policy

let showVariances (environment: Environment<'State>) gamma =
    let common, independent = variances environment gamma
    printfn "%-14s %12.2f %12.2f %8.1f" environment.Id common independent (independent / common)

printfn ""
printfn "Variance of the difference between two actions, each followed for 30 steps"
printfn ""
printfn "%-14s %12s %12s %8s" "" "same chance" "own chance" "ratio"
showVariances CartPole.environment 0.99
showVariances quiet 0.95
showVariances busy 0.95

// What the full tables show:
//
// * Randomness that does not depend on the action is the same in all branches of a state, and cancels in their differences. The busy shop
//   is as easy for a vine as the quiet one. The single path has one result of each action, and learns less.
// * If there is little such randomness, steps on branches are worth as much as steps on a path. The motion of a cart depends only on the
//   random numbers of the policy itself. Two branches are soon in different states, where the same random numbers mean other actions, so
//   common random numbers gain nothing.
