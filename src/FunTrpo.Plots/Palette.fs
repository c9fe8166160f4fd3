/// The colours of the charts on a light ground. The report page replaces each by the variable of its style sheet that has the same role, which
/// has another value on a dark ground.
module internal FunTrpo.Plots.Palette

open Plotly.NET

let ground = "#ffffff"
let text = "#4b5563"
let grid = "#e5e7eb"

/// The one colour that draws the eye.
let accent = "#1d6fb8"

/// What is compared with the accent.
let grey = "#818993"

/// What lies behind.
let faint = "#c9ced6"

let danger = "#c8452e"

/// The colours of groups that are compared with each other.
let series =
    [ "series-1", "#1b6ab0"
      "series-2", "#b65a00"
      "series-3", "#1f7f5c"
      "series-4", "#7b4fb5"
      "series-5", "#c23b5a"
      "series-6", "#0f7d94"
      "series-7", "#7a6a00"
      "series-8", "#6b5b53" ]

/// The colours by their roles, which are the names of the variables in the style sheet of the page.
let roles =
    [ "ground", ground
      "text", text
      "grid", grid
      "accent", accent
      "grey", grey
      "faint", faint
      "danger", danger
      yield! series ]

let colour (code: string) = Color.fromString code

/// The colour with little opacity, for areas.
let tint (code: string) = Color.fromString (code + "2e")
