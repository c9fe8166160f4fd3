/// The faults that `tests/faults.fsx` plants, one at a time: slips that a person could make, spread over all projects.
module Planted

type Fault =
    {
        /// What is wrong, in words.
        Name: string
        /// Where, from the root of the repository.
        File: string
        /// What stands there, exactly once, and what stands there instead.
        Text: string
        Replacement: string
        /// The lists of tests that are expected to find it, the quickest first.
        Lists: string list
    }

/// A fault whose place comes later.
let private slip name text replacement = { Name = name; File = ""; Text = text; Replacement = replacement; Lists = [] }

let private faultsIn lists file = List.map (fun slip -> { slip with File = file; Lists = lists })

let private kernels file = faultsIn [ "remainders"; "kernels" ] $"src/FunTrpo.Kernels/{file}"

let private core lists file = faultsIn lists $"src/FunTrpo/{file}"

let private exact lists file = faultsIn lists $"src/FunTrpo.Exact/{file}"

let private ddpg lists file = faultsIn lists $"src/FunTrpo.Ddpg/{file}"

let private environment file = faultsIn [ "agrees with Gymnasium"; "edges" ] $"src/FunTrpo.Environments/{file}"

let private facade lists file = faultsIn lists $"src/FunTrpo.CSharp/{file}"

let private onnx file = faultsIn [ "ONNX" ] $"src/FunTrpo.Onnx/{file}"

let private tensorBoard file = faultsIn [ "TensorBoard" ] $"src/FunTrpo.TensorBoard/{file}"

let private inference file = faultsIn [ "Inference"; "Inference files" ] $"src/FunTrpo.Inference/{file}"

let private plots lists file = faultsIn lists $"src/FunTrpo.Plots/{file}"

let private remote file = faultsIn [ "Remote" ] $"src/FunTrpo.Remote/{file}"
let private godot file = faultsIn [ "Godot" ] $"src/FunTrpo.Remote/{file}"

let private orleans file = faultsIn [ "Cluster" ] $"src/FunTrpo.Orleans/{file}"

let private command file = faultsIn [ "Command" ] $"src/FunTrpo.Cli/{file}"

