/// What README and docs show is what the repository holds and what its scripts print.
module FunTrpo.Tests.DocumentationTests

open System
open System.IO
open System.Runtime.InteropServices
open System.Text.Json
open System.Text.RegularExpressions
open System.Xml.Linq
open Expecto
open FunTrpo

/// The folder of the solution, above the program that runs.
let root =
    let rec search (folder: DirectoryInfo) =
        match folder with
        | null -> failwith "The tests run outside the repository, whose documents they check."
        | folder when File.Exists(Path.Combine(folder.FullName, "FunTrpo.sln")) -> folder.FullName
        | folder -> search folder.Parent

    search (DirectoryInfo AppContext.BaseDirectory)

let read file = File.ReadAllText(Path.Combine(root, file)).ReplaceLineEndings "\n"

/// Every Markdown document of the project.
let private documents =
    "README.md"
    :: (Directory.GetFiles(Path.Combine(root, "docs"), "*.md", SearchOption.AllDirectories)
        |> Array.map (fun path -> Path.GetRelativePath(root, path).Replace('\\', '/'))
        |> List.ofArray)

/// The blocks of a document that stand after a mark of a kind: the file that the mark names, and the block.
let blocks kind document =
    [ for found in Regex.Matches(read document, $@"<!-- {kind}: (\S+) -->\s*```\w*\n(.*?)```", RegexOptions.Singleline) ->
          found.Groups[1].Value, found.Groups[2].Value ]

/// What a script prints, once it has succeeded.
let private runScript (script: string) (arguments: string list) =
    let ended = CommandRuns.runProgram root "dotnet" ("fsi" :: script :: arguments)
    Expect.equal ended.Code 0 $"{script} succeeds, and says\n{ended.Errors}"
    ended.Output.ReplaceLineEndings "\n"

/// Numbers are compared where rounding is as it was when the document was written: on vectors of 16 numbers.
let roundsAlike = Kernels.Lanes.Width = 16 && RuntimeInformation.IsOSPlatform OSPlatform.Linux

let withoutNumbers text = Regex.Replace(text, @"[ ]*-?\d+(\.\d+)?", "#")

let private scripts =
    [ for document in documents do
          for script, shown in blocks "script" document do
              test $"{document} shows {script} as it is" { Expect.equal shown (read script) "the script" } ]

let private outputs =
    [ for document in documents do
          for script, shown in blocks "output" document do
              test $"{script} prints what {document} says" {
                  let printed = runScript script []

                  if roundsAlike then
                      Expect.equal printed shown "what is printed"
                  else
                      Expect.equal (withoutNumbers printed) (withoutNumbers shown) "what is printed, but for numbers"
              } ]

/// The commands of a session, each with the lines that it prints.
let private commandsIn (session: string) =
    [ for part in Regex.Split(session, @"(?m)^\$ funtrpo ") |> Array.skip 1 do
          let lines = part.TrimEnd().Split '\n'
          lines[0].Split ' ' |> List.ofArray, lines[1..] |> Array.map withoutNumbers |> List.ofArray ]

/// Whether these lines were printed. "…" stands for any lines.
let rec private isPrinted shown printed =
    match shown, printed with
    | [], [] -> true
    | "…" :: rest, _ when isPrinted rest printed -> true
    | "…" :: _, _ :: others -> isPrinted shown others
    | line :: rest, other :: others when line = other -> isPrinted rest others
    | _ -> false

/// The commands of all sessions of a document are run one after another in one folder.
let private sessions =
    [ for document in documents do
          match blocks "session" document |> List.collect (snd >> commandsIn) with
          | [] -> ()
          | commands ->
              TestFiles.inNewFolder $"the commands of {document} print what it shows, but for numbers" (fun folder ->
                  for arguments, shown in commands do
                      let ended = CommandRuns.funtrpo folder arguments
                      Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
                      let printed = withoutNumbers (ended.Output.ReplaceLineEndings("\n").TrimEnd())
                      let lines = printed.Split '\n' |> List.ofArray
                      Expect.isTrue (isPrinted shown lines) $"funtrpo {arguments} printed\n{ended.Output}") ]

