// What happened, as short items for people, in the order in which it happened: what is told late (a replay after a lost
// connection, the last delta of a chunk that one comes back to) takes its own place, and nothing is told twice. Pure; the
// texts of strangers stay values and are never mixed into markup.
//
// Ticks count the same time in every chunk, so they order what clocks of different machines may not.

import { SIDE_NAMES } from "./sides.js";

export const KEPT_MAX = 200;
const TOLD_MAX = 2_000;
const TEXT_MAX_CHARS = 400;
/** Units of gold that follow each other within so many ticks are one harvest. */
const HARVEST_PAUSE_TICKS = 50;

/**
 * @typedef {object} Item
 * @property {number} key  Its own.
 * @property {string} kind  For its mark: chat, joined, left, blocked, gold, given, spent, regrown, door, crossed, connection.
 * @property {string} who  An agent's id, or "".
 * @property {string} text  After the name.
 * @property {string} chunkId  Where it happened.
 * @property {number} tick  @property {number} index  When: the tick, and which of its events.
 * @property {number} at  Wall clock in milliseconds, the server's.
 * @property {number} lastTick  @property {number} amount  Of a harvest: its last unit, and all of them.
 */

/** @typedef {{chunkId: string, tick: number, at: number, index?: number}} When */

export class News {
  /** @type {Item[]} The newest first. */
  items = [];
  #key = 0;
  #era = 0;
  /** @type {Set<string>} What was told; the oldest first. */
  #told = new Set();

  /** Nothing has been told. */
  startOver() {
    this.items = [];
    this.#told.clear();
  }

  /** A world that was put back from a backup counts lower: what comes from now on is newer than all that was. */
  startAgain() {
    this.#era += 1;
  }

  /**
   * @param {object} event  One of a delta's events.
   * @param {When} when
   * @param {(id: string) => string} nameOf  What those are called who appear in the text.
   * @returns {boolean} Whether it was not known.
   */
  tell(event, when, nameOf = (id) => id) {
    const item = itemOf(event, nameOf);
    return item !== null && this.#add({ ...item, ...when });
  }

  /** @param {string} who  An agent's id, or "".  @param {When} when */
  note(kind, who, text, when) {
    return this.#add({ kind, who, text, ...when });
  }

  #add(fields) {
    const { kind, who, text, chunkId, tick, index = 0 } = fields;
    if (!this.#isNew([this.#era, chunkId, tick, index, kind, who, text].join("\n"))) return false;
    const item = { amount: 0, ...fields, text: text.slice(0, TEXT_MAX_CHARS), index, era: this.#era, lastTick: tick };
    const run = kind === "gold" ? this.#harvest(item) : null;
    if (run) {
      this.items.splice(this.items.indexOf(run), 1);
      this.#place(joined(run, item));
      return true;
    }
    this.#key += 1;
    this.#place({ ...item, key: this.#key });
    if (this.items.length > KEPT_MAX) this.items.length = KEPT_MAX;
    return true;
  }

  #isNew(identity) {
    if (this.#told.has(identity)) return false;
    this.#told.add(identity);
    if (this.#told.size > TOLD_MAX) this.#told.delete(this.#told.values().next().value);
    return true;
  }

  /** The harvest that a unit belongs to. */
  #harvest({ who, chunkId, era, tick }) {
    const near = (item) => tick >= item.tick - HARVEST_PAUSE_TICKS && tick <= item.lastTick + HARVEST_PAUSE_TICKS;
    return this.items.find((item) => item.kind === "gold" && item.who === who && item.chunkId === chunkId && item.era === era && near(item));
  }

  #place(item) {
    const at = this.items.findIndex((other) => !isNewer(other, item));
    this.items.splice(at < 0 ? this.items.length : at, 0, item);
  }
}

function isNewer(one, other) {
  return (one.era - other.era || one.tick - other.tick || one.index - other.index) > 0;
}

/** A harvest stands where it began, so that rows do not jump while it goes on. */
function joined(run, unit) {
  const first = isNewer(run, unit) ? unit : run;
  const amount = run.amount + unit.amount;
  const { tick, index, at } = first;
  return { ...run, tick, index, at, amount, lastTick: Math.max(run.lastTick, unit.tick), text: tookText(amount) };
}

function tookText(amount) {
  return `took ${amount} gold`;
}

function itemOf(event, nameOf) {
  const who = (id) => (typeof id === "string" ? id : "");
  const amount = Number.isFinite(event.amount) ? event.amount : 1;
  const side = SIDE_NAMES.get(event.dir) ?? "side";
  switch (event.type) {
    case "chat":
      return { kind: "chat", who: who(event.from), text: String(event.text ?? "") };
    case "agent_joined":
      return { kind: "joined", who: who(event.agent_id), text: "came in" };
    case "agent_left":
      return { kind: "left", who: who(event.agent_id), text: "left" };
    case "blocked":
      return { kind: "blocked", who: who(event.agent_id), text: event.by ? `was blocked by ${nameOf(who(event.by))}` : "was blocked" };
    case "resource_harvest":
      return { kind: "gold", who: who(event.by), text: tookText(amount), amount };
    case "resource_given":
      return { kind: "given", who: who(event.from), text: `gave ${amount} gold to ${nameOf(who(event.to))}` };
    case "resource_depleted":
      return { kind: "spent", who: "", text: "A gold node is spent" };
    case "resource_regenerated":
      return { kind: "regrown", who: "", text: "A gold node is full again" };
    case "neighbor_linked":
      return { kind: "door", who: "", text: `${event.chunk_id} opened in the ${side}` };
    case "neighbor_unlinked":
      return { kind: "door", who: "", text: `The chunk in the ${side} is gone` };
    default:
      return null;
  }
}
