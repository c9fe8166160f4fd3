namespace FunTrpo

open System
open System.Globalization

/// What can go wrong, as a value: every stage of the pipeline that can fail returns one of these as its `Error`.
type Fault =
    /// A configuration field, its value as it was given, and what would have been allowed.
    | InvalidSetting of field: string * value: string * allowed: string
    /// An environment produced a number that is NaN or infinite: what it was, which environment, at which of its steps.
    | NonFiniteEnvironment of what: string * environment: string * instance: int * step: int64
    /// An environment produced a finite number with which float32 cannot calculate: what and which it was, which environment, at which of
    /// its steps.
    | OversizedEnvironment of what: string * value: float * environment: string * instance: int * step: int64
    /// An environment's observation was not one of its space's indices: which environment, at which of its steps.
    | StrayObservation of environment: string * instance: int * step: int64
    /// An environment threw an exception: which environment, at which of its steps.
    | FailedEnvironment of error: exn * environment: string * instance: int * step: int64
    /// The policy gave an action distribution whose parameters are NaN or infinite.
    | NonFinitePolicy of environment: string * instance: int * step: int64
    /// A stage of the update produced a number that is NaN, infinite, or too large for float32: in training on which environment.
    | NonFiniteStage of stage: string * environment: string * iteration: int
    /// An episode that was still going on after so many steps, where one that ends was needed.
    | EndlessEpisode of environment: string * steps: int64
    /// Two parts that do not fit together, and why.
    | Mismatch of what: string
    /// A table that is not what it should be: which, and where it is wrong.
    | InvalidTable of table: string * why: string
    /// A guarantee of the theory that did not hold: of what, and by how much.
    | BrokenGuarantee of what: string * why: string
    /// A file that cannot be read as what it should be, and why.
    | Damaged of file: string * why: string

module Fault =

    /// The text with \uXXXX in place of characters that are not written but obeyed: those that control a terminal, or turn the direction
    /// of what follows. Names may come from files, and files from anywhere.
    let printable (text: string) =
        let isObeyed (c: char) =
            match Char.GetUnicodeCategory c with
            | UnicodeCategory.Control
            | UnicodeCategory.Format
            | UnicodeCategory.LineSeparator
            | UnicodeCategory.ParagraphSeparator -> true
            | _ -> false

        if Seq.exists isObeyed text then
            text |> String.collect (fun c -> if isObeyed c then $"\\u{int c:X4}" else string c)
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
        | StrayObservation(environment, instance, step) ->
            $"{environment} gave an observation outside its space (environment {instance}, step {step})"
        | FailedEnvironment(error, environment, instance, step) ->
            $"{environment} failed (environment {instance}, step {step}): {error.Message}"
        | NonFinitePolicy(environment, instance, step) ->
            $"the policy gave a non-finite action distribution for {environment} (environment {instance}, step {step})"
        | NonFiniteStage(stage, environment, iteration) ->
            $"the {stage} became non-finite, or larger than float32 holds, in iteration {iteration} on {environment}"
        | EndlessEpisode(environment, steps) ->
            $"an episode of {environment} had no end after {steps} steps: give it a time limit"
        | Mismatch what -> what
        | InvalidTable(table, why) -> $"{table} is not allowed: {why}"
        | BrokenGuarantee(what, why) -> $"a guarantee was broken for {what}: {why}"
        | Damaged(file, why) -> $"{file} cannot be used: {why}"

    /// One sentence for a person, `printable`; what an environment's own error says keeps its lines.
    let message fault =
        match fault with
        | FailedEnvironment _ ->
            describe fault
            |> _.ReplaceLineEndings("\n").Split('\n')
            |> Array.map printable
            |> String.concat "\n"
        | _ -> describe fault |> printable

/// result { … }: steps that each give a result, the first error of which is that of the whole.
type ResultBuilder() =
    member _.Bind(result, next) = Result.bind next result
    member _.Return value = Ok value
    member _.ReturnFrom(result: Result<'T, 'Error>) = result
    member _.Zero() = Ok()
    member _.Delay(rest: unit -> Result<'T, 'Error>) = rest
    member _.Run(all: unit -> Result<'T, 'Error>) = all ()
    member _.Combine(first, rest: unit -> Result<'T, 'Error>) = Result.bind rest first

    member _.For(items: seq<'Item>, body: 'Item -> Result<unit, 'Error>) =
        let failed = items |> Seq.map body |> Seq.tryFind Result.isError
        defaultArg failed (Ok())

[<AutoOpen>]
module ResultExpression =
    let result = ResultBuilder()
