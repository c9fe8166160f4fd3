/// What must hold for the compiled libraries as such.
module FunTrpo.Tests.AssemblyTests

open System
open System.Reflection
open Expecto
open FunTrpo
open FunTrpo.Environments

/// The type, the name and the code of each method.
let private bodies (assembly: Assembly) =
    let everything =
        BindingFlags.Public
        ||| BindingFlags.NonPublic
        ||| BindingFlags.Static
        ||| BindingFlags.Instance
        ||| BindingFlags.DeclaredOnly

    [ for owner in assembly.GetTypes() do
          let methods = owner.GetMethods everything |> Seq.cast<MethodBase>
          let constructors = owner.GetConstructors everything |> Seq.cast<MethodBase>

          for method in Seq.append methods constructors do
              match method.GetMethodBody() with
              | null -> ()
              | body -> owner.FullName, method.Name, body.GetILAsByteArray() ]

/// The names of the methods whose code holds a tail call: the prefix FE 14, and then call, calli or callvirt.
let private tailCalls (assembly: Assembly) =
    let isTailCall (code: byte[]) i =
        code[i] = 0xFEuy
        && code[i + 1] = 0x14uy
        && (code[i + 2] = 0x28uy || code[i + 2] = 0x29uy || code[i + 2] = 0x6Fuy)

    [ for owner, method, code in bodies assembly do
          if Seq.exists (isTailCall code) (seq { 0 .. code.Length - 3 }) then
              $"{owner}.{method}" ]

/// Whether a member tells the time of day, or the times of a file. Those can jump, and forwards or backwards.
let private tellsTime (method: MethodBase) =
    let names = [ "get_Now"; "get_UtcNow"; "get_Today"; "GetUtcNow"; "GetLocalNow" ]
    let fileTimes = [ "LastWriteTime"; "LastAccessTime"; "CreationTime" ]

    match method.DeclaringType with
    | null -> false
    | owner when owner = typeof<DateTime> || owner = typeof<DateTimeOffset> || owner = typeof<TimeProvider> ->
        List.contains method.Name names
    | owner when owner.Namespace = "System.IO" -> fileTimes |> List.exists method.Name.Contains
    | _ -> false

/// The member of another assembly that the code calls at a place: call or callvirt, and a token of the table of such members (0A).
let private calledAt (assembly: Assembly) (code: byte[]) i =
    if (code[i] <> 0x28uy && code[i] <> 0x6Fuy) || code[i + 4] <> 0x0Auy then
        None
    else
        try
            // Members of generic types are not sought, but must be resolved as well.
            let owners = Array.create 9 typeof<obj>
            Option.ofObj (assembly.ManifestModule.ResolveMethod(BitConverter.ToInt32(code, i + 1), owners, owners))
        with
        // A member of a generic type with constraints, or no call at all but bytes of another instruction.
        | :? ArgumentException
        | :? BadImageFormatException
        | :? TypeLoadException -> None

let private readersOfTheTime (assembly: Assembly) =
    [ for owner, method, code in bodies assembly do
          let isReader i = calledAt assembly code i |> Option.exists tellsTime

          if Seq.exists isReader (seq { 0 .. code.Length - 5 }) then
              $"{owner}.{method}" ]

let private libraries =
    [ typeof<Key>.Assembly
      typeof<FunTrpo.Kernels.Lanes>.Assembly
      typeof<Registered>.Assembly
      typeof<FunTrpo.CSharp.Space>.Assembly ]

let tests =
    testList
        "Assemblies"
        [ for assembly in [ typeof<Key>.Assembly; typeof<Registered>.Assembly; typeof<Cli.RunFolder.Write>.Assembly ] do
              // The runtime's helper for tail calls that do not fit has been seen to hand over a span, under garbage
              // collection, that no longer pointed to its array: a few wrong observations in 10⁸.
              test $"{assembly.GetName().Name} makes no tail call" {
                  Expect.isEmpty (tailCalls assembly) "methods with tail calls"
              }

          // A clock that goes backwards cannot hurt what does not read it: durations come from `Stopwatch`, which never does.
          for assembly in libraries do
              test $"{assembly.GetName().Name} does not read the time of day" {
                  Expect.isEmpty (readersOfTheTime assembly) "methods that do"
              }

          // The times of files are compared for equality alone.
          test
              "the command reads the time of day only to tell who holds a folder since when, and whether a watched file is another" {
              Expect.sequenceEqual
                  (readersOfTheTime typeof<Cli.RunFolder.Write>.Assembly
                   |> List.map (fun name -> name.Split('@')[0])
                   |> List.sort)
                  [ "FunTrpo.Cli.RunFolder.writeOwner"; "FunTrpo.Cli.WatchedRuns+ofFile" ]
                  "methods that do"
          } ]
