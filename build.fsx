// FunTrpo's build, which needs nothing but the .NET SDK:  dotnet fsi build.fsx <target> [arguments]
// `dotnet fsi build.fsx help` lists the targets.

open System
open System.Diagnostics
open System.IO
open System.Reflection
open System.Reflection.Metadata
open System.Reflection.PortableExecutable
open System.Security.Cryptography
open System.Text
open System.Text.Json
open System.Text.RegularExpressions
open System.Xml.Linq

let root = __SOURCE_DIRECTORY__
let at path = Path.Combine(root, path)

/// Ends the build with an exit code; whoever raises it has already said why.
exception Stop of int

let fail (message: string) =
    eprintfn "%s" message
    raise (Stop 1)

// ---- Running programs ----

/// The dotnet that runs this script, even where it is not on the path.
let dotnet =
    Environment.GetEnvironmentVariable "DOTNET_HOST_PATH"
    |> Option.ofObj
    |> Option.defaultValue "dotnet"

/// Runs a program that shares this console, in the given folder; returns its exit code.
let run folder (program: string) (arguments: string list) =
    use child = Process.Start(ProcessStartInfo(program, arguments, WorkingDirectory = folder))
    child.WaitForExit()
    child.ExitCode

/// Runs a program in the repository's root; returns its exit code and all that it said.
let capture (program: string) (arguments: string list) =
    let start =
        ProcessStartInfo(
            program,
            arguments,
            WorkingDirectory = root,
            RedirectStandardOutput = true,
            RedirectStandardError = true
        )

    use child = Process.Start start
    let errors = child.StandardError.ReadToEndAsync()
    let output = child.StandardOutput.ReadToEnd()
    child.WaitForExit()
    child.ExitCode, (output + errors.Result).Trim()

/// Runs a dotnet command of which nothing is seen unless it fails.
let quietly arguments =
    let code, output = capture dotnet arguments

    if code <> 0 then
        fail $"""{output}{"\n\n"}dotnet {String.concat " " arguments} failed with exit code {code}."""

// ---- Doing nothing twice ----

let isBuilt (folder: string) = List.contains (Path.GetFileName folder) [ "bin"; "obj" ]

let remove folder =
    if Directory.Exists folder then
        Directory.Delete(folder, true)

/// Every file below a folder, in a fixed order, less what builds leave there.
let rec filesBelow folder =
    [ yield! Directory.GetFiles folder |> Array.sort
      for inner in Directory.GetDirectories folder |> Array.sort do
          if not (isBuilt inner) then
              yield! filesBelow inner ]

/// One hash of the names and contents of files, and of the runtime that comes with the SDK.
let fingerprint files =
    use hash = IncrementalHash.CreateHash HashAlgorithmName.SHA256
    hash.AppendData(Encoding.UTF8.GetBytes(string Environment.Version))

    for file in files do
        hash.AppendData(Encoding.UTF8.GetBytes $"\n{file}\n")
        hash.AppendData(File.ReadAllBytes file)

    Convert.ToHexString(hash.GetHashAndReset())

/// Makes a folder from sources, unless both are still, byte for byte, what they were after the last success.
let unlessMade folder sources make =
    let settings = Directory.GetFiles(root, "Directory.Build.*") |> List.ofArray

    let inputs =
        fingerprint (at "paket.lock" :: at ".editorconfig" :: settings @ List.collect (at >> filesBelow) sources)

    let made () = inputs + fingerprint (filesBelow (at folder))
    let stamp = at (Path.Combine("obj", folder.Replace('/', '-') + ".made"))

    if not (File.Exists stamp && Directory.Exists(at folder) && File.ReadAllText stamp = made ()) then
        make ()
        Directory.CreateDirectory(at "obj") |> ignore
        File.WriteAllText(stamp, made ())

// ---- Packages ----

/// Paket reads no NuGet configuration: give it the first source that is enabled there.
let findPackageSource () =
    if isNull (Environment.GetEnvironmentVariable "NUGET_SOURCE") then
        let _, sources = capture dotnet [ "nuget"; "list"; "source"; "--format"; "short" ]
        let enabled = Regex.Match(sources, @"(?m)^E\w* (.+?)\s*$")

        if not enabled.Success then
            fail "No package source is enabled: enable one with `dotnet nuget`, or put its address into NUGET_SOURCE."

        Environment.SetEnvironmentVariable("NUGET_SOURCE", enabled.Groups[1].Value)

