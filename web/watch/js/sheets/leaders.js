// Who is ahead, by gold, chunks or time; today, this week, or of all time.

import { byId, el, reconcile, setText } from "../dom.js";
import { toAbout, toLeaders } from "../route.js";
import { makeToken, paintToken } from "../ui/token.js";
import { counted, lifeText, reasonText } from "../ui/words.js";
import { Asking } from "./asking.js";

const EVERY_MS = 5_000;
const PLACES = 50;
const NOBODY = {
  gold: "Nobody has harvested anything yet.",
  chunks: "Nobody has discovered a chunk yet.",
  alive: "Nobody has been in the world yet.",
};

export class LeadersSheet {
  dialog = byId("leaders-dialog");
  #list = byId("leaders");
  #looks;
  #asking;
  #by = "gold";
  #period = "day";

  /** @param {import("../net/sessions.js").Sessions} sessions  @param {import("../state/looks.js").Looks} looks */
  constructor(sessions, looks) {
    this.#looks = looks;
    this.#asking = new Asking(sessions, EVERY_MS, (board) => this.#show(board), (reason) => this.#note(reasonText(reason)));
    for (const button of this.dialog.querySelectorAll("button[data-by]")) {
      button.addEventListener("click", () => toLeaders(button.dataset.by, this.#period));
    }
    for (const button of this.dialog.querySelectorAll("button[data-period]")) {
      button.addEventListener("click", () => toLeaders(this.#by, button.dataset.period));
    }
    this.#list.addEventListener("click", (event) => {
      const row = event.target.closest("button[data-agent]");
      if (row) toAbout(row.dataset.agent);
    });
  }

  open({ by, period }) {
    if (by !== this.#by || period !== this.#period) this.#list.replaceChildren();
    this.#by = by;
    this.#period = period;
    for (const name of ["by", "period"]) {
      for (const button of this.dialog.querySelectorAll(`button[data-${name}]`)) {
        button.setAttribute("aria-pressed", String(button.dataset[name] === (name === "by" ? by : period)));
      }
    }
    this.#note("");
    this.#asking.begin(`v1/leaderboard?by=${by}&period=${period}&limit=${PLACES}`);
  }

  close() {
    this.#asking.begin(null);
  }

  #show({ by, places }) {
    this.dialog.dataset.by = by;
    reconcile(this.#list, places, ({ agent_id: id }) => id, makePlace, (node, place) => this.#fill(node, place));
    this.#note(places.length ? "" : NOBODY[by]);
  }

  #fill(node, { rank, agent_id: id, gold, chunks, alive_s: alive, here }) {
    const [button] = node.children;
    const [place, token, name, ...values] = button.children;
    const look = this.#looks.of(id);
    setText(place, String(rank));
    paintToken(token, look);
    setText(name.firstElementChild, look.label);
    setText(name.lastElementChild, here ? "in the world" : "away");
    button.title = look.full;
    const texts = [gold.toLocaleString("en"), chunks.toLocaleString("en"), lifeText(alive)];
    values.forEach((value, i) => setText(value, texts[i]));
    button.setAttribute("aria-label", `${rank}. ${look.full}: ${texts[0]} gold, ${counted(chunks, "chunk")}, ${texts[2]} alive${here ? ", in the world" : ""}`);
    node.classList.toggle("here", here);
  }

  #note(text) {
    const note = byId("leaders-note");
    note.hidden = !text;
    setText(note, text);
  }
}

function makePlace({ agent_id: id }) {
  const name = el("span", { class: "place-name" }, el("bdi"), el("span", { class: "place-here" }));
  const values = ["gold", "chunks", "alive"].map((by) => el("span", { class: `place-value of-${by}` }));
  return el("li", {}, el("button", { type: "button", class: "place-row", "data-agent": id }, el("span", { class: "place-rank" }), makeToken(), name, ...values));
}
