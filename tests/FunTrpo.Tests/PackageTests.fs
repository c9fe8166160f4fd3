/// The packages hold what they should, and programs outside of the repository can use them.
module FunTrpo.Tests.PackageTests

open System
open System.Diagnostics
open System.IO
open System.IO.Compression
open System.Reflection.Metadata
open System.Reflection.PortableExecutable
open System.Runtime.InteropServices
open System.Text.RegularExpressions
open System.Xml.Linq
open Expecto
open FunTrpo.Tests.DocumentationTests

// ---- Making them ----

let private host =
    match Environment.GetEnvironmentVariable "DOTNET_HOST_PATH" with
    | null
    | "" -> "dotnet"
    | path -> path

/// Runs a program to its end, with the packages that it restores in a folder of their own; what it printed.
let private runWith input packages folder (program: string) (arguments: string list) =
    let start =
        ProcessStartInfo(
            program,
            arguments,
            WorkingDirectory = folder,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true
        )

    start.Environment["NUGET_PACKAGES"] <- packages
    // Where a program that comes without a runtime looks for one.
    start.Environment["DOTNET_ROOT"] <-
        Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "../../.."))

    start.Environment["DOTNET_NOLOGO"] <- "1"
    // The feed may fail once.
    start.Environment["NUGET_ENABLE_EXPERIMENTAL_HTTP_RETRY"] <- "true"
    start.Environment["NUGET_EXPERIMENTAL_MAX_NETWORK_TRY_COUNT"] <- "6"
    start.Environment["NUGET_EXPERIMENTAL_NETWORK_RETRY_DELAY_MILLISECONDS"] <- "1000"
    // No server is left behind that outlives the folder.
    start.Environment["MSBUILDDISABLENODEREUSE"] <- "1"

    use child = Process.Start start
    let output = child.StandardOutput.ReadToEndAsync()
    let errors = child.StandardError.ReadToEndAsync()
    child.StandardInput.Write(input: string)
    child.StandardInput.Close()
    child.WaitForExit()

    if child.ExitCode <> 0 then
        let command = String.concat " " (program :: arguments)
        failtest $"{command} ended with {child.ExitCode}, in {folder}:\n{output.Result}{errors.Result}"

    output.Result.ReplaceLineEndings "\n"

/// A version that no package cache has seen.
let private version = $"0.1.0-test.{DateTime.UtcNow.Ticks}"

/// Everything here happens below a folder outside of the repository. It is deleted when the tests end.
let private workplace =
    lazy
        (let folder = Directory.CreateTempSubdirectory("funtrpo-packages-").FullName

         AppDomain.CurrentDomain.ProcessExit.Add(fun _ ->
             try
                 Directory.Delete(folder, true)
             with
             | :? IOException
             | :? UnauthorizedAccessException -> ())

         let feed = Path.Combine(folder, "feed")

         // In addition to the sources of the user's own configuration.
         File.WriteAllText(
             Path.Combine(folder, "nuget.config"),
             $"""<configuration><packageSources><add key="packed" value="{feed}" /></packageSources></configuration>"""
         )

         runWith
             ""
             (Path.Combine(folder, "packages"))
             root
             host
             [ "fsi"; "build.fsx"; "pack"; "--as-built"; "--version"; version; "--output"; feed ]
         |> ignore

         folder)

let private package id = Path.Combine(workplace.Value, "feed", $"{id}.{version}.nupkg")

/// A new folder, beside the packages.
let private newFolder (name: string) = Directory.CreateDirectory(Path.Combine(workplace.Value, name)).FullName

/// Runs a program in one of these folders.
let private run folder = runWith "" (Path.Combine(workplace.Value, "packages")) folder

/// Runs a program in one of these folders, with a package cache of its own that is empty at first.
let private runAfresh folder =
    runWith "" (Path.Combine(workplace.Value, "cache-of-" + Path.GetFileName(folder: string))) folder

/// An empty folder that no configuration of ours lies above: what is documented must be enough there.
let private apart (body: string -> unit) =
    let folder = Directory.CreateTempSubdirectory("funtrpo-apart-").FullName

    try
        body folder
    finally
        Directory.Delete(folder, true)

/// What a document shows of a kind under a name, with the folder of the packages where it says what stands for it.
let private documented kind name document =
    let _, shown = blocks kind document |> List.find (fst >> (=) name)
    shown.Replace("/path/to/FunTrpo/artifacts", Path.Combine(workplace.Value, "feed"))

// ---- What they hold ----

/// The debug information of a document that holds its source.
let private embeddedSource = Guid "0E8A571B-6926-466E-B4AD-8AB04611F5FE"

/// The files whose sources the symbols in an assembly name, and whether they hold them.
let private sourcesOf (assembly: PEReader) =
    let symbols =
        assembly.ReadDebugDirectory()
        |> Seq.find (fun part -> part.Type = DebugDirectoryEntryType.EmbeddedPortablePdb)

    use provider = assembly.ReadEmbeddedPortablePdbDebugDirectoryData symbols
    let reader = provider.GetMetadataReader()

    [ for handle in reader.Documents do
          let isEmbedded =
              reader.GetCustomDebugInformation handle
              |> Seq.exists (fun it -> reader.GetGuid(reader.GetCustomDebugInformation(it).Kind) = embeddedSource)

          reader.GetString(reader.GetDocument(handle).Name), isEmbedded ]

