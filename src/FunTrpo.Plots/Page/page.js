"use strict";

// Fills the page from its data: the facts, the charts and the table of settings. All texts are set as texts, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);

const byId = (id) => document.getElementById(id);

/** The value of a variable of the style sheet, which depends on the colour scheme. */
const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

const colourScheme = matchMedia("(prefers-color-scheme: dark)");

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

function fillHeader() {
  byId("environment").textContent = data.environment;
  byId("verdict").textContent = data.verdict;
  for (const [name, value] of data.facts) {
    byId("facts").append(element("div", "", element("dt", "", name), element("dd", "", value)));
  }
}

/** The figure in the colours of the page. */
function inColours(figure) {
  let text = JSON.stringify(figure);
  for (const [role, colour] of data.palette) {
    text = text.replaceAll(colour, variable(role));
  }
  return JSON.parse(text);
}

function drawChart(chart, place) {
  const { data: traces, layout } = inColours(chart.figure);
  layout.font.family = getComputedStyle(document.body).fontFamily;
  if (place.clientWidth < 480) {
    // Two names fit beside each other.
    Object.assign(layout.legend, { entrywidth: 0.5, entrywidthmode: "fraction" });
  }
  // On a touch screen a finger scrolls the page instead of zooming the chart.
  layout.dragmode = matchMedia("(pointer: coarse)").matches ? false : "zoom";
  Plotly.react(place, traces, layout, { responsive: true, displayModeBar: false });
}

function addCharts() {
  const drawn = data.charts.map((chart) => {
    const place = element("div", "chart");
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", `${chart.title}. ${chart.summary}`);
    byId("cards").append(
      element(
        "section",
        "card",
        element("h2", "", chart.title),
        element("p", "good", chart.good),
        element("p", "reading", chart.reading),
        place,
      ),
    );
    return () => drawChart(chart, place);
  });
  const drawAll = () => drawn.forEach((draw) => draw());
  drawAll();
  colourScheme.addEventListener("change", drawAll);
}

function addSettings() {
  const changed = data.settings.filter((setting) => setting.value !== setting.preset).length;
  byId("configuration-text").textContent =
    changed === 0
      ? "All settings are those of the preset."
      : `${changed} of ${data.settings.length} settings differ from the preset; they come first.`;
  const heads = ["setting", "value", "preset", "meaning"].map((name) => {
    const head = element("th", "", name);
    head.scope = "col";
    return head;
  });
  const rows = data.settings.map(({ name, meaning, value, preset }) => {
    const isChanged = value !== preset;
    const head = element("th", "", name);
    head.scope = "row";
    return element(
      "tr",
      isChanged ? "changed" : "",
      head,
      element("td", "", value),
      element("td", "preset", isChanged ? preset || "none" : ""),
      element("td", "meaning", meaning),
    );
  });
  byId("settings").append(element("thead", "", element("tr", "", ...heads)), element("tbody", "", ...rows));
}

fillHeader();
addCharts();
addSettings();
