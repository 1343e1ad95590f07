// An agent as everybody may see it: where it is, what it has, what it says, and what it thinks if its owner allows it.

import { byId, el, reconcile, setText } from "../dom.js";
import { paintToken } from "../ui/token.js";
import { clockTime, dayText, lifeText, reasonText } from "../ui/words.js";
import { Asking } from "./asking.js";

const EVERY_MS = 3_000;
const PERIODS = { day: "Today", week: "This week", all: "Ever" };

export class AboutSheet {
  dialog = byId("about-dialog");
  #looks;
  #asking;
  #agentId = null;
  #chunkId = null;

  /**
   * @param {import("../net/sessions.js").Sessions} sessions
   * @param {import("../state/looks.js").Looks} looks
   * @param {(chunkId: string, agentId: string) => void} visit  Look at it where it is.
   */
  constructor(sessions, looks, visit) {
    this.#looks = looks;
    this.#asking = new Asking(sessions, EVERY_MS, (profile) => this.#show(profile), (reason) => this.#refuse(reason));
    byId("about-visit").addEventListener("click", () => visit(this.#chunkId, this.#agentId));
    byId("about-sums").append(...Object.entries(PERIODS).map(([period, title]) => makeSums(period, title)));
  }

  open({ agentId }) {
    if (agentId !== this.#agentId) this.#clear(agentId);
    this.#asking.begin(`v1/agents/${agentId}/profile`);
  }

  close() {
    this.#asking.begin(null);
  }

  #clear(agentId) {
    this.#agentId = agentId;
    const look = this.#looks.of(agentId);
    paintToken(byId("about-token"), look);
    setText(byId("about-title"), look.full);
    setText(byId("about-where"), "…");
    byId("about-known").hidden = true;
    byId("about-visit").hidden = true;
    this.#problem("");
  }

  #show({ agent_id: id, here, chunk_id: chunkId, x, y, gold, standing, says, thinks }) {
    this.#chunkId = chunkId;
    this.#problem("");
    setText(byId("about-where"), here ? `in ${chunkId} at ${x}, ${y}` : "not in the world now");
    byId("about-visit").hidden = !here;
    setText(byId("about-gold"), gold.toLocaleString("en"));
    for (const row of byId("about-sums").children) {
      const sums = standing[row.dataset.period];
      const texts = [sums.gold.toLocaleString("en"), sums.chunks.toLocaleString("en"), lifeText(sums.alive_s)];
      [...row.children].slice(1).forEach((cell, i) => setText(cell, texts[i]));
    }
    this.#lines(byId("about-says"), says, "It has said nothing of late.");
    const why = thinks === null ? "Its owner does not show what it thinks." : "It has thought nothing of late.";
    this.#lines(byId("about-thinks"), thinks ?? [], why);
    byId("about-known").hidden = false;
    paintToken(byId("about-token"), this.#looks.of(id));
  }

  #lines(list, lines, none) {
    reconcile(list, lines, ({ entry_id: id }) => id, makeLine, (node, { at, chunk_id: chunkId, text, doing }) => {
      const [words, when] = node.children;
      setText(words, text);
      const moment = Date.parse(at);
      setText(when, [`${dayText(moment)}${clockTime(moment)}`, doing?.replaceAll("_", " "), chunkId].filter(Boolean).join(" · "));
    });
    list.classList.toggle("empty", lines.length === 0);
    list.dataset.note = none;
  }

  #refuse(reason) {
    if (reason === "agent_not_found") {
      setText(byId("about-where"), "");
      byId("about-known").hidden = true;
      byId("about-visit").hidden = true;
    }
    this.#problem(reason === "agent_not_found" ? "Nobody of that name has been in this world." : reasonText(reason));
  }

  #problem(text) {
    const problem = byId("about-problem");
    problem.hidden = !text;
    setText(problem, text);
  }
}

function makeSums(period, title) {
  return el("tr", { "data-period": period }, el("th", { scope: "row" }, title), el("td"), el("td"), el("td"));
}

function makeLine() {
  return el("li", { class: "line" }, el("bdi"), el("span", { class: "line-when" }));
}
