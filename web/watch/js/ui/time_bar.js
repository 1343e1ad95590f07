// The bar below the map: the time line with what happened when, play and step, speed, and the way back to the present.

import { byId, el, setText } from "../dom.js";
import { LANES, marksText, SPANS, SPEEDS } from "../time/scale.js";
import { toast } from "./announcer.js";
import { clockTime, dayText, gapText, reasonText } from "./words.js";

const DRAW_EVERY_MS = 250;
/** A slider that tells a new value all the time can't be listened to. */
const SAID_EVERY_MS = 5_000;
const SKIP_S = 5;
const LEAP_S = 60;
/** Marks so near to the pointer are named. */
const REACH_PX = 6;

export class TimeBar {
  #root = byId("time");
  #slider = byId("time-slider");
  #time;
  #link;
  #dragging = false;
  #marksOf = null;
  #saidMs = 0;

  /**
   * @param {import("../time/time_line.js").TimeLine} time
   * @param {() => string} link  The address of the moment that is shown.
   */
  constructor(time, link) {
    this.#time = time;
    this.#link = link;
    byId("time-speed").append(...SPEEDS.map((speed) => el("option", { value: String(speed), selected: speed === 1 }, `${speed}×`)));
    byId("time-span").append(...SPANS.map((minutes) => el("option", { value: String(minutes) }, spanText(minutes))));
    byId("time-play").addEventListener("click", () => time.toggle());
    byId("time-back").addEventListener("click", () => time.step(-1));
    byId("time-on").addEventListener("click", () => time.step(1));
    byId("time-live").addEventListener("click", () => time.toLive());
    byId("time-link").addEventListener("click", () => this.#copy());
    byId("time-speed").addEventListener("change", (event) => time.setSpeed(Number(event.target.value)));
    byId("time-span").addEventListener("change", (event) => time.setSpan(Number(event.target.value)));
    this.#attachPointer();
    for (const place of [this.#root, byId("stage")]) place.addEventListener("keydown", (event) => this.#key(event));
    setInterval(() => document.hidden || this.draw(), DRAW_EVERY_MS);
    new ResizeObserver(() => this.draw()).observe(this.#slider);
  }

  draw() {
    const time = this.#time;
    const { mode, reachable, at, window: shown } = time;
    this.#root.dataset.mode = mode;
    this.#root.classList.toggle("busy", time.busyNow);
    document.body.classList.toggle("in-past", mode !== "live" && time.chunkId !== null);
    for (const name of ["back", "on", "play", "link"]) byId(`time-${name}`).disabled = !reachable;
    byId("time-on").disabled = !reachable || mode === "live";
    this.#slider.setAttribute("aria-disabled", String(!reachable));
    const play = byId("time-play");
    const label = mode === "still" ? "Play" : "Pause";
    if (play.getAttribute("aria-label") !== label) play.setAttribute("aria-label", label);
    byId("time-live").setAttribute("aria-pressed", String(mode === "live"));
    const part = reachable ? share(at, shown) : 1;
    byId("time-thumb").style.left = byId("time-gone").style.width = `${part * 100}%`;
    const words = this.#words(at);
    setText(byId("time-said"), mode === "live" ? "Now" : words);
    const connection = byId("connection");
    if (connection.dataset.phase === "past") setText(connection.querySelector(".connection-detail"), words);
    this.#say(at, words);
    this.#marks(shown);
    this.#note();
  }

  #words(tick) {
    const ms = this.#time.msOf(tick);
    return `${dayText(ms)}${clockTime(ms)} · ${this.#time.agoOf(tick)}`;
  }

  /** For those who listen. */
  #say(at, words) {
    const now = performance.now();
    if (this.#time.mode === "live" && now - this.#saidMs < SAID_EVERY_MS && this.#slider.hasAttribute("aria-valuetext")) return;
    this.#saidMs = now;
    const { reachable, live, oldest, mode } = this.#time;
    const text = mode === "live" ? `Live, tick ${live}` : `${words.replace(" · ", ", ")}, tick ${at}`;
    const values = { valuemin: reachable ? oldest : live, valuemax: live, valuenow: at, valuetext: text };
    for (const [name, value] of Object.entries(values)) this.#slider.setAttribute(`aria-${name}`, String(value));
  }

  #marks(shown) {
    const { known } = this.#time;
    const place = byId("time-marks");
    const length = Math.max(1, shown.to - shown.from);
    if (known !== this.#marksOf) {
      this.#marksOf = known;
      place.replaceChildren(...this.#things());
    }
    const first = known?.oldest_tick ?? 0;
    const last = Math.max(first + 1, this.#end);
    place.style.left = `${((first - shown.from) / length) * 100}%`;
    place.style.width = `${((last - first) / length) * 100}%`;
  }

  /** Where the marks' own scale ends; it begins with what is oldest. */
  get #end() {
    const { known } = this.#time;
    return Math.max(known?.newest_tick ?? 0, ...(known?.marks ?? []).map(({ tick }) => tick), ...(known?.gaps ?? []).map((gap) => gap.to_tick));
  }

  #things() {
    const { known } = this.#time;
    if (!known || known.oldest_tick === null) return [];
    const first = known.oldest_tick;
    const length = Math.max(1, this.#end - first);
    const place = (node, from) => {
      node.style.left = `${((from - first) / length) * 100}%`;
      return node;
    };
    const gaps = known.gaps.filter((gap) => gap.to_tick >= first).map((gap) => {
      const from = Math.max(first, gap.from_tick);
      const node = place(el("i", { class: "time-gap", "data-reason": gap.reason }), from);
      node.style.width = `${((gap.to_tick + 1 - from) / length) * 100}%`;
      return node;
    });
    const marks = known.marks.filter(({ tick, kind }) => LANES.has(kind) && tick >= first);
    return [...gaps, ...marks.map(({ tick, kind }) => place(el("i", { class: `time-mark mark-${LANES.get(kind)}`, "data-tick": tick, "data-kind": kind }), tick))];
  }

  /** What one has to know: why there is no past, or why it does not come. */
  #note() {
    const { known, reachable, fault, gap, mode, live } = this.#time;
    const remedy = "Recordings are off on this server (CHUNKCRAWL_RECORDINGS=true turns them on)";
    let text = "";
    if (fault) text = `${reasonText(fault)} It is tried again.`;
    else if (known && !reachable) text = known.recorded ? "Nothing is kept yet: the past begins now." : `${remedy}: there is nothing to look back at.`;
    else if (known && !known.recorded && mode !== "live") text = `${remedy}: only the last minute or so can be looked at.`;
    else if (gap && mode === "playing") text = `${Math.round((gap.to - gap.from + 1) / this.#time.hz)} s were skipped: ${gapText(gap.reason)}`;
    else if (known && known.marks_from === null && live) text = "What happened when can't be known at the moment; it is asked again.";
    const note = byId("time-note");
    note.hidden = !text;
    setText(note, text);
  }

  // -- hands --

  #attachPointer() {
    const slider = this.#slider;
    slider.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.#time.reachable) return;
      slider.setPointerCapture(event.pointerId);
      this.#dragging = true;
      slider.focus({ preventScroll: true });
      this.#time.seek(this.#tickAt(event), true);
      this.#tip(event);
    });
    slider.addEventListener("pointermove", (event) => {
      if (this.#dragging) this.#time.seek(this.#tickAt(event), true);
      this.#tip(event);
    });
    slider.addEventListener("pointerup", (event) => {
      if (!this.#dragging) return;
      this.#dragging = false;
      this.#time.seek(this.#tickAt(event));
    });
    slider.addEventListener("pointercancel", () => {
      if (!this.#dragging) return;
      this.#dragging = false;
      this.#time.seek(this.#time.at);
    });
    slider.addEventListener("pointerleave", () => (byId("time-tip").hidden = true));
  }

  /** The tick under the pointer. */
  #tickAt(event) {
    const box = this.#slider.querySelector(".time-rail").getBoundingClientRect();
    const { from, to } = this.#time.window;
    const part = Math.max(0, Math.min(1, (event.clientX - box.left) / Math.max(1, box.width)));
    return Math.round(from + part * (to - from));
  }

  /** What is under the pointer: when, and what happened. */
  #tip(event) {
    const tip = byId("time-tip");
    tip.hidden = !this.#time.reachable;
    if (tip.hidden) return;
    const box = this.#slider.getBoundingClientRect();
    const tick = this.#tickAt(event);
    const { from, to } = this.#time.window;
    const happened = marksText(this.#time.known.marks, tick, ((to - from) / Math.max(1, box.width)) * REACH_PX);
    const gap = this.#time.known.gaps.find(({ from_tick: first, to_tick: last }) => tick >= first && tick <= last);
    setText(tip, [this.#words(tick), gap ? gapText(gap.reason) : happened].filter(Boolean).join("\n"));
    const half = tip.offsetWidth / 2;
    const left = Math.max(half, Math.min(box.width - half, event.clientX - box.left));
    tip.style.left = `${left}px`;
  }

  // -- keys --

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const onMap = event.currentTarget === byId("stage");
    if (onMap ? event.target !== byId("stage") : event.target.tagName === "SELECT") return;
    const act = this.#act(event, onMap);
    if (!act) return;
    event.preventDefault();
    // Keys of the map are the page's too.
    event.stopPropagation();
    act();
    this.draw();
  }

  #act({ key, shiftKey, target }, onMap) {
    const time = this.#time;
    const held = target.tagName === "BUTTON" && (key === " " || key === "Enter");
    if (held) return null;
    const seconds = shiftKey ? LEAP_S : SKIP_S;
    const arrows = {
      ArrowLeft: () => time.seekBy(-seconds),
      ArrowDown: () => time.seekBy(-seconds),
      ArrowRight: () => time.seekBy(seconds),
      ArrowUp: () => time.seekBy(seconds),
      PageDown: () => time.seekBy(-LEAP_S * 5),
      PageUp: () => time.seekBy(LEAP_S * 5),
      Home: () => time.seek(time.oldest),
      End: () => time.toLive(),
    };
    const keys = {
      " ": () => time.toggle(),
      ",": () => time.step(-1),
      ".": () => time.step(1),
      l: () => time.toLive(),
      L: () => time.toLive(),
    };
    // On the map arrows lead through the doors; with shift they lead through time.
    const arrow = !onMap || (shiftKey && key.startsWith("Arrow")) || key === "Home" || key === "End";
    return keys[key] ?? (arrow ? arrows[key] : null) ?? null;
  }

  async #copy() {
    const link = this.#link();
    try {
      await navigator.clipboard.writeText(link);
      toast("The link to this moment is copied.");
    } catch {
      // Browsers refuse it on pages that are not secure, or not looked at.
      toast(`The link to this moment: ${link}`);
    }
  }
}

function share(tick, { from, to }) {
  return Math.max(0, Math.min(1, (tick - from) / Math.max(1, to - from)));
}

function spanText(minutes) {
  if (minutes === Infinity) return "All";
  return minutes < 60 ? `${minutes} min` : `${minutes / 60} h`;
}
