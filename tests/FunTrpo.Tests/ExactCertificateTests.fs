/// Certificates from samples of a finite process, against what the theory computes there.
module FunTrpo.Tests.ExactCertificateTests

open Expecto
open FunTrpo
open FunTrpo.Exact
open FunTrpo.Tests.Generators
open FunTrpo.Tests.ExactCases

/// A process without terminal states at this γ, a policy, and the one after an exact step of TRPO.
let private stepAt gamma delta =
    let mdp = Builders.garnet gamma 8 3 3 (Key.ofSeed 1L)
    let values = Values.ofPolicy mdp (softmax 1.0 mdp (Key.ofSeed 2L))
    let region = { Delta = delta; Damping = 0.0; Length = Curvature.Undamped }
    let step = (Algorithms.trustRegionStep mdp region values).Value
    mdp, values, TabularPolicy.tilt step values.Policy

/// The certificates of the other policy by so many batches of the pipeline, in the setting of the theory: states from the discounted
/// visitation, exact values, nothing normalised.
let private certificates (mdp, values: Values, other) instances horizon count =
    let setup = Bridge.setup 1 Bridge.ByExactValues instances horizon mdp |> expectOk
    let setup = { setup with Configuration = { setup.Configuration with Branches = 0; HeldOut = 0.5 } }
    let parameters = Bridge.logits other

    Array.init count (fun seed ->
        let state = Bridge.stateAt setup values (int64 seed)

        result {
            let! batch, instances = Stages.rollout horizon setup state
            let advantages = Stages.advantageBatch setup state batch
            let! rows = Stages.updateBatch setup state batch advantages instances
            return (Stages.certificate setup state rows parameters).Value
        }
        |> expectOk)

/// The share of the certificates of which this holds.
let private share (holds: SampledCertificate -> bool) certificates =
    certificates |> Array.averageBy (fun certificate -> if holds certificate then 1.0 else 0.0)

/// (L − η)/Σρ and (η_new − η)/Σρ: the gains for a step.
let private exactGains (_, values: Values, other) mdp =
    let visits = Seq.sum values.Visitation
    let next = Values.ofPolicy mdp other
    (Values.localApproximation values other - values.Eta) / visits, (next.Eta - values.Eta) / visits

let private covering =
    [ for gamma, instances, horizon in [ 0.9, 32, 32; 0.9, 8, 64; 0.5, 16, 16 ] do
          test $"cover the exact gain as often as they say: γ = {gamma}, {instances} instances of {horizon} steps" {
              let (mdp, values, other) as case = stepAt gamma 0.01
              let ofL, ofEta = exactGains case mdp
              let found = certificates case instances horizon 600
              // Of 600 bounds, 95 % are 570, with a deviation of 5.3: five of them are 4.4 %.
              let covered = found |> share (fun c -> c.GainLow <= ofL)
              Expect.isGreaterThan covered 0.906 "the bound of L holds"
              Expect.isLessThan covered 0.994 "and is no lower than it says"
              Expect.isGreaterThanOrEqual (found |> share (fun c -> c.Lower <= ofEta)) 0.95 "the certificate holds"
              // The exact ε′ is below what the actions of the rows show: their advantages have the noise of a step.
              let epsilon = Bounds.epsilonOf mdp values other
              Expect.isGreaterThanOrEqual (found |> share (fun c -> c.Epsilon >= epsilon)) 0.95 "ε′"
          } ]

let private telling =
    [ test "promise gains where γ is small, and none where it is large" {
          for gamma, promises in [ 0.02, true; 0.9, false ] do
              let (mdp, _, _) as case = stepAt gamma 0.01
              let _, ofEta = exactGains case mdp
              let found = certificates case 64 512 20
              Expect.isGreaterThan ofEta 0.0 "the exact gain"
              Expect.equal (found |> share (fun c -> c.Lower > 0.0)) (if promises then 1.0 else 0.0) $"γ = {gamma}"
              Expect.isGreaterThan (found |> share (fun c -> c.GainLow > 0.0)) 0.99 "the bound of L"
      }

      test "are below the bound of the theory, which knows ε′ and the total variation" {
          let (mdp, values, other) as case = stepAt 0.9 0.01
          let visits = Seq.sum values.Visitation
          let bound = (Bounds.value mdp values other Bound.MeanTotalVariation - values.Eta) / visits
          let found = certificates case 64 512 20
          Expect.equal (found |> share (fun c -> c.Lower <= bound)) 1.0 "below"
          let tv = Divergence.mean mdp values (Divergence.tv values.Policy other)

          for certificate in found do
              expectClose (0.1 * tv) certificate.MeanTv tv "the mean total variation"
      } ]

let tests = testList "sampled certificates of finite processes" (covering @ telling)
