"use strict";

// Fills the page of several runs from its data: the charts and the tables.
const data = JSON.parse(byId("data").textContent);
const roles = new Map(data.groups);

function showCharts() {
  const drawn = data.charts.map((chart) => {
    const { card, place } = chartCard(chart);
    // The names of many groups take room from the chart.
    place.style.height = `${320 + 20 * Math.max(0, data.groups.length - 4)}px`;
    byId("cards").append(card);
    return () => drawFigure(chart.figure, data.palette, place);
  });
  const drawAll = () => drawn.forEach((draw) => draw());
  drawAll();
  colourScheme.addEventListener("change", drawAll);
}

/** The name of a group behind a spot of its colour. */
function groupName(name) {
  const spot = element("span", "spot");
  spot.style.background = `var(--${roles.get(name)})`;
  return element("span", "group", spot, name);
}

function row(table, cells) {
  return element(
    "tr",
    "",
    ...cells.map((text, column) => {
      const cell = element(column === table.group ? "th" : "td", "", column === table.group ? groupName(text) : text);
      if (column === table.group) cell.scope = "row";
      return cell;
    }),
  );
}

function tableCard(table) {
  const heads = table.columns.map((name) => {
    const head = element("th", "", name);
    head.scope = "col";
    return head;
  });
  const scroller = element(
    "div",
    "scroller",
    element(
      "table",
      "compared",
      element("thead", "", element("tr", "", ...heads)),
      element("tbody", "", ...table.rows.map((cells) => row(table, cells))),
    ),
  );
  // A wide table is scrolled inside its card, by the keyboard, too.
  scroller.tabIndex = 0;
  scroller.setAttribute("role", "region");
  scroller.setAttribute("aria-label", table.title);
  return element(
    "section",
    "card",
    element("h2", "", table.title),
    element("p", "reading", table.reading),
    scroller,
  );
}

byId("title").textContent = data.title;
byId("verdict").textContent = data.verdict;
showCharts();
byId("tables").append(...data.tables.map(tableCard));
