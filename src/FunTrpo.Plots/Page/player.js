"use strict";

// Plays the recorded episode. A shape of a frame is [kind, colour, numbers …], or 0 where it is that of the frame before.
const [LINE, CIRCLE, POLYGON, TEXT] = [0, 1, 2, 3];
const roles = ["ink", "faint", "body", "accent", "goal", "danger"];
const speeds = [1, 2, 5, 15, 30, 60, 120];

function expand(frames) {
  let before = [];
  return frames.map((frame) => (before = frame.map((shape, i) => (shape === 0 ? before[i] : shape))));
}

/** How the coordinates of pictures become those of a canvas of this size. */
function projection([left, right, bottom, top], width, height) {
  const scale = Math.min(width / (right - left), height / (top - bottom));
  const [marginX, marginY] = [(width - scale * (right - left)) / 2, (height - scale * (top - bottom)) / 2];
  return { scale, x: (x) => marginX + scale * (x - left), y: (y) => marginY + scale * (top - y) };
}

function path(context, view, numbers) {
  context.beginPath();
  for (let i = 0; i < numbers.length; i += 2) {
    context.lineTo(view.x(numbers[i]), view.y(numbers[i + 1]));
  }
}

function drawShape(context, view, [kind, colour, ...rest]) {
  context.fillStyle = context.strokeStyle = variable(roles[colour]);
  if (kind === LINE) {
    const [width, ...points] = rest;
    context.lineWidth = Math.max(1, view.scale * width);
    path(context, view, points);
    context.stroke();
  } else if (kind === CIRCLE) {
    const [x, y, radius] = rest;
    context.beginPath();
    context.arc(view.x(x), view.y(y), Math.max(1, view.scale * Math.abs(radius)), 0, 2 * Math.PI);
    context.fill();
  } else if (kind === POLYGON) {
    path(context, view, rest);
    context.fill();
  } else if (kind === TEXT) {
    const [x, y, height, text] = rest;
    context.font = `${view.scale * height}px ${getComputedStyle(document.body).fontFamily}`;
    context.fillText(text, view.x(x), view.y(y));
  }
}

function drawFrame(canvas, bounds, shapes) {
  const [width, height, ratio] = [canvas.clientWidth, canvas.clientHeight, window.devicePixelRatio || 1];
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.lineCap = context.lineJoin = "round";
  context.textAlign = "center";
  context.textBaseline = "middle";
  const view = projection(bounds, width, height);
  shapes.forEach((shape) => drawShape(context, view, shape));
}

/** The slowest speed at which the episode takes at most a quarter of a minute. */
const suitableSpeed = (steps) => speeds.find((speed) => steps / speed <= 15) ?? speeds.at(-1);

/** The controls of the episode on the page. `load` shows another episode, and plays it unless the reader wants no motion. */
function makePlayer() {
  const [canvas, play, position, speed] = ["picture", "play", "position", "speed"].map(byId);
  const pauseAtEnd = 1000; // milliseconds
  let episode, frames, last, steps;
  let frame = 0; // with its fraction
  let isPlaying = false;
  let time = null; // of the frame before, by the browser's clock

  function show() {
    const now = Math.floor(frame);
    drawFrame(canvas, episode.bounds, frames[now]);
    byId("step").textContent = `${episode.steps[now]} of ${steps}`;
    byId("reward").textContent = episode.rewards[now];
    byId("return").textContent = episode.returns[now];
    position.value = now;
    position.setAttribute("aria-valuetext", `step ${episode.steps[now]} of ${steps}`);
  }

  function advance(now) {
    if (!isPlaying) return;
    time ??= now;
    const passed = now - time;
    if (frame >= last) {
      if (passed > pauseAtEnd) [frame, time] = [0, now];
    } else {
      // After a pause of the browser the episode goes on where it was.
      frame = Math.min(last, frame + (Math.min(passed, 100) / 1000) * Number(speed.value) * (last / steps));
      time = now;
    }
    show();
    requestAnimationFrame(advance);
  }

  function setPlaying(isNow) {
    const isStarted = isNow && !isPlaying;
    isPlaying = isNow;
    play.textContent = isPlaying ? "Pause" : "Play";
    if (isStarted) {
      if (frame >= last) frame = 0;
      time = null;
      requestAnimationFrame(advance);
    }
  }

  function load(environment, recorded) {
    const isFirst = !episode;
    episode = recorded;
    frames = expand(episode.frames);
    last = frames.length - 1;
    steps = episode.steps[last];
    frame = 0;
    position.max = last;
    if (isFirst) speed.value = suitableSpeed(steps);
    canvas.setAttribute(
      "aria-label",
      `${environment}: the policy plays an episode of ${steps} steps with a return of ${episode.returns[last]}`,
    );
    byId("player").hidden = false;
    if (isFirst) new ResizeObserver(show).observe(byId("stage"));
    show();
    if (isFirst) setPlaying(!matchMedia("(prefers-reduced-motion: reduce)").matches);
  }

  for (const count of speeds) {
    speed.append(new Option(`${count} steps/s`, count));
  }
  play.addEventListener("click", () => setPlaying(!isPlaying));
  position.addEventListener("input", () => {
    setPlaying(false);
    frame = Number(position.value);
    show();
  });
  colourScheme.addEventListener("change", () => episode && show());
  return { load };
}

const player = makePlayer();

/** Shows the episode of the data, or why there is none. */
function showEpisode(data) {
  byId("policy-text").textContent = data.episodeText;
  if (data.episode) player.load(data.environment, data.episode);
  else byId("player").hidden = true;
}
