/// Softmax policies whose states share parameters: derivatives against hyper-dual numbers, and the algorithms for them.
module FunTrpo.Tests.ExactSharedTests

open System
open System.Numerics
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Exact
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Oracle
open FunTrpo.Tests.ExactCases
open FunTrpo.Tests.ExactAlgorithmsTests

/// A process, features of its states and actions, and parameters of a policy.
[<NoComparison; NoEquality>]
type private Shared = { Mdp: FiniteMdp; Classes: int[]; Features: Features; Theta: float[]; Values: Values }

/// The class of each state, of which there are about a third as many.
let private classesOf (mdp: FiniteMdp) key =
    let count = max 1 (mdp.States / 3)
    Key.uniforms mdp.States key |> Array.map (fun u -> int (u * float count))

/// Any features, linear features of states, or classes.
let private featuresOf (mdp: FiniteMdp) key kind =
    let normals count i = Key.normals count (Key.at (int64 i) key)

    match kind with
    | 0 -> Features.create mdp 3 (fun state action -> normals 3 (state * mdp.Actions + action)) |> expectOk
    | 1 -> Features.ofStates mdp 2 (fun state -> Array.append [| 1.0 |] (normals 1 state)) |> expectOk
    | _ -> Features.ofClasses mdp (Array.get (classesOf mdp key)) |> expectOk

let private shared most kinds =
    gen {
        let! mdp = processes most
        let! key = key
        let! kind = Gen.elements kinds
        let! scale = Gen.elements [ 0.0; 1.0; 3.0 ]
        let features = featuresOf mdp key kind
        let theta = Key.normals features.Parameters (Key.named "theta" key) |> Array.map (fun x -> scale * x)

        return
            { Mdp = mdp
              Classes = classesOf mdp key
              Features = features
              Theta = theta
              Values = Values.ofPolicy mdp (SharedSoftmax.policy features theta) }
    }

let private any = [ 0; 1; 2 ]

/// π(·|s) of parameters that carry their derivatives.
let private rowOf (mdp: FiniteMdp) (features: Features) (theta: HyperDual[]) state =
    let logit action =
        Array.map2 (fun phi x -> constant phi * x) (features.Row(state, action).ToArray()) theta
        |> Array.reduce (+)

    let weights = Array.init mdp.Actions (logit >> exp)
    let sum = Array.reduce (+) weights
    weights |> Array.map (fun weight -> weight / sum)

/// η by elimination in V = r + γ P V, with derivatives.
let private eta (mdp: FiniteMdp) features theta =
    let count = mdp.States
    let policy = Array.init count (rowOf mdp features theta)

    let rows =
        Array.init count (fun state ->
            Array.init (count + 1) (fun column -> constant (if column = state then 1.0 else 0.0)))

    for state in going mdp do
        for action in 0 .. mdp.Actions - 1 do
            let p = policy[state][action]
            rows[state][count] <- rows[state][count] + p * constant mdp.Rewards[state, action]

            for branch in mdp.Branches(state, action).ToArray() do
                if not (mdp.IsTerminal branch.Next) then
                    rows[state][branch.Next] <- rows[state][branch.Next] - p * constant (mdp.Gamma * branch.Probability)

    // The matrix is dominated by its diagonal, so no pivots are needed.
    for k in 0 .. count - 1 do
        let pivot = rows[k][k]
        rows[k] <- rows[k] |> Array.map (fun x -> x / pivot)

        for i in 0 .. count - 1 do
            if i <> k then
                let factor = rows[i][k]
                rows[i] <- Array.map2 (fun x y -> x - factor * y) rows[i] rows[k]

    Seq.init count (fun state -> constant mdp.Start[state] * rows[state][count]) |> Seq.reduce (+)

/// The mean KL from the policy of a case to that of other parameters, with derivatives.
let private meanKlTo case (theta: HyperDual[]) =
    let ofState state =
        let old, next =
            rowOf case.Mdp case.Features (Array.map constant case.Theta) state, rowOf case.Mdp case.Features theta state

        let kl = Array.map2 (fun p q -> p * (log p - log q)) old next |> Array.reduce (+)
        constant ((1.0 - case.Mdp.Gamma) * case.Values.Visitation[state]) * kl

    going case.Mdp |> List.map ofState |> List.fold (+) HyperDual.Zero