/// Brings the tools and packages, where they are not there yet. Paket notes the hash of the lock file that it restored.
let restore () =
    findPackageSource ()
    quietly [ "tool"; "restore" ]
    let restored = at "paket-files/paket.restore.cached"
    let hash = File.ReadAllBytes(at "paket.lock") |> SHA256.HashData |> Convert.ToHexString

    if not (File.Exists restored && File.ReadAllText(restored).Contains hash) then
        quietly [ "paket"; "restore" ]

/// What is wrong with the packages: each has one version, is listed once, and comes from a source that no file names.
let packageFaults () =
    let code, listing = capture "git" [ "ls-files"; "--cached"; "--others"; "--exclude-standard" ]

    if code <> 0 then
        fail $"The files to check are those that git knows, and git failed:\n{listing}"

    let files = listing.Split '\n' |> Array.map _.Trim() |> Array.filter (at >> File.Exists)
    let text file = File.ReadAllText(at file)
    let named (name: string) = files |> Array.filter (fun file -> Path.GetFileName file = name)

    let found pattern text =
        [ for found in Regex.Matches(text, pattern, RegexOptions.Multiline) -> found.Groups[1].Value.ToLowerInvariant() ]

    let packages pattern file = text file |> found pattern
    let twice = List.countBy id >> List.filter (fun (_, count) -> count > 1) >> List.map fst

    // Orleans asks for later versions of what the hosting of .NET consists of, which only its project and the command have.
    let locked =
        Regex.Replace(text "paket.lock", @"(?s)^GROUP Orleans$.*?(?=^GROUP |\z)", "", RegexOptions.Multiline)
        |> found @"^    (\S+ \(\S+\))"
        |> List.distinct
        |> List.map (fun it -> it.Split(' ')[0])

    let declared = packages @"^\s*nuget\s+(\S+)"
    let referenced = packages @"^\s*(?!group\s)([\w.-]+)"

    [ for package in twice locked do
          $"paket.lock: {package} has more than one version"
      for package in twice (declared "paket.dependencies") do
          $"paket.dependencies: {package} is listed twice"
      for file in named "paket.references" do
          for package in twice (referenced file) do
              $"{file}: {package} is listed twice"

          for package in List.except (declared "paket.dependencies") (referenced file) do
              $"{file}: {package} is not in paket.dependencies"
      for file in files do
          let isOfACaller = file.StartsWith "examples/" // written as it would be outside of the repository

          if not isOfACaller && Regex.IsMatch(file, @"proj$|\.props$") && text(file).Contains "<PackageReference" then
              $"{file}: a PackageReference, but packages belong into paket.references"

          if
              Regex.IsMatch(
                  text file,
                  @"(?i)(nuget|npmjs|myget|pypi)[.](org|com)\b|https?://\S*/v3[/-]|(source|remote:) +https?:"
              )
          then
              $"{file}: names a package host" ]

// ---- Building and running ----

let executable name = if OperatingSystem.IsWindows() then name + ".exe" else name

/// How all is built; and of that, only warnings and errors are told.
let release = [ "-c"; "Release"; "--nologo"; "-v"; "quiet" ]

/// Publishes the command into bin/, ready to run there or to be copied elsewhere.
let makeCommand () =
    let published = at "obj/publish"
    remove published
    quietly ([ "publish"; "src/FunTrpo.Cli"; "-o"; published ] @ release)
    File.Move(Path.Combine(published, executable "FunTrpo.Cli"), Path.Combine(published, executable "funtrpo"))
    remove (at "bin")
    Directory.Move(published, at "bin")

let ensureCommand () =
    unlessMade "bin" [ "src" ] (fun () ->
        eprintfn "Building the command ..."
        restore ()
        makeCommand ())

let testProgram = "tests/FunTrpo.Tests/bin/Release/net10.0"

let ensureTests () =
    unlessMade testProgram [ "src"; "tests" ] (fun () ->
        eprintfn "Building the tests ..."
        restore ()
        quietly ([ "build"; "tests/FunTrpo.Tests" ] @ release))

let benchProgram = "bench/FunTrpo.Bench/bin/Release/net10.0"

