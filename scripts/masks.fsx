// Action masks: a workshop in which most assignments are illegal at any time. A policy with masks is compared with one that pays for each
// illegal action. With --out FOLDER, the numbers become a part of FOLDER/results.md:
//
//     dotnet fsi scripts/masks.fsx
//     dotnet fsi scripts/masks.fsx --out docs
#load "load.fsx"
#load "results.fsx"

open System
open System.IO
open System.Threading
open FunTrpo
open Lesson
open Results

let total = steps 200_000L
let seeds = [| 0L .. 9L |]

// Eight jobs wait for three machines. A machine takes one job at a time. The hours that a job takes depend on the machine, some jobs are
// more urgent than others, and some can begin only after another one is done. An action assigns one job to one machine, or waits until a
// machine becomes free. Each episode is another order of eight jobs. It ends when they are done, or after 200 actions, and jobs that are not
// done then cost as much as if they took another hundred hours.
let jobs, machines = 8, 3
let wait = jobs * machines
let actions = wait + 1

type Order =
    {
        /// Hours of a job on a machine.
        Hours: int[,]
        Urgency: int[]
        /// The job that must be done before, or −1.
        After: int[]
    }

[<Struct>]
type Shop =
    {
        Order: Order
        /// The number of actions taken.
        Actions: int
        Time: int
        /// The hour at which each machine becomes free.
        Free: Vector
        /// The hour at which each job ends; ∞ if it has not begun.
        Ends: Vector
    }

let isDone state job = state.Ends[job] <= float32 state.Time
let isFree state machine = state.Free[machine] <= float32 state.Time

let isReady state job =
    Single.IsInfinity state.Ends[job]
    && (state.Order.After[job] < 0 || isDone state state.Order.After[job])

let isLegal state action =
    if action = wait then
        Seq.exists (isFree state >> not) (seq { 0 .. machines - 1 })
    else
        isReady state (action / machines) && isFree state (action % machines)

let newOrder key =
    let number name i = Key.uniform (key |> Key.named name |> Key.at (int64 i))

    { Hours = Array2D.init jobs machines (fun job machine -> 1 + int (9.0 * number "hours" (job * machines + machine)))
      Urgency = Array.init jobs (fun job -> 1 + int (5.0 * number "urgency" job))
      After = Array.init jobs (fun job -> if number "chain" job < 0.5 then job - 1 else -1) }

let replace index value (numbers: Vector) =
    Vector.init numbers.Length (fun i -> if i = index then value else numbers[i])

/// What so many hours cost: the urgency of the jobs that are not done.
let costOf hours state =
    let late = Seq.init jobs id |> Seq.filter (isDone state >> not)
    0.01 * float (hours * Seq.sumBy (fun job -> state.Order.Urgency[job]) late)

/// The state after a legal action, and its reward.
let work action state =
    if action = wait then
        let busy = Seq.init machines id |> Seq.filter (isFree state >> not)
        let next = busy |> Seq.map (fun machine -> int state.Free[machine]) |> Seq.min
        struct ({ state with Time = next }, -(costOf (next - state.Time) state))
    else
        let job, machine = action / machines, action % machines
        let ends = float32 (state.Time + state.Order.Hours[job, machine])
        struct ({ state with Free = replace machine ends state.Free; Ends = replace job ends state.Ends }, 0.0)

// All that a rule could use: of each job its hours, its urgency, whether it is ready, running or done, and how many hours wait for it; of
// each machine the hours until it is free.
let seen = Space.box (jobs * (machines + 4) + machines) -1.0 1.0

let see state (observation: Span<float32>) =
    for job in 0 .. jobs - 1 do
        let first = job * (machines + 4)

        for machine in 0 .. machines - 1 do
            observation[first + machine] <- float32 state.Order.Hours[job, machine] / 10f

        let isNeeded = job + 1 < jobs && state.Order.After[job + 1] = job
        observation[first + machines] <- float32 state.Order.Urgency[job] / 5f
        observation[first + machines + 1] <- if isReady state job then 1f else 0f
        observation[first + machines + 2] <- if isDone state job then 1f else 0f
        observation[first + machines + 3] <- if isNeeded then 1f else 0f

    for machine in 0 .. machines - 1 do
        observation[jobs * (machines + 4) + machine] <- max 0f (state.Free[machine] - float32 state.Time) / 10f

let reset key =
    { Order = newOrder key
      Actions = 0
      Time = 0
      Free = Vector.zero machines
      Ends = Vector.init jobs (fun _ -> Single.PositiveInfinity) }

/// The illegal actions that were taken.
let mutable illegal = 0L

/// The workshop. An illegal action does nothing, and costs `penalty`. With masks, the observation space is `Masked`, and the numbers after
/// the observation say which actions are legal.
let shop hasMask penalty =
    let actionSpace = Discrete actions

    { new Environment<Shop> with
        member _.Id = "Workshop"
        member _.ObservationSpace = if hasMask then Mask.space seen actionSpace else seen
        member _.ActionSpace = actionSpace
        member _.Reset key = reset key

        member _.Step(_, action, state) =
            let action = int action[0]
            let isIllegal = not (isLegal state action)

            if isIllegal then
                Interlocked.Increment &illegal |> ignore

            let struct (next, reward) = if isIllegal then struct (state, -penalty) else work action state
            let isDone = Seq.forall (isDone next) (seq { 0 .. jobs - 1 })
            let isLate = not isDone && state.Actions = 199

            { State = { next with Actions = state.Actions + 1 }
              Reward = (if isLate then reward - costOf 100 next else reward)
              Terminated = isDone || isLate
              Truncated = false }

        member _.Observe(state, observation) =
            see state observation

            if hasMask then
                for action in 0 .. actions - 1 do
                    observation[Space.width seen + action] <- if isLegal state action then 1f else 0f }

