namespace FunTrpo

open System
open System.Buffers.Binary

/// Turns the states of an environment into bytes and back, for checkpoints.
type StateCodec<'State> =

    /// The bytes of a state. An exception becomes the fault of the checkpoint.
    abstract Encode: state: 'State -> byte[]

    /// The state whose bytes these are. From it, the environment must go on exactly as from the one that was encoded. The bytes may come
    /// from a damaged file: throw an exception if they are not those of a state.
    abstract Decode: bytes: ReadOnlyMemory<byte> -> 'State

/// An environment that says how its states are written to checkpoints. An environment whose states are plain values (numbers, texts, tuples,
/// records, unions, structs, arrays and lists of these) need not implement it.
type CheckpointableEnvironment<'State> =

    /// The codec of the states, or the reason why they cannot be written: the rest of a sentence.
    abstract StateCodec: Result<StateCodec<'State>, string>

/// The codec of plain values of a type. It is made once, because its reflection takes longer than writing a small state.
[<AbstractClass; Sealed>]
type private PlainCodec<'State> private () =
    static let made: Result<StateCodec<'State>, string> =
        PlainValue.codec<'State>()
        |> Result.map (fun struct (write, read) ->
            { new StateCodec<'State> with
                member _.Encode state = ByteWriter.bytes (fun writer -> write writer state)

                member _.Decode bytes =
                    let reader = ByteReader("state", bytes)
                    let state = read reader
                    reader.End()
                    state })

    static member Made = made

module StateCodec =

    /// The codec of states that are plain values, or the reason why they are not.
    let plain<'State> () = PlainCodec<'State>.Made

    /// The codec of the states of an environment: its own, or that of plain values.
    let ofEnvironment<'State> (environment: obj) =
        match environment with
        | :? CheckpointableEnvironment<'State> as own -> own.StateCodec
        | _ -> plain<'State>()

    /// The codec of the states of an environment, or a `Mismatch` that begins with `what`, such as "checkpoints cannot keep its states", and
    /// says what to implement.
    let internal required<'State> what (environment: obj) =
        ofEnvironment<'State> environment
        |> Result.mapError (fun why ->
            Mismatch
                $"{what}: {why}. Make the states plain values, or let the environment implement CheckpointableEnvironment")

    /// The codec of a pair of a prefix, which takes so many bytes, and a state with a codec of its own: the prefix, and then the state.
    let private withPrefix
        width
        (write: byte[] -> 'Prefix -> unit)
        (read: ReadOnlyMemory<byte> -> 'Prefix)
        (split: 'Outer -> struct ('Prefix * 'State))
        (join: 'Prefix -> 'State -> 'Outer)
        (inner: StateCodec<'State>)
        =
        { new StateCodec<'Outer> with
            member _.Encode outer =
                let struct (prefix, state) = split outer
                let bytes = Array.zeroCreate<byte> width
                write bytes prefix
                Array.append bytes (inner.Encode state)

            member _.Decode bytes =
                let reader = ByteReader("state", bytes)
                let prefix = reader.Take width
                join (read prefix) (inner.Decode(reader.Take reader.Remaining)) }

    /// The codec of a pair of a number and a state with a codec of its own: the number in four bytes, and then the state.
    let internal withNumber split join inner =
        withPrefix
            sizeof<int>
            (fun bytes number -> BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(), number))
            (fun bytes -> BinaryPrimitives.ReadInt32LittleEndian bytes.Span)
            split
            join
            inner

    /// The codec of a pair of a row of `width` numbers and a state with a codec of its own: the numbers in four bytes each, and then the state.
    let internal withRow width split join inner =
        let write (bytes: byte[]) (row: Vector) =
            for i in 0 .. width - 1 do
                BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(sizeof<float32> * i), row[i])

        let read (bytes: ReadOnlyMemory<byte>) =
            Vector.init width (fun i -> BinaryPrimitives.ReadSingleLittleEndian(bytes.Span.Slice(sizeof<float32> * i)))

        withPrefix (sizeof<float32> * width) write read split join inner
