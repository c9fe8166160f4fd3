/// A run's folder holds what fits together, whenever the run ends.
module FunTrpo.Tests.RunFilesTests

open System
open System.Collections.Generic
open System.Diagnostics
open System.IO
open System.Runtime.InteropServices
open System.Text
open System.Text.Json.Nodes
open System.Threading
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Plots
open FunTrpo.Cli
open FunTrpo.Cli.RunFolder
open FunTrpo.Cli.RunWrites
open FunTrpo.Tests.Generators
open FunTrpo.Tests.TestFiles
open FunTrpo.Tests.Tasks
open FunTrpo.Tests.CommandRuns

// ---- What runs leave, said twice ----

/// A folder as a value: its files and what they hold.
type private Files = Map<string, string>

/// What a write does to a folder, said without files.
let private apply (files: Files) write =
    match write with
    | Remove name -> Map.remove name files
    | RemoveAll(folder, _) -> files |> Map.filter (fun name _ -> not (name.StartsWith(folder + "/")))
    | Replace(name, content) -> Map.add name content files
    | Start(file, line) -> Map.add file (line + "\n") files
    | Append(file, line) -> Map.add file (files[file] + line + "\n") files
    | Continue(file, header, iterations) ->
        let lines = (files |> Map.tryFind file |> Option.defaultValue "").Split('\n') |> List.ofArray

        let kept =
            lines
            |> List.filter (fun line ->
                line <> "" && Char.IsAsciiDigit line[0] && int (line.Split(',')[0]) <= iterations)

        Map.add file (header :: kept |> List.map (fun line -> line + "\n") |> String.concat "") files

/// The files of a folder on disk, but for the one that says that a run is there.
let private filesOf folder : Files =
    Map
        [ for path in Directory.GetFileSystemEntries folder do
              if not (List.contains (Path.GetFileName path) [ ".running"; ".owner" ]) then
                  Path.GetFileName path, File.ReadAllText path ]

let private small =
    { Registry.all.Head.Preset with
        Environments = 2
        Horizon = 16
        Hidden = [ 64; 64 ]
        CriticHidden = [ 4 ] }

let private setup = lazy (setupOf 1 small CartPole.environment)

/// A run by its seed: what its states are, one after another, as training gives them when nothing is written.
type private Run(seed: int64) =
    let mutable last = 0

    let states =
        let start = TrainingState.start setup.Value seed

        Seq.append (Seq.singleton start) (Training.run setup.Value start |> Seq.map (expectOk >> fst))
        |> Seq.map (fun state -> Sha256.ofParameters state.PolicyParameters, state.Steps, state.Episodes)
        |> Seq.cache

    member _.Seed = seed

    member _.State(iteration: int) =
        last <- max last iteration
        Seq.item iteration states

    /// Whether it is the policy of a state that has been asked for, or of the first one.
    member _.HasPolicy sha = states |> Seq.truncate (last + 1) |> Seq.exists (fun (known, _, _) -> known = sha)

