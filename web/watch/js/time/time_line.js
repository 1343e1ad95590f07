// Where in time the page is: live, at a moment, or playing from one; what can be reached, and what happened when. It knows
// no element; it tells the bar what to show, and the page what to look at.

import { agoText, Scale, windowOf } from "./scale.js";

/** How often it is asked what has happened meanwhile. */
const ASK_EVERY_MS = 10_000;
/** After this without a delta a chunk rests: time goes on by the clock. */
const RESTS_MS = 1_000;
/** Moments so near to the present are the present. */
const LIVE_WITHIN_S = 1.5;
const SEEK_EVERY_MS = 90;

/**
 * @typedef {object} Journey  What the page does about it.
 * @property {(tick: number) => void} lookBack  Show a moment of the chunk that is looked at.
 * @property {(tick: number, speed: number) => void} play  From there on.
 * @property {() => void} live  Show the present.
 * @property {(way: 1 | -1) => number | null} stepTo  The moment of the next change, or of the one before.
 * @property {(tick: number | null, anew: boolean) => void} note  Put it into the address.
 */

export class TimeLine {
  /** @type {"live" | "still" | "playing"} */
  mode = "live";
  speed = 1;
  /** Minutes that the line shows. */
  span = 10;
  busyNow = false;
  /** @type {object | null} The server's answer. */
  known = null;
  /** Why nothing can be known now, "" if it can. */
  fault = "";
  /** What was skipped last while playing. */
  gap = null;
  #api;
  #journey;
  #changed;
  #chunkId = null;
  #at = 0;
  /** When `#at` was reached, by this page's clock. */
  #atMs = 0;
  /** The newest tick that is known, and when it was, by this page's clock. */
  #newest = null;
  /** The server's clock minus this page's. */
  #ahead = 0;
  #window = null;
  #scale = new Scale([], 5);
  #asking = 0;
  #timer = 0;
  #seekTimer = 0;
  #soughtMs = 0;
  /** Where the part of the past begins that the marks were asked for. */
  #askedFrom = null;
  /** While somebody drags the line stands still. */
  #held = null;

  /** @param {import("../net/past_api.js").PastApi} api  @param {Journey} journey  @param {() => void} changed */
  constructor(api, journey, changed) {
    this.#api = api;
    this.#journey = journey;
    this.#changed = changed;
  }

  // -- what the looks tell --

  /** Live: a delta has come. @param {number} ms  When it was, by this page's clock. */
  arrived(chunkId, tick, ms) {
    this.#newest = { tick, ms: Math.min(ms, Date.now()) };
    this.#enter("live", chunkId);
  }

  /** The present is about to be looked at. */
  present() {
    this.#enter("live", this.#chunkId);
  }

  /** A moment is looked at. */
  still(chunkId, tick) {
    this.#move(tick);
    this.gap = null;
    this.#enter("still", chunkId);
  }

