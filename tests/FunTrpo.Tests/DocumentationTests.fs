/// What README and docs show is what the repository holds and what its scripts print.
module FunTrpo.Tests.DocumentationTests

open System
open System.Diagnostics
open System.IO
open System.Numerics
open System.Runtime.InteropServices
open System.Text.RegularExpressions
open Expecto

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
    :: (Directory.GetFiles(Path.Combine(root, "docs"), "*.md")
        |> Array.map (fun path -> "docs/" + Path.GetFileName path)
        |> List.ofArray)

/// The blocks of a document that stand after a mark of a kind: the file that the mark names, and the block.
let blocks kind document =
    [ for found in Regex.Matches(read document, $@"<!-- {kind}: (\S+) -->\s*```\w*\n(.*?)```", RegexOptions.Singleline) ->
          found.Groups[1].Value, found.Groups[2].Value ]

let private runScript (script: string) =
    let start =
        ProcessStartInfo("dotnet", [ "fsi"; script ], WorkingDirectory = root, RedirectStandardOutput = true)

    use child = Process.Start start
    let output = child.StandardOutput.ReadToEnd()
    child.WaitForExit()
    Expect.equal child.ExitCode 0 $"{script} succeeds"
    output.ReplaceLineEndings "\n"

/// Numbers are compared where rounding is as it was when the document was written.
let roundsAlike = Vector<float32>.Count = 8 && RuntimeInformation.IsOSPlatform OSPlatform.Linux

let withoutNumbers text = Regex.Replace(text, @"[ ]*\d+(\.\d+)?", "#")

let private scripts =
    [ for document in documents do
          for script, shown in blocks "script" document do
              test $"{document} shows {script} as it is" { Expect.equal shown (read script) "the script" } ]

let private outputs =
    [ for document in documents do
          for script, shown in blocks "output" document do
              test $"{script} prints what {document} says" {
                  let printed = runScript script

                  if roundsAlike then
                      Expect.equal printed shown "what is printed"
                  else
                      Expect.equal (withoutNumbers printed) (withoutNumbers shown) "what is printed, but for numbers"
              } ]

/// A block that claims to be something that can be run must say what it shows.
let private unmarked =
    [ for document in documents do
          test $"every F# block of {document} is a script that is run" {
              let shown = Regex.Matches(read document, "```fsharp").Count
              Expect.equal shown (List.length (blocks "script" document)) "the blocks with a mark"
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

let tests =
    testList
        "Documentation"
        [ testList "scripts" scripts
          testSequenced (testList "outputs" outputs)
          testList "blocks" unmarked
          testList "links" links
          testList "tables" tables
          sourceMap ]
