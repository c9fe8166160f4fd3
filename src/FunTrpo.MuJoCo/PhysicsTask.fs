namespace FunTrpo.MuJoCo

open System
open System.IO
open FunTrpo
open FunTrpo.MuJoCo.Engine

/// From where a page shows a simulation.
type View =
    /// Along the y axis, with x to the right and z upwards. The picture moves with this body, if there is one.
    | FromTheSide of body: string option
    /// Downwards, with x to the right and y upwards: a square of this half width. The picture moves with this body, if there is one.
    | FromAbove of halfWidth: float * body: string option

/// How numbers are drawn.
type Noise =
    /// Uniformly from ± this number.
    | Uniform of halfWidth: float
    /// From a normal distribution around 0.
    | Normal of deviation: float

/// A step of a task, after it.
[<Struct>]
type PhysicsStep =
    {
        /// The simulation after the step. Its controls are the action.
        Simulation: Simulation
        /// The task's measure before the step.
        Before: float
        /// The task's measure after the step.
        After: float
        /// The time of the step, in s.
        Dt: float
    }

    /// The change of the measure in a second.
    member this.Rate = (this.After - this.Before) / this.Dt

/// A task on a model: what a policy sees, what it is rewarded for, and when an episode ends. Lengths are in m, angles in rad, times in s.
type PhysicsTask =
    {
        /// The name of the environment.
        Id: string
        /// Makes the model.
        Model: unit -> Model
        /// The number of time steps of the engine in a step of the environment.
        FrameSkip: int
        /// Sets the positions and velocities with which an episode begins. They are those of the model before.
        Start: Key -> Simulation -> unit
        /// Whether the engine computes the external forces on the bodies (`Simulation.CfrcExt`) after each step.
        ExternalForces: bool
        /// Writes the observation.
        Observe: Simulation -> Row -> unit
        /// A number of which the reward needs the value before the step, such as the position of a body.
        Measure: Simulation -> float
        /// The reward of a step.
        Reward: PhysicsStep -> float
        /// Whether the task has ended.
        Terminated: Simulation -> bool
        View: View
    }

module PhysicsTask =

    /// A task on a model, with the name of the model file as its id: positions and velocities are seen, nothing is rewarded, and no episode
    /// ends. Replace what the task needs: `{ PhysicsTask.ofModel "arm" load with Reward = … }`.
    let ofModel id (load: unit -> Model) =
        { Id = id
          Model = load
          FrameSkip = 1
          Start = fun _ _ -> ()
          ExternalForces = false
          Observe =
            fun simulation row ->
                row.Add simulation.Qpos
                row.Add simulation.Qvel
          Measure = fun _ -> 0.0
          Reward = fun _ -> 0.0
          Terminated = fun _ -> false
          View = FromAbove(1.0, None) }

    /// The same for a model file (MJCF or URDF).
    let ofFile (path: string) = ofModel (Path.GetFileNameWithoutExtension path) (fun () -> Model.Load path)

    /// A model that this assembly holds.
    let internal embedded (name: string) () =
        use stream = typeof<View>.Assembly.GetManifestResourceStream name
        use reader = new StreamReader(stream)
        Model.Parse(reader.ReadToEnd())

    /// Adds noise to numbers.
    let addNoise noise (numbers: Span<float>) key =
        let drawn =
            match noise with
            | Uniform halfWidth -> Key.uniforms numbers.Length key |> Array.map (fun u -> halfWidth * (2.0 * u - 1.0))
            | Normal deviation -> Key.normals numbers.Length key |> Array.map (fun z -> deviation * z)

        for i in 0 .. numbers.Length - 1 do
            numbers[i] <- numbers[i] + drawn[i]

    /// Begins an episode near the configuration of the model: with noise on all positions and on all velocities.
    let startNear positions velocities key (simulation: Simulation) =
        addNoise positions simulation.Qpos (Key.named "positions" key)
        addNoise velocities simulation.Qvel (Key.named "velocities" key)

    /// The sum of the squares of the controls, in float64.
    let squaredControls (simulation: Simulation) =
        let mutable sum = 0.0

        for control in simulation.Ctrl do
            sum <- sum + control * control

        sum

    /// The sum of the squares of the action, as NumPy computes it from float32: in float32, and for eight numbers in pairs of pairs.
    let squaredAction (simulation: Simulation) =
        let square i =
            let control = float32 simulation.Ctrl[i]
            control * control

        let pair i = square i + square (i + 1)

        if simulation.Ctrl.Length = 8 then
            float ((pair 0 + pair 2) + (pair 4 + pair 6))
        else
            let mutable sum = 0f

            for i in 0 .. simulation.Ctrl.Length - 1 do
                sum <- sum + square i

            float sum

    /// Whether it is so of all numbers.
    let forAll (isSo: float -> bool) (numbers: Span<float>) =
        let mutable areSo = true

        for number in numbers do
            areSo <- areSo && isSo number

        areSo

    /// Whether all numbers are finite.
    let isFinite numbers = forAll Double.IsFinite numbers

    /// The controls of a model, with their bounds.
    let internal actionSpace (model: Model) =
        let bound unlimited offset i =
            if model.ActuatorCtrllimited[i] = 0uy then
                unlimited
            else
                float32 model.ActuatorCtrlrange[2 * i + offset]

        Space.between
            (Vector.ofArray (Array.init model.Nu (bound Single.NegativeInfinity 0)))
            (Vector.ofArray (Array.init model.Nu (bound Single.PositiveInfinity 1)))
