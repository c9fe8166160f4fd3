module FunTrpo.Tests.AdvantageTests

open System
open System.Collections.Immutable
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo

let private immutable (numbers: seq<float>) = ImmutableArray.CreateRange numbers

/// One episode, or what a rollout saw of it.
type private Stretch =
    {
        Rewards: float list
        Values: float list
        End: End
        /// V of what follows the last row; what `gae` is given only where the end is not a termination.
        Bootstrap: float
    }

type private Case = { Gamma: float; Lambda: float; Stretches: Stretch list }

let private numbers = Gen.choose (-10_000, 10_000) |> Gen.map (fun n -> float n / 100.0)

let private fractions =
    Gen.frequency
        [ 1, Gen.constant 0.0
          1, Gen.constant 1.0
          6, Gen.choose (0, 1000) |> Gen.map (fun n -> float n / 1000.0) ]

let private stretches =
    Gen.choose (1, 12)
    |> Gen.bind (fun length ->
        Gen.map4
            (fun rewards values ending bootstrap ->
                { Rewards = rewards; Values = values; End = ending; Bootstrap = bootstrap })
            (Gen.listOfLength length numbers)
            (Gen.listOfLength length numbers)
            (Gen.elements [ End.Terminated; End.Truncated; End.Interrupted ])
            numbers)

let private cases =
    Gen.map3
        (fun gamma lambda stretches -> { Gamma = gamma; Lambda = lambda; Stretches = stretches })
        fractions
        fractions
        (Gen.nonEmptyListOf stretches)
    |> Arb.fromGen

let private gae gamma lambda (stretches: Stretch list) =
    let ends stretch = List.replicate (stretch.Rewards.Length - 1) End.Continues @ [ stretch.End ]

    Advantage.gae
        gamma
        lambda
        (stretches |> Seq.collect _.Rewards |> immutable)
        (ImmutableArray.CreateRange(stretches |> Seq.collect ends))
        (stretches |> Seq.collect _.Values |> immutable)
        (stretches
         |> Seq.filter (fun stretch -> stretch.End <> End.Terminated)
         |> Seq.map _.Bootstrap
         |> immutable)

let private run (case: Case) = gae case.Gamma case.Lambda case.Stretches

/// V of what follows the last row, as the theory has it.
let private beyond stretch = if stretch.End = End.Terminated then 0.0 else stretch.Bootstrap

/// Each row's TD error r + γ V(next) − V.
let private errors gamma stretch =
    let following = List.tail stretch.Values @ [ beyond stretch ]
    List.map3 (fun reward value next -> reward + gamma * next - value) stretch.Rewards stretch.Values following

/// Σ_k factorᵏ x_{t+k} for each t, by the definition.
let private discountedTails factor (xs: float list) =
    List.init xs.Length (fun t -> xs |> List.skip t |> List.mapi (fun k x -> factor ** float k * x) |> List.sum)

let private close (expected: seq<float>) (actual: seq<float>) =
    Seq.length expected = Seq.length actual
    && Seq.forall2 (fun e a -> abs (e - a) <= 1e-9 * (100.0 + abs e)) expected actual

let private sameBits (a: seq<float>) (b: seq<float>) =
    Seq.length a = Seq.length b
    && Seq.forall2 (fun x y -> BitConverter.DoubleToInt64Bits x = BitConverter.DoubleToInt64Bits y) a b

