"use strict";

// Lists the runs of the folder, and follows them as their files change.

/** The rows that are shown, by the names of their runs: the data as text, and the row. */
const rows = new Map();

const svgName = "http://www.w3.org/2000/svg";

function number(value) {
  if (value === null) return "–";
  return value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
}

/** A small chart of the returns, with the first and the last one in words. */
function sparkline(returns) {
  const [width, height, margin] = [160, 32, 2];
  const points = returns.map((value, i) => [i, value]).filter(([, value]) => value !== null);
  const svg = document.createElementNS(svgName, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("class", "sparkline");
  svg.setAttribute("role", "img");
  if (points.length === 0) {
    svg.setAttribute("aria-label", "no returns yet");
    return svg;
  }
  const values = points.map(([, value]) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (i) => margin + (i / Math.max(1, returns.length - 1)) * (width - 2 * margin);
  const y = (value) => height - margin - (high > low ? (value - low) / (high - low) : 0.5) * (height - 2 * margin);
  const line = document.createElementNS(svgName, "polyline");
  line.setAttribute("points", points.map(([i, value]) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`).join(" "));
  svg.append(line);
  svg.setAttribute("aria-label", `from ${number(values[0])} to ${number(values.at(-1))}`);
  return svg;
}

function cell(name, ...children) {
  const made = element("td", name, ...children);
  made.dataset.name = name;
  return made;
}

function makeRow(run) {
  const link = element("a", "", run.name === "." ? "this folder" : run.name);
  link.href = `/run?name=${encodeURIComponent(run.name)}`;
  const head = element("th", "", link);
  head.scope = "row";
  const state = element("span", `state ${run.state}`, run.state);
  const count = (steps) => steps.toLocaleString("en-US");
  const steps = run.budget > 0 ? `${count(run.steps)} of ${count(run.budget)}` : count(run.steps);
  return element(
    "tr",
    "",
    head,
    cell("environment", run.environment || "–"),
    cell("seed", run.seed ?? "–"),
    cell("state", state, run.why ? element("div", "why", run.why) : ""),
    cell("steps", steps),
    cell("return", number(run.return)),
    cell("returns", sparkline(run.returns)),
  );
}

function show({ folder, runs }) {
  byId("folder").textContent = folder;
  document.title = `${folder} – training runs`;
  const running = runs.filter((run) => run.state === "running").length;
  const text =
    runs.length === 0
      ? "There are no runs here yet. They appear when they begin."
      : `${runs.length} ${runs.length === 1 ? "run" : "runs"}, ${running} of them running`;
  if (byId("count").textContent !== text) byId("count").textContent = text;
  byId("runs").hidden = runs.length === 0;
  const names = new Set(runs.map((run) => run.name));
  for (const [name, { row }] of rows) {
    if (!names.has(name)) {
      row.remove();
      rows.delete(name);
    }
  }
  let before = null;
  for (const run of runs) {
    const data = JSON.stringify(run);
    let shown = rows.get(run.name);
    if (!shown) {
      shown = { data, row: makeRow(run) };
      if (before) before.after(shown.row);
      else byId("list").prepend(shown.row);
      rows.set(run.name, shown);
    } else if (shown.data !== data) {
      // The link stays, with the keyboard's focus if it has it.
      const [, ...cells] = makeRow(run).children;
      shown.row.replaceChildren(shown.row.firstElementChild, ...cells);
      shown.data = data;
    }
    before = shown.row;
  }
}

follow("/runs/events", { runs: show });
