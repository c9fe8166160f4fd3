namespace FunTrpo

open System
open System.Collections.Immutable
open System.Runtime.InteropServices
open FunTrpo.Kernels

/// A critic V: the parameters of its network, its return unit, and the state of the optimiser between fits.
type CriticState =
    {
        Parameters: Vector
        Unit: ReturnUnit
        Optimiser: AdamState
        /// What the critic remembers of the episode of each instance: instances × the memory of its network.
        Memory: Matrix
    }

module Critic =

    /// A network that maps each observation, without its mask, to one value.
    let create architecture observationSpace =
        let outputGain =
            match Space.observed observationSpace, (architecture: FunTrpo.Architecture) with
            | (Discrete _ | MultiDiscrete _), [] -> 0.0 // a table: states not yet visited have the output 0
            | _ -> 1.0

        Architecture.network observationSpace outputGain 1 0 0.0 architecture

    /// A critic with the given parameters and unit, and with the optimiser in its initial state.
    let start unit parameters =
        { Parameters = parameters
          Unit = unit
          Optimiser = Adam.init parameters
          Memory = Matrix.adopt 0 0 [||] }

    /// The critic at the beginning of the episodes of so many instances.
    let withoutMemories (network: Network) instances (critic: CriticState) =
        { critic with
            Memory = Matrix.adopt instances network.Memory (Array.zeroCreate (Size.product instances network.Memory)) }

    /// Whether all parameters, and the moments of the optimiser, are finite.
    let isFinite critic = Vector.isFinite critic.Parameters && Adam.isFinite critic.Optimiser

    /// Writes V of each row of normalised observations to `values`.
    let private valuesTo
        (values: Span<float>)
        (network: Network)
        (critic: CriticState)
        sequences
        (observations: Matrix)
        =
        use column = PooledBuffer.Rent observations.Rows
        use network = Network.at network critic.Parameters
        network.Forward(sequences, observations.Memory, column.Memory)
        Reductions.Widen(Span.op_Implicit column.Span, values)

        if critic.Unit <> Plain then
            let toReturn = ReturnUnit.toReturn critic.Unit

            for row in 0 .. values.Length - 1 do
                values[row] <- toReturn values[row]

    /// The value V of each row of normalised observations.
    let values network critic (observations: Matrix) =
        let values = Array.zeroCreate<float> observations.Rows
        valuesTo (values.AsSpan()) network critic None observations
        ImmutableCollectionsMarshal.AsImmutableArray values

    /// The values of a batch, while they are written, and what the critic remembers, which is replaced step by step.
    [<NoComparison; NoEquality>]
    type private ValuesInOrder =
        {
            At: NetworkAt
            ToReturn: float -> float
            Batch: Batch
            Observations: Matrix
            Bootstraps: Matrix
            /// The number of bootstraps before that of each row.
            BootstrapOf: int[]
            Values: float[]
            OfBootstraps: float[]
            Memory: float32[]
        }

    let private hasBootstrap (batch: Batch) row = Batch.hasBootstrap batch.Ends[row]

    /// Writes the values of the instances first … first + count − 1, all of a step at once.
    let private writeInstances (task: ValuesInOrder) first count =
        let batch, width, horizon = task.Batch, task.At.Memory, task.Batch.Horizon
        let memory = task.Memory.AsMemory(first * width, count * width)

        /// V of each of these observations, from memory that is replaced.
        let step (rows: Matrix) indices memory =
            let outputs = Array.zeroCreate<float32>(Array.length indices)
            task.At.Step((Matrix.gather (ImmutableArray.CreateRange indices) rows).Span, memory, outputs.AsSpan())
            outputs |> Array.map (float >> task.ToReturn)

        for t in 0 .. horizon - 1 do
            let rows = Array.init count (fun i -> (first + i) * horizon + t)
            let found = step task.Observations rows memory
            Array.iter2 (fun row value -> task.Values[row] <- value) rows found
            let interrupted = [| 0 .. count - 1 |] |> Array.filter (fun i -> hasBootstrap batch rows[i])

            if interrupted.Length > 0 then
                let indices = interrupted |> Array.map (fun i -> task.BootstrapOf[rows[i]])
                let copies = interrupted |> Array.collect (fun i -> memory.Slice(i * width, width).ToArray())
                let found = step task.Bootstraps indices (copies.AsMemory())
                Array.iter2 (fun index value -> task.OfBootstraps[index] <- value) indices found

            for i in 0 .. count - 1 do
                if Batch.endsEpisode batch.Ends[rows[i]] then
                    memory.Span.Slice(i * width, width).Clear()

    /// The values of a batch whose instances a critic with memory has watched since their episodes began: those of the rows, those of the
    /// observations after truncated and interrupted rows, and the memory after the last step. Each thread of the network has some of the
    /// instances, which do not depend on one another.
    let private valuesInOrder
        (network: Network)
        (critic: CriticState)
        (batch: Batch)
        observations
        (bootstraps: Matrix)
        =
        use at = Network.at network critic.Parameters
        let count, rows = batch.Instances, batch.Instances * batch.Horizon

        let task =
            { At = at
              ToReturn = ReturnUnit.toReturn critic.Unit
              Batch = batch
              Observations = observations
              Bootstraps = bootstraps
              BootstrapOf =
                [| 0 .. rows - 1 |]
                |> Array.scan (fun found row -> if hasBootstrap batch row then found + 1 else found) 0
              Values = Array.zeroCreate rows
              OfBootstraps = Array.zeroCreate bootstraps.Rows
              Memory = critic.Memory.Memory.ToArray() }

        let pieces = min network.Threads count

        Parallel.iter network.Threads pieces (fun piece ->
            let first = piece * count / pieces
            writeInstances task first ((piece + 1) * count / pieces - first))

        struct (ImmutableCollectionsMarshal.AsImmutableArray task.Values,
                ImmutableCollectionsMarshal.AsImmutableArray task.OfBootstraps,
                Matrix.adopt count at.Memory task.Memory)

    /// The values of the rows of a batch, those of the observations after its truncated and interrupted rows, and the memory of the critic
    /// after the batch. All observations are normalised.
    let valuesOfBatch (network: Network) critic batch observations bootstraps =
        if network.Memory > 0 then
            valuesInOrder network critic batch observations bootstraps
        else
            struct (values network critic observations, values network critic bootstraps, critic.Memory)

    /// The values of the observations after the truncated and interrupted rows of a batch, which `normalise` gets raw.
    let bootstrapsOfBatch (network: Network) critic (normalise: Matrix -> Matrix) (batch: Batch) =
        let bootstraps = normalise batch.BootstrapObservations

        if network.Memory > 0 then
            let struct (_, values, _) = valuesInOrder network critic batch (normalise batch.Observations) bootstraps

            values
        else
            values network critic bootstraps

    /// The root mean squared error √((1/N) Σ (V(s) − G)²) of values against returns.
    let errorOf (values: ReadOnlySpan<float>) (returns: ReadOnlySpan<float>) =
        let mutable sum = 0.0

        for row in 0 .. values.Length - 1 do
            let difference = values[row] - returns[row]
            sum <- sum + difference * difference

        sqrt (sum / float values.Length)

    /// The root mean squared error of the critic's values of normalised observations, which are the rows of the sequences if the network
    /// has memory, against returns.
    let error network critic sequences (observations: Matrix) (returns: ImmutableArray<float>) =
        use values = PooledBuffer.RentDoubles observations.Rows
        valuesTo values.Doubles network critic sequences observations
        errorOf (Span.op_Implicit values.Doubles) (returns.AsSpan())
