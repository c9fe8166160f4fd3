namespace FunTrpo

open System
open FunTrpo.Kernels

/// The settings of minibatch gradient descent with Adam.
[<RequireQualifiedAccess>]
type MinibatchAdamSettings =
    {
        LearningRate: float
        /// The number of passes over the rows, each in a random order of its own.
        Epochs: int
        /// The number of rows of a minibatch. The last one of an epoch may have fewer.
        BatchSize: int
    }

/// Epochs of minibatches with Adam: the critic's fit and PPO descend like this.
module internal Minibatches =

    /// What minibatches are made of, in the order of time: single rows, or for a network with memory whole sequences.
    type private Groups =
        {
            /// None for single rows.
            Sequences: Sequences option
            Count: int
            RowsOfEach: int
            /// The number of groups of a minibatch.
            OfMinibatch: int
        }

    let private groupsOf (settings: MinibatchAdamSettings) (network: Network) (sequences: Sequences option) rows =
        let sequences = if network.Memory > 0 then sequences else None

        let count, rowsOfEach =
            match sequences with
            | Some sequences -> sequences.Count, sequences.Length
            | None -> rows, 1

        { Sequences = sequences
          Count = count
          RowsOfEach = rowsOfEach
          OfMinibatch = max 1 (min settings.BatchSize (max 1 rows) / rowsOfEach) }

    /// The number of steps of a descent on so many rows that nothing ends early.
    let stepCount (settings: MinibatchAdamSettings) network sequences rows =
        let groups = groupsOf settings network sequences rows
        settings.Epochs * ((groups.Count + groups.OfMinibatch - 1) / groups.OfMinibatch)

    /// The parameters and the state of Adam after the epochs, and the number of steps that were made.
    ///
    /// `cotangents rows at result` writes ∂loss/∂outputs of a minibatch to `result`, one row of outputs for each of its rows. `rows` are the
    /// indices of these rows among the observations, and `at` is the network at the current parameters on them. It returns false to end the
    /// descent before the step. The key determines the order of the minibatches; those of networks with memory are whole sequences.
    let descend
        (settings: MinibatchAdamSettings)
        (network: Network)
        (sequences: Sequences option)
        (observations: Matrix)
        key
        (cotangents: ReadOnlyMemory<int> -> Linearization -> Memory<float32> -> bool)
        (parameters: Vector)
        (optimiser: AdamState)
        =
        let groups = groupsOf settings network sequences observations.Rows
        use packed = new Network.Packed(network, parameters, [ optimiser.FirstMoment; optimiser.SecondMoment ])
        use gradient = PooledBuffer.Rent packed.Count
        let largest = groups.OfMinibatch * groups.RowsOfEach
        use inputs = PooledBuffer.Rent(largest, network.Inputs)
        use ofOutputs = PooledBuffer.Rent(largest, network.Outputs)
        let mutable steps = optimiser.Steps

        /// One step of Adam, as `Adam.update`, on packed parameters in place. Returns false without a step if the descent ends here.
        let step (indices: ReadOnlyMemory<int>) =
            let ofMinibatch = groups.Sequences |> Option.map (Sequences.gather (indices.ToArray()))

            let rows =
                match groups.Sequences with
                | Some sequences -> ReadOnlyMemory(Sequences.rows (indices.ToArray()) sequences)
                | None -> indices

            let minibatch = Matrix.gatherTo inputs.Memory rows observations
            let ofOutputs = ofOutputs.Memory.Slice(0, rows.Length * network.Outputs)
            use at = packed.Linearize(ofMinibatch, minibatch)
            let goesOn = cotangents rows at ofOutputs

            if goesOn then
                at.PullbackPacked(Matrix(rows.Length, network.Outputs, Memory.op_Implicit ofOutputs), gradient.Memory)
                steps <- steps + 1L
                Adam.updatePacked steps settings.LearningRate gradient.Memory packed

            goesOn

        /// The minibatches of an epoch.
        let epoch number =
            let order = (Key.permutation groups.Count (Key.at (int64 number) key)).AsMemory()

            seq {
                for first in 0 .. groups.OfMinibatch .. order.Length - 1 do
                    order.Slice(first, min groups.OfMinibatch (order.Length - first))
            }

        seq { 1 .. settings.Epochs } |> Seq.collect epoch |> Seq.forall step |> ignore

        struct (packed.UnpackParameters(),
                { FirstMoment = packed.UnpackMoment 0; SecondMoment = packed.UnpackMoment 1; Steps = steps },
                int (steps - optimiser.Steps))