/// The names of the types of an assembly that its users see, as documentation writes them; cases of unions are among them.
let private seenOf (assembly: Reflection.Assembly) =
    set
        [ for it in assembly.GetExportedTypes() do
              let name = it.FullName.Replace('+', '.')
              name

              if FSharp.Reflection.FSharpType.IsUnion it then
                  for case in FSharp.Reflection.FSharpType.GetUnionCases it do
                      $"{name}.{case.Name}" ]

let private libraries =
    [ typeof<FunTrpo.Vector>
      typeof<FunTrpo.Kernels.PooledBuffer>
      typeof<FunTrpo.Environments.Registered>
      typeof<FunTrpo.CSharp.TrainingPlan>
      typeof<FunTrpo.Exact.FiniteMdp>
      typeof<FunTrpo.Ddpg.ReplayMemory>
      typeof<FunTrpo.Ddpg.CSharp.DdpgPlan>
      typeof<FunTrpo.Onnx.OnnxExport>
      typeof<FunTrpo.TensorBoard.TensorBoardWriter>
      typeof<FunTrpo.MuJoCo.PhysicsTask>
      typeof<FunTrpo.MuJoCo.Engine.Model>
      typeof<FunTrpo.MuJoCo.CSharp.MuJoCoEnvironment>
      typeof<FunTrpo.Remote.RemoteServer>
      typeof<FunTrpo.Orleans.ClusterSilo>
      typeof<FunTrpo.Plots.ReportPage>
      typeof<FunTrpo.Plots.CSharp.ReportPage>
      typeof<FunTrpo.Inference.Policy> ]
    |> List.map _.Assembly

