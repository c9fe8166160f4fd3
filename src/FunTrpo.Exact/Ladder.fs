namespace FunTrpo.Exact

open FunTrpo

/// One iteration of a rung: the values of the policy that it came to, and the certificate of the step there; none at the start.
type Climb = { Iteration: int; Values: Values; Certificate: Certificate option }

module Ladder =

    /// A rung from a policy on: the policy itself, and then a step after another until the rung stops or a guarantee is broken, which
    /// comes last. The same fold as training's.
    let climbFrom (policy: TabularPolicy) (mdp: FiniteMdp) (rung: Rung) : seq<Result<Climb, Fault>> =
        let next (climb: Climb) =
            match rung.Step mdp climb.Values with
            | Ok(Stepped(values, certificate)) ->
                Some(Ok { Iteration = climb.Iteration + 1; Values = values; Certificate = Some certificate })
            | Ok Stopped -> None
            | Error fault -> Some(Error fault)

        let start = Ok { Iteration = 0; Values = Values.ofPolicy mdp policy; Certificate = None }

        Seq.unfold
            (fun state ->
                match state with
                | Some(Ok climb) -> Some(Ok climb, next climb)
                | Some(Error fault) -> Some(Error fault, None)
                | None -> None)
            (Some start)

    /// A rung from the uniform policy on.
    let climb mdp rung = climbFrom (TabularPolicy.uniform mdp) mdp rung