let ensureBench () =
    unlessMade benchProgram [ "src"; "bench"; "scripts" ] (fun () ->
        eprintfn "Building the benchmarks ..."
        restore ()
        quietly ([ "build"; "bench/FunTrpo.Bench" ] @ release))

/// Runs a program that was built, where the caller stands.
let runBuilt folder name arguments =
    run Environment.CurrentDirectory (at (Path.Combine(folder, executable name))) arguments

/// The folders and files that hold F#, of those that are there.
let fsharp = [ "src"; "tests"; "bench"; "scripts"; "build.fsx" ] |> List.filter (at >> Path.Exists)

// ---- Packages that are made ----

/// The version of what is checked out: that of its tag, v1.2.3; or the one after the last tag's, and the commits since then.
let versionOfCommit () =
    let git arguments =
        match capture "git" arguments with
        | 0, said -> Some said
        | _ -> None

    match git [ "describe"; "--tags"; "--long"; "--match"; "v[0-9]*" ] with
    | Some described ->
        let tag = Regex.Match(described, @"^v(\d+\.\d+)\.(\d+)(-[\w.-]+)?-(\d+)-g\w+$")

        if not tag.Success then
            fail $"The last tag is no version such as v1.2.3 or v1.2.3-rc.1: {described}"

        let part (i: int) = tag.Groups[i].Value

        match part 4, part 3 with
        | "0", label -> $"{part 1}.{part 2}{label}"
        | height, "" -> $"{part 1}.{int (part 2) + 1}-alpha.0.{height}"
        | height, label -> $"{part 1}.{part 2}{label}.{height}"
    | None ->
        match git [ "rev-list"; "--count"; "HEAD" ] with
        | Some height -> $"0.1.0-alpha.0.{height}"
        | None -> fail "The version comes from git, and this is no checkout: give one with --version."

/// What packaging/ calls the folders that projects are built to, for one framework: what they need lies in them, too.
let packed =
    [ "libraries", "FunTrpo.CSharp", "net10.0"
      "exact", "FunTrpo.Exact", "net10.0"
      "ddpg", "FunTrpo.Ddpg", "net10.0"
      "ddpgcsharp", "FunTrpo.Ddpg.CSharp", "net10.0"
      "onnx", "FunTrpo.Onnx", "net10.0"
      "tensorboard", "FunTrpo.TensorBoard", "net10.0"
      "mujoco", "FunTrpo.MuJoCo", "net10.0"
      "mujococsharp", "FunTrpo.MuJoCo.CSharp", "net10.0"
      "remote", "FunTrpo.Remote", "net10.0"
      "orleans", "FunTrpo.Orleans", "net10.0"
      "plots", "FunTrpo.Plots", "net10.0"
      "plotscsharp", "FunTrpo.Plots.CSharp", "net10.0"
      "command", "FunTrpo.Cli", "net10.0"
      "inference", "FunTrpo.Inference", "net10.0"
      "older", "FunTrpo.Inference", "netstandard2.1" ]

/// What users of an assembly see: its public types, and the public and protected members of each, as XML documentation names them.
let visibleNames (assembly: string) =
    use file = new PEReader(File.OpenRead assembly)
    let metadata = file.GetMetadataReader()

    let rec describe (handle: TypeDefinitionHandle) =
        let it = metadata.GetTypeDefinition handle
        let name = metadata.GetString it.Name
        let outer = it.GetDeclaringType()

        if outer.IsNil then
            $"{metadata.GetString it.Namespace}.{name}", it.Attributes.HasFlag TypeAttributes.Public
        else
            let outerName, isVisible = describe outer

            let isNested =
                match it.Attributes &&& TypeAttributes.VisibilityMask with
                | TypeAttributes.NestedPublic
                | TypeAttributes.NestedFamily
                | TypeAttributes.NestedFamORAssem -> true
                | _ -> false

            $"{outerName}.{name}", isVisible && isNested

    let isForUsers (access: MethodAttributes) =
        match access &&& MethodAttributes.MemberAccessMask with
        | MethodAttributes.Public
        | MethodAttributes.Family
        | MethodAttributes.FamORAssem -> true
        | _ -> false

    set
        [ for handle in metadata.TypeDefinitions do
              let name, isVisible = describe handle

              if isVisible then
                  let it = metadata.GetTypeDefinition handle
                  let methods = [ for h in it.GetMethods() -> h, metadata.GetMethodDefinition h ]

                  let isAccessible handle = methods |> List.exists (fun (h, m) -> h = handle && isForUsers m.Attributes)

                  name

                  for handle, m in methods do
                      if isForUsers m.Attributes then
                          $"{name}.{metadata.GetString(m.Name).Replace('.', '#')}" // .ctor is #ctor

                  for p in it.GetProperties() do
                      let property = metadata.GetPropertyDefinition p
                      let accessors = property.GetAccessors()

                      if isAccessible accessors.Getter || isAccessible accessors.Setter then
                          $"{name}.{metadata.GetString property.Name}"

                  for f in it.GetFields() do
                      let field = metadata.GetFieldDefinition f

                      // Access means the same in fields and in methods.
                      if isForUsers (enum<MethodAttributes>(int field.Attributes)) then
                          $"{name}.{metadata.GetString field.Name}" ]