let configuration =
    { Configuration.standard with
        Environments = 16
        Horizon = 128
        Gamma = 1.0
        Lambda = 0.97
        Delta = 0.02
        NormaliseObservations = false }

let marks = [ for quarter in 1L .. 4L -> total * quarter / 4L ]

/// What 200 orders cost, and the illegal actions for each: of actions that are drawn from the actor's policy. The penalties are not counted.
let played hasMask actor =
    let before = illegal
    let scores = Evaluation.sample 1 (shop hasMask 0.0) actor 200 (Key.ofSeed 99L) |> orFail
    -scores.Mean, float (illegal - before) / 200.0

/// The actors of a training run after each number of steps in `marks`.
let train hasMask penalty seed =
    let setup = Setup.create 1 configuration (shop hasMask penalty) |> orFail

    let states =
        TrainingState.start setup seed
        |> Training.runFor total setup
        |> Seq.map (orFail >> fst)
        |> Array.ofSeq

    [ for mark in marks -> states |> Array.find (fun state -> state.Steps >= mark) |> TrainingState.actor setup ]

/// A rule written by hand: the assignment with the most urgency for each hour, on the machine that is fastest, or nearly so.
let byHand state =
    let assignments = Seq.init wait id |> Seq.filter (isLegal state)

    let worth action =
        let job, machine = action / machines, action % machines
        let fastest = Seq.init machines (fun m -> state.Order.Hours[job, m]) |> Seq.min
        let hours = state.Order.Hours[job, machine]
        if hours > fastest + 2 then None else Some(action, float state.Order.Urgency[job] / float hours)

    match assignments |> Seq.choose worth |> List.ofSeq with
    | [] when isLegal state wait -> wait
    | [] -> Seq.head assignments
    | good -> good |> List.maxBy snd |> fst

let costByHand =
    List.average
        [ for i in 0L .. 199L do
              let mutable state = reset (Key.ofSeed 99L |> Key.at i |> Key.named "reset")
              let mutable cost = 0.0

              while not (Seq.forall (isDone state) (seq { 0 .. jobs - 1 })) do
                  let struct (next, reward) = work (byHand state) state
                  state <- next
                  cost <- cost - reward

              cost ]

printfn
    "What an order costs after so many steps, and the illegal actions for each order at the end; medians over %d seeds"
    seeds.Length

printfn ""
printfn "%-24s %s %10s" "" (marks |> List.map (sprintf "%8d") |> String.concat " ") "illegal"

let variants =
    [ "masks", true, 0.0
      for penalty in [ 0.01; 0.1; 1.0 ] do
          $"a penalty of {penalty}", false, penalty ]

let trained =
    [ for name, hasMask, penalty in variants do
          let runs = seeds |> Array.map (train hasMask penalty)
          let measured = runs |> Array.map (List.map (played hasMask))
          let costs = marks |> List.mapi (fun i _ -> measured |> Array.map (fun run -> fst run[i]) |> median)
          let faults = measured |> Array.map (List.last >> snd) |> median
          printfn "%-24s %s %10.2f" name (costs |> List.map (sprintf "%8.2f") |> String.concat " ") faults
          name, runs, measured |> Array.map List.last ]

let randomly = Evaluation.random 1 (shop true 0.0) 200 (Key.ofSeed 99L) |> orFail

printfn ""
printfn "any legal action: %.2f; the rule written by hand: %.2f" -randomly.Mean costByHand

// Illegal actions have the probability 0, and not only a small one.
let millionth =
    let _, runs, _ = trained.Head
    List.last runs[0]

let before = illegal
let mutable drawn = 0L
let mutable round = 0L

while drawn < 5L * total do
    let scores = Evaluation.sample 1 (shop true 0.0) millionth 500 (Key.ofSeed round) |> orFail
    drawn <- drawn + Seq.sumBy int64 scores.Lengths
    round <- round + 1L

let drawnIllegally = illegal - before

printfn ""
printfn "%d illegal actions in more than %d that were drawn" drawnIllegally (5L * total)

let rows =
    [ for name, _, last in trained do
          let costs, faults = Array.map fst last, Array.map snd last

          [ name
            $"{seeds.Length}"
            $"{total:N0}"
            $"**{median costs:N2}**"
            $"{Array.max costs:N2} … {Array.min costs:N2}"
            $"{median faults:N2}" ] ]

option "--out"
|> Option.iter (fun folder ->
    writePart
        (Path.Combine(folder, "results.md"))
        "Masks"
        [ "## Masks"
          ""
          "Made by `scripts/masks.fsx`. Eight jobs wait for three machines, and most of the 25 actions are illegal at any time. A policy with masks is"
          "compared with policies that pay a penalty for each illegal action, which then does nothing. *Cost* is the mean of 200 orders whose actions are"
          $"drawn, without the penalties. Any legal action costs {-randomly.Mean:N2}, and a rule written by hand {costByHand:N2}."
          ""
          yield!
              markdownTable
                  [ "policy"; "seeds"; "steps"; "median cost"; "worst … best seed"; "illegal actions for each order" ]
                  rows
          ""
          $"Of {drawn:N0} actions that a policy with masks drew, {drawnIllegally} were illegal." ])