/// What must hold of a folder at any moment, when these are the runs that have written to it: all files are whole and of one of
/// them, and where there is a summary it speaks of all of them.
let private expectFitting (runs: Run list) (files: Files) =
    let tryFind name read = Map.tryFind name files |> Option.map read
    let object (text: string) = JsonNode.Parse(text).AsObject()
    let config = tryFind "config.json" object
    let summary = tryFind "summary.json" object

    let policy =
        tryFind "policy.json" (PolicyFile.parse "policy.json" >> expectOk >> _.Actor.Parameters >> Sha256.ofParameters)

    let rows =
        tryFind "progress.csv" (fun text ->
            Expect.isTrue (text.EndsWith '\n') "the last line of progress.csv is whole"
            let lines = text.TrimEnd('\n').Split '\n' |> Array.map _.Split(',')
            Expect.all lines (fun line -> line.Length = lines[0].Length && line.Length > 15) "lines of progress.csv"
            Array.tail lines)

    let isOf (run: Run) =
        let hasRow (row: string[]) =
            let _, steps, episodes = run.State(int row[0])
            row[1] = string steps && row[2] = string episodes

        Option.forall (fun config -> get<int64> "seed" config = run.Seed) config
        && Option.forall (fun summary -> get<int64> "seed" summary = run.Seed) summary
        && Option.forall (Array.indexed >> Array.forall (fun (i, row: string[]) -> row[0] = string (i + 1))) rows
        && Option.forall (Array.forall hasRow) rows
        && Option.forall run.HasPolicy policy

    match List.filter isOf runs with
    | [] ->
        failtest
            $"the files are of no run alone: {files |> Map.map (fun _ text -> text.Substring(0, min 80 text.Length))}"
    | run :: _ ->
        match summary with
        | None -> ()
        | Some summary ->
            let iterations = get<int> "iterations" summary
            let sha, steps, episodes = run.State iterations
            Expect.isSome config "a config.json beside the summary"
            Expect.equal policy (Some sha) "the policy of the summary's iteration"
            Expect.equal (get<string> "parametersSha256" summary) sha "the parameters that the summary names"
            Expect.equal (get<int64> "steps" summary, get<int64> "episodes" summary) (steps, episodes) "its numbers"
            Expect.isGreaterThanOrEqual (defaultArg rows [||]).Length iterations "lines of progress.csv"

let private optionsFor folder seed saveEvery steps : Run.Options =
    { Seed = seed
      Steps = steps
      StopAt = None
      SolvedAt = Some 1e9
      EnvironmentFrom = None
      Folder = folder
      SaveEvery = saveEvery
      CheckpointEvery = None
      Evaluation = None
      Threads = 1
      Workers = None
      Configuration = small
      Preset = small
      IsLive = false
      HasReport = false
      HasEvents = false
      StartedFrom = None }

/// All that a run of so many iterations writes.
let private writesOf seed saveEvery iterations =
    let writes = List<Write>()
    let options = optionsFor "" seed saveEvery (int64 (32 * iterations))
    let state = TrainingState.start setup.Value seed

    use interruption = new Interruption()

    let code =
        Train.runFromStart
            interruption
            options
            setup.Value
            state
            writes.Add
            (fun _ -> Ok())
            TextWriter.Null
            TextWriter.Null

    Expect.equal code 0 "exit code"
    List.ofSeq writes

let private policies writes =
    [ for write in writes do
          match write with
          | Replace("policy.json", text) -> Sha256.ofParameters (PolicyFile.parse "" text |> expectOk).Actor.Parameters
          | _ -> () ]

