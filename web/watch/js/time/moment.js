// A chunk as it was at a tick, put together from a page of its past. Pure.

import { WorldView } from "../../../sdk/index.js";

/** What was said so many ticks before a moment is still in the air. */
export const HEARD_TICKS = 20;

/** @typedef {{event: object, tick: number, index: number, at: number}} Happened */

export class Moment {
  view = new WorldView();
  /** @type {import("./pages.js").Part | null} */
  #part = null;
  #next = 0;
  #tick = -1;

  /**
   * Take the view to a tick of a part.
   * @param {import("./pages.js").Part} part
   * @returns {boolean} Whether it went on from where it was, by less than a second or so: things may glide there.
   */
  show(part, tick) {
    const goesOn = part === this.#part && tick >= this.#tick;
    const isNear = goesOn && tick - this.#tick <= 3;
    if (!goesOn) {
      this.view.clear();
      this.view.feed({ ...part.chunk_static, type: "chunk_static" });
      this.view.feed({ ...part.state, type: "chunk_delta" });
      this.#part = part;
      this.#next = 0;
    }
    for (; part.deltas[this.#next]?.tick <= tick; this.#next += 1) {
      this.view.feed({ ...part.deltas[this.#next], type: "chunk_delta" });
    }
    this.#tick = tick;
    return isNear;
  }

  /** Nothing is shown. */
  clear() {
    this.view.clear();
    this.#part = null;
  }
}

/**
 * What led to a moment, as far as blocks have it without a hole, oldest first.
 * @param {import("./pages.js").Block[]} blocks  That follow each other; the last one has the tick.
 * @returns {{delta: object, at: number}[]}
 */
export function storyOf(blocks, tick) {
  const parts = blocks.flatMap((block) => block.parts).filter(({ from_tick: from }) => from <= tick);
  const hole = parts.findLastIndex(({ gap, state }) => gap || !state);
  const shown = parts.slice(hole < 0 ? 0 : hole);
  const deltas = shown.flatMap(({ deltas: all, server_ts_ms: times }) => all.map((delta, i) => ({ delta, at: times[i] ?? 0 })));
  return deltas.filter(({ delta }) => delta.tick <= tick);
}

/** The events of a story. @returns {Happened[]} */
export function eventsOf(story) {
  return story.flatMap(({ delta: { tick, events = [] }, at }) => events.map((event, index) => ({ event, tick, index, at })));
}

/**
 * Everybody who was seen in a part up to a tick, each time that somebody came. Who gets which colour is decided by these
 * alone, so a moment looks the same on every page, whatever was looked at there before.
 * @param {import("./pages.js").Part} part
 * @returns {{id: string, name: string}[][]}
 */
export function comingsOf(part, tick) {
  const seen = new Map();
  const comings = [];
  for (const { agents = [] } of [part.state, ...deltasUpTo(part, tick)]) {
    const before = seen.size;
    for (const { id, name } of agents) if (!seen.has(id)) seen.set(id, { id, name: typeof name === "string" && name ? name : id });
    if (seen.size > before) comings.push([...seen.values()]);
  }
  return comings;
}

/** Where everybody and everything was in a part up to a tick, oldest first: who stands looks where it went last. */
export function waysOf(part, tick) {
  return [part.state, ...deltasUpTo(part, tick)].map(({ agents = [], npcs = [] }) => ({ agents, npcs }));
}

function deltasUpTo(part, tick) {
  return part.deltas.filter((delta) => delta.tick <= tick);
}
