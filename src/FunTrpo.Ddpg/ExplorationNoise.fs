namespace FunTrpo.Ddpg

open System
open FunTrpo

/// The noise that is added to the actions of the policy in training, in half-widths of the box of actions. Its deviation moves from `Deviation`
/// to `FinalDeviation` in `Steps` environment steps, and stays there.
type NoiseSettings =
    {
        /// The standard deviation of the noise at the start.
        Deviation: float
        /// The standard deviation of the noise after `Steps`.
        FinalDeviation: float
        /// The number of environment steps in which the deviation moves; 0 for the final one from the start.
        Steps: int
        /// The correlation ρ of the noise of successive steps, from 0 (independent Gaussian noise) to below 1.
        Correlation: float
    }

/// The Ornstein–Uhlenbeck process dx = −θ x dt + σ √(2θ) dW, sampled once a step (Uhlenbeck and Ornstein 1930; Lillicrap et al. 2015, section 3).
/// Sampled like this it is exactly x′ = ρ x + σ √(1 − ρ²) ξ with ρ = e^(−θ) and ξ ~ N(0, 1), and x ~ N(0, σ²) in each step. With ρ = 0 it is
/// independent Gaussian noise. A process is kept in units of its deviation σ.
///
/// The paper's x′ = x − 0.15 x + 0.2 ξ is ρ = 0.85 and a deviation of 0.2 / √(1 − 0.85²) = 0.38.
module ExplorationNoise =

    /// `dimensions` independent processes, each in its stationary distribution N(0, 1).
    let start dimensions key = Vector.Create(dimensions, Fill(fun numbers -> Key.fillNormal numbers key))

    /// The processes one step later.
    let next (correlation: float) key (noise: Vector) =
        let fresh = float32 (sqrt (1.0 - correlation * correlation))

        Vector.Create(
            noise.Length,
            Fill(fun numbers ->
                Key.fillNormal numbers key

                for i in 0 .. numbers.Length - 1 do
                    numbers[i] <- float32 correlation * noise[i] + fresh * numbers[i])
        )

    /// The deviation after so many environment steps.
    let deviationAt (steps: int64) (settings: NoiseSettings) =
        let share = if settings.Steps = 0 then 1.0 else min 1.0 (float steps / float settings.Steps)
        settings.Deviation + share * (settings.FinalDeviation - settings.Deviation)

    /// Adds noise of this deviation to an action in half-widths of the box, in place, and clips it to the box.
    let internal addTo (action: Span<float32>) (deviation: float) (noise: Vector) =
        for i in 0 .. action.Length - 1 do
            action[i] <- Math.Clamp(action[i] + float32 deviation * noise[i], -1f, 1f)