let private sequence =
    [ test "fits together after each of them, in a folder that is empty and in one that another run has left" {
          let first, second = Run 1L, Run 2L
          let firstWrites, secondWrites = writesOf 1L TimeSpan.Zero 3, writesOf 2L TimeSpan.Zero 3
          let moments = List.scan apply Map.empty (firstWrites @ secondWrites)
          Expect.isGreaterThan moments.Length 25 "moments"

          for i, files in List.indexed moments do
              expectFitting (if i <= firstWrites.Length then [ first ] else [ first; second ]) files

          // What was there of a policy is there, and all is there at both ends.
          for before, after in List.pairwise moments do
              Expect.isTrue (after.ContainsKey "policy.json" || not (before.ContainsKey "policy.json")) "a policy"

          for ending in [ moments[firstWrites.Length]; List.last moments ] do
              Expect.equal
                  (List.ofSeq ending.Keys)
                  [ "config.json"; "policy.json"; "progress.csv"; "summary.json" ]
                  "all files"
      }

      // The same as a statement about the statement: what the order forbids is seen.
      test "would not, in another order" {
          let writes = writesOf 1L TimeSpan.Zero 2
          let files = List.fold apply Map.empty writes

          for write in writesOf 1L TimeSpan.Zero 1 |> List.filter (fun write -> write <> Remove "summary.json") do
              match write with
              | Replace("policy.json", _) ->
                  Expect.throws
                      (fun () -> expectFitting [ Run 1L ] (apply files write))
                      "a policy of another iteration beside the summary"
              | _ -> ()

          Expect.throws (fun () -> expectFitting [ Run 2L ] files) "another run"
          let half = files["progress.csv"].Substring(0, files["progress.csv"].Length - 9)
          Expect.throws (fun () -> expectFitting [ Run 1L ] (Map.add "progress.csv" half files)) "half a line"
      }

      test "saves the policy of every iteration, of the first and the last, or whenever so much time has passed" {
          let run = Run 3L
          let shas = [ for i in 0..5 -> (let sha, _, _ = run.State i in sha) ]
          Expect.equal (policies (writesOf 3L TimeSpan.Zero 5)) (shas @ [ shas[5] ]) "every iteration"
          Expect.equal (policies (writesOf 3L (TimeSpan.FromHours 1.0) 5)) [ shas[0]; shas[5] ] "the ends"
      }

      testProperty "on disk does what it says, and leaves nothing else"
      <| fun (steps: (byte * NonNull<string>) list) ->
          inFolder (fun folder ->
              use held = prepare folder |> expectOk
              let names = [| "policy.json"; "evaluations.csv"; "progress.csv"; "summary.json" |]
              let isTable (name: string) = name.EndsWith ".csv"

              let line (text: string) =
                  String [| for c in text -> if Char.IsSurrogate c || Char.IsControl c then '.' else c |]

              let mutable files = Map.empty

              for kind, NonNull text in steps do
                  let name = names[int kind / 4 % 4]

                  let write =
                      match kind % 4uy with
                      | 0uy -> Remove name
                      | 1uy when not (isTable name) -> Replace(name, line text)
                      | 2uy when isTable name && files.ContainsKey name -> Append(name, line text)
                      | _ when isTable name -> Start(name, line text)
                      | _ -> Remove name

                  held.Do write
                  files <- apply files write
                  Expect.equal (filesOf folder) files "the folder") ]

// ---- Names that stand for something else ----

let private train folder steps =
    let options = optionsFor folder 1L (TimeSpan.FromHours 1.0) steps
    use output = new StringWriter()
    use errors = new StringWriter()
    let code = Train.run options None CartPole.environment output errors
    code, string errors

let private isRegular path = isNull (FileInfo(path).LinkTarget) && (File.ReadAllText path).Length > 0

