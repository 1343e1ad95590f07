// Finding an agent wherever it is, by the beginning of its name.

import { ask } from "../net/api.js";
import { byId, el, reconcile, setText } from "../dom.js";
import { toAbout } from "../route.js";
import { makeToken, paintToken } from "./token.js";
import { reasonText } from "./words.js";

const PAUSE_MS = 200;
const SHOWN = 8;

export class FindForm {
  #input = byId("find-name");
  #list = byId("found");
  #sessions;
  #looks;
  #timer = 0;
  #asked = 0;
  /** @type {Map<string, {here: boolean, chunk_id: string | null}>} */
  #places = new Map();
  #visit;

  /**
   * @param {import("../net/sessions.js").Sessions} sessions
   * @param {import("../state/looks.js").Looks} looks
   * @param {(chunkId: string, agentId: string) => void} visit  Look at it where it is.
   */
  constructor(sessions, looks, visit) {
    this.#sessions = sessions;
    this.#looks = looks;
    this.#visit = visit;
    this.#input.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#find(), PAUSE_MS);
    });
    byId("find-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const first = this.#list.querySelector("button[data-agent]");
      if (first) this.#go(first.dataset.agent);
      else this.#find();
    });
    this.#list.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-agent]");
      if (!button) return;
      if (button.dataset.about) toAbout(button.dataset.agent);
      else this.#go(button.dataset.agent);
    });
  }

  /** To where it is; to what is known of it when it is away. */
  #go(agentId) {
    const place = this.#places.get(agentId);
    if (place?.here && place.chunk_id) this.#visit(place.chunk_id, agentId);
    else toAbout(agentId);
  }

  async #find() {
    clearTimeout(this.#timer);
    this.#asked += 1;
    const asked = this.#asked;
    const name = this.#input.value.trim();
    const token = this.#sessions.anyToken;
    const valid = /^[A-Za-z0-9_.-]{1,128}$/.test(name);
    this.#input.setAttribute("aria-invalid", String(name !== "" && !valid));
    if (!valid || !token) {
      this.#show([], !valid && name ? "A name has letters, digits, dots, dashes and underscores." : "");
      return;
    }
    try {
      const { agents, more } = await ask(`v1/find/agents?prefix=${encodeURIComponent(name)}&limit=${SHOWN}`, { token });
      if (asked !== this.#asked) return;
      this.#show(agents, agents.length === 0 ? "Nobody whose name begins so." : more ? "There are more; type on." : "");
    } catch (error) {
      if (asked === this.#asked) this.#show([], reasonText(error.reason ?? "unreachable"));
    }
  }

  #show(agents, note) {
    this.#places = new Map(agents.map((agent) => [agent.agent_id, agent]));
    reconcile(this.#list, agents, ({ agent_id: id }) => id, makeRow, (node, { agent_id: id, here, chunk_id: chunkId }) => {
      const [row, about] = node.children;
      const [token, lines] = row.children;
      const look = this.#looks.of(id);
      paintToken(token, look);
      setText(lines.firstElementChild, look.label);
      setText(lines.lastElementChild, here ? `in ${chunkId}` : "away");
      row.title = look.full;
      about.setAttribute("aria-label", `About ${look.full}`);
    });
    this.#list.hidden = agents.length === 0;
    const hint = byId("find-note");
    hint.hidden = !note;
    setText(hint, note);
  }
}

function makeRow({ agent_id: id }) {
  const lines = el("span", { class: "row-lines" }, el("bdi", { class: "row-name" }), el("span", { class: "row-doing" }));
  const row = el("button", { type: "button", class: "row", "data-agent": id }, makeToken(), lines);
  const about = el("button", { type: "button", class: "row-follow", "data-agent": id, "data-about": "yes" }, "About");
  return el("li", { class: "row-pair" }, row, about);
}
