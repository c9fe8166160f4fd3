namespace FunTrpo

/// The result of one step of an environment.
[<Struct>]
type Transition<'State> =
    {
        /// The state after the step.
        State: 'State
        /// The reward of the step.
        Reward: float
        /// The task ended with this step: no reward follows, and the value of the state is 0.
        Terminated: bool
        /// A time limit ended the episode: the state has the value of the rewards that would have followed.
        Truncated: bool
    }