/// The scripts that a reader learns from, each of which takes the number of steps as its argument; but for those that run in
/// full, since a document shows all that they print.
let private lessons =
    let shown =
        [ for document in documents do
              yield! List.map fst (blocks "output" document) ]

    Directory.GetFiles(Path.Combine(root, "scripts"), "*.fsx")
    |> Array.map (fun path -> "scripts/" + Path.GetFileName path)
    |> List.ofArray
    |> List.except (
        [ "scripts/load.fsx"
          "scripts/lesson.fsx"
          "scripts/chart.fsx"
          "scripts/garnets.fsx"
          "scripts/step-size.fsx"
          "scripts/exact-algorithms.fsx"
          "scripts/bridge.fsx"
          "scripts/cliff.fsx"
          "scripts/certificate.fsx"
          "scripts/price.fsx"
          "scripts/maximum-kl.fsx"
          "scripts/results.fsx"
          "scripts/learning-benchmark.fsx"
          "scripts/ppo-benchmark.fsx"
          "scripts/ddpg-benchmark.fsx"
          "scripts/mujoco-benchmark.fsx"
          "scripts/architecture-benchmark.fsx"
          "scripts/scaling.fsx"
          "scripts/own-model.fsx" ]
        @ shown
    )

/// The lines of a text, without their numbers.
let private kinds (text: string) = text.TrimEnd().Split '\n' |> Array.map withoutNumbers

/// Every line of an excerpt is, but for numbers, among those that were printed.
let private expectKinds printed lesson excerpt =
    for line in kinds excerpt do
        Expect.contains (kinds printed) line $"the lines that {lesson} prints"

let private ownModel =
    test "scripts/own-model.fsx runs with the engine, and prints what docs/mujoco.md shows, but for numbers" {
        match FunTrpo.MuJoCo.Engine.Library.Missing with
        | null -> ()
        | missing -> skiptest missing

        let printed = runScript "scripts/own-model.fsx" [ "4096" ]
        let _, excerpt = blocks "excerpt" "docs/mujoco.md" |> List.exactlyOne
        expectKinds printed "scripts/own-model.fsx" excerpt
    }

/// Each lesson, with few steps, prints lines of the kinds that docs/scripts.md shows of it.
let private lessonsRun =
    [ for lesson in lessons do
          test $"{lesson} runs, and prints what docs/scripts.md shows, but for numbers" {
              let printed = runScript lesson [ "4096" ]
              Expect.isFalse (Regex.IsMatch(printed, @"(?i)\bnan\b|∞|infinity")) $"only finite numbers in\n{printed}"

              match blocks "excerpt" "docs/scripts.md" |> List.filter (fun (script, _) -> script = lesson) with
              | [ _, excerpt ] -> expectKinds printed lesson excerpt
              | found -> failtest $"docs/scripts.md shows {found.Length} excerpts of what {lesson} prints"
          } ]

/// The heads of the tables of a part of docs/results.md that a script makes.
let private tableHeads part (text: string) =
    let first, last = text.IndexOf $"<!-- {part} -->", text.IndexOf $"<!-- end of {part} -->"
    Expect.isTrue (first >= 0 && last > first) $"the part {part}"
    [ for found in Regex.Matches(text[first..last], @"(?m)^\| (environment|task|policy|a step|rule) .*") -> found.Value ]

/// Expects that a script writes tables with the heads of those in its part of a page of docs.
let private writesHeads script arguments part page =
    TestFiles.inFolder (fun folder ->
        runScript script (arguments @ [ "--out"; folder ]) |> ignore
        let made = File.ReadAllText(Path.Combine(folder, page))
        Expect.equal (tableHeads part made) (tableHeads part (read $"docs/{page}")) "the heads of the tables")