/// The files that a package is to hold, and the packages that it is to depend on.
let private expected =
    let libraryFor framework name = [ $"lib/{framework}/{name}.dll"; $"lib/{framework}/{name}.xml" ]
    let library = libraryFor "net10.0"
    let tool name = $"tools/net10.0/any/{name}"

    let locked package =
        let version =
            Regex.Match(read "paket.lock", $@"(?m)^    {Regex.Escape package} \((\S+)\)").Groups[1].Value

        package, (if version.Split('.').Length = 2 then version + ".0" else version) // as NuGet writes it

    let ofOrleans =
        [ "Microsoft.AspNetCore.Connections.Abstractions.dll"
          "Microsoft.Extensions.Configuration.Abstractions.dll"
          "Microsoft.Extensions.Configuration.Binder.dll"
          "Microsoft.Extensions.Configuration.CommandLine.dll"
          "Microsoft.Extensions.Configuration.EnvironmentVariables.dll"
          "Microsoft.Extensions.Configuration.FileExtensions.dll"
          "Microsoft.Extensions.Configuration.Json.dll"
          "Microsoft.Extensions.Configuration.UserSecrets.dll"
          "Microsoft.Extensions.Configuration.dll"
          "Microsoft.Extensions.DependencyInjection.dll"
          "Microsoft.Extensions.DependencyModel.dll"
          "Microsoft.Extensions.Diagnostics.Abstractions.dll"
          "Microsoft.Extensions.Diagnostics.dll"
          "Microsoft.Extensions.Features.dll"
          "Microsoft.Extensions.FileProviders.Abstractions.dll"
          "Microsoft.Extensions.FileProviders.Physical.dll"
          "Microsoft.Extensions.FileSystemGlobbing.dll"
          "Microsoft.Extensions.Hosting.Abstractions.dll"
          "Microsoft.Extensions.Hosting.dll"
          "Microsoft.Extensions.Logging.Configuration.dll"
          "Microsoft.Extensions.Logging.Console.dll"
          "Microsoft.Extensions.Logging.Debug.dll"
          "Microsoft.Extensions.Logging.EventLog.dll"
          "Microsoft.Extensions.Logging.EventSource.dll"
          "Microsoft.Extensions.Logging.dll"
          "Microsoft.Extensions.ObjectPool.dll"
          "Microsoft.Extensions.Options.ConfigurationExtensions.dll"
          "Microsoft.Extensions.Options.dll"
          "Microsoft.Extensions.Primitives.dll"
          "Orleans.Clustering.Redis.dll"
          "Orleans.Core.Abstractions.dll"
          "Orleans.Core.dll"
          "Orleans.Persistence.Memory.dll"
          "Orleans.Runtime.dll"
          "Orleans.Serialization.Abstractions.dll"
          "Orleans.Serialization.dll"
          "Pipelines.Sockets.Unofficial.dll"
          "Polly.Core.dll"
          "Polly.Extensions.dll"
          "Polly.dll"
          "StackExchange.Redis.dll"
          "System.Diagnostics.EventLog.dll"
          "System.IO.Hashing.dll"
          "System.Memory.Data.dll" ]

    [ "FunTrpo", List.collect library [ "FunTrpo"; "FunTrpo.Kernels"; "FunTrpo.Environments" ], [ locked "FSharp.Core" ]
      "FunTrpo.CSharp",
      library "FunTrpo.CSharp",
      [ "FunTrpo", $"[{version}]"; locked "Microsoft.Extensions.Logging.Abstractions" ]
      "FunTrpo.Exact",
      library "FunTrpo.Exact",
      [ "FunTrpo", $"[{version}]"; locked "FSharp.Core"; locked "MathNet.Numerics" ]
      "FunTrpo.Ddpg", library "FunTrpo.Ddpg", [ "FunTrpo", $"[{version}]"; locked "FSharp.Core" ]
      "FunTrpo.Ddpg.CSharp",
      library "FunTrpo.Ddpg.CSharp",
      [ "FunTrpo.CSharp", $"[{version}]"; "FunTrpo.Ddpg", $"[{version}]" ]
      "FunTrpo.Onnx", library "FunTrpo.Onnx", [ "FunTrpo.CSharp", $"[{version}]"; locked "Google.Protobuf" ]
      "FunTrpo.MuJoCo",
      List.collect library [ "FunTrpo.MuJoCo"; "FunTrpo.MuJoCo.Engine" ],
      [ "FunTrpo", $"[{version}]"; locked "FSharp.Core" ]
      "FunTrpo.MuJoCo.CSharp",
      library "FunTrpo.MuJoCo.CSharp",
      [ "FunTrpo.CSharp", $"[{version}]"; "FunTrpo.MuJoCo", $"[{version}]" ]
      "FunTrpo.Remote", library "FunTrpo.Remote", [ "FunTrpo.CSharp", $"[{version}]" ]
      "FunTrpo.Orleans",
      library "FunTrpo.Orleans",
      [ "FunTrpo.CSharp", $"[{version}]"
        locked "Microsoft.Orleans.Client"
        locked "Microsoft.Orleans.Clustering.Redis"
        locked "Microsoft.Orleans.Server" ]
      "FunTrpo.TensorBoard",
      library "FunTrpo.TensorBoard",
      [ "FunTrpo.CSharp", $"[{version}]"; locked "Google.Protobuf" ]
      "FunTrpo.Plots",
      library "FunTrpo.Plots",
      [ "FunTrpo", $"[{version}]"
        "FunTrpo.Ddpg", $"[{version}]"
        locked "FSharp.Core"
        locked "Plotly.NET" ]
      "FunTrpo.Plots.CSharp",
      library "FunTrpo.Plots.CSharp",
      [ "FunTrpo.CSharp", $"[{version}]"; "FunTrpo.Plots", $"[{version}]" ]
      "FunTrpo.Inference",
      [ "net10.0"; "netstandard2.1" ]
      |> List.collect (fun framework -> libraryFor framework "FunTrpo.Inference"),
      []
      "FunTrpo.Tool",
      List.map
          tool
          [ "DotnetToolSettings.xml"
            "FSharp.Core.dll"
            "Google.Protobuf.dll"
            "FunTrpo.Onnx.dll"
            "FunTrpo.Plots.dll"
            "FunTrpo.Watch.dll"
            "Spectre.Console.dll"
            "Spectre.Console.Ansi.dll"
            "FunTrpo.TensorBoard.dll"
            "FunTrpo.MuJoCo.dll"
            "FunTrpo.MuJoCo.Engine.dll"
            "FunTrpo.Ddpg.dll"
            "FunTrpo.Remote.dll"
            "FunTrpo.Orleans.dll"
            yield! ofOrleans
            "Microsoft.Extensions.DependencyInjection.Abstractions.dll"
            "Microsoft.Extensions.Logging.Abstractions.dll"
            "Plotly.NET.dll"
            "DynamicObj.dll"
            "Fable.Core.dll"
            "Giraffe.ViewEngine.dll"
            "Newtonsoft.Json.dll"
            "Parquet.dll"
            "CommunityToolkit.HighPerformance.dll"
            "K4os.Compression.LZ4.dll"
            "Microsoft.IO.RecyclableMemoryStream.dll"
            "Snappier.dll"
            "ZstdSharp.dll"
            "FunTrpo.Cli.deps.json"
            "FunTrpo.CSharp.dll"
            "FunTrpo.Cli.dll"
            "FunTrpo.Cli.runtimeconfig.json"
            "FunTrpo.Environments.dll"
            "FunTrpo.Kernels.dll"
            "FunTrpo.dll"
            "System.CommandLine.dll" ],
      [] ]

let private entry (archive: ZipArchive) name =
    use content = archive.GetEntry(name: string).Open()
    use copy = new MemoryStream()
    content.CopyTo copy
    copy.ToArray()

