namespace FunTrpo

open System
open System.Collections.Concurrent
open System.Numerics
open System.Runtime.InteropServices
open System.Threading

/// A state of a mutable simulator, kept as a value: the seed of the episode, the actions since, and the observation. The simulator that
/// reached this point continues from it once. To continue a second time, the episode is played again up to this point.
///
/// Two points are equal if their seeds, actions and observations are, bit for bit.
[<Sealed>]
type ReplayPoint
    private
    (
        seed: int,
        steps: int,
        // The actions of the episode up to this point, followed perhaps by those of later points that share the array. Null if not kept.
        actions: float32[],
        actionNumbers: int,
        // A hash of all actions up to this point, whether they are kept or not.
        trace: uint64,
        observation: float32[],
        instance: SimulatorInstance
    ) =

    static let bits (numbers: ReadOnlySpan<float32>) = MemoryMarshal.AsBytes numbers

    static let traced (trace: uint64) (action: ReadOnlySpan<float32>) =
        let mutable trace = trace

        for i in 0 .. action.Length - 1 do
            let mixed = trace ^^^ uint64 (BitConverter.SingleToUInt32Bits action[i])
            trace <- BitOperations.RotateLeft(mixed, 27) * 0x9E3779B97F4A7C15UL

        trace

    static member internal Start(seed, observation, instance) =
        ReplayPoint(seed, 0, Array.Empty(), 0, 0UL, observation, instance)

    /// The point that an episode with this seed reaches by these actions, and that shows this observation. No instance is there.
    static member internal AfterActions(seed, steps, actions: float32[], observation) =
        let width = if steps = 0 then 0 else actions.Length / steps
        let mutable trace = 0UL

        for step in 0 .. steps - 1 do
            trace <- traced trace (ReadOnlySpan(actions, step * width, width))

        ReplayPoint(seed, steps, actions, actions.Length, trace, observation, null)

    member internal _.Seed = seed

    /// The number of actions since the episode began.
    member internal _.Steps = steps

    /// The instance that reached this point; it may be elsewhere now. Null if the episode is over.
    member internal _.Instance = instance

    /// The observation at this point.
    member internal _.Observation = ReadOnlySpan observation

    /// The actions up to this point; empty if they are not kept.
    member internal _.Actions = ReadOnlySpan(actions, 0, actionNumbers)

    /// Whether the episode is so long that its actions are not kept.
    member internal _.IsForgotten = isNull actions

    /// Whether the instance that reached this point is still there. If so, only this caller may continue with it.
    member internal this.TryAcquire() = not (isNull instance) && instance.TryAcquire this

    /// The point after one more action. Only one successor may share the array of actions (`sharesActions`): the one that this point's own
    /// instance reaches. At most `maxActionNumbers` numbers of actions are kept.
    member internal this.Next(action: ReadOnlySpan<float32>, sharesActions, maxActionNumbers, observation, instance) =
        let all = this.Remember(action, sharesActions, maxActionNumbers)
        let count = if isNull all then 0 else actionNumbers + action.Length
        ReplayPoint(seed, steps + 1, all, count, traced trace action, observation, instance)

    /// Whether the observation at this point equals `numbers`, bit for bit.
    member internal _.Shows(numbers: float32[]) =
        bits(ReadOnlySpan observation).SequenceEqual(bits (ReadOnlySpan numbers))

    /// An array of the actions up to this point and one more, or null if they are too many to keep.
    member private this.Remember(action: ReadOnlySpan<float32>, sharesActions, maxActionNumbers) =
        if isNull actions || action.Length > maxActionNumbers - actionNumbers then
            null
        else
            let count = actionNumbers + action.Length

            let all =
                if sharesActions && count <= actions.Length then
                    actions
                else
                    let larger = Array.zeroCreate (max count (min maxActionNumbers (max 16 (2 * actionNumbers))))
                    this.Actions.CopyTo(larger.AsSpan())
                    larger

            action.CopyTo(all.AsSpan actionNumbers)
            all

    member private _.Trace = trace

    override this.Equals other =
        match other with
        | :? ReplayPoint as other ->
            seed = other.Seed
            && steps = other.Steps
            && trace = other.Trace
            && bits(this.Actions).SequenceEqual(bits other.Actions)
            && bits(this.Observation).SequenceEqual(bits other.Observation)
        | _ -> false

    override _.GetHashCode() = HashCode.Combine(seed, steps)

    interface IEquatable<ReplayPoint> with
        member this.Equals other = this.Equals(box other)

    interface Releasable with
        /// If the instance is still at this point, makes it available for another episode.
        member this.Release() =
            if this.TryAcquire() then
                instance.MakeIdle()

/// An instance of a simulator, and the replay point at which it is. When its episode is over it returns to `idle`.
and [<Sealed; AllowNullLiteral>] internal SimulatorInstance
    (simulator: Simulator, idle: ConcurrentBag<SimulatorInstance>) =

    /// The replay point at which the instance is, or null if it is at none.
    let mutable point: obj = null

    member _.Simulator = simulator

    /// Whether the simulator may be used: that of a batch may not after a failure of another one.
    member _.IsUsable =
        match simulator with
        | :? BatchSlot as slot -> not slot.Batch.IsRetired
        | _ -> true

    /// Makes the instance available for another episode.
    member this.MakeIdle() =
        match simulator with
        | :? BatchSlot as slot -> slot.Abandon()
        | _ -> ()

        idle.Add this

    member _.MoveTo(next: ReplayPoint) = Volatile.Write(&point, next)

    /// Whether the instance is at `from`. If so, only this caller may continue with it.
    member _.TryAcquire(from: ReplayPoint) = obj.ReferenceEquals(Interlocked.CompareExchange(&point, null, from), from)

    /// Makes the instance unavailable at the point where it is.
    member _.Withdraw() = Volatile.Write(&point, null)

/// Replay points as bytes, for checkpoints.
module internal ReplayPoint =

    /// The seed, the number of actions, the actions and the observation. Throws an `InvalidOperationException` if the actions are not kept.
    let encode maxActionNumbers (point: ReplayPoint) =
        if point.IsForgotten then
            invalidOp
                $"an episode has gone on for {point.Steps} steps, and the actions of an episode are kept up to {maxActionNumbers} numbers. Give it a time limit"

        ByteWriter.bytes (fun writer ->
            writer.Write point.Seed
            writer.Write point.Steps

            for number in point.Actions do
                writer.Write number

            for number in point.Observation do
                writer.Write number)

    /// The point of the bytes. Throws `Unreadable` if they are not those of a point with these widths.
    let decode observationWidth actionWidth bytes =
        let reader = ByteReader("state", bytes)
        let seed = reader.Int32()
        let steps = reader.Count(4 * actionWidth)
        let actions = Array.init (steps * actionWidth) (fun _ -> reader.Float32())
        let observation = Array.init observationWidth (fun _ -> reader.Float32())
        reader.End()

        if seed < 0 then
            reader.Fail "the seed is negative"

        ReplayPoint.AfterActions(seed, steps, actions, observation)