let private results =
    [ test "scripts/architecture-benchmark.fsx writes tables as those of docs/results.md" {
          let folder = Directory.CreateTempSubdirectory("funtrpo-").FullName

          try
              let options = [ "--out"; folder; "--seeds"; "0"; "--steps"; "2048" ]
              let tasks = [ "--tasks"; "popgym-RepeatPreviousEasy-v0,MinAtar/Breakout-v1" ]
              runScript "scripts/architecture-benchmark.fsx" (options @ tasks) |> ignore
              let made = File.ReadAllText(Path.Combine(folder, "results.md"))
              let shown = read "docs/results.md"

              for part in [ "Memory"; "Pixels" ] do
                  Expect.equal (tableHeads part made) (tableHeads part shown) $"the head of {part}"

              Expect.hasLength
                  (File.ReadAllLines(Path.Combine(folder, "architecture-runs.csv")))
                  6
                  "a line for each run"
          finally
              Directory.Delete(folder, true)
      }

      test "scripts/masks.fsx writes a table as that of docs/results.md" {
          writesHeads "scripts/masks.fsx" [ "2048" ] "Masks" "results.md"
      }

      test "scripts/scaling.fsx runs with two silos, and writes tables as those of docs/scaling.md" {
          writesHeads "scripts/scaling.fsx" [ "--quick" ] "measured" "scaling.md"
      }

      test
          "scripts/step-size.fsx makes the page and the pictures, and TRPO stays where steps of a fixed size leave the stable policies" {
          let folder = Directory.CreateTempSubdirectory("funtrpo-").FullName

          try
              runScript "scripts/step-size.fsx" [ "--quick"; "--out"; folder ] |> ignore
              let made, shown = File.ReadAllText(Path.Combine(folder, "step-size.md")), read "docs/step-size.md"
              let heads text = tableHeads "step sizes" text |> List.map withoutNumbers |> List.distinct
              Expect.equal (heads made) (heads shown) "the heads of the tables"

              for picture in Directory.GetFiles(folder, "*.svg") |> Array.map Path.GetFileName do
                  Expect.stringContains shown picture "the pictures"
                  Expect.isTrue (File.Exists(Path.Combine(root, "docs", picture))) $"docs/{picture}"

              for text in [ made; shown ] do
                  let exact = text.Substring(text.IndexOf "### Linear-quadratic problems")
                  let rows = exact.Substring(0, exact.IndexOf("###", 3)).Split '\n'
                  let rowsOf (rule: string) = rows |> Array.filter _.StartsWith($"| {rule} |")
                  Expect.isNonEmpty (rowsOf "TRPO") "rows of TRPO"

                  for row in rowsOf "TRPO" do
                      Expect.isFalse (row.Contains "−∞") $"the median run of TRPO stays: {row}"

                  Expect.exists (rowsOf "natural gradient") _.Contains("−∞") "a run of the natural gradient is lost"
          finally
              Directory.Delete(folder, true)
      }

      for script, seeds, part, page in
          [ "scripts/learning-benchmark.fsx", [ "0"; "1" ], "classic control", "docs/results.md"
            "scripts/ppo-benchmark.fsx", [ "0" ], "PPO", "docs/results.md"
            "scripts/ddpg-benchmark.fsx", [ "0" ], "DDPG", "docs/ddpg.md" ] do
          test $"{script} writes tables as those of {page}" {
              let file = Path.GetTempFileName()

              try
                  runScript script (seeds @ [ file; "1024" ]) |> ignore

                  Expect.equal
                      (tableHeads part (File.ReadAllText file))
                      (tableHeads part (read page))
                      "the heads of the tables"
              finally
                  File.Delete file
          }

      test "scripts/mujoco-benchmark.fsx writes tables and pictures as those of docs/results.md" {
          match FunTrpo.MuJoCo.Engine.Library.Missing with
          | null -> ()
          | missing -> skiptest missing

          let folder = Directory.CreateTempSubdirectory("funtrpo-").FullName

          try
              let options = [ "--out"; folder; "--seeds"; "0..1"; "--steps"; "2048" ]
              let tasks = [ "--tasks"; "InvertedPendulum-v4,Reacher-v4" ]
              runScript "scripts/mujoco-benchmark.fsx" (options @ tasks) |> ignore
              let shown = read "docs/results.md"
              let made = File.ReadAllText(Path.Combine(folder, "results.md"))
              Expect.equal (tableHeads "MuJoCo" made) (tableHeads "MuJoCo" shown) "the heads of the tables"

              for picture in Directory.GetFiles(folder, "*.svg") |> Array.map Path.GetFileName do
                  Expect.stringContains shown picture "the pictures"
                  Expect.isTrue (File.Exists(Path.Combine(root, "docs", picture))) $"docs/{picture}"
          finally
              Directory.Delete(folder, true)
      } ]

