// Draws a cart and its pole.
import { halfLength, positionLimit } from "./cartpole.js";

/** Draws the state into a canvas, in the colours of the page. The track fills the width. */
export function draw(canvas, state, action) {
  const context = sharp(canvas);
  const { width, height } = canvas.getBoundingClientRect();
  const colour = (name) => getComputedStyle(canvas).getPropertyValue(name);
  const metre = width / (2 * positionLimit + 1);
  const ground = height - 40;
  const x = width / 2 + state.position * metre;
  context.clearRect(0, 0, width, height);

  context.strokeStyle = colour("--faint");
  context.lineWidth = 2;
  line(context, width / 2 - positionLimit * metre, ground, width / 2 + positionLimit * metre, ground);
  for (const end of [-positionLimit, positionLimit]) {
    line(context, width / 2 + end * metre, ground - 8, width / 2 + end * metre, ground + 8);
  }

  context.fillStyle = colour("--cart");
  context.beginPath();
  context.roundRect(x - 0.25 * metre, ground - 0.2 * metre, 0.5 * metre, 0.2 * metre, 4);
  context.fill();

  const top = ground - 0.2 * metre;
  context.strokeStyle = colour("--pole");
  context.lineWidth = Math.max(5, 0.08 * metre);
  context.lineCap = "round";
  const length = 2 * halfLength * metre;
  line(context, x, top, x + length * Math.sin(state.angle), top - length * Math.cos(state.angle));

  context.strokeStyle = colour("--push");
  context.lineWidth = 3;
  const direction = action === 1 ? 1 : -1;
  const from = x + direction * 0.3 * metre;
  const to = from + direction * 0.25 * metre;
  line(context, from, ground - 0.1 * metre, to, ground - 0.1 * metre);
  line(context, to, ground - 0.1 * metre, to - direction * 6, ground - 0.1 * metre - 6);
  line(context, to, ground - 0.1 * metre, to - direction * 6, ground - 0.1 * metre + 6);
}

/** The context of a canvas whose pixels are those of the screen. */
function sharp(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const scale = window.devicePixelRatio;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  return context;
}

function line(context, x1, y1, x2, y2) {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}
