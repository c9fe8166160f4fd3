/// Files from strangers, of every kind that FunTrpo reads: a whole one, how it is changed, and what must hold when it is read. `FuzzTests`
/// changes them at random, and tests/fuzz guided by the code that they reach.
module FunTrpo.Tests.HostileFiles

open System
open System.Diagnostics
open System.IO
open System.Text
open System.Text.RegularExpressions
open Expecto
open FunTrpo
open FunTrpo.Cli
open FunTrpo.Plots
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks
open FunTrpo.Tests.TestFiles
open FunTrpo.Tests.FileChanges

type Kind =
    {
        Name: string
        /// A file that loads.
        Original: Lazy<byte[]>
        /// The bytes after a random change that keeps their form, if they have it.
        Change: Random -> byte[] -> byte[]
        /// The bytes with checksums that fit, if they have the form of such a file.
        Seal: byte[] -> byte[]
        /// Reads the file at a path. What loads acts finitely.
        Read: string -> Result<unit, Fault>
        /// What the reason of a `Damaged` must look like.
        Reason: Regex
    }

let private anyReason = Regex "."

// ---- Checkpoints ----

/// Acts, if the observation is one of the space. The action is finite, or it is said that there is none.
let private act (actor: Actor) (observation: Vector) =
    if Space.isValidObservation actor.Policy.ObservationSpace observation.Span then
        try
            let action = InferencePolicy(actor).Act observation
            Expect.isTrue (Vector.isFinite action) "the action is finite"
        with :? ArithmeticException ->
            ()