let private estimation =
    testList
        "GAE"
        [ testProperty "A_t = Σ_k (γλ)ᵏ δ_{t+k} up to the end of the episode, by the definition"
          <| Prop.forAll cases (fun case ->
              let expected =
                  case.Stretches |> List.collect (errors case.Gamma >> discountedTails (case.Gamma * case.Lambda))

              close expected (run case).Advantages)

          testProperty "λ = 1 is the discounted return with the bootstrap, minus the baseline"
          <| Prop.forAll cases (fun case ->
              let expected stretch =
                  let returns =
                      discountedTails case.Gamma (stretch.Rewards @ [ beyond stretch ])
                      |> List.take stretch.Rewards.Length

                  List.map2 (-) returns stretch.Values

              close (List.collect expected case.Stretches) (run { case with Lambda = 1.0 }).Advantages)

          testProperty "the deviation of discounted sums is that of λ = 1 where V is 0"
          <| Prop.forAll cases (fun case ->
              let zeros count = ImmutableArray.CreateRange(Seq.replicate count 0.0)
              let rewards = ImmutableArray.CreateRange(case.Stretches |> Seq.collect _.Rewards)

              let ends =
                  case.Stretches
                  |> Seq.collect (fun stretch ->
                      Seq.append (Seq.replicate (stretch.Rewards.Length - 1) End.Continues) [ stretch.End ])
                  |> ImmutableArray.CreateRange

              let bootstraps =
                  ends |> Seq.filter (fun ending -> ending = End.Truncated || ending = End.Interrupted) |> Seq.length

              let returns =
                  (Advantage.gae case.Gamma 1.0 rewards ends (zeros rewards.Length) (zeros bootstraps)).Returns

              let mean = Seq.average returns
              let expected = sqrt (returns |> Seq.averageBy (fun x -> (x - mean) * (x - mean)))
              let size = returns |> Seq.map abs |> Seq.max

              abs (ReturnUnit.deviationOfDiscountedRewards case.Gamma rewards ends - expected)
              <= 1e-9 * (expected + 1e-3 * size))

          testProperty "λ = 0 is the TD error"
          <| Prop.forAll cases (fun case ->
              close (List.collect (errors case.Gamma) case.Stretches) (run { case with Lambda = 0.0 }).Advantages)

          testProperty "returns are advantages + values"
          <| Prop.forAll cases (fun case ->
              let estimated = run case
              let values = case.Stretches |> List.collect _.Values
              close (Seq.map2 (+) estimated.Advantages values) estimated.Returns)

          testProperty "is jointly linear in rewards, values and bootstraps"
          <| Prop.forAll (Gen.zip3 (Arb.toGen cases) numbers numbers |> Arb.fromGen) (fun (case, alpha, beta) ->
              // A second trajectory of the same shape: the first one, shuffled and shifted.
              let other stretch =
                  { stretch with
                      Rewards = stretch.Rewards |> List.rev |> List.map (fun r -> 3.0 - r)
                      Values = stretch.Values |> List.rev |> List.map (fun v -> 0.5 * v + 7.0)
                      Bootstrap = 11.0 - stretch.Bootstrap }

              let combine = fun a b -> alpha * a + beta * b

              let combined stretch =
                  let o = other stretch

                  { stretch with
                      Rewards = List.map2 combine stretch.Rewards o.Rewards
                      Values = List.map2 combine stretch.Values o.Values
                      Bootstrap = combine stretch.Bootstrap o.Bootstrap }

              let advantages f = (gae case.Gamma case.Lambda (List.map f case.Stretches)).Advantages

              let expected = Seq.map2 combine (advantages id) (advantages other)
              let scale = 1e4 * (abs alpha + abs beta + 1.0)
              Seq.forall2 (fun e a -> abs (e - a) <= 1e-11 * scale) expected (advantages combined))

          testProperty "an episode sees nothing past its end, and nothing before its start, not even NaN"
          <| Prop.forAll (Gen.zip (Arb.toGen cases) (Gen.choose (0, 1000)) |> Arb.fromGen) (fun (case, chosen) ->
              let kept = chosen % case.Stretches.Length

              let spoilt =
                  case.Stretches
                  |> List.mapi (fun i stretch ->
                      if i = kept then
                          stretch
                      else
                          { stretch with
                              Rewards = stretch.Rewards |> List.map (fun _ -> nan)
                              Values = stretch.Values |> List.map (fun _ -> infinity)
                              Bootstrap = nan })

              let before = case.Stretches |> List.take kept |> List.sumBy _.Rewards.Length
              let length = case.Stretches[kept].Rewards.Length
              let ofKept (all: ImmutableArray<float>) = all.Slice(before, length)
              let clean, dirty = run case, run { case with Stretches = spoilt }

              sameBits (ofKept clean.Advantages) (ofKept dirty.Advantages)
              && sameBits (ofKept clean.Returns) (ofKept dirty.Returns))

          testProperty "rows of an episode do not depend on the rewards and values of earlier ones"
          <| Prop.forAll (Arb.fromGen stretches) (fun stretch ->
              let changed =
                  { stretch with
                      Rewards = 1e6 :: List.tail stretch.Rewards
                      Values = -1e6 :: List.tail stretch.Values }

              let rest stretch = (gae 0.9 0.8 [ stretch ]).Advantages |> Seq.skip 1

              sameBits (rest stretch) (rest changed))

          testProperty "termination ignores the bootstrap: it is a truncation whose bootstrap is 0"
          <| Prop.forAll cases (fun case ->
              let terminated = case.Stretches |> List.map (fun s -> { s with End = End.Terminated })

              let worthless = case.Stretches |> List.map (fun s -> { s with End = End.Truncated; Bootstrap = 0.0 })

              sameBits
                  (run { case with Stretches = terminated }).Advantages
                  (run { case with Stretches = worthless }).Advantages)

          testProperty "truncation uses it: a bootstrap V adds γ(γλ)ᵏV to the row k before the end"
          <| Prop.forAll (Gen.zip3 stretches fractions fractions |> Arb.fromGen) (fun (stretch, gamma, lambda) ->
              let advantages ending = (gae gamma lambda [ { stretch with End = ending } ]).Advantages

              let last = stretch.Rewards.Length - 1

              let expected =
                  advantages End.Terminated
                  |> Seq.mapi (fun t a -> a + gamma * (gamma * lambda) ** float (last - t) * stretch.Bootstrap)

              close expected (advantages End.Truncated)
              && sameBits (advantages End.Truncated) (advantages End.Interrupted)) ]

