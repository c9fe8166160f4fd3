// CartPole-v1: a pole is hinged to a cart, and pushes of the cart must keep it upright. The same equations and constants as in
// src/FunTrpo.Environments/CartPole.fs. Units: m, s, rad, kg, N.

const gravity = 9.8;
const poleMass = 0.1;
const totalMass = 1.1;
const push = 10;

/** Half the length of the pole. */
export const halfLength = 0.5;

/** The duration of a step. */
export const timeStep = 0.02;

/** The cart may not move further from the middle, nor the pole lean further. */
export const positionLimit = 2.4;
export const angleLimit = (12 * 2 * Math.PI) / 360;

/** A state near the upright one. */
export function start(random = Math.random) {
  const number = () => 0.1 * random() - 0.05;
  return { position: number(), velocity: number(), angle: number(), angularVelocity: number() };
}

/** The state one time step after a push to the left (0) or to the right (1). */
export function step(state, action) {
  const force = push * (2 * action - 1);
  const sine = Math.sin(state.angle);
  const cosine = Math.cos(state.angle);
  const poleMoment = poleMass * halfLength;
  const b = (force + poleMoment * (state.angularVelocity * state.angularVelocity) * sine) / totalMass;
  const angularAcceleration =
    (gravity * sine - cosine * b) / (halfLength * (4 / 3 - (poleMass * (cosine * cosine)) / totalMass));
  const acceleration = b - (poleMoment * angularAcceleration * cosine) / totalMass;
  return {
    position: state.position + timeStep * state.velocity,
    velocity: state.velocity + timeStep * acceleration,
    angle: state.angle + timeStep * state.angularVelocity,
    angularVelocity: state.angularVelocity + timeStep * angularAcceleration,
  };
}

/** What the policy sees. */
export function observe(state) {
  return [state.position, state.velocity, state.angle, state.angularVelocity];
}

/** Whether the pole or the cart has exceeded its limit. */
export function hasFailed(state) {
  return Math.abs(state.position) > positionLimit || Math.abs(state.angle) > angleLimit;
}