/// C# that a document shows is a whole file that is compiled and run, or lines of one.
let private code =
    let withoutMargins (text: string) = text.TrimEnd().Split '\n' |> Array.map _.Trim() |> String.concat "\n"

    [ for document in documents do
          for file, shown in blocks "code" document do
              test $"{document} shows {file} as it is" { Expect.equal shown (read file) "the file" }

          for i, (file, shown) in List.indexed (blocks "part" document) do
              test $"part {i + 1} of {document} is in {file}" {
                  Expect.stringContains (withoutMargins (read file)) (withoutMargins shown) "the file"
              } ]

/// What a script prints that saves what these options name, and what it saves for each of them.
let private runSaving script argument options =
    let files = [ for name in options -> name, Path.GetTempFileName() ]

    try
        let printed = runScript script (argument :: List.collect (fun (name, file) -> [ name; file ]) files)
        printed, Map [ for name, file in files -> name, File.ReadAllText file ]
    finally
        for _, file in files do
            File.Delete file

/// What docs/theory.md shows of the exact algorithms is what it prints, and the numbers that it writes keep what they promise.
let private exactAlgorithms =
    test "scripts/exact-algorithms.fsx prints what docs/theory.md shows, and writes the steps" {
        let printed, saved = runSaving "scripts/exact-algorithms.fsx" "100" [ "--json"; "--page" ]

        let _, excerpt =
            blocks "excerpt" "docs/theory.md" |> List.find (fst >> (=) "scripts/exact-algorithms.fsx")

        Expect.stringContains printed excerpt "what it prints" // float64: the same everywhere
        Expect.stringContains saved["--page"] "</html>" "a page"
        let rows = JsonDocument.Parse(saved["--json"]).RootElement.EnumerateArray() |> List.ofSeq
        let text (name: string) (row: JsonElement) = row.GetProperty(name).GetString()
        let number (name: string) (row: JsonElement) = row.GetProperty(name).GetDouble()
        let isNull (name: string) (row: JsonElement) = row.GetProperty(name).ValueKind = JsonValueKind.Null
        let sequences = rows |> List.groupBy (fun row -> text "mdp" row, text "algorithm" row)
        Expect.hasLength sequences 30 "fifteen algorithms on two processes"

        for (mdp, name), steps in sequences do
            Expect.isTrue (isNull "bound" steps.Head && number "iteration" steps.Head = 0.0) $"{mdp}, {name}: the start"

            for before, after in List.pairwise steps do
                let eta = number "eta" after

                Expect.equal (number "iteration" after) (number "iteration" before + 1.0) $"{mdp}, {name}: iterations"

                if not (isNull "bound" after) then
                    Expect.isGreaterThanOrEqual eta (number "bound" after - 1e-11) $"{mdp}, {name}: the bound"

                if after.GetProperty("monotone").GetBoolean() then
                    Expect.isGreaterThanOrEqual eta (number "eta" before - 1e-11) $"{mdp}, {name}: η never falls"
    }

/// A picture is an SVG that says its title, and whose text is text.
let private expectPicture (text: string) =
    let svg = XElement.Parse text
    let named name = svg.Descendants(svg.Name.Namespace + name) |> List.ofSeq
    Expect.equal svg.Name.LocalName "svg" "the element"
    Expect.equal (svg.Attribute(XName.Get "role").Value) "img" "its role"
    Expect.isGreaterThan (List.exactlyOne (named "title")).Value.Length 10 "its title"
    Expect.isGreaterThan (named "text").Length 10 "labels"
    Expect.isNonEmpty (named "polyline") "lines"

let private pictures =
    [ for file in Directory.GetFiles(Path.Combine(root, "docs"), "*.svg") do
          test $"docs/{Path.GetFileName file} is a picture with a title" { expectPicture (File.ReadAllText file) } ]