let private names =
    [ inNewFolder "links to what lies outside are replaced, and not followed" (fun folder ->
          let outside = Path.Combine(folder, "outside")
          let run = Directory.CreateDirectory(Path.Combine(folder, "run")).FullName
          File.WriteAllText(outside, "kept")

          for name in [ "progress.csv"; "config.json"; "summary.json"; ".running" ] do
              File.CreateSymbolicLink(Path.Combine(run, name), outside) |> ignore

          Expect.equal (train run 64L) (0, "") "it trains"
          Expect.equal (File.ReadAllText outside) "kept" "the file outside"

          for name in [ "progress.csv"; "config.json"; "summary.json" ] do
              Expect.isTrue (isRegular (Path.Combine(run, name))) name

          expectFitting [ Run 1L ] (filesOf run))

      if not (RuntimeInformation.IsOSPlatform OSPlatform.Windows) then
          inNewFolder "pipes, sockets and devices are refused, before anything is changed" (fun folder ->
              withStrangeFiles folder (fun kinds ->
                  for name in [ "progress.csv"; "config.json"; "summary.json"; "policy.json"; ".running" ] do
                      for kind in kinds do
                          let run = Directory.CreateDirectory(Path.Combine(folder, $"{kind}-{name}")).FullName
                          let path = Path.Combine(run, name)
                          File.CreateSymbolicLink(path, Path.Combine(folder, kind)) |> ignore
                          let ended = System.Threading.Tasks.Task.Run(fun () -> train run 64L)
                          Expect.isTrue (ended.Wait(TimeSpan.FromMinutes 1.0)) $"{kind}, {name}: it ends"
                          let code, errors = ended.Result
                          Expect.equal code 2 $"{kind}, {name}: exit code"
                          Expect.stringContains errors $"its {name} is no regular file" kind
                          Expect.isTrue (isStrange path) $"{kind}, {name}: it is what it was"
                          Expect.hasLength (Directory.GetFileSystemEntries run) 1 "what was there is there"))

      inNewFolder "folders are refused, before anything is changed" (fun folder ->
          for name in [ "progress.csv"; "config.json"; "summary.json"; "policy.json"; ".running" ] do
              let run = Directory.CreateDirectory(Path.Combine(folder, "of-" + name)).FullName
              File.WriteAllText(Path.Combine(run, "policy.json.backup"), "kept")
              Directory.CreateDirectory(Path.Combine(run, name)) |> ignore
              let code, errors = train run 64L
              Expect.equal code 2 "exit code"
              Expect.stringContains errors name "errors"
              Expect.hasLength (Directory.GetFileSystemEntries run) 2 "what was there is there")

      inNewFolder "what killed runs left unfinished is removed, and nothing else" (fun folder ->
          let at name = Path.Combine(folder, name)

          for name in
              [ "policy.json.0a1b2c3d.x9z"; "progress.csv.abcdefgh.ijk"; "summary.json.aaaaaaaa.bbb"; ".running" ] do
              File.WriteAllText(at name, "half")

          for name in [ "policy.json.backup"; "my-policy.json.0a1b2c3d.x9z"; "notes.txt" ] do
              File.WriteAllText(at name, "kept")

          Expect.equal (train folder 64L) (0, "") "it trains"

          Expect.equal
              (Set(Directory.GetFileSystemEntries folder |> Array.map Path.GetFileName))
              (Set
                  [ "config.json"
                    "policy.json"
                    "progress.csv"
                    "summary.json"
                    "policy.json.backup"
                    "my-policy.json.0a1b2c3d.x9z"
                    "notes.txt" ])
              "the files") ]

// ---- Disks that fill ----

/// A disk with room for so many bytes: it takes as many of them as fit before it refuses.
type private SmallDisk(room: int) =
    inherit MemoryStream()

    override this.Write(bytes: ReadOnlySpan<byte>) =
        let fits = min bytes.Length (room - int this.Length)
        base.Write(bytes.Slice(0, fits))

        if fits < bytes.Length then
            raise (IOException "No space left on device")

let private disks =
    [ testProperty "a line that does not fit leaves the lines before it"
      <| fun (lines: NonNull<string> list) (PositiveInt room) ->
          use disk = new SmallDisk(room)
          let mutable whole = ""

          for NonNull line in lines do
              let line = String [| for c in line -> if Char.IsSurrogate c then '.' else c |]
              let next = whole + line + "\n"

              if Encoding.UTF8.GetByteCount next <= room then
                  addLine disk line
                  whole <- next
              else
                  Expect.throwsT<IOException> (fun () -> addLine disk line) "a full disk"

              Expect.equal (Encoding.UTF8.GetString(disk.ToArray())) whole "the lines"

      if RuntimeInformation.IsOSPlatform OSPlatform.Linux then
          inNewFolder "a run on a disk that fills ends with 1 and an error, and its folder fits together" (fun folder ->
              // The progress reaches 4 KiB.
              let arguments =
                  String.concat " " [ "train --seed 1 --steps 20000 --threads 1 --out"; folder ]
                  + " --set environments=2 --set horizon=16 --set hidden=4 --set criticHidden=4 --set criticSteps=1"

              let ended = funtrpoWithin 8 arguments
              Expect.equal ended.Code 1 $"exit code; {ended.Errors}"
              Expect.stringContains ended.Errors "could not be written" "errors"
              Expect.isFalse (ended.Errors.Contains "   at ") "a stack trace"
              let progress = File.ReadAllText(Path.Combine(folder, "progress.csv"))
              Expect.isGreaterThan progress.Length 3500 "it was full"
              Expect.isTrue (progress.EndsWith '\n') "the last line is whole"
              let summary = json (Path.Combine(folder, "summary.json"))
              let sha = Sha256.ofParameters (loaded folder).Actor.Parameters
              Expect.equal (get<string> "parametersSha256" summary) sha "the policy of the summary"
              let lines = progress.TrimEnd('\n').Split '\n'
              Expect.hasLength lines (1 + get<int> "iterations" summary) "lines") ]