/// The XML documentation beside an assembly, without what its users do not see.
let documentationForUsers (assembly: string) =
    let visible = visibleNames assembly
    let document = XDocument.Load(Path.ChangeExtension(assembly, ".xml"))

    let isForUsers (it: XElement) =
        let id = it.Attribute(XName.Get "name").Value.Substring 2 // after T:, M:, P:, F: or E:
        visible.Contains(Regex.Replace(id, @"(``\d+)?(\(.*)?$", ""))

    document.Descendants(XName.Get "member")
    |> Seq.filter (isForUsers >> not)
    |> List.ofSeq
    |> List.iter _.Remove()

    document

/// Makes the packages that packaging/ describes, from the folders to which the projects were built.
let makePackages (version: string) (folderOf: string -> string -> string) (output: string) =
    let locked package =
        Regex.Match(File.ReadAllText(at "paket.lock"), $@"(?m)^    {Regex.Escape package} \((\S+)\)").Groups[1].Value

    let documentation = at "obj/pack-documentation"
    remove documentation
    Directory.CreateDirectory documentation |> ignore

    // Those of the libraries come last: an earlier project's copies of them may be older.
    for _, project, framework in List.rev packed do
        for assembly in Directory.GetFiles(at (folderOf project framework), "FunTrpo*.dll") do
            if File.Exists(Path.ChangeExtension(assembly, ".xml")) then
                let name = Path.ChangeExtension(Path.GetFileName assembly, ".xml")
                (documentationForUsers assembly).Save(Path.Combine(documentation, name))

    for description in Directory.GetFiles(at "packaging", "*.nuspec") |> Array.sort do
        quietly
            [ "pack"
              description
              "--version"
              version
              "--output"
              output
              $"""-p:fsharpcore={locked "FSharp.Core"}"""
              $"""-p:mathnet={locked "MathNet.Numerics"}"""
              $"""-p:protobuf={locked "Google.Protobuf"}"""
              $"""-p:logging={locked "Microsoft.Extensions.Logging.Abstractions"}"""
              $"""-p:plotly={locked "Plotly.NET"}"""
              $"""-p:orleansversion={locked "Microsoft.Orleans.Server"}"""
              $"-p:documentation={documentation}"
              for name, project, framework in packed do
                  $"-p:{name}={at (folderOf project framework)}" ]

        let id = Path.GetFileNameWithoutExtension description
        printfn "%s" (Path.Combine(output, $"{id}.{version}.nupkg"))

// ---- The targets ----

let build () =
    restore ()
    let code = run root dotnet [ "build"; "FunTrpo.sln"; "-c"; "Release"; "--nologo" ]

    if code = 0 then
        ensureCommand ()
        printfn "The command is ready: %s" (at (Path.Combine("bin", executable "funtrpo")))

    code

let test arguments =
    ensureTests ()
    ensureCommand () // the tests run the scripts, which load the libraries from bin/
    runBuilt testProgram "FunTrpo.Tests" arguments

/// Plants one fault after another in a copy of the sources, to see whether the tests find them.
let plantFaults arguments =
    restore ()
    run root dotnet ("fsi" :: at "tests/faults.fsx" :: arguments)

