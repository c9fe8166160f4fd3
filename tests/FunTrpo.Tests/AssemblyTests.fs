/// What must hold for the compiled libraries as such.
module FunTrpo.Tests.AssemblyTests

open System.Reflection
open Expecto
open FunTrpo
open FunTrpo.Environments

/// The names of the methods whose code holds a tail call: the prefix FE 14, and then call, calli or callvirt.
let private tailCalls (assembly: Assembly) =
    let everything =
        BindingFlags.Public
        ||| BindingFlags.NonPublic
        ||| BindingFlags.Static
        ||| BindingFlags.Instance
        ||| BindingFlags.DeclaredOnly

    let isTailCall (code: byte[]) i =
        code[i] = 0xFEuy
        && code[i + 1] = 0x14uy
        && (code[i + 2] = 0x28uy || code[i + 2] = 0x29uy || code[i + 2] = 0x6Fuy)

    [ for owner in assembly.GetTypes() do
          let methods = owner.GetMethods everything |> Seq.cast<MethodBase>
          let constructors = owner.GetConstructors everything |> Seq.cast<MethodBase>

          for method in Seq.append methods constructors do
              match method.GetMethodBody() with
              | null -> ()
              | body ->
                  let code = body.GetILAsByteArray()

                  if Seq.exists (isTailCall code) (seq { 0 .. code.Length - 3 }) then
                      $"{owner.FullName}.{method.Name}" ]

let tests =
    testList
        "Assemblies"
        [ for assembly in [ typeof<Key>.Assembly; typeof<Registered>.Assembly; typeof<Cli.RunFiles.Summary>.Assembly ] do
              // The runtime's helper for tail calls that do not fit has been seen to hand over a span, under garbage
              // collection, that no longer pointed to its array: a few wrong observations in 10⁸.
              test $"{assembly.GetName().Name} makes no tail call" {
                  Expect.isEmpty (tailCalls assembly) "methods with tail calls"
              } ]