/// The version of OxyPlot that scripts draw with is the one that the benchmark is locked to.
let private plotVersion =
    test "scripts and the benchmark draw with the same version of OxyPlot" {
        let version file pattern = Version.Parse(Regex.Match(read file, pattern).Groups[1].Value)
        let ofScripts = version "scripts/chart.fsx" "OxyPlot.Core, ([0-9.]+)\""
        let locked = version "paket.lock" @"OxyPlot.Core \(([0-9.]+)\)"
        Expect.equal (ofScripts.Major, ofScripts.Minor) (locked.Major, locked.Minor) "the version"
    }

/// With small batches the bridge has the lines of docs/theory.md, and the errors fall as it says: by the square root of the steps.
let private bridge =
    test "scripts/bridge.fsx prints what docs/theory.md shows, but for numbers, and writes them" {
        let printed, saved = runSaving "scripts/bridge.fsx" "4096" [ "--json"; "--page"; "--picture" ]

        let excerpts = blocks "excerpt" "docs/theory.md" |> List.filter (fst >> (=) "scripts/bridge.fsx")
        Expect.hasLength excerpts 2 "convergence and costs"

        for _, excerpt in excerpts do
            for line in kinds excerpt do
                Expect.contains (kinds printed) line "the lines that it prints"

        Expect.stringContains saved["--page"] "</html>" "a page"
        expectPicture saved["--picture"]
        let root = JsonDocument.Parse(saved["--json"]).RootElement

        let slopes =
            [ for curve in root.GetProperty("convergence").EnumerateArray() do
                  if curve.GetProperty("estimator").GetString().EndsWith "exact values" then
                      curve.GetProperty("slope").GetDouble() ]

        Expect.hasLength slopes 8 "two estimators of four quantities"
        Expect.isLessThan (abs (List.average slopes + 0.5)) 0.1 "the rate"
        Expect.equal (root.GetProperty("costs").GetArrayLength()) 24 "twelve variants on two processes"
    }

/// The prices in arithmetic do not depend on the machine, and the numbers of parameters are equal.
let private price =
    test "scripts/price.fsx prints what docs/performance.md shows, but for times" {
        let printed = runScript "scripts/price.fsx" [ "--quick" ]
        let _, excerpt = blocks "excerpt" "docs/performance.md" |> List.exactlyOne
        expectKinds printed "scripts/price.fsx" excerpt

        let numbers pattern (text: string) =
            [ for found in Regex.Matches(text, pattern) -> float found.Groups[1].Value ]

        let arithmetic = numbers @"(?m)^  \D+ (\d+\.\d\d) +\d+\.\d\d$"
        Expect.hasLength (arithmetic printed) 12 "four prices of three policies"
        Expect.equal (arithmetic printed) (arithmetic excerpt) "the arithmetic"
        let parameters = numbers @"of (\d+) parameters" printed
        Expect.hasLength parameters 3 "policies"
        Expect.isLessThan (List.max parameters / List.min parameters) 1.02 "equal numbers of parameters"
    }

/// With few iterations the script has the lines of docs/theory.md.
let private certificate =
    test "scripts/certificate.fsx prints what docs/theory.md shows, but for numbers" {
        let printed = runScript "scripts/certificate.fsx" [ "4096" ]
        Expect.isFalse (Regex.IsMatch(printed, @"(?i)\bnan\b|∞|infinity")) $"only finite numbers in\n{printed}"
        let _, excerpt = blocks "excerpt" "docs/theory.md" |> List.find (fst >> (=) "scripts/certificate.fsx")
        expectKinds printed "scripts/certificate.fsx" excerpt
    }