/// Kills runs, fills disks, changes files and trains for long, to see whether the promises of docs/reliability.md hold.
let torture arguments =
    ensureTests ()
    ensureCommand ()
    run root dotnet ("fsi" :: at "tests/torture.fsx" :: arguments)

/// Changes files guided by the code that each change reaches.
let fuzz arguments =
    ensureTests ()
    run root dotnet ("fsi" :: at "tests/fuzz/run.fsx" :: arguments)

let bench arguments =
    ensureBench ()
    ensureCommand () // one row starts its process
    runBuilt benchProgram "FunTrpo.Bench" arguments

let command arguments =
    ensureCommand ()
    runBuilt "bin" "funtrpo" arguments

/// Trains every preset of an earlier commit with the seeds 0–4 by its command and by today's, and compares the parameters bit for bit: a change
/// that is to change no result has to end with 0.
let compare (commit: string) =
    let earlier = at "obj/compare"

    if not (Directory.Exists(Path.Combine(earlier, ".git"))) then
        remove earlier
        run root "git" [ "clone"; "--quiet"; "--no-checkout"; "."; earlier ] |> ignore

    let inEarlier program arguments =
        if run earlier program arguments <> 0 then
            fail $"""{program} {String.concat " " arguments} failed in {earlier}."""

    inEarlier "git" [ "fetch"; "--quiet"; "--force"; "origin"; "HEAD" ]
    inEarlier "git" [ "checkout"; "--quiet"; "--force"; commit ]
    inEarlier dotnet [ "fsi"; "build.fsx"; "--"; "train"; "--steps"; "1024"; "--out"; at "obj/compare-trial" ]
    ensureCommand ()

    let out = at "obj/compare-run"

    /// Trains by the command in a folder, and returns the hash of the parameters.
    let hash folder arguments =
        let command = Path.Combine(folder, "bin", executable "funtrpo")
        let code, said = capture command ([ "train"; "--out"; out ] @ arguments)

        if code <> 0 then
            fail said

        Regex.Match(File.ReadAllText(Path.Combine(out, "summary.json")), "parametersSha256\": \"(\\w+)").Groups[1].Value

    /// Today's fields, with their standard values.
    let standard =
        let _, shown = capture (Path.Combine(root, "bin", executable "funtrpo")) [ "config" ]

        [ for found in Regex.Matches(shown, @"(?m)^(\w+) = (.*)$") ->
              found.Groups[1].Value, found.Groups[2].Value.Trim() ]

    /// Today's fields with their values in the run that was made last. Fields that it does not know have their standard values.
    let settings () =
        use config = JsonDocument.Parse(File.ReadAllText(Path.Combine(out, "config.json")))
        let configuration = config.RootElement.GetProperty "configuration"

        [ for name, value in standard do
              match configuration.TryGetProperty name with
              | true, field -> yield! [ "--set"; $"{name}={field.ToString().ToLowerInvariant()}" ]
              | _ -> yield! [ "--set"; $"{name}={value}" ] ]

    /// The hashes of the earlier commit and of today's, both with the earlier preset.
    let hashes environment seed =
        let run = [ "--env"; environment; "--seed"; string seed; "--steps"; "100k" ]
        let before = hash earlier run
        before, hash root (run @ settings ())

    // The environments of the earlier commit: later ones have nothing to be compared with.
    let _, list = capture (Path.Combine(earlier, "bin", executable "funtrpo")) [ "list" ]

    let differing =
        [ for found in Regex.Matches(list, @"(?m)^\w\S*$") do
              for seed in 0..4 do
                  let environment = found.Value
                  let before, now = hashes environment seed
                  printfn "%-26s seed %d  %s%s" environment seed now (if before = now then "" else $"  was {before}")

                  if before <> now then
                      environment, seed ]

    printfn "%d of the runs differ from %s." differing.Length commit
    min 1 differing.Length

/// Packages are built apart from everything else, from nothing but the sources, with the version in every assembly.
let packBuilt version output =
    let apart = "obj/pack"
    remove (at apart)
    restore ()

    for project in packed |> List.map (fun (_, project, _) -> project) |> List.distinct do
        quietly (
            [ "build"; $"src/{project}"; "--artifacts-path"; at apart; $"-p:Version={version}" ]
            @ [ "-p:ContinuousIntegrationBuild=true"; "-p:UseCurrentRuntimeIdentifier=false" ]
            @ release
        )

    /// Only a project for several frameworks has a folder for each.
    let folderOf project framework =
        let built = $"{apart}/bin/{project}/release"
        if Directory.Exists(at built) then built else $"{built}_{framework}"

    makePackages version folderOf output

