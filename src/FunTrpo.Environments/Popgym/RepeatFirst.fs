/// `popgym-RepeatFirst…-v0`: name the suit of the first card at each step, while other cards are shown.
///
/// Source: POPGym (see `Difficulty`).
module FunTrpo.Environments.Popgym.RepeatFirst

/// The number of decks.
let decks = Difficulty.pick (1, 8, 16)

let environment difficulty =
    let decks = decks difficulty
    let scale = 1.0 / float (Cards.count decks - 1)

    Cards.task (Difficulty.id "RepeatFirst" difficulty) decks (fun suit cards ->
        if suit = Cards.nth 1 cards then scale else -scale)
