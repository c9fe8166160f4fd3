/// The environments that the command knows: those of the library, and those that callers' assemblies register (`--env-from FILE.dll`).
module FunTrpo.Cli.EnvironmentFiles

open System
open System.IO
open System.Reflection
open System.Runtime.Loader
open FunTrpo
open FunTrpo.CSharp
open FunTrpo.Environments
open FunTrpo.MuJoCo
open FunTrpo.Remote

/// An environment, and the file that registers it, if it is not one of the library.
type Known = { Registered: Registered; File: string option }

/// What the names of environments of Gymnasium begin with.
let private gymnasiumPrefix = "gym:"

/// The assemblies that a caller's assembly shares with the command: their types are the same in both.
let private isShared (name: string) =
    List.contains
        name
        [ "FunTrpo"
          "FunTrpo.Kernels"
          "FunTrpo.Environments"
          "FunTrpo.MuJoCo"
          "FunTrpo.MuJoCo.Engine"
          "FunTrpo.CSharp"
          "FSharp.Core" ]

/// Loads an assembly with the assemblies that it needs, which lie beside it or are named in its .deps.json.
type private LoadContext(path: string) =
    inherit AssemblyLoadContext(path)
    let resolver = AssemblyDependencyResolver path

    override this.Load name =
        match (if isShared name.Name then null else resolver.ResolveAssemblyToPath name) with
        | null -> null // The command's own.
        | path -> this.LoadFromAssemblyPath path

let private version = typeof<Fault>.Assembly.GetName().Version

/// Refuses an assembly that was built for a FunTrpo with another major or minor version.
let private requireVersion path (assembly: Assembly) =
    let isOther (reference: AssemblyName) =
        let needed = reference.Version

        reference.Name.StartsWith "FunTrpo"
        && isShared reference.Name
        && (needed.Major, needed.Minor) <> (version.Major, version.Minor)

    match assembly.GetReferencedAssemblies() |> Array.tryFind isOther with
    | Some reference ->
        Error(
            Damaged(
                path,
                $"it was built for {reference.Name} {reference.Version.ToString 3}, and this is FunTrpo {version.ToString 3}"
            )
        )
    | None -> Ok()

let private publicStatic = BindingFlags.Public ||| BindingFlags.Static

/// The public static values of type `Registered` and lists of them: in F#, the values of modules.
let private registeredValues (owner: Type) =
    let properties =
        [ for property in owner.GetProperties publicStatic do
              if property.CanRead && property.GetIndexParameters().Length = 0 then
                  property.PropertyType, fun () -> property.GetValue(null, null) ]

    let fields =
        [ for field in owner.GetFields publicStatic -> field.FieldType, fun () -> field.GetValue null ]

    [ for valueType, value in properties @ fields do
          if typeof<Registered>.IsAssignableFrom valueType then
              value () :?> Registered
          elif typeof<seq<Registered>>.IsAssignableFrom valueType then
              yield! value () :?> seq<Registered> ]

/// An object of a class with a constructor without parameters.
let private create (owner: Type) =
    let flags = BindingFlags.Public ||| BindingFlags.Instance ||| BindingFlags.DoNotWrapExceptions
    Activator.CreateInstance(owner, flags, null, null, null)

/// The interfaces of the facade by which a class is an environment, each with the factory of simulators for a factory and a name.
let private interfaces: (Type * ((unit -> obj) -> string -> Func<Simulator>)) list =
    [ typeof<IEnvironment>, (fun make name -> SimulatorOf.Factory((fun () -> make () :?> IEnvironment), name, true))
      typeof<IAsyncEnvironment>,
      (fun make name ->
          let awaited = AwaitedEnvironment.Factory(fun () -> make () :?> IAsyncEnvironment)
          SimulatorOf.Factory(awaited, name, true))
      typeof<IBatchEnvironment>,
      (fun make name ->
          BatchOf.Factory((fun () -> make () :?> IBatchEnvironment), name, true) |> BatchSimulator.simulators) ]

/// The environment of a class that implements an interface of the facade and can be made, with the standard configuration.
let private tryClass (owner: Type) =
    let canBeMade =
        owner.IsClass && not owner.IsAbstract && not (isNull (owner.GetConstructor Type.EmptyTypes))

    match interfaces |> List.tryFind (fun (environment, _) -> environment.IsAssignableFrom owner) with
    | Some(_, simulatorsOf) when canBeMade ->
        let simulators = simulatorsOf (fun () -> create owner) owner.Name
        Some(Registered.ofNamedSimulators (fun () -> owner.Name) Tuning.standard simulators.Invoke)
    | _ -> None

