namespace FunTrpo.Plots

open System
open System.Globalization
open FunTrpo

/// A run, as a page compares it with others.
type ComparedRun =
    {
        /// Empty if the run has none.
        Folder: string
        /// The name of its group; if there is none, it is grouped with the runs that differ in nothing but the seed.
        Label: string option
        Environment: string
        Seed: int64
        /// Every setting except for the seed: its name, and its value as a text.
        Settings: (string * string) list
        Progress: Progress
        /// The mean return of episodes that the last policy played after training, if it has played any.
        Score: float option
        /// The mean return of the last 100 training episodes, if any has finished.
        MeanReturn: float option
        /// The environment steps after which the mean return of the last 100 training episodes first reached the goal, if it did.
        StepsToGoal: int64 option
    }

/// What is known of an environment whose runs are compared.
type ComparedEnvironment =
    {
        Id: string
        /// The mean return at which the environment counts as solved, if there is one.
        Goal: float option
        /// The mean return of random actions, if it is needed and known.
        RandomReturn: float option
        /// The settings of the preset for TRPO.
        Preset: (string * string) list
        /// The settings of the preset for DDPG; the standard ones if it has none.
        DdpgPreset: (string * string) list
    }

module internal ComparedEnvironment =

    /// The setting that every run of DDPG has, and no other.
    let ruleOfDdpg = "rule", "ddpg"

    /// Whether settings are those of a run of DDPG.
    let isOfDdpg settings = List.contains ruleOfDdpg settings

    /// The preset for runs with these settings.
    let presetFor settings environment =
        if isOfDdpg settings then ruleOfDdpg :: environment.DdpgPreset else environment.Preset

/// Runs of one environment that differ in nothing but the seed, or that have the same label.
type internal RunGroup =
    {
        Environment: string
        /// The label, or the settings that differ between groups, such as `delta=0.01`.
        Name: string
        Runs: ComparedRun list
    }

/// The final scores of a group.
type internal FinalScores =
    {
        Median: float
        /// The interquartile mean, and its 95 % interval.
        Mean: float
        Interval: Interval
        Worst: float
        Best: float
    }

/// The scores of the groups of one name in several environments: one array for each environment.
type internal NamedScores = { Name: string; Strata: float[][] }

