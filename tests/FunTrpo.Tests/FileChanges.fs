/// Random changes of files: of any bytes, of the sections of a checkpoint, and of the values in JSON; and checksums that fit again.
module FunTrpo.Tests.FileChanges

open System
open System.Security.Cryptography
open System.Text
open System.Text.Json
open System.Text.Json.Nodes
open FunTrpo.Tests.PolicyFileCases

// ---- Changes of any bytes ----

let private interesting =
    [| 0UL
       1UL
       0x7FUL
       0x80UL
       0xFFUL
       0x7FFFFFFFUL
       0x80000000UL
       0xFFFFFFFFUL
       0x7FFFFFFFFFFFFFFFUL
       UInt64.MaxValue
       0x7FF8000000000000UL
       0x7F800000UL
       0x7FC00000UL |]

/// One random change: a bit, a number, a piece that is cut, repeated or moved, or random bytes.
let private changeBytes (random: Random) (bytes: byte[]) =
    let place limit = random.Next(max 1 limit)
    let changed = Array.copy bytes

    if bytes.Length = 0 then
        [| byte (random.Next 256) |]
    else
        match random.Next 7 with
        | 0 ->
            let i = place bytes.Length
            changed[i] <- changed[i] ^^^ byte (1 <<< random.Next 8)
            changed
        | 1 ->
            changed[place bytes.Length] <- byte (random.Next 256)
            changed
        | 2 ->
            let size = min bytes.Length (1 <<< random.Next 4)
            let number = BitConverter.GetBytes interesting[random.Next interesting.Length]
            Array.blit number 0 changed (place (bytes.Length - size + 1)) size
            changed
        | 3 -> Array.truncate (place bytes.Length) bytes
        | 4 ->
            let first = place bytes.Length
            let length = random.Next(min 64 (bytes.Length - first)) + 1
            Array.concat [ bytes[.. first + length - 1]; bytes[first..] ]
        | 5 ->
            let first = place bytes.Length
            let length = random.Next(min 64 (bytes.Length - first)) + 1
            Array.append bytes[.. first - 1] bytes[first + length ..]
        | _ ->
            let first = place bytes.Length
            random.NextBytes(changed.AsSpan(first, min 16 (bytes.Length - first)))
            changed

/// One to three random changes of any bytes.
let changes (random: Random) bytes =
    Seq.fold (fun bytes _ -> changeBytes random bytes) bytes (seq { 1 .. 1 + random.Next 3 })

// ---- Changes of sections ----

/// The sections of a checkpoint: name and content. Throws where the bytes have no such form.
let sectionsOf (bytes: byte[]) =
    let mutable offset = 16

    [ while offset < bytes.Length do
          let nameLength = int bytes[offset]
          let name = bytes[offset + 1 .. offset + nameLength]
          let length = BitConverter.ToInt64(bytes, offset + 1 + nameLength)
          let first = offset + 9 + nameLength

          if length < 0L || length > int64 (bytes.Length - first - 32) then
              invalidOp "no section"

          name, bytes[first .. first + int length - 1]
          offset <- first + int length + 32 ]

/// A file of these sections whose hashes fit.
let private fileOf (header: byte[]) sections =
    Array.concat
        [ header
          for name: byte[], content: byte[] in sections do
              [| byte name.Length |]
              name
              BitConverter.GetBytes(int64 content.Length)
              content
              SHA256.HashData(Array.append name content) ]

/// The checkpoint with hashes that fit, if the bytes have its form.
let sealCheckpoint (bytes: byte[]) =
    try
        fileOf bytes[..15] (sectionsOf bytes)
    with
    | :? InvalidOperationException
    | :? ArgumentException
    | :? IndexOutOfRangeException -> bytes

/// Changes the bytes of one section.
let changeSection (random: Random) (bytes: byte[]) =
    let sections = sectionsOf bytes
    let chosen = random.Next sections.Length

    sections
    |> List.mapi (fun i (name, content) -> name, (if i = chosen then changes random content else content))
    |> fileOf bytes[..15]

// ---- Changes of JSON ----

let private oddities =
    [| "null"
       "true"
       "0"
       "-1"
       "1.5"
       "1e308"
       "1e-320"
       "99999999999"
       "2147483647"
       "\"\""
       "\"x\""
       "[]"
       "[null]"
       "[[1]]"
       "{}"
       "[1,1,1,1]" |]

/// Puts odd values in one to three places of a tree.
let changeTree (random: Random) (bytes: byte[]) =
    let node = JsonNode.Parse(ReadOnlySpan bytes)

    for _ in 0 .. random.Next 3 do
        let places = places node
        put oddities[random.Next oddities.Length] places[random.Next places.Length] node

    Encoding.UTF8.GetBytes(node.ToJsonString())

/// The policy file with a checksum that fits, if the bytes have its form.
let sealPolicy (bytes: byte[]) =
    try
        let options = JsonDocumentOptions(AllowDuplicateProperties = false)
        let node = JsonNode.Parse(ReadOnlySpan bytes, documentOptions = options).AsObject()
        node.Remove "checksum" |> ignore
        let hash = SHA256.HashData(Encoding.UTF8.GetBytes(node.ToJsonString()))
        node["checksum"] <- JsonValue.Create(Convert.ToHexStringLower hash)
        Encoding.UTF8.GetBytes(node.ToJsonString())
    with
    | :? JsonException
    | :? NullReferenceException
    | :? InvalidOperationException -> bytes