let private contents =
    [ for id, files, dependencies in expected do
          testList
              id
              [ test "holds README, license, icon and its files, and nothing else" {
                    use archive = ZipFile.OpenRead(package id)

                    let held =
                        [ for entry in archive.Entries do
                              if
                                  not (
                                      Regex.IsMatch(
                                          entry.FullName,
                                          @"^(_rels/|package/|\[Content_Types\]|\w[\w.]*\.nuspec$)"
                                      )
                                  )
                              then
                                  entry.FullName ]

                    Expect.equal (Set held) (Set(files @ [ "README.md"; "LICENSE"; "icon.png" ])) "the files"
                    let text name = Text.Encoding.UTF8.GetString(entry archive name).ReplaceLineEndings "\n"
                    Expect.equal (text "README.md") (read "packaging/README.md") "its README"
                    Expect.equal (text "LICENSE") (read "LICENSE") "its license"
                    let icon = entry archive "icon.png"
                    Expect.equal icon[0..3] [| 0x89uy; byte 'P'; byte 'N'; byte 'G' |] "an icon that is a PNG"

                    Expect.equal
                        (icon[18..19], icon[22..23])
                        ([| 0uy; 128uy |], [| 0uy; 128uy |])
                        "of 128 by 128 pixels"
                }

                test "says what it is, and depends on no more than it needs" {
                    use archive = ZipFile.OpenRead(package id)
                    let nuspec = XDocument.Load(new MemoryStream(entry archive $"{id}.nuspec"))

                    let value name =
                        [ for element in nuspec.Descendants() do
                              if element.Name.LocalName = name then
                                  element.Value ]

                    Expect.equal (value "id") [ id ] "its name"
                    Expect.equal (value "version") [ version ] "its version"
                    Expect.equal (value "license") [ "MIT" ] "its license"
                    Expect.equal (value "readme") [ "README.md" ] "its README"
                    Expect.equal (value "icon") [ "icon.png" ] "its icon"
                    Expect.isNonEmpty (value "description" |> List.filter ((<>) "")) "its description"

                    let needed =
                        [ for element in nuspec.Descendants() do
                              if element.Name.LocalName = "dependency" then
                                  element.Attribute(XName.Get "id").Value, element.Attribute(XName.Get "version").Value ]

                    Expect.equal needed dependencies "its dependencies"
                }

                test "has assemblies that are reproducible and hold their symbols, and the documentation of them" {
                    use archive = ZipFile.OpenRead(package id)

                    for file in files do
                        if Regex.IsMatch(file, @"/FunTrpo[\w.]*\.dll$") then
                            use assembly = new PEReader(new MemoryStream(entry archive file))
                            let kinds = [ for part in assembly.ReadDebugDirectory() -> part.Type ]
                            Expect.contains kinds DebugDirectoryEntryType.EmbeddedPortablePdb $"{file}: symbols"
                            Expect.contains kinds DebugDirectoryEntryType.Reproducible $"{file}: is reproducible"

                            if id <> "FunTrpo.Tool" then
                                let sources = sourcesOf assembly
                                Expect.isGreaterThan sources.Length 2 $"{file}: sources"
                                Expect.all sources snd $"{file}: each source is in it"

                        if file.EndsWith ".xml" && file.StartsWith "lib" then
                            let documentation = XDocument.Load(new MemoryStream(entry archive file))
                            let members = documentation.Descendants(XName.Get "summary") |> Seq.length
                            Expect.isGreaterThan members 2 $"{file}: documented members"
                }

                test "documents what its users see, and nothing else" {
                    use archive = ZipFile.OpenRead(package id)

                    for file in files do
                        if file.EndsWith ".xml" && file.StartsWith "lib" then
                            let library =
                                libraries |> List.find (fun it -> $"{it.GetName().Name}.xml" = Path.GetFileName file)

                            let seen = seenOf library
                            let documentation = XDocument.Load(new MemoryStream(entry archive file))

                            let documented =
                                [ for it in documentation.Descendants(XName.Get "member") ->
                                      it.Attribute(XName.Get "name").Value ]

                            let types = documented |> List.filter _.StartsWith("T:") |> List.map _.Substring(2)
                            Expect.isEmpty (List.filter (seen.Contains >> not) types) $"{file}: types that nobody sees"

                            for it in documented do
                                let owner = Regex.Replace(it.Substring 2, @"(\(.*)?$", "")

                                let isSeen =
                                    seen |> Set.exists (fun name -> owner = name || owner.StartsWith(name + "."))

                                Expect.isTrue isSeen $"{file}: {it} is of something that users see"

                            if id = "FunTrpo.CSharp" then
                                for property in typeof<FunTrpo.CSharp.TrainingOptions>.GetProperties() do
                                    Expect.contains
                                        documented
                                        $"P:{property.DeclaringType.FullName}.{property.Name}"
                                        "each option"
                } ] ]

// ---- Using them ----

/// The block in a language that the packages' own README shows.
let private shown language =
    let found =
        Regex.Matches(read "packaging/README.md", $"```{language}\n(.*?)```", RegexOptions.Singleline)

    Expect.hasLength found 1 $"one block of {language}"
    found[0].Groups[1].Value

