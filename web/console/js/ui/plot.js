// Lines over the last hour, as SVG of our own; what they were at a moment is shown where one points.

import { el, setText, svg } from "../../../watch/js/dom.js";
import { clockTime } from "../../../watch/js/ui/words.js";

const HOUR_MS = 3_600_000;
const PAD = { top: 10, right: 8, bottom: 20, left: 44 };
const LINES = 3;
/** A gap longer than this is one in the line, too. */
const GAP_MS = 45_000;

/** @typedef {{label: string, kind: string, value: (point: object) => number}} Series  `kind` is its colour: a, b. */

export class Plot {
  #series;
  #unit;
  #points = [];
  #picture = svg("svg", { class: "plot-picture", "aria-hidden": "true" });
  #legend = [];
  #when = el("span", { class: "plot-when" });
  #summary = el("p", { class: "unseen" });
  #pointed = null;
  #resized;

  /** @param {string} title  @param {Series[]} series  @param {(value: number) => string} unit  A value in words. */
  constructor(title, series, unit) {
    this.#series = series;
    this.#unit = unit;
    const legend = el("ul", { class: "plot-legend" });
    for (const { label, kind } of series) {
      const value = el("b", {}, "–");
      this.#legend.push(value);
      legend.append(el("li", {}, el("i", { class: `key key-${kind}` }), el("span", {}, label), value));
    }
    const head = el("header", { class: "plot-head" }, el("h2", {}, title), this.#when, legend);
    const frame = el("div", { class: "plot-frame" }, this.#picture);
    this.node = el("figure", { class: "panel plot", "aria-label": title }, head, frame, this.#summary);
    frame.addEventListener("pointermove", (event) => this.#point(event));
    frame.addEventListener("pointerleave", () => this.#point(null));
    this.#resized = new ResizeObserver(() => this.#draw());
    this.#resized.observe(frame);
  }

  close() {
    this.#resized.disconnect();
  }

  /** @param {object[]} points  Oldest first. */
  show(points) {
    this.#points = points;
    this.#draw();
    const last = points.at(-1);
    if (last) setText(this.#summary, this.#series.map(({ label, value }) => `${label}: ${this.#unit(value(last))}`).join(", "));
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#picture.parentElement;
    if (!width || !height) return;
    const points = this.#points;
    const place = scales(points, this.#series, width, height);
    this.#picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.#picture.replaceChildren(...this.#grid(place, width, height), ...this.#series.flatMap((series) => this.#lines(series, place)));
    if (points.length === 0) this.#picture.append(svg("text", { x: width / 2, y: height / 2, class: "plot-empty" }, "The first figures come within ten seconds."));
    this.#read(place);
  }

  #grid(place, width, height) {
    const made = [];
    for (let line = 0; line <= LINES; line += 1) {
      const value = (place.most * line) / LINES;
      const y = place.y(value);
      made.push(svg("line", { x1: PAD.left, x2: width - PAD.right, y1: y, y2: y, class: line ? "plot-line" : "plot-base" }));
      made.push(svg("text", { x: PAD.left - 8, y: y + 3.5, class: "plot-tick end" }, short(value)));
    }
    for (const [minutes, anchor] of [[60, "start"], [40, "middle"], [20, "middle"], [0, "end"]]) {
      const x = place.x(place.end - minutes * 60_000);
      made.push(svg("text", { x, y: height - 4, class: `plot-tick ${anchor}` }, minutes ? `${minutes} min ago` : "now"));
    }
    return made;
  }

  #lines({ kind, value }, place) {
    const runs = [];
    let before = -Infinity;
    for (const point of this.#points) {
      const now = value(point);
      if (!Number.isFinite(now)) continue;
      if (point.at_ms - before > GAP_MS) runs.push([]);
      before = point.at_ms;
      runs.at(-1).push([place.x(point.at_ms), place.y(now)]);
    }
    const floor = place.y(0);
    return runs.flatMap((run) => {
      const path = run.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
      const area = `${path}L${run.at(-1)[0].toFixed(1)} ${floor}L${run[0][0].toFixed(1)} ${floor}Z`;
      return [svg("path", { d: area, class: `plot-area area-${kind}` }), svg("path", { d: path, class: `plot-path path-${kind}` })];
    });
  }

  #point(event) {
    this.#pointed = event ? event.clientX - this.#picture.getBoundingClientRect().left : null;
    this.#draw();
  }

  /** The legend's figures: of the moment that is pointed at, else the newest. */
  #read(place) {
    let point = this.#points.at(-1);
    if (this.#pointed !== null && point) {
      const far = ({ at_ms: at }) => Math.abs(place.x(at) - this.#pointed);
      point = this.#points.reduce((best, one) => (far(one) < far(best) ? one : best));
      const x = place.x(point.at_ms);
      this.#picture.append(svg("line", { x1: x, x2: x, y1: PAD.top, y2: place.y(0), class: "plot-pointer" }));
      for (const { kind, value } of this.#series) this.#picture.append(svg("circle", { cx: x, cy: place.y(value(point)), r: 3.5, class: `plot-dot dot-${kind}` }));
    }
    setText(this.#when, point && this.#pointed !== null ? clockTime(point.at_ms) : "");
    this.#series.forEach(({ value }, i) => setText(this.#legend[i], point ? this.#unit(value(point)) : "–"));
  }
}

/** A line without axes. @param {number[]} values */
export function sparkline(values) {
  const [width, height] = [120, 30];
  const most = Math.max(1e-9, ...values);
  const step = width / Math.max(1, values.length - 1);
  const path = values.map((value, i) => `${i ? "L" : "M"}${(i * step).toFixed(1)} ${(height - 2 - (value / most) * (height - 4)).toFixed(1)}`).join("");
  const picture = svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  if (values.length > 1) picture.append(svg("path", { d: `${path}L${width} ${height}L0 ${height}Z`, class: "spark-area" }), svg("path", { d: path, class: "spark-path" }));
  return picture;
}

function scales(points, series, width, height) {
  const values = points.flatMap((point) => series.map(({ value }) => value(point))).filter(Number.isFinite);
  const most = niceMost(values.reduce((a, b) => Math.max(a, b), 0));
  const end = points.at(-1)?.at_ms ?? Date.now();
  const across = width - PAD.left - PAD.right;
  const down = height - PAD.top - PAD.bottom;
  return {
    most,
    end,
    x: (atMs) => PAD.left + (1 - (end - atMs) / HOUR_MS) * across,
    y: (value) => PAD.top + (1 - value / most) * down,
  };
}

/** A round number that is not less, which three lines divide well. */
function niceMost(value) {
  if (!(value > 0)) return 3;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1.5, 3, 6, 9, 15].map((step) => step * power).find((most) => most >= value);
}

function short(value) {
  if (value >= 10_000) return `${Math.round(value / 1000)}k`;
  return value >= 10 || value === 0 ? String(Math.round(value)) : String(Number(value.toPrecision(2)));
}
