/// `funtrpo train`: the fold, shown line by line and kept in files.
module FunTrpo.Cli.Train

open System
open System.Diagnostics
open System.IO
open FunTrpo

type Options =
    {
        Seed: int64
        /// Environment steps at most.
        Steps: int64
        /// The mean return of the last 100 episodes at which training stops early.
        StopAt: float option
        /// The mean return of the last 100 episodes at which the run counts as solved.
        SolvedAt: float
        Folder: string
        Threads: int
        Configuration: Configuration
        /// A policy to start from.
        From: SavedPolicy option
    }

let private header =
    "    steps     return         KL      gain  cg  residual  tries  explained  entropy    steps/s"

let private line (report: Report) (steps: int64) seconds =
    let improvement = report.Improvement

    let mean =
        match report.MeanReturn with
        | Some mean -> $"{mean, 10:F2}"
        | None -> "         –"

    let conjugateGradient =
        match improvement.Solution with
        | Some solution -> $"{solution.Iterations, 3} {solution.Residual, 9:E1}"
        | None -> "  –         –"

    let tries =
        match improvement.Outcome with
        | Moved(_, tries) -> $"{tries, 6}"
        | LineSearchFailed _ -> "failed"
        | NoGradient
        | NoCurvature -> "  none"

    let comparison = improvement.Comparison

    $"{report.Steps, 9} {mean} {comparison.MeanKl, 10:F5} {comparison.Gain, 9:F4} {conjugateGradient} {tries} {report.ExplainedVariance, 10:F3} {comparison.Entropy, 8:F3} {float steps / seconds, 10:F0}"

/// Runs the iterations until the steps or the goal are reached, or a fault ends them, or the user does. Returns the exit code.
let run (options: Options) (environment: Environment<'State>) (output: TextWriter) (errors: TextWriter) =
    let configuration = options.Configuration

    let begun =
        Training.setup options.Threads configuration environment
        |> Result.bind (fun setup ->
            match options.From with
            | Some saved -> Training.startFrom setup options.Seed saved.Actor |> Result.map (fun state -> setup, state)
            | None -> Ok(setup, Training.start setup options.Seed))
        |> Result.bind (fun begun -> RunFiles.prepare options.Folder |> Result.map (fun _ -> begun))

    match begun with
    | Error fault ->
        errors.WriteLine(Fault.message fault)
        2
    | Ok(setup, initial) ->
        let clock = Stopwatch.StartNew()
        use progress = new RunFiles.Progress(options.Folder)

        RunFiles.writeConfiguration
            options.Folder
            environment.Id
            options.Seed
            options.Steps
            options.StopAt
            configuration

        let hasReached goal (state: State<'State>) =
            state.RecentReturns.Length >= Training.window && Seq.average state.RecentReturns >= goal

        let save solved (state: State<'State>) =
            RunFiles.writePolicy
                options.Folder
                { Environment = environment.Id
                  ObservationWidth = Space.width environment.ObservationSpace
                  ActionSpace = environment.ActionSpace
                  Architecture = Configuration.policyArchitecture configuration
                  Actor = Training.actor setup state }

            RunFiles.writeSummary
                options.Folder
                { Environment = environment.Id
                  Seed = options.Seed
                  Steps = state.Steps
                  Iterations = state.Iteration
                  Episodes = state.Episodes
                  MeanReturn100 = Training.meanReturn state
                  BestMeanReturn100 = state.BestMeanReturn
                  Solved = solved
                  WallSeconds = Math.Round(clock.Elapsed.TotalSeconds, 3)
                  ParametersSha256 = PolicyFile.sha256 state.PolicyParameters }

        let mutable interrupted = false

        use _ =
            let handler =
                ConsoleCancelEventHandler(fun _ arguments ->
                    // The iteration at hand is finished and saved; a second Ctrl-C ends the process at once.
                    arguments.Cancel <- not interrupted
                    interrupted <- true)

            Console.CancelKeyPress.AddHandler handler

            { new IDisposable with
                member _.Dispose() = Console.CancelKeyPress.RemoveHandler handler }

        let mutable state = initial
        let mutable solved = false
        let mutable fault = None
        let mutable saved = TimeSpan.Zero
        let mutable before = clock.Elapsed

        let isOver () =
            fault.IsSome
            || interrupted
            || (match options.StopAt with
                | Some goal -> hasReached goal state
                | None -> false)

        output.WriteLine
            $"{environment.Id}: seed {options.Seed}, {configuration.Environments} environments × {configuration.Horizon} steps an iteration, policy of {initial.PolicyParameters.Length} parameters"

        use iterations = (Training.runFor options.Steps setup initial).GetEnumerator()

        while not (isOver ()) && iterations.MoveNext() do
            match iterations.Current with
            | Error found -> fault <- Some found
            | Ok(next, report) ->
                let steps = next.Steps - state.Steps
                let now = clock.Elapsed
                let seconds = (now - before).TotalSeconds
                before <- now
                state <- next
                solved <- solved || hasReached (defaultArg options.StopAt options.SolvedAt) state

                if (report.Iteration - 1) % 25 = 0 then
                    output.WriteLine header

                output.WriteLine(line report steps seconds)
                progress.Write report steps seconds

                if now - saved > TimeSpan.FromSeconds 1.0 then
                    save solved state
                    saved <- now

        save solved state

        let mean =
            match Training.meanReturn state with
            | Some mean -> $"{mean:F2}"
            | None -> "unknown (no episode has finished)"

        let verdict = if solved then $"{environment.Id} is solved" else $"{environment.Id} is not solved"

        output.WriteLine
            $"{verdict}: mean return {mean} over the last {state.RecentReturns.Length} episodes, after {state.Steps} steps and {clock.Elapsed.TotalSeconds:F1} s"

        output.WriteLine $"The policy and the progress are in {options.Folder}"

        match fault with
        | Some fault ->
            errors.WriteLine $"Training stopped after iteration {state.Iteration}: {Fault.message fault}"
            1
        | None -> if interrupted then 130 else 0
