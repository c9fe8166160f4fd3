module FunTrpo.Tests.CriticFitTests

open System
open System.Collections.Immutable
open Expecto
open FsCheck
open FsCheck.FSharp
open MathNet.Numerics.LinearAlgebra
open FunTrpo
open FunTrpo.Tests.Generators

/// Observations, and what the critic should say of them.
type private Task = { Seed: int64; Network: Network; Observations: FunTrpo.Matrix; Returns: ImmutableArray<float> }

let private tasksOf hidden =
    Gen.map4
        (fun seed inputs rows logScale ->
            let key = Key.ofSeed seed
            let numbers = Key.normals (rows * inputs) (Key.named "observations" key)
            let weights = Key.normals inputs (Key.named "weights" key)
            let noise = Key.normals rows (Key.named "noise" key)
            let observations = Matrix.init rows inputs (fun r c -> float32 numbers[r * inputs + c])

            let target row =
                let linear = Seq.sum (Seq.init inputs (fun c -> weights[c] * float observations[row, c]))
                10.0 ** (float logScale / 100.0) * (1.5 + linear + sin (2.0 * linear) + 0.1 * noise[row])

            { Seed = seed
              Network = Critic.create (Architecture.uniform hidden Activation.Tanh) (numbersOf inputs)
              Observations = observations
              Returns = ImmutableArray.CreateRange(Seq.init rows target) })
        seeds
        (Gen.choose (1, 4))
        (Gen.choose (20, 150))
        (Gen.choose (-100, 100))
    |> Arb.fromGen

let private tasks = tasksOf [ 8 ]
let private linearTasks = tasksOf []

let private begin' task = Critic.start Plain (task.Network.Initialise(Key.named "critic" (Key.ofSeed task.Seed)))

let private key task = Key.named "fit" (Key.ofSeed task.Seed)

let private tryFit settings task state =
    CriticFit.fit settings task.Network task.Observations task.Returns (key task) state

let private fit settings task state = tryFit settings task state |> Result.defaultWith failtest

let private values task (state: CriticState) = Critic.values task.Network state task.Observations

let private meanSquare (xs: seq<float>) = xs |> Seq.averageBy (fun x -> x * x)

let private errorOf task state = Seq.map2 (-) (values task state) task.Returns |> meanSquare

let private cg = { Iterations = 20; Tolerance = 1e-6 }

let private lineSearch = { Tries = 10; Ratio = 0.5 }

let private adamWith learningRate epochs batchSize =
    MinibatchAdam { LearningRate = learningRate; Epochs = epochs; BatchSize = batchSize }

let private standardGaussNewton: GaussNewtonSettings =
    { Delta = 0.1; Steps = 1; Damping = 1e-3; ConjugateGradient = cg; LineSearch = lineSearch }

let private gaussNewton delta steps = GaussNewton { standardGaussNewton with Delta = delta; Steps = steps }

/// The settings with this times the limit of the trust region, if they have one.
let private withLimit factor settings =
    match settings with
    | GaussNewton own -> GaussNewton { own with Delta = factor * own.Delta }
    | MinibatchAdam _ -> settings

let private close tolerance (expected: float) actual = abs (expected - actual) <= tolerance * max 1.0 (abs expected)

// ---- Adam, once more, in float64 on a linear critic ----

/// The gradient of the mean squared error of V(s) = w·s + b over some of the rows, with b last.
let private gradientOver (rows: int[]) task (parameters: float[]) =
    let inputs = task.Observations.Columns
    let x row c = if c = inputs then 1.0 else float task.Observations[row, c]

    let errors =
        rows
        |> Array.map (fun row -> Seq.sum (Seq.init (inputs + 1) (fun c -> parameters[c] * x row c)) - task.Returns[row])

    Array.init (inputs + 1) (fun c ->
        2.0 / float rows.Length * Array.sum (Array.map2 (fun row error -> error * x row c) rows errors))

let private allRows task = [| 0 .. task.Observations.Rows - 1 |]

