/// Plain values as bytes, and back.
module FunTrpo.Tests.PlainValueTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators

type private Colour =
    | Red = 1
    | Green = 200

[<Struct>]
type private Point = { X: float; Y: float32 }

type private Shape =
    | Nothing
    | Circle of centre: Point * radius: float
    | Group of Shape list

type private Everything =
    { Small: struct (byte * sbyte * int16 * uint16)
      Large: int * uint32 * int64 * uint64
      Flag: bool
      Letter: char
      Name: string
      Colour: Colour
      Shape: Shape
      Maybe: float option
      Perhaps: int voption
      Points: Point[]
      Row: float32 list
      Key: Key
      Weights: Vector
      Price: decimal
      Moment: DateTime }

let private any<'T> = ArbMap.defaults |> ArbMap.generate<'T>

// `Equals` finds a NaN in an array different from itself.
let private point =
    Gen.map2 (fun x y -> { X = x; Y = y }) (any<float> |> Gen.where (Double.IsNaN >> not)) number

let rec private shape depth =
    Gen.oneof
        [ Gen.constant Nothing
          Gen.map2 (fun centre radius -> Circle(centre, float radius)) point number
          if depth > 0 then
              Gen.listOf (shape (depth - 1)) |> Gen.map (List.truncate 3 >> Group) ]

let private everything =
    gen {
        let! a, b = Gen.zip any<byte> any<sbyte>
        let! c, d = Gen.zip any<int16> any<uint16>
        let! e, f = Gen.zip any<int> any<uint32>
        let! g, h = Gen.zip any<int64> any<uint64>
        let! flag = any<bool>
        let! letter = any<char>
        let! name = Gen.elements [ null; ""; "λ → 𝔸"; "a\000b" ]
        let! colour = Gen.elements [ Colour.Red; Colour.Green; enum 77 ]
        let! shape = shape 3
        let! maybe = Gen.optionOf any<float>
        let! perhaps = Gen.elements [ ValueNone; ValueSome 3 ]
        let! points = Gen.arrayOf point
        let! row = Gen.arrayOf number
        let! price = any<decimal>

        return
            { Small = struct (a, b, c, d)
              Large = e, f, g, h
              Flag = flag
              Letter = letter
              Name = name
              Colour = colour
              Shape = shape
              Maybe = maybe
              Perhaps = perhaps
              Points = points
              Row = List.ofArray row
              Key = Key.ofSeed g
              Weights = Vector.ofArray row
              Price = price
              Moment = DateTime(2026, 1, 1).AddTicks(int64 f) }
    }

let private codecOf<'T> () = StateCodec.plain<'T>() |> Result.defaultWith failtest

/// Whether the encoded value is the same in every bit, also where a number is NaN.
let private comesBack (value: 'T) =
    let codec = codecOf<'T>()
    let bytes = codec.Encode value
    let back = codec.Decode(ReadOnlyMemory bytes)
    Expect.isTrue ((box back).Equals value) $"%A{value} comes back"
    Expect.equal (codec.Encode back) bytes "with the same bytes"

type private Tree =
    | Leaf
    | Node of Tree * Tree

let private refuses<'T> what =
    test $"refuses {what}" {
        match StateCodec.plain<'T>() with
        | Ok _ -> failtest "accepted"
        | Error why -> Expect.stringContains why "plain value" "the reason"
    }

let private damaged =
    property
        "bytes that are cut or changed give a value or are refused as unreadable, and nothing else"
        (gen {
            let! value = everything
            let! cut = Gen.choose (0, 2000)
            let! place, bit = Gen.zip (Gen.choose (0, 2000)) (Gen.choose (0, 7))
            return value, cut, place, bit
        })
        (fun (value, cut, place, bit) ->
            let codec = codecOf<Everything>()
            let bytes = codec.Encode value
            let shorter = Array.truncate cut bytes
            let changed = Array.copy bytes
            changed[place % bytes.Length] <- changed[place % bytes.Length] ^^^ byte (1 <<< bit)

            for attempt in [ shorter; changed ] do
                try
                    codec.Decode(ReadOnlyMemory attempt) |> ignore
                    Expect.isTrue (attempt.Length >= bytes.Length) "a shorter one lacks something"
                with Unreadable _ ->
                    ())

let tests =
    testList
        "plain values"
        [ property "of every kind come back" everything comesBack
          test "lists of a million items come back" { comesBack [ 1..1_000_000 ] }
          test "a tree 100 levels deep comes back" {
              comesBack (List.fold (fun tree _ -> Node(tree, Leaf)) Leaf [ 1..50 ])
          }
          test "a tree of 10,000 levels is refused, and does not exhaust the stack" {
              let deep = List.fold (fun tree _ -> Node(tree, Leaf)) Leaf [ 1..10_000 ]
              Expect.throwsT<IO.InvalidDataException> (fun () -> (codecOf<Tree>()).Encode deep |> ignore) "writing"
          }
          test "bytes of a tree of 10,000 levels are refused" {
              let bytes = Array.create 10_000 1uy
              Expect.throwsT<Unreadable> (fun () -> (codecOf<Tree>()).Decode(ReadOnlyMemory bytes) |> ignore) "reading"
          }
          test "a count that is larger than the bytes that follow is refused" {
              let bytes = [| 0xFFuy; 0xFFuy; 0xFFuy; 0x7Fuy; 0uy |]

              Expect.throwsT<Unreadable>
                  (fun () -> (codecOf<Point[]>()).Decode(ReadOnlyMemory bytes) |> ignore)
                  "reading"
          }
          damaged
          refuses<obj> "objects"
          refuses<{| Name: string; Stream: IO.Stream |}> "records that hold a class"
          refuses<(int -> int) list> "functions"
          refuses<nativeint> "pointers"
          refuses<ReadOnlyMemory<float>> "memory" ]
