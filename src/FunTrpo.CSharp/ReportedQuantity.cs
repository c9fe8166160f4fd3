using System.Text;

namespace FunTrpo.CSharp;

/// <summary>A quantity of an iteration under the name that it has in progress.csv: a number or a text; neither if it is missing.</summary>
internal readonly record struct ReportedQuantity(string Name, double? Number, string? Text)
{
    private ReportedQuantity(string name, double? number)
        : this(name, number, null) { }

    private ReportedQuantity(string name, string? text)
        : this(name, null, text) { }

    /// <summary>Returns all quantities of an iteration, in the order of the columns of progress.csv.</summary>
    public static ReportedQuantity[] AllOf(IterationReport report)
    {
        bool usesCg = report.CgStop != ConjugateGradientStop.NotUsed;
        return
        [
            new("iteration", report.Iteration),
            new("steps", report.Steps),
            new("episodes", report.Episodes),
            new("batchSteps", report.BatchSteps),
            new("finishedEpisodes", report.FinishedEpisodes),
            new("meanReturn", report.MeanReturn),
            new("meanEpisodeLength", report.MeanEpisodeLength),
            new("outcome", Words(report.Outcome.ToString())),
            new("meanKl", report.MeanKl),
            new("maxKl", report.MaxKl),
            new("delta", report.Delta),
            new("klOverDelta", report.KlOverDelta),
            new("surrogateGain", report.SurrogateGain),
            new("surrogateGainError", report.SurrogateGainError),
            new("gradientNorm", report.GradientNorm),
            new("cgIterations", usesCg ? report.CgIterations : null),
            new("cgResidual", report.CgResidual),
            new("cgStop", usesCg ? Words(report.CgStop.ToString()) : null),
            new("lineSearchTries", report.LineSearchTries),
            new("stepFraction", report.StepFraction),
            new("explainedVariance", report.ExplainedVariance),
            new("criticErrorBefore", report.CriticErrorBefore),
            new("criticErrorAfter", report.CriticErrorAfter),
            new("entropy", report.Entropy),
            new("rolloutSeconds", report.Seconds.Rollout),
            new("policySeconds", report.Seconds.Policy),
            new("criticSeconds", report.Seconds.Critic),
            new("seconds", report.Seconds.Total),
            new("stepsPerSecond", report.StepsPerSecond),
            new("batchReturn", report.BatchReturn),
            new("batchReturnLow", report.BatchReturnLow),
            new("batchReturnHigh", report.BatchReturnHigh),
            new("warnings", report.Warnings.Count == 0 ? null : string.Join('\n', report.Warnings)),
            new("signalShare", report.SignalShare),
            new("heldOutGain", report.HeldOutGain),
            new("heldOutGainLow", report.HeldOutGainLow),
            new("certificatePenalty", report.CertificatePenalty),
            new("certificate", report.Certificate),
        ];
    }

    /// <summary>A name in words, as progress.csv has it: <c>line search failed</c> for LineSearchFailed.</summary>
    private static string Words(string name)
    {
        StringBuilder words = new();
        foreach (char letter in name)
        {
            if (char.IsUpper(letter) && words.Length > 0)
            {
                words.Append(' ');
            }

            words.Append(char.ToLowerInvariant(letter));
        }

        return words.ToString();
    }
}
