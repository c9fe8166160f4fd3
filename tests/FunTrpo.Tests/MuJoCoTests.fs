/// The tasks of MuJoCo: their models have the numbers of Gymnasium's, and their episodes are Gymnasium's. Without the engine these tests say
/// that they did not run.
module FunTrpo.Tests.MuJoCoTests

open System
open System.IO
open System.Text.Json
open Expecto
open FunTrpo
open FunTrpo.MuJoCo
open FunTrpo.MuJoCo.Engine
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
let private property (name: string) (element: JsonElement) = element.GetProperty name
let private numbers name element = [| for number in (property name element).EnumerateArray() -> number.GetDouble() |]
let private elements name element = [| for item in (property name element).EnumerateArray() -> item |]

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

let private taskOf id = PhysicsTasks.tasks |> List.find (fun task -> task.Id = id)

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
        Expect.equal next.Terminated ((property "terminated" step).GetBoolean()) $"terminated after step {index + 1}"
        expectClose 1e-12 next.Reward ((property "reward" step).GetDouble()) $"reward of step {index + 1}"
        state <- next.State

let private episodes =
    [ for file in Directory.GetFiles(fixtures, "*.json") |> Array.sort do
          let id = Path.GetFileNameWithoutExtension file

          engineTest $"{id}: recorded episodes of Gymnasium, to the last bit" (fun () ->
              use environment = new PhysicsEnvironment(taskOf id)
              let recorded = elements "episodes" (parse file)
              Expect.isNonEmpty recorded "episodes"
              recorded |> Array.iter (replay environment)) ]

let tests = testList "MuJoCo" [ testList "models" models; testList "episodes" episodes ]
