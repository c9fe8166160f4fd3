/// What networks and action distributions are, written once more in float64 on numbers that carry their derivatives: an
/// oracle that shares no code with the library.
module FunTrpo.Tests.Oracle

open System
open System.Collections.Immutable
open FunTrpo
open FunTrpo.Tests.Generators

/// A hyper-dual number x + a ε₁ + b ε₂ + c ε₁ε₂ with ε₁² = ε₂² = 0: f of it carries the derivative of f along two
/// directions and its second derivative along both, all exact to rounding. Without ε₂ it is a dual number.
/// Fike and Alonso: "The development of hyper-dual numbers for exact second-derivative calculations" (2011).
[<Struct>]
type HyperDual =
    { X: float
      E1: float
      E2: float
      E12: float }

    /// f of the number, given f, f′ and f″ at x.
    static member Lift(x, f, f', f'') = { X = f; E1 = f' * x.E1; E2 = f' * x.E2; E12 = f' * x.E12 + f'' * x.E1 * x.E2 }

    static member (+)(x, y) = { X = x.X + y.X; E1 = x.E1 + y.E1; E2 = x.E2 + y.E2; E12 = x.E12 + y.E12 }

    static member (*)(x, y) =
        { X = x.X * y.X
          E1 = x.X * y.E1 + x.E1 * y.X
          E2 = x.X * y.E2 + x.E2 * y.X
          E12 = x.X * y.E12 + x.E1 * y.E2 + x.E2 * y.E1 + x.E12 * y.X }

    static member (~-)(x) = { X = -x.X; E1 = -x.E1; E2 = -x.E2; E12 = -x.E12 }

    static member (-)(x: HyperDual, y: HyperDual) = x + (-y)

    static member (/)(x: HyperDual, y: HyperDual) =
        x * HyperDual.Lift(y, 1.0 / y.X, -1.0 / (y.X * y.X), 2.0 / (y.X * y.X * y.X))

    static member Exp(x) =
        let f = exp x.X
        HyperDual.Lift(x, f, f, f)

    static member Log(x) = HyperDual.Lift(x, log x.X, 1.0 / x.X, -1.0 / (x.X * x.X))

    static member Tanh(x) =
        let f = tanh x.X
        HyperDual.Lift(x, f, 1.0 - f * f, -2.0 * f * (1.0 - f * f))

    static member Zero = { X = 0.0; E1 = 0.0; E2 = 0.0; E12 = 0.0 }

/// A number without derivatives.
let constant x = { HyperDual.Zero with X = x }

/// Numbers without derivatives.
let constants (values: seq<float32>) = values |> Seq.map (float >> constant) |> Array.ofSeq

/// The point x + ε₁ v + ε₂ w.
let along (v: float[]) (w: float[]) (x: float[]) = Array.map3 (fun x v w -> { constant x with E1 = v; E2 = w }) x v w

let private one = constant 1.0

let private activate activation x =
    let sigmoid x = one / (one + exp -x)

    match activation with
    | Activation.Identity -> x
    | Activation.Tanh -> tanh x
    | Activation.Relu -> if x.X > 0.0 then x else HyperDual.Zero
    | Activation.Sigmoid -> sigmoid x
    | Activation.Elu -> if x.X > 0.0 then x else exp x - one
    | Activation.Softplus -> if x.X > 0.0 then x + log (one + exp -x) else log (one + exp x)
    | Activation.Swish -> x * sigmoid x
    | other -> failwith $"no such activation: {other}"

/// The numbers of each patch of a picture under a window, patch after patch, in the order of the picture.
let private patchesOf (window: Window) shape (input: HyperDual[]) =
    match shape with
    | [ height; width; channels ] ->
        [| for top in 0 .. window.Stride .. height - window.Height do
               for left in 0 .. window.Stride .. width - window.Width do
                   [| for row in top .. top + window.Height - 1 do
                          for column in left .. left + window.Width - 1 do
                              for channel in 0 .. channels - 1 do
                                  input[(row * width + column) * channels + channel] |] |]
    | _ -> failwith "no picture"

