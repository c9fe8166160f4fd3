"use strict";

// What the pages share: elements, colours and charts. All texts are set as texts, never as markup.
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

/** The main numbers of a chart, for readers who do not see it. */
const describe = (place, chart) => place.setAttribute("aria-label", `${chart.title}. ${chart.summary}`);

/** A card with the texts of a chart, and the place where the chart is to be drawn. */
function chartCard(chart) {
  const place = element("div", "chart");
  place.setAttribute("role", "img");
  describe(place, chart);
  const card = element(
    "section",
    "card",
    element("h2", "", chart.title),
    element("p", "good", chart.good),
    element("p", "reading", chart.reading),
    place,
  );
  let width = 0;
  // Another card can change the width of this one. A card that is not on the page has none.
  new ResizeObserver(() => {
    if (width > 0 && place.clientWidth > 0 && place.clientWidth !== width) Plotly.Plots.resize(place);
    width = place.clientWidth;
  }).observe(place);
  return { card, place };
}

/** The figure in the colours of the page. The palette pairs the roles of colours with those that the figure has. */
function inColours(figure, palette) {
  let text = JSON.stringify(figure);
  for (const [role, colour] of palette) {
    text = text.replaceAll(colour, variable(role));
  }
  return JSON.parse(text);
}

/** Draws a figure, or changes the one that is there and leaves its axes where the reader has zoomed to. */
function drawFigure(figure, palette, place) {
  const { data: traces, layout } = inColours(figure, palette);
  layout.font.family = getComputedStyle(document.body).fontFamily;
  if (place.clientWidth < 480) {
    // Two names fit beside each other, but those of groups are too long for that.
    const isGrouped = traces.some((trace) => trace.legendgroup);
    Object.assign(
      layout.legend,
      isGrouped ? { tracegroupgap: 0 } : { entrywidth: 0.5, entrywidthmode: "fraction" },
    );
  }
  // On a touch screen a finger scrolls the page instead of zooming the chart.
  layout.dragmode = matchMedia("(pointer: coarse)").matches ? false : "zoom";
  layout.uirevision = "kept";
  Plotly.react(place, traces, layout, { responsive: true, displayModeBar: false });
}
