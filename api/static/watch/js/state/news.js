// What happened, as short items for people. Pure; the texts of strangers stay values and are never mixed into markup.

export const KEPT_MAX = 120;
/** Units of gold are counted together when they are so near in the list. */
const SAME_WITHIN = 6;

/**
 * @typedef {object} Item
 * @property {number} key  Rises.
 * @property {string} kind  What it is, for its mark: chat, joined, left, blocked, gold, spent, regrown, door, crossed, line.
 * @property {string} who  An agent's id, or "".
 * @property {string} text  After the name.
 * @property {number} at  Wall clock in milliseconds, the server's.
 * @property {number} count  How often in a row.
 */

const SIDE_NAMES = { N: "north", E: "east", S: "south", W: "west" };

export class News {
  /** @type {Item[]} The newest first. */
  items = [];
  #key = 0;

  /** @param {object} event  One of a delta's events.  @param {number} at  */
  tell(event, at) {
    const item = itemOf(event);
    if (item) this.add(item.kind, item.who, item.text, at);
  }

  /** Add an item, or count one more of what was told a moment ago. */
  add(kind, who, text, at) {
    const before = kind === "gold" && this.items.slice(0, SAME_WITHIN).find((item) => item.kind === kind && item.who === who);
    if (before) {
      before.count += 1;
      before.at = at;
      return;
    }
    this.#key += 1;
    this.items.unshift({ key: this.#key, kind, who, text, at, count: 1 });
    if (this.items.length > KEPT_MAX) this.items.length = KEPT_MAX;
  }
}

function itemOf(event) {
  switch (event.type) {
    case "chat":
      return { kind: "chat", who: String(event.from ?? ""), text: String(event.text ?? "") };
    case "agent_joined":
      return { kind: "joined", who: String(event.agent_id ?? ""), text: "came in" };
    case "agent_left":
      return { kind: "left", who: String(event.agent_id ?? ""), text: "left" };
    case "blocked":
      return { kind: "blocked", who: String(event.agent_id ?? ""), text: event.by ? `was blocked by ${event.by}` : "was blocked" };
    case "resource_harvest":
      return { kind: "gold", who: String(event.by ?? ""), text: "took gold" };
    case "resource_given":
      return { kind: "gold", who: String(event.from ?? ""), text: `gave ${event.amount} gold to ${event.to}` };
    case "resource_depleted":
      return { kind: "spent", who: "", text: "A gold node is spent" };
    case "resource_regenerated":
      return { kind: "regrown", who: "", text: "A gold node is full again" };
    case "neighbor_linked":
      return { kind: "door", who: "", text: `${event.chunk_id} opened in the ${SIDE_NAMES[event.dir] ?? "side"}` };
    case "neighbor_unlinked":
      return { kind: "door", who: "", text: `The chunk in the ${SIDE_NAMES[event.dir] ?? "side"} is gone` };
    default:
      return null;
  }
}
