namespace FunTrpo.Bench

open System
open System.Collections.Immutable
open FunTrpo
open FunTrpo.Environments

/// The parts of one update on synthetic data, as functions that can be called repeatedly.
[<NoComparison; NoEquality>]
type UpdateSubject =
    {
        /// Computes one Fisher-vector product.
        Product: unit -> unit
        /// Computes the surrogate and its gradient at the old parameters.
        Gradient: unit -> unit
        /// Improves the policy: gradient, conjugate gradient, step length and line search.
        Actor: unit -> unit
        /// Does the same with products on a tenth of the rows, or of the sequences (`fisherFraction`).
        SampledActor: unit -> unit
        /// Improves the policy by the epochs of PPO instead.
        Ppo: unit -> unit
        /// Fits the critic by Adam.
        Critic: unit -> unit
        /// Runs the actor and the critic side by side, as in training.
        Update: unit -> unit
        /// The numbers of conjugate-gradient iterations and line-search evaluations that the actor made.
        Counts: int * int
        /// The number of the policy's parameters.
        Parameters: int
    }

/// The arithmetic of the parts of an update, in multiplications of a number by a weight, each with an addition, for each sample. Biases,
/// activations, the metric, distributions and steps of Adam are left out.
[<NoComparison; NoEquality>]
type Arithmetic =
    {
        /// The forward pass and the gradient of the surrogate.
        Gradient: float
        /// One Fisher-vector product on all rows.
        Product: float
        Actor: float
        SampledActor: float
        Ppo: float
    }

/// The operations of a dense layer with tanh on a block of rows.
[<NoComparison; NoEquality>]
type LayerSubject =
    {
        /// Computes the outputs and the activation derivatives.
        Linearize: unit -> unit
        Pushforward: unit -> unit
        Pullback: unit -> unit
    }

/// A part of training on CartPole.
[<NoComparison; NoEquality>]
type RolloutSubject =
    {
        Run: unit -> unit
        /// The number of environment steps of one run.
        Steps: int
        /// The size of the result of a run, in bytes.
        Bytes: float
    }