/// Packages of what the last build left, whatever its version: quick, to try them.
let packAsBuilt version output =
    let lastBuilt project (framework: string) =
        let folder = at (Path.Combine("src", project, "bin", "Release", framework))

        if not (Directory.Exists folder) then
            fail $"{folder} is not there: build first."

        Directory.GetFiles(folder, $"{project}.dll", SearchOption.AllDirectories)
        |> Array.maxBy File.GetLastWriteTimeUtc
        |> Path.GetDirectoryName

    makePackages version lastBuilt output

let rec pack version output asBuilt arguments =
    match arguments with
    | "--version" :: version :: rest -> pack (Some version) output asBuilt rest
    | "--output" :: output :: rest -> pack version (Path.GetFullPath output) asBuilt rest
    | "--as-built" :: rest -> pack version output true rest
    | argument :: _ ->
        eprintfn "pack takes --version VERSION, --output FOLDER and --as-built, and got: %s" argument
        2
    | [] ->
        let version = version |> Option.defaultWith versionOfCommit
        (if asBuilt then packAsBuilt else packBuilt) version output
        0

let documentation = "artifacts/docs"

/// The guide pages and the reference as a site that can stand anywhere: every link is relative, and leads somewhere.
let docs () =
    // Without FunTrpo.Orleans: fsdocs does not find the assemblies that it shows in its members.
    let projects =
        [ "FunTrpo"
          "FunTrpo.Environments"
          "FunTrpo.Exact"
          "FunTrpo.Ddpg"
          "FunTrpo.Ddpg.CSharp"
          "FunTrpo.CSharp"
          "FunTrpo.Onnx"
          "FunTrpo.TensorBoard"
          "FunTrpo.Inference"
          "FunTrpo.Plots"
          "FunTrpo.Plots.CSharp"
          "FunTrpo.MuJoCo.Engine"
          "FunTrpo.MuJoCo"
          "FunTrpo.MuJoCo.CSharp"
          "FunTrpo.Remote"
          "FunTrpo.Kernels" ]

    let file project = Directory.GetFiles(at $"src/{project}", "*proj") |> Array.exactlyOne
    let site = at documentation
    let state = at ".fsdocs" // what fsdocs remembers of the projects, right or wrong
    let placeholder = "/its-root/"
    // Built apart from everything else, since the facade is compiled without the attributes that fsdocs cannot read.
    let apart = [ $"""ArtifactsPath={at "obj/docs"}"""; "ForDocumentation=true" ]
    restore ()

    for project in projects do
        // fsdocs takes a project for restored only if its usual place is.
        quietly [ "restore"; $"src/{project}" ]
        quietly ([ "build"; $"src/{project}" ] @ List.map (sprintf "-p:%s") apart @ release)

    List.iter remove [ state; site ]

    let code, said =
        capture
            dotnet
            ([ "fsdocs"; "build"; "--strict"; "--input"; "docs"; "--output"; site ]
             @ "--properties" :: "Configuration=Release" :: apart
             @ [ "--parameters"; "root"; placeholder; "fsdocs-collection-name"; "FunTrpo" ]
             @ "--projects" :: List.map file projects)

    remove state

    let complaints =
        said.Split '\n'
        |> Array.filter (fun line -> not (line.TrimStart().StartsWith("Generating ", StringComparison.Ordinal)))
        |> Array.filter (fun line -> Regex.IsMatch(line, @"(?i)\b(warning|error)\b|could not|unable to"))

    if code <> 0 || complaints.Length > 0 then
        fail (if complaints.Length > 0 then String.concat "\n" complaints else said)

    File.Copy(at "packaging/icon.png", Path.Combine(site, "icon.png"))

    for unused in [ "NuGet.config"; "index.json"; "llms.txt"; "llms-full.txt" ] do
        File.Delete(Path.Combine(site, unused))

    let pages = Directory.GetFiles(site, "*.html", SearchOption.AllDirectories)

    // fsdocs also links internal types in the reference, which have no pages: of these links only the text is kept.
    let unlink (link: Match) =
        if File.Exists(Path.Combine(site, "reference", link.Groups[1].Value)) then
            link.Value
        else
            link.Groups[2].Value

    for page in pages do
        let isGuide = Path.GetDirectoryName page = site
        let text = File.ReadAllText(page).Replace(placeholder, (if isGuide then "" else "../"))
        let pattern = """<a href="../reference/([\w-]+[.]html)"[^>]*>(.*?)</a>"""
        File.WriteAllText(page, (if isGuide then text else Regex.Replace(text, pattern, unlink)))

    let menu = File.ReadAllText(at "docs/_template.html")

    let faults =
        [ for page in pages do
              let name = Path.GetRelativePath(site, page).Replace('\\', '/')
              let text = File.ReadAllText page

              if Path.GetDirectoryName page = site && not (menu.Contains("{{root}}" + name)) then
                  $"docs/_template.html: its menu does not lead to {name}"

              for found in Regex.Matches(text, "(?:href|src)=\"([^\"#]*)(?:#([^\"]*))?\"") do
                  let target, anchor = found.Groups[1].Value, Uri.UnescapeDataString found.Groups[2].Value
                  let linked = if target = "" then page else Path.Combine(Path.GetDirectoryName page, target)

                  if not (target.Contains "://") then
                      if not (File.Exists linked) then
                          $"{name}: nothing is where it links to: {target}"
                      elif anchor <> "" && not (File.ReadAllText(linked).Contains $"\"{anchor}\"") then
                          $"{name}: {target} has no place {anchor}" ]

    for fault in List.distinct faults do
        eprintfn "%s" fault

    if faults.IsEmpty then
        printfn "The documentation is ready: %s" (Path.Combine(site, "index.html"))
        0
    else
        1

