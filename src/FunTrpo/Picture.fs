namespace FunTrpo

/// The colour of a shape by its role, so that a page can show it on a light and on a dark ground.
type Colour =
    /// Text and outlines.
    | Ink = 0
    /// What is not the subject: the ground, a track, the cells of a grid.
    | Muted = 1
    /// The body that moves.
    | Body = 2
    /// The part that the task is about.
    | Accent = 3
    /// A goal.
    | Goal = 4
    /// A danger.
    | Danger = 5

/// A shape in the coordinates of a picture: x grows to the right and y upwards. Widths and radii have the same unit.
[<RequireQualifiedAccess>]
type Shape =
    /// A line through the points.
    | Line of points: struct (float * float) list * width: float * Colour
    /// A filled circle.
    | Circle of centre: struct (float * float) * radius: float * Colour
    /// A filled polygon.
    | Polygon of corners: struct (float * float) list * Colour
    /// A text, centred at a point, with letters of this height.
    | Text of centre: struct (float * float) * height: float * text: string * Colour

/// A drawing of a state: the part of the plane that is seen, and the shapes in it, of which later ones cover earlier ones.
type Picture = { Left: float; Right: float; Bottom: float; Top: float; Shapes: Shape list }

/// An environment that can draw its states. It is optional: pages then show the policy playing. The picture's frame should be the same for all
/// states of an episode.
type PicturedEnvironment<'State> =

    /// The picture of a state, or none if this state cannot be drawn.
    abstract Picture: state: 'State -> Picture option

module Picture =

    /// The picture of a state, if the environment can draw it.
    let ofState (environment: obj) (state: 'State) =
        match environment with
        | :? PicturedEnvironment<'State> as pictured -> pictured.Picture state
        | _ -> None

    /// A rectangle between two opposite corners.
    let rectangle left bottom right top colour =
        Shape.Polygon([ struct (left, bottom); (right, bottom); (right, top); (left, top) ], colour)