/// With few iterations the script has the lines of docs/theory.md. No step that is certified or of a table falls, and others do.
let private cliff =
    test
        "scripts/cliff.fsx prints what docs/theory.md shows, but for numbers, and its falls are where the theory allows them" {
        let printed, saved = runSaving "scripts/cliff.fsx" "10" [ "--json"; "--page"; "--picture" ]
        let _, excerpt = blocks "excerpt" "docs/theory.md" |> List.find (fst >> (=) "scripts/cliff.fsx")
        expectKinds printed "scripts/cliff.fsx" excerpt
        Expect.stringContains saved["--page"] "</html>" "a page"
        expectPicture saved["--picture"]
        let results = JsonDocument.Parse(saved["--json"]).RootElement.EnumerateArray() |> List.ofSeq
        Expect.hasLength results 33 "five rules with six limits, and three without"

        for result in results do
            let name, falls = result.GetProperty("rule").GetString(), result.GetProperty("falls").GetInt32()
            let isCertified = result.GetProperty("delta").ValueKind = JsonValueKind.Null
            Expect.isTrue (result.GetProperty("risesByL").GetBoolean()) $"{name}: L rises"

            if isCertified || name.StartsWith "table" then
                Expect.equal falls 0 $"{name}: η never falls"

        let falling =
            [ for result in results do
                  if result.GetProperty("rule").GetString() = "classes: mean KL ≤ δ, exactly" then
                      float (result.GetProperty("falls").GetInt32()) / float (result.GetProperty("steps").GetInt32()) ]

        Expect.isGreaterThan (List.last falling) 0.2 "long steps fall"
        Expect.isLessThan (List.head falling) 0.01 "short steps hardly do"
    }

/// The limits are kept by every step that was taken, and the steps come with a small gap.
let private maximumKl =
    test "scripts/maximum-kl.fsx keeps its limits, and prints a table as that of docs/theory.md" {
        let printed, saved = runSaving "scripts/maximum-kl.fsx" "2048" [ "--json"; "--page"; "--picture" ]

        let heads text = [ for found in Regex.Matches(text, @"(?m)^\| rule .*") -> found.Value ]
        Expect.equal (heads printed) (heads (read "docs/theory.md")) "the head of the table"
        Expect.stringContains saved["--page"] "</html>" "a page"
        expectPicture saved["--picture"]
        let runs = JsonDocument.Parse(saved["--json"]).RootElement.EnumerateArray() |> List.ofSeq
        Expect.hasLength runs 80 "two rules, four limits, ten seeds"

        for run in runs do
            let numbers (name: string) = [ for x in run.GetProperty(name).EnumerateArray() -> x.GetDouble() ]
            let isWorst = run.GetProperty("rule").GetString() = "max KL"
            let kept = if isWorst then "maxKl" else "meanKl"
            Expect.all (numbers kept) (fun kl -> kl <= run.GetProperty("delta").GetDouble()) kept
            Expect.all (numbers "gap") (fun gap -> gap <= 1.001e-6) "the gap"
            Expect.all (List.zip (numbers "meanKl") (numbers "maxKl")) (fun (a, b) -> a <= b) "mean and maximum"
    }

/// A block that claims to be something that can be run must say what it shows.
let private unmarked =
    [ for document in documents do
          for language, extension in [ "fsharp", ".fs"; "csharp", ".cs" ] do
              test $"every {language} block of {document} is something that is run" {
                  let shown = Regex.Matches(read document, "```" + language).Count

                  let marked =
                      [ "script"; "code"; "part" ]
                      |> List.collect (fun mark -> blocks mark document)
                      |> List.filter (fun (file, _) -> Path.GetExtension(file).StartsWith extension)

                  Expect.equal shown marked.Length "the blocks with a mark"
              } ]

/// A table that is marked as part of another document shows rows of that document.
let private tables =
    [ for document in documents do
          for found in Regex.Matches(read document, @"<!-- table: (\S+) -->[^|]*\n((?:\|.*\n)+)") do
              let source, table = found.Groups[1].Value, found.Groups[2].Value

              test $"the rows that {document} shows of {source} are there" {
                  let shown = table.TrimEnd().Split '\n'
                  Expect.isGreaterThan shown.Length 2 "a head, a line and rows"
                  Expect.all shown (fun row -> Array.contains row (read(source).Split '\n')) "rows of the source"
              } ]

