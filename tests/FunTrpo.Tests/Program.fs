module FunTrpo.Tests.Program

open System
open System.Threading
open Expecto

let private kernels =
    testList
        "kernels"
        [ KernelTests.tests
          ReductionsTests.tests
          ColumnSumsTests.tests
          ActivationTests.tests
          ActivationDerivativesTests.tests
          SoftmaxTests.tests
          AdamKernelTests.tests
          RowsTests.tests
          PaddedRowsTests.tests
          DenseLayerTests.tests ]

let private networks =
    testList
        "networks"
        [ LayerTests.tests
          PackedLayerTests.tests
          DenseTests.tests
          PictureLayerTests.tests
          CompositionTests.tests
          NetworkTests.tests
          RecurrentTests.tests
          LinearizationTests.tests
          PolicyTests.tests ]

let private command =
    testList
        "Command"
        [ CommandTests.tests
          ArgumentsTests.tests
          TrainTests.tests
          TrainCommandTests.tests
          ResumeCommandTests.tests
          SeriesTests.tests
          LiveViewTests.tests
          TerminalTests.tests
          FileFaultTests.tests
          EvaluateCommandTests.tests
          CheckCommandTests.tests
          ListCommandTests.tests
          ConfigCommandTests.tests
          DdpgCommandTests.tests ]

let private others =
    [ AssemblyTests.tests
      FaultTests.tests
      SuggestionTests.tests
      PooledBufferTests.tests
      ParallelTests.tests
      VectorWidthTests.numerics
          [ kernels; RemainderTests.tests; VectorTests.tests; networks; CheckpointGoldenTests.tests ]
      VectorWidthTests.tests
      MatrixTests.tests
      KeyTests.tests
      SpaceTests.tests
      EnvironmentTests.tests
      ReplayPointTests.tests
      SimulatorEnvironmentTests.tests
      DistributionTests.tests
      EntropyTests.tests
      PartitionTests.tests
      LinearizationTests.threads
      EmbeddingTests.tests
      NormaliserTests.tests
      ActorTests.tests
      InferencePolicyTests.tests
      ArchitectureTests.tests
      AdamTests.tests
      CriticTests.tests
      RolloutTests.tests
      RolloutFailureTests.tests
      AdvantageTests.tests
      SurrogateTests.tests
      FisherTests.tests
      MaskedLayersTests.tests
      MaskTests.tests
      PartsTests.tests
      WrapperTests.tests
      MaskedPlayersTests.tests
      MaskedMemoryTests.tests
      MaskedSimulatorsTests.tests
      ConjugateGradientTests.tests
      LineSearchTests.tests
      SignalShareTests.tests
      SampledCertificateTests.tests
      TrustRegionTests.tests
      PpoTests.tests
      DdpgTests.tests
      DdpgCheckpointTests.tests
      CriticFitTests.tests
      FieldTests.tests
      ConfigurationFieldsTests.tests
      ConfigurationLimitsTests.tests
      ConfigurationTests.tests
      WarningTests.tests
      SetupTests.tests
      TrainingStateTests.tests
      StagesTests.tests
      ReportTests.tests
      TrainingTests.tests
      OneStepTests.tests
      PictureTrainingTests.tests
      BoxDistributionTests.tests
      VineTests.tests
      VineTrainingTests.tests
      HostileNumericsTests.tests
      HostileStepTests.tests
      StatisticsTests.tests
      LongRunTests.tests
      EvaluationTests.tests
      InFlightTests.tests
      AsyncSimulatorTests.tests
      BatchSimulatorTests.tests
      RemoteTests.tests
      ClusterTests.tests
      GodotTests.tests
      GymnasiumTests.tests
      PictureTests.tests
      EvaluationHistoryTests.tests
      CheckTests.tests
      RegularFileTests.tests
      DiskTests.tests
      AtomicFileResultTests.tests
      AtomicFileTests.tests
      JsonTests.tests
      SpaceJsonTests.tests
      ParameterBytesTests.tests
      Sha256Tests.tests
      PolicyFileTests.tests
      PolicyFileRefusalTests.tests
      PolicyFileTextTests.tests
      PlainValueTests.tests
      CheckpointTests.tests
      RolloutShareTests.tests
      FuzzTests.tests
      ErrorPlaceTests.tests
      command
      EnvironmentFilesTests.tests
      RunFilesTests.tests
      FacadeTests.tests
      ExactFiniteMdpTests.tests
      ExactBuildersTests.tests
      ExactTabularPolicyTests.tests
      ExactValuesTests.tests
      ExactBoundTests.tests
      ExactDualTests.tests
      ExactWorstCaseTests.tests
      ExactAlgorithmsTests.tests
      ExactTvTests.duals
      ExactTvTests.tests
      ExactSoftmaxTests.tests
      ExactPolicySequenceTests.tests
      ExactSharedTests.tests
      ExactLinearQuadraticTests.tests
      ExactBridgeTests.tests
      ExactCertificateTests.tests
      DocumentationTests.tests
      OnnxTests.tests
      TensorBoardTests.tests
      TelemetryTests.tests
      InferenceFileTests.tests
      InferenceTests.tests
      PolicyFormatTests.tests
      WebExampleTests.tests
      GrowingTableTests.tests
      ProgressTests.tests
      ReportPageTests.tests
      ReportCommandTests.tests
      ReportBrowserTests.tests
      MuJoCoTests.tests
      MinAtarTests.tests
      PopgymTests.tests
      WatchTests.tests
      WatchCommandTests.tests
      ComparisonTests.tests
      SweepPlanTests.tests
      SweepCommandTests.tests
      ComparePageTests.tests
      CompareBrowserTests.tests
      CSharpPagesTests.tests
      PackageTests.tests ]

