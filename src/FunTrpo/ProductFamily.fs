namespace FunTrpo

open System
open FunTrpo.Kernels

/// A family of distributions of a part of an action, with the numbers of its parameters that a network computes and that are state-independent.
/// Those that a network computes come first.
[<Struct; NoComparison; NoEquality>]
type PartFamily = { Family: Family; Outputs: int; StateIndependent: int }

/// The family of actions that consist of independent parts. Log-probabilities, entropies and KL of the parts add up, and the metric is
/// block-diagonal.
module ProductFamily =

    /// Where the numbers of a part lie in a row of parameters and in an action.
    [<Struct; NoComparison; NoEquality>]
    type private Place =
        { Part: PartFamily
          FirstOutput: int
          FirstStateIndependent: int
          FirstInAction: int }

        member this.Width = this.Part.Outputs + this.Part.StateIndependent

        /// Copies the part's columns of rows that are `stride` numbers apart to rows of its own, which are `Width` apart.
        member this.Gather(rows, stride, source: ReadOnlySpan<float32>, target: Span<float32>) =
            for row in 0 .. rows - 1 do
                let ofRow = source.Slice(row * stride)
                let own = target.Slice(row * this.Width, this.Width)
                ofRow.Slice(this.FirstOutput, this.Part.Outputs).CopyTo own
                ofRow.Slice(this.FirstStateIndependent, this.Part.StateIndependent).CopyTo(own.Slice this.Part.Outputs)

        /// The reverse of `Gather`.
        member this.Scatter(rows, stride, source: ReadOnlySpan<float32>, target: Span<float32>) =
            for row in 0 .. rows - 1 do
                let ofRow = target.Slice(row * stride)
                let own = source.Slice(row * this.Width, this.Width)
                own.Slice(0, this.Part.Outputs).CopyTo(ofRow.Slice this.FirstOutput)
                own.Slice(this.Part.Outputs).CopyTo(ofRow.Slice this.FirstStateIndependent)

        /// The part's columns of one row, in a buffer.
        member this.OfRow(row: ReadOnlySpan<float32>) =
            let own = PooledBuffer.Rent this.Width
            this.Gather(1, row.Length, row, own.Span)
            own

        member this.OfAction(action: ReadOnlySpan<float32>) =
            action.Slice(this.FirstInAction, this.Part.Family.ActionWidth)

    let private placesOf (parts: PartFamily list) =
        let firsts lengths = List.scan Checked.(+) 0 lengths
        let outputs = parts |> List.map _.Outputs |> firsts
        let stateIndependent = parts |> List.map _.StateIndependent |> firsts
        let actions = parts |> List.map _.Family.ActionWidth |> firsts

        parts
        |> List.mapi (fun i part ->
            { Part = part
              FirstOutput = outputs[i]
              FirstStateIndependent = List.last outputs + stateIndependent[i]
              FirstInAction = actions[i] })
        |> Array.ofList

    let private metric (places: Place[]) =
        { new Metric with
            member _.Factors(rows, stride, parameters, factors) =
                for place in places do
                    use own = PooledBuffer.Rent(rows, place.Width)
                    use ownFactors = PooledBuffer.RentZeros(rows, place.Width)
                    place.Gather(rows, stride, parameters, own.Span)
                    place.Part.Family.Metric.Factors(rows, place.Width, Span.op_Implicit own.Span, ownFactors.Span)
                    place.Scatter(rows, stride, Span.op_Implicit ownFactors.Span, factors)

            member _.Apply(rows, stride, factors, u) =
                for place in places do
                    use own = PooledBuffer.Rent(rows, place.Width)
                    use ownFactors = PooledBuffer.Rent(rows, place.Width)
                    place.Gather(rows, stride, Span.op_Implicit u, own.Span)
                    place.Gather(rows, stride, factors, ownFactors.Span)
                    place.Part.Family.Metric.Apply(rows, place.Width, Span.op_Implicit ownFactors.Span, own.Span)
                    place.Scatter(rows, stride, Span.op_Implicit own.Span, u) }

    /// The parameters of each part, of a row of parameters of all.
    let internal split (parameters: float32[]) parts =
        [ for place in placesOf parts do
              let own = Array.zeroCreate<float32> place.Width
              place.Gather(1, parameters.Length, ReadOnlySpan parameters, own.AsSpan())
              own ]

    /// Independent parts, one after the other in an action. A row of parameters holds all that a network computes, part after part, and
    /// then all that is state-independent. Each part draws with a key of its own.
    let create (parts: PartFamily list) =
        let places = placesOf parts

        { new Family with
            member _.ParameterWidth = places |> Array.sumBy _.Width
            member _.ActionWidth = places |> Array.sumBy _.Part.Family.ActionWidth

            member _.Sample(parameters, key, action) =
                for i in 0 .. places.Length - 1 do
                    let place = places[i]
                    use own = place.OfRow parameters
                    let drawn = action.Slice(place.FirstInAction, place.Part.Family.ActionWidth)
                    place.Part.Family.Sample(Span.op_Implicit own.Span, Key.at (int64 i) key, drawn)

            member _.Mode(parameters, action) =
                for place in places do
                    use own = place.OfRow parameters
                    let mode = action.Slice(place.FirstInAction, place.Part.Family.ActionWidth)
                    place.Part.Family.Mode(Span.op_Implicit own.Span, mode)

            member _.LogProbability(parameters, action) =
                let mutable sum = 0.0

                for place in places do
                    use own = place.OfRow parameters
                    sum <- sum + place.Part.Family.LogProbability(Span.op_Implicit own.Span, place.OfAction action)

                sum

            member _.Score(parameters, action, score) =
                for place in places do
                    use own = place.OfRow parameters
                    use ownScore = PooledBuffer.Rent place.Width
                    place.Part.Family.Score(Span.op_Implicit own.Span, place.OfAction action, ownScore.Span)
                    place.Scatter(1, score.Length, Span.op_Implicit ownScore.Span, score)

            member _.Entropy parameters =
                let mutable sum = 0.0

                for place in places do
                    use own = place.OfRow parameters
                    sum <- sum + place.Part.Family.Entropy(Span.op_Implicit own.Span)

                sum

            member _.EntropyGradient(parameters, gradient) =
                for place in places do
                    use own = place.OfRow parameters
                    use ownGradient = PooledBuffer.Rent place.Width
                    place.Part.Family.EntropyGradient(Span.op_Implicit own.Span, ownGradient.Span)
                    place.Scatter(1, gradient.Length, Span.op_Implicit ownGradient.Span, gradient)

            member _.Kl(oldParameters, newParameters) =
                let mutable sum = 0.0

                for place in places do
                    use before = place.OfRow oldParameters
                    use after = place.OfRow newParameters
                    sum <- sum + place.Part.Family.Kl(Span.op_Implicit before.Span, Span.op_Implicit after.Span)

                sum

            member _.Metric = metric places }