// ---- Processes that are killed ----

/// A run of the command that goes on until it is killed.
let private startLong folder (seed: int64) =
    start
        folder
        [ "train"
          "--seed"
          string seed
          "--steps"
          "1e9"
          "--threads"
          "1"
          "--out"
          "run"
          for set in [ "environments=2"; "horizon=16"; "hidden=64,64"; "criticHidden=4"; "criticSteps=1" ] do
              "--set"
              set ]

/// Waits until it is so; a minute at most.
let private waitFor what isSo =
    let clock = Stopwatch.StartNew()

    while not (isSo ()) do
        if clock.Elapsed > TimeSpan.FromMinutes 1.0 then
            failtest $"{what} did not come"

        Thread.SpinWait 1000

let private summaryOf run =
    try
        Some(json (Path.Combine(run, "summary.json")))
    with :? IOException ->
        None

/// How often the suite kills.
let private kills = 6

let private killed =
    testSequencedGroup
        "processes"
        (testList
            "a killed run"
            [ inNewFolder
                  "leaves a folder that fits together, at whatever moment, and saves while it runs"
                  (fun folder ->
                      let run = Path.Combine(folder, "run")
                      let random = Random()
                      let mutable runs: Run list = []
                      let mutable saved = 0

                      for i in 1..kills do
                          let seed = int64 i
                          use command = startLong folder seed
                          let reading = command.StandardOutput.ReadToEndAsync()
                          command.StandardError.ReadToEndAsync() |> ignore
                          runs <- Run seed :: runs

                          let isOwn (summary: JsonObject) = get<int64> "seed" summary = seed

                          try
                              if i % 2 = 0 then
                                  waitFor "the first save" (fun () ->
                                      summaryOf run
                                      |> Option.exists (fun summary ->
                                          isOwn summary && get<int> "iterations" summary > 0))

                                  saved <- saved + 1
                                  // In the midst of a save, which takes the summary away first; or after some of them.
                                  let summary = Path.Combine(run, "summary.json")
                                  let clock = Stopwatch.StartNew()

                                  SpinWait.SpinUntil(fun () ->
                                      not (File.Exists summary) || clock.Elapsed > TimeSpan.FromSeconds 3.0)

                                  Thread.SpinWait(random.Next 20_000)
                              else
                                  Thread.Sleep(random.Next 1500)
                          finally
                              command.Kill()
                              command.WaitForExit()
                              reading.Wait()

                          if Directory.Exists run then
                              filesOf run
                              |> Map.filter (fun name _ -> name.EndsWith ".json" || name.EndsWith ".csv")
                              |> expectFitting runs

                      Expect.equal saved (kills / 2) "runs that were seen to save"

                      // What was left unfinished is gone after the next one.
                      let ended = funtrpo folder [ "train"; "--steps"; "64"; "--out"; "run"; "--set"; "hidden=4" ]
                      Expect.equal (ended.Code, ended.Errors) (0, "") "a run after them"
                      expectConsistentFiles run |> ignore) ])

let private settings =
    [ if not (OperatingSystem.IsWindows()) then
          inNewFolder "a configuration that is no regular file, at once" (fun folder ->
              withStrangeFiles folder (fun names ->
                  for name in names do
                      let path = Path.Combine(folder, name)
                      let reading = Tasks.Task.Run(fun () -> RunSettings.read path)
                      Expect.isTrue (reading.Wait(TimeSpan.FromMinutes 1.0)) $"{name}: it ends"

                      match reading.Result with
                      | Error fault -> Expect.stringContains (Fault.message fault) "no regular file" name
                      | Ok _ -> failtest $"{name} was read")) ]

let tests =
    testList
        "Run files"
        [ testList "the sequence of writes" sequence
          testList "names" names
          testList "disks" disks
          testList "settings" settings
          killed ]