let private registeredIn (assembly: Assembly) =
    [ for owner in assembly.GetExportedTypes() do
          if not owner.ContainsGenericParameters then
              yield! registeredValues owner
              yield! Option.toList (tryClass owner) ]
    |> List.filter (box >> isNull >> not)
    |> List.distinct

/// The exception that the caller's code threw, inside those of reflection.
let rec private cause (error: exn) =
    match error with
    | :? TargetInvocationException
    | :? TypeInitializationException when not (isNull error.InnerException) -> cause error.InnerException
    | _ -> error

let private load (path: string) =
    let damaged why = Error(Damaged(path, why))

    try
        match RegularFile.reasonAgainst path with
        | Some reason -> damaged $"it {reason}"
        | None when not (File.Exists path) -> damaged "there is no such file"
        | None ->
            let assembly = LoadContext(Path.GetFullPath path).LoadFromAssemblyPath(Path.GetFullPath path)

            requireVersion path assembly
            |> Result.bind (fun () ->
                match registeredIn assembly with
                | [] ->
                    damaged
                        "it registers no environment: no public value of type Registered, and no public class that implements IEnvironment, IAsyncEnvironment or IBatchEnvironment and has a constructor without parameters"
                | found -> Ok [ for registered in found -> { Registered = registered; File = Some path } ])
    with error ->
        match cause error with
        | :? BadImageFormatException -> damaged "it is not a .NET assembly"
        | :? TypeLoadException
        | :? ReflectionTypeLoadException
        | :? MissingMemberException
        | :? FileLoadException
        | :? FileNotFoundException as error ->
            damaged
                $"it cannot be loaded ({error.Message}); was it built for FunTrpo {version.ToString 3}, and do the assemblies that it needs lie beside it?"
        | error -> damaged error.Message

/// Refuses two environments with the same name.
let private requireDistinct (known: Known list) =
    let origin known = known.File |> Option.defaultValue "the library"

    match known |> List.groupBy _.Registered.Id |> List.tryFind (fun (_, group) -> group.Length > 1) with
    | Some(id, first :: second :: _) ->
        Error(Mismatch $"two environments have the name {id}: one of {origin first}, and one of {origin second}")
    | _ -> Ok known

/// The environments of the library, and those of the files. A file that cannot be used is `Damaged`.
let known (files: string list) =
    let library =
        [ for registered in Registry.all @ PhysicsTasks.all -> { Registered = registered; File = None } ]

    let add soFar path =
        result {
            let! earlier = soFar
            let! more = load path
            return earlier @ more
        }

    List.fold add (Ok library) files |> Result.bind requireDistinct

/// An environment of Gymnasium, in a process of Python.
let private ofGymnasium (id: string) =
    let simulators =
        BatchSimulator.simulators (
            Func<_>(fun () -> Gymnasium.Start(id.Substring gymnasiumPrefix.Length) :> BatchSimulator)
        )

    { Registered = Registered.ofNamedSimulators (fun () -> id) Tuning.standard simulators.Invoke
      File = None }

/// The known environment with this id, or one of Gymnasium, or a game of Godot.
let find (known: Known list) (id: string) =
    match known |> List.tryFind (fun one -> one.Registered.Id = id) with
    | Some found -> Ok found
    | None when id.StartsWith(gymnasiumPrefix, StringComparison.Ordinal) -> Ok(ofGymnasium id)
    | None when id.StartsWith(GodotGames.prefix, StringComparison.Ordinal) ->
        GodotGames.environment id |> Result.map (fun registered -> { Registered = registered; File = None })
    | None -> Error(InvalidSetting("--env", id, Registry.mustBeOneOf (known |> List.map _.Registered) id))

/// The environment of the library that TRPO is tried on first.
let firstOfLibrary = "CartPole-v1"

/// The environment to train on if none is named: the only one of the files, or this one of the library if there are no files.
let standard ofLibrary (known: Known list) =
    match known |> List.filter _.File.IsSome with
    | [] -> find known ofLibrary
    | [ only ] -> Ok only
    | several ->
        let ids = several |> List.map _.Registered.Id |> String.concat ", "
        Error(Mismatch $"several environments are registered: say with --env which of {ids}")
