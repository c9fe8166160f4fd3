/// The tasks of MuJoCo: their models have the numbers of Gymnasium's, and their episodes are Gymnasium's. Without the engine these tests say
/// that they did not run.
module FunTrpo.Tests.MuJoCoTests

open System
open System.IO
open System.Text.Json
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.MuJoCo
open FunTrpo.MuJoCo.Engine
open FunTrpo.Tests.CommandRuns
open FunTrpo.Tests.Generators
open FunTrpo.Tests.TestFiles

let private needsEngine () =
    match Library.Missing with
    | null -> ()
    | missing -> skiptest missing

/// A test that needs the engine.
let private engineTest name body =
    testCase name (fun () ->
        needsEngine ()
        body ())

let private fixtures = fixture [ "mujoco" ]
let private parse (path: string) = JsonDocument.Parse(File.ReadAllText path).RootElement
let private item (name: string) (element: JsonElement) = element.GetProperty name
let private numbers name element = [| for number in (item name element).EnumerateArray() -> number.GetDouble() |]
let private elements name element = [| for item in (item name element).EnumerateArray() -> item |]

// ---- Models ----

/// The numbers of a compiled model, under the names that the fixture has for them.
let private numbersOf (model: Model) =
    let doubles field width index = (model.Doubles(field, width * (index + 1))).Slice(width * index, width).ToArray()
    let whole field index = [| float (model.Ints(field, index + 1)[index]) |]
    let flag field index = [| float (model.Bytes(field, index + 1)[index]) |]

    let sizes =
        [ "nq", Layout.Model.Nq
          "nv", Layout.Model.Nv
          "nu", Layout.Model.Nu
          "nbody", Layout.Model.Nbody
          "njnt", Layout.Model.Njnt
          "ngeom", Layout.Model.Ngeom
          "nsite", Layout.Model.Nsite
          "ntendon", Layout.Model.Ntendon
          "nexclude", Layout.Model.Nexclude
          "npair", Layout.Model.Npair ]

    let wholeOptions =
        [ "integrator", Layout.Model.Integrator
          "solver", Layout.Model.Solver
          "iterations", Layout.Model.Iterations
          "cone", Layout.Model.Cone
          "jacobian", Layout.Model.Jacobian
          "collision", Layout.Model.Collision ]

    let options =
        [ "timestep", Layout.Model.Timestep
          "density", Layout.Model.Density
          "viscosity", Layout.Model.Viscosity
          "tolerance", Layout.Model.Tolerance
          "impratio", Layout.Model.Impratio ]

    let body index =
        [ "parent", whole Layout.Model.BodyParentId index
          "pos", doubles Layout.Model.BodyPos 3 index
          "quat", doubles Layout.Model.BodyQuat 4 index
          "ipos", doubles Layout.Model.BodyIpos 3 index
          "inertia", doubles Layout.Model.BodyInertia 3 index
          "mass", doubles Layout.Model.BodyMass 1 index ]

    let joint index =
        let dof = model.JntDofAdr[index]

        [ "type", whole Layout.Model.JntType index
          "body", whole Layout.Model.JntBodyId index
          "limited", flag Layout.Model.JntLimited index
          "pos", doubles Layout.Model.JntPos 3 index
          "axis", doubles Layout.Model.JntAxis 3 index
          "range", doubles Layout.Model.JntRange 2 index
          "solref", doubles Layout.Model.JntSolref 2 index
          "solimp", doubles Layout.Model.JntSolimp 5 index
          "stiffness", doubles Layout.Model.JntStiffness 1 index
          "margin", doubles Layout.Model.JntMargin 1 index
          "damping", doubles Layout.Model.DofDamping 1 dof
          "armature", doubles Layout.Model.DofArmature 1 dof
          "frictionloss", doubles Layout.Model.DofFrictionloss 1 dof ]

    let geom index =
        [ "type", whole Layout.Model.GeomType index
          "body", whole Layout.Model.GeomBodyId index
          "contype", whole Layout.Model.GeomContype index
          "conaffinity", whole Layout.Model.GeomConaffinity index
          "condim", whole Layout.Model.GeomCondim index
          "priority", whole Layout.Model.GeomPriority index
          "size", doubles Layout.Model.GeomSize 3 index
          "pos", doubles Layout.Model.GeomPos 3 index
          "quat", doubles Layout.Model.GeomQuat 4 index
          "friction", doubles Layout.Model.GeomFriction 3 index
          "solref", doubles Layout.Model.GeomSolref 2 index
          "solimp", doubles Layout.Model.GeomSolimp 5 index
          "margin", doubles Layout.Model.GeomMargin 1 index
          "gap", doubles Layout.Model.GeomGap 1 index
          "solmix", doubles Layout.Model.GeomSolmix 1 index ]

    let site index = [ "body", whole Layout.Model.SiteBodyId index; "pos", doubles Layout.Model.SitePos 3 index ]

    let actuator index =
        [ "joint", [| float (model.Ints(Layout.Model.ActuatorTrnid, 2 * (index + 1))[2 * index]) |]
          "ctrllimited", flag Layout.Model.ActuatorCtrllimited index
          "ctrlrange", doubles Layout.Model.ActuatorCtrlrange 2 index
          "gear", doubles Layout.Model.ActuatorGear 6 index ]

    let all name count numbersOf =
        [ for index in 0 .. count - 1 do
              for field, numbers in numbersOf index -> $"{name}[{index}].{field}", numbers ]

    [ for name, field in sizes -> $"sizes.{name}", [| float (model.Int field) |] ]
    @ [ for name, field in wholeOptions -> $"option.{name}", [| float (model.Int field) |] ]
    @ [ for name, field in options -> $"option.{name}", [| model.Double field |] ]
    @ [ "option.gravity", Array.init 3 (fun i -> model.Double(Layout.Model.Gravity + 8 * i))
        "qpos0", model.Qpos0.ToArray()
        "qpos_spring", (model.Doubles(Layout.Model.QposSpring, model.Nq)).ToArray()
        "geom_body", model.GeomBodyId.ToArray() |> Array.map float ]
    @ all "bodies" model.Nbody body
    @ all "joints" model.Njnt joint
    @ all "geoms" model.Ngeom geom
    @ all "sites" model.Nsite site
    @ all "actuators" model.Nu actuator

