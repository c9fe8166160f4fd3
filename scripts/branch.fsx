// A training state is a value. A program can keep it and continue training from it as often as it likes: with the same key, which gives
// the same future each time; with other keys; or with another configuration.
#load "load.fsx"
#load "lesson.fsx"

open FunTrpo
open FunTrpo.Environments
open Lesson

let total = steps 40_000L
let environment = Pendulum.environment

let configuration =
    { Configuration.standard with
        Environments = 4
        Horizon = 512
        Gamma = 0.95
        Lambda = 0.9
        Delta = 0.02
        Critic = CriticKind.Adam }

let setupOf configuration = Setup.create 1 configuration environment |> orFail

/// Continues training from `state` until the total number of steps, counted from the very start, is `until`.
let goOn configuration until state =
    let setup = setupOf configuration
    (state, Training.runFor until setup state) ||> Seq.fold (fun _ next -> next |> orFail |> fst)

// The trunk is one training run, stopped after half of the steps.
let trunk = TrainingState.start (setupOf configuration) 0L |> goOn configuration (total / 2L)

let returnOf state = TrainingState.meanReturn state |> Option.defaultValue 0.0

printfn "Pendulum-v1, branched after %d steps at a mean return of %.1f" trunk.Steps (returnOf trunk)

// The branches. The state holds the key that determines which actions are drawn and where episodes start. So the same state with another
// key has another future. The configuration is not part of the state: to change the algorithm in the middle of training, continue with
// another setup.
let futures =
    [ "as before, δ = 0.02", configuration
      "shorter steps, δ = 0.002", { configuration with Delta = 0.002 }
      "longer steps, δ = 0.2", { configuration with Delta = 0.2 }
      "REINFORCE, α = 0.1",
      { configuration with Direction = DirectionKind.Gradient; Step = StepKind.Fixed; LearningRate = 0.1 } ]

let branches = trunk :: [ for seed in 1L .. 4L -> { trunk with Key = Key.ofSeed seed } ] |> Array.ofList

printfn ""
printfn "mean return after %d steps, of the branches that keep the key and of those with another one" total
printfn ""
printfn "%-26s %8s %8s %8s %8s %8s" "" "own key" "key 1" "key 2" "key 3" "key 4"

for name, configuration in futures do
    let ends = branches |> Array.Parallel.map (goOn configuration total)
    let returns = ends |> Array.map (returnOf >> sprintf "%8.1f")
    printfn "%-26s %s" name (String.concat " " returns)

// All entries start from the same policy. Within a row only the random numbers differ, and between rows only the configuration. The full
// table shows clearly that short steps and REINFORCE are slower. The longest steps differ from the old ones by less than the random
// variation.

// Two states are equal if all their contents are equal, bit for bit: policy, critic, environments, returns.
let ends = branches |> Array.map (goOn configuration total)
let again = goOn configuration total trunk
let policies = ends |> Array.map _.PolicyParameters |> Array.distinct

printfn ""
printfn "the trunk gone on from again: %s" (if again = ends[0] then "the same state, bit for bit" else "another state")
printfn "five keys: %d different policies" policies.Length
printfn "and the trunk is where it was: %d steps, mean return %.1f" trunk.Steps (returnOf trunk)
