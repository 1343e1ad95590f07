// A world of a few small chunks in a row, in which walks take no time; the part of an `Agent` that journeys use.

import { Blocked, Depleted } from "../../../sdk-js/src/errors.js";
import { Limit, paused } from "../../../sdk-js/src/transport/waiting.js";
import { WorldMap } from "../../../sdk-js/src/view/world_map.js";
import { WorldView } from "../../../sdk-js/src/view/world_view.js";

/** Doors in the west and the east, gold in the south wall. */
const ROWS = ["#####", "#...#", ".....", "#...#", "#####"];
const EAST = 4;
const GOLD = 3;

export class SmallWorld {
  view = new WorldView("ada");
  map = new WorldMap();
  walks = [];
  /** Errors that the next commands throw. */
  hindrances = [];
  #at = { number: 0, x: 2, y: 2 };
  #tick = 1;
  #left = new Map();
  #taken = 0;
  #others;

  /** @param {number} chunks  How many there are in a row.  @param {object[]} [others]  Who stands in each of them. */
  constructor(chunks, others = []) {
    this.chunks = chunks;
    this.#others = others;
    this.#arrive();
  }

  async moveTo(x, y, { signal } = {}) {
    this.#command(signal);
    this.walks.push([`chunk-${this.#at.number}`, x, y]);
    const side = x === 0 ? -1 : x === EAST ? 1 : 0;
    const number = this.#at.number + side;
    if (number < 0 || number >= this.chunks) throw new Blocked("blocked");
    this.#at = side === 0 ? { number, x, y } : { number, x: side < 0 ? EAST : 0, y };
    if (side === 0) this.#show();
    else this.#arrive();
  }

  /** A unit at a time, until it is empty or the call is aborted. */
  async harvest(node, { signal } = {}) {
    this.#command(signal);
    if (this.#remaining === 0) throw new Depleted("depleted");
    while (this.#remaining > 0) {
      await paused(1, signal);
      signal?.throwIfAborted();
      this.#left.set(this.#at.number, this.#remaining - 1);
      this.#taken += 1;
      this.#show();
    }
  }

  async waitUntil(condition, { timeoutMs, signal }) {
    const limit = new Limit(timeoutMs, signal);
    try {
      while (!condition(this.view)) {
        await paused(1, limit.signal);
        limit.signal.throwIfAborted();
      }
      return true;
    } catch (error) {
      if (!limit.isEndOf(error)) throw error;
      return false;
    } finally {
      limit.clear();
    }
  }

  get #remaining() {
    return this.#left.get(this.#at.number) ?? GOLD;
  }

  #command(signal) {
    signal?.throwIfAborted();
    const error = this.hindrances.shift();
    if (error) throw error;
  }

  /** Others stand in the chunks now: a list of them for each. */
  meet(others) {
    this.#others = others;
    this.#show();
  }

  /** Somebody else takes all the gold of this chunk. */
  empty() {
    this.#left.set(this.#at.number, 0);
    this.#show();
  }

  #arrive() {
    const { number } = this.#at;
    const chunk = (there) => (there >= 0 && there < this.chunks ? `chunk-${there}` : null);
    const neighbors = { N: null, E: chunk(number + 1), S: null, W: chunk(number - 1) };
    const resource_nodes = [{ node_id: `n-${number}`, type: "gold", x: 1, y: 0, max_remaining: GOLD }];
    this.view.feed({ type: "chunk_static", chunk_id: `chunk-${number}`, tiles: ROWS, resource_nodes, neighbors });
    this.#show();
  }

  #show() {
    const { number, x, y } = this.#at;
    this.#tick += 1;
    this.view.feed({ type: "agent_private_delta", agent_id: "ada", inventory: { gold: this.#taken } });
    const remaining = this.#remaining;
    this.view.feed({
      type: "chunk_delta",
      chunk_id: `chunk-${number}`,
      tick: this.#tick,
      agents: [{ id: "ada", x, y }, ...(this.#others[number] ?? [])],
      resources: [{ node_id: `n-${number}`, remaining, state: remaining > 0 ? "available" : "regenerating" }],
    });
    this.map.note(this.view, this.#tick);
  }
}