let format () =
    restore ()
    max (run root dotnet ("fantomas" :: fsharp)) (run root dotnet [ "csharpier"; "format"; "." ])

let check () =
    restore ()

    /// What a tool says when it fails: the lines of interest, or its last ones where there are none.
    let complaints interest arguments () =
        let code, output = capture dotnet arguments
        let lines = output.Split '\n' |> Array.map _.TrimEnd()
        let found = lines |> Array.filter (fun line -> Regex.IsMatch(line, interest))

        if code = 0 then []
        elif Array.isEmpty found then List.ofArray (Array.skip (max 0 (lines.Length - 20)) lines)
        else List.ofArray found

    /// The warnings of the linter about a project, or about files.
    let lint isWarning target =
        let _, output = capture dotnet [ "fsharplint"; "-f"; "msbuild"; "lint"; target ]

        if output.Contains "Summary:" then
            output.Split '\n' |> Array.filter isWarning |> List.ofArray
        else
            [ output ]

    let isWarning (line: string) = line.Contains "FSharpLint warning"

    let projects () =
        Directory.GetFiles(root, "*.fsproj", SearchOption.AllDirectories)
        |> Array.filter (fun path ->
            [ "FunTrpo.Tests"; "FunTrpo.Cli"; $"{Path.DirectorySeparatorChar}obj" ]
            |> List.forall (path.Contains >> not))

    // As one project, the more than hundred files of the tests would take a quarter of an hour and 13 GB, and those of the command four
    // minutes. Without the types of a project, the linter takes `new` for redundant (FL0014) where it makes a disposable object.
    let lintFiles folder () = lint (fun line -> isWarning line && not (line.Contains "FL0014")) (at $"{folder}/*.fs")

    // The longest first; a linter uses one core.
    let lintAll () =
        let files = [| lintFiles "tests/FunTrpo.Tests"; lintFiles "src/FunTrpo.Cli" |]

        Array.append files (projects () |> Array.map (fun project () -> lint isWarning project))
        |> Array.Parallel.map (fun lint -> lint ())
        |> List.concat

    let faults =
        [ "F# format", complaints "^! " ("fantomas" :: "check" :: fsharp)
          "C# format", complaints "^Error" [ "csharpier"; "check"; "." ]
          "F# lint", lintAll
          "packages", packageFaults ]
        |> List.collect (fun (name, find) ->
            let found = find ()
            printfn "%-10s %s" name (if found.IsEmpty then "ok" else "FAILED")
            found |> List.iter (printfn "    %s")
            found)

    if faults.IsEmpty then 0 else 1

