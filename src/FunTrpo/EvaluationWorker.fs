namespace FunTrpo

open System
open System.Runtime.ExceptionServices
open System.Threading

/// Plays episodes side by side on one thread: those with the numbers from `first` on, one for each key. `choose` returns an action of the
/// action space for each observation (raw, of the episode and at the step), or a fault. A batch environment is called once a step for all
/// of them.
type internal EvaluationWorker<'State>
    (
        cancellation: CancellationToken,
        environment: Environment<'State>,
        batch: BatchSteps<'State>,
        choose: Vector -> int -> int64 -> Result<Vector, Fault>,
        first: int,
        keys: Key[]
    ) =

    /// An episode of this many steps counts as endless.
    let maxSteps = 1_000_000L

    let actionWidth = Space.width environment.ActionSpace
    let stepKeys = keys |> Array.map (Key.named "environment")
    let totals = Array.zeroCreate<float> keys.Length
    let lengths = Array.zeroCreate<int> keys.Length
    let mutable states: 'State[] = [||]

    /// The episodes that have not ended.
    let mutable going = Array.init keys.Length id

    /// The result of a call to the environment for some of the episodes, or a fault with the exception that it throws. A requested
    /// cancellation is not a fault, and its exception passes through.
    let attempt (episodes: int[]) steps call =
        try
            Ok(call ())
        with error ->
            let struct (position, cause) = BatchSteps.failureOf episodes.Length error

            match cause with
            | :? OperationCanceledException when cancellation.IsCancellationRequested ->
                ExceptionDispatchInfo.Throw cause
            | _ -> ()

            Error(FailedEnvironment(cause, environment.Id, first + episodes[position], steps))

    /// Writes the chosen action of an episode to its row.
    let writeAction (steps: int64) (rows: float32[]) row =
        result {
            let episode = going[row]

            let! observation =
                attempt [| episode |] steps (fun () -> Environment.observation environment states[episode])

            if not (Space.isValidObservation environment.ObservationSpace observation.Span) then
                return! Error(Environment.observationFault environment observation.Span (first + episode) steps)

            if not (Mask.hasLegalAction environment.ObservationSpace observation.Span) then
                return! Error(NoLegalAction(environment.Id, first + episode, steps))

            let! action = choose observation (first + episode) steps
            action.Span.CopyTo(rows.AsSpan(row * actionWidth))
        }

    /// The chosen actions of all episodes that have not ended, one row for each.
    let actionsAt steps =
        let rows = Array.zeroCreate<float32>(going.Length * actionWidth)
        let mutable written = Ok()
        let mutable row = 0

        while Result.isOk written && row < going.Length do
            written <- writeAction steps rows row
            row <- row + 1

        written |> Result.map (fun () -> rows)

    /// Moves the episodes on by their transitions. The first reward that is not valid is a fault.
    let moveOn (steps: int64) (following: Transition<'State>[]) =
        let mutable moved = Ok()

        for row in 0 .. going.Length - 1 do
            let episode = going[row]
            let next = following[row]
            states[episode] <- next.State
            totals[episode] <- totals[episode] + next.Reward
            lengths[episode] <- int steps

            if Result.isOk moved && not (Environment.isValidReward next.Reward) then
                moved <- Error(Environment.rewardFault environment (first + episode) steps next.Reward)

        let isOver row = following[row].Terminated || following[row].Truncated

        going <-
            [| for row in 0 .. going.Length - 1 do
                   if not (isOver row) then
                       going[row] |]

        moved

    /// The step number `steps`, counted from 0, of all episodes that have not ended.
    let advance steps =
        result {
            if steps >= maxSteps then
                return! Error(EndlessEpisode(environment.Id, steps))

            let! rows = actionsAt steps
            let keys = going |> Array.map (fun episode -> Key.at steps stepKeys[episode])
            let before = going |> Array.map (Array.get states)
            let! following = attempt going (steps + 1L) (fun () -> batch.Step(keys, rows, before))
            return! moveOn (steps + 1L) following
        }

    let playFrom start =
        states <- start
        let mutable played = Ok()
        let mutable steps = 0L

        try
            while Result.isOk played && going.Length > 0 do
                cancellation.ThrowIfCancellationRequested()
                played <- advance steps
                steps <- steps + 1L
        finally
            for episode in going do
                Releasable.release states[episode]

        played
        |> Result.map (fun () -> Array.map2 (fun total length -> { Return = total; Length = length }) totals lengths)

    /// Plays the episodes to their ends. If they are abandoned before, their last states are released.
    member _.Play() =
        attempt going 0L (fun () -> batch.Reset(keys |> Array.map (Key.named "reset")))
        |> Result.bind playFrom
