namespace FunTrpo.Exact

open FunTrpo

/// One element of a policy sequence: the values of the policy after this number of steps, and the certificate of the last step. The
/// first element has no certificate.
type PolicySequence = { Iteration: int; Values: Values; Certificate: Certificate option }

module PolicySequence =

    /// Returns the sequence of an algorithm's policies, beginning with the given one. It ends when the algorithm stops, or with the
    /// fault of a broken guarantee. It is lazy: a step is computed when it is enumerated. The algorithm's step from the last policy
    /// tells whether it was `Stopped` or `BelowRounding`.
    let runFrom
        (policy: TabularPolicy)
        (mdp: FiniteMdp)
        (algorithm: Algorithm)
        : seq<Result<PolicySequence, TheoryFault>> =
        let rec from current =
            seq {
                yield Ok current

                match algorithm.Step mdp current.Values with
                | Ok(Stepped(values, certificate)) ->
                    yield! from { Iteration = current.Iteration + 1; Values = values; Certificate = Some certificate }
                | Ok Stopped
                | Ok(BelowRounding _) -> ()
                | Error fault -> yield Error fault
            }

        from { Iteration = 0; Values = Values.ofPolicy mdp policy; Certificate = None }

    /// Returns the policy sequence of an algorithm, beginning with the uniform policy.
    let run mdp algorithm = runFrom (TabularPolicy.uniform mdp) mdp algorithm

    /// Returns all undamped algorithms, from the most cautious to the most practical, and policy iteration for comparison.
    let algorithms delta learningRate =
        [ Algorithms.conservativePolicyIteration 0.0
          Algorithms.minorizationMaximization
          Algorithms.minorizationMaximizationPinsker
          Algorithms.minorizationMaximizationTv
          Algorithms.safePolicyIteration
          Algorithms.conservativePolicyIterationMean
          Algorithms.minorizationMaximizationMeanTv
          Algorithms.minorizationMaximizationSafe
          Algorithms.maximumKl delta
          Algorithms.meanKl delta
          Algorithms.naturalPolicyGradient learningRate
          Algorithms.trustRegion delta
          Algorithms.policyIteration ]