/// All numbers in a fixture, under the same names.
let rec private numbersIn name (element: JsonElement) =
    match element.ValueKind with
    | JsonValueKind.Object ->
        [ for field in element.EnumerateObject() do
              yield! numbersIn (if name = "" then field.Name else $"{name}.{field.Name}") field.Value ]
    | JsonValueKind.Array when element.GetArrayLength() > 0 && element[0].ValueKind = JsonValueKind.Object ->
        [ for index, item in Seq.indexed (element.EnumerateArray()) do
              yield! numbersIn $"{name}[{index}]" item ]
    | JsonValueKind.Array ->
        [ if element.GetArrayLength() > 0 then
              name, [| for number in element.EnumerateArray() -> number.GetDouble() |] ]
    | JsonValueKind.Number -> [ name, [| element.GetDouble() |] ]
    | _ -> []

let private models =
    [ for file in Directory.GetFiles(Path.Combine(fixtures, "models")) |> Array.sort do
          let name = Path.GetFileNameWithoutExtension file

          engineTest $"{name} has every number of Gymnasium's, to the last bit" (fun () ->
              use model = PhysicsTask.embedded $"{name}.xml" ()
              let ours = dict (numbersOf model)
              let expected = numbersIn "" (parse file)
              Expect.isGreaterThan expected.Length 50 "numbers"

              for name, numbers in expected do
                  Expect.isTrue (ours.ContainsKey name) $"{name} is compared"
                  Expect.sequenceEqual ours[name] numbers name) ]

// ---- Episodes ----

let private tasks = PhysicsTasks.tasks |> List.map _.Task
let private taskOf id = tasks |> List.find (fun task -> task.Id = id)

let private expectState (state: PhysicsState) recorded what =
    let qpos, qvel = numbers "qpos" recorded, numbers "qvel" recorded
    // The time comes first.
    Expect.sequenceEqual state.Numbers[1 .. qpos.Length] qpos $"positions {what}"
    Expect.sequenceEqual (state.Numbers.AsSpan(1 + qpos.Length, qvel.Length).ToArray()) qvel $"velocities {what}"
    let observation = numbers "observation" recorded |> Array.map float32
    Expect.sequenceEqual state.Observation observation $"observation {what}"

