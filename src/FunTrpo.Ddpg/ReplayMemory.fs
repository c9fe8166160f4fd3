namespace FunTrpo.Ddpg

open System
open System.Collections.Generic
open System.Collections.Immutable
open FunTrpo

/// What one step of an environment showed: the (s, a, r, s′) of the paper, and whether the task ended with it.
type Experience =
    {
        /// The raw observation before the step.
        Observation: Vector
        /// The action that was taken, in half-widths of the box of actions: −1 and 1 are its bounds.
        Action: Vector
        /// The reward of the step, in the unit of the environment.
        Reward: float32
        /// The task ended: no reward follows. False at a time limit, after which rewards would have followed.
        Terminated: bool
        /// The raw observation after the step.
        Next: Vector
    }

/// The replay memory (Lillicrap et al. 2015, section 3): the last `Capacity` experiences, as a value. Memories share what they have in
/// common: the rows lie in chunks, and adding to a memory copies only the chunks that are written to. Two are equal if they keep the same
/// experiences, in the same places.
[<CustomEquality; NoComparison>]
type ReplayMemory =
    private
        {
            ObservationWidth: int
            ActionWidth: int
            Capacity: int
            /// The number of experiences that were ever added.
            Added: int64
            /// Row after row. Experience number n lies in row n mod `Capacity`; each chunk but the last holds the same number of rows.
            Chunks: ImmutableArray<Vector>
        }

    /// The number of experiences in the memory.
    member this.Count = int (min this.Added (int64 this.Capacity))

    override this.Equals other =
        match other with
        | :? ReplayMemory as other ->
            (this.ObservationWidth, this.ActionWidth, this.Capacity, this.Added) =
                (other.ObservationWidth, other.ActionWidth, other.Capacity, other.Added)
            && Seq.forall2 (=) this.Chunks other.Chunks
        | _ -> false

    override this.GetHashCode() = HashCode.Combine(this.ObservationWidth, this.ActionWidth, this.Capacity, this.Added)

