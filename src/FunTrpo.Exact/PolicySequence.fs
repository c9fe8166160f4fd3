namespace FunTrpo.Exact

open FunTrpo

/// One iteration of a rung: the values of the policy that it came to, and the certificate of the step there; none at the start.
type PolicySequence = { Iteration: int; Values: Values; Certificate: Certificate option }

module PolicySequence =

    /// A rung from a policy on: the policy itself, and then a step after another until the rung stops or a guarantee is broken, which
    /// comes last. A step is computed when it is asked for. Whether a rung stopped because nothing is left to gain, or because rounding swamps its
    /// certificate, its step from the last policy says.
    let runFrom (policy: TabularPolicy) (mdp: FiniteMdp) (rung: Algorithm) : seq<Result<PolicySequence, Fault>> =
        let rec from climb =
            seq {
                yield Ok climb

                match rung.Step mdp climb.Values with
                | Ok(Stepped(values, certificate)) ->
                    yield! from { Iteration = climb.Iteration + 1; Values = values; Certificate = Some certificate }
                | Ok Stopped
                | Ok(BelowRounding _) -> ()
                | Error fault -> yield Error fault
            }

        from { Iteration = 0; Values = Values.ofPolicy mdp policy; Certificate = None }

    /// A rung from the uniform policy on.
    let climb mdp rung = runFrom (TabularPolicy.uniform mdp) mdp rung

    /// Every rung, from the most careful to the most practical, and policy iteration as the contrast.
    let rungs delta learningRate =
        [ Algorithms.conservativePolicyIteration 0.0
          Algorithms.minorizationMaximization
          Algorithms.minorizationMaximizationPinsker
          Algorithms.maximumKl delta
          Algorithms.meanKl delta
          Algorithms.naturalPolicyGradient learningRate
          Algorithms.trustRegion delta
          Algorithms.policyIteration ]
