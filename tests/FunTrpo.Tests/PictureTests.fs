/// Pictures of states, and recorded episodes.
module FunTrpo.Tests.PictureTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Exact
open FunTrpo.Tests.Generators
open FunTrpo.Tests.ReplayPointTests
open FunTrpo.Tests.Tasks

let private points shape =
    match shape with
    | Shape.Line(points, _, _)
    | Shape.Polygon(points, _) -> points
    | Shape.Circle(centre, _, _)
    | Shape.Text(centre, _, _, _) -> [ centre ]

/// The pictures of an episode of an untrained policy.
let private recorded (environment: Environment<'State>) seed =
    let setup = setupOf 1 { Tasks.small with Environments = 1 } environment
    let actor = TrainingState.actor setup (TrainingState.start setup seed)
    actor, Recording.play environment actor (Key.ofSeed seed) |> expectOk

let private expectPictures (environment: Environment<'State>) seed =
    let actor, recording = recorded environment seed
    let scores = Evaluation.run 1 environment actor 1 (Key.ofSeed seed) |> expectOk
    Expect.equal recording.Return scores.Mean "the return of the evaluation"
    Expect.equal recording.Rewards.Length scores.Lengths[0] "steps"
    Expect.equal recording.Actions.Length scores.Lengths[0] "actions"
    Expect.equal recording.Pictures.Length (scores.Lengths[0] + 1) "pictures"

    for picture in recording.Pictures do
        let first = recording.Pictures[0]

        Expect.equal
            (picture.Left, picture.Right, picture.Bottom, picture.Top)
            (first.Left, first.Right, first.Bottom, first.Top)
            "one frame"

        Expect.isTrue (picture.Left < picture.Right && picture.Bottom < picture.Top) "a frame"

        for shape in picture.Shapes do
            for struct (x, y) in points shape do
                Expect.isTrue (Double.IsFinite x && Double.IsFinite y) "finite"

    recording.Pictures

let private drawn =
    [ for registered in Registry.classic @ Registry.pixels do
          testPropertyWithConfig
              { FsCheckConfig.defaultConfig with maxTest = 3 }
              $"of {registered.Id}: one more than steps, of one frame, and they move"
          <| fun (seed: int) ->
              registered.Use
                  { new EnvironmentUse<bool> with
                      member _.With environment =
                          let pictures = expectPictures environment (int64 seed)
                          pictures |> Seq.distinct |> Seq.length > 1 }
              |> fun move -> Expect.isTrue move "they move"

      testProperty "of finite processes: the cell of the state, in reading order"
      <| fun (seed: int) ->
          let mdp = Builders.frozenLake4 0.9 true
          let environment = Simulation.ofMdp mdp |> Environment.withTimeLimit 20
          expectPictures environment (int64 seed) |> ignore

          for state in 0..15 do
              let picture = Picture.ofState (Simulation.ofMdp mdp) state |> Option.get

              let x, y =
                  match List.last picture.Shapes with
                  | Shape.Circle(struct (x, y), _, _) -> x, y
                  | other -> failtest $"{other}"

              Expect.equal (x, y) (float (state % 4), float (3 - state / 4)) "place"

              let colours =
                  picture.Shapes
                  |> List.choose (function
                      | Shape.Polygon(_, colour) -> Some colour
                      | _ -> None)

              let expected =
                  "SFFFFHFHFFFHHFFG"
                  |> Seq.map (function
                      | 'H' -> Colour.Danger
                      | 'G' -> Colour.Goal
                      | _ -> Colour.Muted)
                  |> List.ofSeq

              Expect.equal colours expected "holes and the goal"

      test "are missing where an environment draws none" {
          let environment = failingWith (fun () -> nan) 1_000_000
          Expect.isNone (Picture.ofState environment 0) "none"
      } ]

let private truths =
    [ test "show an upright pole, a hanging acrobot and an upright pendulum as such" {
          let ends (environment: obj) (state: 'State) =
              match
                  (Picture.ofState environment state |> Option.get).Shapes
                  |> List.choose (function
                      | Shape.Line(points, _, Colour.Accent) -> Some points
                      | _ -> None)
              with
              | [ [ from; ``to`` ] ] -> from, ``to``
              | other -> failtest $"{other}"

          let timed inner = { Inner = inner; Elapsed = 0 }

          let struct (x, y), struct (tipX, tipY) =
              ends
                  CartPole.environment
                  (timed
                      { CartPole.Position = 1.0
                        CartPole.Velocity = 0.0
                        CartPole.Angle = 0.0
                        CartPole.AngularVelocity = 0.0 })

          Expect.equal (x, tipX) (1.0, 1.0) "the pole stands on the cart"
          Expect.floatClose Accuracy.high (tipY - y) (2.0 * CartPole.halfLength) "upright"

          let _, struct (tipX, tipY) =
              ends Pendulum.environment (timed { Pendulum.Angle = 0.0; Pendulum.AngularVelocity = 0.0 })

          Expect.equal (tipX, tipY) (0.0, Pendulum.length) "the pendulum is upright"

          let _, struct (tipX, tipY) =
              ends
                  Acrobot.environment
                  (timed
                      { Acrobot.Angle1 = 0.0; Acrobot.Angle2 = 0.0; Acrobot.Velocity1 = 0.0; Acrobot.Velocity2 = 0.0 })

          Expect.equal (tipX, tipY) (0.0, -2.0) "the acrobot hangs"
      } ]

/// The walk of the tests of replay points, which draws a circle where it is, and counts its steps.
type private DrawnWalk(steps: int ref) =
    let walk: Simulator = new Walk(ignore)
    let mutable place = 0f

    interface PicturedSimulator with
        member _.Id = walk.Id
        member _.ObservationSpace = walk.ObservationSpace
        member _.ActionSpace = walk.ActionSpace

        member _.Reset(seed, observation) =
            walk.Reset(seed, observation)
            place <- observation[0]

        member _.Step(action, observation) =
            steps.Value <- steps.Value + 1
            let result = walk.Step(action, observation)
            place <- observation[0]
            result

        member _.Picture() =
            let circle = Shape.Circle(struct (float place, 0.0), 1.0, Colour.Body)
            Some { Left = -100.0; Right = 100.0; Bottom = -1.0; Top = 1.0; Shapes = [ circle ] }

let private simulators =
    [ property
          "of mutable simulators: in any order, any number of times, that of the state"
          (Gen.zip (Gen.listOf (Gen.elements [ -1f; 0.25f; 0.5f ])) (Gen.listOf (Gen.choose (0, 100))))
          (fun (actions, order) ->
              let steps = ref 0
              use environment = Simulator.environment (fun () -> DrawnWalk steps)
              let start = (environment :> Environment<_>).Reset(Key.ofSeed 1L)

              // The last action ends the episode.
              let points =
                  (start, actions @ [ 9f ])
                  ||> List.scan (fun state action -> (step action state environment).State)
                  |> Array.ofList

              for i in order do
                  let point = points[i % points.Length]
                  let picture = Picture.ofState environment point |> Option.get
                  let expected = Shape.Circle(struct (float (seen point environment), 0.0), 1.0, Colour.Body)
                  Expect.equal picture.Shapes [ expected ] "where it is")

      test "of mutable simulators that play an episode: they play it again only for the state after its end" {
          let steps = ref 0
          use environment = Simulator.environment (fun () -> DrawnWalk steps)
          let mutable state = (environment :> Environment<_>).Reset(Key.ofSeed 1L)

          for action in [ 0.5f; 0.25f; 9f ] do
              Expect.isSome (Picture.ofState environment state) "a picture"
              state <- (step action state environment).State

          Expect.equal steps.Value 3 "no episode is played again"
          Expect.isSome (Picture.ofState environment state) "the last picture"
          Expect.equal steps.Value 6 "for the state after the end, once"
      }

      test "of simulators that draw nothing are missing" {
          use environment = walks ()
          let state = (environment :> Environment<_>).Reset(Key.ofSeed 1L)
          Expect.isNone (Picture.ofState environment state) "none"
          Expect.isFalse (Recording.isDrawn environment (Key.ofSeed 1L)) "not drawn"
          Expect.isTrue (Recording.isDrawn CartPole.environment (Key.ofSeed 1L)) "drawn"
      } ]

let tests =
    testList "pictures" [ testList "of episodes" drawn; testList "of states" truths; testList "drawn" simulators ]
