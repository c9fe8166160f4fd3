/// Solves  max Σ_a π(a) w(a)  for the states of a policy, with a penalty for the total variation or a limit on it: exactly, by moving
/// probability from the worst actions to the best one. The first moves gain most for each unit of total variation, so the largest gain
/// within a total variation t is concave and piecewise linear in t.
module FunTrpo.Exact.TvDual

/// A change of a row by a total variation of at most `Mass`. Each unit of it gains `Gain`.
[<Struct>]
type Move = { Mass: float; Gain: float }

/// The moves of a state that is visited this often, from the largest gain to the smallest.
[<Struct>]
type StateMoves = { Weight: float; Moves: Move[] }

/// The actions of a row p from which probability moves to the action with the largest w, the worst first.
let private sources (p: float[]) (w: float[]) =
    let largest = Array.max w

    [| 0 .. p.Length - 1 |]
    |> Array.filter (fun a -> p[a] > 0.0 && w[a] < largest)
    |> Array.sortBy (fun a -> w[a])

/// Returns the moves from the actions of a row p to the one with the largest w, from the largest gain to the smallest.
let moves (p: float[]) (w: float[]) =
    let largest = Array.max w
    sources p w |> Array.map (fun a -> { Mass = p[a]; Gain = largest - w[a] })

/// Returns the row π with the largest Σ π w whose total variation from p is at most the limit. Of several best actions the first one
/// takes the probability.
let withinLimit limit (p: float[]) (w: float[]) =
    let row = Array.copy p
    let best = Array.findIndex ((=) (Array.max w)) w
    let mutable left = limit

    for a in sources p w do
        let mass = min left p[a]
        row[a] <- p[a] - mass
        left <- left - mass

    row[best] <- 0.0
    row[best] <- max 0.0 (1.0 - Array.sum row)
    row

/// Returns the one move of a row p towards the row q: a mixture of them.
let mixing (p: float[]) (q: float[]) (w: float[]) =
    let tv = Divergence.tvOfRows p q

    if tv = 0.0 then
        [||]
    else
        [| { Mass = tv; Gain = Array.sum (Array.map3 (fun p q w -> (q - p) * w) p q w) / tv } |]

/// Each total variation at which the slope of the gain changes, with the decrease of the slope there.
let private bends (states: StateMoves[]) =
    [| for state in states do
           let mutable reached = 0.0

           for i in 0 .. state.Moves.Length - 1 do
               let next = if i + 1 < state.Moves.Length then state.Moves[i + 1].Gain else 0.0
               reached <- reached + state.Moves[i].Mass
               struct (reached, state.Weight * (state.Moves[i].Gain - next)) |]
    |> Array.sortBy (fun struct (reached, _) -> reached)

/// Returns the limit t ≥ 0 that maximises  Σ weight · gain(t) − price · t²,  where gain(t) is the largest gain of a state within a total
/// variation of t. Its slope falls from bend to bend, and t is where the slope is 2 · price · t.
let bestLimit price (states: StateMoves[]) =
    let bends = bends states

    let rec go i slope from =
        if i = bends.Length then
            from
        else
            let struct (reached, decrease) = bends[i]
            let best = slope / (2.0 * price)
            if best <= reached then max from best else go (i + 1) (slope - decrease) reached

    go 0 (bends |> Array.sumBy (fun struct (_, decrease) -> decrease)) 0.0

/// Returns the total variation at which a state has made the moves that gain more than the price, up to a gain of `limit`.
let tvWithin price limit (moves: Move[]) =
    let mutable gained = 0.0
    let mutable tv = 0.0

    for move in moves do
        if move.Gain > price && gained < limit then
            let mass = min move.Mass ((limit - gained) / move.Gain)
            gained <- gained + mass * move.Gain
            tv <- tv + mass

    tv

/// The gain and the total variation of a state as linear functions of the limit on its gain, near a limit that is not a bend.
[<Struct>]
type private Piece = { Gain: float; GainSlope: float; Tv: float; TvSlope: float }

let private pieceAt price limit (moves: Move[]) =
    let mutable piece = { Gain = 0.0; GainSlope = 0.0; Tv = 0.0; TvSlope = 0.0 }

    for move in moves do
        if move.Gain > price && piece.GainSlope = 0.0 then
            let gain = piece.Gain + move.Mass * move.Gain

            if gain <= limit then
                piece <- { piece with Gain = gain; Tv = piece.Tv + move.Mass }
            else
                // The state gains its limit: this move ends at the total variation Tv + (limit − Gain) / gain of a unit.
                piece <-
                    { Gain = 0.0; GainSlope = 1.0; Tv = piece.Tv - piece.Gain / move.Gain; TvSlope = 1.0 / move.Gain }

    piece

/// The limits between which each state has one piece.
let private limits rate (states: StateMoves[]) =
    let ofState (state: StateMoves) =
        let gains = state.Moves |> Array.scan (fun sum move -> sum + move.Mass * move.Gain) 0.0
        let prices = state.Moves |> Array.map (fun move -> move.Gain / rate)
        gains, prices

    let all = states |> Array.map ofState
    let largest = all |> Array.fold (fun largest (gains, _) -> max largest (Array.last gains)) 0.0

    all
    |> Array.collect (fun (gains, prices) -> Array.append gains prices)
    |> Array.filter (fun limit -> limit <= largest)
    |> Array.distinct
    |> Array.sort

/// Returns the limit e on the gain of every state that maximises  Σ weight · (gain − rate · e · tv),  where each state makes the moves that
/// gain more than rate · e, up to a gain of e. The sum is a quadratic function of e between two bends.
let bestGain rate (states: StateMoves[]) =
    let between low high =
        let middle = 0.5 * (low + high)
        let mutable constant, slope, square = 0.0, 0.0, 0.0

        for state in states do
            let piece = pieceAt (rate * middle) middle state.Moves
            constant <- constant + state.Weight * piece.Gain
            slope <- slope + state.Weight * (piece.GainSlope - rate * piece.Tv)
            square <- square - state.Weight * rate * piece.TvSlope

        let at e = constant + e * (slope + e * square)

        let top =
            if square < 0.0 then -slope / (2.0 * square)
            else if slope > 0.0 then high
            else low

        let e = min high (max low top)
        struct (at e, e)

    if System.Double.IsInfinity rate then
        0.0
    else
        let pieces = limits rate states |> Array.pairwise |> Array.map (fun (low, high) -> between low high)

        if pieces.Length = 0 then
            0.0
        else
            let struct (_, e) = pieces |> Array.maxBy (fun struct (worth, _) -> worth)
            e
