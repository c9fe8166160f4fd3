namespace FunTrpo

open System
open System.Numerics
open System.Runtime.InteropServices

/// A splittable random key: an immutable value from which random numbers and further keys are computed.
/// The same key always gives the same numbers. Keys that are derived with different labels give independent numbers.
///
/// A key is the 128-bit key of the counter-based generator Threefry-2×64 with 20 rounds (Salmon, Moraes, Dror, Shaw:
/// "Parallel random numbers: as easy as 1, 2, 3", 2011). Each block of its output is used either as a new key or as 128 random bits.
[<Struct>]
type Key = { K0: uint64; K1: uint64 }

module Key =

    /// The Skein key-schedule parity word, which makes an all-zero key schedule impossible.
    let private parity = 0x1BD11BDAA9FC1A22UL

    /// The block of 128 bits that Threefry-2×64-20 computes from the key and the counter (c0, c1).
    let threefry (key: Key) (c0: uint64) (c1: uint64) : struct (uint64 * uint64) =
        let k0 = key.K0
        let k1 = key.K1
        let k2 = parity ^^^ k0 ^^^ k1
        let mutable x0 = c0 + k0
        let mutable x1 = c1 + k1

        let inline round (rotation: int) =
            x0 <- x0 + x1
            x1 <- BitOperations.RotateLeft(x1, rotation) ^^^ x0

        let inline inject (a: uint64) (b: uint64) (n: uint64) =
            x0 <- x0 + a
            x1 <- x1 + b + n

        let inline evenRounds () =
            round 16
            round 42
            round 12
            round 31

        let inline oddRounds () =
            round 16
            round 32
            round 24
            round 21

        evenRounds ()
        inject k1 k2 1UL
        oddRounds ()
        inject k2 k0 2UL
        evenRounds ()
        inject k0 k1 3UL
        oddRounds ()
        inject k1 k2 4UL
        evenRounds ()
        inject k2 k0 5UL
        struct (x0, x1)

    // The second half of the counter is the purpose of the block, so the bits of a derived key are never used as random numbers too.
    let private forNumbers = 0UL
    let private forIndex = 1UL
    let private forName = 2UL

    let private derive purpose (label: uint64) key =
        let struct (k0, k1) = threefry key label purpose
        { K0 = k0; K1 = k1 }

    /// The key of a seed.
    let ofSeed (seed: int64) = derive forIndex 0UL { K0 = uint64 seed; K1 = 0UL }

    /// Derives the key with this index from the key (as JAX's `fold_in`).
    let at (index: int64) key = derive forIndex (uint64 index) key

    /// Derives the key with this name from the key (as JAX's `fold_in` with a hash of the name).
    let named (name: string) key =
        // 64-bit FNV-1a over UTF-16 code units: unlike String.GetHashCode, it is the same on every machine and in every run.
        let mutable hash = 14695981039346656037UL

        for c in name do
            hash <- (hash ^^^ uint64 c) * 1099511628211UL

        derive forName hash key

    /// Derives two independent keys (as JAX's `split`): those with the indices 0 and 1.
    let split key = struct (at 0L key, at 1L key)

    /// Block number `index` of the key's random bits, as two 64-bit halves.
    let bits (index: uint64) key = threefry key index forNumbers

    /// The 53 high bits, divided by 2⁵³ = 9007199254740992: a number in [0, 1).
    let private unitInterval (bits: uint64) = float (bits >>> 11) / 9007199254740992.0

    /// One number, uniform in [0, 1).
    let uniform key =
        let struct (b, _) = bits 0UL key
        unitInterval b

    /// One number, uniform between `low` and `high`. Rounding can give `high` itself.
    let uniformIn low high key = low + (high - low) * uniform key

    /// The first `count` numbers of the sequence pair 0, pair 1, …
    let private ofPairs count (pair: uint64 -> struct (float * float)) =
        let pairs = Array.init ((count + 1) / 2) (fun i -> pair (uint64 i))

        Array.init count (fun i ->
            let struct (first, second) = pairs[i / 2]
            if i % 2 = 0 then first else second)

    /// `count` numbers, uniform in [0, 1).
    let uniforms count key =
        ofPairs count (fun index ->
            let struct (b0, b1) = bits index key
            struct (unitInterval b0, unitInterval b1))

    /// Two independent standard normal numbers, computed from one block by the method of Box and Muller (1958).
    let private normalPair index key =
        let struct (b0, b1) = bits index key
        let radius = sqrt (-2.0 * log (1.0 - unitInterval b0))
        let struct (sine, cosine) = Math.SinCos(2.0 * Math.PI * unitInterval b1)
        struct (radius * cosine, radius * sine)

    /// Fills the span with independent standard normal numbers.
    let fillNormal (numbers: Span<float32>) key =
        for i in 0 .. (numbers.Length + 1) / 2 - 1 do
            let struct (first, second) = normalPair (uint64 i) key
            numbers[2 * i] <- float32 first

            if 2 * i + 1 < numbers.Length then
                numbers[2 * i + 1] <- float32 second

    /// `count` independent standard normal numbers.
    let normals count key = ofPairs count (fun index -> normalPair index key)

    /// One standard normal number.
    let normal key =
        let struct (first, _) = normalPair 0UL key
        first

    /// A random permutation of 0 … count − 1, by the Fisher–Yates shuffle.
    let permutation count key =
        let order = Array.init count id

        for i in count - 1 .. -1 .. 1 do
            let struct (b, _) = bits (uint64 i) key
            let j = int (Math.BigMul(b, uint64 (i + 1)) >>> 64)
            let held = order[i]
            order[i] <- order[j]
            order[j] <- held

        ImmutableCollectionsMarshal.AsImmutableArray order
