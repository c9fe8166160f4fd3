namespace FunTrpo

open System

/// Suggestions for mistyped names.
module Suggestion =

    /// The optimal string alignment distance between every beginning of `word` and `typed`. Entry i is the number of letters that must be
    /// inserted, deleted, replaced or swapped with their neighbour to turn the first i letters of `word` into `typed`.
    let private editDistances (word: string) (typed: string) =
        let distances = Array2D.init (word.Length + 1) (typed.Length + 1) max

        for i in 1 .. word.Length do
            for j in 1 .. typed.Length do
                let replaced = distances[i - 1, j - 1] + (if word[i - 1] = typed[j - 1] then 0 else 1)
                let nearest = min replaced (1 + min distances[i - 1, j] distances[i, j - 1])
                let areExchanged = i > 1 && j > 1 && word[i - 1] = typed[j - 2] && word[i - 2] = typed[j - 1]
                distances[i, j] <- if areExchanged then min nearest (1 + distances[i - 2, j - 2]) else nearest

        distances[*, typed.Length]

    /// Does the same as `among`, but `known` must not be empty.
    let private amongSome (known: seq<string>) (typed: string) =
        let distances (word: string) = editDistances (word.ToLowerInvariant()) (typed.ToLowerInvariant())
        let whole word = distances word |> Array.last
        let beginning word = distances word |> Array.min
        let nearest = Seq.minBy whole known
        let nearestByBeginning = Seq.minBy beginning known

        if 3 * whole nearest <= nearest.Length then
            $"; did you mean {nearest}?"
        elif typed.Length > 2 && 3 * beginning nearestByBeginning <= typed.Length then
            $"; did you mean {nearestByBeginning}?"
        else
            ""

    /// "; did you mean …?" with the known word that is nearest to the typed one, or "" if no word is near or none is known. Letter case
    /// is ignored. A word is near if at most a third of its letters differ. Otherwise a word is near if its beginning differs in at most a
    /// third of the typed letters (CartPol for CartPole-v1) and at least three letters were typed.
    let among (known: seq<string>) (typed: string) = if Seq.isEmpty known then "" else amongSome known typed