/// The shape of a row after the layers.
let rec private shapeAfter layers (shape: ArrayShape) =
    let moved (window: Window) channels =
        [ (shape[0] - window.Height) / window.Stride + 1
          (shape[1] - window.Width) / window.Stride + 1
          channels ]

    match layers with
    | Dense(outputs, _) -> [ outputs ]
    | LinearThenStateIndependent(outputs, free) -> [ outputs + free ]
    | Convolved(filters, window, _) -> moved window filters
    | Pooled(_, window) -> moved window shape[2]
    | Normalised -> shape
    | Reading(shape, layers) -> shapeAfter layers shape
    | SideBySide parts -> [ parts |> List.sumBy (fun (shape, layers) -> ArrayShape.length (shapeAfter layers shape)) ]
    | BehindContract layers -> shapeAfter layers shape
    | Then(first, second) -> shapeAfter second (shapeAfter first shape)

/// One row of this shape through the layers: its outputs, and the parameters that are left for what follows.
let rec private forward layers shape (parameters: HyperDual list) (input: HyperDual[]) =
    match layers with
    | Dense(outputs, activation) ->
        let weights, rest = List.splitAt (input.Length * outputs) parameters
        let biases, rest = List.splitAt outputs rest
        let weights = Array.ofList weights

        let output =
            biases
            |> List.mapi (fun j bias ->
                input
                |> Array.mapi (fun i x -> x * weights[i * outputs + j])
                |> Array.fold (+) bias
                |> activate activation)

        Array.ofList output, rest
    | LinearThenStateIndependent(outputs, free) ->
        let output, rest = forward (Dense(outputs, Activation.Identity)) shape parameters input
        let free, rest = List.splitAt free rest
        Array.append output (Array.ofList free), rest
    | Convolved(filters, window, activation) ->
        let patches = patchesOf window shape input
        let convolve rest patch = forward (Dense(filters, activation)) [] rest patch
        Array.collect (convolve parameters >> fst) patches, snd (convolve parameters patches[0])
    | Pooled(pooling, window) ->
        let channels = List.last shape

        let pooled (patch: HyperDual[]) =
            Array.init channels (fun channel ->
                let numbers = patch |> Array.chunkBySize channels |> Array.map (Array.item channel)

                match pooling with
                | Max -> numbers |> Array.maxBy _.X
                | Average -> Array.fold (+) HyperDual.Zero numbers / constant (float numbers.Length))

        Array.collect pooled (patchesOf window shape input), parameters
    | Normalised ->
        let count = constant (float input.Length)
        let mean values = Array.fold (+) HyperDual.Zero values / count
        let gains, rest = List.splitAt input.Length parameters
        let shifts, rest = List.splitAt input.Length rest
        let deviations = input |> Array.map (fun x -> x - mean input)
        let variance = deviations |> Array.map (fun d -> d * d) |> mean
        let scale = exp (constant -0.5 * log (variance + constant 1e-5))
        let normalised = deviations |> Array.map (fun d -> d * scale)
        Array.map3 (fun gain x shift -> gain * x + shift) (Array.ofList gains) normalised (Array.ofList shifts), rest
    | Reading(shape, layers) -> forward layers shape parameters input
    | SideBySide parts ->
        let step (outputs, parameters, input) (shape, layers) =
            let own, others = Array.splitAt (ArrayShape.length shape) input
            let output, rest = forward layers shape parameters own
            Array.append outputs output, rest, others

        let outputs, rest, _ = List.fold step ([||], parameters, input) parts
        outputs, rest
    | BehindContract layers -> forward layers shape parameters input
    | Then(first, second) ->
        let hidden, rest = forward first shape parameters input
        forward second (shapeAfter first shape) rest hidden