let all =
    List.concat
        [ kernels
              "Reductions.cs"
              [ slip
                    "the dot product of float64 loses its last element beyond 1,000"
                    "rest < a.Length; rest++"
                    "rest < a.Length - (a.Length > 1000 ? 1 : 0); rest++"
                slip
                    "AllFinite skips the last element beyond 64"
                    "in values)"
                    "in values.Length > 64 ? values[..^1] : values)"
                slip
                    "β is forgotten in the rest of α x + β y"
                    "Fused.MultiplyAdd(alpha, x[i], beta * y[i])"
                    "Fused.MultiplyAdd(alpha, x[i], y[i])" ]
          kernels
              "ColumnSums.cs"
              [ slip
                    "column sums lose a row where rows % 64 = 63"
                    "row < Rows;"
                    "row < Rows - (Rows % 64 == 63 ? 1 : 0);" ]
          kernels
              "MatrixProduct.cs"
              [ slip
                    "a long product is scaled after each of its parts"
                    "part.Scale = done + part.First.Length == last ? Scale : null;"
                    "part.Scale = Scale;"
                slip
                    "the later parts of a long product start from its first row"
                    "part.StartRow = Stride;"
                    "part.StartRow = 0;"
                slip
                    "the eighth row of a tile is stored as the seventh"
                    "s7.Store(c + (r7 * Stride));"
                    "s7.Store(c + (r6 * Stride));"
                slip "the first of the few rows behind the tiles is left out" "row = inTiles;" "row = inTiles + 1;" ]
          kernels
              "FewColumns.cs"
              [ slip "the eighth row of few columns has the sums of the seventh" "(row + r7, s7)" "(row + r7, s6)" ]
          kernels
              "PaddedRows.cs"
              [ slip
                    "the last rows are not transposed"
                    "column = row < wholeRows ? wholeColumns : 0"
                    "column = wholeColumns" ]
          kernels
              "Activation.cs"
              [ slip
                    "ELU's slope is its value"
                    "(Math.Exp(x) - 1.0, Math.Exp(x))"
                    "(Math.Exp(x) - 1.0, Math.Exp(x) - 1.0)"
                slip "ReLU has the slope 1 at 0" "x > 0f ? 1f : 0f" "x >= 0f ? 1f : 0f" ]
          kernels
              "Adam.cs"
              [ slip "Adam corrects the squares' bias by β₁" "Math.Pow(SquareDecay, step)" "Math.Pow(MeanDecay, step)" ]
          kernels
              "Softmax.cs"
              [ slip "the softmax's metric subtracts the mean behind p" "p[i] * (v[i] - mean)" "(p[i] * v[i]) - mean" ]
          kernels
              "DenseLayer.cs"
              [ slip "biases get no cotangent" "ColumnSums.Add(delta, packedCotangent[PackedWeights..]);" ""
                slip
                    "the slopes of the last few columns are those of the first"
                    "Scale = pScale == null ? null : pScale + Main,"
                    "Scale = pScale," ]
          kernels
              "PatchProduct.cs"
              [ slip
                    "the eighth patch of a tile is stored as the seventh"
                    "s7.Store(c + (r7 * columns));"
                    "s7.Store(c + (r6 * columns));"
                slip "the second product of a patch is left out" "x = X2;" "x = null;"
                slip "patches of the lower half are those of the upper" "THalves.AreBoth ? Places[Half] : 0" "0" ]
          kernels
              "TransposedPatchProduct.cs"
              [ slip "all patches are read at the first" "nint place = *next++;" "nint place = 0 * *next++;"
                slip "the biases of a convolution get no cotangent" "sum.Store(sums);" ""
                slip "numbers of the lower half of a window are those of the upper" "place += lower;" "" ]
          kernels "PatchScatter.cs" [ slip "a row beyond the last patch is added" "(left > 7, " "(true, " ]
          kernels
              "ConvolutionLayer.cs"
              [ slip
                    "a convolution ignores its slopes where its filters do not fill vectors"
                    "            ActivationDerivatives.Multiply(slopes, IsTanh, result);"
                    ""
                slip "the cotangent of a picture begins with that of the last" "        picture.Clear();" "" ]
          kernels
              "PatchPooling.cs"
              [ slip
                    "the last of equal maxima wins"
                    "picture[place] > picture[winner]"
                    "picture[place] >= picture[winner]" ]
          kernels
              "LayerNorm.cs"
              [ slip
                    "the tangent of a normalised row ignores its variance"
                    "v[i] - mean - (normalised[i] * along)"
                    "v[i] - mean - (0f * normalised[i] * along)" ]
          faultsIn
              [ "pooled buffers" ]
              "src/FunTrpo.Kernels/PooledBuffer.cs"
              [ slip "memory that was to be zero is not" "scratch.Span.Clear();" "" ]

          core
              [ "networks"; "surrogate and Fisher" ]
              "Composition.fs"
              [ slip
                    "a cotangent passes a hidden layer without its activation derivatives"
                    "                    first.ActivationDerivatives,"
                    "                    ActivationDerivatives.One," ]
          core
              [ "networks"; "surrogate and Fisher" ]
              "Linearization.fs"
              [ slip
                    "the last strip of rows is not added"
                    "for strip in 1 .. strips.Length - 1 do"
                    "for strip in 1 .. strips.Length - 2 do"
                slip
                    "all blocks of rows share their metric"
                    "ofRows.Memory.Slice(block.First * stride,"
                    "ofRows.Memory.Slice(0,"
                slip "a sum begins with what the memory held" "            sum.Span.Clear()" "" ]
          core
              [ "networks" ]
              "PackedLayer.fs"
              [ slip
                    "a layer of one's own hands down its cotangent without the derivatives of the layer below"
                    "inputDerivatives.Multiply inputCotangent"
                    "()"
                slip
                    "a layer of one's own has no input tangent"
                    "let hasInput = not inputTangent.IsEmpty"
                    "let hasInput = false" ]
          core
              [ "networks" ]
              "Pool.fs"
              [ slip
                    "a pooling layer hands down its cotangent without the derivatives of the layer below"
                    "inputDerivatives.Multiply inputCotangent"
                    "()" ]
          core
              [ "Architecture" ]
              "Window.fs"
              [ slip
                    "a picture has a pixel too few"
                    "(height - window.Height) / window.Stride + 1"
                    "(height - window.Height) / window.Stride" ]
          core
              [ "Embedding" ]
              "Embedding.fs"
              [ slip
                    "free outputs of a lookup get no cotangent"
                    "            add (cotangent.Slice(outputs, stateIndependent)) (parameters.Slice tableCount)"
                    "" ]
          core
              [ "distributions"; "Entropy" ]
              "Distribution.fs"
              [ slip
                    "the KL of Gaussians has the old variance under the difference"
                    "exp (-2.0 * newLogSigma)"
                    "exp (-2.0 * oldLogSigma)"
                slip
                    "the KL of categoricals is that of new and old"
                    "kl <- kl + exp oldLogP *"
                    "kl <- kl - exp (logProbability newLogits newTotal i) *"
                slip "the score of log σ lacks −1" "float32 (z * z - 1.0)" "float32 (z * z)"
                slip "the metric of log σ is 1" "<- 2f" "<- 1f"
                slip
                    "several choices are drawn by one number"
                    "if counts.Length = 1 then key else Key.at (int64 c) key"
                    "key"
                slip "the gradient of the entropy has a wrong sign" "(logP + entropy)" "(logP - entropy)"
                slip "a Gaussian's entropy lacks ½" "+ 0.5 + halfLogTwoPi" "+ halfLogTwoPi" ]
          core
              [ "distributions" ]
              "BetaFamily.fs"
              [ slip
                    "the metric of Beta distributions has no covariance"
                    "let shared = trigamma (alpha + beta) * (tangentAlpha + tangentBeta)"
                    "let shared = 0.0"
                slip "a Γ number is drawn without its tails" "if root > 0.0 then" "if root > 0.5 && root < 1.5 then"
                slip "the density of a Beta distribution is that of x" "- log 2.0" "- 0.0" ]
          core
              [ "distributions" ]
              "Squash.fs"
              [ slip
                    "log da/du of a squashed Gaussian is half of it"
                    "2.0 * (log 2.0 - distance"
                    "1.0 * (log 2.0 - distance" ]
          core
              [ "distributions" ]
              "SpecialFunctions.fs"
              [ slip "ψ′ lacks ½ z⁻²" "/ z + 0.5 * square + sum" "/ z + sum" ]
          core
              [ "box distributions" ]
              "Policy.fs"
              [ slip
                    "a squashed action is not mapped to the box"
                    "Space.unscale policy.ActionSpace (Span.op_Implicit action) action"
                    "()" ]
          core
              [ "Normaliser"; "an iteration" ]
              "Moments.fs"
              [ slip
                    "merged moments divide by the count twice"
                    "a.RowCount * b.RowCount / count)"
                    "a.RowCount * b.RowCount / (count * count))"
                slip
                    "the variance divides by n − 1"
                    "this.SquaredDeviationSums[column] / this.RowCount"
                    "this.SquaredDeviationSums[column] / (this.RowCount - 1.0)" ]
          core
              [ "Stages" ]
              "Normaliser.fs"
              [ slip
                    "the first batch is seen as it is"
                    "when moments.Count = 0.0 ->"
                    "when moments.Count = 0.0 && observations.Rows = 0 ->" ]
          core
              [ "Advantage" ]
              "Advantage.fs"
              [ slip
                    "an episode sees past its truncation"
                    "| End.Continues -> (1.0 - lambda)"
                    "| End.Continues | End.Truncated when t + 1 < values.Length -> (1.0 - lambda)"
                slip
                    "a termination is bootstrapped by the next row"
                    "| End.Terminated -> 0.0"
                    "| End.Terminated -> (if t + 1 < values.Length then values[t + 1] else 0.0)"
                slip "what follows is not discounted in returns" "rewards[t] + gamma * next" "rewards[t] + next"
                slip "advantages are divided by their variance" "sqrt (squares / float count)" "squares / float count"
                slip
                    "bootstraps are taken in the wrong order"
                    "bootstraps[bootstrap]"
                    "bootstraps[bootstraps.Length - 1 - bootstrap]" ]
          core
              [ "surrogate and Fisher"; "Entropy" ]
              "Surrogate.fs"
              [ slip "the gain is that of the logarithm of the ratio" "(exp logRatio - 1.0)" "logRatio"
                slip
                    "the KL is that of new and old"
                    "family.Kl(before.Row row, after.Row row)"
                    "family.Kl(after.Row row, before.Row row)"
                slip "the gradient is a sum and not a mean" "weight row / float rows" "weight row"
                slip
                    "the entropy's gradient is a sum and not a mean"
                    "surrogate.EntropyBonus / float rows"
                    "surrogate.EntropyBonus"
                slip "the largest KL is that of the last block" "MaxKl = max a.MaxKl b.MaxKl" "MaxKl = b.MaxKl"
                slip "the gain is that of the last block" "Gain = a.Gain + b.Gain" "Gain = b.Gain" ]
          core
              [ "surrogate and Fisher" ]
              "Fisher.fs"
              [ slip "the Fisher matrix is a sum and not a mean" "1f / float32 linearization.Value.Outputs.Rows" "1f"
                slip "the Fisher matrix is not damped" "float32 damping, v.Span" "0f, v.Span"
                slip "a sample of the rows is the first of them" "int (int64 i * int64 total / int64 count)" "i" ]
          core
              [ "Conjugate gradient" ]
              "ConjugateGradient.fs"
              [ slip
                    "directions are conjugate by the inverse factor"
                    "addScaled (next / squared) p r p"
                    "addScaled (squared / next) p r p"
                slip
                    "the squared residual is the first one's for ever"
                    "squared <- advance squared pAp product x r p"
                    "advance squared pAp product x r p |> ignore"
                slip "the tolerance is absolute" "settings.Tolerance * initial" "settings.Tolerance"
                slip
                    "there is one iteration too few"
                    "residuals.Count <= settings.Iterations"
                    "residuals.Count < settings.Iterations"
                slip "residuals are absolute" "residuals.Add(sqrt squared / initial)" "residuals.Add(sqrt squared)" ]
          core
              [ "line search"; "trust region" ]
              "LineSearch.fs"
              [ slip "there is one try too many" "elif tries < settings.Tries" "elif tries <= settings.Tries"
                slip "steps are shortened only once" "(fraction * settings.Ratio)" "settings.Ratio" ]
          core
              [ "trust region" ]
              "TrustRegion.fs"
              [ slip "a step that gains nothing is taken" "comparison.Gain > 0.0" "comparison.Gain >= 0.0"
                slip "a step may have twice the KL" "comparison.MeanKl <= delta" "comparison.MeanKl <= 2.0 * delta"
                slip
                    "a fixed step of no length is a move"
                    "if not (parameters.Span.SequenceEqual old.Span) then"
                    "if true then" ]
          core
              [ "line search"; "trust region" ]
              "LineSearch.fs"
              [ slip "a step is too short by √2" "2.0 * step.Delta / step.Curvature" "step.Delta / step.Curvature" ]
          core
              [ "Critic fit" ]
              "CriticFit.fs"
              [ slip
                    "Adam's last minibatch is scaled as if it were full"
                    "2.0 / float rows.Length"
                    "2.0 / float settings.BatchSize"
                slip "the critic's trust region is twice as large" "/ (2.0 * sigmaSquared)" "/ (4.0 * sigmaSquared)"
                slip "the critic's trust region is not checked" "&& next.Distance <= settings.Delta" ""
                slip "the critic's step is not damped" "float32 settings.Damping," "0f,"
                slip
                    "a product of the critic that is not finite is no step"
                    "| None -> Error \"critic's Gauss-Newton product\""
                    "| None -> Ok None"
                slip "the critic's step may be lengthened" "Longest = 1.0" "Longest = infinity" ]
          core
              [ "Critic fit"; "PPO" ]
              "Minibatches.fs"
              [ slip
                    "Adam corrects every step's bias as the first's"
                    "steps <- steps + 1L"
                    "steps <- optimiser.Steps + 1L"
                slip
                    "every epoch has the same order"
                    "Key.permutation groups.Count (Key.at (int64 number) key)"
                    "Key.permutation groups.Count (Key.at (int64 (min number 1)) key)" ]
          core [ "PPO" ] "Adam.fs" [ slip "Adam moves what is no parameter" "packed.ClearGaps gradient" "()" ]
          ddpg
              [ "DDPG" ]
              "ReplayMemory.fs"
              [ slip
                    "a full memory keeps its oldest experiences"
                    "int (added % int64 memory.Capacity)"
                    "int (min added (int64 memory.Capacity - 1L))" ]
          ddpg
              [ "DDPG" ]
              "QCritic.fs"
              [ slip
                    "what follows the end of a task counts"
                    "if terminated then reward else reward + gamma * nextValue"
                    "(if terminated then 1.0 else 1.0) * reward + gamma * nextValue" ]
          ddpg
              [ "DDPG" ]
              "DeterministicActor.fs"
              [ slip "the slope of the tanh is forgotten" "(1f - action[i] * action[i])" "(1f + 0f * action[i])" ]
          ddpg
              [ "DDPG" ]
              "TargetNetwork.fs"
              [ slip "the targets grow" "float32 (1.0 - tau)" "float32 (1.0 - 0.5 * tau)" ]
          ddpg
              [ "DDPG" ]
              "ExplorationNoise.fs"
              [ slip
                    "correlated noise loses its variance"
                    "sqrt (1.0 - correlation * correlation)"
                    "(1.0 - correlation)" ]
          ddpg
              [ "DDPG" ]
              "Explorer.fs"
              [ slip
                    "a time limit ends the task"
                    "(float32 next.Reward) next.Terminated"
                    "(float32 next.Reward) (next.Terminated || next.Truncated)" ]
          ddpg [ "DDPG" ] "Learner.fs" [ slip "the actor goes down" "let weight = -1.0" "let weight = 1.0" ]
          ddpg
              [ "DDPG" ]
              "DdpgTraining.fs"
              [ slip "the warm-up is a step longer" "steps >= int64 settings.Warmup" "steps > int64 settings.Warmup" ]
          ddpg
              [ "DDPG checkpoints" ]
              "DdpgCheckpoint.fs"
              [ slip "the noise of the last action is forgotten" "Noise = noise" "Noise = Vector.zero noise.Length" ]
          core
              [ "PPO" ]
              "ClippedSurrogate.fs"
              [ slip
                    "a row that loses is clipped, too"
                    "advantage > 0.0 && ratio > 1.0 + clipRange"
                    "ratio > 1.0 + clipRange"
                slip "a ratio is clipped above only" "ratio |> max (1.0 - clipRange) |> min" "ratio |> min"
                slip "the ratio is that of another row" "let ofBatch = rowOf row" "let ofBatch = row" ]
          core
              [ "PPO" ]
              "Ppo.fs"
              [ slip "the target KL ends nothing" "meanKl surrogate rows at.Outputs <= settings.TargetKl" "true"
                slip "PPO descends" "negate result" "()"
                slip "PPO forgets its optimiser" "Adam.orInit old optimiser" "Adam.init old" ]
          core
              [ "Rollout" ]
              "RolloutWorker.fs"
              [ slip "bootstraps lie in the order of time" "(fun i -> bootstrapRows[i]) order" "(fun i -> i) order"
                slip
                    "all instances have the chance of the first"
                    "environment.Step(Key.at (int64 t) stepKeys[i],"
                    "environment.Step(Key.at (int64 t) stepKeys[0],"
                slip
                    "every reset of a rollout is the same"
                    "environment.Reset(Key.at (int64 t) resetKeys[i])"
                    "environment.Reset(Key.at 0L resetKeys[i])"
                slip "an episode's length is not counted" "Length = current[i].Length + 1" "Length = current[i].Length"
                slip
                    "a truncation is a termination"
                    "elif next.Truncated then End.Truncated"
                    "elif next.Truncated then End.Terminated"
                slip
                    "the batch has the clipped actions"
                    "(Span.op_Implicit (actionOf i t)) (clipped.AsSpan())"
                    "(Span.op_Implicit (actionOf i t)) (actionOf i t); (actionOf i t).CopyTo(clipped.AsSpan())"
                slip
                    "an action that is not finite is taken"
                    "if not (Reductions.AllFinite(Span.op_Implicit action)) then"
                    "if false then"
                slip
                    "the number of steps does not survive a reset"
                    "Length = 0; Steps = current[i].Steps + 1L }"
                    "Length = 0; Steps = 1L }" ]
          core
              [ "Batch simulators" ]
              "RolloutWorker.fs"
              [ slip
                    "a failure of a batch is that of its first instance"
                    "called <- instances[position]"
                    "called <- instances[0]" ]
          core
              [ "Batch simulators" ]
              "SimulatorEnvironment.fs"
              [ slip
                    "observations of a batch are mixed up"
                    "let observation = observations[positions[row]]"
                    "let observation = observations[positions[positions.Length - 1 - row]]" ]
          core
              [ "Rollout" ]
              "Rollout.fs"
              [ slip
                    "an episode loses what it earned in earlier batches"
                    "if reachesBatchStart then instances[instance].Return else 0.0"
                    "0.0" ]
          core
              [ "Vine" ]
              "Vine.fs"
              [ slip "drawn branches lack the factor K/(K − 1)" "float branches / float (branches - 1)" "1.0"
                slip
                    "branches have chance of their own"
                    "(Key.named \"play\" key)"
                    "(Key.at (int64 branch) (Key.named \"play\" key))"
                slip
                    "a branch's last step is not counted"
                    "last + 1 - instance * batch.Horizon"
                    "last - instance * batch.Horizon"
                slip
                    "nobody gives back what is behind the states"
                    "            instance.State.Inner |> ValueOption.iter Releasable.release"
                    "            ignore instance" ]
          core
              [ "Critic fit"; "One step" ]
              "ReturnUnit.fs"
              [ slip
                    "the unit of returns counts the first batches as the last"
                    "earlier.Count / (decay + 1.0)"
                    "earlier.Count"
                slip "an enormous return is never forgotten" "now > 0.0 && before > otherScale * now" "false"
                slip "the rows of the return unit are not counted" "earlier.Count + batch.Count" "batch.Count" ]
          core
              [ "Advantage" ]
              "ReturnUnit.fs"
              [ slip
                    "the deviation of rewards goes on beyond the end of an episode"
                    "(if ends[t] = End.Continues then gamma * sum else 0.0)"
                    "gamma * sum" ]
          core
              [ "Warnings" ]
              "Policy.fs"
              [ slip "a log σ beyond its bound stays there" "logSigmas.ToArray() |> Array.exists isOutside" "false" ]
          core
              [ "Critic" ]
              "ReturnUnit.fs"
              [ slip "V lacks the mean of its unit" "mean + deviation * output" "deviation * output" ]
          core
              [ "Critic" ]
              "Critic.fs"
              [ slip "the error is the mean square" "sqrt (sum / float values.Length)" "sum / float values.Length" ]
          core
              [ "distributions" ]
              "Distribution.fs"
              [ slip
                    "log σ goes on beyond its bound"
                    "derivative > 0f && logSigma >= highestLogSigma"
                    "derivative > 1e30f && logSigma >= highestLogSigma" ]
          core
              [ "sampled certificate" ]
              "SampledCertificate.fs"
              [ slip "the penalty is half of that of the theory" "2.0 * gamma * product" "gamma * product"
                slip "the bound of the gain is an upper one" "gain - SpecialFunctions" "gain + SpecialFunctions" ]
          core
              [ "sampled certificate" ]
              "Stages.fs"
              [ slip
                    "held-out advantages are scaled by their own moments"
                    "scaleAdvantagesAs setup unit stay.Advantages out.Advantages"
                    "scaleAdvantagesAs setup unit out.Advantages out.Advantages" ]
          core
              [ "trust region" ]
              "TrustRegion.fs"
              [ slip "damping stays in the length" "damped - settings.Damping * Vector.dot direction direction" "damped" ]
          core
              [ "Rollout" ]
              "RolloutWorker.fs"
              [ slip "a bootstrap shows what the one before wrote" "following.AsSpan().Clear()" "()" ]
          core
              [ "Warnings" ]
              "Streaks.fs"
              [ slip "every streak is reported" "2 * streak.LongestReported" "streak.LongestReported"
                slip
                    "a policy with a single action is told to explore"
                    "Discrete count -> count > 1"
                    "Discrete _ -> true"
                slip "a refused step is a move" "        improvement.Outcome.IsMoved" "        true" ]
          core
              [ "an iteration"; "Warnings" ]
              "Training.fs"
              [ slip
                    "the normaliser is frozen after a few iterations"
                    "if improvement.Outcome.IsMoved then"
                    "if improvement.Outcome.IsMoved && state.Iteration < 9 then"
                slip "a refused step moves the normaliser" "if improvement.Outcome.IsMoved then" "if true then" ]
          core
              [ "report" ]
              "Report.fs"
              [ slip "the largest KL of a report is the mean" "(comparison r).MaxKl" "(comparison r).MeanKl"
                slip
                    "a fixed step has used nothing of its trust region"
                    "if Double.IsInfinity report.Delta then nan"
                    "if false then nan" ]
          core
              [ "setup" ]
              "Setup.fs"
              [ slip "a state continues with other networks" "          \"criticHidden\"" "          \"\"" ]
          core
              [ "Training"; "Vine" ]
              "Training.fs"
              [ slip
                    "branches' steps are not counted"
                    "int64 batch.Rewards.Length + rows.Steps"
                    "int64 batch.Rewards.Length"
                slip
                    "the last steps of a budget are not made"
                    "let remaining = 1L + (steps - state.Steps - 1L)"
                    "let remaining = max 1L (steps - state.Steps)" ]
          core
              [ "Training"; "state" ]
              "TrainingState.fs"
              [ slip
                    "the best mean is over 101 returns"
                    "for i in last - window + 1 .. last do"
                    "for i in max 0 (last - window) .. last do"
                slip "a goal is reached by the first episode" "returns.Length >= window" "true"
                slip "a normaliser of any width will do" "moments.Width <> Space.width space" "false"
                slip
                    "a start from a policy forgets its normaliser"
                    "PolicyParameters = actor.Parameters; Normaliser = actor.Normaliser"
                    "PolicyParameters = actor.Parameters" ]
          core
              [ "Stages"; "Vine" ]
              "Stages.fs"
              [ slip "every iteration has the same keys" "Key.at (int64 state.Iteration)" "Key.at 0L"
                slip
                    "the Fisher matrix has as many rows of a vine as of a batch"
                    "settings.FisherFraction / float rowsPerState"
                    "settings.FisherFraction"
                slip
                    "advantages keep the unit of the reward"
                    "elif ReturnUnit.deviation unit > 0.0 then"
                    "elif false then" ]
          core
              [ "Hostile numbers in environments" ]
              "Normaliser.fs"
              [ slip
                    "a huge column that never varies is divided by its rounding error"
                    "(rounding * abs (moments.Mean column))"
                    "0.0" ]
          core
              [ "Hostile numbers in environments" ]
              "Adam.fs"
              [ slip
                    "an infinite moment of an optimiser is not seen"
                    "Vector.isFinite state.FirstMoment && Vector.isFinite state.SecondMoment"
                    "Vector.isFinite state.FirstMoment" ]
          core
              [ "Hostile numbers in steps"; "Hostile numbers in environments" ]
              "Stages.fs"
              [ slip
                    "a fixed step may lead to a policy that acts NaN"
                    "&& Double.IsFinite improvement.Comparison.MeanKl"
                    "&& true"
                slip "a critic may have values that are NaN" "&& Double.IsFinite error" "&& true" ]
          core
              [ "Hostile numbers in steps" ]
              "Streaks.fs"
              [ slip
                    "the warning of a certain policy blames its batch"
                    "| _ when improvement.Comparison.Entropy < littleEntropy ->"
                    "| _ when false ->"
                slip
                    "the warning of a fixed step speaks of a trust region"
                    "| LineSearchFailed _, _ when Double.IsInfinity delta ->"
                    "| LineSearchFailed _, _ when false ->" ]
          core
              [ "Configuration" ]
              "Configuration.fs"
              [ slip "the trust region is halved all at once" "all / float halfLife" "floor (all / float halfLife)"
                slip
                    "the entropy bonus has the half-life of the trust region"
                    "halved configuration.EntropyHalfLife"
                    "halved configuration.DeltaHalfLife" ]
          core
              [ "evaluation" ]
              "Evaluation.fs"
              [ slip "the deviation is the variance" "Std = sqrt (returns" "Std = (returns"
                slip "returns are in reverse" "(Array.concat >> scores)" "(List.rev >> Array.concat >> scores)"
                slip "all episodes are the same" "(fun i -> Key.at (int64 (first + i)) key)" "(fun _ -> key)"
                slip
                    "an action of another width reaches the environment"
                    "Space.contains space clipped.Span && Vector.isFinite clipped"
                    "true" ]
          core
              [ "evaluation" ]
              "EvaluationWorker.fs"
              [ slip
                    "the last reward of an episode is lost"
                    "totals[episode] + next.Reward"
                    "totals[episode] + (if next.Terminated || next.Truncated then 0.0 else next.Reward)"
                slip
                    "an abandoned episode keeps its resource"
                    "Releasable.release states[episode]"
                    "ignore states[episode]" ]
          core
              [ "Check" ]
              "Check.fs"
              [ slip
                    "a checked episode keeps its resource after a fault"
                    "current |> ValueOption.iter Releasable.release"
                    "if fault.IsNone then current |> ValueOption.iter Releasable.release" ]
          core
              [ "Policy file" ]
              "PolicyFile.fs"
              [ slip
                    "variances are saved for squared deviations"
                    "\"squaredDeviations\" moments.SquaredDeviations"
                    "\"squaredDeviations\" moments.Variance"
                slip
                    "scaled actions are forgotten by files"
                    "(property \"scaledActions\" node).GetBoolean()"
                    "(property \"scaledActions\" node).GetBoolean() && false" ]
          core
              [ "Atomic file" ]
              "AtomicFile.fs"
              [ slip "a write that fails leaves its file behind" "File.Delete temporary" "()" ]
          core
              [ "disks" ]
              "AtomicFile.fs"
              [ slip "a name that the disk did not confirm goes unnoticed" "raise (NotConfirmed error.Message)" "()" ]
          core
              [ "the place of what is wrong" ]
              "ByteReader.fs"
              [ slip "an offset is that in the section, and not in the file" "first + int64 last" "int64 last" ]
          core
              [ "the place of what is wrong" ]
              "Json.fs"
              [ slip "lines are counted from 0" "1 + before.Count" "0 + before.Count" ]
          core
              [ "a checkpoint of version 1" ]
              "CheckpointSections.fs"
              [ slip "the best mean return is forgotten" "if hasBest then Some best else None" "None" ]
          core
              [ "Regular file" ]
              "RegularFile.fs"
              [ slip "the mark of the encoding is read as well" "if isMarked then text.Slice mark else text" "text" ]
          core
              [ "spaces as JSON" ]
              "SpaceJson.fs"
              [ slip "a lower bound without end is an upper one" "bounds Single.NegativeInfinity" "bounds infinityf" ]
          core
              [ "parameters as bytes" ]
              "ParameterBytes.fs"
              [ slip "half a number is left out" "|| count % 4 <> 0" "|| count % 2 <> 0" ]
          core
              [ "vectors and matrices" ]
              "Vector.fs"
              [ slip "a vector changes with its array" "adopt (Array.copy values)" "adopt values"
                slip "a size wraps around in 32 bits" "int64 rows * int64 columns" "int64 (rows * columns)" ]
          core
              [ "compositions" ]
              "Composition.fs"
              [ slip
                    "a count of parameters wraps around in 32 bits"
                    "int64 first + int64 second"
                    "int64 (first + second)" ]
          core
              [ "parallel work"; "surrogate and Fisher" ]
              "Parallel.fs"
              [ slip "a last and shorter block is left out" "(total + size - 1) / size" "max 1 (total / size)"
                slip
                    "no more pieces wait than there are processors"
                    "(max 1 (min threads count) - 1)"
                    "(effective (min threads count) - 1)" ]
          core
              [ "In flight" ]
              "InFlight.fs"
              [ slip
                    "an environment that waits is stepped on the computing threads"
                    "| Some inFlight -> Parallel.mapWaiting inFlight count f"
                    "| Some _ -> Parallel.map threads count f" ]
          core
              [ "In flight" ]
              "Vine.fs"
              [ slip "branches wait one after another" "InFlight = InFlight.ofEnvironment inner" "InFlight = None" ]
          core
              [ "masks" ]
              "Mask.fs"
              [ slip
                    "a mask allows an action if one choice is legal"
                    "allowed <- allowed && rest[int action[choice]] = 1f"
                    "allowed <- rest[int action[choice]] = 1f"
                slip
                    "a row has a legal action if its last choice has"
                    "found <- found && rest.Slice(0, count).Contains 1f"
                    "found <- rest.Slice(0, count).Contains 1f" ]
          core
              [ "parts"; "layers"; "distributions" ]
              "ProductFamily.fs"
              [ slip
                    "the log sigma of a part are those of the first part"
                    "FirstStateIndependent = List.last outputs + stateIndependent[i]"
                    "FirstStateIndependent = List.last outputs"
                slip "all parts draw with the same key" "Key.at (int64 i) key, drawn" "key, drawn" ]
          core
              [ "parts"; "layers" ]
              "PartsLayer.fs"
              [ slip "parts multiply by the slope of nothing" "inner[i].ActivationDerivatives.Multiply own.Span" "()"
                slip
                    "all parts remember in the same place"
                    "{ sequences with Memory = sequences.Memory.Slice this.Memory }"
                    "sequences" ]
          core [ "parts" ] "Moments.fs" [ slip "labels are normalised" "LabelColumns = labels }" "LabelColumns = [] }" ]
          core
              [ "wrappers" ]
              "FrameStack.fs"
              [ slip
                    "the oldest mask counts"
                    "frames.Slice((count - 1) * stride + Space.width inner"
                    "frames.Slice(Space.width inner"
                slip
                    "frames are not joined along the last axis"
                    "(position * count + frame) * axis"
                    "(frame * (Space.width observed / axis) + position) * axis" ]
          core
              [ "wrappers" ]
              "LastAction.fs"
              [ slip "the last reward is not shown" "row[actions] <- float32 next.Reward" "()" ]
          core
              [ "masked layers"; "masks"; "masks with memory" ]
              "MaskedLayers.fs"
              [ slip "an illegal action is only improbable" "illegalLogit = Single.MinValue" "illegalLogit = -10f"
                slip
                    "the tangents of illegal logits are not 0"
                    "masks.Replace(0f, rows, input.Span, inputStride, outputTangent)"
                    "()"
                slip
                    "a network with memory shows the logits of illegal actions"
                    "masks.Replace(illegalLogit, sequences.Count * sequences.Length, input, inputStride, output)"
                    "()"
                slip
                    "the cotangents of illegal logits are not 0"
                    "masks.Replace(0f, rows, input.Span, inputStride, ofLegal.Span)"
                    "()" ]
          core
              [ "masks" ]
              "Distribution.fs"
              [ slip
                    "the last alternative is drawn even if its probability is 0"
                    "while choice > 0 && exp (logProbability logits total choice) = 0.0 do"
                    "while false do" ]
          core
              [ "masks" ]
              "Normaliser.fs"
              [ slip "a mask is lost where observations are normalised" "if moments.Width < width then" "if false then" ]
          core
              [ "masks" ]
              "Vine.fs"
              [ slip
                    "a vine takes illegal actions"
                    "count <= branches && not (Mask.isIn environment.ObservationSpace)"
                    "count <= branches" ]
          core
              [ "masks" ]
              "EvaluationWorker.fs"
              [ slip
                    "an evaluation goes on without a legal action"
                    "if not (Mask.hasLegalAction environment.ObservationSpace observation.Span) then"
                    "if false then" ]
          core
              [ "Space"; "Environments" ]
              "Space.fs"
              [ slip
                    "a box is twice as wide as its units"
                    "0.5 * (low + high), 0.5 * (high - low)"
                    "0.5 * (low + high), (high - low)"
                slip "the count is an index" "x < float32 count" "x <= float32 count" ]
          core
              [ "Key" ]
              "Key.fs"
              [ slip
                    "a permutation leaves nothing in its place"
                    "Math.BigMul(b, uint64 (i + 1))"
                    "Math.BigMul(b, uint64 i)" ]
          core
              [ "Environments" ]
              "Environment.fs"
              [ slip "a time limit is a step too long" "elapsed >= limit" "elapsed > limit" ]
          core
              [ "Simulator" ]
              "SimulatorPool.fs"
              [ slip
                    "failed simulators are never disposed of"
                    "if lock disposable (fun () -> disposable.Remove instance) then"
                    "if lock disposable (fun () -> not (disposable.Contains instance)) then" ]
          core
              [ "Simulator" ]
              "SimulatorEnvironment.fs"
              [ slip
                    "an episode that is played again may show anything"
                    "if not (point.Shows observation) then"
                    "if not (point.Shows observation) && point.Steps < 0 then" ]
          core
              [ "Simulator" ]
              "ReplayPoint.fs"
              [ slip
                    "branches of an episode overwrite each other's actions"
                    "if sharesActions && count <= actions.Length then"
                    "if count <= actions.Length then" ]
          core
              [ "Simulator" ]
              "Environment.fs"
              [ slip
                    "a time limit keeps the simulator of its episode"
                    "if isTruncated && not isOver then"
                    "if isTruncated && isOver then" ]

          remote
              "Session.cs"
              [ slip "every token is right" "Require(isKnown, " "Require(true, "
                slip
                    "the end of an episode carries over as its other kind"
                    "(result.Terminated ? 1 : 0) | (result.Truncated ? 2 : 0)"
                    "(result.Terminated ? 2 : 0) | (result.Truncated ? 1 : 0)" ]
          remote
              "Arrivals.cs"
              [ slip
                    "a message may be as long as it says"
                    "if (announced > longest)"
                    "if (announced > uint.MaxValue - 1)" ]
          remote
              "Channel.cs"
              [ slip
                    "a server has for ever to answer"
                    "            time,\n            Timeout.InfiniteTimeSpan"
                    "            Timeout.InfiniteTimeSpan,\n            Timeout.InfiniteTimeSpan" ]
          core
              [ "Godot" ]
              "SimulatorEnvironment.fs"
              [ slip
                    "several threads step the agents of a game"
                    "if isLockstep then Some 1 else None"
                    "if isLockstep then None else None"
                slip
                    "games are called one after another"
                    "Parallel.mapWaiting batches.Length batches.Length"
                    "Parallel.mapWaiting 1 batches.Length" ]
          godot
              "GodotSimulators.cs"
              [ slip
                    "the state after a time limit is one of the next episode"
                    "(isTruncated ? before : reply)"
                    "(isTruncated ? reply : reply)"
                slip "some agents of a game may stand still" "if (playing != indices.Length)" "if (playing < 0)"
                slip
                    "an abandoned episode keeps the others from beginning anew"
                    "public void Abandon(int index) => isPlaying[index] = false;"
                    "public void Abandon(int index) => isPlaying[index] |= false;" ]
          godot
              "GodotGame.cs"
              [ slip
                    "pictures keep the order of axes that cameras announce"
                    "? [height, width, shape[0]]"
                    "? [shape[0], height, width]" ]
          godot
              "GodotReply.cs"
              [ slip
                    "what a game leaves out keeps its last value"
                    "int missing = Array.IndexOf(isRead, false);"
                    "int missing = -1;" ]

          environment
              "Acrobot.fs"
              [ slip "Runge and Kutta weigh k₃ as k₄" "2.0 * part k2 + 2.0 * part k3" "2.0 * part k2 + part k3" ]
          environment
              "CartPole.fs"
              [ slip
                    "the cart moves with its next velocity"
                    "timeStep * state.Velocity"
                    "timeStep * (state.Velocity + timeStep * acceleration)" ]
          environment
              "MountainCar.fs"
              [ slip
                    "the wall does not stop the car"
                    "if position = leftWall && velocity < 0.0 then 0.0 else velocity"
                    "velocity" ]
          environment
              "Pendulum.fs"
              [ slip
                    "the cost is that of the next state"
                    "-(cost torque state)"
                    "-(cost torque (dynamics torque state))" ]

          exact
              [ "Exact bounds"; "Exact algorithms" ]
              "Bounds.fs"
              [ slip "the penalty is half of what it must be" "4.0 * epsilon * mdp.Gamma" "2.0 * epsilon * mdp.Gamma"
                slip
                    "Pinsker's bound has half of its penalty"
                    "less l (0.5 * c) (klMax ())"
                    "less l (0.25 * c) (klMax ())"
                slip "ε of another policy has a sign" "abs advantages[state]" "advantages[state]"
                slip
                    "the range of advantages is only its upper half"
                    "Seq.max advantages - Seq.min advantages"
                    "Seq.max advantages"
                slip
                    "the least advantage counts no state in which it is negative"
                    "Seq.map (fun state -> advantages[state]) |> Seq.min"
                    "Seq.map (fun state -> max 0.0 advantages[state]) |> Seq.min" ]
          exact
              [ "Exact duals" ]
              "KlDual.fs"
              [ slip
                    "what the support keeps is linear in the KL"
                    "(beyond, exp -d, oneMinusExp d)"
                    "(beyond, 1.0 - min 1.0 d, oneMinusExp d)" ]
          exact
              [ "Exact duals"; "Exact algorithms" ]
              "TvDual.fs"
              [ slip
                    "the best action gives first"
                    "Array.sortBy (fun a -> w[a])"
                    "Array.sortByDescending (fun a -> w[a])"
                slip "a penalty in t² counts once" "slope / (2.0 * price)" "slope / price" ]
          exact
              [ "Exact processes" ]
              "Values.fs"
              [ slip "what follows is not discounted" "+ mdp.Gamma * sum" "+ sum"
                slip
                    "the identity has the visitation of the old policy"
                    "other.Visitation[state]"
                    "values.Visitation[state]" ]
          exact
              [ "Exact bounds"; "Exact algorithms" ]
              "Divergence.fs"
              [ slip
                    "the mean KL is not normalised"
                    "scale * values.Visitation[state] * stateValues[state]"
                    "(if scale > 0.0 then values.Visitation[state] else 0.0) * stateValues[state]" ]
          exact
              [ "Bridge"; "natural gradient" ]
              "Softmax.fs"
              [ slip
                    "the Fisher product is diagonal"
                    "weight * values.Policy[state, action] * (x[state, action] - mean)"
                    "weight * values.Policy[state, action] * (x[state, action] - 0.0 * mean)"
                slip
                    "Sherman and Morrison have a wrong sign"
                    "(1.0 - weight * dot row solvedRow)"
                    "(1.0 + weight * dot row solvedRow)" ]
          exact
              [ "Exact algorithms" ]
              "SharedSoftmax.fs"
              [ slip "the features of a state are not centred" "sqrt p * (x - m)" "sqrt p * (x - 0.0 * m)" ]
          exact
              [ "Exact algorithms" ]
              "Triangular.fs"
              [ slip "the damping counts twice" "(rowSize * rowSize + damping)" "(rowSize * rowSize + 2.0 * damping)" ]
          exact
              [ "Exact algorithms" ]
              "SharedAlgorithms.fs"
              [ slip
                    "each state sees its own visits"
                    "visits[classes[state]] / float members[classes[state]]"
                    "values.Visitation[state] / float members[classes[state]]" ]
          exact
              [ "Exact algorithms" ]
              "SharedAlgorithms.fs"
              [ slip
                    "PPO clips rows with a negative advantage on the wrong side"
                    "else ratio < 1.0 - clipRange"
                    "else ratio > 1.0 + clipRange" ]
          exact
              [ "linear-quadratic problems" ]
              "LinearQuadratic.fs"
              [ slip "the noise comes only once" "gamma / (1.0 - gamma) * noise" "gamma * noise"
                slip
                    "the cost of exploration is left out"
                    "((problem.ActionCost * policy.Exploration).Trace() + gamma"
                    "(gamma"
                slip "the mean KL is not halved" "0.5\n        * (1.0 - problem.Discount)" "(1.0 - problem.Discount)" ]
          exact
              [ "Exact algorithms" ]
              "Algorithms.fs"
              [ slip "conservative steps are half as long" "min 1.0 (advantage / c)" "min 1.0 (0.5 * advantage / c)" ]
          exact
              [ "Bridge" ]
              "Simulation.fs"
              [ slip
                    "a truncated process terminates"
                    "environment (endWithProbability mdp End.Truncated)"
                    "environment (endWithProbability mdp End.Terminated)" ]
          exact
              [ "Bridge" ]
              "Bridge.fs"
              [ slip
                    "what terminates is not seen in the share of visits"
                    "visits values / Values.horizon mdp values"
                    "min 1.0 (visits values * Values.horizon mdp values)" ]
          exact
              [ "ExactWorstCase" ]
              "WorstCase.fs"
              [ slip
                    "the step in the worst row is too short by √2"
                    "2.0 * delta / worst rows direction"
                    "delta / worst rows direction" ]

          faultsIn
              [ "Recurrent" ]
              "src/FunTrpo.Kernels/GruLayer.cs"
              [ slip "the product with r has the cotangent of the candidate" "(ofN * r).Store(u" "ofN.Store(u" ]
          faultsIn
              [ "Recurrent" ]
              "src/FunTrpo.Kernels/LstmLayer.cs"
              [ slip "cells are kept whole in the pullback" "(c * forget).Store(memory" "c.Store(memory" ]
          core
              [ "Recurrent" ]
              "RolloutWorker.fs"
              [ slip "memory survives the end of an episode" "(memoryOf i).Span.Clear()" "()" ]
          core
              [ "Recurrent" ]
              "Batch.fs"
              [ slip
                    "updates see through the end of an episode"
                    "row % batch.Horizon > 0 && endsEpisode"
                    "row % batch.Horizon < 0 && endsEpisode" ]
          core
              [ "Recurrent" ]
              "Critic.fs"
              [ slip
                    "the critic remembers earlier episodes"
                    "memory.Span.Slice(i * width, width).Clear()"
                    "memory.Span.Slice(i * width, 0).Clear()"
                slip
                    "a thread leaves instances of the critic out"
                    "((piece + 1) * count / pieces - first))"
                    "(count / pieces))" ]
          core
              [ "Recurrent" ]
              "Sequences.fs"
              [ slip
                    "chosen sequences have the starts of others"
                    "sequences.Begins[i * sequences.Length + t]"
                    "sequences.Begins[t]" ]
          faultsIn
              [ "Recurrent" ]
              "src/FunTrpo.Inference/GatedLayer.cs"
              [ slip
                    "the package forgets the bias of h U"
                    "Biases.Slice(3 * Outputs, Outputs).CopyTo"
                    "Biases.Slice(2 * Outputs, Outputs).CopyTo" ]
          faultsIn
              [ "Recurrent" ]
              "src/FunTrpo.Onnx/GatedNodes.cs"
              [ slip "exported units keep what they should forget" "\"Sub\", memory, n" "\"Sub\", n, memory" ]
          facade
              [ "Facade" ]
              "IterationReport.cs"
              [ slip "the largest KL is the mean" "MaxKl = comparison.MaxKl" "MaxKl = comparison.MeanKl" ]
          facade
              [ "Facade" ]
              "TrainingState.cs"
              [ slip "another seed is the same future" ": Core.TrainingState.reseed(changed.Seed, state)" ": state" ]
          facade
              [ "Facade" ]
              "TrainingPlan.cs"
              [ slip "every evaluation has the same seed" "KeyModule.ofSeed(Seed)" "KeyModule.ofSeed(0)" ]

          core
              [ "report" ]
              "Report.fs"
              [ slip "the upper quartile is the lower one" "returnQuantileOf 0.75" "returnQuantileOf 0.25" ]
          plots
              [ "Progress" ]
              "CsvTable.fs"
              [ slip "the page of a long run lacks its last iteration" "i % every = 0" "i % every = every - 1" ]
          plots
              [ "Report page" ]
              "Charts.fs"
              [ slip "the page shows the realised gain with the wrong sign" "-> after - before" "-> before - after" ]
          plots
              [ "Report page" ]
              "EpisodeJson.fs"
              [ slip
                    "the page shows the first picture only"
                    "index < before.Length && before[index] = shape"
                    "index < before.Length" ]
          plots
              [ "Report page" ]
              "Page.fs"
              [ slip "the page has names as markup in its title" "WebUtility.HtmlEncode page.Title" "page.Title" ]
          plots
              [ "Comparison" ]
              "LearningCurve.fs"
              [ slip
                    "curves end where the last run does"
                    "(Array.last >> fst) |> Array.min"
                    "(Array.last >> fst) |> Array.max" ]
          plots
              [ "Comparison" ]
              "Comparison.fs"
              [ slip "environments are put together as they are" "(score - random) / (goal - random)" "score - random"
                slip
                    "improvement is counted the other way round"
                    "strata[.. count - 1] strata[count..]"
                    "strata[count..] strata[.. count - 1]" ]
          plots
              [ "Compare page" ]
              "ComparePage.fs"
              [ slip
                    "the page calls training returns scores"
                    "final isScored run |> orDash number"
                    "final true run |> orDash number" ]
          faultsIn
              [ "Sweep" ]
              "src/FunTrpo.Cli/SweepPlan.fs"
              [ slip "a sweep may lose seeds" "List.except now earlier" "List.except earlier earlier" ]
          faultsIn
              [ "Sweep" ]
              "src/FunTrpo.Cli/SweepTable.fs"
              [ slip "cells with commas are not quoted" "text.IndexOfAny [| ','; '\"';" "text.IndexOfAny [| '\"';" ]
          faultsIn
              [ "funtrpo sweep" ]
              "src/FunTrpo.Cli/FinalScore.fs"
              [ slip "the episodes of a score are those of another seed" "seed + 1000L" "seed + 1001L" ]
          faultsIn
              [ "funtrpo sweep" ]
              "src/FunTrpo.Cli/Sweep.fs"
              [ slip
                    "interrupted runs begin again"
                    "RunFiles.checkpointFile) && isThisRun run"
                    "RunFiles.checkpointFile) && false" ]
          plots
              [ "Report in a browser" ]
              "Page/player.js"
              [ slip "the page does not pause" "if (!isPlaying) return;" "" ]
          plots
              [ "report command" ]
              "RunPage.fs"
              [ slip
                    "the page takes the preset for the settings of the run"
                    "(defaultArg preset configuration) configuration"
                    "configuration (defaultArg preset configuration)" ]

          plots
              [ "Watch command" ]
              "Page/page.js"
              [ slip "newer data moves the axes that the reader has zoomed" "layout.uirevision = \"kept\";" "" ]
          plots
              [ "Watch command" ]
              "Page/report.js"
              [ slip "a chart that newer data does not have stays" "if (!titles.has(title)) {" "if (false) {" ]
          faultsIn
              [ "Live view" ]
              "src/FunTrpo.Cli/Terminal.fs"
              [ slip
                    "a terminal that has become narrower keeps rows of the frame before"
                    "max 1 ((length + width - 1) / width)"
                    "max 1 (min 1 (length / width))"
                slip "colours count as columns" "elif character = 'm'" "elif character = '['" ]
          faultsIn
              [ "Live view" ]
              "src/FunTrpo.Cli/LiveView.fs"
              [ slip "lines are wider than a narrow terminal" "if piece.Text.Length <= left then" "if true then"
                slip
                    "the time left is shown after the end"
                    "match LiveModel.secondsLeft model with"
                    "match LiveModel.secondsLeft { model with HasEnded = false } with" ]
          faultsIn
              [ "Series" ]
              "src/FunTrpo.Cli/Series.fs"
              [ slip "a long run is shown by its first numbers" "if added.Kept.Length = most then" "if false then" ]
          faultsIn
              [ "Watch" ]
              "src/FunTrpo.Cli/RunFolder.fs"
              [ slip
                    "a process that has got the number of a killed run counts as it"
                    "running.StartTime.ToUniversalTime() <= since.AddSeconds 2.0"
                    "running.StartTime.ToUniversalTime() <= since.AddYears 1" ]
          plots
              [ "Watch"; "Compare page" ]
              "FoundRuns.fs"
              [ slip
                    "links are followed"
                    "AttributesToSkip = FileAttributes.ReparsePoint"
                    "AttributesToSkip = FileAttributes.Offline" ]
          plots
              [ "Growing table" ]
              "GrowingTable.fs"
              [ slip
                    "the lines of a file that was replaced are added to those of the one before"
                    "bytesFrom (earlier.Length - int64 count) stream count = earlier.LastLine"
                    "(bytesFrom (earlier.Length - int64 count) stream count).Length = count" ]
          faultsIn
              [ "Pages from C#" ]
              "src/FunTrpo.Plots.CSharp/RunOfResult.cs"
              [ slip
                    "a page from C# has no evaluations"
                    "result.Evaluations.Select("
                    "result.Evaluations.Take(0).Select(" ]
          faultsIn
              [ "Watch" ]
              "src/FunTrpo.Cli/WatchedRuns.fs"
              [ slip
                    "a run that reached its goal counts as stopped"
                    "(settings.StopAt.IsSome && summary.Solved)"
                    "false" ]
          faultsIn
              [ "Watch" ]
              "src/FunTrpo.Watch/Events.fs"
              [ slip "files that are just replaced are told as damaged" "failures < patience" "failures < 0 * patience"
                slip
                    "each browser makes the page again"
                    "when earlier = stamp -> json"
                    "when false && earlier = stamp -> json" ]
          faultsIn
              [ "Watch command" ]
              "src/FunTrpo.Watch/Server.fs"
              [ slip
                    "a foreign page can ask by a name of its own"
                    "(context.Request.Host.Host.ToLowerInvariant()) ownNames"
                    "(context.Request.Host.Host.ToLowerInvariant()) (\"evil.example\" :: ownNames)" ]

          onnx
              "NetworkNodes.cs"
              [ slip
                    "a mean is rounded to float32"
                    "(float)(moments.Mean(i) - mean[i])"
                    "0f * (float)(moments.Mean(i) - mean[i])" ]
          onnx
              "LayerNodes.cs"
              [ slip "the table of the second choice is that of the first" "next += count" "next += 0 * count" ]
          onnx
              "PictureNodes.cs"
              [ slip
                    "filters of exported convolutions are not transposed"
                    "(((i % pixels * channels) + channel) * layer.filters) + filter"
                    "i" ]
          onnx
              "BoxUnits.cs"
              [ slip "exported actions are not clipped from below" "\"Max\", action, low)" "\"Max\", action, action)" ]
          onnx
              "BoxNodes.cs"
              [ slip "exported deviations are in half-widths" "half * Math.Exp(" "Math.Exp("
                slip
                    "an exported Beta distribution acts with its mean"
                    "\"Div\", difference, sum"
                    "\"Div\", difference, total" ]
          tensorBoard
              "TensorBoardWriter.cs"
              [ slip "what continues makes the last event before it invalid" "Step = after + 1," "Step = after," ]
          facade
              [ "TensorBoard"; "Facade" ]
              "ReportedQuantity.cs"
              [ slip
                    "the mean KL has the name of the largest"
                    "new(\"maxKl\", report.MaxKl)"
                    "new(\"maxKl\", report.MeanKl)" ]
          tensorBoard
              "EventFile.cs"
              [ slip
                    "two files of a second have the same name"
                    "System.IO.Path.GetFileName(path)) + 1"
                    "System.IO.Path.GetFileName(path))"
                slip "a checksum is not masked" "Crc32C.Masked(data)" "Crc32C.Of(data)" ]
          core
              [ "Telemetry" ]
              "Telemetry.fs"
              [ slip "all steps are counted in each iteration" "counter field _.BatchSteps" "counter field _.Steps" ]
          core
              [ "Telemetry" ]
              "Activities.fs"
              [ slip
                    "stages on other threads have no parent"
                    "ActivityKind.Internal, iteration.Context)"
                    "ActivityKind.Internal)" ]
          facade
              [ "Facade" ]
              "TrainingLog.cs"
              [ slip "warnings are not logged" "in report.Warnings)" "in Array.Empty<string>())" ]
          inference
              "Normaliser.cs"
              [ slip "normalised observations are not clipped" "-Clip, Clip" "-1000f * Clip, 1000f * Clip" ]
          faultsIn
              [ "players of masked policies" ]
              "src/FunTrpo.Inference/MaskedPolicy.cs"
              [ slip "the package lets a row go on without a legal action" "return isAnyLegal;" "return true;" ]
          faultsIn
              [ "masks with memory" ]
              "src/FunTrpo.Inference/MaskedPolicyEpisode.cs"
              [ slip
                    "an episode of a masked policy looks without its mask"
                    "return Look(observation, legal);"
                    "return Look(observation, new bool[0]);" ]
          facade
              [ "Facade" ]
              "BatchOf.cs"
              [ slip
                    "the masks of a batch are those of other environments"
                    "rows[(going[row] * (width + maskWidth))"
                    "rows[(row * (width + maskWidth))" ]
          faultsIn
              [ "Gymnasium" ]
              "src/FunTrpo.Remote/gymnasium_server.py"
              [ slip "a mask of other values is sent" "if not np.isin(numbers, (0, 1)).all():" "if False:" ]
          core
              [ "Batch simulators" ]
              "StickyActions.fs"
              [ slip
                    "in a batch, all actions are those of the first"
                    "ReadOnlySpan(actions, i * start.Length, start.Length)"
                    "ReadOnlySpan(actions, 0, start.Length)" ]
          faultsIn
              [ "players of masked policies" ]
              "src/FunTrpo.Onnx/HeadNodes.cs"
              [ slip "an exported mask is inverted" "\"Sub\", legal, graph" "\"Sum\", legal, graph" ]
          faultsIn
              [ "Recurrent" ]
              "src/FunTrpo.Inference/LayerSequence.cs"
              [ slip "parts remember what others do" "memory = memory.Slice(part.Memory);" "_ = memory;" ]
          inference
              "Normaliser.cs"
              [ slip "indices are normalised" "normalised[i] = areLabels[i]" "normalised[i] = !areLabels[i]" ]
          inference "PoolingLayer.cs" [ slip "the average is the sum" "(float)patches.Channels / patches.Size" "1f" ]
          inference "CanonicalHash.cs" [ slip "an apostrophe is hashed as it is" "\"\\\"&'+<>`\"" "\"\\\"&+<>`\"" ]
          inference
              "Json.cs"
              [ slip "a name may occur twice" "return names.Add(name) ?" "return names.Add(name) || true ?" ]
          inference "BetaHead.cs" [ slip "α and β of the package lack 1" "alpha[i] = 1.0 + Excess" "alpha[i] = Excess" ]
          inference
              "BoxUnits.cs"
              [ slip
                    "actions of the package are clipped to half of the box"
                    "space.LowSpan[coordinate], space.HighSpan[coordinate]"
                    "0.5f * space.LowSpan[coordinate], 0.5f * space.HighSpan[coordinate]" ]

          core
              [ "RolloutShare" ]
              "RolloutWorker.fs"
              [ slip
                    "the instances of every share use the keys of the first ones"
                    "let numberOf i = task.First + first + i"
                    "let numberOf i = first + i" ]
          core
              [ "RolloutShare" ]
              "RolloutShare.fs"
              [ slip
                    "a state of another process is taken for a known one"
                    "| true, struct (earlier: byte[], state) when bytes.Span.SequenceEqual(ReadOnlySpan earlier) ->"
                    "| true, struct (_: byte[], state) ->"
                slip
                    "the last fault of all shares is reported"
                    "faults |> Array.minBy (fun struct (place, _) -> place)"
                    "faults |> Array.maxBy (fun struct (place, _) -> place)" ]
          core
              [ "RolloutShare" ]
              "ShareBytes.fs"
              [ slip "a processor with other vectors is accepted" "if width <> Lanes.Width then" "if width < 0 then" ]
          orleans
              "ClusterWorkers.cs"
              [ slip "a silo that fails ends the training" "failed == cluster.Retries" "failed == 0" ]

          command
              "TrainCommand.fs"
              [ slip
                    "a run without --steps has no more than the preset"
                    "then 5L * registered.Steps else"
                    "then registered.Steps else" ]
          command
              "EvaluateCommand.fs"
              [ slip "every evaluation by the command has the same seed" "(Key.ofSeed seed)" "(Key.ofSeed (0L * seed))" ]
          command
              "Train.fs"
              [ slip
                    "a run that was solved is not in the end"
                    "let isSolved = position.IsSolved || isReached"
                    "let isSolved = isReached" ]
          command
              "RunWrites.fs"
              [ slip
                    "progress.csv has no last column"
                    "Report.toText (field.Read report)) |>"
                    "Report.toText (field.Read report)) |> List.take (Report.fields.Length - 1) |>" ]
          plots
              [ "Command" ]
              "Arguments.fs"
              [ slip "the largest integer is refused" "low <= value && value <= high" "low <= value && value < high" ] ]
