namespace FunTrpo

open System.Globalization

/// A problem that random play has found in an environment: something that prevents learning, or that is probably a mistake.
/// Indices of numbers in an observation or action are counted from 0.
type Finding =
    /// The environment failed, or returned a number that is not finite or not allowed.
    | Broken of Fault
    /// A space of observations or actions has no elements, or more alternatives than float32 can distinguish.
    | ImproperSpace of what: string * space: Space
    /// An observation is outside its space. Holds the index and the value of the first such number.
    | OutsideSpace of index: int * value: float32 * space: Space
    /// The same keys and actions gave a different result when they were repeated, at this step of this episode.
    | NotReproducible of episode: int * step: int
    /// Some numbers of the observations were the same in all steps. Holds their indices and values.
    | ConstantObservations of numbers: (int * float32) list * steps: int
    /// The sizes (root mean squares) of two numbers of the observations are far apart.
    | MixedScales of small: (int * float) * large: (int * float)
    /// The size of the largest number of the observations is far from 1.
    | UnusualScale of index: int * size: float
    /// A number of the observations stayed in a small part of the interval between its bounds.
    | UnreachedBounds of index: int * bounds: (float32 * float32) * seen: (float32 * float32)
    /// An action has a single finite bound, and almost all actions that a new policy tries are beyond it.
    | UnreachableActions of index: int * bound: float32
    /// All rewards were equal, and no finished episode had another return than the others.
    | ConstantRewards of reward: float * steps: int
    /// No episode ended within this number of steps.
    | NoEnd of steps: int
    /// All episodes terminated after the same number of steps.
    | TerminatedAlike of episodes: int * steps: int

module Finding =

    let private number (x: float) = x.ToString("G4", CultureInfo.InvariantCulture)

    let private interval (low: float32, high: float32) = $"[{number (float low)}, {number (float high)}]"

    /// Returns true if normalised observations (`normaliseObservations`) solve the problem.
    let isOfScale finding =
        match finding with
        | MixedScales _
        | UnusualScale _ -> true
        | _ -> false

    /// Returns one or two sentences that describe the finding.
    let message finding =
        match finding with
        | Broken fault -> $"{Fault.message fault}."
        | ImproperSpace(what, space) ->
            $"The {what} space, {Space.describe space}, has no elements, or more than 2²⁴ alternatives."
        | OutsideSpace(index, value, space) ->
            $"observation[{index}] was {number (float value)}, which is outside of its space, {Space.describe space}."
        | NotReproducible(episode, step) ->
            $"Episode {episode}, played again with the same seed and the same actions, differed from step {step} on."
        | ConstantObservations(numbers, steps) ->
            let shown =
                numbers |> List.truncate 5 |> List.map (fun (i, x) -> $"observation[{i}] = {number (float x)}")

            let others = if numbers.Length > 5 then $" and {numbers.Length - 5} others" else ""
            $"""In {steps} random steps nothing changed at: {String.concat ", " shown}{others}."""
        | MixedScales((i, small), (j, large)) ->
            $"Observations are of very different sizes: observation[{i}] is about {number small}, observation[{j}] about {number large}."
        | UnusualScale(index, size) ->
            $"The largest number of the observations is far from 1: observation[{index}] is about {number size}."
        | UnreachedBounds(index, bounds, seen) ->
            $"observation[{index}] stayed within {interval seen} of {interval bounds} in all random steps."
        | UnreachableActions(index, bound) ->
            $"action[{index}] ends at {number (float bound)}, and is not bounded on the other side. A new policy tries numbers within a few units of 0, and all of them are clipped to that bound."
        | ConstantRewards(reward, steps) ->
            $"Every reward of {steps} random steps was {number reward}, and all episodes had the same return."
        | NoEnd steps -> $"No episode has ended in {steps} steps."
        | TerminatedAlike(episodes, steps) -> $"All {episodes} episodes terminated after exactly {steps} steps."

    /// Returns advice on how to solve the problem.
    let remedy finding =
        match finding with
        | Broken(FailedEnvironment _) -> "Fix the error in the environment."
        | Broken _ -> "Find the source of that number: a division by zero, or a quantity that grows without limit."
        | ImproperSpace _ ->
            "Give it at least one dimension or alternative, and lower bounds that are not above the upper ones."
        | OutsideSpace _ ->
            "Widen the space to include all observations (bounds may be infinite), or fix the observation."
        | NotReproducible _ ->
            "Take all randomness from the key (in C#: from the seed of Reset), not from a clock or from a generator that outlives an episode. Let Reset restore the whole state."
        | ConstantObservations _ ->
            "Leave out numbers that never change. If they should change, check that Observe writes them, and whether random actions reach the states in which they do."
        | MixedScales _
        | UnusualScale _ ->
            "Set normaliseObservations, or divide each number by its usual size, so that it lies between about −3 and 3."
        | UnreachedBounds _ -> "Check its unit, or set bounds that it can reach; ±∞ stands for no bound."
        | UnreachableActions _ -> "Measure the action from that bound, or give it two bounds: it is then scaled."
        | ConstantRewards _ ->
            "Equal rewards cannot show which action is better. Reward progress towards the goal, or start some episodes near it; otherwise training depends on reaching by luck a goal that random play did not reach."
        | NoEnd _ -> "Give it a time limit (Environment.withTimeLimit, WithTimeLimit), which truncates episodes."
        | TerminatedAlike _ ->
            "If that is a time limit, report the end as truncated: terminated means that no reward would have followed. If the task itself ends there, this is right."
