namespace FunTrpo.Plots

open System.IO
open FunTrpo

/// What is known of a run: from the files in its folder, or from the result of training.
[<NoEquality; NoComparison>]
type internal RunRecord =
    {
        Settings: RunSettings
        Summary: RunSummary
        Progress: Progress
        /// The environment steps after which the mean return of the last 100 episodes first reached a goal, if it did.
        StepsToGoal: float -> int64 option
    }

module internal RunRecord =

    /// The run in a folder, with this table of its progress. Fault: `Damaged` for a file that is none of a run.
    let ofTable table folder =
        result {
            let! settings = RunSettings.ofFolder folder
            let! summary = RunSummary.ofFolder folder
            let! progress = Progress.ofTable settings.Algorithm (Path.Combine(folder, RunFiles.progressFile)) table

            return
                { Settings = settings
                  Summary = summary
                  Progress = progress
                  StepsToGoal = Progress.stepsToGoalIn table }
        }

    /// The run in a folder. Fault: `Damaged` for a file that is missing or is none of a run.
    let ofFolder folder =
        let text = RunFiles.tryText folder RunFiles.progressFile |> Option.defaultValue ""
        ofTable (CsvTable.parse text) folder