/// A script of the repository, as it is written where there are only packages.
let private packaged (script: string) = script.Replace("#load \"load.fsx\"", "#r \"nuget: FunTrpo\"")

/// The same where the packages are prereleases in a folder, as the README says it.
let private fromFeed package (script: string) =
    let feed = Path.Combine(workplace.Value, "feed")
    (packaged script).Replace("#r \"nuget: FunTrpo\"", $"#i \"nuget: {feed}\"\n#r \"nuget: {package}, 0.1.0-*\"")

/// What a lesson prints in an empty folder with an empty cache, where only what it loads lies beside it.
let private lesson (script: string) package beside arguments =
    test $"{script} is the same with {package} in place of load.fsx, and prints outside what docs/scripts.md shows" {
        apart (fun folder ->
            for file in beside do
                File.WriteAllText(Path.Combine(folder, file), read $"scripts/{file}")

            File.WriteAllText(Path.Combine(folder, script), fromFeed package (read $"scripts/{script}"))
            let printed = runAfresh folder host ("fsi" :: script :: arguments)

            for document, shown in
                [ for document in [ "docs/scripts.md"; "docs/theory.md" ] do
                      for named, shown in blocks "excerpt" document do
                          if named = $"scripts/{script}" then
                              document, shown ] do
                for line in shown.TrimEnd().Split '\n' |> Array.truncate 3 do
                    Expect.stringContains (withoutNumbers printed) (withoutNumbers line) document)
    }

let private scripts =
    [ test "the script of the packages' README is the first one of the repository" {
          Expect.equal (shown "fsharp") (packaged (read "scripts/first-policy.fsx")) "the script"
          Expect.stringContains (read "README.md") "\n    #r \"nuget: FunTrpo\"" "the line that the README gives"
      }

      test "every script loads what is named, and opens what comes from there" {
          let ofBenchmark =
              [ for file in [ "Shape"; "ArchitectureShape"; "Timing"; "Subjects" ] ->
                    $"../bench/FunTrpo.Bench/{file}.fs" ]

          let allowed =
              Set([ "load.fsx"; "lesson.fsx"; "results.fsx"; "garnets.fsx"; "chart.fsx"; "plot.fs" ] @ ofBenchmark)

          let all pattern script = [ for found in Regex.Matches(script, pattern) -> found.Groups[1].Value ]
          let loads = all "(?m)^#load \"(.*)\""

          for path in Directory.GetFiles(Path.Combine(root, "scripts"), "*.fsx") do
              let script = File.ReadAllText path
              let direct = loads script
              let loaded = direct @ List.collect (fun file -> loads (read $"scripts/{file}")) direct
              Expect.isTrue (Set.isSubset (Set loaded) allowed) $"what {path} loads"

              for opened in all "(?m)^open (\\S+)" script do
                  let isOfALibrary = Regex.IsMatch(opened, @"^(System|FunTrpo|MathNet\.Numerics)(\.|$)")
                  let isLoaded (file: string) = Path.GetFileNameWithoutExtension file = opened.ToLowerInvariant()
                  let isReferenced = script.Contains $"#r \"../bin/{opened}.dll\""

                  Expect.isTrue
                      (isOfALibrary || isReferenced || (List.exists isLoaded loaded && opened <> "Load"))
                      $"{path} opens {opened}"
      }

      lesson "own-environment.fsx" "FunTrpo" [] [ "4096" ]
      lesson "inside-one-update.fsx" "FunTrpo" [ "lesson.fsx" ] [ "4096" ]
      lesson
          "exact-algorithms.fsx"
          "FunTrpo.Exact"
          [ "lesson.fsx"; "chart.fsx"; "plot.fs" ]
          [ "2"; "--page"; "page.html" ]

      test "that script prints outside of the repository what it prints inside" {
          let folder = newFolder "script"
          File.WriteAllText(Path.Combine(folder, "first.fsx"), fromFeed "FunTrpo" (shown "fsharp"))
          let printed = runAfresh folder host [ "fsi"; "first.fsx" ]
          let _, documented = blocks "output" "README.md" |> List.find (fst >> (=) "scripts/first-policy.fsx")
          let comparable = if roundsAlike then id else withoutNumbers
          Expect.equal (comparable printed) (comparable documented) "what it prints"
      } ]

/// Trains, saves, loads and acts as the README shows; the folder then holds a policy.
let private trained =
    lazy
        (let folder = newFolder "console"

         File.WriteAllText(
             Path.Combine(folder, "Console.csproj"),
             $"""<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <TargetFramework>net10.0</TargetFramework>
    <Nullable>enable</Nullable>
    <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
  </PropertyGroup>
  <ItemGroup>
    <PackageReference Include="FunTrpo.CSharp" Version="{version}" />
  </ItemGroup>
</Project>
"""
         )

         File.WriteAllText(Path.Combine(folder, "Program.cs"), shown "csharp")
         folder, run folder host [ "run"; "-c"; "Release" ])

