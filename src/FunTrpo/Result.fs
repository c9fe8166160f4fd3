namespace FunTrpo

/// The builder of `result { … }`, which chains steps that each return a `Result`. The first error ends the chain and is its result.
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

/// Functions of results beside those of FSharp.Core.
module Result =

    /// The values if all are right, and otherwise the first error.
    let all (results: Result<'T, 'Error> list) =
        (results, Ok [])
        ||> List.foldBack (fun one soFar ->
            match one, soFar with
            | Ok value, Ok values -> Ok(value :: values)
            | Error error, _
            | _, Error error -> Error error)
