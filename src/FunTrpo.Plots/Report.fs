/// Charts of reports, for scripts and notebooks.
module FunTrpo.Plots.Report

open FunTrpo
open Plotly.NET

/// The chart of a training run: returns, trust region, gains, conjugate gradient, critic, entropy and speed, over environment steps. A notebook
/// shows it; `Charts` has each of them alone.
let chart (reports: Report seq) : GenericChart =
    let drawn = Charts.together (Charts.all (Progress.ofReports reports) [])
    drawn |> Chart.withSize (1100, 1600)

/// Opens the chart of a training run in the browser. The page needs no network.
let show reports = chart reports |> Chart.withDisplayOptionsStyle (PlotlyJSReference = Full) |> Chart.show
