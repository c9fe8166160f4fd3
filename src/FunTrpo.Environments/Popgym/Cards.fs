namespace FunTrpo.Environments.Popgym

open FunTrpo

/// Shuffled cards that are shown one after another.
[<Struct>]
type Cards =
    {
        /// The suit of each card, from 0 to 3, in the order in which the cards are shown.
        Suits: Vector
        /// The number of cards that have been shown.
        Shown: int
    }

    /// Whether all cards have been shown.
    member this.AreAllShown = this.Shown = this.Suits.Length

module Cards =

    let internal suits = 4
    let private deck = 52

    /// The number of cards of some decks.
    let internal count decks = decks * deck

    /// Some decks that are shuffled together, with the first card shown.
    let shuffled decks key =
        let order = Key.permutation (count decks) key
        { Suits = Vector.init order.Length (fun i -> float32 (order[i] % suits)); Shown = 1 }

    /// The cards with one more shown.
    let next cards = { cards with Shown = cards.Shown + 1 }

    /// The suit of the card that was shown as the n-th, counted from 1.
    let nth n cards = cards.Suits[n - 1]

    /// The last card that was shown.
    let private picture cards =
        { Left = 0.0
          Right = 5.0
          Bottom = 0.0
          Top = 7.0
          Shapes =
            [ Picture.rectangle 0.2 0.2 4.8 6.8 Colour.Muted
              Shape.Text(struct (2.5, 3.5), 3.0, $"{int (nth cards.Shown cards) + 1}", Colour.Accent)
              Shape.Text(struct (2.5, 0.7), 0.6, $"{cards.Shown} of {cards.Suits.Length}", Colour.Ink) ] }

    /// A task in which an action is a suit. `reward` is that of an action while some cards have been shown. Then the next card is shown. An
    /// episode terminates with the step that shows the last card.
    let internal task id decks (reward: float32 -> Cards -> float) =
        { new Environment<Cards> with
            member _.Id = id
            member _.ObservationSpace = Discrete suits
            member _.ActionSpace = Discrete suits
            member _.Reset key = shuffled decks key

            member _.Step(_, action, cards) =
                let following = next cards

                { State = following
                  Reward = reward action[0] cards
                  Terminated = following.AreAllShown
                  Truncated = false }

            member _.Observe(cards, observation) = observation[0] <- nth cards.Shown cards
          interface PicturedEnvironment<Cards> with
              member _.Picture cards = Some(picture cards) }
