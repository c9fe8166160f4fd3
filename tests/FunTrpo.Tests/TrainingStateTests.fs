module FunTrpo.Tests.TrainingStateTests

open System.Collections.Immutable
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Kernels
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks

let private onCartPole configuration = setupOf 1 configuration CartPole.environment

let private withReturns returns =
    { TrainingState.start (onCartPole small) 1L with
        RecentReturns = ImmutableArray.CreateRange<float> returns }

let private goals =
    testList
        "a goal"
        [ property
              "is reached if 100 episodes have a mean of at least it, and not with fewer episodes"
              (gen {
                  let! count = Gen.elements [ 0; 1; 99; 100 ]
                  let! returns = Gen.listOfLength count number
                  let! goal = number
                  return List.map float returns, float goal
              })
              (fun (returns, goal) ->
                  let expected = returns.Length = 100 && List.average returns >= goal
                  Expect.equal (TrainingState.hasReached goal (withReturns returns)) expected "reached") ]

let private width =
    test "a state records the width of the kernels' vectors" {
        let state = TrainingState.start (onCartPole small) 1L
        Expect.equal state.VectorWidth Lanes.Width "width"
    }

let private fitting =
    let other =
        [ "instances", { small with Environments = 4 }
          "policy parameters", { small with Hidden = [ 5 ] }
          "critic parameters", { small with CriticHidden = [ 4 ] } ]

    testList
        "a state of another setup is refused:"
        [ for what, configuration in other ->
              test what {
                  let state = TrainingState.start (onCartPole configuration) 1L

                  match Training.update (onCartPole small) state with
                  | Error(Mismatch why) -> Expect.stringContains why what "why"
                  | other -> failtest $"{other} is not that fault"
              } ]