let private all = others @ [ PlantedTests.tests (testList "others" others); LongTests.tests others ]

/// The tests to run, and the arguments for Expecto. Who names tests, or asks for all, gets those that take long, too.
let private chosen (arguments: string[]) =
    let names (argument: string) =
        argument.StartsWith("--filter", StringComparison.Ordinal)
        || argument = "--run"
        || argument = "--list-tests"

    if Array.contains "--all" arguments then all, Array.except [ "--all" ] arguments
    elif Array.exists names arguments then all, arguments
    else LongTests.leaveOut all, arguments

/// Runs the tests. The last line counts them, for people and for programs; a run in which nothing ran is a failure.
let private run arguments =
    // Tests wait for processes and servers, and what these say is read by other threads, which must not wait for them.
    ThreadPool.SetMinThreads(32, 32) |> ignore
    let console = Console.Out // Expecto puts a writer of its own in its place, which pads lines.
    let summary: Impl.TestRunSummary option ref = ref None

    let settings =
        [ CLIArguments.Append_Summary_Handler(SummaryHandler(fun it -> summary.Value <- Some it))
          if not (isNull (Environment.GetEnvironmentVariable "CI")) then
              CLIArguments.Fail_On_Focused_Tests ]

    let tests, arguments = chosen arguments
    let code = runTestsWithCLIArgs settings arguments (testList "FunTrpo" tests)

    match summary.Value with
    | None -> code // Nothing was to run: help was asked for, or a list of the tests.
    | Some it ->
        let passed, failed = it.passed.Length, it.failed.Length + it.errored.Length
        let skipped = if it.ignored.IsEmpty then "" else $", {it.ignored.Length} skipped"

        if passed + failed = 0 then
            eprintfn "No test ran: does the filter match any?"

        fprintfn console "" // Expecto leaves a colour code behind, so start with a fresh line.
        let leftOut = LongTests.count all - LongTests.count tests

        if leftOut > 0 then
            fprintfn console "%d long tests were left out; --all runs them, too." leftOut

        fprintfn console "%d passed, %d failed%s" passed failed skipped
        if passed + failed = 0 then 1 else code

[<EntryPoint>]
let main arguments =
    match arguments with
    | [| "--serve-walks"; how |] ->
        RemoteTests.serveWalks how
        0
    | _ -> run arguments
