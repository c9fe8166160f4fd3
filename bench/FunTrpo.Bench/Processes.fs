namespace FunTrpo.Bench

open System
open System.Diagnostics
open System.Globalization
open System.IO
open System.Text.Json

/// Runs the programs that are measured from the start of their process: the command `funtrpo`, and the PyTorch script (the peer).
module Processes =

    /// The folder of the solution, which is above the folder of this program.
    let root =
        AppContext.BaseDirectory
        |> Seq.unfold (fun folder ->
            if isNull folder then None else Some(folder, Path.GetDirectoryName(folder: string)))
        |> Seq.find (fun folder -> File.Exists(Path.Combine(folder, "FunTrpo.sln")))

    let private inRoot parts = Path.Combine(Array.append [| root |] parts)

    /// Runs a program until it ends. Returns its exit code, output and errors, or None if it cannot be started.
    let private tryRun (program: string) (arguments: string list) (settings: (string * string) list) =
        let start =
            ProcessStartInfo(program, arguments, RedirectStandardOutput = true, RedirectStandardError = true)

        for name, value in settings do
            start.Environment[name] <- value

        try
            use child = Process.Start start
            let errors = child.StandardError.ReadToEndAsync()
            let output = child.StandardOutput.ReadToEnd()
            child.WaitForExit()
            Some(child.ExitCode, output, errors.Result)
        with :? ComponentModel.Win32Exception ->
            None

    // ---- The command ----

    let private command =
        inRoot [| "bin"; (if OperatingSystem.IsWindows() then "funtrpo.exe" else "funtrpo") |]

    /// Trains CartPole with the command until it is solved. Returns the seconds from the start of the process to its end, or None if the
    /// command is not built or did not solve CartPole.
    let solveCartPole seed =
        let folder = Path.Combine(Path.GetTempPath(), $"funtrpo-bench-{Environment.ProcessId}")

        let arguments =
            [ "train"
              "--env"
              "CartPole-v1"
              "--stop-at"
              "475"
              "--seed"
              string seed
              "--no-report"
              "--out"
              folder ]

        let mutable outcome = None
        let seconds = Timing.seconds (fun () -> outcome <- tryRun command arguments [])

        if Directory.Exists folder then
            Directory.Delete(folder, true)

        match outcome with
        | Some(0, output, _) when output.Contains "is solved" -> Some seconds
        | _ -> None

    // ---- The peer ----

    let private script = inRoot [| "bench"; "peers"; "peer.py" |]

    let private ddpgScript = inRoot [| "bench"; "peers"; "ddpg.py" |]

    /// The folder, on Debian, of the OpenBLAS that uses the number of threads that PyTorch sets.
    let private openBlas = "/usr/lib/x86_64-linux-gnu/openblas-openmp"

    /// The environment variables that make PyTorch fastest: OpenBLAS instead of the reference BLAS, AVX-512 if the processor has it
    /// (OpenBLAS does not recognise newer processors), and an allocator that keeps memory instead of returning it after each operation.
    let private settings =
        [ if Directory.Exists openBlas then
              "LD_LIBRARY_PATH", openBlas
          if Machine.vectorBits = 512 then
              "ATEN_CPU_CAPABILITY", "avx512"
              "OPENBLAS_CORETYPE", "SKYLAKEX"
          "MALLOC_MMAP_THRESHOLD_", "4294967296"
          "MALLOC_TRIM_THRESHOLD_", "8589934592"
          "MALLOC_TOP_PAD_", "67108864" ]

    /// The name of a Python that can import torch, or None.
    let private python =
        lazy
            ([ "python3"; "/usr/bin/python3"; "python" ]
             |> List.tryFind (fun program ->
                 match tryRun program [ "-c"; "import torch" ] settings with
                 | Some(0, _, _) -> true
                 | _ -> false))

    /// Whether there is a peer to compare with.
    let hasPeer () = python.Value.IsSome

    let private invariant (number: float) = number.ToString("R", CultureInfo.InvariantCulture)

    let private runScript arguments =
        python.Value
        |> Option.map (fun python ->
            match tryRun python arguments settings with
            | Some(0, output, _) -> JsonDocument.Parse(output).RootElement
            | Some(_, _, errors) -> failwith $"The peer failed:\n{errors}"
            | None -> failwith $"{python} could not be started")

    let private runPeer arguments =
        let started =
            float (DateTimeOffset.UtcNow - DateTimeOffset.UnixEpoch).Ticks / float TimeSpan.TicksPerSecond

        runScript (script :: "--started" :: invariant started :: arguments)

    /// Returns the seconds from the start of the peer's process until it has imported its packages, or None without a peer.
    let peerImport () = runPeer [ "--imports-only" ] |> Option.map _.GetProperty("importSeconds").GetDouble()

    /// The options of the peer for a network of dense layers.
    let optionsOfShape shape =
        [ "--shape"
          Shape.unitsText shape
          "--family"
          Shape.familyText shape
          "--batch"
          string shape.Batch ]

    /// The options of the peer for a network that an architecture describes.
    let optionsOfArchitecture (shape: ArchitectureShape) =
        [ "--observation"
          shape.Observation |> List.map string |> String.concat "x"
          "--architecture"
          shape.Architecture
          "--actions"
          string shape.Actions
          "--batch"
          string shape.Batch
          if ArchitectureShape.hasMemory shape then
              "--sequences"
              string shape.Sequences ]

    /// Returns the fastest time of the peer, in seconds, for each named part (product, actor, critic, update) of an update of a network, and the
    /// most memory that its process had, in bytes. The fastest time is used so that no disturbance counts against the peer. Each part is
    /// measured for about `seconds`.
    let peerTimesAndMemory threads seconds names network =
        runPeer (
            network
            @ [ "--threads"
                string threads
                "--products"
                string Subjects.products
                "--evaluations"
                string Subjects.evaluations
                "--epochs"
                string Subjects.epochs
                "--minibatch"
                string Subjects.minibatch
                "--seconds"
                invariant seconds
                "--measure"
                String.concat "," names ]
        )
        |> Option.map (fun results ->
            let milliseconds = results.GetProperty "milliseconds"

            names
            |> List.map (fun (name: string) -> milliseconds.GetProperty(name).GetProperty("minimum").GetDouble() / 1e3),
            results.GetProperty("peakBytes").GetDouble())

    /// Returns the fastest time of a training step of DDPG by its peer, in seconds, in the faster of two forms.
    let peerDdpg (threads: int) seconds (shape: DdpgShape) =
        runScript
            [ ddpgScript
              "--observation"
              string DdpgSteps.observationWidth
              "--actions"
              string DdpgSteps.actionWidth
              "--rows"
              string DdpgSteps.rows
              "--hidden"
              $"{shape.Units},{shape.Units}"
              "--batch"
              string shape.Batch
              "--threads"
              string threads
              "--seconds"
              invariant (seconds / 2.0) ]
        |> Option.map (fun results -> results.GetProperty("step").GetDouble() / 1e3)

    /// Returns these times alone.
    let peerTimes threads seconds names network = peerTimesAndMemory threads seconds names network |> Option.map fst

    // ---- This program ----

    /// The first argument of the process that makes one update of the paper's network for Atari.
    let framesCommand = "frames"

    /// Makes one update of a network on so many frames in another process of this program. Returns the seconds of the update, and the most
    /// memory that the process had, in bytes.
    let updateOfFrames (threads: int) (frames: int) =
        let program = Path.ChangeExtension(Reflection.Assembly.GetExecutingAssembly().Location, null)
        let program = if OperatingSystem.IsWindows() then program + ".exe" else program

        match tryRun program [ framesCommand; string threads; string frames ] [] with
        | Some(0, output, _) ->
            match output.Split() with
            | [| seconds; bytes; "" |] ->
                Double.Parse(seconds, CultureInfo.InvariantCulture), Double.Parse(bytes, CultureInfo.InvariantCulture)
            | _ -> failwith $"A process that makes one update answered: {output}"
        | Some(_, _, errors) -> failwith $"The update of {frames} frames failed:\n{errors}"
        | None -> failwith $"{program} could not be started"