let private meanOf (xs: seq<float>) = Seq.average xs

let private deviationOf (xs: seq<float>) =
    let mean = meanOf xs
    sqrt (xs |> Seq.averageBy (fun x -> (x - mean) ** 2.0))

/// Numbers that are not all the same.
let private samples =
    Gen.nonEmptyListOf numbers
    |> Gen.map (fun xs -> (List.head xs + 1.0) :: (List.head xs - 1.0) :: xs)
    |> Arb.fromGen

let private normalising =
    testList
        "normalise"
        [ testProperty "has mean 0 and standard deviation 1"
          <| Prop.forAll samples (fun xs ->
              let normalised = Advantage.normalise (immutable xs)
              abs (meanOf normalised) < 1e-9 && abs (deviationOf normalised - 1.0) < 1e-6)

          testProperty "is an increasing map that does not see shifts and positive factors"
          <| Prop.forAll samples (fun xs ->
              let normalise xs = Advantage.normalise (immutable xs)
              let normalised = normalise xs
              let moved = xs |> List.map (fun x -> 7.0 * x - 30.0) |> normalise
              let ordered = Seq.zip xs normalised |> Seq.sortBy fst |> Seq.map snd |> List.ofSeq

              ordered = List.sort ordered && Seq.forall2 (fun a b -> abs (a - b) < 1e-6) normalised moved)

          testProperty "does not see the unit, to the last bit for powers of two"
          <| Prop.forAll (Gen.zip (Arb.toGen samples) (Gen.choose (-200, 200)) |> Arb.fromGen) (fun (xs, exponent) ->
              let normalise xs = Advantage.normalise (immutable xs)
              let scaled = xs |> List.map (fun x -> Math.ScaleB(x, exponent))
              Seq.forall2 (fun (a: float) b -> a.Equals b) (normalise xs) (normalise scaled))

          testProperty "equal numbers become 0"
          <| Prop.forAll (Gen.zip numbers (Gen.choose (1, 50)) |> Arb.fromGen) (fun (x, count) ->
              Advantage.normalise (immutable (Seq.replicate count x)) |> Seq.forall ((=) 0.0)) ]

let private explained =
    let ev returns values = Advantage.explainedVariance (immutable returns) (immutable values)

    testList
        "explained variance"
        [ testProperty "is 1 for the returns themselves and for anything a constant away from them"
          <| Prop.forAll (Gen.zip (Arb.toGen samples) numbers |> Arb.fromGen) (fun (returns, shift) ->
              ev returns returns = 1.0 && abs (ev returns (returns |> List.map (fun r -> r + shift)) - 1.0) < 1e-9)

          testProperty "is 0 for any constant"
          <| Prop.forAll (Gen.zip (Arb.toGen samples) numbers |> Arb.fromGen) (fun (returns, constant) ->
              abs (ev returns (returns |> List.map (fun _ -> constant))) < 1e-9)

          testProperty "is 1 − (1 − c)² for c times the returns: negative where the values are worse than nothing"
          <| Prop.forAll (Gen.zip (Arb.toGen samples) numbers |> Arb.fromGen) (fun (returns, c) ->
              let expected = 1.0 - (1.0 - c) * (1.0 - c)
              abs (ev returns (returns |> List.map ((*) c)) - expected) < 1e-8 * (1.0 + c * c))

          testProperty "is not a number where the returns do not vary"
          <| Prop.forAll (Arb.fromGen (Gen.zip (Gen.choose (-50, 50)) (Arb.toGen samples))) (fun (constant, values) ->
              Double.IsNaN(ev (values |> List.map (fun _ -> float constant)) values)) ]

let tests = testList "Advantage" [ estimation; normalising; explained ]