let private replay (environment: PhysicsEnvironment) episode =
    let steps = elements "steps" episode
    let mutable state = environment.StateAt(numbers "qpos" episode, numbers "qvel" episode)
    // The engine normalises the quaternions of the positions, so the observation is compared, and not the positions.
    Expect.sequenceEqual
        state.Observation
        (numbers "observation" episode |> Array.map float32)
        "observation at the start"

    for index, step in Array.indexed steps do
        let action = numbers "action" step |> Array.map float32
        let next = (environment :> Environment<_>).Step(Key.ofSeed 0L, ReadOnlySpan action, state)
        expectState next.State step $"after step {index + 1}"
        Expect.equal next.Terminated ((item "terminated" step).GetBoolean()) $"terminated after step {index + 1}"
        expectClose 1e-12 next.Reward ((item "reward" step).GetDouble()) $"reward of step {index + 1}"
        state <- next.State

let private episodes =
    [ for file in Directory.GetFiles(fixtures, "*.json") |> Array.sort do
          let id = Path.GetFileNameWithoutExtension file

          engineTest $"{id}: recorded episodes of Gymnasium, to the last bit" (fun () ->
              use environment = new PhysicsEnvironment(taskOf id)
              let recorded = elements "episodes" (parse file)
              Expect.isNonEmpty recorded "episodes"
              recorded |> Array.iter (replay environment)) ]

// ---- States ----

let private key = Key.ofSeed 0L

let private stepBy (environment: Environment<PhysicsState>) state (action: float32[]) =
    environment.Step(key, ReadOnlySpan action, state)

let private actionsOf (environment: Environment<PhysicsState>) seed index =
    match environment.ActionSpace with
    | Box(low, high, _) ->
        let drawn = Key.uniforms low.Length (Key.ofSeed seed |> Key.at index)
        Array.init low.Length (fun i -> low[i] + (high[i] - low[i]) * float32 drawn[i])
    | other -> failtest $"{other}"

/// The start state of an episode and the transitions after it, with drawn actions.
let private episode (environment: Environment<PhysicsState>) seed length =
    let start = environment.Reset(Key.ofSeed seed)

    let transitions =
        ({ State = start; Reward = 0.0; Terminated = false; Truncated = false }, [ 0L .. length - 1L ])
        ||> List.scan (fun transition index -> stepBy environment transition.State (actionsOf environment seed index))

    Array.ofList transitions

let private cases =
    Gen.zip3 (Gen.elements tasks) (Gen.choose (0, 10_000) |> Gen.map int64) (Gen.listOfLength 20 (Gen.choose (0, 14)))

let private engineProperty count name cases holds =
    propertyOf count name cases (fun case ->
        needsEngine ()
        holds case)

let private states =
    [ engineProperty
          20
          "are continued in any order, any number of times, on any thread and by any environment of the task, with the same bits"
          cases
          (fun (task, seed, order) ->
              use environment = new PhysicsEnvironment(task)
              use another = new PhysicsEnvironment(task)
              let transitions = episode environment seed 15L

              let again environment index =
                  stepBy environment transitions[index].State (actionsOf environment seed (int64 index))

              order
              |> Array.ofList
              |> Array.Parallel.iter (fun index ->
                  for environment in [ environment; another ] do
                      Expect.equal (again environment index) transitions[index + 1] $"{task.Id}, step {index}")

              Expect.notEqual transitions[1].State transitions[0].State "something moves")

      engineProperty 20 "come back from a checkpoint's bytes, and other bytes are refused" cases (fun (task, seed, _) ->
          use environment = new PhysicsEnvironment(task)
          let codec = StateCodec.ofEnvironment<PhysicsState> environment |> expectOk
          let state = (Array.last (episode environment seed 5L)).State
          let bytes = codec.Encode state
          Expect.equal (codec.Decode(ReadOnlyMemory bytes)) state "the state"
          let cut = ReadOnlyMemory(bytes, 0, bytes.Length - 1)
          Expect.throwsT<ArgumentException> (fun () -> codec.Decode cut |> ignore) "too short")

      engineTest "allocate only themselves" (fun () ->
          for task in tasks do
              use environment = new PhysicsEnvironment(task)
              let environment: Environment<PhysicsState> = environment
              let mutable state = environment.Reset key
              let action = actionsOf environment 1L 0L
              let step () = state <- (stepBy environment state action).State

              for _ in 1..20 do
                  step ()

              let before = GC.GetAllocatedBytesForCurrentThread()

              for _ in 1..100 do
                  step ()

              let each = float (GC.GetAllocatedBytesForCurrentThread() - before) / 100.0
              let arrays = 8 * state.Numbers.Length + 4 * state.Observation.Length
              // Two arrays and an object have headers and are rounded up to words.
              Expect.isLessThan each (float (arrays + 100)) $"{task.Id}: bytes in a step")

      engineTest "are trained on, checkpointed and resumed with the same bits" (fun () ->
          inFolder (fun folder ->
              use inner = new PhysicsEnvironment(Hopper.task)
              let environment = Environment.withTimeLimit 1000 inner
              let configuration = { Tasks.small with Environments = 3; Horizon = 40; NormaliseObservations = true }
              let setup = Tasks.setupOf 2 configuration environment
              let next state = Training.update setup state |> expectOk |> fst
              let second = TrainingState.start setup 3L |> next |> next
              let file = Path.Combine(folder, "checkpoint")
              Checkpoint.save file setup "" second |> expectOk
              let loaded = (Checkpoint.load file setup |> expectOk).State
              Expect.equal (next loaded).PolicyParameters (next second).PolicyParameters "the third iteration")) ]

