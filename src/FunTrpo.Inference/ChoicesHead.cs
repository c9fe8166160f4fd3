using System;

namespace FunTrpo.Inference;

/// <summary>Independent choices. The outputs are the logits of their alternatives, choice after choice.</summary>
internal sealed class ChoicesHead : Head
{
    private readonly Space space;

    public ChoicesHead(Space space) => this.space = space;

    public override void Mode(ReadOnlySpan<float> outputs, Span<float> action)
    {
        for (int choice = 0; choice < action.Length; choice++)
        {
            action[choice] = Largest(Logits(ref outputs, choice));
        }
    }

    /// <summary>Draws each choice by inversion of its cumulative distribution.</summary>
    public override void Sample(ReadOnlySpan<float> outputs, Random random, Span<float> action)
    {
        for (int choice = 0; choice < action.Length; choice++)
        {
            ReadOnlySpan<float> logits = Logits(ref outputs, choice);
            double total = LogSumExp(logits);
            double rest = random.NextDouble() - Math.Exp(logits[0] - total);
            int index = 0;
            while (rest >= 0.0 && index < logits.Length - 1)
            {
                index++;
                rest -= Math.Exp(logits[index] - total);
            }

            // The probabilities may sum to a little less than 1: the number then belongs to the last alternative that is not impossible.
            while (index > 0 && Math.Exp(logits[index] - total) == 0.0)
            {
                index--;
            }

            action[choice] = index;
        }
    }

    public override ActionDistribution Distribution(ReadOnlySpan<float> outputs)
    {
        double[] probabilities = new double[outputs.Length];
        int next = 0;
        for (int choice = 0; choice < space.Width; choice++)
        {
            ReadOnlySpan<float> logits = Logits(ref outputs, choice);
            double total = LogSumExp(logits);
            foreach (float logit in logits)
            {
                probabilities[next++] = Math.Exp(logit - total);
            }
        }

        return new ActionDistribution { Probabilities = Array.AsReadOnly(probabilities) };
    }

    /// <summary>Returns the logits of a choice, which are the first of the rest, and removes them from the rest.</summary>
    private ReadOnlySpan<float> Logits(ref ReadOnlySpan<float> rest, int choice)
    {
        int count = space.Count(choice);
        ReadOnlySpan<float> logits = rest.Slice(0, count);
        rest = rest.Slice(count);
        return logits;
    }

    /// <summary>The index of the first of the largest logits.</summary>
    private static int Largest(ReadOnlySpan<float> logits)
    {
        int best = 0;
        for (int i = 1; i < logits.Length; i++)
        {
            if (logits[i] > logits[best])
            {
                best = i;
            }
        }

        return best;
    }

    /// <summary>log Σ exp of the logits. The largest logit is subtracted first, so no exponential overflows.</summary>
    private static double LogSumExp(ReadOnlySpan<float> logits)
    {
        double largest = logits[Largest(logits)];
        double sum = 0.0;
        foreach (float logit in logits)
        {
            sum += Math.Exp(logit - largest);
        }

        return largest + Math.Log(sum);
    }
}