let clean () =
    let rec built folder =
        [ for inner in Directory.GetDirectories folder do
              if isBuilt inner then inner else yield! built inner ]

    let projects = [ "src"; "tests"; "bench" ] |> List.map at |> List.filter Directory.Exists
    let made = [ "bin"; "obj"; "artifacts"; "paket-files" ] |> List.map at
    List.iter remove (made @ List.collect built projects)
    0

let help () =
    printfn
        """Usage:  dotnet fsi build.fsx <target> [arguments]

  build      build everything in Release, and the command into bin/funtrpo
  test       run the tests without those that take long; --all runs these, too; other arguments go to the test program, as in:
             test --filter-test-list GAE
  faults     plant faults in a copy of the sources, one after another, and see whether the tests find them, which takes an hour;
             --only NAME plants those whose name has it, --list shows them all
  torture    kill runs, fill disks, change files and train for long; --minutes N (10) sets how much, --markdown FILE keeps the table
  fuzz       change files guided by the code that they reach, with SharpFuzz and AFL++, which must be installed; --minutes N (10) sets
             for how long, --only TEXT takes the kinds of files with this text in their names
  compare    COMMIT: train with its presets and five seeds there and here, and compare the parameters bit for bit
  train      run `funtrpo train` with the arguments
  resume     run `funtrpo resume` with the arguments
  evaluate   run `funtrpo evaluate` with the arguments
  export     run `funtrpo export` with the arguments
  report     run `funtrpo report` with the arguments
  sweep      run `funtrpo sweep` with the arguments
  bench      measure the speed against the machine and PyTorch; --quick is rough, --json FILE and --markdown FILE keep the numbers,
             --shape 376-256-256-17 --family gaussian --batch 4096 measures your own, micro runs BenchmarkDotNet
  pack       make the packages of packaging/ in artifacts/, their version from the last git tag (v1.2.3); --version and --output say otherwise, --as-built takes what the last build left
  docs       build the guide pages and the API reference into artifacts/docs
  format     format all F# and C#
  check      check format, lint and packages, and change nothing
  clean      remove all that was built
  help       show this text

`test`, `train`, `evaluate` and `bench` first build what has changed. Paths are relative to the current folder.

F# Interactive keeps --help and -h for itself, unless two dashes stand before the target:

  dotnet fsi build.fsx -- train --help"""

    0

let start arguments =
    match arguments with
    | []
    | [ "help" ] -> help ()
    | [ "build" ] -> build ()
    | "test" :: rest -> test rest
    | "faults" :: rest -> plantFaults rest
    | [ "compare"; commit ] -> compare commit
    | "bench" :: rest -> bench rest
    | "torture" :: rest -> torture rest
    | "fuzz" :: rest -> fuzz rest
    | ("train" | "resume" | "evaluate" | "export" | "report" | "watch" | "sweep") :: _ -> command arguments
    | "pack" :: rest -> pack None (at "artifacts") false rest
    | [ "docs" ] -> docs ()
    | [ "format" ] -> format ()
    | [ "check" ] -> check ()
    | [ "clean" ] -> clean ()
    | target :: rest ->
        let known =
            [ "build"
              "test"
              "faults"
              "torture"
              "fuzz"
              "compare"
              "train"
              "resume"
              "evaluate"
              "export"
              "report"
              "watch"
              "sweep"
              "bench"
              "pack"
              "docs"
              "format"
              "check"
              "clean"
              "help" ]

        if List.contains target known then
            eprintfn "%s takes no arguments, and got: %s" target (String.concat " " rest)
        else
            eprintfn "There is no target %s. The targets are: %s." target (String.concat ", " known)

        2

// Ctrl-C reaches the program that runs, too: it decides what to do, and this script waits for it.
Console.CancelKeyPress.Add(fun press -> press.Cancel <- true)

if Environment.Version.Major < 10 then
    eprintfn "FunTrpo needs the .NET SDK 10 or later, and this is %O: see dotnet.microsoft.com." Environment.Version
    exit 1

exit (
    try
        start (List.tail (List.ofArray fsi.CommandLineArgs))
    with Stop code ->
        code
)
