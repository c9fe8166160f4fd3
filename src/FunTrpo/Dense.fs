namespace FunTrpo

open System
open FunTrpo.Kernels

/// Layers y = f(W x + b), with weights W that start orthogonal and biases b that start at zero. The parameters are W, input by input, and then b.
/// They read rows of any shape as vectors.
module Dense =

    /// A matrix whose columns (or rows, where those are fewer) are orthonormal, times `gain`; row-major.
    /// Saxe, McClelland, Ganguli: "Exact solutions to the nonlinear dynamics of learning in deep linear networks" (2013).
    let internal orthogonal rows columns gain key =
        let count, length = min rows columns, max rows columns
        let normals = Key.normals (count * length) key
        let basis = Array.init count (fun i -> Array.sub normals (i * length) length)

        let dot (a: float[]) (b: float[]) =
            let mutable sum = 0.0

            for i in 0 .. a.Length - 1 do
                sum <- sum + a[i] * b[i]

            sum

        for i in 0 .. count - 1 do
            // Gram–Schmidt, twice: once is not enough for orthogonality to machine precision.
            for _ in 1..2 do
                for j in 0 .. i - 1 do
                    let overlap = dot basis[i] basis[j]

                    for k in 0 .. length - 1 do
                        basis[i][k] <- basis[i][k] - overlap * basis[j][k]

            let scale = 1.0 / sqrt (dot basis[i] basis[i])
            basis[i] <- Array.map (fun x -> scale * x) basis[i]

        Array.init (rows * columns) (fun i ->
            let row, column = i / columns, i % columns
            let entry = if rows <= columns then basis[row][column] else basis[column][row]
            float32 (gain * entry))

    /// A dense layer whose initial weights are `gain` times an orthogonal matrix. It has an output for each of the `initial` numbers, where its
    /// biases start. Those after the first `outputs` depend on no input (the log σ of a Gaussian policy, for instance). They are f of
    /// their parameters; only linear layers use them.
    let startingAt (initial: float[]) gain outputs activation : LayerBuilder =
        fun inputShape ->
            let inputs = ArrayShape.length inputShape
            let kernel = DenseLayer(inputs, outputs, initial.Length, activation)

            KernelLayer.create kernel inputShape [ initial.Length ] (fun key ->
                Array.append (orthogonal inputs outputs gain key) (Array.map float32 initial) |> Vector.adopt)

    /// The initial numbers of a layer whose outputs start at 0, and its state-independent ones at `initial`.
    let internal initialNumbers outputs stateIndependent (initial: float) =
        Array.append (Array.zeroCreate outputs) (Array.create stateIndependent initial)

    /// A dense layer whose initial weights are `gain` times an orthogonal matrix, and whose biases start at zero. After its outputs come
    /// `stateIndependent` more that depend on no input. They are f of parameters that start at `initial`; only linear layers use them.
    let withStateIndependent gain outputs activation stateIndependent initial : LayerBuilder =
        startingAt (initialNumbers outputs stateIndependent initial) gain outputs activation

    /// A dense layer whose initial weights are `gain` times an orthogonal matrix.
    let withGain gain outputs activation : LayerBuilder = withStateIndependent gain outputs activation 0 0.0

    /// The gain of hidden layers, √2. With ReLU it keeps the mean square of the activations from layer to layer (He, Zhang, Ren, Sun: "Delving
    /// deep into rectifiers", 2015). For the other activations it is customary.
    let hiddenGain = sqrt 2.0

    /// A hidden layer: dense, with the gain √2.
    let hidden outputs activation : LayerBuilder = withGain hiddenGain outputs activation

    /// A dense layer without a non-linearity and with the gain 1, usually the last one.
    let linear outputs : LayerBuilder = withGain 1.0 outputs Activation.Identity