let private starting =
    testList
        "startFrom"
        [ everywhere
              "goes on from a saved actor: its parameters and its normaliser, on fresh episodes"
              { new OnEnvironment with
                  member _.Check environment =
                      let setup = setupOf 1 small environment
                      let trained = iterations 3 setup (TrainingState.start setup 13L) |> last
                      let actor = TrainingState.actor setup trained
                      let state = TrainingState.startFrom setup 14L actor |> expectOk
                      Expect.equal state.PolicyParameters trained.PolicyParameters "parameters"
                      Expect.equal state.Normaliser trained.Normaliser "normaliser"

                      Expect.equal
                          (state.Iteration, state.Steps, state.Episodes, state.RecentReturns.Length)
                          (0, 0L, 0L, 0)
                          "counts"

                      let fresh = TrainingState.start setup 14L
                      Expect.equal (List.ofSeq state.Instances) (List.ofSeq fresh.Instances) "instances"
                      Expect.isTrue (same state.Critic fresh.Critic) "critic"
                      let after, report = iterations 1 setup state |> List.head
                      Expect.notEqual after.PolicyParameters state.PolicyParameters "it moved"
                      Expect.isLessThanOrEqual report.Improvement.Comparison.MeanKl small.Delta "from there" }

          testProperty
              "refuses, by its name, each setting that is not that of the actor, also where the sizes are the same"
          <| Prop.forAll
              (Gen.zip
                  (Gen.elements [ [ 6 ]; [ 7 ]; []; [ 6; 6 ] ])
                  (Gen.zip3
                      (Gen.elements [ Activation.Tanh; Activation.Sigmoid ])
                      (Gen.elements [ true; false ])
                      (Gen.elements [ true; false ]))
               |> Arb.fromGen)
              (fun (hidden, (activation, scale, normalise)) ->
                  let setup = setupOf 1 small Pendulum.environment
                  let actor = TrainingState.actor setup (TrainingState.start setup 1L)

                  let other =
                      { small with
                          Hidden = hidden
                          Activation = activation
                          ScaleActions = scale
                          NormaliseObservations = normalise }

                  let differing =
                      [ "hidden", hidden <> small.Hidden
                        "activation", activation <> small.Activation
                        "scaleActions", scale <> small.ScaleActions
                        "normaliseObservations", normalise <> small.NormaliseObservations ]
                      |> List.filter snd
                      |> List.map fst

                  match TrainingState.startFrom (setupOf 1 other Pendulum.environment) 1L actor with
                  | Error(InvalidSetting(field, _, _)) -> List.contains field differing
                  | Error _ -> false
                  | Ok state -> differing.IsEmpty && state.PolicyParameters = actor.Parameters)

          test "names the architecture that differs, whether it is a policy's or the configuration's" {
              let mixed = [ HiddenLayer.Dense(4, Activation.Tanh); HiddenLayer.Dense(6, Activation.Relu) ]

              let uniform = { small with Hidden = [ 4; 6 ] }

              let setups =
                  setupOf 1 { small with Architecture = mixed } Pendulum.environment,
                  setupOf 1 uniform Pendulum.environment

              let actor setup = TrainingState.actor setup (TrainingState.start setup 1L)
              let text = "dense 4 tanh; dense 6 relu"

              for setup, actor, value, theirs in
                  [ fst setups, actor (snd setups), text, "none"; snd setups, actor (fst setups), "", text ] do
                  match TrainingState.startFrom setup 1L actor with
                  | Error(InvalidSetting("architecture", found, allowed)) ->
                      Expect.equal found value "the value"
                      Expect.stringContains allowed theirs "that of the policy"
                  | _ -> failtest "it was not refused"

              for setup in [ fst setups; snd setups ] do
                  Expect.isOk (TrainingState.startFrom setup 1L (actor setup)) "its own"
          }

          test "takes layers with a common activation in either form" {
              let layers = Architecture.uniform [ 4; 6 ] Activation.Relu
              let text = { small with Architecture = layers }
              let units = { small with Hidden = [ 4; 6 ]; Activation = Activation.Relu }
              let setup = setupOf 1 text Pendulum.environment
              let actor = TrainingState.actor setup (TrainingState.start setup 1L)
              Expect.isOk (TrainingState.startFrom (setupOf 1 units Pendulum.environment) 1L actor) "the other form"
              Expect.equal (Configuration.ofActor actor text) (Configuration.ofActor actor units) "the configuration"
          }

          test "trains layers with different activations, in policy and critic" {
              let policy = [ HiddenLayer.Dense(4, Activation.Tanh); HiddenLayer.Dense(6, Activation.Relu) ]
              let critic = [ HiddenLayer.Dense(5, Activation.Swish); HiddenLayer.Dense(3, Activation.Tanh) ]
              let configuration = { small with Architecture = policy; CriticArchitecture = critic; Hidden = [ 9 ] }
              let setup = setupOf 1 configuration Pendulum.environment
              let start = TrainingState.start setup 1L
              let state, report = Training.update setup start |> expectOk
              Expect.isTrue report.Improvement.Outcome.IsMoved "the policy has moved"
              Expect.equal state.PolicyParameters.Length ((3 + 1) * 4 + (4 + 1) * 6 + (6 + 1) + 1) "policy"
              Expect.equal state.Critic.Parameters.Length ((3 + 1) * 5 + (5 + 1) * 3 + (3 + 1)) "critic"
              Expect.notEqual state.Critic.Parameters start.Critic.Parameters "the critic is fitted"
              let restarted = TrainingState.startFrom setup 2L (TrainingState.actor setup state) |> expectOk
              Expect.equal restarted.PolicyParameters state.PolicyParameters "the policy to start from"
          }

          test "refuses layers of the same size in another order" {
              // (3 + 1)·a + (a + 1)·b + (b + 1)·1 + 1 = (a + 2)·(b + 4) − 6 is 138 for both.
              let first, second = { small with Hidden = [ 10; 8 ] }, { small with Hidden = [ 7; 12 ] }
              let count configuration = (setupOf 1 configuration Pendulum.environment).Policy.Network.ParameterCount
              Expect.equal (count first) (count second) "sizes"
              let setup = setupOf 1 first Pendulum.environment
              let actor = TrainingState.actor setup (TrainingState.start setup 1L)

              match TrainingState.startFrom (setupOf 1 second Pendulum.environment) 1L actor with
              | Error(InvalidSetting("hidden", "7,12", allowed)) -> Expect.stringContains allowed "10,8" "allowed"
              | other -> failtest $"%A{Result.map ignore other}"
          }

          test "takes an actor for indices, which are never normalised, whatever the setting" {
              let setup = setupOf 1 { small with Hidden = [] } (withSpaces "Indexed-v0" (Discrete 1000) (Discrete 2))
              let actor = TrainingState.actor setup (TrainingState.start setup 1L)
              let state = TrainingState.startFrom setup 2L actor |> expectOk
              Expect.equal state.Normaliser Unnormalised "normaliser"
          }

          property
              "refuses an actor whose normaliser has another width than the observations, or is for indices"
              (Gen.zip (Gen.choose (1, 5)) (Gen.elements [ true; false ]))
              (fun (width, hasIndices) ->
                  let observations = if hasIndices then Discrete 7 else Space.box 3 -1.0 1.0
                  let setup = setupOf 1 small (withSpaces "Seen-v0" observations (Discrete 2))
                  let actor = TrainingState.actor setup (TrainingState.start setup 1L)
                  let actor = { actor with Normaliser = Standardise(Moments.empty width) }

                  match TrainingState.startFrom setup 1L actor with
                  | Ok state ->
                      Expect.equal (width, hasIndices) (3, false) "accepted"
                      Expect.equal state.Normaliser actor.Normaliser "normaliser"
                  | Error fault ->
                      Expect.notEqual (width, hasIndices) (3, false) "refused"
                      Expect.stringContains (Fault.message fault) "normaliser" "why")

          test "refuses an actor for another action space or another observation, though its size be the same" {
              let spaced observations actions = withSpaces "Spaced-v0" (Space.box observations -1e3 1e3) actions

              let actorOf environment =
                  let setup = setupOf 1 { small with Hidden = [] } environment
                  TrainingState.actor setup (TrainingState.start setup 1L)

              let setup = setupOf 1 { small with Hidden = [] } (spaced 2 (Discrete 4))

              for environment in
                  [ spaced 2 (MultiBinary 2) // 2·4 + 4 = 2·4 + 4 parameters
                    spaced 3 (Discrete 3) // 3·3 + 3 = 12 as well
                    spaced 5 (MultiBinary 1) ] do // 5·2 + 2 = 12 as well
                  match TrainingState.startFrom setup 1L (actorOf environment) with
                  | Error(Mismatch _) -> ()
                  | _ -> failtest $"an actor for {Space.describe environment.ActionSpace} was taken"
          } ]

let tests = testList "state" [ goals; width; fitting; starting ]