// ---- Errors ----

/// The engine's error that `act` throws.
let private thrownBy act =
    try
        act ()
        failtest "nothing was thrown"
    with :? MuJoCoException as error ->
        error

let private errors =
    [ engineTest "a simulation that becomes unstable is a fault with instance and step, and others go on" (fun () ->
          use environment = new PhysicsEnvironment(Hopper.task)
          let calm = episode environment 1L 3L
          let wild = environment.StateAt(Array.create 6 1.0, Array.create 6 1e9)

          let fall () =
              let mutable state = wild

              for index in 0L .. 20L do
                  state <- (stepBy environment state (actionsOf environment 1L index)).State

          let error = thrownBy fall
          Expect.stringContains error.Message "unstable" "the message"
          Expect.equal (episode environment 1L 3L) calm "another episode"

          let starting = { Hopper.task with Start = fun _ simulation -> simulation.Qvel.Fill 1e9 }

          use unstable = new PhysicsEnvironment(starting)

          match Evaluation.play 1 unstable (fun _ -> Vector.ofArray [| 0f; 0f; 0f |]) 1 key with
          | Error(FailedEnvironment(:? MuJoCoException, "Hopper-v4", 0, step)) ->
              Expect.isGreaterThanOrEqual step 0L "the step"
          | other -> failtest $"{other}")

      engineTest "a model that the engine does not accept is refused with the engine's words" (fun () ->
          let refused xml (words: string) =
              let error = thrownBy (fun () -> (Model.Parse xml).Dispose())
              Expect.stringContains error.Message words "the message"

          refused
              "<mujoco><worldbody><body><joint type=\"none\"/></body></worldbody></mujoco>"
              "the model: XML Error: invalid keyword: 'none'"

          refused "<mujoco" "XML"
          let missing () = (Model.Load "no-such-model.xml").Dispose()
          Expect.throwsT<FileNotFoundException> missing "no file"
          use model = PhysicsTask.embedded "hopper.xml" ()
          Expect.throwsT<ArgumentException> (fun () -> model.Body "tail" |> ignore) "no body"
          Expect.equal (model.Body "torso", model.Joint "rooty", model.Geom "floor") (1, 2, 0) "names")

      test "without the engine, the command names the tasks, says how to install it, and exits with 2" {
          inFolder (fun folder ->
              let without = [ Library.PathVariable, Path.Combine(folder, "nothing") ]
              let listed = funtrpoWith without folder [ "list" ]
              Expect.equal listed.Code 0 "list"
              let trained = funtrpoWith without folder [ "train"; "--env"; "Hopper-v4"; "--steps"; "100" ]
              Expect.equal trained.Code 2 "train"

              for said in [ listed.Output; trained.Errors ] do
                  Expect.stringContains said "Hopper-v4" "the task"
                  Expect.stringContains said Library.Remedy "the remedy"

              Expect.isFalse (Directory.Exists(Path.Combine(folder, "runs"))) "no folder")
      }

      test "a library that is not MuJoCo is refused" {
          inFolder (fun folder ->
              let other = [ Library.PathVariable, typeof<obj>.Assembly.Location ]
              let listed = funtrpoWith other folder [ "list" ]
              Expect.equal listed.Code 0 "list"
              Expect.stringContains listed.Output Library.Remedy "the remedy")
      } ]

