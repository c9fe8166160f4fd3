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
    [ for registered in Registry.all do
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

let tests = testList "pictures" [ testList "of episodes" drawn; testList "of states" truths ]
