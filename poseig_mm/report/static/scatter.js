"use strict";

// An index against the error, one point a joint: choose, filter, point at, click.  The points lie in window.poseigPoints.

const SVG_MOST = 4000; // points; more are drawn with WebGL where there is any
const escapeText = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const number = (value) => (value === null ? "–" : String(Number(value.toPrecision(3))));
const plural = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function hasWebGL() {
  try {
    return Boolean(document.createElement("canvas").getContext("webgl"));
  } catch {
    return false;
  }
}

class LinkedScatter {
  constructor(root) {
    this.root = root;
    this.data = window.poseigPoints[root.id];
    this.part = (name) => root.querySelector(`.${name}`);
    this.largest = this.data.epe.map((_, i) => i).sort((a, b) => this.data.epe[b] - this.data.epe[a]);
    this.chosen = null;
    this.makeControls();
    root.classList.add("live");
    for (const name of ["controls", "plot", "count"]) this.part(name).hidden = false;
    // Drawn when it comes near, so that the page opens at once.
    const observer = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      this.near = true;
      this.draw();
    }, { rootMargin: "600px" });
    observer.observe(root);
  }

  makeControls() {
    const { data } = this;
    const options = data.measures.map((m) => make("option", { value: m.name }, m.label));
    this.select = make("select", {}, ...options);
    this.search = make("input", { type: "search", placeholder: "sample or joint" });
    this.logarithmic = make("input", { type: "checkbox" });
    this.groups = data.groups.map((g) => make("input", { type: "checkbox", checked: true, value: g.name }));
    const label = (text, input) => make("label", {}, ...(input.type === "checkbox" ? [input, ` ${text}`] : [`${text} `, input]));
    const boxes = this.groups.map((box, i) => {
      const labelledBox = label(data.groups[i].name || "no group", box);
      labelledBox.style.setProperty("--mark", data.groups[i].color);
      return labelledBox;
    });
    const group = make("fieldset", {}, make("legend", {}, "Groups"), ...boxes);
    const step = (text, by) => make("button", { type: "button", onclick: () => this.step(by) }, text);
    this.part("controls").append(
      label("Index", this.select), label("Filter", this.search), group, label("logarithmic error", this.logarithmic),
      make("span", { className: "steps" }, step("Larger error", -1), step("Smaller error", 1)),
    );
    for (const input of [this.select, this.logarithmic, ...this.groups]) input.addEventListener("change", () => this.draw());
    this.search.addEventListener("input", () => this.draw());
    this.search.addEventListener("keydown", (event) => { if (event.key === "Enter") this.step(0); });
  }

  get measure() { return this.data.measures.find((m) => m.name === this.select.value); }

  name(i) { return `${this.data.samples[this.data.sample[i]]} · ${this.data.joints[this.data.joint[i]]}`; }

  // Points that the filter leaves, and those of them that the axes can show.
  filter() {
    const { data } = this;
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = this.groups.map((box) => box.checked);
    const values = data.values[this.measure.name];
    const passes = (i) => wanted[data.group[i]] && words.every((w) => this.name(i).toLowerCase().includes(w));
    this.passing = this.largest.filter(passes);
    this.shown = this.passing.filter((i) => values[i] !== null && !(this.logarithmic.checked && data.epe[i] <= 0));
  }

  hover(i) {
    const { data } = this;
    const lines = data.measures.map((m) => `${escapeText(m.title)} ${number(data.values[m.name][i])}`);
    return [`<b>${escapeText(this.name(i))}</b>`, `EPE ${number(data.epe[i])} ${escapeText(data.unit)}`, ...lines].join("<br>");
  }

  draw() {
    this.filter();
    this.say();
    if (!this.near) return;
    const { data, shown, measure } = this;
    const values = data.values[measure.name];
    const type = shown.length > SVG_MOST && hasWebGL() ? "scattergl" : "scatter";
    const crowd = shown.length < 500 ? [9, 0.75] : shown.length < 5000 ? [6, 0.55] : [4, 0.35];
    const traces = data.groups.map((group, g) => {
      const mine = shown.filter((i) => data.group[i] === g);
      return {
        type, mode: "markers", name: group.name || "no group", customdata: mine,
        x: mine.map((i) => values[i]), y: mine.map((i) => data.epe[i]),
        text: mine.map((i) => this.hover(i)), hoverinfo: "text",
        marker: { color: group.color, symbol: group.symbol, size: crowd[0], opacity: crowd[1] },
      };
    });
    const ring = this.chosen !== null && shown.includes(this.chosen) ? [this.chosen] : [];
    traces.push({
      type, mode: "markers", x: ring.map((i) => values[i]), y: ring.map((i) => data.epe[i]), hoverinfo: "skip",
      showlegend: false, marker: { color: "#000", symbol: "circle-open", size: 18, line: { width: 2.5 } },
    });
    const line = { type: "line", yref: "paper", y0: 0, y1: 1, x0: measure.neutral, x1: measure.neutral, line: { color: "#666", width: 1, dash: "dash" }, layer: "below" };
    const axis = { gridcolor: "#e4e7ec", zeroline: false, linecolor: "#555b66", ticks: "outside", tickcolor: "#555b66", automargin: true };
    const layout = {
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: "#222733" },
      margin: { l: 60, r: 16, t: 34, b: 50 }, hovermode: "closest", dragmode: "zoom", uirevision: measure.name,
      hoverlabel: { bgcolor: "#fff", bordercolor: "#555b66", align: "left", font: { color: "#222733" } },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", itemclick: false, itemdoubleclick: false }, showlegend: true,
      xaxis: { ...axis, title: { text: measure.label } },
      yaxis: { ...axis, title: { text: `EPE (${data.unit})` }, type: this.logarithmic.checked ? "log" : "linear", rangemode: "tozero" },
      shapes: measure.neutral === null ? [] : [line],
    };
    const plot = this.part("plot");
    const options = {
      displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
      showSendToCloud: false, plotlyServerURL: "", // nobody's numbers leave the page
    };
    window.Plotly.react(plot, traces, layout, options);
    if (!this.listening) {
      plot.on("plotly_click", (event) => { if (event.points[0].customdata !== undefined) this.open(event.points[0].customdata); });
      this.listening = true;
    }
  }

  // How many points there are, and why others are not.
  say() {
    const { data, measure, passing, shown } = this;
    const values = data.values[measure.name];
    const lacking = passing.filter((i) => values[i] === null).length;
    const zero = passing.length - shown.length - lacking;
    let text = `${plural(shown.length, "point")} of ${data.epe.length.toLocaleString("en")}.`;
    if (measure.meaning) text += ` ${measure.title}: ${measure.meaning}.`;
    if (lacking) text += ` ${plural(lacking, "joint")} without ${measure.title} left out${measure.missing ? ` (${measure.missing})` : ""}.`;
    if (zero) text += ` ${plural(zero, "joint")} with error 0 cannot stand on a logarithmic axis.`;
    this.part("count").textContent = text;
  }

  // Go through the shown points by error: -1 larger, 1 smaller, 0 the largest.
  step(by) {
    if (!this.shown.length) return;
    const at = this.shown.indexOf(this.chosen);
    const next = at < 0 || by === 0 ? 0 : Math.min(this.shown.length - 1, Math.max(0, at + by));
    this.open(this.shown[next]);
  }

  open(i) {
    const { data } = this;
    this.chosen = i;
    this.draw();
    const sample = data.samples[data.sample[i]], joint = data.joint[i];
    const panel = this.part("person");
    const facts = [["EPE", `${number(data.epe[i])} ${data.unit}`], ...data.measures.map((m) => [m.title, number(data.values[m.name][i])])];
    panel.hidden = false;
    panel.replaceChildren(
      make("h3", {}, this.name(i)), make("p", {}, facts.map(([name, value]) => `${name} ${value}`).join(" · ")),
      ...(data.pictures[sample] ? this.pictures(data.pictures[sample], joint, this.name(i)) : [this.advice(sample)]),
    );
  }

  pictures(of, joint, name) {
    const picture = (url, alt, ...marks) => {
      const image = make("img", { loading: "lazy", alt, src: url });
      const link = make("a", { href: url }, image, ...marks);
      link.dataset.view = "";
      return make("figure", {}, link);
    };
    const maps = of.joints[joint] ? [picture(of.joints[joint], `map of ${name}`)] : [];
    const marks = [];
    if (of.cells[joint]) {
      const mark = make("span", { className: "mark" });
      const names = ["left", "top", "width", "height"];
      names.forEach((side, k) => { mark.style[side] = `${100 * of.cells[joint][k]}%`; });
      marks.push(mark);
    } else if (!maps.length) {
      maps.push(make("p", {}, "This joint has no map."));
    }
    return [...maps, picture(of.whole, `all maps of ${name.split(" · ")[0]}`, ...marks)];
  }

  advice(sample) {
    if (!this.data.kept) return make("p", {}, "This run kept no maps (store.maps is 'none'): run it again with store.maps='all' to see them.");
    const quoted = /^[\w.-]+$/.test(sample) ? sample : `'${sample.replaceAll("'", "'\\''")}'`;
    const file = sample.replaceAll(/[^\w.-]+/g, "-");
    const command = make("code", {}, `${this.data.command} ${quoted} ${file}.jpg`);
    return make("p", { className: "advice" }, "No picture of this person was made for this page. Draw it with", command);
  }
}

document.querySelectorAll("figure.scatter").forEach((root) => {
  if (window.Plotly && window.poseigPoints?.[root.id]) new LinkedScatter(root);
});