let private times (matrix: MathNet.Numerics.LinearAlgebra.Matrix<float>) (x: float[]) =
    (matrix * MathNet.Numerics.LinearAlgebra.Vector<float>.Build.Dense x).ToArray()

let private dot = Array.fold2 (fun sum x y -> sum + x * y) 0.0
let private largest = Array.fold (fun largest x -> max largest (abs x)) 0.0

let private derivatives =
    testList
        "shared parameters: derivatives"
        [ property "∇η is that of hyper-dual numbers" (shared 0.95 any) (fun case ->
              let expected = Oracle.gradient (eta case.Mdp case.Features) case.Theta
              let found = SharedSoftmax.gradient case.Features case.Values
              let scale = (1.0 + size case.Mdp) / (1.0 - case.Mdp.Gamma)
              expectSame (1e-11 * scale * (1.0 + largest expected)) found expected "∇η"

              expectClose
                  (1e-12 * scale)
                  (eta case.Mdp case.Features (Array.map constant case.Theta)).X
                  case.Values.Eta
                  "η")

          property "F is the second derivative of the mean KL" (shared 0.95 any) (fun case ->
              let expected = Oracle.hessian (meanKlTo case) case.Theta
              let found = SharedSoftmax.fisher case.Mdp case.Features case.Values

              for i in 0 .. expected.Length - 1 do
                  expectSame 1e-12 (found.Row(i).ToArray()) expected[i] $"row {i} of F"

              // And it is Jᵀ M J, with the Fisher matrix of the logits in the middle.
              let x = Key.normals case.Features.Parameters (Key.ofSeed 1L)

              let product =
                  Features.logits case.Features x
                  |> Softmax.fisherProduct case.Mdp case.Values
                  |> Features.pullback case.Features

              expectSame 1e-12 (times found x) product "F x")

          property
              "(F + c) x = ∇η, and without damping x is the smallest solution"
              (Gen.zip (shared 0.95 any) (tens -3 1))
              (fun (case, damping) ->
                  let gradient = SharedSoftmax.gradient case.Features case.Values
                  let fisher = SharedSoftmax.fisher case.Mdp case.Features case.Values
                  let natural c = SharedSoftmax.naturalGradient case.Mdp case.Features c case.Values
                  let scale = largest gradient
                  let damped = natural damping
                  let solved = Array.map2 (fun fx x -> fx + damping * x) (times fisher damped) damped
                  expectSame (1e-12 * (scale / min 1.0 damping + sizeOfL case.Values)) solved gradient "damped"
                  let x = natural 0.0
                  // The rounding of F counts as often as x is long.
                  expectSame (1e-11 * (scale + largest x + sizeOfL case.Values)) (times fisher x) gradient "undamped"

                  // What changes nothing is no part of it: eigenvectors of F with the eigenvalue 0.
                  let decomposition = fisher.Evd(MathNet.Numerics.LinearAlgebra.Symmetricity.Symmetric)

                  for i in 0 .. x.Length - 1 do
                      if abs decomposition.EigenValues[i].Real < 1e-15 then
                          let null' = decomposition.EigenVectors.Column(i).ToArray()

                          let changes =
                              Features.logits case.Features null' |> Softmax.fisherQuadratic case.Mdp case.Values

                          if changes < 1e-28 then
                              expectClose (1e-6 * largest x) (dot null' x) 0.0 "a direction that changes nothing")

          property
              "axes: orthogonal directions that make up the sum Σ v vᵀ, also of vectors of sizes from 10⁻¹⁵⁰ to 1"
              (Gen.zip key (Gen.zip (Gen.choose (1, 12)) (Gen.choose (0, 150))))
              (fun (key, (size, decades)) ->
                  let vectors =
                      Array.init 15 (fun n ->
                          let scale = 10.0 ** (-float decades * float (n % 5) / 4.0)
                          Key.normals size (Key.at (int64 n) key) |> Array.map (fun x -> scale * x))

                  let axes = Triangular.axes size vectors
                  Expect.isNonEmpty axes "the vectors are not 0"

                  for i, (axis, _) in Array.indexed axes do
                      for j, (other, _) in Array.indexed axes do
                          expectClose 1e-13 (dot axis other) (if i = j then 1.0 else 0.0) "orthogonal"

                  let x = Key.normals size (Key.named "x" key)
                  let sum = vectors |> Array.sumBy (fun v -> dot v x * dot v x)
                  let found = axes |> Array.sumBy (fun (axis, root) -> (root * dot axis x) ** 2.0)
                  let largest = axes |> Array.map snd |> Array.max
                  expectClose (1e-11 * largest * largest * dot x x) found sum "xᵀ Σ v vᵀ x")

          property
              "least squares: the gradient of the sum is 0, and the smallest solution is the limit of small dampings"
              (Gen.zip key (Gen.zip (Gen.choose (1, 8)) (Gen.choose (1, 12))))
              (fun (key, (size, count)) ->
                  let vectors = Array.init count (fun n -> Key.normals (size + 1) (Key.at (int64 n) key))

                  for damping in [ 0.0; 0.1; 1.0 ] do
                      let x = Triangular.leastSquares damping size vectors
                      let gradient = Array.init size (fun i -> damping * x[i])

                      for v in vectors do
                          let residual = dot (Array.truncate size v) x - v[size]

                          for i in 0 .. size - 1 do
                              gradient[i] <- gradient[i] + residual * v[i]

                      expectSame (1e-9 * (1.0 + largest x)) gradient (Array.zeroCreate size) $"damping {damping}"

                  let x = Triangular.leastSquares 0.0 size vectors

                  // Damping d takes the part d / (σ² + d) of x along a direction with the singular value σ.
                  let smallest =
                      let design = vectors |> Array.map (Array.truncate size)
                      let matrix = MathNet.Numerics.LinearAlgebra.Matrix<float>.Build.DenseOfRowArrays design
                      matrix.Svd(false).S |> Seq.filter (fun s -> s > 1e-10) |> Seq.min

                  let near = Triangular.leastSquares (1e-6 * smallest * smallest) size vectors
                  Expect.isTrue (dot near near <= dot x x * (1.0 + 1e-9)) "a damping makes it smaller"
                  expectClose (3e-6 * dot x x) (dot near near) (dot x x) "and a small one by little")

          property
              "in a class with one state the natural gradient is A / (1 − γ) up to a constant, however improbable an action is"
              (Gen.zip (processes 0.9) (Gen.zip key (Gen.choose (0, 20))))
              (fun (mdp, (key, nats)) ->
                  // Each state has its own parameters, and some actions have probabilities down to e⁻⁴⁰.
                  let features = Features.ofClasses mdp id |> expectOk

                  let theta =
                      Key.uniforms features.Parameters key
                      |> Array.map (fun u -> if u < 0.5 then -2.0 * float nats else u)

                  let values = Values.ofPolicy mdp (SharedSoftmax.policy features theta)
                  let change = SharedSoftmax.naturalGradient mdp features 0.0 values |> Features.logits features
                  let size = Seq.max (numbersOf (Table.map abs values.Advantages)) / (1.0 - mdp.Gamma)

                  for state in going mdp do
                      if values.Visitation[state] > 1e-3 then
                          let best =
                              Array.findIndex
                                  ((=) (Array.max (TabularPolicy.rowArray values.Policy state)))
                                  (TabularPolicy.rowArray values.Policy state)

                          for action in 0 .. mdp.Actions - 1 do
                              let expected =
                                  (values.Advantages[state, action] - values.Advantages[state, best])
                                  / (1.0 - mdp.Gamma)

                              expectClose
                                  (1e-4 * size)
                                  (change[state, action] - change[state, best])
                                  expected
                                  $"state {state}, action {action}")

          property "the vectors of each state are its covariance of features" (shared 0.95 any) (fun case ->
              let x = Key.normals case.Features.Parameters (Key.ofSeed 2L)
              let logits = Features.logits case.Features x
              let rows = SharedSoftmax.rows case.Mdp case.Features case.Values

              for state in 0 .. case.Mdp.States - 1 do
                  let p, values = TabularPolicy.rowArray case.Values.Policy state, Table.rowArray logits state
                  let mean = dot p values
                  let variance = Array.sum (Array.map2 (fun p v -> p * (v - mean) ** 2.0) p values)
                  let expected = if case.Mdp.IsTerminal state then 0.0 else variance
                  expectClose (1e-12 * (1.0 + expected)) (RowFisher.quadratic rows[state] x) expected $"state {state}")

          test "features that are not of the process are refused, with state and action" {
              let mdp = Builders.chain4 0.9

              for parameters, phi, place in
                  [ 2, (fun state _ -> Array.zeroCreate (if state = 2 then 3 else 2)), "state 2, action 0"
                    1, (fun state action -> [| (if state = 1 && action = 1 then nan else 0.0) |]), "state 1, action 1"
                    0, (fun _ _ -> [||]), "0 parameters" ] do
                  match Features.create mdp parameters phi with
                  | Error fault -> Expect.stringContains (string fault) place "where"
                  | Ok _ -> failtest $"{place} was allowed"

              match Features.ofStates mdp 2 (fun _ -> [| 1.0 |]) with
              | Error fault -> Expect.stringContains (string fault) "state 0, action 0" "where"
              | Ok _ -> failtest "too few numbers were allowed"

              expectRefused "a negative class" (fun () -> Features.ofClasses mdp (fun _ -> -1) |> ignore)
              let features = Features.ofClasses mdp (fun state -> state / 2) |> expectOk
              Expect.equal features.Parameters 4 "two classes of two actions"
              expectRefused "three numbers" (fun () -> Features.logits features [| 1.0; 2.0; 3.0 |] |> ignore)

              expectRefused "another table" (fun () ->
                  Features.pullback features (Table.init 4 3 (fun _ _ -> 0.0)) |> ignore)

              let values = Values.ofPolicy mdp (TabularPolicy.uniform mdp)

              for number in [ -1.0; nan; infinity ] do
                  expectRefused $"a damping of {number}" (fun () ->
                      SharedSoftmax.naturalGradient mdp features number values |> ignore)

              for number in [ 0.0; -1.0; nan; infinity ] do
                  expectRefused $"δ = {number}" (fun () -> SharedAlgorithms.trustRegion features number |> ignore)

                  for algorithm in
                      [ SharedAlgorithms.naturalPolicyGradient features
                        SharedAlgorithms.policyGradient features
                        (fun rate -> SharedAlgorithms.clippedSurrogate features 0.2 rate 10)
                        (fun range -> SharedAlgorithms.clippedSurrogate features range 0.1 10) ] do
                      expectRefused $"a rate or a range of {number}" (fun () -> algorithm number |> ignore)

              expectRefused "no step" (fun () -> SharedAlgorithms.clippedSurrogate features 0.2 0.1 0 |> ignore)
          } ]

/// The algorithms with a promise, and those without; of softmax policies, and of policies with a row for each class.
let private certified features =
    [ SharedAlgorithms.minorizationMaximization features; SharedAlgorithms.naturalSafe features ]

let private certifiedOfClasses classOf =
    [ SharedAlgorithms.minorizationMaximizationOfClasses classOf
      SharedAlgorithms.conservativePolicyIterationOfClasses classOf ]

let private free features =
    [ SharedAlgorithms.trustRegion features 0.05
      SharedAlgorithms.dampedTrustRegion features { Delta = 0.05; Damping = 0.1; Length = Curvature.Undamped }
      SharedAlgorithms.naturalPolicyGradient features 0.1
      SharedAlgorithms.policyGradient features 0.1
      SharedAlgorithms.clippedSurrogate features 0.2 0.1 5 ]

let private freeOfClasses classOf =
    [ SharedAlgorithms.meanKlOfClasses classOf 0.05; SharedAlgorithms.maximumKlOfClasses classOf 0.05 ]

let private algorithms =
    testList
        "shared parameters: algorithms"
        [ propertyOf
              60
              "with one parameter for each state and action the steps are those of tables"
              (processes 0.9)
              (fun mdp ->
                  let features = Features.ofClasses mdp id |> expectOk
                  let values = Values.ofPolicy mdp (softmax 1.0 mdp (Key.ofSeed 5L))

                  for shared, own in
                      [ SharedAlgorithms.trustRegion features 0.01, Algorithms.trustRegion 0.01
                        SharedAlgorithms.naturalPolicyGradient features 0.1, Algorithms.naturalPolicyGradient 0.1
                        (let region = { Delta = 0.01; Damping = 0.1; Length = Curvature.Damped }
                         SharedAlgorithms.dampedTrustRegion features region, Algorithms.dampedTrustRegion region) ] do
                      match stepOf shared mdp values, stepOf own mdp values with
                      | Some(a, _), Some(b, _) ->
                          // In a state that hardly anyone visits the parameters hardly count, and may be rounding.
                          for state in going mdp do
                              if values.Visitation[state] > 1e-6 then
                                  let row (v: Values) = TabularPolicy.rowArray v.Policy state
                                  expectSame 1e-7 (row a) (row b) $"{shared.Name}, state {state}"
                      | None, None -> ()
                      | None, Some(next, _) ->
                          Expect.isLessThanOrEqual
                              (Values.policyAdvantage values next.Policy)
                              (Algorithms.errorOf values)
                              $"{own.Name}: less than rounding hides"
                      | Some _, None ->
                          // The line search of tables gives up after 20 lengths, and that of shared parameters after 200.
                          Expect.stringStarts own.Name "TRPO" $"{shared.Name} steps where tables do not")

          propertyOf
              60
              "the policy gradient and PPO ascend their objectives, whose gradients are those of hyper-dual numbers"
              (shared 0.9 any)
              (fun case ->
                  // η = L^CLIP + constant to first order, so the first step of PPO is that of the policy gradient.
                  let clipRange, rate = 0.2, 0.5

                  let clipped theta =
                      let ofState state =
                          let ofAction action p =
                              let old = case.Values.Policy[state, action]
                              let weight = case.Values.Visitation[state] * case.Values.Advantages[state, action]
                              let bound = if weight > 0.0 then 1.0 + clipRange else 1.0 - clipRange
                              let gain, limit = constant weight * p, weight * bound * old
                              if gain.X <= limit then gain else constant limit

                          rowOf case.Mdp case.Features theta state |> Array.mapi ofAction |> Array.reduce (+)

                      going case.Mdp |> List.map ofState |> List.fold (+) HyperDual.Zero

                  let ascend f theta = Array.map2 (fun x g -> x + rate * g) theta (Oracle.gradient f theta)
                  let first = ascend (eta case.Mdp case.Features) case.Theta

                  for algorithm, theta in
                      [ SharedAlgorithms.policyGradient case.Features rate, first
                        SharedAlgorithms.clippedSurrogate case.Features clipRange rate 1, first
                        SharedAlgorithms.clippedSurrogate case.Features clipRange rate 2, ascend clipped first ] do
                      match stepOf algorithm case.Mdp case.Values with
                      | None -> ()
                      | Some(next, _) ->
                          let expected = SharedSoftmax.policy case.Features theta
                          let size = 1.0 + largest (Array.map2 (-) theta case.Theta)

                          expectSame
                              (1e-9 * size)
                              (numbersOf next.Policy.Table)
                              (numbersOf expected.Table)
                              algorithm.Name)

          propertyOf 60 "states of a class keep equal rows" (shared 0.9 [ 2 ]) (fun case ->
              let classOf = Array.get case.Classes
              let ofClasses = certifiedOfClasses classOf @ freeOfClasses classOf

              for algorithm in certified case.Features @ free case.Features @ ofClasses do
                  match stepOf algorithm case.Mdp case.Values with
                  | None -> ()
                  | Some(next, _) ->
                      for s in 0 .. case.Mdp.States - 1 do
                          for s' in 0 .. s - 1 do
                              if case.Classes[s] = case.Classes[s'] then
                                  Expect.equal
                                      (TabularPolicy.rowArray next.Policy s)
                                      (TabularPolicy.rowArray next.Policy s')
                                      algorithm.Name)

          property
              "no policy of classes has a better L within its KL, and the limit is kept"
              (Gen.zip (shared 0.95 [ 2 ]) (Gen.zip (tens -6 0) key))
              (fun (case, (delta, key)) ->
                  let values, classOf = case.Values, Array.get case.Classes
                  let gain = Values.policyAdvantage values

                  // The rows of a random policy for each class, as far as the limit allows.
                  let candidates =
                      [ for i in 0..9 do
                            let other =
                                (if i % 2 = 0 then stochastic else deterministic) case.Mdp (Key.at (int64 i) key)

                            let first =
                                Array.init case.Mdp.States (fun s -> Array.findIndex ((=) (classOf s)) case.Classes)

                            policyOf case.Mdp (fun state -> TabularPolicy.rowArray other first[state]) ]

                  for algorithm, spent, measure in
                      [ SharedAlgorithms.meanKlOfClasses classOf delta, _.KlMean, klMean
                        SharedAlgorithms.maximumKlOfClasses classOf delta, _.KlMax, klMax ] do
                      match stepOf algorithm case.Mdp values with
                      | None -> ()
                      | Some(next, certificate: Certificate) ->
                          Expect.isTrue
                              (spent certificate <= delta * (1.0 + 1e-12))
                              $"{algorithm.Name}: {spent certificate}"

                          let best = gain next.Policy

                          for candidate in candidates do
                              let candidate = asFarAs delta (measure case.Mdp values) values candidate
                              let rounding = leftAlone values + 1e-8 * abs best
                              Expect.isTrue (gain candidate <= best + rounding) $"{algorithm.Name}: a better one")

          propertyOf
              60
              "the certified step of a softmax policy is that of its classes to first order"
              (casesOf 0.95 (fun mdp -> Gen.constant (TabularPolicy.uniform mdp)))
              (fun case ->
                  let gamma = max 0.8 case.Mdp.Gamma
                  let mdp = FiniteMdp.withGamma gamma case.Mdp |> expectOk
                  let values = Values.ofPolicy mdp (TabularPolicy.uniform mdp)
                  let classes = classesOf mdp (Key.ofSeed 3L)
                  let features = Features.ofClasses mdp (Array.get classes) |> expectOk
                  let softmax = SharedAlgorithms.minorizationMaximization features
                  let exact = SharedAlgorithms.minorizationMaximizationOfClasses (Array.get classes)

                  match stepOf softmax mdp values, stepOf exact mdp values with
                  | Some(_, a), Some(_, b) ->
                      let gainA, gainB = a.Lower - a.EtaBefore, b.Lower - b.EtaBefore
                      Expect.isTrue (gainA <= gainB * (1.0 + 1e-9) + a.Rounding) "none is better than the exact step"
                      // The gap of the direction is 10⁻³, and the step of a small KL is linear.
                      Expect.isTrue (gainA >= 0.9 * gainB - a.Rounding) $"{gainA} of {gainB}"
                  | _ -> ())

          propertyOf 100 "a certified step raises η, to 512 places, and its bound holds" (shared 0.95 any) (fun case ->
              // The classes are those of the policy only if the features are.
              let isOfClasses = case.Features.Parameters = case.Mdp.Actions * (1 + Array.max case.Classes)
              let ofClasses = if isOfClasses then certifiedOfClasses (Array.get case.Classes) else []

              for algorithm in certified case.Features @ ofClasses do
                  Expect.isTrue algorithm.IsMonotone algorithm.Name

                  match expectOk (algorithm.Step case.Mdp case.Values) with
                  | Stepped(next, certificate) ->
                      Expect.isTrue certificate.PromisesGain algorithm.Name
                      let rise = exactEta case.Mdp next.Policy - exactEta case.Mdp case.Values.Policy
                      Expect.isTrue (rise > BigInteger.Zero) $"{algorithm.Name}: η has risen"
                      Expect.isTrue (next.Eta >= certificate.Lower - certificate.Rounding) "the bound"
                  | BelowRounding certificate -> Expect.isFalse certificate.PromisesGain algorithm.Name
                  | Stopped -> ())

          propertyOf
              60
              "a certified step goes as far along its direction as its bound is best"
              (shared 0.95 any)
              (fun case ->
                  for algorithm in certified case.Features do
                      match expectOk (algorithm.Step case.Mdp case.Values) with
                      // With a γ near 0 there is hardly a penalty, and L may have several maxima on the way.
                      | Stepped(next, certificate) when
                          case.Mdp.Gamma >= 0.5 && Table.fold min 1.0 next.Policy.Table > 0.0
                          ->
                          // The direction, as logits: the logarithm of the ratio of the policies.
                          let change = Table.map2 (fun p q -> log p - log q) next.Policy.Table case.Values.Policy.Table

                          for n in 0..40 do
                              let other = TabularPolicy.tiltBy (float n / 20.0) change case.Values.Policy
                              let gain = Bounds.value case.Mdp case.Values other certificate.By - case.Values.Eta
                              let best = certificate.Lower - case.Values.Eta

                              Expect.isTrue
                                  (gain <= best * (1.0 + 1e-6) + certificate.Rounding)
                                  $"{n}/20 of {algorithm.Name}"
                      | _ -> ())

          propertyOf
              60
              "TRPO's step keeps its limit, and gains by L"
              (Gen.zip (shared 0.95 any) (tens -6 0))
              (fun (case, delta) ->
                  let algorithm = SharedAlgorithms.trustRegion case.Features delta
                  Expect.isFalse algorithm.IsMonotone "it promises nothing"

                  match stepOf algorithm case.Mdp case.Values with
                  | None -> ()
                  | Some(next, certificate) ->
                      Expect.isTrue (certificate.KlMean <= delta) "mean KL"
                      Expect.isTrue (Values.policyAdvantage case.Values next.Policy > 0.0) "gain"
                      let isPossible = Table.fold min 1.0 next.Policy.Table > 0.0
                      let x = SharedSoftmax.naturalGradient case.Mdp case.Features 0.0 case.Values

                      // The logits change along the natural gradient, but for a constant in each state.
                      let direction = Features.logits case.Features x

                      let change = Table.map2 (fun p q -> log p - log q) next.Policy.Table case.Values.Policy.Table

                      let length =
                          sqrt (
                              Softmax.fisherQuadratic case.Mdp case.Values change
                              / Softmax.fisherQuadratic case.Mdp case.Values direction
                          )

                      // A probability that is rounded to 0 has no logarithm.
                      if isPossible then
                          let again = TabularPolicy.tiltBy length direction case.Values.Policy

                          expectSame
                              1e-6
                              (numbersOf next.Policy.Table)
                              (numbersOf again.Table)
                              "along the natural gradient")

          testCase
              "TRPO lowers η where states share parameters, though L rises; certified steps do not, nor does TRPO with a table"
          <| fun () ->
              let mdp = Builders.garnet 0.9 30 4 3 (Key.ofSeed 1L)
              let classOf state = state % 10
              let features = Features.ofClasses mdp classOf |> expectOk

              let falls algorithm =
                  PolicySequence.run mdp algorithm
                  |> Seq.truncate 61
                  |> Seq.choose (fun step -> (expectOk step).Certificate)
                  |> Seq.filter (fun certificate -> certificate.EtaBefore - certificate.EtaAfter > certificate.Rounding)
                  |> List.ofSeq

              for algorithm in
                  [ SharedAlgorithms.meanKlOfClasses classOf 0.2; SharedAlgorithms.maximumKlOfClasses classOf 0.2 ] do
                  let found = falls algorithm
                  Expect.isGreaterThan found.Length 5 algorithm.Name
                  Expect.all found (fun certificate -> certificate.L > certificate.EtaBefore) "L has risen"
                  Expect.all found (fun certificate -> certificate.AdvantageMin < 0.0) "a state is worse"

              for algorithm in
                  Algorithms.meanKl 0.2 :: Algorithms.trustRegion 0.2 :: certified features
                  @ certifiedOfClasses classOf do
                  Expect.isEmpty (falls algorithm) algorithm.Name ]

let tests = testList "Exact algorithms" [ derivatives; algorithms ]
