using System;
using FunTrpo.CSharp;

namespace FunTrpo.Orleans;

/// <summary>Trainings whose environments are stepped by a cluster.</summary>
public static class ClusterTraining
{
    /// <summary>
    /// Returns the plan, but its rollouts are stepped by the silos of a cluster, which serve the same environment: each steps a share. The
    /// policy is improved in this process. The result has the same bits, whatever the number of silos, and also where silos join, leave or fail.
    /// </summary>
    /// <remarks>Evaluations and branches of vines are played in this process.</remarks>
    /// <param name="plan">The plan. Its environment must have states that can be sent; those of your own have.</param>
    /// <param name="workers">The connection to the cluster. The caller disposes of it after the training.</param>
    public static TrainingPlan OnCluster(this TrainingPlan plan, ClusterWorkers workers)
    {
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(workers);
        return plan.SteppedBy(workers.Shares);
    }
}