let private links =
    [ for document in documents do
          test $"the files that {document} links to are there" {
              for found in Regex.Matches(read document, @"\]\((?!http)([^)#]+)") do
                  let target = Path.Combine(root, Path.GetDirectoryName document, found.Groups[1].Value)
                  Expect.isTrue (Path.Exists target) $"{found.Groups[1].Value} is there"
          } ]

let private sourceMap =
    test "docs/architecture.md names every file of the pipeline, in compile order" {
        let compiled =
            [ for found in Regex.Matches(read "src/FunTrpo/FunTrpo.fsproj", "Compile Include=\"([^\"]+)\"") ->
                  found.Groups[1].Value ]

        let listed =
            [ for found in Regex.Matches(read "docs/architecture.md", @"(?m)^\| `(\w+\.fs)` \|") ->
                  found.Groups[1].Value ]

        Expect.equal listed compiled "the files"
    }

let private readmeMap =
    test "README.md lists every source file" {
        let readme = read "README.md"

        let files =
            [ for project in Directory.GetDirectories(Path.Combine(root, "src")) do
                  for pattern in [ "*.fs"; "*.cs" ] do
                      for file in Directory.GetFiles(project, pattern) ->
                          $"src/{Path.GetFileName project}/{Path.GetFileName file}" ]

        Expect.isGreaterThan files.Length 100 "files"

        Expect.isEmpty
            (files |> List.filter (fun file -> not (readme.Contains $"({file})")))
            "files that are not listed"
    }

let private glossary =
    test "docs/glossary.md explains each term once, and names files that exist" {
        let rows =
            [ for found in
                  Regex.Matches(
                      read "docs/glossary.md",
                      @"(?m)^\| ([^|]+) \|(?:[^|]|\\\|)*\|(?:[^|]|\\\|)*\| `([^`]+)` \|$"
                  ) -> found.Groups[1].Value, found.Groups[2].Value ]

        Expect.isGreaterThan rows.Length 60 "terms"
        Expect.equal (List.distinctBy fst rows) rows "each term once"

        for term, file in rows do
            let isThere =
                [ ""; "src/FunTrpo/"; "src/FunTrpo.Exact/" ]
                |> List.exists (fun folder -> File.Exists(Path.Combine(root, folder + file)))

            Expect.isTrue isThere $"{term}: {file}"
    }

let private decisions =
    test "docs/decisions/index.md lists every record, by the date and the title of each" {
        let rows =
            [ for found in Regex.Matches(read "docs/decisions/index.md", @"(?m)^\| ([\d-]+) \| \[(.+)\]\((.+)\.md\) \|") ->
                  found.Groups[3].Value, found.Groups[1].Value, found.Groups[2].Value ]

        let records =
            [ for path in Directory.GetFiles(Path.Combine(root, "docs/decisions"), "*.md") do
                  let name = Path.GetFileNameWithoutExtension path

                  if name <> "index" then
                      let record = File.ReadAllText(path).ReplaceLineEndings "\n"
                      let heads = [ for found in Regex.Matches(record, "(?m)^## (.+)$") -> found.Groups[1].Value ]
                      Expect.equal heads [ "Context"; "Decision"; "Consequences"; "Measurement" ] $"the parts of {name}"
                      let first = Regex.Match(record, @"\A# (.+)\n\n(\d{4}-\d\d-\d\d)\n")
                      Expect.stringStarts name first.Groups[2].Value "the date"
                      name, first.Groups[2].Value, first.Groups[1].Value ]

        Expect.isGreaterThan records.Length 10 "records"
        Expect.equal (List.sort rows) (List.sort records) "the list"
    }

let tests =
    testList
        "Documentation"
        [ testList "scripts" scripts
          testList "code" code
          testList "sessions" sessions
          testSequenced (testList "outputs" outputs)
          testSequencedGroup
              "lessons"
              (testList
                  "lessons"
                  (results
                   @ exactAlgorithms :: cliff :: price :: certificate :: bridge :: maximumKl :: ownModel :: lessonsRun))
          testList "blocks" unmarked
          testList "links" links
          testList "tables" tables
          testList "pictures" pictures
          plotVersion
          sourceMap
          readmeMap
          glossary
          decisions ]
