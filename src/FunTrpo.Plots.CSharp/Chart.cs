namespace FunTrpo.Plots.CSharp;

/// <summary>A chart of a training run, for a page or a notebook of your own.</summary>
public sealed class Chart
{
    private readonly ReportChart chart;

    internal Chart(ReportChart chart) => this.chart = chart;

    /// <summary>The title, which the figure does not have.</summary>
    public string Title => chart.Title;

    /// <summary>What it looks like in a good run, as a sentence.</summary>
    public string Good => chart.Good;

    /// <summary>What is drawn, as a sentence.</summary>
    public string Reading => chart.Reading;

    /// <summary>The main numbers as a sentence, for readers who do not see the chart.</summary>
    public string Summary => chart.Summary;

    /// <summary>
    /// Returns the chart as a figure of Plotly, in JSON: an object with <c>data</c> and <c>layout</c>, which <c>Plotly.newPlot</c> and the
    /// Plotly libraries of other languages take.
    /// </summary>
    public string ToJson() => chart.FigureJson();

    /// <summary>Returns the title.</summary>
    public override string ToString() => Title;
}
