// The policy plays, and the page shows it.
import { hasFailed, observe, start, step, timeStep } from "./cartpole.js";
import { draw } from "./picture.js";
import { loadPolicy } from "./policy.js";

const element = (id) => document.getElementById(id);
const canvas = element("picture");
let state = start();
let action = 1;
let steps = 0;
let falls = 0;
let isPlaying = true;

element("play").addEventListener("click", () => {
  isPlaying = !isPlaying;
  element("play").textContent = isPlaying ? "Pause" : "Play";
});
element("left").addEventListener("click", () => nudge(-0.6));
element("right").addEventListener("click", () => nudge(0.6));

/** A push against the pole, which the policy has to answer. */
function nudge(angularVelocity) {
  state = { ...state, angularVelocity: state.angularVelocity + angularVelocity };
}

/** One step of the policy; after a failure, everything begins again. */
async function play(policy) {
  const { action: chosen, probabilities } = await policy(observe(state));
  action = chosen;
  state = step(state, action);
  steps += 1;
  element("probability").textContent = `${Math.round(100 * probabilities[1])} %`;
  if (hasFailed(state)) {
    state = start();
    steps = 0;
    falls += 1;
  }
}

function show() {
  draw(canvas, state, action);
  element("steps").textContent = String(steps);
  element("falls").textContent = String(falls);
}

async function run() {
  const policy = await loadPolicy("cartpole.onnx");
  element("status").textContent = "The policy plays.";
  let last = performance.now();
  let due = 0;
  const frame = async (now) => {
    // After a pause of the browser, what was missed is not made up for.
    due += isPlaying ? Math.min((now - last) / 1000, 0.1) * Number(element("speed").value) : 0;
    last = now;
    for (; due >= timeStep; due -= timeStep) {
      await play(policy);
    }

    show();
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

show();
run().catch((error) => {
  element("status").textContent = `The policy could not be loaded: ${error.message}`;
  throw error;
});