/// A reference to a package, in a project file.
let private packageReference name = $"""<PackageReference Include="{name}" Version="{version}" />"""

/// Writes the project of a C# program with these references. Its build writes the names of all that it compiles against to references.txt.
let private writeProgram folder name references =
    File.WriteAllText(
        Path.Combine(folder, $"{name}.csproj"),
        $"""<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <TargetFramework>net10.0</TargetFramework>
    <Nullable>enable</Nullable>
    <ImplicitUsings>enable</ImplicitUsings>
    <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
  </PropertyGroup>
  <ItemGroup>
    {String.concat "\n    " references}
  </ItemGroup>
  <Target Name="SayReferences" AfterTargets="ResolveAssemblyReferences">
    <WriteLinesToFile File="references.txt" Lines="@(ReferencePath->'%%(Filename)')" Overwrite="true" />
  </Target>
</Project>
"""
    )

/// A program that opens both namespaces and binds its options from a configuration; it compiles against the facade alone.
let private facade =
    test "a C# program sees the facade and not the pipeline, and binds its options from a configuration" {
        let folder = newFolder "facade"

        writeProgram
            folder
            "Facade"
            [ """<FrameworkReference Include="Microsoft.AspNetCore.App" />"""
              packageReference "FunTrpo.CSharp" ]

        File.WriteAllText(
            Path.Combine(folder, "settings.json"),
            """{ "Training": { "Seed": 7, "TotalSteps": 2000, "Hidden": [ 32, 16 ], "Activation": "Relu", "StopAtReturn": 400.5 },
  "Linear": { "Hidden": [], "Threads": 1 } }"""
        )

        File.WriteAllText(
            Path.Combine(folder, "Program.cs"),
            """using FunTrpo;
using FunTrpo.CSharp;
using Microsoft.Extensions.Configuration;

IConfiguration settings = new ConfigurationBuilder().AddJsonFile(Path.GetFullPath("settings.json")).Build();
TrainingOptions options = settings.GetSection("Training").Get<TrainingOptions>()!;
Console.WriteLine(options == new TrainingOptions { Seed = 7, TotalSteps = 2000, Hidden = [32, 16], Activation = Activation.Relu, StopAtReturn = 400.5 });
Console.WriteLine(options.CriticHidden is null);
Policy policy = Trpo.For("CartPole-v1").With(_ => options).Train().Policy;
Console.WriteLine(policy.ParameterCount == 4 * 32 + 32 + 32 * 16 + 16 + 16 * 2 + 2);
"""
        )

        let printed = run folder host [ "run"; "-c"; "Release" ]
        Expect.equal printed "True\nTrue\nTrue\n" "what it prints"

        let references =
            File.ReadAllLines(Path.Combine(folder, "references.txt")) |> Array.filter _.StartsWith("F")

        Expect.equal references [| "FunTrpo.CSharp" |] "what it compiles against"
    }

let private console =
    test "the C# program of the packages' README trains, saves, loads and acts" {
        let folder, printed = trained.Value
        let pattern = @"^GoalReached after \d+ steps\nmean return (4[5-9]\d|500)(\.\d+)?\naction [01]\n$"
        Expect.isTrue (Regex.IsMatch(printed, pattern)) $"what it prints: {printed}"
        Expect.isTrue (File.Exists(Path.Combine(folder, "policy.json"))) "the policy is there"
    }

/// A program that exports a policy and plays it by a library for netstandard2.1, each from its package.
let private shipped =
    test "FunTrpo.Onnx exports and FunTrpo.Inference plays what the C# program has trained" {
        let console, _ = trained.Value
        let folder = newFolder "shipped"
        let inFolder (name: string) (text: string) = File.WriteAllText(Path.Combine(folder, name), text)
        Directory.CreateDirectory(Path.Combine(folder, "Older")) |> ignore

        inFolder
            "Older/Older.csproj"
            $"""<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup><TargetFramework>netstandard2.1</TargetFramework></PropertyGroup>
  <ItemGroup><PackageReference Include="FunTrpo.Inference" Version="{version}" /></ItemGroup>
</Project>
"""

        inFolder
            "Older/Player.cs"
            """public static class Player
{
    public static int Act(string file, float[] observation) => FunTrpo.Inference.Policy.Load(file).Act(observation);
}
"""

        inFolder
            "Shipped.csproj"
            $"""<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <TargetFramework>net10.0</TargetFramework>
    <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
    <DefaultItemExcludes>$(DefaultItemExcludes);Older/**</DefaultItemExcludes>
  </PropertyGroup>
  <ItemGroup>
    <PackageReference Include="FunTrpo.Onnx" Version="{version}" />
    <ProjectReference Include="Older/Older.csproj" />
  </ItemGroup>
</Project>
"""

        inFolder
            "Program.cs"
            """using System;
using FunTrpo.CSharp;
using FunTrpo.Onnx;

Policy policy = Policy.Load(args[0]);
policy.ExportOnnx("policy.onnx");
float[] observation = [0.01f, 0.02f, 0.03f, 0.04f];
Console.WriteLine(Player.Act(args[0], observation) == policy.Act(observation));
"""

        let path = Path.Combine(console, "policy.json")
        Expect.equal (run folder host [ "run"; "-c"; "Release"; "--"; path ]) "True\n" "what it prints"
        let saved = FunTrpo.PolicyFile.load path |> Generators.expectOk
        let observations = FunTrpo.Matrix.ofRows [| [| 0.01f; 0.02f; 0.03f; 0.04f |] |]
        use session = new Microsoft.ML.OnnxRuntime.InferenceSession(Path.Combine(folder, "policy.onnx"))

        let action =
            FunTrpo.InferencePolicy(saved.Actor).Act(FunTrpo.Vector.ofArray [| 0.01f; 0.02f; 0.03f; 0.04f |])

        Expect.equal (OnnxRuns.run session observations).Actions (FunTrpo.Vector.toArray action) "the model's action"
        let metadata = session.ModelMetadata.CustomMetadataMap
        Expect.equal metadata["environment"] "CartPole-v1" "its environment"
    }

