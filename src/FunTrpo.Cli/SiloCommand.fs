/// The command `funtrpo silo`: a member of a cluster, which steps shares of the rollouts of trainings.
module FunTrpo.Cli.SiloCommand

open System
open System.CommandLine
open System.Net
open System.Runtime.CompilerServices
open System.Runtime.InteropServices
open System.Threading
open FunTrpo
open FunTrpo.Plots
open FunTrpo.Environments
open FunTrpo.Orleans
open FunTrpo.Cli.CommandOptions

let private env = envOption ()
let private envFrom = envFromOption ()
let private threads = threadsOption ()
let private inFlight = inFlightOption ()
let private restartFailed = restartFailedOption ()

let private cluster =
    option
        "--cluster"
        "The cluster: local or local:PORT for silos on this machine, or redis:HOST:PORT for those that a Redis lists"
        "local"

let private address =
    optional
        "--address"
        "The IP address by which the other silos and trainings reach this one [default: that of this machine]"

let private siloPort = optional "--silo-port" "The port for other silos [default: a free one]"
let private gatewayPort = optional "--gateway-port" "The port for trainings [default: a free one]"

let private parseAddress (text: string) =
    match IPAddress.TryParse text with
    | true, address -> Ok address
    | _ -> Error(InvalidSetting("--address", text, "it must be an IP address"))

let private parsePort name text =
    text |> checkedOption (Arguments.integer name 1L 65535L) |> Result.map (Option.map int)

/// Waits for Ctrl-C or SIGTERM.
let private waitForSignal () =
    use signalled = new ManualResetEventSlim()

    let stop (context: PosixSignalContext) =
        context.Cancel <- true
        signalled.Set()

    use _ = PosixSignalRegistration.Create(PosixSignal.SIGINT, stop)
    use _ = PosixSignalRegistration.Create(PosixSignal.SIGTERM, stop)
    signalled.Wait()

let private serveUntilSignal (cluster: Cluster) id (silo: ClusterSilo) =
    Console.Out.WriteLine $"The silo at {silo.EndPoint} steps shares of {id} for {cluster}"
    Console.Out.WriteLine "Ctrl-C ends this."
    waitForSignal ()
    ok

// Not inlined: the assemblies of Orleans are loaded when this function is first called, and not before.
[<MethodImpl(MethodImplOptions.NoInlining)>]
let private serve (parsed: ParseResult) threads (environment: Environment<'State>) =
    result {
        let! cluster = Clusters.parse (parsed.GetValue cluster)
        let! address = tryGet parsed address |> checkedOption parseAddress
        let! siloPort = tryGet parsed siloPort |> parsePort "--silo-port"
        let! gatewayPort = tryGet parsed gatewayPort |> parsePort "--gateway-port"

        let options =
            SiloOptions(
                Address = Option.toObj address,
                SiloPort = defaultArg siloPort 0,
                GatewayPort = defaultArg gatewayPort 0
            )

        let! runner = RolloutShare.runner threads environment

        let! silo = Clusters.attempt (fun () -> ClusterSilo.StartRunnerAsync(runner, cluster, options))
        return Clusters.disposingAfterwards silo (fun () -> serveUntilSignal cluster environment.Id silo)
    }

let private run (parsed: ParseResult) =
    result {
        let! known = knownEnvironments parsed envFrom
        let! chosen = chosenEnvironment EnvironmentFiles.firstOfLibrary known (tryGet parsed env)
        let! threads = parseThreads (parsed.GetValue threads)
        let! calls = parseCalls parsed inFlight restartFailed

        return!
            chosen.Registered.Use
                { new EnvironmentUse<_> with
                    member _.With environment = serve parsed threads (calls.Of environment) }
    }

let command =
    let command = Command("silo", "Step shares of the rollouts of trainings, as a member of a cluster")

    let options: Option list =
        [ env; envFrom; cluster; address; siloPort; gatewayPort; threads; inFlight; restartFailed ]

    options |> List.iter command.Options.Add
    command.SetAction(run >> orRefuse)
    command