/// The measured operations, as closures over the pipeline.
module Subjects =

    /// The numbers of conjugate-gradient iterations, of line-search evaluations, of epochs of Adam and of rows of a minibatch in an update.
    /// The peer uses the same. One further product computes the length of the step.
    let products, evaluations, epochs, minibatch = 10, 1, 10, 128

    /// The value of a result. A fault ends the benchmark with its message.
    let orFail result = result |> Result.defaultWith (fun fault -> failwith (Fault.message fault))

    /// An environment that has only spaces, to create policies and critics for. It is never stepped.
    let private spaceOnly name observations actions =
        { new Environment<int> with
            member _.Id = $"Spaces of {name}"
            member _.ObservationSpace = observations
            member _.ActionSpace = actions
            member _.Reset _ = 0

            member _.Step(_, _, state) = { State = state; Reward = 0.0; Terminated = true; Truncated = false }

            member _.Observe(_, observation) = observation.Clear() }

    let private spaces shape =
        let width = Shape.outputs shape

        match shape.Family with
        | Categorical -> Discrete width
        | Gaussian -> Space.box width -10.0 10.0
        |> spaceOnly shape.Name (Space.box (Shape.inputs shape) -10.0 10.0)

    /// Settings that always use the given numbers of iterations and evaluations, whatever the result.
    let private improvement: ImprovementSettings =
        { Direction = NaturalGradient { Iterations = products; Tolerance = 0.0 }
          StepRule = TrustRegionStep(0.01, { Tries = evaluations; Ratio = 0.8 })
          Damping = 0.1
          DampedLength = true
          FisherFraction = 1.0
          DeltaShrinkage = 0.0
          Ppo = None }

    /// The fraction of the rows for products on a sample of them: that of the TRPO paper (appendix C).
    let private sampled = 0.1

    /// As many epochs and rows of a minibatch as the critic's fit has.
    let private ppo: PpoSettings =
        { ClipRange = 0.2
          Adam = { LearningRate = 1e-3; Epochs = epochs; BatchSize = minibatch }
          TargetKl = infinity }

    let private countsOf (improvement: Improvement) =
        let iterations = improvement.Solution |> Option.map _.Iterations |> Option.defaultValue 0
        iterations, improvement.Outcome.Tries

    let private normals name rows columns =
        Matrix.Create(rows, columns, Fill(fun numbers -> Key.fillNormal numbers (Key.named name (Key.ofSeed 1L))))

    let private column name rows =
        let numbers = normals name rows 1
        ImmutableArray.CreateRange(Seq.init rows (fun row -> float numbers[row, 0]))

    /// Returns random parameters that keep the scale of the activations from layer to layer. The library's initial parameters are
    /// orthogonal, which takes long to compute for wide layers.
    let private parametersOf name shape count =
        normals name 1 count |> Matrix.flatten |> Vector.scale (1.0 / sqrt (float (List.max shape.Units)))

    /// Samples an action of the policy for each row.
    let private actionsOf (policy: Policy) parameters sequences observations =
        use at = Network.linearizeSequences policy.Network parameters sequences observations
        let distributions = at.Outputs
        let width = policy.Family.ActionWidth

        Matrix.Create(
            distributions.Rows,
            width,
            Fill(fun all ->
                for row in 0 .. distributions.Rows - 1 do
                    let key = Key.at (int64 row) (Key.ofSeed 2L)
                    policy.Family.Sample(distributions.Row row, key, all.Slice(row * width, width)))
        )

    /// The samples as sequences that begin no new episode, for a network with memory.
    let private sequencesOf (network: Network) batch count =
        if network.Memory = 0 then
            None
        else
            Some
                { Count = count
                  Length = batch / count
                  Begins = ImmutableArray.CreateRange(Array.zeroCreate<bool> batch)
                  Memory = Matrix.init count network.Memory (fun _ _ -> 0f) }

    /// Returns the stages of an update of a setup at these parameters. Observations, advantages and returns are standard normal; actions are
    /// sampled from the policy.
    let private ofSetup (setup: Setup<int>) batch sequences parameters criticParameters =
        let policy, critic, threads = setup.Policy, setup.Critic, setup.Threads
        let observations = normals "observations" batch policy.Network.Inputs
        let advantages = column "advantages" batch
        let returns = column "returns" batch

        let policySequences, criticSequences =
            sequencesOf policy.Network batch sequences, sequencesOf critic batch sequences

        let actions = actionsOf policy parameters policySequences observations
        let criticState = Critic.start Plain criticParameters
        let v = normals "tangent" 1 policy.Network.ParameterCount |> Matrix.flatten

        let surrogate () =
            Surrogate.ofSequences threads policy policySequences observations actions advantages parameters

        let improve fraction =
            use surrogate = surrogate ()

            TrustRegion.improve { improvement with FisherFraction = fraction } surrogate
            |> Result.defaultWith failwith

        let gradient () =
            use surrogate = surrogate ()
            Surrogate.gradient surrogate |> ignore

        let improveByPpo () =
            use surrogate = surrogate ()
            Ppo.improve ppo (Key.ofSeed 6L) Adam.none surrogate |> Result.defaultWith failwith |> ignore

        let settings = MinibatchAdam { LearningRate = 1e-3; Epochs = epochs; BatchSize = minibatch }

        let fit () =
            CriticFit.fitSequences settings critic criticSequences observations returns (Key.ofSeed 5L) criticState

        let fisher = lazy (surrogate () |> Fisher.matrix improvement.Damping improvement.FisherFraction)
        let product = Array.zeroCreate<float32> v.Length
        let actor () = improve 1.0 |> ignore
        let fitCritic () = fit () |> ignore

        { Product = fun () -> fisher.Value.Product v (product.AsMemory())
          Gradient = gradient
          Actor = actor
          SampledActor = fun () -> improve sampled |> ignore
          Ppo = improveByPpo
          Critic = fitCritic
          Update = fun () -> Parallel.both threads actor fitCritic |> ignore
          Counts = countsOf (improve 1.0)
          Parameters = policy.Network.ParameterCount }

    /// Returns the stages of an update of this shape.
    let ofShape threads shape =
        let configuration =
            { Configuration.standard with Hidden = Shape.hidden shape; CriticHidden = Shape.hidden shape }

        let setup = Setup.create threads configuration (spaces shape) |> orFail
        let parameters name count = parametersOf name shape count

        ofSetup
            setup
            shape.Batch
            shape.Batch
            (parameters "policy" setup.Policy.Network.ParameterCount)
            (parameters "critic" setup.Critic.ParameterCount)

    /// Returns the stages of an update of a network with this architecture.
    let ofArchitecture threads (shape: ArchitectureShape) =
        let layers = Architecture.parse shape.Architecture |> Result.defaultWith failwith

        let configuration = { Configuration.standard with Architecture = layers; CriticArchitecture = layers }

        let spaces =
            spaceOnly shape.Name (Space.boxOfShape shape.Observation -10.0 10.0) (Discrete shape.Actions)

        let setup = Setup.create threads configuration spaces |> orFail
        let initial (network: Network) = network.Initialise(Key.ofSeed 3L)
        ofSetup setup shape.Batch shape.Sequences (initial setup.Policy.Network) (initial setup.Critic)

    /// The numbers of multiplications by the weights of such a network for one sample: those of all layers, and those of the first layer with
    /// its input. A convolution is counted as a dense layer for each patch of a picture, and a layer with memory as one for each of its gates.
    let private multiplications (shape: ArchitectureShape) outputs =
        let layers = Architecture.parse shape.Architecture |> Result.defaultWith failwith
        let space = Space.boxOfShape shape.Observation -10.0 10.0
        let shapes = Architecture.shapes space layers |> Result.defaultWith failwith
        let size (shape: int list) = List.fold (fun product side -> product * float side) 1.0 shape

        /// Those with the input of a layer, and those with its memory.
        let ofLayer (input: int list, output: int list, layer) =
            match layer with
            | HiddenLayer.Dense(units, _) -> size input * float units, 0.0
            | HiddenLayer.Convolution(_, window, _) ->
                size output * float (window.Height * window.Width * List.last input), 0.0
            | HiddenLayer.Gru units -> 3.0 * size input * float units, 3.0 * float (units * units)
            | HiddenLayer.Lstm units -> 4.0 * size input * float units, 4.0 * float (units * units)
            | _ -> 0.0, 0.0

        let last = float outputs * size (List.last shapes)

        let counts = List.zip3 (List.take layers.Length shapes) (List.tail shapes) layers |> List.map ofLayer

        last + List.sumBy (fun (ofInput, ofMemory) -> ofInput + ofMemory) counts, fst counts.Head

    /// The number of floating-point operations that one Fisher-vector product of such a network needs, as `Shape.productFlops` counts them.
    /// The memory of a layer counts as an input with a tangent and a cotangent.
    let productFlopsOfArchitecture (shape: ArchitectureShape) =
        let all, first = multiplications shape shape.Actions
        float shape.Batch * (8.0 * all - 4.0 * first)

    /// The arithmetic of an improvement of such a policy. A forward pass needs one matrix product for each layer, a gradient two more, or one
    /// for the first layer, and a Fisher-vector product four, or two for the first layer. Products on a sample also need a forward pass of it.
    let arithmetic (shape: ArchitectureShape) =
        let forward, first = multiplications shape shape.Actions
        let gradient = 3.0 * forward - first
        let product = 4.0 * forward - 2.0 * first
        let evaluations = float evaluations * forward
        let improve fraction = gradient + float (products + 1) * fraction * product + evaluations

        { Gradient = gradient
          Product = product
          Actor = improve 1.0
          SampledActor = improve sampled + sampled * forward
          Ppo = gradient + float epochs * gradient + forward }

    /// The number of floating-point operations that a whole update needs: a gradient, the products, the evaluations of the line search, and the
    /// gradients of the critic's fit. A gradient needs three matrix products for each layer, and two for the first.
    let updateFlopsOfArchitecture (shape: ArchitectureShape) =
        let gradient outputs =
            let all, first = multiplications shape outputs
            6.0 * all - 2.0 * first

        let evaluation = 2.0 * fst (multiplications shape shape.Actions)
        let actor = gradient shape.Actions + float evaluations * evaluation

        float shape.Batch * (actor + float epochs * gradient 1)
        + float (products + 1) * productFlopsOfArchitecture shape

    /// Returns a layer with the given numbers of inputs and outputs on a block of rows, on one thread.
    let ofLayer rows inputs outputs =
        let network = Network.create [ inputs ] (Dense.hidden outputs Activation.Tanh)
        let parameters = network.Initialise(Key.ofSeed 3L)
        let observations = normals "observations" rows inputs
        let at = Network.linearize network parameters observations
        let v = normals "tangent" 1 network.ParameterCount |> Matrix.flatten
        let u = normals "cotangent" rows outputs
        let cotangent = Array.zeroCreate<float32> network.ParameterCount

        { Linearize =
            fun () ->
                use at = Network.linearize network parameters observations
                ignore at
          Pushforward = fun () -> at.Pushforward v |> ignore
          Pullback = fun () -> at.Pullback(u, cotangent.AsMemory()) }

    let private cartPole threads environments horizon =
        let configuration = { Configuration.standard with Environments = environments; Horizon = horizon }

        let setup = Setup.create threads configuration CartPole.environment |> orFail
        setup, TrainingState.start setup 0L

    let private bytesOfBatch (batch: Batch) =
        let numbers (m: Matrix) = 4 * m.Rows * m.Columns
        let rewards = sizeof<float> * batch.Rewards.Length
        let ends = sizeof<End> * batch.Ends.Length
        let episodes = sizeof<Episode> * batch.Episodes.Length

        float (
            numbers batch.Observations
            + numbers batch.Actions
            + numbers batch.BootstrapObservations
            + rewards
            + ends
            + episodes
        )

    let private bytesOfState (state: TrainingState<'State>) =
        let vectors =
            [ state.PolicyParameters
              state.Critic.Parameters
              state.Critic.Optimiser.FirstMoment
              state.Critic.Optimiser.SecondMoment ]

        let instances = sizeof<Instance<'State>> * state.Instances.Length
        let returns = sizeof<float> * state.RecentReturns.Length
        float (4 * List.sumBy (fun (v: Vector) -> v.Length) vectors + instances + returns)

    /// A rollout on CartPole.
    let rollout threads environments horizon =
        let setup, state = cartPole threads environments horizon
        let collect () = Stages.rollout horizon setup state |> orFail |> fst

        { Run = fun () -> collect () |> ignore
          Steps = environments * horizon
          Bytes = bytesOfBatch (collect ()) }

    /// A rollout on CartPole, the critic's values and GAE.
    let rolloutAndEstimate threads environments horizon =
        let setup, state = cartPole threads environments horizon

        { rollout threads environments horizon with
            Run =
                fun () ->
                    let batch, _ = Stages.rollout horizon setup state |> orFail
                    Stages.advantageBatch setup state batch |> ignore }

    /// Steps all instances of an environment on one thread for some rounds. A finished episode is followed by a new one. The actions are
    /// alternately 0 and 1.
    let private stepAll (environment: Environment<'State>) (states: 'State[]) rounds =
        let key = Key.ofSeed 0L
        let actions = [| 0f; 1f |]

        for round in 1..rounds do
            let action = ReadOnlySpan(actions, round &&& 1, 1)

            for i in 0 .. states.Length - 1 do
                let next = environment.Step(key, action, states[i])

                states[i] <-
                    if next.Terminated || next.Truncated then environment.Reset(Key.at (int64 i) key) else next.State

    /// The CartPole environment alone, on one thread.
    let environmentAlone instances rounds =
        let states =
            Array.init instances (fun i -> CartPole.environment.Reset(Key.at (int64 i) (Key.ofSeed 0L)))

        { Run = fun () -> stepAll CartPole.environment states rounds
          Steps = instances * rounds
          Bytes = 0.0 }

    /// Returns two functions: the first makes a number of iterations of the default CartPole run and continues from the last call; the
    /// second returns the bytes of a batch and of the state.
    let iterations threads =
        let registered = Registry.tryFind CartPole.environment.Id |> Option.get
        let configuration = registered.Preset
        let setup = Setup.create threads configuration CartPole.environment |> orFail
        let mutable state = TrainingState.start setup 0L

        let bytesOfOne =
            lazy (Stages.rollout configuration.Horizon setup state |> orFail |> fst |> bytesOfBatch)

        let advance count =
            for _ in 1..count do
                state <- Training.update setup state |> orFail |> fst

        advance, fun () -> bytesOfOne.Value + bytesOfState state

    /// Returns two functions that compute a number of actions of a 64 × 64 policy on CartPole, one at a time through the C# facade: the
    /// most probable actions, and sampled actions.
    let acting () =
        let policy = FunTrpo.CSharp.Trpo.For("CartPole-v1").Start().Policy
        let observation = [| 0.1f; -0.2f; 0.03f; 0.4f |]
        let random = Random 1
        let mutable sum = 0 // The results are used, so that the compiler cannot remove a call.

        let act count =
            for _ in 1..count do
                sum <- sum + policy.Act(ReadOnlySpan observation)

        let sample count =
            for _ in 1..count do
                sum <- sum + policy.Sample(ReadOnlySpan observation, random)

        act, sample
