/// The picture of a car on a hill, which two tasks share.
module internal FunTrpo.Environments.Hill

open FunTrpo

/// The height of the hill, up to a scale: its slope is that of the pull of gravity, cos 3x.
let height x = 0.45 * sin (3.0 * x) + 0.55

/// The hill between its ends, the flag at the goal, and the car at x.
let picture (left: float) (right: float) goal x =
    let count = 60
    let at i = left + (right - left) * float i / float count

    let ground =
        [ yield struct (left, -0.1)
          for i in 0..count do
              yield struct (at i, height (at i))
          yield struct (right, -0.1) ]

    let flag = height goal

    { Left = left - 0.05
      Right = right + 0.05
      Bottom = -0.1
      Top = 1.35
      Shapes =
        [ Shape.Polygon(ground, Colour.Muted)
          Shape.Line([ struct (goal, flag); (goal, flag + 0.25) ], 0.01, Colour.Ink)
          Shape.Polygon([ struct (goal, flag + 0.25); (goal, flag + 0.17); (goal + 0.1, flag + 0.21) ], Colour.Goal)
          Shape.Circle(struct (x, height x + 0.04), 0.045, Colour.Accent) ] }