let private checkpoint name (environment: Environment<'State>) configuration =
    let setup = lazy (setupOf 1 configuration environment)
    let state = lazy (iterations 2 setup.Value (TrainingState.start setup.Value 1L) |> last)

    let original =
        lazy
            (inFolder (fun folder ->
                let path = Path.Combine(folder, "checkpoint")
                Checkpoint.save path setup.Value "{}" state.Value |> expectOk
                File.ReadAllBytes path))

    let read path =
        Checkpoint.load path setup.Value
        |> Result.map (fun checkpoint ->
            let observation = Environment.observation environment state.Value.Instances[0].State
            act (TrainingState.actor setup.Value checkpoint.State) observation)

    { Name = $"checkpoint of {name}"
      Original = original
      Change = changeSection
      Seal = sealCheckpoint
      Read = read
      Reason = Regex @"^(section [a-z ]+|header|the end), byte \d+: ." }

// ---- Policies ----

/// What can be wrong with a policy file as a whole.
let private ofTheWhole =
    String.concat
        "|"
        [ "it is empty"
          "it is not text"
          "it is not a FunTrpo policy"
          "it has version"
          "it is not what was saved"
          "it has an architecture twice"
          "it has a property twice"
          @"it has no \w+$"
          "it has .* hidden layers"
          "its network needs"
          "it gives no finite action" ]

let private policy name (observationSpace: Space) actionSpace architecture isNormalised =
    let original =
        lazy
            (let policy = Policy.create architecture -0.5 true observationSpace actionSpace
             let width = Space.width observationSpace

             let normaliser =
                 if isNormalised then
                     Standardise(Moments.create 9.0 (Seq.init width float) (Seq.init width (fun i -> float i + 1.0)))
                 else
                     Unnormalised

             let parameters = policy.Network.Initialise(Key.ofSeed 1L)
             let actor = { Policy = policy; Parameters = parameters; Normaliser = normaliser }
             Encoding.UTF8.GetBytes(PolicyFile.print { Environment = name; Actor = actor }))

    let read path =
        PolicyFile.load path
        |> Result.map (fun saved -> act saved.Actor (Space.sample saved.ObservationSpace (Key.ofSeed 2L)))

    { Name = $"policy of {name}"
      Original = original
      Change = changeTree
      Seal = sealPolicy
      Read = read
      Reason = Regex $@"\(line \d+, byte \d+\)|^({ofTheWhole})" }

// ---- The other files of a run ----

/// The header and three lines of progress.csv.
let private progress = Encoding.UTF8.GetBytes "iteration,steps\n1,10\n2,20\n3,30\n"

/// Goes on with the lines of two iterations, as `resume` does.
let private readProgress (path: string) =
    let folder = Path.GetDirectoryName path
    let file = Path.Combine(folder, "progress.csv")
    File.Move(path, file, true)

    RunFolder.prepare folder
    |> Result.map (fun run ->
        use run = run
        run.Do(RunFolder.Continue("progress.csv", "iteration,steps", 2))
        run.Do(RunFolder.Append("progress.csv", "3,30"))
        let lines = File.ReadAllText(file).Split '\n'
        Expect.equal (lines[0], Array.last lines) ("iteration,steps", "") "the first and the last line"
        Expect.equal lines[lines.Length - 2] "3,30" "the new line"

        for line in lines[1 .. lines.Length - 3] do
            Expect.contains [ "1"; "2" ] (line.Split(',')[0]) "the iteration of a line")

let private options folder : Run.Options =
    { Seed = 1L
      Steps = 50L
      StopAt = Some 2.5
      SolvedAt = None
      EnvironmentFrom = Some "x.dll"
      Folder = folder
      SaveEvery = TimeSpan.FromHours 1.0
      CheckpointEvery = Some 3
      Evaluation = Some { Every = 20L; Episodes = 1; StopAt = Some 1e9; Patience = Some 9 }
      Threads = 1
      Workers = None
      Configuration = small
      Preset = small
      IsLive = false
      HasReport = false
      HasEvents = false
      StartedFrom = Some "0123" }

/// The bytes of the files of a run.
let private written =
    lazy
        (inFolder (fun folder ->
            use output = new StringWriter()
            Train.run (options folder) None CartPole.environment output output |> ignore
            Map [ for path in Directory.GetFiles folder -> Path.GetFileName path, File.ReadAllBytes path ]))

let private start = lazy (TrainingState.start (setupOf 1 small CartPole.environment) 1L)

/// What the command keeps beside the state of a checkpoint.
let private note =
    lazy
        (let best = { Iteration = 1; Steps = 20L; Deterministic = 9.5; Sampled = 9.0 }
         let position = { Run.start start.Value with Evaluations = { Best = Some best; SinceBest = 2 } }
         Encoding.UTF8.GetBytes(Run.note (options "run") position))

let private readNote path =
    let checkpoint = { State = start.Value; Note = File.ReadAllText path }
    Run.positionOf path checkpoint |> Result.map ignore

/// The configuration of a run, as `resume` and `train --config` read it.
let private readSettings path =
    RunSettings.read path
    |> Result.bind (fun settings -> Arguments.fields Configuration.standard settings.Fields)
    |> Result.map ignore

let private readSummary path = RunSummary.read path |> Result.map ignore

/// The tables of a run, as the report reads them.
let private readTable parse (path: string) =
    RunFiles.tryText (Path.GetDirectoryName path) (Path.GetFileName path)
    |> Option.get
    |> parse path
    |> Result.map ignore

/// Who finds the folder locked reads who holds it.
let private readOwner (path: string) =
    let folder = Path.GetDirectoryName path

    RunFolder.prepare folder
    |> Result.map (fun run ->
        use _ = run
        File.Move(path, Path.Combine(folder, ".owner"), true)

        match RunFolder.prepare folder with
        | Error(InvalidSetting _ as fault) ->
            Expect.all (Fault.message fault) (Char.IsControl >> not) "no control character"
        | other -> failtest $"%A{other}")

/// What the facade keeps beside the state of a checkpoint, and reads.
let private seedNote = lazy (Encoding.UTF8.GetBytes(FunTrpo.CSharp.SavedSeed.Note 7L))

let private readSeed path =
    let seed = FunTrpo.CSharp.SavedSeed.Of(File.ReadAllText path)
    if seed.HasValue then Ok() else Error(Damaged(path, "it has no seed"))

let private runFile name original change read =
    { Name = name; Original = original; Change = change; Seal = id; Read = read; Reason = anyReason }

/// A file of a run as it was written.
let private ofRun name file change read = runFile name (lazy written.Value[file]) change read

/// Mutable simulators, whose states are kept as replay points.
let private walks =
    Simulator.environment (fun () -> CheckpointTests.Walk()) |> Environment.withTimeLimit 30

let private box width = Space.box width -1.0 1.0
let private dense units activation = HiddenLayer.Dense(units, activation)
let private mixed = [ dense 3 Activation.Tanh; dense 2 Activation.Relu ]

/// All kinds: each form of states, each family of distributions, each form of an architecture, with a normaliser and without.
let kinds =
    [ checkpoint "CartPole-v1" CartPole.environment small
      checkpoint "Pendulum-v1 with Adam" Pendulum.environment { small with Critic = CriticKind.Adam }
      checkpoint
          "CartPole-v1 without normalisers"
          CartPole.environment
          { small with NormaliseObservations = false; NormaliseReturns = false }
      checkpoint "records of arrays and lists" CheckpointTests.board small
      checkpoint "mutable simulators" walks small
      policy "one choice" (box 4) (Discrete 2) (Architecture.uniform [ 3 ] Activation.Tanh) true
      policy "several choices" (box 2) (MultiDiscrete [ 3; 2 ]) mixed false
      policy "switches" (MultiBinary 3) (MultiBinary 2) (Architecture.uniform [ 3; 3 ] Activation.Relu) true
      policy "numbers" (box 3) (box 2) mixed true
      policy "numbers without layers" (box 2) (box 1) [] false
      policy "indices" (Discrete 5) (Discrete 3) (Architecture.uniform [ 4 ] Activation.Tanh) false
      policy "several indices" (MultiDiscrete [ 2; 3 ]) (box 1) mixed false
      ofRun "config.json" "config.json" changeTree readSettings
      ofRun "summary.json" "summary.json" changeTree readSummary
      ofRun "evaluations.csv" "evaluations.csv" changes (readTable EvaluationPoint.ofCsv)
      ofRun "progress.csv of a report" "progress.csv" changes (readTable Progress.ofCsv)
      runFile "note of a checkpoint" note changeTree readNote
      runFile "note of the facade" seedNote changeTree readSeed
      runFile "progress.csv" (lazy progress) changes readProgress
      runFile ".owner" (lazy "process 1 on a machine"B) changes readOwner ]

// ---- What must hold ----

/// A changed file: any bytes, or a changed value with checksums that fit.
let changed (random: Random) kind =
    if random.Next 3 = 0 then
        changes random kind.Original.Value
    else
        kind.Seal(kind.Change random kind.Original.Value)

/// More than a second, because the machine may be busy.
let private limit = TimeSpan.FromSeconds 5.0

/// Reads the bytes as a file at the path. It takes less than a second and ten times the memory of the file, and throws nothing. Returns whether
/// the file loads.
let expectHarmless kind name (path: string) (bytes: byte[]) =
    File.WriteAllBytes(path, bytes)
    let clock = Stopwatch.StartNew()
    let before = GC.GetAllocatedBytesForCurrentThread()

    let result =
        try
            kind.Read path
        with error ->
            failtest $"{name}: {error}"

    let allocated = GC.GetAllocatedBytesForCurrentThread() - before
    // A load of the smallest file takes some memory, too: for the networks and for messages.
    Expect.isLessThan allocated (10L * int64 bytes.Length + 2_000_000L) $"{name}: memory for {bytes.Length} bytes"

    // The machine may have been busy.
    if clock.Elapsed > limit then
        clock.Restart()
        kind.Read path |> ignore

    Expect.isLessThan clock.Elapsed limit $"{name}: time"

    match result with
    | Error(Damaged(_, why)) ->
        Expect.isTrue (kind.Reason.IsMatch why) $"{name}: the reason {why} says where"
        false
    | Ok()
    | Error(Mismatch _ | InvalidSetting _) -> result.IsOk
    | Error fault -> failtest $"{name}: %A{fault}"
