/// ASP.NET Core, which only `funtrpo watch` needs. The command does not name it as a framework that it needs: then it would start more slowly,
/// and not at all where only the runtime of .NET is installed. Its assemblies are loaded from beside that runtime when they are first used.
module FunTrpo.Cli.AspNetCore

open System
open System.IO
open System.Runtime.InteropServices
open System.Runtime.Loader
open FunTrpo

let private name = "Microsoft.AspNetCore.App"

/// The folder of the installed version that is nearest to the runtime's: the same one, or the last patch.
let private find () =
    let runtime = RuntimeEnvironment.GetRuntimeDirectory().TrimEnd Path.DirectorySeparatorChar
    let installed = Path.Combine(runtime, "..", "..", name) |> Path.GetFullPath
    let version = Environment.Version
    let exact = Path.Combine(installed, Path.GetFileName runtime)

    if Directory.Exists exact then
        Some exact
    elif Directory.Exists installed then
        [ for folder in Directory.GetDirectories(installed, $"{version.Major}.{version.Minor}.*") do
              match Version.TryParse(Path.GetFileName folder) with
              | true, patch -> patch, folder
              | _ -> () ]
        |> List.sortDescending
        |> List.tryHead
        |> Option.map snd
    else
        None

/// From now on, assemblies of ASP.NET Core are found. The fault says what to install.
let load () =
    match find () with
    | None ->
        let version = $"{Environment.Version.Major}.{Environment.Version.Minor}"
        Error(Mismatch $"watch needs the ASP.NET Core runtime {version}, which is not installed beside the one of .NET")
    | Some folder ->
        AssemblyLoadContext.Default.add_Resolving (fun context assembly ->
            let path = Path.Combine(folder, assembly.Name + ".dll")
            if File.Exists path then context.LoadFromAssemblyPath path else null)

        Ok()