module ReplayMemory =

    /// The number of rows of a chunk.
    let internal chunkRows = 1024

    /// The length of a row: observation, action, next observation, reward, and 1 or 0 after the last step of a task.
    let internal rowWidth (memory: ReplayMemory) = 2 * memory.ObservationWidth + memory.ActionWidth + 2

    /// The number of rows of a chunk: the last one of a full memory may have fewer.
    let internal rowsOf chunk (memory: ReplayMemory) = min chunkRows (memory.Capacity - chunk * chunkRows)

    /// A memory without experiences, for observations and actions of these widths, that keeps the last `capacity`. Throws an
    /// `ArgumentException` if a width or the capacity is less than 1.
    let create observationWidth actionWidth capacity =
        if observationWidth < 1 || actionWidth < 1 || capacity < 1 then
            invalidArg
                (nameof capacity)
                $"a memory of {capacity} experiences with observations of {observationWidth} numbers and actions of {actionWidth} keeps nothing"

        { ObservationWidth = observationWidth
          ActionWidth = actionWidth
          Capacity = capacity
          Added = 0L
          Chunks = ImmutableArray.Empty }

    /// Adds rows in place, to chunks that no memory shares. `ToMemory` ends it: the object must not be used afterwards.
    [<Sealed>]
    type internal Writer(memory: ReplayMemory) =
        let width = rowWidth memory
        let chunks = memory.Chunks.ToBuilder()
        let own = Dictionary<int, float32[]>()
        let mutable added = memory.Added

        /// The numbers of a chunk that may be written to.
        let writable chunk =
            match own.TryGetValue chunk with
            | true, numbers -> numbers
            | _ ->
                let isThere = chunk < chunks.Count

                let numbers =
                    if isThere then Vector.toArray chunks[chunk] else Array.zeroCreate (rowsOf chunk memory * width)

                if isThere then chunks[chunk] <- Vector.adopt numbers else chunks.Add(Vector.adopt numbers)

                own[chunk] <- numbers
                numbers

        /// The number of rows.
        member _.Count = int (min added (int64 memory.Capacity))

        /// Makes room for a row, in place of the oldest one if the memory is full, and returns it to be written.
        member _.Add() : Span<float32> =
            let row = int (added % int64 memory.Capacity)
            added <- added + 1L
            (writable (row / chunkRows)).AsSpan(row % chunkRows * width, width)

        /// The row in this place.
        member _.Row(row: int) : ReadOnlySpan<float32> =
            chunks[row / chunkRows].Span.Slice(row % chunkRows * width, width)

        /// The memory with the rows that were added.
        member _.ToMemory() = { memory with Added = added; Chunks = chunks.ToImmutable() }

    let private requireWidths (memory: ReplayMemory) (experience: Experience) =
        let widths = experience.Observation.Length, experience.Action.Length, experience.Next.Length
        let expected = memory.ObservationWidth, memory.ActionWidth, memory.ObservationWidth

        if widths <> expected then
            invalidArg (nameof experience) $"the widths of its vectors are %A{widths}, and must be %A{expected}"

    /// Writes the two numbers after the vectors of a row.
    let internal writeEnd (row: Span<float32>) reward terminated =
        row[row.Length - 2] <- reward
        row[row.Length - 1] <- if terminated then 0f else 1f

    /// The memory with these experiences, oldest first. If it becomes full, the oldest ones are forgotten. Throws an `ArgumentException` if
    /// a vector does not have the width that the memory is for.
    let add (experiences: seq<Experience>) memory =
        let writer = Writer memory

        for experience in experiences do
            requireWidths memory experience
            let row = writer.Add()
            experience.Observation.Span.CopyTo row
            experience.Action.Span.CopyTo(row.Slice memory.ObservationWidth)
            experience.Next.Span.CopyTo(row.Slice(memory.ObservationWidth + memory.ActionWidth))
            writeEnd row experience.Reward experience.Terminated

        writer.ToMemory()

    /// Experience number `age` of those that the memory keeps, from the oldest, which is number 0. Throws an
    /// `ArgumentOutOfRangeException` if there is none.
    let item age (memory: ReplayMemory) =
        if age < 0 || age >= memory.Count then
            raise (ArgumentOutOfRangeException(nameof age, $"the memory keeps {memory.Count} experiences"))

        let oldest = memory.Added - int64 memory.Count
        let place = int ((oldest + int64 age) % int64 memory.Capacity)
        let chunk = memory.Chunks[place / chunkRows]
        let row = chunk.Slice(place % chunkRows * rowWidth memory, rowWidth memory)
        let observations, actions = memory.ObservationWidth, memory.ActionWidth

        { Observation = row.Slice(0, observations)
          Action = row.Slice(observations, actions)
          Next = row.Slice(observations + actions, observations)
          Reward = row[row.Length - 2]
          Terminated = row[row.Length - 1] = 0f }

    /// Writes places of a memory of `count` experiences, drawn uniformly and with replacement. Two come from each block of the key's bits.
    let internal drawTo (places: Span<int>) count key =
        let inline place (bits: uint64) = int (Math.BigMul(bits, uint64 count) >>> 64)

        for i in 0 .. (places.Length + 1) / 2 - 1 do
            let struct (first, second) = Key.bits (uint64 i) key
            places[2 * i] <- place first

            if 2 * i + 1 < places.Length then
                places[2 * i + 1] <- place second

    /// `count` experiences of the memory, drawn uniformly and with replacement. Throws an `ArgumentException` if the memory keeps none.
    let sample count key (memory: ReplayMemory) =
        if memory.Count = 0 then
            invalidArg (nameof memory) "it keeps no experience yet"

        let places = Array.zeroCreate<int> count
        drawTo (places.AsSpan()) memory.Count key
        let oldest = int ((memory.Added - int64 memory.Count) % int64 memory.Capacity)

        places
        |> Array.map (fun place -> item ((place - oldest + memory.Capacity) % memory.Capacity) memory)
        |> ImmutableArray.CreateRange
