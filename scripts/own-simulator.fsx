// A mutable simulator of your own: a warehouse that sells a good and orders more of it. Each order arrives two days later. The task is to
// earn much: to have enough to sell, and to store little.
#load "load.fsx"

open System
open FunTrpo

/// The simulator is an ordinary mutable class. All its randomness comes from the seed of `Reset`.
type Warehouse() =
    let mutable random = Random 0
    let mutable stock = 0
    let mutable arrivesTomorrow = 0
    let mutable ordered = 0

    /// Writes the number of goods in stock and on their way, in dozens.
    let show (observation: Span<float32>) =
        observation[0] <- float32 stock / 12f
        observation[1] <- float32 arrivesTomorrow / 12f
        observation[2] <- float32 ordered / 12f

    interface Simulator with
        member _.Id = "Warehouse"
        member _.ObservationSpace = Space.box 3 0.0 infinity
        member _.ActionSpace = Discrete 5 // dozens to order

        member _.Reset(seed, observation) =
            random <- Random seed
            stock <- random.Next 40
            arrivesTomorrow <- 0
            ordered <- 0
            show observation

        member _.Step(action, observation) =
            stock <- stock + arrivesTomorrow
            arrivesTomorrow <- ordered
            ordered <- 12 * int action[0]
            let wanted = random.Next 13 + random.Next 13 + random.Next 13 // by the customers of a day
            let sold = min stock wanted
            stock <- stock - sold

            // A sale earns 1. An order costs 5, and storing a good costs 0.1 a day.
            let orderCost = if ordered > 0 then 5.0 else 0.0
            show observation
            { Reward = float sold - orderCost - 0.1 * float stock; Terminated = false; Truncated = false }

// The simulators become an environment with immutable states. It makes as many of them as it needs.
let simulators = Simulator.environment (fun () -> Warehouse())
let days = 60
let environment = simulators |> Environment.withTimeLimit days

/// Returns the value of a result. A fault ends the script with its message.
let orFail result = result |> Result.defaultWith (Fault.message >> failwith)

/// The first argument of the script, or else 60,000.
let steps = fsi.CommandLineArgs |> Array.tryItem 1 |> Option.map int64 |> Option.defaultValue 60_000L

let configuration = { Configuration.standard with Gamma = 0.95 }
let setup = Setup.create 2 configuration environment |> orFail
let untrained = TrainingState.start setup 1L
let trained = untrained |> Training.runFor steps setup |> Seq.map (orFail >> fst) |> Seq.last

printfn "Warehouse after %d steps: mean profit of a day over 100 episodes" trained.Steps

let show name choose =
    let scores = Evaluation.play 2 environment choose 100 (Key.ofSeed 1L) |> orFail
    printfn "  %-24s %6.2f" name (scores.Mean / float days)

/// A rule written by hand: order what is missing up to a level, in dozens.
let upTo level (observation: Vector) =
    let missing = level - (observation[0] + observation[1] + observation[2])
    Vector.ofArray [| Math.Clamp(MathF.Floor missing, 0f, 4f) |]

show "untrained policy" (TrainingState.actor setup untrained |> InferencePolicy).Act

for level in [ 4f; 5f; 6f; 7f ] do
    show $"rule, up to {level} dozens" (upTo level)

show "trained policy" (TrainingState.actor setup trained |> InferencePolicy).Act

// A training state is a value, although the simulators are mutable: to continue a second time, their episodes are played again.
let next () = Training.update setup trained |> orFail |> fst
printfn "continued twice: %s" (if next () = next () then "the same state, bit for bit" else "another state")

// Simulators that hold a resource implement IDisposable, and this disposes of them.
(simulators :> IDisposable).Dispose()
