/// A reader of event files that shares nothing with their writer: checksums bit by bit, and the wire format of protobuf by hand.
module FunTrpo.Tests.EventFiles

open System
open System.Buffers.Binary
open System.IO
open System.Text
open Expecto

// ---- Records ----

/// CRC-32C, bit by bit: the reflected polynomial 0x82F63B78.
let crc32c (bytes: byte[]) =
    let mutable crc = 0xFFFFFFFFu

    for one in bytes do
        crc <- crc ^^^ uint32 one

        for _ in 1..8 do
            crc <- if crc &&& 1u = 1u then (crc >>> 1) ^^^ 0x82F63B78u else crc >>> 1

    ~~~crc

let masked bytes =
    let crc = crc32c bytes
    ((crc >>> 15) ||| (crc <<< 17)) + 0xA282EAD8u

/// The data of the records that the bytes consist of. Everything must be whole and have its checksum.
let rec records (bytes: byte[]) =
    if bytes.Length = 0 then
        []
    else
        Expect.isGreaterThanOrEqual bytes.Length 16 "a record has at least 16 bytes"
        let length = int (BinaryPrimitives.ReadUInt64LittleEndian bytes[0..7])
        Expect.isGreaterThanOrEqual bytes.Length (16 + length) "the record is whole"
        let checksum (at: int) = BinaryPrimitives.ReadUInt32LittleEndian bytes[at .. at + 3]
        let data = bytes[12 .. 11 + length]
        Expect.equal (checksum 8) (masked bytes[0..7]) "the checksum of the length"
        Expect.equal (checksum (12 + length)) (masked data) "the checksum of the data"
        data :: records bytes[16 + length ..]

// ---- Protobuf ----

type Wire =
    | Varint of uint64
    | Fixed64 of uint64
    | Fixed32 of uint32
    | Delimited of byte[]

/// A varint and what follows it: 7 bits in each byte, the lowest first; the highest bit says that there are more.
let rec private varint (bytes: byte[]) =
    if bytes[0] < 128uy then
        uint64 bytes[0], bytes[1..]
    else
        let high, rest = varint bytes[1..]
        uint64 (bytes[0] &&& 127uy) ||| (high <<< 7), rest

/// The fields of a message, with their numbers.
let rec fields (message: byte[]) =
    if message.Length = 0 then
        []
    else
        let key, rest = varint message

        let value, rest =
            match key &&& 7UL with
            | 0UL ->
                let value, rest = varint rest
                Varint value, rest
            | 1UL -> Fixed64(BinaryPrimitives.ReadUInt64LittleEndian rest[0..7]), rest[8..]
            | 2UL ->
                let length, rest = varint rest
                Delimited rest[.. int length - 1], rest[int length ..]
            | 5UL -> Fixed32(BinaryPrimitives.ReadUInt32LittleEndian rest[0..3]), rest[4..]
            | other -> failtest $"the wire type {other}"

        (int (key >>> 3), value) :: fields rest

// ---- Events ----

type Content =
    | Version of string
    | Start
    | Values of Map<string, Choice<float32, string>>

type Event = { WallTime: float; Step: int64; Content: Content }

let private text (bytes: byte[]) = Encoding.UTF8.GetString bytes

/// A value of a summary: its tag, and a number or a text.
let private value (message: byte[]) =
    match fields message |> List.sortBy fst with
    | [ 1, Delimited tag; 2, Fixed32 bits ] -> text tag, Choice1Of2(BitConverter.UInt32BitsToSingle bits)
    | [ 1, Delimited tag; 8, Delimited tensor; 9, Delimited metadata ] ->
        // The plugin's data (1) have its name (1).
        match fields metadata |> List.map snd with
        | [ Delimited plugin ] -> Expect.equal (fields plugin) [ 1, Delimited "text"B ] "the plugin"
        | other -> failtest $"metadata: %A{other}"

        match fields tensor with
        | [ 1, Varint 7UL; 2, Delimited [||]; 8, Delimited content ] -> text tag, Choice2Of2(text content)
        | other -> failtest $"a tensor: %A{other}"
    | other -> failtest $"a value: %A{other}"

let private event (message: byte[]) =
    let found = fields message
    let all number = [ for field, value in found -> if field = number then Some value else None ] |> List.choose id

    let content =
        match found |> List.filter (fun (number, _) -> number > 2) with
        | [ 3, Delimited version ] -> Version(text version)
        | [ 7, Delimited [| 8uy; 1uy |] ] -> Start
        | [ 5, Delimited summary ] ->
            let values =
                [ for number, it in fields summary do
                      match number, it with
                      | 1, Delimited message -> value message
                      | other -> failtest $"a summary: %A{other}" ]

            Expect.hasLength (Map values) values.Length "each tag once"
            Values(Map values)
        | other -> failtest $"an event: %A{other}"

    match all 1, all 2 with
    | [ Fixed64 time ], ([] | [ Varint _ ] as step) ->
        let step =
            match step with
            | [ Varint step ] -> int64 step
            | _ -> 0L

        { WallTime = BitConverter.UInt64BitsToDouble time; Step = step; Content = content }
    | other -> failtest $"the time and the step of an event: %A{other}"

/// The events of a file, which another process may be writing to.
let read (path: string) =
    use stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite)
    use copy = new MemoryStream()
    stream.CopyTo copy
    copy.ToArray() |> records |> List.map event

/// The steps and the values of the events that have some.
let summaries events =
    [ for event in events do
          match event.Content with
          | Values values -> event.Step, values
          | _ -> () ]

/// The event files of a folder, in the order of their names.
let filesIn folder = Directory.GetFiles folder |> Array.sort |> List.ofArray
