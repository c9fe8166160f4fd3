namespace FunTrpo

open System
open System.Buffers.Binary
open System.Collections.Generic
open System.Collections.Immutable
open System.IO
open System.Reflection
open System.Runtime.InteropServices
open FSharp.Reflection

/// Makes immutable arrays of a type that is known only at run time.
[<AbstractClass; Sealed>]
type internal ImmutableArrays =
    static member Of<'T>(items: 'T[]) = box (ImmutableCollectionsMarshal.AsImmutableArray items)

/// Plain values as bytes, and back: numbers, Booleans, characters, texts and enumerations; tuples, records, unions, options and structs of
/// plain values; arrays, immutable arrays and lists of them. A value is written field by field in the order of declaration, so the bytes do
/// not depend on how the runtime lays it out.
module internal PlainValue =

    /// Writes and reads the values of one type.
    type private Codec = { Write: BinaryWriter -> int -> obj -> unit; Read: ByteReader -> int -> obj }

    /// Values that are nested more deeply are refused, because the stack is limited.
    let private maxDepth = 200

    let private tooDeep = $"values are nested more than {maxDepth} times"

    let private notPlain (kind: Type) =
        Error $"{kind.Name} is not a plain value (a number, text, tuple, record, union, struct, array or list)"

    let private number (write: BinaryWriter -> 'T -> unit) size (read: ReadOnlyMemory<byte> -> 'T) =
        typeof<'T>,
        { Write = fun writer _ value -> write writer (unbox<'T> value)
          Read = fun reader _ -> box (read (reader.Take size)) }

    let private numbers =
        dict
            [ number (fun w (x: byte) -> w.Write x) 1 (fun bytes -> bytes.Span[0])
              number (fun w (x: sbyte) -> w.Write x) 1 (fun bytes -> sbyte bytes.Span[0])
              number (fun w (x: int16) -> w.Write x) 2 (fun bytes -> BinaryPrimitives.ReadInt16LittleEndian bytes.Span)
              number (fun w (x: uint16) -> w.Write x) 2 (fun bytes ->
                  BinaryPrimitives.ReadUInt16LittleEndian bytes.Span)
              number (fun w (x: int) -> w.Write x) 4 (fun bytes -> BinaryPrimitives.ReadInt32LittleEndian bytes.Span)
              number (fun w (x: uint32) -> w.Write x) 4 (fun bytes ->
                  BinaryPrimitives.ReadUInt32LittleEndian bytes.Span)
              number (fun w (x: int64) -> w.Write x) 8 (fun bytes -> BinaryPrimitives.ReadInt64LittleEndian bytes.Span)
              number (fun w (x: uint64) -> w.Write x) 8 (fun bytes ->
                  BinaryPrimitives.ReadUInt64LittleEndian bytes.Span)
              number (fun w (x: float32) -> w.Write x) 4 (fun bytes ->
                  BinaryPrimitives.ReadSingleLittleEndian bytes.Span)
              number (fun w (x: float) -> w.Write x) 8 (fun bytes -> BinaryPrimitives.ReadDoubleLittleEndian bytes.Span)
              number (fun w (x: char) -> w.Write(uint16 x)) 2 (fun bytes ->
                  char (BinaryPrimitives.ReadUInt16LittleEndian bytes.Span)) ]

    let private boolean =
        { Write = fun writer _ value -> writer.Write(unbox<bool> value)
          Read = fun reader _ -> box (reader.Bool()) }

    /// The text is preceded by 1, and null is 0.
    let private text =
        { Write =
            fun writer _ value ->
                writer.Write(not (isNull value))

                if not (isNull value) then
                    ByteWriter.writeText writer (unbox<string> value)
          Read = fun reader _ -> if reader.Bool() then box (reader.Text()) else null }

    let private writeFields (codecs: Codec[]) (writer: BinaryWriter) depth (fields: obj[]) =
        for i in 0 .. codecs.Length - 1 do
            codecs[i].Write writer depth fields[i]

    let private readFields (codecs: Codec[]) reader depth = codecs |> Array.map (fun codec -> codec.Read reader depth)

    /// A value of several fields.
    let private product (codecs: Codec[]) (fieldsOf: obj -> obj[]) (make: obj[] -> obj) =
        { Write = fun writer depth value -> writeFields codecs writer depth (fieldsOf value)
          Read = fun reader depth -> make (readFields codecs reader depth) }

    let private vector =
        { Write =
            fun writer _ value ->
                let numbers = (unbox<Vector> value).Span
                writer.Write numbers.Length

                for one in numbers do
                    writer.Write one
          Read =
            fun reader _ ->
                let bytes = reader.Take(4 * reader.Count 4)
                let read i = BinaryPrimitives.ReadSingleLittleEndian(bytes.Span.Slice(4 * i, 4))
                box (Vector.init (bytes.Length / 4) read) }

    /// A sequence of items: their number, and then the items.
    let private sequence (item: Codec) (itemsOf: obj -> Array) (make: obj[] -> obj) =
        { Write =
            fun writer depth value ->
                let items = itemsOf value
                writer.Write items.Length

                for one in items do
                    item.Write writer depth one
          Read =
            fun reader depth ->
                // Each item has at least one byte, unless its type has a single value.
                let count = reader.Count 1
                make (Array.init count (fun _ -> item.Read reader depth)) }

    let private toArray (item: Type) (items: obj[]) =
        let array = Array.CreateInstance(item, items.Length)
        items |> Array.iteri (fun i value -> array.SetValue(value, i))
        array

    let private itemsOf item (value: obj) =
        value :?> Collections.IEnumerable |> Seq.cast<obj> |> Array.ofSeq |> toArray item

    // FSharp.Reflection's precomputed readers and constructors compile expression trees, which takes longer than to save a small state a
    // thousand times. The reflection of .NET reads and constructs the same values without.

    let private fieldsOf (fields: PropertyInfo[]) (value: obj) = fields |> Array.map _.GetValue(value)

    let private construct (constructor: ConstructorInfo) (values: obj[]) = constructor.Invoke values

    let private constructCase case =
        let constructor = FSharpValue.PreComputeUnionConstructorInfo(case, true)
        fun (values: obj[]) -> constructor.Invoke(null, values)

    /// A union: the number of the case in a byte, and the fields of the case.
    let private union (kind: Type) (cases: (UnionCaseInfo * Codec[])[]) =
        let tagOf = FSharpValue.PreComputeUnionTagReader(kind, true)
        let readers = cases |> Array.map (fun (case, _) -> fieldsOf (case.GetFields()))
        let makers = cases |> Array.map (fst >> constructCase)

        { Write =
            fun writer depth value ->
                let tag = tagOf value
                writer.Write(byte tag)
                writeFields (snd cases[tag]) writer depth (readers[tag] value)
          Read =
            fun reader depth ->
                let tag = int (reader.Byte())

                if tag >= cases.Length then
                    reader.Fail $"{kind.Name} has no case {tag}"

                makers[tag](readFields (snd cases[tag]) reader depth) }

    /// Counts the depth, so that neither writing nor reading exhausts the stack.
    let private nested (codec: Lazy<Codec>) =
        { Write =
            fun writer depth value ->
                if depth >= maxDepth then
                    raise (InvalidDataException tooDeep)

                codec.Value.Write writer (depth + 1) value
          Read =
            fun reader depth ->
                if depth >= maxDepth then
                    reader.Fail tooDeep

                codec.Value.Read reader (depth + 1) }

    let private instanceFields (kind: Type) =
        kind.GetFields(BindingFlags.Instance ||| BindingFlags.Public ||| BindingFlags.NonPublic)
        |> Array.sortBy _.MetadataToken

    let private isGeneric (definition: Type) (kind: Type) =
        kind.IsGenericType && kind.GetGenericTypeDefinition() = definition

    let private immutableArray (item: Type) codec =
        let make = typeof<ImmutableArrays>.GetMethod(nameof ImmutableArrays.Of).MakeGenericMethod item
        sequence codec (itemsOf item) (fun items -> make.Invoke(null, [| toArray item items |]))

    let private list (kind: Type) (item: Type) codec =
        let cases = FSharpType.GetUnionCases kind
        let empty = FSharpValue.MakeUnion(cases[0], [||])
        let cons = constructCase cases[1]

        sequence codec (itemsOf item) (fun items -> Array.foldBack (fun one rest -> cons [| one; rest |]) items empty)

    /// The codec of a type. `known` holds the codecs of types that are being worked out, because a type may contain itself.
    let rec private find (known: Dictionary<Type, Lazy<Codec>>) (kind: Type) : Result<Codec, string> =
        match known.TryGetValue kind with
        | true, codec -> Ok(nested codec)
        | _ ->
            let mutable found = Unchecked.defaultof<Codec>
            known[kind] <- lazy found

            build known kind
            |> Result.map (fun codec ->
                found <- codec
                nested known[kind])

    and private all known (kinds: Type[]) =
        (Ok [], kinds)
        ||> Array.fold (fun soFar kind ->
            soFar |> Result.bind (fun codecs -> find known kind |> Result.map (fun codec -> codec :: codecs)))
        |> Result.map (List.rev >> Array.ofList)

    and private build known (kind: Type) =
        if numbers.ContainsKey kind then
            Ok numbers[kind]
        elif kind = typeof<bool> then
            Ok boolean
        elif kind = typeof<string> then
            Ok text
        elif kind = typeof<Vector> then
            Ok vector
        elif kind.IsEnum then
            let underlying = numbers[kind.GetEnumUnderlyingType()]

            Ok
                { Write =
                    fun writer depth value ->
                        underlying.Write writer depth (Convert.ChangeType(value, kind.GetEnumUnderlyingType()))
                  Read = fun reader depth -> Enum.ToObject(kind, underlying.Read reader depth) }
        elif kind.IsSZArray then
            let item = kind.GetElementType()

            find known item
            |> Result.map (fun codec -> sequence codec (fun value -> value :?> Array) (toArray item >> box))
        elif isGeneric typedefof<ImmutableArray<_>> kind then
            let item = kind.GetGenericArguments()[0]
            find known item |> Result.map (immutableArray item)
        elif isGeneric typedefof<_ list> kind then
            let item = kind.GetGenericArguments()[0]
            find known item |> Result.map (list kind item)
        elif FSharpType.IsTuple kind then
            all known (FSharpType.GetTupleElements kind)
            |> Result.map (fun codecs ->
                product codecs (FSharpValue.PreComputeTupleReader kind) (FSharpValue.PreComputeTupleConstructor kind))
        elif FSharpType.IsRecord(kind, true) then
            let fields = FSharpType.GetRecordFields(kind, true)

            all known (fields |> Array.map _.PropertyType)
            |> Result.map (fun codecs ->
                product codecs (fieldsOf fields) (construct (FSharpValue.PreComputeRecordConstructorInfo(kind, true))))
        elif FSharpType.IsUnion(kind, true) then
            let cases = FSharpType.GetUnionCases(kind, true)

            (Ok [], cases)
            ||> Array.fold (fun soFar case ->
                soFar
                |> Result.bind (fun others ->
                    all known (case.GetFields() |> Array.map _.PropertyType)
                    |> Result.map (fun codecs -> (case, codecs) :: others)))
            |> Result.map (List.rev >> Array.ofList >> union kind)
        elif
            kind.IsValueType
            && not kind.IsPrimitive
            && not kind.IsByRefLike
            && isNull (Nullable.GetUnderlyingType kind)
        then
            let fields = instanceFields kind

            all known (fields |> Array.map _.FieldType)
            |> Result.map (fun codecs ->
                product codecs (fun value -> fields |> Array.map (fun field -> field.GetValue value)) (fun values ->
                    let value = Activator.CreateInstance kind
                    (fields, values) ||> Array.iter2 (fun field item -> field.SetValue(value, item))
                    value))
        else
            notPlain kind

    /// A codec of values of a type, or the reason why the type is not plain. Reading throws `Unreadable`.
    let codec<'T> () =
        find (Dictionary()) typeof<'T>
        |> Result.map (fun codec ->
            let write (writer: BinaryWriter) (value: 'T) = codec.Write writer 0 (box value)
            let read reader = codec.Read reader 0 |> unbox<'T>
            struct (write, read))
