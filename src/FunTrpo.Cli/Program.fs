/// The entry point of the command `funtrpo`.
module FunTrpo.Cli.Program

open System
open System.CommandLine
open System.CommandLine.Help
open System.IO
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Cli.CommandOptions

/// Prints the errors of the command line, and the names that its unknown words resemble.
let private printErrors (root: Command) (parsed: ParseResult) =
    for error in parsed.Errors do
        Console.Error.WriteLine error.Message

    let command = parsed.CommandResult.Command
    let known = Seq.append (command.Subcommands |> Seq.map _.Name) (command.Options |> Seq.map _.Name)

    for token in parsed.UnmatchedTokens do
        match Suggestion.among known token with
        | "" -> ()
        | suggestion -> Console.Error.WriteLine $"{token}{suggestion}"

    let commands = root.Subcommands |> Seq.map _.Name |> String.concat ", "

    Console.Error.WriteLine
        $"The commands are {commands}; `funtrpo --help` and `funtrpo <command> --help` explain them."

[<EntryPoint>]
let main arguments =
    let root = Command("funtrpo", "Trust-region policy optimization: train policies and play with them.")
    root.Options.Add(HelpOption())
    root.Options.Add(VersionOption())

    for command in
        [ TrainCommand.command
          DdpgCommand.command
          ResumeCommand.command
          ReportCommand.command
          SiloCommand.command
          WatchCommand.command
          CompareCommand.command
          SweepCommand.command
          EvaluateCommand.command
          ExportCommand.command
          CheckCommand.command
          ListCommand.command
          ConfigCommand.command ] do
        root.Subcommands.Add command

    let parsed = root.Parse arguments

    if parsed.Errors.Count > 0 then
        printErrors root parsed
        badArguments
    else
        try
            parsed.Invoke(InvocationConfiguration(EnableDefaultExceptionHandler = false))
        with
        | EnvironmentUnavailable _ as unavailable ->
            Console.Error.WriteLine(Fault.printable unavailable.Message)
            badArguments
        | EnvironmentNotDisposed _ as notDisposed ->
            Console.Error.WriteLine(Fault.printable notDisposed.Message)
            failed
        | :? IOException
        | :? UnauthorizedAccessException as e ->
            let remedy = FileFailure.remedy e
            let sentences = e.Message.TrimEnd('.') + (if remedy = "" then "" else $". {remedy}")
            Console.Error.WriteLine $"A file or the output could not be written or read: {sentences}"
            failed
