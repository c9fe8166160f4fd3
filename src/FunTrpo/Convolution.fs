namespace FunTrpo

open FunTrpo.Kernels

/// Layers for pictures: y = f(P W + b) for each patch P of the picture under a window. W has a column for each filter. The output is a
/// picture whose channels are the filters.
///
/// Pictures have the shape height × width × channels (NHWC): so environments return them, the numbers of a patch lie in runs, and with a
/// stride of the filters' width the output of one layer is the input of the next without a copy. The parameters are W and then b. A row of
/// W belongs to a number of a patch, whose numbers count like those of a picture.
module Convolution =

    /// A convolution whose initial weights are `gain` times an orthogonal matrix, and whose biases start at zero. The builder throws an
    /// `ArgumentException` if its input is not a picture, or one that is smaller than the window.
    let withGain gain filters window activation : LayerBuilder =
        fun inputShape ->
            let patches = Window.patches window inputShape
            let kernel = ConvolutionLayer(patches, filters, activation)

            KernelLayer.create kernel inputShape [ patches.Height; patches.Width; filters ] (fun key ->
                Array.append (Dense.orthogonal patches.Size filters gain key) (Array.zeroCreate filters)
                |> Vector.adopt)

    /// A hidden convolution, with the gain √2.
    let hidden filters window activation : LayerBuilder = withGain Dense.hiddenGain filters window activation