// ---- A model of one's own ----

let private arm =
    """<mujoco>
  <option timestep="0.01"/>
  <worldbody>
    <body name="upper">
      <joint name="shoulder" axis="0 1 0" damping="0.1"/>
      <geom name="bone" type="capsule" size="0.05" fromto="0 0 0 0.5 0 0"/>
      <body name="hand" pos="0.5 0 0">
        <geom name="box" type="box" size="0.1 0.05 0.05"/>
        <site name="tip" pos="0.1 0 0"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor joint="shoulder" gear="5"/>
  </actuator>
</mujoco>"""

let private own =
    [ engineTest "a model file and three functions are an environment" (fun () ->
          inFolder (fun folder ->
              let file = Path.Combine(folder, "arm.xml")
              File.WriteAllText(file, arm)

              let task =
                  { PhysicsTask.ofFile file with
                      FrameSkip = 2
                      Observe = fun simulation row -> row.Add simulation.Qpos
                      Measure = fun simulation -> simulation.SiteXpos[2]
                      Reward = fun step -> step.Rate
                      Terminated = fun simulation -> simulation.Time > 0.195
                      View = FromTheSide None }

              use environment = new PhysicsEnvironment(task)
              let start = (environment :> Environment<_>).Reset key

              let transitions =
                  ({ State = start; Reward = 0.0; Terminated = false; Truncated = false }, [ 1..10 ])
                  ||> List.scan (fun transition _ -> stepBy environment transition.State [| -0.5f |])
                  |> Array.ofList

              Expect.equal (environment :> Environment<_>).Id "arm" "the name of the file"
              let unbounded = Space.box 1 Double.NegativeInfinity Double.PositiveInfinity
              Expect.equal (environment :> Environment<_>).ActionSpace unbounded "actions without bounds"
              Expect.equal (transitions |> Array.map _.Terminated |> Array.findIndex id) 10 "the end"
              let rise = transitions |> Array.sumBy (fun transition -> transition.Reward * 0.02)

              let picture =
                  (environment :> PicturedEnvironment<_>).Picture (Array.last transitions).State |> Option.get

              let kinds =
                  picture.Shapes
                  |> List.filter (fun shape ->
                      match shape with
                      | Shape.Polygon _ -> true
                      | _ -> false)

              Expect.hasLength kinds 1 "the box"
              Expect.isTrue (abs rise > 0.0 && abs rise < 0.7) "the rewards add up to a height")) ]

let private pictures =
    [ engineTest "show all nine tasks in a frame that stays, and they move" (fun () ->
          for task in tasks do
              use environment = new PhysicsEnvironment(task)
              let transitions = episode environment 2L 20L

              let drawn =
                  [ for transition in transitions ->
                        (environment :> PicturedEnvironment<_>).Picture transition.State |> Option.get ]

              let frame (picture: Picture) = picture.Left, picture.Right, picture.Bottom, picture.Top
              Expect.hasLength (drawn |> List.distinctBy frame) 1 $"{task.Id}: the frame"
              Expect.hasLength (List.distinct drawn) drawn.Length $"{task.Id}: each is another")

      engineTest "show a geom where the engine has it" (fun () ->
          use environment = new PhysicsEnvironment(Hopper.task)
          let state = environment.StateAt([| 3.0; 1.25; 0.0; 0.0; 0.0; 0.0 |], Array.zeroCreate 6)
          let picture = (environment :> PicturedEnvironment<_>).Picture state |> Option.get

          // The torso, in the middle of the picture: a capsule of radius 0.05 from the height 1.05 to 1.45.
          let torso =
              picture.Shapes
              |> List.pick (fun shape ->
                  match shape with
                  | Shape.Line([ struct (x0, z0); struct (x1, z1) ], width, Colour.Accent) ->
                      Some [ width; x0; x1; min z0 z1; max z0 z1 ]
                  | _ -> None)

          List.iter2
              (fun actual expected -> expectClose 1e-12 actual expected "torso")
              torso
              [ 0.1; 0.0; 0.0; 1.05; 1.45 ]) ]

let tests =
    testList
        "MuJoCo"
        [ testList "models" models
          testList "episodes" episodes
          testList "states" states
          testList "errors" errors
          testList "models of one's own" own
          testList "pictures" pictures ]
