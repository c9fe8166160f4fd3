/// How the games of MinAtar are drawn: a square for each cell, row 0 at the top.
module internal FunTrpo.Environments.MinAtar.Board

open FunTrpo

let private square colour struct (row, column) =
    let bottom = float (Cells.side - 1 - row)
    let gap = 0.05

    Picture.rectangle (float column + gap) (bottom + gap) (float column + 1.0 - gap) (bottom + 1.0 - gap) colour

/// A picture of sets of cells, each with its colour. Later ones cover earlier ones.
let picture (layers: (Cells * Colour) list) =
    let side = float Cells.side

    { Left = 0.0
      Right = side
      Bottom = 0.0
      Top = side
      Shapes =
        Picture.rectangle 0.0 0.0 side side Colour.Muted
        :: [ for cells, colour in layers do
                 yield! Cells.toList cells |> List.map (square colour) ] }