let private linearGradient task parameters = gradientOver (allRows task) task parameters

/// Kingma and Ba (2014), algorithm 1, a step for each minibatch.
let private referenceAdam learningRate (minibatches: seq<int[]>) task (parameters: float[]) =
    let beta1, beta2, epsilon = 0.9, 0.999, 1e-8

    let zeros = Array.map (fun _ -> 0.0) parameters

    ((parameters, zeros, zeros), Seq.indexed minibatches)
    ||> Seq.fold (fun (theta, m, v) (before, rows) ->
        let t = before + 1
        let g = gradientOver rows task theta
        let m = Array.map2 (fun m g -> beta1 * m + (1.0 - beta1) * g) m g
        let v = Array.map2 (fun v g -> beta2 * v + (1.0 - beta2) * g * g) v g

        let step m v =
            let mHat = m / (1.0 - beta1 ** float t)
            let vHat = v / (1.0 - beta2 ** float t)
            learningRate * mHat / (sqrt vHat + epsilon)

        Array.map2 (-) theta (Array.map2 step m v), m, v)

let private lowersError settings =
    testPropertyWithConfig (few 50) "lowers the mean squared error"
    <| Prop.forAll tasks (fun task ->
        let start = begin' task
        errorOf task (fit settings task start) < errorOf task start)

