namespace FunTrpo

/// A warning about a training run that continues.
type Warning =
    /// The policy has not moved for this number of iterations. Holds the reason why the last step did not move it.
    | NotMoving of iterations: int * reason: string
    /// A policy with discrete actions has had almost no entropy for this number of iterations.
    | LowEntropy of iterations: int * entropy: float
    /// The σ of an action dimension has been at its smallest or largest allowed value for this number of iterations.
    | SigmaAtBound of iterations: int * dimension: int * logSigma: float * entropyBonus: float
    /// An episode has lasted for this number of steps and has not ended. `instance` is the index of the environment among those that are
    /// stepped side by side; the message calls it "environment".
    | LongEpisode of environment: string * instance: int * steps: int

module Warning =

    /// What the warning is about, in a few words without commas.
    let name warning =
        match warning with
        | NotMoving _ -> "the policy does not move"
        | LowEntropy _ -> "hardly any entropy"
        | SigmaAtBound _ -> "a sigma is at its bound"
        | LongEpisode _ -> "an episode does not end"

    /// Returns the text of a warning: one or two sentences.
    let message warning =
        match warning with
        | NotMoving(iterations, reason) -> $"the policy has not moved for {iterations} iterations: {reason}"
        | LowEntropy(iterations, entropy) ->
            $"the policy has hardly any entropy ({entropy:``0.0e+0``} nats) for {iterations} iterations: it no longer explores; an entropyBonus keeps it exploring"
        | SigmaAtBound(iterations, dimension, logSigma, entropyBonus) ->
            let remedy =
                if logSigma > 0.0 && entropyBonus > 0.0 then
                    $"entropyBonus = {entropyBonus} outweighs the effect of this dimension on the return: lower it"
                elif logSigma > 0.0 then
                    "wider actions have kept increasing the return: check the reward, or give the action space bounds"
                else
                    "float32 cannot distinguish its actions"

            $"the sigma of action dimension {dimension} is at its bound (log sigma = {logSigma}) for {iterations} iterations: {remedy}"
        | LongEpisode(environment, instance, steps) ->
            $"an episode of {environment} has gone on for {steps} steps (environment {instance}): if it may never end, give it a time limit"
