// Who is in the chunk: for everybody a way to choose an agent, and for who can't see the map a way to know of them.

import { byId, el, reconcile, setText } from "../dom.js";
import { makeToken, paintToken } from "./token.js";
import { activityText, counted } from "./words.js";

const SHOWN_MAX = 100;
const EVERY_MS = 250;

export class AgentList {
  #list = byId("agents");
  #due = 0;
  #worldView = null;
  #chosen = null;
  #looks;
  #canFollow;

  /**
   * @param {import("../state/looks.js").Looks} looks
   * @param {(agentId: string) => void} choose
   * @param {(agentId: string) => void} follow
   * @param {(agentId: string) => boolean} canFollow
   */
  constructor(looks, choose, follow, canFollow) {
    this.#looks = looks;
    this.#canFollow = canFollow;
    this.#list.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-agent]");
      if (!button) return;
      if (button.dataset.follow) follow(button.dataset.agent);
      else choose(button.dataset.agent);
    });
  }

  /** Soon: five ticks a second are more than a list needs. */
  update(worldView, chosen) {
    this.#worldView = worldView;
    this.#chosen = chosen;
    if (!this.#due) this.#due = setTimeout(() => this.#draw(), EVERY_MS);
  }

  #draw() {
    this.#due = 0;
    const agents = [...this.#worldView.agents.values()].sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }) || (a.id < b.id ? -1 : 1));
    const count = this.#worldView.ready ? String(agents.length) : "";
    setText(byId("agents-count"), count);
    setText(byId("tab-agents"), count);
    reconcile(this.#list, agents.slice(0, SHOWN_MAX), ({ id }) => id, makeRow, (node, agent) => this.#fill(node, agent));
    this.#list.classList.toggle("empty", agents.length === 0);
    this.#list.dataset.note = agents.length > SHOWN_MAX ? `and ${agents.length - SHOWN_MAX} more` : emptyNote(this.#worldView);
    this.#list.classList.toggle("more", agents.length > SHOWN_MAX);
  }

  #fill(node, agent) {
    const { id, x, y, activity } = agent;
    const look = this.#looks.of(id);
    Object.assign(node.dataset, { agent: id, x, y, activity });
    const [row, follow] = node.children;
    const [token, lines] = row.children;
    const [name, doing] = lines.children;
    const chosen = id === this.#chosen;
    paintToken(token, look);
    setText(name, chosen ? look.full : look.label);
    if (name.title !== look.full) name.title = look.full;
    setText(doing, `${activityText(activity)} · ${x}, ${y}`);
    row.setAttribute("aria-pressed", String(chosen));
    follow.hidden = !this.#canFollow(id);
    if (follow.getAttribute("aria-label") !== `Follow ${look.full}`) follow.setAttribute("aria-label", `Follow ${look.full}`);
  }
}

function emptyNote(worldView) {
  return worldView.ready ? "Nobody is here." : "No chunk is shown.";
}

function makeRow({ id }) {
  const lines = el("span", { class: "row-lines" }, el("bdi", { class: "row-name" }), el("span", { class: "row-doing" }));
  const row = el("button", { type: "button", class: "row", "data-agent": id, "aria-pressed": "false" }, makeToken(), lines);
  const follow = el("button", { type: "button", class: "row-follow", "data-agent": id, "data-follow": "yes" }, "Follow");
  return el("li", { class: "row-pair" }, row, follow);
}

/** A sentence or two about the chunk. */
export function summaryOf(worldView) {
  if (!worldView.ready) return "The map is loading.";
  const doors = Object.entries(worldView.neighbors).filter(([, there]) => there);
  const ways = doors.length ? ` Ways to ${doors.map(([side, there]) => `${there} (${side})`).join(", ")}.` : " No neighbour is known yet.";
  const gold = [...worldView.nodes.values()].filter(({ remaining }) => remaining > 0).length;
  return (
    `${worldView.chunkId}: ${counted(worldView.agents.size, "agent")}, ${counted(worldView.npcs.size, "creature")}, ` +
    `${worldView.gold} gold in ${counted(gold, "node")}.${ways}`
  );
}