/// examples/CSharp as it is, but for the version of the package; and what it prints of five seeds.
let private example =
    test "the crane of examples/CSharp reaches its goal on five of five seeds, and prints what docs/csharp.md shows" {
        let folder = newFolder "crane"

        for file in Directory.GetFiles(Path.Combine(root, "examples/CSharp"), "*.cs*") do
            File.Copy(file, Path.Combine(folder, Path.GetFileName file))

        let project = Path.Combine(folder, "Crane.csproj")
        File.WriteAllText(project, File.ReadAllText(project).Replace("0.1.0-*", version))
        let printed = run folder host [ "run"; "-c"; "Release"; "--"; "5" ] // fails where a seed misses the goal
        let timeless text = Regex.Replace(text, @"\(\d+\.\d s of training\)", "")
        let _, documented = blocks "run" "docs/csharp.md" |> List.find (fst >> (=) "examples/CSharp")

        if roundsAlike then
            Expect.equal (timeless printed) (timeless documented) "what it prints"
        else
            let trials (text: string) = Array.truncate 7 ((withoutNumbers text).Split '\n')
            Expect.equal (trials printed) (trials documented) "the trials, but for numbers"
    }

/// A program that makes pages. It is restored and built without a warning, such as that of an earlier FSharp.Core (NU1605).
let private pages =
    test "FunTrpo.Plots.CSharp makes a report and a comparison in a C# program, which sees the facades alone" {
        let folder = newFolder "pages"

        writeProgram folder "Pages" [ packageReference "FunTrpo.Plots.CSharp" ]

        File.WriteAllText(
            Path.Combine(folder, "Program.cs"),
            """using FunTrpo.CSharp;
using FunTrpo.Plots.CSharp;

TrainingPlan plan = Trpo.For("CartPole-v1").With(options => options with { TotalSteps = 4_000, Delta = 0.02 });
TrainingResult result = plan.Train();
ReportPage.From(plan, result).Save("report.html");
ComparePage.From(new ComparedRun("δ = 0.02", plan, result)).Save("compare.html");
Console.WriteLine(string.Join(", ", ReportPage.From(plan, result).Charts));
"""
        )

        let printed = run folder host [ "run"; "-c"; "Release" ]

        Expect.equal
            printed
            "Return, Trust region, Predicted and realised gain, Conjugate gradient, Critic, Entropy, Speed\n"
            "what it prints"

        let data name = PageCases.dataOf (File.ReadAllText(Path.Combine(folder, name)))
        Expect.equal (PageCases.text "environment" (data "report.html")) "CartPole-v1" "the report"
        Expect.isNonEmpty (PageCases.framesOf ((data "report.html").GetProperty "episode")) "an episode"
        Expect.equal (PageCases.text "verdict" (data "compare.html")) "1 run in 1 group: δ = 0.02." "the comparison"

        let isOfNet (name: string) =
            [ "System"; "Microsoft"; "mscorlib"; "netstandard"; "WindowsBase" ] |> List.exists name.StartsWith

        Expect.equal
            (File.ReadAllLines(Path.Combine(folder, "references.txt"))
             |> Array.filter (isOfNet >> not)
             |> Array.sort)
            [| "FunTrpo.CSharp"; "FunTrpo.Plots.CSharp" |]
            "what it compiles against"
    }

/// The lines of a shell, each of which succeeds, with dotnet being the one that runs this.
let private shell run folder (lines: string) =
    let program = if host = "dotnet" then "" else $"dotnet() {{ '{host}' \"$@\"; }}; "
    run folder "/bin/sh" [ "-c"; $"set -e; {program}{lines}" ]