/// How runs are grouped, and the statistics of their scores.
module internal Comparison =

    /// The name of the only group.
    let onlyGroup = "all runs"

    /// The value of a setting; none if the run's algorithm does not have it.
    let private tryValueOf name (run: ComparedRun) = run.Settings |> List.tryFind (fst >> (=) name) |> Option.map snd

    /// The settings of which an environment has runs with different values, in the order in which the runs name them. Runs with DDPG and others
    /// differ in their rule, and no other setting of one is compared with one of the other.
    let varied (runs: ComparedRun list) =
        let apart key = runs |> List.groupBy key |> List.map snd
        let byAlgorithm = apart (fun run -> run.Environment, ComparedEnvironment.isOfDdpg run.Settings)
        let names = runs |> List.collect (_.Settings >> List.map fst) |> List.distinct
        let differs name runs = runs |> List.choose (tryValueOf name) |> List.distinct |> List.length > 1

        names
        |> List.filter (fun name ->
            let compared = if name = fst ComparedEnvironment.ruleOfDdpg then apart _.Environment else byAlgorithm
            compared |> List.exists (differs name))

    /// Values in order: numbers by size, and then texts.
    let private order (value: string) =
        match Double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture) with
        | true, number when Double.IsFinite number -> 0, number, ""
        | _ -> 1, 0.0, value

    let private nameOf varied (run: ComparedRun) =
        let part name =
            match tryValueOf name run with
            | Some "" -> Some $"{name}=none"
            | Some value -> Some $"{name}={value}"
            | None -> None

        match run.Label with
        | Some label -> label
        | None when List.isEmpty varied -> onlyGroup
        | None -> varied |> List.choose part |> String.concat ", "

    /// The place of a run among those of its environment. Runs with labels stay as they are.
    let private placeOf varied (run: ComparedRun) =
        if run.Label.IsSome then
            []
        else
            varied |> List.map (fun name -> order (tryValueOf name run |> Option.defaultValue ""))

    /// The groups of each environment. The environments are in the order of their first runs, and the groups in that of their values, or of their
    /// labels.
    let groups (runs: ComparedRun list) =
        let varied = runs |> List.filter _.Label.IsNone |> varied

        [ for environment, runs in runs |> List.groupBy _.Environment do
              for name, runs in runs |> List.sortBy (placeOf varied) |> List.groupBy (nameOf varied) ->
                  { Environment = environment; Name = name; Runs = runs } ]

    /// Whether every run has a score of episodes after training. Otherwise runs are compared by their last training episodes, all of them.
    let areScored (runs: ComparedRun list) = runs |> List.forall _.Score.IsSome

    /// The number that runs are compared by.
    let final isScored (run: ComparedRun) = if isScored then run.Score else run.MeanReturn

    /// The statistics of the final scores of a group; none if no run has one.
    let finalScores isScored group =
        match group.Runs |> List.choose (final isScored) |> Array.ofList with
        | [||] -> None
        | scores ->
            Some
                { Median = Statistics.median scores
                  Mean = Statistics.interquartileMean scores
                  Interval = Statistics.interquartileMeanInterval [| scores |]
                  Worst = Array.min scores
                  Best = Array.max scores }

    /// The median of the steps to the goal, where a run that has not reached it counts as infinite; none if that is the median.
    let medianSteps group =
        let steps =
            [| for run in group.Runs -> run.StepsToGoal |> Option.map float |> Option.defaultValue infinity |]
            |> Array.sort

        // As Statistics.median, which would make NaN of two infinite numbers.
        let middle = steps[(steps.Length - 1) / 2], steps[steps.Length / 2]
        let median = (fst middle + snd middle) / 2.0
        if Double.IsFinite median then Some median else None

    /// The share of the way from random play to the goal: (score − random) / (goal − random); none for an environment where one is unknown.
    let normalise (environment: ComparedEnvironment) =
        match environment.Goal, environment.RandomReturn with
        | Some goal, Some random when goal <> random -> Some(fun score -> (score - random) / (goal - random))
        | _ -> None

    /// The scores that groups of several environments are compared by: as they are where there is one environment, and normalised otherwise, in
    /// the environments where that is possible. A group that has no scores in one of these environments is left out.
    let named isScored (environments: ComparedEnvironment list) (groups: RunGroup list) =
        let ids = groups |> List.map _.Environment |> List.distinct

        let scales =
            match ids with
            | [ only ] -> [ only, id ]
            | several ->
                [ for environment in environments do
                      match normalise environment with
                      | Some scale when List.contains environment.Id several -> environment.Id, scale
                      | _ -> () ]

        let scoresIn name (id, scale) =
            groups
            |> List.filter (fun group -> group.Name = name && group.Environment = id)
            |> List.collect _.Runs
            |> List.choose (final isScored)
            |> List.map scale
            |> Array.ofList

        let scored =
            [ for name in groups |> List.map _.Name |> List.distinct do
                  let strata = scales |> List.map (scoresIn name) |> Array.ofList

                  if strata.Length > 0 && strata |> Array.forall (Array.isEmpty >> not) then
                      { Name = name; Strata = strata } ]

        List.map fst scales, scored

    /// The interquartile mean of all scores together.
    let mean named = Statistics.interquartileMean (Array.concat named.Strata)

    /// Its 95 % interval by the stratified bootstrap.
    let interval named = Statistics.interquartileMeanInterval named.Strata

    /// The thresholds of performance profiles: evenly spaced from below the lowest score to the highest one.
    let thresholds (all: NamedScores list) =
        let scores = all |> Seq.collect (_.Strata >> Seq.concat) |> Array.ofSeq
        let low, high = Array.min scores, Array.max scores
        let margin = if high > low then 0.02 * (high - low) else 1.0
        Array.init 61 (fun i -> low - margin + (high - low + margin) * float i / 60.0)

    /// The number of resamples of a profile's interval, which is drawn and not printed.
    let private profileResamples = 1000

    /// The performance profile at the thresholds, with its 95 % band.
    let profile (thresholds: float[]) named =
        let interval threshold =
            Statistics.stratifiedBootstrap
                0.95
                profileResamples
                (fun strata -> (Statistics.performanceProfile [| threshold |] strata)[0])
                (Key.ofSeed 0L |> Key.named "profile")
                named.Strata

        let intervals = thresholds |> Array.map interval

        Statistics.performanceProfile thresholds named.Strata,
        intervals |> Array.map _.Low,
        intervals |> Array.map _.High

    /// The probability that a run of the first is better than a run of the second in the same environment, and its 95 % interval.
    let improvement first second =
        let count = first.Strata.Length
        let probability (strata: float[][]) = Statistics.probabilityOfImprovement strata[.. count - 1] strata[count..]

        Statistics.probabilityOfImprovement first.Strata second.Strata,
        Statistics.standardInterval probability (Array.append first.Strata second.Strata)
