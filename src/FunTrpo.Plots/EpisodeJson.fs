/// A recorded episode as compact JSON, which player.js draws. A shape is an array of numbers, or 0 where it is that of the frame before at the
/// same place: what does not move is written once.
module internal FunTrpo.Plots.EpisodeJson

open System
open System.Text.Json
open FunTrpo

/// The number of frames of an animation at most; of longer episodes every n-th frame is kept, and the last one.
let mostFrames = 1000

/// Whether each state of the episode has a picture.
let isDrawn (recording: Recording) =
    recording.Rewards.Length > 0 && recording.Pictures.Length = recording.Rewards.Length + 1

/// The steps whose frames are kept, of an episode of this many.
let private keptSteps count =
    let every = max 1 ((count + mostFrames - 2) / (mostFrames - 1))
    [| yield! [| 0..every .. count - 1 |]; count |]

/// The decimals to which coordinates are rounded: at most a two-thousandth of the frame, less than a pixel.
let private decimalsOf picture =
    let size = max (picture.Right - picture.Left) (picture.Top - picture.Bottom)

    if Double.IsFinite size && size > 0.0 then Math.Clamp(3 - int (floor (log10 size)), 0, 15) else 3

let private flat (points: struct (float * float) list) = points |> List.collect (fun (struct (x, y)) -> [ x; y ])

/// The kind, the colour and the numbers of a shape, and its text.
let private parts shape =
    match shape with
    | Shape.Line(points, width, colour) -> 0, colour, width :: flat points, None
    | Shape.Circle(struct (x, y), radius, colour) -> 1, colour, [ x; y; radius ], None
    | Shape.Polygon(corners, colour) -> 2, colour, flat corners, None
    | Shape.Text(struct (x, y), height, text, colour) -> 3, colour, [ x; y; height ], Some text

let private writeShape (writer: Utf8JsonWriter) (decimals: int) shape =
    let kind, colour, numbers, text = parts shape
    writer.WriteStartArray()
    writer.WriteNumberValue kind
    writer.WriteNumberValue(int colour)

    for number in numbers do
        writer.WriteNumberValue(Math.Round(number, decimals))

    text |> Option.iter writer.WriteStringValue
    writer.WriteEndArray()

/// A shape that has a place.
let private isFinite shape =
    let _, _, numbers, _ = parts shape
    List.forall Double.IsFinite numbers

let private writeFrames (writer: Utf8JsonWriter) decimals (pictures: Picture[]) =
    let shapes =
        pictures |> Array.map (fun picture -> picture.Shapes |> List.filter isFinite |> Array.ofList)

    writer.WriteStartArray "frames"

    for frame in 0 .. shapes.Length - 1 do
        writer.WriteStartArray()
        let before = if frame = 0 then [||] else shapes[frame - 1]

        for index, shape in Array.indexed shapes[frame] do
            if index < before.Length && before[index] = shape then
                writer.WriteNumberValue 0
            else
                writeShape writer decimals shape

        writer.WriteEndArray()

    writer.WriteEndArray()

let private writeNumbers (writer: Utf8JsonWriter) (name: string) (numbers: float seq) =
    writer.WriteStartArray name

    for number in numbers do
        writer.WriteNumberValue number

    writer.WriteEndArray()

/// Writes the episode as an object. Every state must have a picture (`isDrawn`).
let write (writer: Utf8JsonWriter) (recording: Recording) =
    let steps = keptSteps recording.Rewards.Length
    let pictures = steps |> Array.map (fun step -> recording.Pictures[step])
    let first = pictures[0]
    let returns = recording.Rewards |> Seq.scan (+) 0.0 |> Array.ofSeq
    writer.WriteStartObject()
    writeNumbers writer "bounds" [ first.Left; first.Right; first.Bottom; first.Top ]
    writeNumbers writer "steps" (steps |> Seq.map float)

    steps
    |> Seq.map (fun step -> if step = 0 then 0.0 else Panel.rounded recording.Rewards[step - 1])
    |> writeNumbers writer "rewards"

    steps |> Seq.map (fun step -> Panel.rounded returns[step]) |> writeNumbers writer "returns"
    writeFrames writer (decimalsOf first) pictures
    writer.WriteEndObject()
