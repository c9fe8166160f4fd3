// Inside one update of TRPO: the gradient, conjugate gradient, the spectrum of the Fisher matrix, and the line search.
#load "load.fsx"
#load "lesson.fsx"

open FunTrpo
open FunTrpo.Environments
open Lesson

let configuration = Configuration.standard
let setup = Setup.create 2 configuration CartPole.environment |> orFail

// Train for a while first, so that the policy is no longer the initial one. Then collect another batch and compute its surrogate.
let state =
    TrainingState.start setup 0L
    |> Training.runFor (steps 5_120L) setup
    |> Seq.map (orFail >> fst)
    |> Seq.last

let batch, instances = Stages.rollout configuration.Horizon setup state |> orFail
let advantages = Stages.advantageBatch setup state batch
let rows = Stages.updateBatch setup state batch advantages instances |> orFail
let surrogate = Stages.surrogate setup state rows
let gradient = Surrogate.gradient surrogate
printfn "CartPole-v1 after %d steps: %d rows, %d parameters" state.Steps batch.Rewards.Length gradient.Length
printfn "‖g‖ = %.4f" (Vector.norm gradient)

// The direction x solves H x = g, where H = F + λI is the damped Fisher matrix. Conjugate gradient never sees H, only products
// with it. It searches along one direction p after another, with the curvature pᵀHp / pᵀp. A few directions are enough for 4610
// unknowns. The residual ‖g − Hx‖ / ‖g‖ may rise in between; the error of x, measured by H, falls in every iteration.
let settings = Configuration.improvement state.Steps configuration
let damped = Fisher.matrix settings.Damping 1.0 surrogate

let solution =
    ConjugateGradient.solve
        { Iterations = configuration.CgIterations; Tolerance = configuration.CgTolerance }
        damped.Product
        gradient
    |> Option.get // None stands for a product that is NaN or infinite.

printfn "\nconjugate gradient   residual  curvature"

for i in 1 .. solution.Iterations do
    printfn "%18d %10.5f %10.4f" i solution.Residuals[i] solution.Curvatures[i - 1]

// Why are a few enough? The eigenvalues of F say how much the policy changes along each eigenvector. Power iteration finds the largest one:
// repeated multiplication by F turns a vector towards its eigenvector. Deflation then removes this eigenvector from F, and the same method
// finds the next largest eigenvalue. In the full run four of them exceed λ. In H all others are nearly equal, and conjugate gradient needs
// about one iteration for each eigenvalue that is not.
let fisher = Fisher.matrix 0.0 1.0 surrogate
let unit v = Vector.scale (1.0 / Vector.norm v) v

let next known =
    let timesRest v =
        (Fisher.product fisher v, known)
        ||> List.fold (fun product (eigenvalue, u) -> Vector.addScaled (-eigenvalue * Vector.dot u v) u product)

    let start = Key.ofSeed 1L |> Key.normals gradient.Length |> Seq.map float32 |> Vector.ofSeq |> unit
    let v = (start, seq { 1..100 }) ||> Seq.fold (fun v _ -> unit (timesRest v))
    Vector.dot v (timesRest v), v

let spectrum = ([], seq { 1..6 }) ||> Seq.fold (fun known _ -> known @ [ next known ]) |> List.map fst
printfn "\nlargest eigenvalues of F: %s" (spectrum |> List.map (sprintf "%.4f") |> String.concat "  ")
printfn "those of H lie in [λ, λ + largest] = [%.4f, %.4f]" settings.Damping (settings.Damping + spectrum.Head)
printfn "curvatures that CG met:              %.4f … %.4f" (Seq.min solution.Curvatures) (Seq.max solution.Curvatures)

// The full step is √(2δ / xᵀFx) x, and xᵀFx = xᵀHx − λ‖x‖². It follows from two models: a linear one of the gain, gᵀs, and a quadratic one
// of the mean KL, ½ sᵀFs. The line search computes the actual gain and mean KL, and shortens the step until there is a gain and the mean KL
// is at most δ.
let search delta =
    let x = solution.X
    let curvature = Vector.dot x (Fisher.product damped x) - settings.Damping * Vector.dot x x
    let length = sqrt (2.0 * delta / curvature)
    printfn "\nδ = %-5g  fraction   mean KL  (model)      gain  (model)" delta

    let evaluate parameters =
        let found = Surrogate.compare surrogate parameters
        let step = Vector.addScaled -1.0 surrogate.Parameters parameters
        let fraction = Vector.norm step / Vector.norm (Vector.scale length x)
        let modelKl = 0.5 * Vector.dot step (Fisher.product fisher step)
        printf "%19.4f %9.4f %8.4f %9.4f" fraction found.MeanKl modelKl found.Gain
        printfn " %8.4f" (Vector.dot gradient step)
        found

    let tries = { Tries = configuration.LineSearchTries; Ratio = configuration.LineSearchRatio }
    LineSearch.backtrack tries evaluate (TrustRegion.acceptable delta) surrogate.Parameters length x

// Near the old policy the models are accurate; far from it they predict too much gain. The last line of each table is the step that is
// taken.
let taken = search configuration.Delta
search 0.5 |> ignore

// One call does all of this.
match taken, TrustRegion.improve settings surrogate with
| Accepted(parameters, _, _, _), Ok improvement when parameters = improvement.Parameters ->
    printfn "\nTrustRegion.improve gives the same parameters, bit for bit"
| _, result -> printfn "\nTrustRegion.improve: %A" (Result.map _.Outcome result)
