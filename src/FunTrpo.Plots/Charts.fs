namespace FunTrpo.Plots

open System
open System.Globalization
open Plotly.NET

/// A chart of a run, with the words that belong to it.
type ReportChart internal (title: string, good: string, reading: string, summary: string, panels: Panel list) =
    member _.Title = title

    /// What it looks like in a good run.
    member _.Good = good

    /// What is drawn.
    member _.Reading = reading

    /// The main numbers as a sentence, for readers who do not see the chart.
    member _.Summary = summary

    member internal _.Panels = panels

    /// The chart without its title.
    member _.Draw() : GenericChart = Figure.stacked panels

    /// The chart as a figure of plotly.js, which has data and a layout, in JSON.
    member internal this.FigureJson() = GenericChart.toFigureJson (this.Draw())

/// The charts of a run.
module Charts =

    let private steps progress = Progress.numbers "steps" progress
    let private over name progress = steps progress, Progress.numbers name progress

    /// The first and the last number, and the extremes, as a sentence.
    let private summary what (numbers: float[]) =
        let text (number: float) = number.ToString("G4", CultureInfo.InvariantCulture)

        match Array.filter Double.IsFinite numbers with
        | [||] -> $"{what}: no values."
        | finite ->
            $"{what}: {text finite[0]} at first, {text (Array.last finite)} at last, between {text (Array.min finite)} and {text (Array.max finite)}."

    /// The mean return, and the middle half of the returns of the episodes of each iteration.
    let returns progress =
        let xs, low = over "batchReturnLow" progress

        ReportChart(
            "Return",
            "Good: it rises and then stays.",
            "The returns of the episodes that ended in an iteration: their mean and their middle half. The thick line is the mean of the last 100 episodes.",
            summary "Mean return of the last 100 episodes" (Progress.numbers "meanReturn" progress),
            [ Panel.overSteps
                  "return"
                  (Panel.band Palette.accent "middle half" (xs, low, Progress.numbers "batchReturnHigh" progress)
                   @ [ Panel.thinLine Palette.grey "iteration" (over "batchReturn" progress)
                       Panel.line Palette.accent "last 100" (over "meanReturn" progress) ]) ]
        )

    /// The evaluations during training.
    let evaluations (points: EvaluationPoint seq) =
        let points = Array.ofSeq points
        let xs = points |> Array.map (fun point -> float point.Steps)
        let means = points |> Array.map _.Mean

        ReportChart(
            "Evaluations",
            "Good: it rises, and the most probable actions do at least as well as drawn ones.",
            "The area is one standard deviation to each side.",
            summary "Mean return of the most probable actions" means,
            [ Panel.overSteps
                  "return"
                  (Panel.band
                      Palette.accent
                      "± 1 deviation"
                      (xs,
                       points |> Array.map (fun point -> point.Mean - point.Std),
                       points |> Array.map (fun point -> point.Mean + point.Std))
                   @ [ Panel.dashedLine Palette.grey "drawn" (xs, points |> Array.map _.SampledMean)
                       Panel.line Palette.accent "most probable" (xs, means) ]) ]
        )

    /// The KL of the steps against the radius of the trust region, if there is one, and the steps that were refused. Fixed steps and PPO have
    /// no trust region.
    let trustRegion progress =
        let radii = Progress.numbers "delta" progress
        let isUnlimited = radii.Length > 0 && Array.forall Double.IsNaN radii
        let outcomes = Progress.texts "outcome" progress
        let refused = outcomes |> Array.map (fun outcome -> if outcome = "moved" then nan else 0.0)
        let count = outcomes |> Array.filter ((<>) "moved") |> Array.length

        let kl =
            Panel.overSteps
                "KL in nats"
                [ Panel.line Palette.accent "mean KL" (over "meanKl" progress)
                  if not isUnlimited then
                      Panel.dashedLine Palette.grey "δ" (over "delta" progress)
                  Panel.points Palette.danger StyleParam.MarkerSymbol.X 7 "refused" (steps progress, refused) ]

        ReportChart(
            (if isUnlimited then "KL of the steps" else "Trust region"),
            (if isUnlimited then
                 "Good: the mean KL is small and even. There is no trust region that limits it."
             else
                 "Good: the mean KL is a little below δ, and hardly any step is refused."),
            "A refused step leaves the policy as it was.",
            summary "Mean KL of the steps in nats" (Progress.numbers "meanKl" progress)
            + $" {count} of {outcomes.Length} steps were refused.",
            [ { kl with Scale = Scale.FromZero } ]
        )

    /// The change of the batch's mean return from each row to the next; NaN where one of the two is missing. The last row has none.
    let internal realisedGains progress =
        Progress.numbers "batchReturn" progress
        |> Array.pairwise
        |> Array.map (fun (before, after) -> after - before)

    /// The gain of each step according to the surrogate, against the change of the mean return.
    let gain progress =
        let realised = realisedGains progress
        let predicted = Progress.numbers "surrogateGain" progress |> Array.truncate realised.Length

        let known =
            Array.zip predicted realised |> Array.filter (fun (a, b) -> Double.IsFinite a && Double.IsFinite b)

        let better = known |> Array.filter (fun (_, change) -> change > 0.0) |> Array.length

        let apart =
            if progress.Every = 1 then
                "the next iteration"
            else
                $"the iteration {progress.Every} later, the next one shown"

        ReportChart(
            "Predicted and realised gain",
            "Good: most points lie above 0.",
            $"A point is a step; later ones are darker. Across: the gain of the surrogate, in its own unit. Upward: the change of the mean return from the episodes that ended in its iteration to those of {apart}.",
            $"The return rose after {better} of {known.Length} steps.",
            [ { XTitle = "predicted gain of the surrogate"
                YTitle = "change of the mean return"
                Scale = Scale.Linear
                Traces = [ Panel.fadingPoints "a step" (predicted, realised) ] } ]
        )

    /// What the steps gain on held-out rows, and their certificates.
    let certificate progress =
        let certificates = Progress.numbers "certificate" progress
        let promised = certificates |> Array.filter (fun certificate -> certificate > 0.0) |> Array.length

        ReportChart(
            "Certificate",
            "Good: the lower bound of the gain is above 0 in many iterations.",
            "The gain of the surrogate on held-out rows, which the step has not seen, and its 95 % lower confidence bound. The certificate subtracts a penalty for the total variation from this bound, and is below 0 for nearly every practical step.",
            summary "Certificate" certificates + $" {promised} of {certificates.Length} are above 0.",
            [ Panel.overSteps
                  "gain"
                  [ Panel.dashedLine Palette.grey "lower bound" (over "heldOutGainLow" progress)
                    Panel.line Palette.accent "on held-out rows" (over "heldOutGain" progress) ]
              Panel.overSteps "certificate" [ Panel.line Palette.accent "certificate" (over "certificate" progress) ] ]
        )

    /// The iterations and the last residual of conjugate gradient.
    let conjugateGradient progress =
        let residual =
            Panel.overSteps
                "relative residual"
                [ Panel.line Palette.accent "relative residual" (over "cgResidual" progress) ]

        let iterations =
            Panel.overSteps "iterations" [ Panel.thinLine Palette.grey "iterations" (over "cgIterations" progress) ]

        ReportChart(
            "Conjugate gradient",
            "Good: a residual well below 1.",
            "A larger one makes the direction less exact, not wrong. Fewer iterations than the limit mean that it converged.",
            summary "Relative residual" (Progress.numbers "cgResidual" progress),
            [ { residual with Scale = Scale.Logarithmic }; { iterations with Scale = Scale.FromZero } ]
        )

    /// How well the critic predicts the returns.
    let critic progress =
        let explained = Progress.numbers "explainedVariance" progress

        let variance =
            Panel.overSteps
                "explained variance"
                [ Panel.line Palette.accent "explained variance" (steps progress, explained) ]

        // One bad iteration at the start would hide all others.
        let scale =
            if Array.exists (fun share -> share < -1.0) explained then
                Scale.Within(-1.0, 1.05)
            else
                Scale.Linear

        ReportChart(
            "Critic",
            "Good: the explained variance is near 1, and each fit reduces the error.",
            "At 0 the critic is no better than the mean of the returns. The error is in the unit of the reward.",
            summary "Explained variance" explained,
            [ { variance with Scale = scale }
              Panel.overSteps
                  "error"
                  [ Panel.dashedLine Palette.grey "error before" (over "criticErrorBefore" progress)
                    Panel.thinLine Palette.accent "error after" (over "criticErrorAfter" progress) ] ]
        )

    /// The entropy of the policy.
    let entropy progress =
        ReportChart(
            "Entropy",
            "Good: it falls slowly while the return rises.",
            "After a sudden fall the policy explores no more. Of continuous actions it can be negative.",
            summary "Mean entropy in nats" (Progress.numbers "entropy" progress),
            [ Panel.overSteps "nats" [ Panel.line Palette.accent "mean entropy" (over "entropy" progress) ] ]
        )

    /// DDPG's critic: its loss, and its values of the policy's own actions.
    let actionValues progress =
        let loss = Panel.overSteps "loss" [ Panel.thinLine Palette.grey "loss" (over "criticLoss" progress) ]

        ReportChart(
            "Q",
            "Good: the mean of Q follows the returns, and does not run away from them.",
            "The mean of Q at the policy's own actions is an estimate of discounted returns, in the unit of scaled rewards. The loss is the mean squared error of Q against its targets.",
            summary "Mean of Q" (Progress.numbers "meanQ" progress),
            [ Panel.overSteps "Q" [ Panel.line Palette.accent "mean of Q" (over "meanQ" progress) ]
              { loss with Scale = Scale.Logarithmic } ]
        )

    /// The norm of the deterministic policy gradient.
    let policyGradient progress =
        let norm =
            Panel.overSteps
                "norm"
                [ Panel.line Palette.accent "norm of the gradient" (over "actorGradientNorm" progress) ]

        ReportChart(
            "Policy gradient",
            "Good: it is not 0. At 0 the policy learns no more, often because its actions are at the edge of their box.",
            "The mean norm of the deterministic policy gradient over the updates of an iteration.",
            summary "Norm of the gradient" (Progress.numbers "actorGradientNorm" progress),
            [ { norm with Scale = Scale.FromZero } ]
        )

    /// The noise with which DDPG explores.
    let noise progress =
        let deviation =
            Panel.overSteps "deviation" [ Panel.line Palette.accent "noise" (over "noise" progress) ]

        ReportChart(
            "Noise",
            "Good: enough to find better actions, and less of it at the end.",
            "The standard deviation of the noise of actions, in half-widths of their box.",
            summary "Noise" (Progress.numbers "noise" progress),
            [ { deviation with Scale = Scale.FromZero } ]
        )

    /// Environment steps per second, and the time of each stage.
    let speed progress =
        let iteration = Panel.thinLine Palette.faint "iteration" (over "seconds" progress)

        let reading, stages =
            match progress.Algorithm with
            | RunAlgorithm.OnPolicy ->
                "The policy's improvement and the critic's fit may run at the same time, so the stages can add up to more than the iteration.",
                [ Panel.thinLine Palette.accent "rollout" (over "rolloutSeconds" progress)
                  Panel.dashedLine Palette.grey "policy" (over "policySeconds" progress)
                  Panel.dottedLine Palette.grey "critic" (over "criticSeconds" progress) ]
            | RunAlgorithm.Ddpg -> "An iteration before the first update is faster than the others.", []

        ReportChart(
            "Speed",
            "Good: it is constant.",
            reading,
            summary "Environment steps per second" (Progress.numbers "stepsPerSecond" progress),
            [ Panel.overSteps
                  "steps/s"
                  [ Panel.line Palette.accent "steps per second" (over "stepsPerSecond" progress) ]
              { Panel.overSteps "seconds" (iteration :: stages) with Scale = Scale.Logarithmic } ]
        )

    let private onPolicy progress (points: EvaluationPoint list) =
        [ returns progress
          if not points.IsEmpty then
              evaluations points
          trustRegion progress
          gain progress
          if Progress.numbers "heldOutGain" progress |> Array.exists Double.IsFinite then
              certificate progress
          conjugateGradient progress
          critic progress
          entropy progress
          speed progress ]

    /// All charts, in the order in which they are shown. That of the evaluations is left out if there are none, and that of the certificates if
    /// no rows are held out. Runs of DDPG have no evaluations.
    let all progress points =
        match progress.Algorithm with
        | RunAlgorithm.OnPolicy -> onPolicy progress points
        | RunAlgorithm.Ddpg ->
            [ returns progress; actionValues progress; policyGradient progress; noise progress; speed progress ]

    /// All of them as one chart, in two columns.
    let internal together (charts: ReportChart list) =
        [ for chart in charts do
              for panel in chart.Panels -> chart.Title, panel ]
        |> Figure.grid 2
