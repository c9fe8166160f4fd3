// An environment of your own: two tanks of water, one above the other. A pump fills the upper tank, which drains into the lower one. The
// task is to hold the level of the lower tank at a target.
#load "load.fsx"

open System
open FunTrpo

// The state is an immutable value. A struct costs no memory in a rollout.
[<Struct>]
type State =
    {
        /// The levels of both tanks, and the target for the lower one, in cm.
        Upper: float
        Lower: float
        Target: float
    }

let area = 30.0 // cm², of each tank
let height = 30.0 // cm; more water overflows
let pumpRate = 60.0 // cm³/s at full power
let timeStep = 2.0 // s

/// The flow out of the hole in the bottom, in cm³/s (Torricelli's law).
let outflow level = 10.0 * sqrt level

/// The state one time step later, with the pump at a power between 0 and 1.
let dynamics power state =
    let down = outflow state.Upper
    let after level inflow = Math.Clamp(level + inflow * timeStep / area, 0.0, height)

    { state with
        Upper = after state.Upper (power * pumpRate - down)
        Lower = after state.Lower (down - outflow state.Lower) }

let untimed =
    { new Environment<State> with
        member _.Id = "TwoTanks"
        member _.ObservationSpace = Space.box 3 0.0 height

        // A Gaussian policy starts around 0, so 0 should be a medium action: here, half of the power.
        member _.ActionSpace = Space.box 1 -1.0 1.0

        // Randomness comes only from the key. `Key.at` derives independent keys from a key.
        member _.Reset key =
            { Upper = Key.uniformIn 0.0 20.0 (Key.at 0L key)
              Lower = Key.uniformIn 0.0 20.0 (Key.at 1L key)
              Target = Key.uniformIn 5.0 20.0 (Key.at 2L key) }

        member _.Step(_, action, state) =
            let next = dynamics ((1.0 + float action[0]) / 2.0) state
            { State = next; Reward = -abs(next.Lower - next.Target); Terminated = false; Truncated = false }

        member _.Observe(state, observation) =
            observation[0] <- float32 state.Upper
            observation[1] <- float32 state.Lower
            observation[2] <- float32 state.Target }

// The task has no end of its own. A time limit truncates it: the value of the state at the limit still counts.
let limit = 100
let environment = untimed |> Environment.withTimeLimit limit

let configuration =
    { Configuration.standard with
        Gamma = 0.95 // looks about 20 steps ahead, which is 40 s
        InitialLogSigma = -0.5
        NormaliseObservations = true }

/// Returns the value of a result. A fault ends the script with its message.
let orFail result = result |> Result.defaultWith (Fault.message >> failwith)

let setup = Setup.create 2 configuration environment |> orFail
let untrained = TrainingState.start setup 1L

/// The first argument of the script, or else 80,000.
let steps = fsi.CommandLineArgs |> Array.tryItem 1 |> Option.map int64 |> Option.defaultValue 80_000L

let trained = untrained |> Training.runFor steps setup |> Seq.map (orFail >> fst) |> Seq.last

// A controller written by hand: the power that holds the target once it is reached, and more if the level is too low. The right gain is not
// obvious. A small one is slow, and a large one overshoots, because the water arrives late from the upper tank.
let proportional gain (observation: Vector) =
    let lower, target = float observation[1], float observation[2]
    let power = outflow target / pumpRate + gain * (target - lower)
    Vector.ofArray [| float32 (2.0 * power - 1.0) |]

printfn "TwoTanks after %d steps: mean distance from the target over 100 episodes" trained.Steps

// All policies and rules play the same 100 episodes, because the key is the same.
let show name choose =
    let scores = Evaluation.play 2 environment choose 100 (Key.ofSeed 1L) |> orFail
    printfn "  %-20s %5.2f cm" name (-scores.Mean / float limit)

show "pump off" (fun _ -> Vector.ofArray [| -1f |])
show "untrained policy" (TrainingState.actor setup untrained |> InferencePolicy).Act

for gain in [ 0.0; 0.03; 0.1; 0.3; 1.0 ] do
    show $"rule, gain {gain}" (proportional gain)

// The rule uses only the lower tank. The policy can also use the water in the upper tank, which will arrive later.
show "trained policy" (TrainingState.actor setup trained |> InferencePolicy).Act
