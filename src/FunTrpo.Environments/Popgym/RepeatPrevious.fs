/// `popgym-RepeatPrevious…-v0`: name the suit of the card that was shown k − 1 cards ago.
///
/// Source: POPGym (see `Difficulty`).
module FunTrpo.Environments.Popgym.RepeatPrevious

/// The number of decks.
let decks = Difficulty.pick (1, 2, 3)

/// The card that counts is the k-th last one. The current one counts as the first.
let k = Difficulty.pick (4, 32, 64)

/// The steps before there are k cards have the reward 0.
let environment difficulty =
    let decks, k = decks difficulty, k difficulty
    let scale = 1.0 / float (Cards.count decks - k)

    Cards.task (Difficulty.id "RepeatPrevious" difficulty) decks (fun suit cards ->
        if cards.Shown < k then 0.0
        elif suit = Cards.nth (cards.Shown - k + 1) cards then scale
        else -scale)
