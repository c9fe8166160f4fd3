namespace FunTrpo.Bench

open BenchmarkDotNet.Attributes
open BenchmarkDotNet.Configs
open BenchmarkDotNet.Jobs
open BenchmarkDotNet.Running
open BenchmarkDotNet.Toolchains.InProcess.Emit

/// A dense layer on a block of 256 rows.
[<MemoryDiagnoser>]
type LayerBenchmarks() =
    let mutable subject = Unchecked.defaultof<LayerSubject>

    /// The number of inputs, and of outputs.
    [<Params(17, 64, 256)>]
    member val Units = 64 with get, set

    [<GlobalSetup>]
    member this.Setup() = subject <- Subjects.ofLayer 256 this.Units this.Units

    [<Benchmark>]
    member _.Linearize() = subject.Linearize()

    [<Benchmark>]
    member _.Pushforward() = subject.Pushforward()

    [<Benchmark>]
    member _.Pullback() = subject.Pullback()

/// The stages of one update.
[<MemoryDiagnoser>]
type StageBenchmarks() =
    let mutable subject = Unchecked.defaultof<UpdateSubject>

    /// The name of a shape of `Shape.all`.
    [<Params("A", "B", "E")>]
    member val Shape = "A" with get, set

    [<Params(1, 2)>]
    member val Threads = 1 with get, set

    [<GlobalSetup>]
    member this.Setup() =
        subject <- Shape.all |> List.find (fun shape -> shape.Name = this.Shape) |> Subjects.ofShape this.Threads
        subject.Product() // The first product creates the Fisher matrix, which belongs to the setup.

    [<Benchmark>]
    member _.Product() = subject.Product()

    [<Benchmark>]
    member _.Actor() = subject.Actor()

    [<Benchmark>]
    member _.Critic() = subject.Critic()

/// The stages of a rollout on CartPole, with 256 environments of 128 steps each.
[<MemoryDiagnoser>]
type RolloutBenchmarks() =
    let mutable rollout = Unchecked.defaultof<RolloutSubject>
    let mutable withEstimate = Unchecked.defaultof<RolloutSubject>
    let mutable alone = Unchecked.defaultof<RolloutSubject>

    [<Params(1, 2)>]
    member val Threads = 1 with get, set

    [<GlobalSetup>]
    member this.Setup() =
        rollout <- Subjects.rollout this.Threads 256 128
        withEstimate <- Subjects.rolloutAndEstimate this.Threads 256 128
        alone <- Subjects.environmentAlone 256 128

    [<Benchmark>]
    member _.Rollout() = rollout.Run()

    [<Benchmark>]
    member _.RolloutValuesAndGae() = withEstimate.Run()

    /// Without a policy, on one thread.
    [<Benchmark>]
    member _.EnvironmentAlone() = alone.Run()

module Micro =

    // The benchmarks run in this process: it is already built in the right way, and the projects that BenchmarkDotNet would generate
    // would not find their packages.
    let private config =
        DefaultConfig.Instance.AddJob(Job.ShortRun.WithToolchain InProcessEmitToolchain.Instance)

    /// Runs the benchmarks that BenchmarkDotNet's arguments select. Returns the exit code.
    let run (arguments: string[]) =
        let summaries =
            BenchmarkSwitcher([| typeof<LayerBenchmarks>; typeof<StageBenchmarks>; typeof<RolloutBenchmarks> |])
                .Run(arguments, config)

        if Seq.isEmpty summaries || summaries |> Seq.exists _.HasCriticalValidationErrors then 1 else 0
