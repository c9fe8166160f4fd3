// A policy of FunTrpo in the browser: an ONNX model, run by onnxruntime-web.
import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs";

// More threads would need a server that isolates the page, and such a small network gains nothing from them.
ort.env.wasm.numThreads = 1;

/** Loads a model. Returns a function from an observation to the most probable action and the probabilities of all actions. */
export async function loadPolicy(url) {
  const session = await ort.InferenceSession.create(url, { executionProviders: ["wasm"] });
  return async (observation) => {
    const input = new ort.Tensor("float32", Float32Array.from(observation), [1, observation.length]);
    const { action, probabilities } = await session.run({ observation: input });
    return { action: Number(action.data[0]), probabilities: Array.from(probabilities.data) };
  };
}
