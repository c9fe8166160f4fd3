/// The exact derivatives of a softmax policy whose states share parameters, π(a|s) ∝ exp Σ_k φ_k(s, a) θ_k.
module FunTrpo.Exact.SharedSoftmax

open System
open FunTrpo.Exact.RowFisher

/// Returns the policy with the parameters θ.
let policy features (theta: float[]) = TabularPolicy.ofLogits (Features.logits features theta)

/// Returns ∇η in the parameters: Σ_s ρ(s) Σ_a π(a|s) A(s, a) φ(s, a) (the policy gradient theorem).
let gradient features (values: Values) = Features.pullback features (Softmax.gradient values)

/// Returns the Fisher matrix of each state, the covariance of φ(s, a) as the policy draws a: the vectors √π(a|s) (φ(s, a) − φ̄(s)). They are
/// 0 in terminal states.
let rows (mdp: FiniteMdp) (features: Features) (values: Values) : Row[] =
    let ofState state =
        let phi = Array.init mdp.Actions (fun action -> features.Row(state, action).ToArray())
        let row = TabularPolicy.rowArray values.Policy state

        let mean =
            Array.fold2 (fun sum p f -> Array.map2 (fun m x -> m + p * x) sum f) (scaled 0.0 phi[0]) row phi

        Array.map2 (fun p f -> Array.map2 (fun x m -> sqrt p * (x - m)) f mean) row phi

    Array.init mdp.States (fun state ->
        if mdp.IsTerminal state then
            Array.create mdp.Actions (Array.zeroCreate features.Parameters)
        else
            ofState state)

/// The weights of the states in the mean KL: (1 − γ) ρ.
let private weights mdp (values: Values) =
    let horizon = Values.horizon mdp values
    Array.init mdp.States (fun state -> values.Visitation[state] / horizon)

/// Returns the Fisher matrix of the mean KL, F = Σ_s (1 − γ) ρ(s) F_s, with one row and one column for each parameter.
let fisher mdp features values = RowFisher.fisher (weights mdp values) (rows mdp features values)

/// Returns the damped natural gradient x = (F + c)⁻¹ ∇η. Without damping F may be singular, and x is the smallest solution: ∇η lies in the
/// range of F. It is computed as a least-squares problem, Σ (1−γ) ρ(s) π(a|s) ((φ(s, a) − φ̄(s))·x − A(s, a) / (1−γ))² + c ‖x‖²: the change of
/// the logits that fits the advantages best (compatible function approximation, Kakade 2001). Directions that change the policy by less
/// than 10⁻¹³ of the largest change count as none. A damping that is negative or not finite throws `ArgumentException`.
let naturalGradient mdp features damping (values: Values) =
    if not (damping >= 0.0 && Double.IsFinite damping) then
        invalidArg (nameof damping) $"damping = {damping} is negative or not finite"

    let horizon = Values.horizon mdp values
    // Advantages in their own unit are comparable with features.
    let unit = values.Advantages |> Table.fold (fun largest a -> max largest (abs a)) 0.0
    let weights, rows = weights mdp values, rows mdp features values

    let vectors =
        [| for state in 0 .. rows.Length - 1 do
               for action in 0 .. rows[state].Length - 1 do
                   let b = sqrt values.Policy[state, action] * values.Advantages[state, action] / unit
                   let row = Array.append (Array.item action rows[state]) [| b |]
                   scaled (sqrt weights[state]) row |]

    if unit = 0.0 then
        Array.zeroCreate features.Parameters
    else
        Triangular.leastSquares damping features.Parameters vectors |> scaled (horizon * unit)
