namespace FunTrpo.Plots

open System
open System.Globalization
open FunTrpo

/// The mean returns of an evaluation during training.
type EvaluationPoint =
    {
        Steps: int64
        /// The mean return of the most probable actions.
        Mean: float
        /// The population standard deviation of their returns.
        Std: float
        /// The mean return of actions drawn from the policy's distribution.
        SampledMean: float
    }

module EvaluationPoint =

    let ofEvaluation (evaluation: TrainingEvaluation) =
        { Steps = evaluation.Steps
          Mean = evaluation.Deterministic.Mean
          Std = evaluation.Deterministic.Std
          SampledMean = evaluation.Sampled.Mean }

    let private number source name (text: string) =
        match Double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture) with
        | true, number when Double.IsFinite number -> Ok number
        | _ -> Error(Damaged(source, $"{name} cannot be \"{text}\""))

    /// The evaluations in the text of an evaluations.csv. `source` names the text in a fault. Fault: `Damaged` if the text is not that of an
    /// evaluations.csv.
    let ofCsv source text =
        let table = CsvTable.parse text
        let column name = CsvTable.column name table
        let steps, means, stds, sampled = column "steps", column "mean", column "std", column "sampledMean"

        let point i =
            result {
                let! steps = number source "steps" steps[i]
                let! mean = number source "mean" means[i]
                let! std = number source "std" stds[i]
                let! sampled = number source "sampledMean" sampled[i]
                return { Steps = int64 steps; Mean = mean; Std = std; SampledMean = sampled }
            }

        List.init table.Rows.Length point |> Result.all