/// docs/csharp.md from its first line on, in an empty folder and with no package at hand, to a crane that is driven.
let private csharp =
    test "the commands and the nuget.config of docs/csharp.md lead from an empty folder to a program that runs" {
        apart (fun folder ->
            File.WriteAllText(Path.Combine(folder, "nuget.config"), documented "file" "nuget.config" "docs/csharp.md")
            shell runAfresh folder (documented "start" "csharp" "docs/csharp.md") |> ignore
            let project = Path.Combine(folder, "Crane")

            for file in Directory.GetFiles(Path.Combine(root, "examples/CSharp"), "*.cs") do
                File.Copy(file, Path.Combine(project, Path.GetFileName file), true)

            let cache = Path.Combine(workplace.Value, "cache-of-" + Path.GetFileName folder)
            let printed = runWith "" cache project host [ "run"; "-c"; "Release" ]
            Expect.stringContains printed "trained, seed 1" "what it prints"
            Expect.stringContains (File.ReadAllText(Path.Combine(project, "Crane.csproj"))) version "the package")
    }

let private tool =
    test "the tool is installed as funtrpo as README says, from an empty folder, and trains" {
        let folder = newFolder "tool"
        let command = Regex.Match(read "README.md", "(?m)^    dotnet (tool install .*)$").Groups[1].Value
        Expect.equal command "tool install --global FunTrpo.Tool --prerelease" "the command"
        // Not into the home of whoever runs the tests; and the folder of the packages as the README names it.
        let feed = Path.Combine(workplace.Value, "feed")
        let arguments = command.Replace("--global", "--tool-path bin").Split ' ' |> List.ofArray

        apart (fun elsewhere ->
            let path = Path.Combine(folder, "bin")
            let arguments = arguments |> List.map (fun argument -> if argument = "bin" then path else argument)
            runAfresh elsewhere host (arguments @ [ "--add-source"; feed ]) |> ignore)

        let funtrpo = Path.Combine(folder, "bin", "funtrpo")
        Expect.stringContains (run folder funtrpo [ "list" ]) "CartPole-v1" "the environments"
        run folder funtrpo [ "train"; "--steps"; "2048"; "--out"; "run" ] |> ignore
        Expect.isTrue (File.Exists(Path.Combine(folder, "run", "policy.json"))) "the policy is there"

        if not (OperatingSystem.IsWindows()) then
            // It finds ASP.NET Core, says where it serves the run, and ends when it is told to.
            let watch =
                $"'{funtrpo}' watch run --port 0 > out & for i in $(seq 1200); do grep -q Ctrl-C out && break; sleep 0.1; done; cat out; kill -TERM $!; wait $!"

            Expect.stringStarts (run folder "/bin/sh" [ "-c"; watch ]) "The runs in run are shown at http" "the server"
    }

/// Whether a native program can be linked here, as docs/deployment.md says what it takes.
let private canLink =
    not (RuntimeInformation.IsOSPlatform OSPlatform.Windows)
    && [ for folder in (Environment.GetEnvironmentVariable "PATH").Split ':' do
             for linker in [ "clang"; "gcc" ] do
                 File.Exists(Path.Combine(folder, linker)) ]
       |> List.contains true

let private deployment =
    let kind, options =
        if canLink then
            "native", [ "-p:IlcInstructionSet=native" ]
        else
            "trimmed",
            [ "-p:PublishAot=false"; "-p:PublishSingleFile=true"; "-p:PublishTrimmed=true"; "--self-contained" ]

    test $"examples/run-policy.cs, published as one {kind} file, acts as the policy does" {
        let console, _ = trained.Value
        let folder = newFolder "published"

        File.WriteAllText(
            Path.Combine(folder, "run-policy.cs"),
            Regex.Replace(read "examples/run-policy.cs", "FunTrpo.CSharp@\\S+", $"FunTrpo.CSharp@{version}")
        )

        let command =
            Regex.Match(read "docs/deployment.md", "(?m)^dotnet (publish run-policy.cs --output out)").Groups[1].Value

        Expect.isNotEmpty command "docs/deployment.md shows how it is published"
        let arguments = List.ofArray (command.Split ' ') @ [ "--artifacts-path"; "made" ] @ options
        let said = run folder host arguments

        for warning in Regex.Matches(said, ".*warning.*") do
            Expect.stringContains warning.Value "FSharp.Core" "no assembly of FunTrpo gives a warning"

        let path = Path.Combine(console, "policy.json")
        let policy = FunTrpo.CSharp.Policy.Load path
        let random = Random 1
        let observations = [ for _ in 1..200 -> Array.init 4 (fun _ -> float32 (random.NextDouble() - 0.5)) ]

        let lines =
            [ for observation in observations -> observation |> Array.map string |> String.concat " " ]
            |> String.concat "\n"

        let program = Path.Combine(folder, "out", "run-policy")
        let acted = runWith (lines + "\n") "" folder program [ path ]

        Expect.equal
            (acted.TrimEnd().Split '\n' |> List.ofArray)
            [ for observation in observations -> string (policy.Act observation) ]
            "the actions"
    }

let tests =
    testList
        "Packages"
        [ testList "contents" contents
          testList "scripts" scripts
          console
          facade
          csharp
          example
          shipped
          pages
          tool
          deployment ]