  /** A moment is to be seen. */
  shown(tick) {
    if (this.mode === "still" && tick === this.#at) this.busy(false);
  }

  /** It is played from a moment on. */
  playing(chunkId, tick) {
    this.#move(tick);
    this.gap = null;
    this.#enter("playing", chunkId);
  }

  /** Playing: a tick is to be seen. */
  played(tick) {
    this.#move(Math.max(tick, this.#at));
    this.busy(false);
  }

  /** While it played, ticks could not be shown. */
  skipped(from, to, reason) {
    this.gap = { from, to, reason };
    this.#move(to + 1);
    this.#changed();
  }

  /** What was played has reached the present. */
  reached(chunkId) {
    this.#enter("live", chunkId);
    this.#journey.note(null, false);
  }

  busy(now) {
    this.busyNow = now;
    if (!now) this.fault = "";
    this.#changed();
  }

  /** The server can't say now; it is asked again. */
  trouble(reason) {
    this.fault = reason;
    this.#changed();
  }

  // -- what there is --

  get chunkId() {
    return this.#chunkId;
  }

  /** The first moment that can be reached; Infinity: none. */
  get oldest() {
    return this.known?.oldest_tick ?? Infinity;
  }

  /** Whether there is any past to look at. */
  get reachable() {
    return this.known !== null && this.oldest < this.live;
  }

  get hz() {
    return this.known?.tick_hz ?? 5;
  }

  /** About which tick it is now. */
  get live() {
    if (!this.#newest) return 0;
    const rests = Date.now() - this.#newest.ms;
    return this.#newest.tick + (rests > RESTS_MS ? Math.floor((rests * this.hz) / 1000) : 0);
  }

  /** The tick that is shown, or is about to be. */
  get at() {
    if (this.mode === "live") return this.live;
    if (this.mode === "still") return this.#at;
    const rests = Date.now() - this.#atMs;
    const on = rests > RESTS_MS && !this.busyNow ? Math.floor((rests * this.hz * this.speed) / 1000) : 0;
    return Math.min(this.live, this.#at + on);
  }

  /** What the line shows. @returns {{from: number, to: number}} */
  get window() {
    if (this.#held) return this.#held;
    const { oldest, live, at } = this;
    const ticks = this.span === Infinity ? Infinity : this.span * 60 * this.hz;
    this.#window = windowOf({ oldest: Math.min(oldest, live), live, at, ticks }, this.#window);
    return this.#window;
  }

  /** Unix time (ms) of a tick by the server's clock. */
  msOf(tick) {
    const nowMs = Date.now() + this.#ahead;
    return Math.min(nowMs, this.#scale.msOf(tick) ?? nowMs);
  }

  agoOf(tick) {
    return agoText(Date.now() + this.#ahead - this.msOf(tick));
  }

  // -- what people do --

  /** Go to a moment. @param {boolean} dragging  More of them come: not each one is asked for. */
  seek(tick, dragging = false) {
    if (!this.reachable) return;
    const wanted = Math.round(Math.max(this.oldest, tick));
    clearTimeout(this.#seekTimer);
    this.#held = dragging ? (this.#held ?? this.window) : null;
    const isLive = wanted >= this.live - LIVE_WITHIN_S * this.hz;
    // Who takes hold of the present has not moved yet.
    if (dragging && isLive && this.mode === "live") return;
    if (!dragging && isLive) {
      this.toLive();
      return;
    }
    this.#move(Math.min(wanted, this.live));
    const go = () => {
      this.#soughtMs = performance.now();
      const anew = this.mode === "live";
      this.#journey.lookBack(this.#at);
      if (!dragging || anew) this.#journey.note(this.#at, anew);
    };
    const waitMs = dragging ? Math.max(0, this.#soughtMs + SEEK_EVERY_MS - performance.now()) : 0;
    if (waitMs > 0) this.#seekTimer = setTimeout(go, waitMs);
    else go();
    if (!dragging) this.#follow();
    this.#changed();
  }

  seekBy(seconds) {
    this.seek(this.at + seconds * this.hz);
  }

  step(way) {
    if (!this.reachable) return;
    if (this.mode !== "still") this.#hold();
    else this.#look(this.#journey.stepTo(way) ?? this.at + way);
  }

  /** Play, or hold still. */
  toggle() {
    if (!this.reachable) return;
    if (this.mode === "still") this.#play(this.#at);
    else this.#hold();
  }

  setSpeed(speed) {
    this.speed = speed;
    if (this.mode === "playing") this.#play(this.at);
    this.#changed();
  }

  setSpan(minutes) {
    this.span = minutes;
    this.#window = null;
    this.#changed();
    this.refresh();
  }

  toLive() {
    if (this.mode === "live") return;
    this.#journey.live();
  }

  #hold() {
    this.#look(this.at);
  }

  #look(tick) {
    this.#move(Math.max(this.oldest, Math.min(tick, this.live)));
    const anew = this.mode === "live";
    this.#journey.lookBack(this.#at);
    this.#journey.note(this.#at, anew);
    this.#follow();
  }

  /** Another part of the past is shown: its marks are asked for. */
  #follow() {
    const { from, to } = this.window;
    if (this.known && Math.abs(from - (this.#askedFrom ?? from)) > (to - from) / 4) this.refresh();
  }

  #play(tick) {
    this.busyNow = true;
    this.#journey.play(tick, this.speed);
  }

  #move(tick) {
    this.#at = tick;
    this.#atMs = Date.now();
  }

  #enter(mode, chunkId) {
    const isNew = mode !== this.mode;
    this.mode = mode;
    if (mode === "live") {
      this.busyNow = false;
      this.gap = null;
    }
    if (chunkId !== this.#chunkId) {
      this.#chunkId = chunkId;
      this.known = null;
      this.#window = null;
      this.refresh();
    } else if (isNew) {
      this.#changed();
    }
  }

  /** Ask what there is, now and again. */
  async refresh() {
    clearTimeout(this.#timer);
    const asking = (this.#asking += 1);
    const chunkId = this.#chunkId;
    if (chunkId === null) return;
    try {
      const { from, to } = this.known ? this.window : { from: null, to: null };
      this.#askedFrom = from;
      const size = from === null ? 1 : Math.max(1, Math.ceil((to - from) / 150));
      const first = from === null ? null : Math.max(0, Math.floor(from / size) * size);
      const answer = await this.#api.timeline(chunkId, first, first === null ? null : Math.ceil(to / size) * size);
      if (asking !== this.#asking) return;
      const isFirst = this.known === null;
      this.#take(answer);
      // The first answer says what the line shows, and has the marks of the last ten minutes; those of another part come next.
      if (isFirst && (this.mode !== "live" || this.span !== 10)) return void this.refresh();
    } catch (error) {
      if (asking !== this.#asking) return;
      if (this.known === null) this.trouble(error.reason ?? "unavailable");
    }
    this.#timer = setTimeout(() => this.#again(), ASK_EVERY_MS);
  }

  #again() {
    if (!document.hidden) this.refresh();
    else this.#timer = setTimeout(() => this.#again(), ASK_EVERY_MS);
  }

  #take(answer) {
    this.#scale = new Scale(answer.points, answer.tick_hz);
    this.#ahead = answer.now_ms - Date.now();
    if (!this.#newest || Date.now() - this.#newest.ms > 60_000) {
      const tick = this.#scale.tickAt(answer.now_ms);
      this.#newest = tick === null ? null : { tick, ms: Date.now() };
    }
    this.known = answer;
    if (!this.busyNow) this.fault = "";
    this.#changed();
  }
}
