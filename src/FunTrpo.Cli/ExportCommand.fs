/// The command `funtrpo export`: writes a saved policy in a format that other programs read.
module FunTrpo.Cli.ExportCommand

open System
open System.CommandLine
open System.Globalization
open FunTrpo
open FunTrpo.Onnx
open FunTrpo.Cli.CommandOptions

let private policy = optional "--policy" "The file of the policy (policy.json)"
policy.Required <- true
let private onnx = optional "--onnx" "The file to write: the policy as an ONNX model"
onnx.Required <- true

let private requireName path =
    if String.IsNullOrWhiteSpace path then
        Error(InvalidSetting("--onnx", path, "it must be the name of a file"))
    else
        Ok path

/// Writes the model and prints what it is. Returns the exit code.
let private write path saved =
    try
        let model = PolicyModel.Of saved
        OnnxExport.Write(model, path)
        let size = model.CalculateSize().ToString("N0", CultureInfo.InvariantCulture)
        Console.Out.WriteLine $"{path}: {size} bytes, ONNX operators of version {PolicyModel.OperatorSet}"
        PolicyModel.Signature model |> Seq.iter Console.Out.WriteLine
        ok
    with :? NotSupportedException as unsupported ->
        Console.Error.WriteLine unsupported.Message
        failed

let private run (parsed: ParseResult) =
    result {
        let! path = requireName (parsed.GetValue onnx)
        let! saved = loadPolicy (parsed.GetValue policy)
        return write path saved
    }

let command =
    let command = Command("export", "Write a saved policy as an ONNX model, which other programs run")
    let options: Option list = [ policy; onnx ]
    options |> List.iter command.Options.Add
    command.SetAction(run >> orRefuse)
    command