let private adam =
    testList
        "Adam"
        [ lowersError (adamWith 1e-2 20 16)

          testProperty "takes the first step that the paper's formulas give: θ − α·g/(|g| + ε)"
          <| Prop.forAll linearTasks (fun task ->
              let start = begin' task
              let learningRate = 0.01
              let after = fit (adamWith learningRate 1 task.Returns.Length) task start
              let before = Oracle.floats start.Parameters
              let gradient = linearGradient task before

              after.Optimiser.Steps = 1L
              && Seq.forall
                  (fun i ->
                      let g = gradient[i]
                      let expected = before[i] - learningRate * g / (abs g + 1e-8)

                      // Where the gradient nearly vanishes its sign is a matter of rounding.
                      abs g < 1e-4
                      || close 1e-6 expected (float after.Parameters[i])
                         && close 1e-4 (0.1 * g) (float after.Optimiser.FirstMoment[i])
                         && close 1e-4 (0.001 * g * g) (float after.Optimiser.SecondMoment[i]))
                  (seq { 0 .. gradient.Length - 1 }))

          testProperty "takes the first ten steps that a float64 Adam takes, and goes on over two fits as over one"
          <| Prop.forAll linearTasks (fun task ->
              let start = begin' task
              let all = task.Returns.Length
              let learningRate = 0.01
              let atOnce = fit (adamWith learningRate 10 all) task start
              let inTwo = start |> fit (adamWith learningRate 4 all) task |> fit (adamWith learningRate 6 all) task
              let steps = Seq.replicate 10 (allRows task)
              let expected, _, _ = referenceAdam learningRate steps task (Oracle.floats start.Parameters)

              let agrees (state: CriticState) =
                  Seq.forall2 (fun e a -> abs (e - a) < 1e-3) expected (Oracle.floats state.Parameters)

              atOnce.Optimiser.Steps = 10L && inTwo.Optimiser.Steps = 10L && agrees atOnce && agrees inTwo)

          testProperty
              "follows the mean squared error of each minibatch over its own rows, the last and shorter one too"
          <| Prop.forAll
              (Gen.zip3 (Arb.toGen linearTasks) (Gen.choose (1, 60)) (Gen.choose (1, 3)) |> Arb.fromGen)
              (fun (task, size, epochs) ->
                  let start = begin' task
                  // So short steps that a gradient which nearly vanishes, and whose sign rounding decides, changes no other one.
                  let learningRate = 1e-6
                  let after = fit (adamWith learningRate epochs size) task start

                  let minibatches =
                      Seq.collect
                          (fun epoch ->
                              Key.permutation task.Observations.Rows (Key.at (int64 epoch) (key task))
                              |> Array.ofSeq
                              |> Array.chunkBySize size)
                          (seq { 1..epochs })

                  let parameters, mean, square =
                      referenceAdam learningRate minibatches task (Oracle.floats start.Parameters)

                  let largest =
                      minibatches
                      |> Seq.collect (fun rows -> gradientOver rows task (Oracle.floats start.Parameters))
                      |> Seq.map abs
                      |> Seq.max

                  let isClose tolerance = Seq.forall2 (fun (e: float) a -> abs (e - a) <= tolerance)

                  isClose (1e-4 * largest) mean (Oracle.floats after.Optimiser.FirstMoment)
                  && isClose (1e-4 * largest * largest) square (Oracle.floats after.Optimiser.SecondMoment)
                  && isClose (1e-6 + 1e-6 * largest) parameters (Oracle.floats after.Parameters))

          testProperty "steps once for each minibatch of each epoch, the last and shorter one too"
          <| Prop.forAll (Gen.zip (Arb.toGen linearTasks) (Gen.choose (1, 60)) |> Arb.fromGen) (fun (task, size) ->
              let after = fit (adamWith 1e-3 3 size) task (begin' task)
              after.Optimiser.Steps = 3L * int64 ((task.Returns.Length + size - 1) / size))

          testProperty "takes all rows at once where a minibatch could hold more"
          <| Prop.forAll linearTasks (fun task ->
              let after size = fit (adamWith 1e-2 2 size) task (begin' task)
              after Int32.MaxValue = after task.Returns.Length)

          testPropertyWithConfig
              (few 50)
              "visits the rows in the order that its key draws, and in another one under another key"
          <| Prop.forAll tasks (fun task ->
              let under name =
                  CriticFit.fit
                      (adamWith 1e-2 2 4)
                      task.Network
                      task.Observations
                      task.Returns
                      (Key.named name (key task))
                      (begin' task)

              under "a" = under "a" && under "a" <> under "b") ]

let private trustRegion =
    testList
        "Gauss–Newton"
        [ lowersError (gaussNewton 0.1 3)

          testProperty "keeps within its trust region and never raises the error, or leaves the parameters as they were"
          <| Prop.forAll
              (Gen.zip3 (Arb.toGen tasks) (Gen.elements [ 1e-6; 1e-3; 0.1; 10.0 ]) (Gen.choose (1, 5))
               |> Arb.fromGen)
              (fun (task, delta, steps) ->
                  let start = begin' task
                  let after = fit (gaussNewton delta steps) task start
                  let change = Seq.map2 (-) (values task after) (values task start) |> meanSquare
                  let distance = change / (2.0 * errorOf task start)

                  after.Parameters = start.Parameters
                  || distance <= delta * (1.0 + 1e-9) && errorOf task after < errorOf task start)

          testProperty "goes to the edge of a small trust region, where its quadratic model is exact"
          <| Prop.forAll tasks (fun task ->
              let start = begin' task
              let delta = 1e-6

              let after =
                  fit
                      (GaussNewton { standardGaussNewton with Delta = delta; LineSearch = { Tries = 10; Ratio = 0.9 } })
                      task
                      start

              let change = Seq.map2 (-) (values task after) (values task start) |> meanSquare
              // Once shortened, it is still at 0.81 of it.
              change / (2.0 * errorOf task start) > 0.7 * delta)

          testPropertyWithConfig
              (few 50)
              "on a linear critic, without damping and with a huge δ, solves the least-squares problem"
          <| Prop.forAll linearTasks (fun task ->
              let settings =
                  { standardGaussNewton with
                      Delta = 1e9
                      Steps = 4
                      Damping = 0.0
                      ConjugateGradient = { Iterations = 50; Tolerance = 1e-10 } }

              let after = fit (GaussNewton settings) task (begin' task)
              let inputs = task.Observations.Columns

              let design =
                  Matrix<float>
                      .Build.Dense(
                          task.Observations.Rows,
                          inputs + 1,
                          fun row c -> if c = inputs then 1.0 else float task.Observations[row, c]
                      )

              let returns = Vector<float>.Build.DenseOfEnumerable task.Returns
              let solution = design.QR().Solve returns
              let least = (design * solution - returns) |> meanSquare
              errorOf task after <= least * (1.0 + 1e-4) + 1e-9 * meanSquare task.Returns)

          testPropertyWithConfig
              (few 50)
              "on a linear critic and with a huge δ, takes the damped Gauss–Newton step, no shorter and no longer"
          <| Prop.forAll
              (Gen.zip (Arb.toGen linearTasks) (Gen.elements [ 1e-2; 0.3; 2.0 ]) |> Arb.fromGen)
              (fun (task, damping) ->
                  let start = begin' task

                  let settings =
                      { standardGaussNewton with
                          Delta = 1e9
                          Damping = damping
                          ConjugateGradient = { Iterations = 50; Tolerance = 1e-9 } }

                  let after = fit (GaussNewton settings) task start
                  let before = Oracle.floats start.Parameters

                  // (JᵀJ/N + c) s = Jᵀ(R − V)/N, and half of the gradient is −Jᵀ(R − V)/N.
                  let rows, inputs = task.Observations.Rows, task.Observations.Columns

                  let jacobian =
                      Matrix<float>
                          .Build.Dense(
                              rows,
                              inputs + 1,
                              fun row c -> if c = inputs then 1.0 else float task.Observations[row, c]
                          )

                  let damped =
                      jacobian.TransposeThisAndMultiply jacobian / float rows
                      + damping * Matrix<float>.Build.DenseIdentity(inputs + 1)

                  let downhill = Vector<float>.Build.DenseOfEnumerable(linearGradient task before) * -0.5
                  let expected = damped.LU().Solve downhill
                  let taken = Array.map2 (-) (Oracle.floats after.Parameters) before
                  let size = expected.L2Norm() + Array.sumBy abs before
                  Seq.forall2 (fun (e: float) t -> abs (e - t) <= 1e-4 * size) expected taken)

          testPropertyWithConfig (few 50) "leaves Adam's moments alone, and the key does not matter"
          <| Prop.forAll tasks (fun task ->
              let start = fit (adamWith 1e-3 1 32) task (begin' task)
              let after = fit (gaussNewton 0.1 2) task start

              let otherwise =
                  CriticFit.fit (gaussNewton 0.1 2) task.Network task.Observations task.Returns (Key.ofSeed 0L) start

              Ok after = otherwise && after.Optimiser = start.Optimiser)

          testPropertyWithConfig
              (few 50)
              "a product or a gradient that is too large for float32 is an error, and no step"
          <| Prop.forAll
              (Gen.zip (Arb.toGen linearTasks) (Gen.elements [ 1.0; 1e3; 1e16; 1e25; 1e36 ]) |> Arb.fromGen)
              (fun (task, scale) ->
                  // V is 0, so the first gradient −JᵀR/N has the size of `scale`, and the first product that of `scale` cubed.
                  let scaled =
                      { task with
                          Observations =
                              Matrix.init task.Observations.Rows task.Observations.Columns (fun row column ->
                                  float32 scale * task.Observations[row, column]) }

                  let start = Critic.start Plain (Vector.zero task.Network.ParameterCount)

                  match tryFit (gaussNewton 0.1 2) scaled start with
                  | Ok _ -> scale <= 1e3
                  | Error what -> scale > 1e3 && what = "critic's Gauss-Newton product")

          testPropertyWithConfig (few 50) "a gradient that is NaN or infinite is an error"
          <| Prop.forAll
              (Gen.zip (Arb.toGen linearTasks) (Gen.elements [ nanf; infinityf; -infinityf ]) |> Arb.fromGen)
              (fun (task, number) ->
                  let poisoned =
                      { task with
                          Observations =
                              Matrix.init task.Observations.Rows task.Observations.Columns (fun row column ->
                                  if row = 0 && column = 0 then number else task.Observations[row, column]) }

                  tryFit (gaussNewton 0.1 2) poisoned (begin' task) = Error "critic's gradient") ]

let private either =
    let settings = [ "Adam", adamWith 1e-2 3 16; "Gauss–Newton", gaussNewton 0.1 2 ]

    testList
        "either way"
        [ for name, settings in settings do
              testPropertyWithConfig
                  (few 50)
                  $"{name}: the same again for the same inputs, whatever its memory held before; both states stay"
              <| Prop.forAll tasks (fun task ->
                  let start = begin' task
                  let kept = Vector.toArray start.Parameters
                  let first = fit settings task start
                  let parameters = Vector.toArray first.Parameters
                  poisonMemory ()
                  let again = fit settings task start

                  first = again
                  && Vector.ofArray parameters = first.Parameters
                  && Vector.ofArray kept = start.Parameters)

              testPropertyWithConfig (few 50) $"{name}: the same to the last bit on any number of threads"
              <| Prop.forAll tasks (fun task ->
                  let on threads =
                      fit settings { task with Network = Network.onThreads threads task.Network } (begin' task)

                  on 1 = on 2 && on 1 = on 5)

              testPropertyWithConfig (few 50) $"{name}: a critic that is right already stays as it is"
              <| Prop.forAll tasks (fun task ->
                  let start = begin' task

                  let right = { task with Returns = ImmutableArray.CreateRange(values task start) }

                  (fit settings right start).Parameters = start.Parameters) ]

/// Returns, a factor and a shift, with which another unit of the reward would have them.
let private otherUnits =
    Gen.zip3 (Arb.toGen tasks) (Gen.elements [ 1e-12; 1e-3; 0.5; 7.0; 1e6 ]) (Gen.elements [ -1e3; 0.0; 13.0 ])
    |> Arb.fromGen

let private changed factor shift (task: Task) : Task =
    { task with
        Returns = ImmutableArray.CreateRange(task.Returns |> Seq.map (fun r -> factor * (r + shift))) }

let private updateUnit returns (state: CriticState) = { state with Unit = ReturnUnit.update returns state.Unit }

let private resetUnit rewards ends (state: CriticState) =
    { state with Unit = ReturnUnit.resetIfTooLarge 0.99 rewards ends state.Unit }

/// A critic that has seen the returns of some tasks, one after the other, in the unit that suits each.
let private inUnits settings (tasks: Task list) =
    (Critic.start ReturnUnit.unknown (begin' tasks.Head).Parameters, tasks)
    ||> List.fold (fun state task ->
        let task = { task with Network = tasks.Head.Network; Observations = tasks.Head.Observations }
        let ends = ImmutableArray.CreateRange(Seq.replicate task.Returns.Length End.Terminated)

        state |> resetUnit task.Returns ends |> updateUnit task.Returns |> fit settings task)

let private units =
    let settings = [ "Adam", adamWith 1e-2 3 16; "Gauss–Newton", gaussNewton 0.1 2 ]
    let deviationOf task = sqrt (meanSquare (task.Returns |> Seq.map (fun r -> r - Seq.average task.Returns)))
    let times count task = List.replicate count task

    testList
        "the unit of returns"
        [ testProperty "stays the same, and counts the rows, while batches are the same"
          <| Prop.forAll (Gen.zip (Arb.toGen tasks) (Gen.choose (1, 20)) |> Arb.fromGen) (fun (task, count) ->
              let start = { begin' task with Unit = ReturnUnit.unknown }
              let once = start |> updateUnit task.Returns |> _.Unit

              let often = (start, [ 1..count ]) ||> List.fold (fun state _ -> updateUnit task.Returns state) |> _.Unit

              let isNear (a: float) b = abs (a - b) <= 1e-9 * (abs (ReturnUnit.mean once) + ReturnUnit.deviation once)

              match often with
              | Standardised moments ->
                  abs (moments.Count - float (count * task.Returns.Length)) <= 1e-6
                  && isNear (ReturnUnit.mean often) (ReturnUnit.mean once)
                  && isNear (ReturnUnit.deviation often) (ReturnUnit.deviation once)
              | Plain -> false)

          // 40 batches later, the first one counts Π (k − 1)/(k + 3) < 10⁻⁵.
          testProperty "forgets the first batches, whose returns may be far from those that follow"
          <| Prop.forAll
              (Gen.zip (Arb.toGen tasks) (Gen.elements [ -30.0; 30.0 ]) |> Arb.fromGen)
              (fun (task, factor) ->
                  let first = changed factor 0.5 task

                  let unit =
                      (begin' task, first :: times 40 task)
                      ||> List.fold (fun state task ->
                          let state =
                              if obj.ReferenceEquals(task, first) then
                                  { state with Unit = ReturnUnit.unknown }
                              else
                                  state

                          updateUnit task.Returns state)
                      |> _.Unit

                  let shift = abs (Seq.average first.Returns - Seq.average task.Returns)
                  let deviation = deviationOf task
                  abs (ReturnUnit.deviation unit - deviation) <= 0.05 * deviation + 4e-3 * shift)

          testProperty "is unknown, so that V is 0, where rewards are of another order than the returns before"
          <| Prop.forAll
              (Gen.zip (Arb.toGen tasks) (Gen.elements [ 1e-2; 1.0; 900.0; 1100.0; 1e9 ]) |> Arb.fromGen)
              (fun (task, factor) ->
                  let state =
                      { begin' task with Unit = ReturnUnit.unknown } |> updateUnit (changed factor 0.0 task).Returns

                  let ends = ImmutableArray.CreateRange(Seq.replicate task.Returns.Length End.Terminated)
                  let now = resetUnit task.Returns ends state
                  if factor > 1000.0 then now.Unit = ReturnUnit.unknown else now = state)

          for name, settings in settings do
              testPropertyWithConfig (few 50) $"{name}: V follows the unit and the zero of returns"
              <| Prop.forAll otherUnits (fun (task, factor, shift) ->
                  let own = times 3 task |> inUnits settings |> values task
                  let other = times 3 (changed factor shift task) |> inUnits settings |> values task
                  let deviation = deviationOf task
                  let tolerance = factor * (1e-3 * deviation + 1e-6 * abs shift)
                  let follows = Seq.forall2 (fun o v -> abs (o - factor * (v + shift)) <= tolerance) other own

                  // A step whose length is that of the limit may be accepted or halved by rounding.
                  let isAtLimit () =
                      [ 0.9999; 1.0001 ]
                      |> List.exists (fun change ->
                          times 3 task
                          |> inUnits (withLimit change settings)
                          |> values task
                          |> Seq.exists2 (fun v o -> abs (o - v) > 1e-3 * deviation) own)

                  follows || isAtLimit ())

              testPropertyWithConfig (few 50) $"{name}: one enormous return spoils no more than the next values"
              <| Prop.forAll
                  (Gen.zip (Arb.toGen tasks) (Gen.elements [ -1e7; 1e9 ]) |> Arb.fromGen)
                  (fun (task, size) ->
                      let struck = { task with Returns = task.Returns.SetItem(0, size) }
                      let state = times 3 task @ [ struck ] @ times 3 task |> inUnits settings
                      sqrt (errorOf task state) <= 3.0 * deviationOf task)

              testPropertyWithConfig (few 50) $"{name}: equal returns are known at once"
              <| Prop.forAll (Gen.zip (Arb.toGen tasks) (Gen.choose (-100, 100)) |> Arb.fromGen) (fun (task, size) ->
                  let equal =
                      { task with Returns = ImmutableArray.CreateRange(task.Returns |> Seq.map (fun _ -> float size)) }

                  inUnits settings [ equal ]
                  |> values task
                  |> Seq.forall (fun v -> abs (v - float size) <= 1e-9 * abs (float size))) ]

let tests = testList "Critic fit" [ adam; trustRegion; either; units ]
