// Everybody who stands in the world. The server sorts and filters; more rows come as one scrolls.

import { el, setText } from "../../../watch/js/dom.js";
import { clockTime } from "../../../watch/js/ui/words.js";
import { Looks } from "../../../watch/js/state/looks.js";
import { makeToken, paintToken } from "../../../watch/js/ui/token.js";
import { hrefOf } from "../route.js";
import { Pages } from "../state/pages.js";
import { badge, filterField, pageHead } from "../ui/parts.js";
import { Table } from "../ui/table.js";
import { doingText, refusalText } from "../ui/words.js";

const looks = new Looks();

/** An agent's token as on the map, and its id. */
export function agentName(agentId) {
  const token = makeToken();
  paintToken(token, looks.of(agentId));
  return el("span", { class: "agent-name" }, token, el("bdi", {}, agentId));
}

export class AgentsPage {
  title = "Agents";
  #table;
  #pages;
  #query = { sort: "agent", order: "asc", q: "", chunk: "" };
  #asOf = el("p", { class: "page-facts" }, "Loading …");
  #problem = el("p", { class: "problem", role: "alert", hidden: true });

  /** @param {object} desk  @param {string | null} chunkId  Only who stands there. */
  constructor({ operator }, chunkId) {
    this.#query.chunk = chunkId ?? "";
    this.#pages = new Pages((path) => operator.ask(path), (error) => this.#show(error));
    this.#table = new Table({
      label: "Agents",
      columns: [
        { id: "agent", label: "Agent", width: "minmax(16ch, 1.6fr)", text: ({ agent_id: id }) => id, node: ({ agent_id: id }) => agentName(id), value: ({ agent_id: id }) => id },
        { id: "chunk", label: "Chunk", width: "minmax(9ch, 1fr)", text: ({ chunk_id: id }) => id ?? "–", value: ({ chunk_id: id }) => id },
        { id: "doing", label: "Doing", width: "minmax(10ch, 1fr)", text: ({ doing }) => doingText(doing), value: ({ doing }) => doing, wide: true },
        { id: "state", label: "State", width: "minmax(12ch, 1fr)", text: (row) => statesOf(row).join(" "), node: (row) => el("span", { class: "badges" }, ...statesOf(row).map((state) => badge(state, STATES[state]))), wide: true },
        { id: "account", label: "Account", width: "minmax(14ch, 1.2fr)", text: ({ account_id: id }) => id ?? "–", wide: true },
      ],
      keyOf: ({ agent_id: id }) => id,
      hrefOf: ({ agent_id: id }) => hrefOf("agent", id),
      // The server has filtered already.
      searchText: () => "",
      sort: { by: "agent", descending: false },
      sortAway: ({ by, descending }) => this.#ask({ sort: by, order: descending ? "desc" : "asc" }),
      nearEnd: () => this.#pages.more(),
      empty: "Nobody is here.",
    });
  }

  mount(root) {
    const filter = filterField("Filter: part of a name", (q) => this.#ask({ q }));
    const refresh = el("button", { type: "button", class: "button quiet small" }, "Refresh");
    refresh.addEventListener("click", () => this.#ask({}));
    const only = this.#query.chunk ? el("a", { class: "chip", href: hrefOf("agents") }, `in ${this.#query.chunk} ✕`) : null;
    root.classList.add("fills");
    root.append(pageHead("Agents", this.#asOf, ...(only ? [only] : []), filter, refresh), this.#problem, this.#table.node);
    this.#ask({});
  }

  close() {
    this.#table.close();
  }

  update() {
    // Agents come by asking; the stream does not tell of each.
  }

  #ask(changes) {
    Object.assign(this.#query, changes);
    return this.#pages.open("agents", this.#query);
  }

  #show(error) {
    this.#problem.hidden = error === null;
    if (error) {
      setText(this.#problem, refusalText(error));
      return;
    }
    setText(this.#asOf, `as of ${clockTime(Date.now())}`);
    this.#table.show(this.#pages.rows, this.#pages.total);
  }
}

const STATES = { connected: "good", away: "calm", muted: "warn" };

function statesOf({ connected, muted }) {
  return [connected ? "connected" : "away", ...(muted ? ["muted"] : [])];
}
