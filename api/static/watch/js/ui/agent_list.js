// Who is in the chunk: for everybody a way to choose an agent, and for who can't see the map a way to know of them.

import { byId, el, reconcile, setText } from "../dom.js";
import { agentColours, agentSign } from "../map/palette.js";
import { ACTIVITIES, counted } from "./words.js";

const SHOWN_MAX = 100;
const EVERY_MS = 250;

export class AgentList {
  #list = byId("agents");
  #due = 0;
  #mirror = null;
  #chosen = null;
  #canFollow;

  /**
   * @param {(agentId: string) => void} choose
   * @param {(agentId: string) => void} follow
   * @param {(agentId: string) => boolean} canFollow
   */
  constructor(choose, follow, canFollow) {
    this.#canFollow = canFollow;
    this.#list.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-agent]");
      if (!button) return;
      if (button.dataset.follow) follow(button.dataset.agent);
      else choose(button.dataset.agent);
    });
  }

  /** Soon: five ticks a second are more than a list needs. */
  update(mirror, chosen) {
    this.#mirror = mirror;
    this.#chosen = chosen;
    if (!this.#due) this.#due = setTimeout(() => this.#draw(), EVERY_MS);
  }

  #draw() {
    this.#due = 0;
    const agents = [...this.#mirror.agents.values()].sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
    setText(byId("agents-count"), String(agents.length));
    setText(byId("tab-agents"), String(agents.length));
    reconcile(this.#list, agents.slice(0, SHOWN_MAX), ({ id }) => id, makeRow, (node, agent) => this.#fill(node, agent));
    this.#list.classList.toggle("empty", agents.length === 0);
    this.#list.dataset.note = agents.length > SHOWN_MAX ? `and ${agents.length - SHOWN_MAX} more` : "Nobody is here.";
    this.#list.classList.toggle("more", agents.length > SHOWN_MAX);
  }

  #fill(node, agent) {
    const { id, x, y, activity, name } = agent;
    Object.assign(node.dataset, { agent: id, x, y, activity });
    const [row, follow] = node.children;
    const [nameText, doing] = row.lastElementChild.children;
    setText(nameText, name);
    setText(doing, `${ACTIVITIES[activity] ?? activity} · ${x}, ${y}`);
    row.setAttribute("aria-pressed", String(id === this.#chosen));
    follow.hidden = !this.#canFollow(id);
  }
}

function makeRow(agent) {
  const { id, name } = agent;
  const row = el("button", { type: "button", class: "row", "data-agent": id, "aria-pressed": "false" }, tokenOf(id, name), el("span", { class: "row-lines" }, el("span", { class: "row-name" }), el("span", { class: "row-doing" })));
  const follow = el("button", { type: "button", class: "row-follow", "data-agent": id, "data-follow": "yes", "aria-label": `Follow ${name}` }, "Follow");
  return el("li", { class: "row-pair" }, row, follow);
}

/** An agent's token as on the map. */
export function tokenOf(id, name) {
  const token = el("span", { class: "token", "aria-hidden": "true" }, agentSign(name));
  paintToken(token, id);
  return token;
}

export function paintToken(token, id) {
  const { fill, ink } = agentColours(id);
  token.style.backgroundColor = fill;
  token.style.color = ink;
}

/** A sentence or two about the chunk. */
export function summaryOf(mirror) {
  if (!mirror.ready) return "The map is loading.";
  const doors = Object.entries(mirror.neighbors).filter(([, there]) => there);
  const ways = doors.length ? ` Ways to ${doors.map(([side, there]) => `${there} (${side})`).join(", ")}.` : " No neighbour is known yet.";
  const gold = [...mirror.nodes.values()].filter(({ remaining }) => remaining > 0).length;
  return (
    `${mirror.chunkId}: ${counted(mirror.agents.size, "agent")}, ${counted(mirror.npcs.size, "creature")}, ` +
    `${mirror.gold} gold in ${counted(gold, "node")}.${ways}`
  );
}
