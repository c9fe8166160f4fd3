namespace FunTrpo

open FunTrpo.Kernels

/// A window of `Height` × `Width` pixels that moves over a picture by `Stride` pixels at a time, down and to the right. Pixels that no whole
/// window covers are left out.
[<Struct>]
type Window = { Height: int; Width: int; Stride: int }

module Window =

    /// The window as text: 3x3 stride 1.
    let print window = $"{string window.Height}x{string window.Width} stride {string window.Stride}"

    /// The shape of a picture with a pixel for each place of the window and this many channels; or why there is none.
    let outputShape channels window (input: ArrayShape) : Result<ArrayShape, string> =
        match input with
        | _ when List.min [ window.Height; window.Width; window.Stride ] < 1 ->
            Error $"the sides and the stride of its window must be at least 1, and are {print window}"
        | [ height; width; _ ] when window.Height <= height && window.Width <= width ->
            Ok
                [ (height - window.Height) / window.Stride + 1
                  (width - window.Width) / window.Stride + 1
                  channels ]
        | [ _; _; _ ] ->
            Error
                $"its window is larger than its input, a picture of {ArrayShape.describe input} (height × width × channels)"
        | _ -> Error $"it needs a picture (height × width × channels), and its input is {ArrayShape.describe input}"

    /// The patches of a picture under the window. Throws an `ArgumentException` if the shape is not that of a picture, or a picture too
    /// small for the window.
    let internal patches window (input: ArrayShape) =
        match input, outputShape 1 window input with
        | [ height; width; channels ], Ok _ ->
            Patches(height, width, channels, window.Height, window.Width, window.Stride)
        | _, Error why -> invalidArg (nameof input) why
        | _, Ok _ -> invalidArg (nameof input) "it is not a picture"