/// The outputs of the layers at these parameters, for one row of input.
let output layers (parameters: HyperDual[]) (input: HyperDual[]) =
    match forward layers [ input.Length ] (List.ofArray parameters) input with
    | outputs, [] -> outputs
    | _, rest -> failwith $"{rest.Length} parameters too many"

/// How the parameters of a distribution fall to its choices, or None for a Gaussian.
let private countsOf space =
    match space with
    | Discrete count -> Some [ count ]
    | MultiDiscrete counts -> Some counts
    | MultiBinary count -> Some(List.replicate count 2)
    | Box _
    | Masked _
    | Parts _ -> None

/// The parts of an action space, each with its own parameters of a row: what networks compute comes first, part after part, and then come the
/// free parameters.
let private ofParts kind parts (parameters: 'T[]) =
    let ofBox (low: Vector) =
        match kind with
        | DistributionKind.Gaussian
        | DistributionKind.SquashedGaussian -> low.Length, low.Length
        | _ -> 2 * low.Length, 0

    let rec counts space =
        match countsOf space, space with
        | Some counts, _ -> List.sum counts, 0
        | None, Box(low, _, _) -> ofBox low
        | None, Parts parts ->
            let counts = parts |> List.map (snd >> counts)
            List.sumBy fst counts, List.sumBy snd counts
        | None, space -> failwith (Space.describe space)

    let outputs, others = Array.splitAt (fst (counts (Parts parts))) parameters

    let step (outputs, others) (_, space) =
        let computed, free = counts space
        let own, outputs = Array.splitAt computed outputs
        let ownFree, others = Array.splitAt free others
        (space, Array.append own ownFree), (outputs, others)

    parts |> List.mapFold step (outputs, others) |> fst

/// The log-probabilities of the alternatives of each choice.
let private logSoftmax (counts: int list) (logits: HyperDual[]) =
    let starts = List.scan (+) 0 counts

    List.map2
        (fun start count ->
            let logits = Array.sub logits start count
            // A constant shift keeps the exponentials finite and changes no derivative.
            let largest = constant (logits |> Array.map _.X |> Array.max)
            let total = logits |> Array.fold (fun sum x -> sum + exp (x - largest)) HyperDual.Zero
            logits |> Array.map (fun x -> x - largest - log total))
        (List.take counts.Length starts)
        counts

let private sum (terms: seq<HyperDual>) = Seq.fold (+) HyperDual.Zero terms

let private half = constant 0.5

/// The means and the log σ of a Gaussian. A log σ counts between −20 and 10, with the derivatives of the formulas at that value.
let private gaussian (parameters: HyperDual[]) =
    let means, logSigmas = Array.splitAt (parameters.Length / 2) parameters
    means, logSigmas |> Array.map (fun logSigma -> { logSigma with X = Math.Clamp(logSigma.X, -20.0, 10.0) })

// ---- Squashed Gaussians and Beta distributions ----

/// log Γ by Lanczos' formula with g = 7 and nine terms, which shares nothing with the series of the library.
let lnGamma (x: HyperDual) =
    let coefficients =
        [| 676.5203681218851
           -1259.1392167224028
           771.32342877765313
           -176.61502916214059
           12.507343278686905
           -0.13857109526572012
           9.9843695780195716e-6
           1.5056327351493116e-7 |]

    let z = x - one
    let t = z + constant 7.5

    let series =
        coefficients
        |> Seq.mapi (fun i c -> constant c / (z + constant (float (i + 1))))
        |> Seq.fold (+) (constant 0.99999999999980993)

    constant (0.5 * log (2.0 * Math.PI)) + (z + half) * log t - t + log series

/// α and β of each coordinate. The derivatives are those of the formulas where an output is clipped.
let private betaShapes (parameters: HyperDual[]) =
    let shape output = one + activate Activation.Softplus { output with X = Math.Clamp(output.X, -20.0, 1e6) }
    let alphas, betas = parameters |> Array.map shape |> Array.splitAt (parameters.Length / 2)
    Array.zip alphas betas

let private lnBeta (alpha, beta) = lnGamma alpha + lnGamma beta - lnGamma (alpha + beta)

/// ψ of a number without derivatives.
let private digamma (x: HyperDual) = constant (MathNet.Numerics.SpecialFunctions.DiGamma x.X)

let private logBetaDensity (alpha: HyperDual, beta: HyperDual) (u: float32) =
    let log' x = activate Activation.Softplus (constant x)

    -((alpha - one) * log' (-2.0 * float u))
    - (beta - one) * log' (2.0 * float u)
    - lnBeta (alpha, beta)
    - constant (log 2.0)

let private klOfBetas (alpha: HyperDual, beta: HyperDual) (alpha': HyperDual, beta': HyperDual) =
    lnBeta (alpha', beta') - lnBeta (alpha, beta)
    + (alpha - alpha') * digamma alpha
    + (beta - beta') * digamma beta
    + (alpha' - alpha + beta' - beta) * digamma (alpha + beta)

/// E[log p] needs ψ with its derivatives: those of log Γ, one order higher, are differences here.
let private entropyOfBeta (alpha: HyperDual, beta: HyperDual) =
    let psi (x: HyperDual) =
        let at x = MathNet.Numerics.SpecialFunctions.DiGamma x
        let step = 1e-4 * x.X

        let slope =
            (8.0 * (at (x.X + step) - at (x.X - step)) - at (x.X + 2.0 * step) + at (x.X - 2.0 * step))
            / (12.0 * step)

        HyperDual.Lift(x, at x.X, slope, nan)

    lnBeta (alpha, beta) - (alpha - one) * psi alpha - (beta - one) * psi beta
    + (alpha + beta - constant 2.0) * psi (alpha + beta)
    + constant (log 2.0)

/// log(1 − tanh² u), where it neither overflows nor vanishes.
let private logSlopeOf (u: HyperDual) =
    let soft x = activate Activation.Softplus x
    constant (2.0 * log 2.0) - soft (u + u) - soft (-(u + u))

/// E[log(1 − tanh² u)] by the trapezoidal rule, with so many points that nothing is left to see.
let private meanLogSlope (mean: HyperDual) (logSigma: HyperDual) =
    let step = 1.0 / 64.0

    Seq.init (64 * 20 + 1) (fun i -> -10.0 + step * float i)
    |> Seq.map (fun z ->
        constant (step * exp (-0.5 * z * z) / sqrt (2.0 * Math.PI))
        * logSlopeOf (mean + exp logSigma * constant z))
    |> sum

/// log p(action)
let rec logProbability kind space (parameters: HyperDual[]) (action: float32[]) =
    match countsOf space, space with
    | None, Parts parts ->
        let step (action: float32[]) (space, parameters) =
            let own, others = Array.splitAt (Space.width space) action
            logProbability kind space parameters own, others

        ofParts kind parts parameters |> List.mapFold step action |> fst |> sum
    | Some counts, _ -> logSoftmax counts parameters |> Seq.mapi (fun i logP -> logP[int action[i]]) |> sum
    | None, _ when kind = DistributionKind.Beta -> Array.map2 logBetaDensity (betaShapes parameters) action |> sum
    | None, _ when kind = DistributionKind.SquashedGaussian ->
        let slopes = action |> Array.map (float >> constant >> logSlopeOf)
        logProbability DistributionKind.Gaussian space parameters action - sum slopes
    | None, _ ->
        let means, logSigmas = gaussian parameters

        Array.map3
            (fun mean logSigma (a: float32) ->
                let z = (constant (float a) - mean) / exp logSigma
                -half * z * z - logSigma - constant (0.5 * log (2.0 * Math.PI)))
            means
            logSigmas
            action
        |> sum

/// KL(p ‖ q)
let rec kl kind space (p: HyperDual[]) (q: HyperDual[]) =
    match countsOf space, space with
    | None, Parts parts ->
        List.map2 (fun (space, p) (_, q) -> kl kind space p q) (ofParts kind parts p) (ofParts kind parts q)
        |> sum
    | Some counts, _ ->
        Seq.map2
            (fun logP logQ -> Array.map2 (fun p q -> exp p * (p - q)) logP logQ |> sum)
            (logSoftmax counts p)
            (logSoftmax counts q)
        |> sum
    | None, _ when kind = DistributionKind.Beta -> Array.map2 klOfBetas (betaShapes p) (betaShapes q) |> sum
    | None, _ ->
        let means, logSigmas = gaussian p
        let means', logSigmas' = gaussian q

        let term i =
            let difference = means[i] - means'[i]
            let variance, variance' = exp (logSigmas[i] + logSigmas[i]), exp (logSigmas'[i] + logSigmas'[i])

            logSigmas'[i] - logSigmas[i] + half * (variance + difference * difference) / variance' - half

        Seq.init means.Length term |> sum

/// The entropy.
let rec entropy kind space (p: HyperDual[]) =
    match countsOf space, space with
    | None, Parts parts -> ofParts kind parts p |> List.map (fun (space, p) -> entropy kind space p) |> sum
    | Some counts, _ ->
        logSoftmax counts p
        |> Seq.map (fun logP -> logP |> Array.map (fun logP -> -(exp logP * logP)) |> sum)
        |> sum
    | None, _ when kind = DistributionKind.Beta -> betaShapes p |> Array.map entropyOfBeta |> sum
    | None, _ when kind = DistributionKind.SquashedGaussian ->
        let means, logSigmas = gaussian p
        entropy DistributionKind.Gaussian space p + sum (Array.map2 meanLogSlope means logSigmas)
    | None, _ ->
        let _, logSigmas = gaussian p

        logSigmas
        |> Array.map (fun logSigma -> logSigma + constant (0.5 * log (2.0 * Math.PI * Math.E)))
        |> sum

/// The numbers of a vector in float64.
let floats (values: Vector) = Vector.toArray values |> Array.map float

/// The vector of zeros but for a 1 at index i.
let unit length i = Array.init length (fun j -> if j = i then 1.0 else 0.0)

let private zeros length = Array.zeroCreate<float> length

/// ∂f/∂x, one element a coordinate.
let gradient (f: HyperDual[] -> HyperDual) (x: float[]) =
    Array.init x.Length (fun i -> (f (along (unit x.Length i) (zeros x.Length) x)).E1)

/// The Hessian of f at x, times v.
let hessianTimes (f: HyperDual[] -> HyperDual) (x: float[]) (v: float[]) =
    Array.init x.Length (fun i -> (f (along (unit x.Length i) v x)).E12)

/// The Hessian of f at x.
let hessian f (x: float[]) = Array.init x.Length (fun i -> hessianTimes f x (unit x.Length i))

let private rowsOf (m: Matrix) = Array.init m.Rows (fun row -> m.Row(row).ToArray())

let private averageOf terms =
    let terms = Array.ofSeq terms
    sum terms * constant (1.0 / float terms.Length)

/// What the policy network of the case gives at θ, row by row.
let private distributions (case: PolicyCase) parameters =
    rowsOf case.Observations |> Array.map (constants >> output case.Layers parameters)

/// The policy at θ_old.
let private before (case: PolicyCase) = distributions case (constants (Vector.toArray case.Parameters))

/// The log σ of the Gaussians of a row.
let rec private logSigmasOf kind space parameters =
    match countsOf space, space with
    | None, Parts parts ->
        ofParts kind parts parameters |> List.collect (fun (space, own) -> logSigmasOf kind space own)
    | None, _ when kind <> DistributionKind.Beta -> gaussian parameters |> snd |> Array.map _.X |> List.ofArray
    | _ -> []

/// Whether float32 resolves the densities of the policy at θ_old. Where σ is small, the rounding of a mean moves them: the actions of the case
/// were drawn from the means in float32, and here they are compared with those in float64.
let isResolved case =
    before case
    |> Seq.collect (logSigmasOf case.Policy.Distribution case.Space)
    |> Seq.forall (fun logSigma -> logSigma > -3.0)

/// θ ↦ (1/N) Σ f(π_θ(a|s)/π_old(a|s), A(s, a))
let private meanOfRatios (f: HyperDual -> float -> HyperDual) (case: PolicyCase) =
    let samples = Array.zip (rowsOf case.Actions) (Array.ofSeq case.Advantages)

    let logProbabilities =
        Array.map2 (fun p (action, _) -> logProbability case.Policy.Distribution case.Space p action)

    let old = logProbabilities (before case) samples

    fun parameters ->
        Array.map3
            (fun old now (_, advantage) -> f (exp (now - old)) advantage)
            old
            (logProbabilities (distributions case parameters) samples)
            samples
        |> averageOf

/// θ ↦ (1/N) Σ (π_θ(a|s)/π_old(a|s) − 1) A(s, a)
let gain case = meanOfRatios (fun ratio advantage -> (ratio - one) * constant advantage) case

/// θ ↦ (1/N) Σ min(r A, clip(r, 1 − ε, 1 + ε) A), where r = π_θ(a|s)/π_old(a|s)
let clippedSurrogate clipRange case =
    let least (a: HyperDual) (b: HyperDual) = if a.X <= b.X then a else b

    let clip (ratio: HyperDual) =
        if ratio.X > 1.0 + clipRange then constant (1.0 + clipRange)
        elif ratio.X < 1.0 - clipRange then constant (1.0 - clipRange)
        else ratio

    meanOfRatios (fun ratio advantage -> least (ratio * constant advantage) (clip ratio * constant advantage)) case

/// θ ↦ KL(π_old ‖ π_θ) of each row
let rowKls (case: PolicyCase) =
    let before = before case
    fun parameters -> Array.map2 (kl case.Policy.Distribution case.Space) before (distributions case parameters)

/// θ ↦ the mean over the rows of KL(π_old ‖ π_θ)
let meanKl case = rowKls case >> averageOf

/// θ ↦ the mean entropy of π_θ
let meanEntropy (case: PolicyCase) parameters =
    distributions case parameters |> Seq.map (entropy case.Policy.Distribution case.Space) |> averageOf

/// The case with only the given rows of its batch.
let withRows (rows: int[]) (case: PolicyCase) =
    let gather (m: Matrix) = Matrix.ofRows (rows |> Array.map (fun row -> m.Row(row).ToArray()))

    { case with
        Observations = gather case.Observations
        Actions = gather case.Actions
        Advantages = ImmutableArray.CreateRange(rows |> Seq.map (fun i -> case.Advantages[i])) }

/// The case with about this fraction of its rows, evenly spread.
let withFraction fraction (case: PolicyCase) =
    let rows = case.Observations.Rows
    let count = max 1 (int (round (fraction * float rows)))
    withRows (Array.init count (fun i -> i * rows / count)) case

/// The Fisher matrix built up from its definition, (1/N) Σ J_nᵀ M_n J_n: J_n from dual numbers, M_n from hyper-dual ones.
let fisher (case: PolicyCase) =
    let theta = floats case.Parameters
    let count = theta.Length

    let ofRow input =
        let columns =
            Array.init count (fun i ->
                output case.Layers (along (unit count i) (zeros count) theta) (constants input) |> Array.map _.E1)

        let p = output case.Layers (theta |> Array.map constant) (constants input)
        let metric = hessian (kl case.Policy.Distribution case.Space p) (p |> Array.map _.X)
        let dot a b = Array.fold2 (fun sum x y -> sum + x * y) 0.0 a b
        let products = columns |> Array.map (fun column -> metric |> Array.map (dot column))
        Array.init count (fun i -> Array.init count (fun j -> dot columns[i] products[j]))

    let all = rowsOf case.Observations |> Array.map ofRow

    Array.init count (fun i -> Array.init count (fun j -> all |> Array.averageBy (fun matrix -> matrix[i][j])))
