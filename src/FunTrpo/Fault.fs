namespace FunTrpo

open System
open System.Globalization

/// An error as a value. Every stage of the pipeline that can fail returns one of these in an `Error`.
type Fault =
    /// A configuration field has a value that is not allowed: the field, the value as text, and the allowed values.
    | InvalidSetting of field: string * value: string * allowed: string
    /// An observation or a reward of an environment is NaN or infinite: which of the two ("observation" or "reward"), the environment's id,
    /// the index of the instance (messages call it "environment 3"), and the step of that instance.
    | NonFiniteEnvironment of what: string * environment: string * instance: int * step: int64
    /// An observation or a reward of an environment is finite, but too large for calculations in float32: which of the two, its value, and
    /// the environment, instance and step as above.
    | OversizedEnvironment of what: string * value: float * environment: string * instance: int * step: int64
    /// An observation of an environment was not a valid index of its observation space.
    | InvalidObservation of environment: string * instance: int * step: int64
    /// The mask in an observation of an environment had no legal alternative for a choice.
    | NoLegalAction of environment: string * instance: int * step: int64
    /// An environment threw an exception.
    | FailedEnvironment of error: exn * environment: string * instance: int * step: int64
    /// The policy returned an action distribution whose parameters are NaN or infinite, or it drew such an action.
    | NonFinitePolicy of environment: string * instance: int * step: int64
    /// A stage of an update produced a number that is NaN, infinite, or too large for float32: the stage, the id of the environment that
    /// training runs on, and the iteration.
    | NonFiniteStage of stage: string * environment: string * iteration: int
    /// An episode had not ended after the given number of steps, although it had to end.
    | EndlessEpisode of environment: string * steps: int64
    /// Two parts do not fit together: a sentence that says why.
    | Mismatch of what: string
    /// A file cannot be read: its name, and why.
    | Damaged of file: string * why: string
    /// A file cannot be written: its name, and why. If there was a file of this name, it is unchanged.
    | NotSaved of file: string * why: string
    /// A file was written, and has replaced the one of its name if there was one, but the disk did not confirm it: its name, and why. After
    /// a power cut, the earlier file may be there again.
    | NotConfirmed of file: string * why: string

module Fault =

    /// The text with control and formatting characters replaced by \uXXXX. Such characters can control a terminal or reverse the direction
    /// of the text after them, and names in messages may come from files of unknown origin.
    let printable (text: string) =
        let isUnsafe (c: char) =
            match Char.GetUnicodeCategory c with
            | UnicodeCategory.Control
            | UnicodeCategory.Format
            | UnicodeCategory.LineSeparator
            | UnicodeCategory.ParagraphSeparator -> true
            | _ -> false

        if Seq.exists isUnsafe text then
            text |> String.collect (fun c -> if isUnsafe c then $"\\u{int c:X4}" else string c)
        else
            text

    let private describe fault =
        match fault with
        | InvalidSetting(field, value, allowed) -> $"{field} = {value} is not allowed: {allowed}"
        | NonFiniteEnvironment("observation", environment, instance, step) ->
            $"{environment} gave a non-finite observation: NaN, or more than float32 holds, which ends at ±3.4E+38 (environment {instance}, step {step})"
        | NonFiniteEnvironment(what, environment, instance, step) ->
            $"{environment} gave a non-finite {what} (environment {instance}, step {step})"
        | OversizedEnvironment(what, value, environment, instance, step) ->
            let number = value.ToString("G4", CultureInfo.InvariantCulture)
            $"{environment} gave a number in its {what}, {number}, that is too large for float32, which ends at ±3.4E+38 (environment {instance}, step {step})"
        | InvalidObservation(environment, instance, step) ->
            $"{environment} gave an observation outside its space (environment {instance}, step {step})"
        | NoLegalAction(environment, instance, step) ->
            $"{environment} gave a mask without a legal action (environment {instance}, step {step}): an episode ends where none is left"
        | FailedEnvironment(error, environment, instance, step) ->
            $"{environment} failed (environment {instance}, step {step}): {error.Message}"
        | NonFinitePolicy(environment, instance, step) ->
            $"the policy gave a non-finite action distribution for {environment} (environment {instance}, step {step})"
        | NonFiniteStage(stage, environment, iteration) ->
            $"the {stage} became non-finite, or larger than float32 holds, in iteration {iteration} on {environment}"
        | EndlessEpisode(environment, steps) ->
            $"an episode of {environment} had no end after {steps} steps: give it a time limit"
        | Mismatch what -> what
        | Damaged(file, why) -> $"{file} cannot be used: {why}"
        | NotSaved(file, why) -> $"{file} could not be written: {why}"
        | NotConfirmed(file, why) ->
            $"{file} was written, but after a power cut the earlier file may be there again, because the disk did not confirm the new one ({why}). Save again, or elsewhere"

    /// A sentence that describes the fault to a user, made safe by `printable`. A `FailedEnvironment` keeps the line breaks of the
    /// exception's message.
    let message fault =
        match fault with
        | FailedEnvironment _ ->
            describe fault
            |> _.ReplaceLineEndings("\n").Split('\n')
            |> Array.map printable
            |> String.concat "\n"
        | _ -> describe fault |> printable
