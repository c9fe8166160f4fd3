/// A simulation as a picture: its geoms as lines, circles and polygons, from the side or from above.
module internal FunTrpo.MuJoCo.PhysicsPicture

open System
open FunTrpo
open FunTrpo.MuJoCo.Engine

/// Where a point of the world is in the picture: two of its coordinates.
type private Projection = { Across: int; Up: int; OriginX: float; OriginY: float }

let private place projection (x: float) (y: float) (z: float) =
    let coordinate axis = [| x; y; z |][axis]
    struct (coordinate projection.Across - projection.OriginX, coordinate projection.Up - projection.OriginY)

/// The point of the picture of a point in the frame of a geom.
let private placeIn projection (simulation: Simulation) geom (x: float) (y: float) (z: float) =
    let position = simulation.GeomXpos.Slice(3 * geom, 3)
    let matrix = simulation.GeomXmat.Slice(9 * geom, 9)

    place
        projection
        (position[0] + matrix[0] * x + matrix[1] * y + matrix[2] * z)
        (position[1] + matrix[3] * x + matrix[4] * y + matrix[5] * z)
        (position[2] + matrix[6] * x + matrix[7] * y + matrix[8] * z)

/// The corners of the convex hull of points, counterclockwise (Andrew 1979).
let private hull (points: struct (float * float) list) =
    let isLeftTurn (struct (ax, ay)) (struct (bx, by)) (struct (cx, cy)) =
        (bx - ax) * (cy - ay) - (by - ay) * (cx - ax) > 0.0

    let rec extend chain point =
        match chain with
        | second :: first :: rest when not (isLeftTurn first second point) -> extend (first :: rest) point
        | _ -> point :: chain

    let chain points = points |> List.fold extend [] |> List.tail |> List.rev
    let sorted = List.sort points
    chain sorted @ chain (List.rev sorted)

let private colourOf (simulation: Simulation) geom =
    let body = simulation.Model.GeomBodyId[geom]

    if body = 0 then Colour.Muted
    elif simulation.Model.BodyParentId[body] = 0 then Colour.Accent
    else Colour.Body

/// The shape of a geom; none for planes, which are drawn as the ground, and for kinds that have no outline here.
let private shapeOf projection (simulation: Simulation) geom =
    let size = simulation.Model.GeomSize.Slice(3 * geom, 3)
    let radius, half, depth = size[0], size[1], size[2]
    let at = placeIn projection simulation geom
    let colour = colourOf simulation geom

    match simulation.Model.GeomType[geom] with
    | 2 -> Some(Shape.Circle(at 0.0 0.0 0.0, radius, colour))
    | 3
    | 5 -> Some(Shape.Line([ at 0.0 0.0 -half; at 0.0 0.0 half ], 2.0 * radius, colour))
    | 4 -> Some(Shape.Circle(at 0.0 0.0 0.0, (radius + half + depth) / 3.0, colour))
    | 6 ->
        let corners =
            [ for x in [ -radius; radius ] do
                  for y in [ -half; half ] do
                      for z in [ -depth; depth ] do
                          at x y z ]

        Some(Shape.Polygon(hull corners, colour))
    | _ -> None

/// The ground at height 0 from the side, with a mark at each metre, which shows how the picture moves.
let private ground projection left right =
    let marks =
        [ for metre in ceil (left + projection.OriginX) .. floor (right + projection.OriginX) do
              let x = metre - projection.OriginX
              Shape.Line([ struct (x, -0.12); (x, -0.04) ], 0.02, Colour.Muted) ]

    Shape.Line([ struct (left, -0.02); (right, -0.02) ], 0.04, Colour.Muted) :: marks

let private geoms projection (simulation: Simulation) =
    [ 0 .. simulation.Model.Ngeom - 1 ] |> List.choose (shapeOf projection simulation)

let private coordinate (simulation: Simulation) axis body = simulation.Xpos[3 * simulation.Model.Body body + axis]

/// The picture of a simulation, whose `Forward` has been called. The frame is the same for all states.
let ofSimulation view (simulation: Simulation) =
    match view with
    | FromTheSide body ->
        let x = body |> Option.map (coordinate simulation 0) |> Option.defaultValue 0.0
        let projection = { Across = 0; Up = 2; OriginX = x; OriginY = 0.0 }
        let left, right = -2.0, 2.0

        { Left = left
          Right = right
          Bottom = -0.3
          Top = 2.0
          Shapes = ground projection left right @ geoms projection simulation }
    | FromAbove(halfWidth, body) ->
        let origin axis = body |> Option.map (coordinate simulation axis) |> Option.defaultValue 0.0
        let projection = { Across = 0; Up = 1; OriginX = origin 0; OriginY = origin 1 }

        { Left = -halfWidth
          Right = halfWidth
          Bottom = -halfWidth
          Top = halfWidth
          Shapes = geoms projection simulation }
