"use strict";

// Fills the page of a run from its data: the facts, the charts and the table of settings. It may be filled again with newer data.

/** The charts that are on the page, by their titles: where they are, and how they are drawn. */
const charts = new Map();

function showHeader(data) {
  byId("environment").textContent = data.environment;
  byId("verdict").textContent = data.verdict;
  byId("warnings").hidden = data.warnings.length === 0;
  byId("warnings").replaceChildren(
    ...data.warnings.map(([iteration, text]) => element("li", "", `Warning in iteration ${iteration}: ${text}`)),
  );
  byId("facts").replaceChildren(
    ...data.facts.map(([name, value]) => element("div", "", element("dt", "", name), element("dd", "", value))),
  );
}

function showCharts(data) {
  const titles = new Set(data.charts.map((chart) => chart.title));
  for (const [title, { card }] of charts) {
    if (!titles.has(title)) {
      card.remove();
      charts.delete(title);
    }
  }
  let before = byId("policy");
  for (const chart of data.charts) {
    const shown = charts.get(chart.title) ?? chartCard(chart);
    if (!charts.has(chart.title)) before.after(shown.card);
    describe(shown.place, chart);
    shown.draw = () => drawFigure(chart.figure, data.palette, shown.place);
    charts.set(chart.title, shown);
    before = shown.card;
  }
  charts.forEach((shown) => shown.draw());
}

function showSettings(data) {
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
  byId("settings").replaceChildren(
    element("thead", "", element("tr", "", ...heads)),
    element("tbody", "", ...rows),
  );
}

function showReport(data) {
  showHeader(data);
  showCharts(data);
  showSettings(data);
}

colourScheme.addEventListener("change", () => charts.forEach((shown) => shown.draw()));
