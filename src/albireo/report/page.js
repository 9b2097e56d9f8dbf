"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const isDark = matchMedia("(prefers-color-scheme: dark)");
const byId = (id) => document.getElementById(id);
const NUM_ROWS = 25;
const MAX_POINTS = 300; // of a star in a panel of two variables: browsers draw every point by itself

// What is shown: stars in the table's order, those that pass the filter, and the one that was chosen.
const state = { order: data.stars.map((_, i) => i), shown: [], page: 0, sort: null, rising: true, star: -1 };

const LABELS = { teff: "T<sub>eff</sub>", logg: "log g", feh: "[Fe/H]", distance_modulus: "distance modulus" };
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
// Plotly reads some HTML in texts, so that names have to be written in entities.
const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const axisTitle = (name, unit) => (LABELS[name] ?? plain(name.replaceAll("_", " "))) + (unit ? ` [${unit}]` : "");
const flagsOf = (value) => data.flagNames.filter(([bit]) => value & bit);
const shownNumber = (value, digits) => (value === null ? "–" : value.toFixed(digits));
const variable = (name) => data.variables.find((each) => each.name === name);

function element(tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

// ---------------------------------------------------------------- the table

const TABLE = [
  { title: "star", value: (i) => data.stars[i] },
  ...data.variables.filter(({ name }) => !["distance_modulus", "extinction"].includes(name)).map((each) => ({
    title: each.name + (each.unit ? ` [${each.unit}]` : ""),
    value: (i) => each.middle[i],
    text: (i) => (each.middle[i] === null ? "–" : `${shownNumber(each.middle[i], each.digits)} ± ${shownNumber(each.std[i], each.digits)}`),
  })),
  ...data.columns.map((each) => ({
    title: each.name,
    value: (i) => each.values[i],
    text: (i) => ("digits" in each ? shownNumber(each.values[i], each.digits) : each.values[i]),
    isText: !("digits" in each),
  })),
  { title: "flags", value: (i) => data.flags[i], text: (i) => flagsOf(data.flags[i]).map(([, name]) => name).join(", "), isText: true },
];

function compare(a, b) {
  if (a === null || b === null) return (a === null) - (b === null); // what is missing comes last
  const order = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
  return state.rising ? order : -order;
}

function sortBy(column) {
  state.rising = state.sort === column ? !state.rising : true;
  state.sort = column;
  state.order = data.stars.map((_, i) => i).sort((a, b) => compare(column.value(a), column.value(b)) || a - b);
  filter();
}

function filter() {
  const name = byId("filter-name").value.trim().toLowerCase();
  const flag = byId("filter-flag").value;
  const [low, high] = ["filter-low", "filter-high"].map((id) => byId(id).valueAsNumber);
  const wanted = byId("filter-column").value;
  const values = variable(wanted)?.middle ?? data.columns.find((each) => each.name === wanted).values;
  const bounded = !Number.isNaN(low) || !Number.isNaN(high);
  state.shown = state.order.filter((i) =>
    data.stars[i].toLowerCase().includes(name) &&
    (flag === "" || (flag === "0" ? data.flags[i] === 0 : (data.flags[i] & Number(flag)) !== 0)) &&
    (!bounded || (values[i] !== null && !(values[i] < low) && !(values[i] > high))));
  state.page = 0;
  drawTable();
  drawDiagrams();
}

function drawHead() {
  for (const column of TABLE) {
    const head = element("th", "");
    head.scope = "col";
    const button = element("button", column.title, "sort");
    button.type = "button";
    button.addEventListener("click", () => sortBy(column));
    head.append(button);
    byId("table").tHead.rows[0].append(head);
  }
}

function drawTable() {
  [...byId("table").tHead.rows[0].cells].forEach((head, k) =>
    TABLE[k] === state.sort ? head.setAttribute("aria-sort", state.rising ? "ascending" : "descending") : head.removeAttribute("aria-sort"));
  const rows = state.shown.slice(state.page * NUM_ROWS, (state.page + 1) * NUM_ROWS).map(drawRow);
  byId("table").tBodies[0].replaceChildren(...rows);
  const last = Math.max(Math.ceil(state.shown.length / NUM_ROWS) - 1, 0);
  byId("page-number").textContent = `page ${state.page + 1} of ${last + 1}, ${state.shown.length} of ${data.stars.length} stars`;
  byId("page-back").disabled = state.page === 0;
  byId("page-on").disabled = state.page >= last;
}

function drawRow(i) {
  const row = document.createElement("tr");
  row.dataset.star = i;
  if (i === state.star) row.setAttribute("aria-current", "true");
  for (const column of TABLE.slice(1)) row.append(element("td", column.text(i), column.isText ? "" : "number"));
  const head = element("th", "");
  head.scope = "row";
  const button = element("button", data.stars[i]);
  button.type = "button";
  button.addEventListener("click", () => choose(i));
  head.append(button);
  row.prepend(head);
  return row;
}

function turnPage(step) {
  state.page += step;
  drawTable();
}

// ---------------------------------------------------------------- diagrams of all stars

const DIAGRAMS = {
  kiel: {
    x: variable("teff")?.middle, y: variable("logg")?.middle,
    xTitle: axisTitle("teff", "K"), yTitle: axisTitle("logg", "dex"), xReversed: true,
  },
  color: typeof data.color === "string" ? { missing: data.color } : data.color,
};

function layout(extra) {
  return {
    margin: { l: 55, r: 10, t: 10, b: 45 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: color("ink"), size: 12 }, showlegend: false, hovermode: "closest", dragmode: "zoom", ...extra,
  };
}

function axis(title, extra = {}) {
  return {
    title: { text: title, standoff: 4 }, gridcolor: color("soft"), linecolor: color("line"), zeroline: false, showline: true,
    mirror: true, ticks: "outside", tickcolor: color("line"), ticklen: 4, exponentformat: "none", ...extra,
  };
}

const CONFIG = { responsive: true, displaylogo: false, displayModeBar: false };

function drawDiagrams() {
  if (!window.Plotly) return;
  byId("color-caption").textContent = (DIAGRAMS.color.locus?.[0].length ? "Grey: the model without dust. " : "") + "Arrow: reddening.";
  const shown = new Set(state.shown);
  for (const [id, diagram] of Object.entries(DIAGRAMS)) {
    if (!diagram.x || !diagram.y) {
      byId(id).replaceChildren(element("p", diagram.missing ?? "This run has no such variables.", "missing"));
      byId(`${id}-caption`).hidden = true;
      continue;
    }
    const feh = variable("feh")?.middle;
    const [low, high] = feh ? middleOf(feh) : [];
    const points = {
      x: diagram.x, y: diagram.y, text: data.stars.map(plain), hovertemplate: "%{text}<br>%{x}, %{y}<extra></extra>",
      mode: "markers", type: "scatter",
      marker: {
        size: data.stars.length > 1500 ? 4 : 6, color: feh ?? color("blue"), colorscale: "Cividis", cmin: low, cmax: high, line: { color: color("faint"), width: isDark.matches ? 1 : 0.5 },
        symbol: data.flags.map((value) => (value ? "x" : "circle")),
        opacity: data.stars.map((_, i) => (shown.has(i) ? 0.9 : 0.08)),
        colorbar: feh && { title: { text: "[Fe/H]", side: "right" }, thickness: 10, outlinewidth: 0 },
      },
    };
    const grey = { x: diagram.locus?.[0] ?? [], y: diagram.locus?.[1] ?? [], mode: "markers", type: "scatter", hoverinfo: "skip", marker: { size: 2, color: color("locus") } };
    Plotly.react(id, [grey, points, chosenPoint(diagram)], layout({
      xaxis: axis(diagram.xTitle, diagram.xReversed ? { autorange: "reversed" } : {}),
      yaxis: axis(diagram.yTitle, { autorange: "reversed" }),
      annotations: reddeningArrow(diagram), uirevision: id,
    }), CONFIG);
  }
}

// The 2nd and 98th percentiles: a few strange stars do not take all the colours.
function middleOf(values) {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  return [0.02, 0.98].map((share) => sorted[Math.round(share * (sorted.length - 1))]);
}

function chosenPoint(diagram) {
  const i = state.star;
  return {
    x: i < 0 ? [] : [diagram.x[i]], y: i < 0 ? [] : [diagram.y[i]], mode: "markers", type: "scatter", hoverinfo: "skip",
    marker: { size: 16, symbol: "circle-open", color: color("vermillion"), line: { width: 3 } },
  };
}

// The extinction of stars, by a round reddening, in the upper right corner.
function reddeningArrow({ arrow, locus, x, y }) {
  if (!arrow) return [];
  const [low, high] = [[...x, ...locus[0]], [...y, ...locus[1]]]
    .map((values) => values.filter((value) => value !== null))
    .map((values) => [Math.min(...values), Math.max(...values)])
    .reduce(([a, b], [c, d]) => [[a, c], [b, d]]);
  const [dx, dy] = arrow, [width, height] = [high[0] - low[0], high[1] - low[1]];
  const reddening = [2, 1, 0.5, 0.2, 0.1, 0.05].find((e) => e * Math.abs(dx) < 0.3 * width && e * Math.abs(dy) < 0.3 * height) ?? 0.05;
  const start = [high[0] - reddening * Math.max(dx, 0), low[1] + 0.15 * height];
  const orange = color("vermillion");
  return [
    { x: start[0] + reddening * dx, y: start[1] + reddening * dy, ax: start[0], ay: start[1], axref: "x", ayref: "y", showarrow: true, text: "", arrowcolor: orange, arrowwidth: 2 },
    { x: high[0], y: start[1], xanchor: "right", yanchor: "bottom", showarrow: false, text: `E = ${reddening} mag`, font: { color: orange } },
  ];
}

function markChosen() {
  if (!window.Plotly) return;
  for (const [id, diagram] of Object.entries(DIAGRAMS)) {
    if (!diagram.x || !diagram.y) continue;
    const { x, y } = chosenPoint(diagram);
    Plotly.restyle(id, { x: [x], y: [y] }, [2]);
  }
}

function step(diagram, key) {
  const order = state.shown.filter((i) => diagram.x[i] !== null).sort((a, b) => diagram.x[a] - diagram.x[b] || a - b);
  if (diagram.xReversed) order.reverse();
  const place = order.indexOf(state.star);
  const next = { ArrowRight: place + 1, ArrowLeft: place < 0 ? order.length - 1 : place - 1, Home: 0, End: order.length - 1 }[key];
  if (order[next] !== undefined) choose(order[next]);
}

function listen(id, diagram) {
  if (!diagram.x || !diagram.y) return;
  byId(id).on("plotly_click", ({ points }) => {
    const point = points.find(({ curveNumber }) => curveNumber === 1);
    if (point) choose(point.pointNumber);
  });
  byId(id).addEventListener("keydown", (event) => {
    if (!["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) return;
    event.preventDefault();
    step(diagram, event.key);
  });
}

// ---------------------------------------------------------------- one star

function choose(i) {
  state.star = i;
  const place = state.shown.indexOf(i);
  if (place >= 0) state.page = Math.floor(place / NUM_ROWS);
  drawTable();
  markChosen();
  drawStar();
}

function drawStar() {
  drawWords();
  drawCorner(state.star);
  drawSed(state.star);
}

function drawWords() {
  const i = state.star;
  byId("star-name").textContent = data.stars[i];
  byId("certificate").textContent = data.certificates[i];
  byId("flags").textContent = `Flags: ${flagsOf(data.flags[i]).map(([, name]) => name).join(", ") || "none"}`;
  const rows = data.variables.map((each) => {
    const row = document.createElement("tr");
    const head = element("th", each.name + (each.unit ? ` [${each.unit}]` : ""));
    head.scope = "row";
    const known = data.truth[each.name]?.[i] ?? null;
    const cells = [each.low[i], each.middle[i], each.high[i], known].map((value) => element("td", shownNumber(value, each.digits), "number"));
    row.append(head, ...cells);
    return row;
  });
  byId("summary").tBodies[0].replaceChildren(...rows);
}

// A chart, or a sentence that says why there is none.
function drawOr(id, reason, draw) {
  const sampled = data.variables[0].middle[state.star] !== null;
  const missing = sampled ? reason : data.withoutPosterior;
  byId(`${id}-missing`).hidden = !missing;
  byId(`${id}-missing`).textContent = missing;
  byId(id).hidden = byId(`${id}-caption`).hidden = Boolean(missing);
  if (!missing && window.Plotly) draw();
}

// Draws of a star, an array a variable: 16-bit steps between the least and the greatest.
function drawsOf(i) {
  const { names, num, place, ranges } = data.corner;
  const length = (names.length * num * 2 * 4) / 3;
  const packed = byId("draws").textContent.slice(place[i] * length, (place[i] + 1) * length);
  const steps = new DataView(Uint8Array.from(atob(packed), (character) => character.charCodeAt(0)).buffer);
  return names.map((_, k) => {
    const [low, high] = ranges[i][k];
    return Array.from({ length: num }, (_, j) => low + ((high - low) * steps.getUint16(2 * (k * num + j), true)) / 65535);
  });
}

function drawCorner(i) {
  const { names, units, place, missing } = data.corner;
  drawOr("corner", place[i] < 0 ? missing : "", () => {
    const draws = drawsOf(i), num = names.length, width = 1 / num, gap = 0.012;
    const every = Math.ceil(draws[0].length / MAX_POINTS), some = draws.map((values) => values.filter((_, j) => j % every === 0));
    const traces = [], axes = {};
    const domain = (k) => [k * width + gap, (k + 1) * width - gap];
    const small = { tickfont: { size: 9 }, nticks: 4, showgrid: false, mirror: "all" };
    names.forEach((name, k) => {
      const range = rangeOf(i, k);
      axes[`xaxis${k + 1}`] = axis(axisTitle(name, units[k]), { ...small, range, domain: domain(k), anchor: `y${num}`, tickangle: -45 });
      axes[`yaxis${k + 1}`] = axis(k ? axisTitle(name, units[k]) : "", { ...small, range, domain: domain(num - 1 - k), anchor: "x1", showticklabels: k > 0 });
      // The distribution of one variable has a scale of its own, which is not drawn.
      axes[`yaxis${num + k + 1}`] = { domain: domain(num - 1 - k), anchor: `x${k + 1}`, visible: false };
      traces.push(...marginals(i, k, draws[k]).map((trace) => ({ ...trace, xaxis: `x${k + 1}`, yaxis: `y${num + k + 1}` })));
      for (let j = 0; j < k; j++) {
        traces.push({ type: "scatter", mode: "markers", x: some[j], y: some[k], xaxis: `x${j + 1}`, yaxis: `y${k + 1}`, hoverinfo: "skip", marker: { size: 2.5, opacity: 0.45, color: color("blue") } });
      }
    });
    axes.yaxis1.visible = false; // no scatter plot is in the first row
    const shapes = names.flatMap((name, k) => truthLine(name, i, k, num, gap));
    byId("corner-caption").textContent = [
      "Blue: the posterior.", data.prior.counts[i] ? "Grey: the prior, which is low where it is much broader." : "", shapes.length ? "Lines: the input's labels." : "",
    ].join(" ");
    Plotly.react("corner", traces, layout({ ...axes, shapes, bargap: 0, barmode: "overlay", margin: { l: 60, r: 5, t: 5, b: 70 } }), { ...CONFIG, staticPlot: true });
  });
}

// The share of the draws in every bin; and, behind it, of draws from the prior, most of which are outside if it is broad.
function marginals(i, k, draws) {
  const { bins, draws: all, counts } = data.prior;
  const [low, high] = data.corner.ranges[i][k], size = (high - low) / bins;
  const drawn = Array(bins).fill(0), centers = drawn.map((_, bin) => low + (bin + 0.5) * size);
  for (const value of draws) drawn[Math.max(0, Math.min(Math.floor((value - low) / size), bins - 1))] += 1 / draws.length;
  const bars = { type: "bar", x: centers, width: size, hoverinfo: "skip" };
  const expected = counts[i]?.[k]?.map((count) => count / all);
  const prior = expected ? [{ ...bars, y: expected, marker: { color: color("locus") } }] : [];
  return [...prior, { ...bars, y: drawn, marker: { color: `${color("blue")}aa` } }];
}

// The draws and the label of the input, with some room.
function rangeOf(i, k) {
  const known = data.truth[data.corner.names[k]]?.[i] ?? data.corner.ranges[i][k][0];
  const low = Math.min(known, data.corner.ranges[i][k][0]), high = Math.max(known, data.corner.ranges[i][k][1]);
  const room = 0.04 * (high - low) || 1e-9;
  return [low - room, high + room];
}

// Through the panels of one variable: its column, and its row.
function truthLine(name, i, k, num, gap) {
  const known = data.truth[name]?.[i] ?? null;
  if (known === null) return [];
  const line = { color: color("vermillion"), width: 1.5 };
  const upright = { type: "line", xref: `x${k + 1}`, yref: "paper", x0: known, x1: known, y0: gap, y1: 1 - k / num - gap, line };
  const level = { type: "line", xref: "paper", yref: `y${k + 1}`, x0: gap, x1: k / num - gap, y0: known, y1: known, line };
  return k ? [upright, level] : [upright];
}

function drawSed(i) {
  const sed = data.sed, fit = typeof sed === "string" ? null : sed.stars[i];
  drawOr("sed", typeof sed === "string" ? sed : fit ? "" : sed.missing, () => {
    const x = sed.bands.map(plain), [low, middle, high] = fit.predicted, [left, residual, right] = fit.residual;
    const blue = color("blue"), point = { color: color("vermillion"), size: 7 };
    const line = { mode: "lines", x, hoverinfo: "skip", line: { color: blue, width: 0 } };
    const spread = { type: "data", symmetric: false, thickness: 1.2, width: 0 };
    Plotly.react("sed", [
      { ...line, y: high },
      { ...line, y: low, fill: "tonexty", fillcolor: `${blue}44` },
      { ...line, y: middle, line: { color: blue, width: 2 } },
      { mode: "markers", x, y: fit.mag, marker: point, error_y: { type: "data", array: fit.err, thickness: 1.2, width: 0 }, hovertemplate: "%{x} %{y} mag<extra></extra>" },
      { mode: "markers", x, y: fit.limit || [], marker: { ...point, symbol: "triangle-down-open" }, hovertemplate: "%{x}: not found, limit %{y} mag<extra></extra>" },
      {
        mode: "markers", x, y: residual, yaxis: "y2", marker: point, hovertemplate: "%{x} %{y} σ<extra></extra>",
        error_y: { ...spread, array: right.map((value, k) => value - residual[k]), arrayminus: left.map((value, k) => residual[k] - value) },
      },
    ], layout({
      xaxis: axis("", { anchor: "y2", tickangle: -60, type: "category", categoryarray: x, range: [-0.5, x.length - 0.5] }),
      yaxis: axis("magnitude [mag]", { domain: [0.36, 1], autorange: "reversed" }),
      yaxis2: axis("residual [σ]", { domain: [0, 0.3], zeroline: true, zerolinecolor: color("line") }),
      margin: { l: 55, r: 10, t: 5, b: 75 },
    }), CONFIG);
  });
}

function chooseNext(step) {
  const place = state.shown.indexOf(state.star) + step;
  if (state.shown[place] !== undefined) choose(state.shown[place]);
}

// ---------------------------------------------------------------- begin

function redraw() {
  drawDiagrams();
  drawStar();
}

// The table and the words are there at once; plotly, a long script, is run when they have been painted.
function begin() {
  drawHead();
  state.shown = state.order;
  state.star = Math.max(data.corner.place.findIndex((place) => place >= 0), 0);
  drawTable();
  drawWords();
  byId("filter").addEventListener("input", filter);
  byId("filter").addEventListener("reset", () => setTimeout(filter));
  byId("filter").addEventListener("submit", (event) => event.preventDefault());
  byId("page-back").addEventListener("click", () => turnPage(-1));
  byId("page-on").addEventListener("click", () => turnPage(1));
  byId("star-back").addEventListener("click", () => chooseNext(-1));
  byId("star-on").addEventListener("click", () => chooseNext(1));
}

function beginCharts() {
  const script = document.createElement("script");
  script.textContent = byId("plotly").textContent;
  document.head.append(script);
  drawDiagrams();
  drawCorner(state.star);
  Object.entries(DIAGRAMS).forEach(([id, diagram]) => listen(id, diagram));
  isDark.addEventListener("change", redraw);
  document.body.dataset.ready = "true";
  setTimeout(() => drawSed(state.star)); // it is below what a window shows at first
}

begin();
requestAnimationFrame(() => setTimeout(beginCharts));
