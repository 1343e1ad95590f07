// What happened in the chunks that one has looked at, the newest on top.

import { byId, el, reconcile, setText } from "../dom.js";
import { makeToken, tint } from "./token.js";
import { clockTime } from "./words.js";

export class NewsList {
  #list = byId("news");
  #news;
  #looks;
  #chunks = new Set();
  #here = null;
  #show = "all";
  #due = false;
  /** Whether what stands there is of other news. */
  #stale = false;

  /** @param {import("../state/news.js").News} news  @param {import("../state/looks.js").Looks} looks */
  constructor(news, looks) {
    this.#news = news;
    this.#looks = looks;
    const buttons = document.querySelectorAll("button[data-show]");
    for (const button of buttons) {
      button.addEventListener("click", () => {
        this.#show = button.dataset.show;
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
        this.#draw();
      });
    }
  }

  /** Show what another one tells. @param {import("../state/news.js").News} news */
  use(news) {
    if (news === this.#news) return;
    this.#news = news;
    this.#stale = true;
    this.update();
  }

  /** @param {Set<string>} chunks  Whose news are shown.  @param {string | null} here  The one that is looked at. */
  of(chunks, here) {
    this.#chunks = chunks;
    this.#here = here;
    this.update();
  }

  update() {
    if (this.#due) return;
    this.#due = true;
    setTimeout(() => {
      this.#due = false;
      this.#draw();
    }, 100);
  }

  #draw() {
    if (this.#stale) this.#list.replaceChildren();
    this.#stale = false;
    const wanted = ({ kind, chunkId }) => this.#chunks.has(chunkId) && (this.#show === "all" || kind === "chat");
    const items = this.#news.items.filter(wanted);
    reconcile(this.#list, items, ({ key }) => String(key), makeItem, (node, item) => this.#fill(node, item));
    this.#list.classList.toggle("empty", items.length === 0);
    const quiet = this.#show === "chat" ? "Nobody has said anything yet." : "All quiet so far.";
    this.#list.dataset.note = this.#chunks.size ? quiet : "No chunk is shown.";
  }

  #fill(node, { kind, who, text, chunkId, at }) {
    const [mark, said, when] = node.children;
    const [name, , words, , where] = said.childNodes;
    if (kind === "chat") tint(mark, this.#looks.of(who));
    setText(name, who && this.#looks.of(who).full);
    setText(words, text);
    setText(where, chunkId === this.#here ? "" : `in ${chunkId}`);
    setText(when, clockTime(at));
  }
}

function makeItem({ kind }) {
  const mark = kind === "chat" ? makeToken() : el("span", { "aria-hidden": "true" });
  mark.className = "news-mark";
  const said = el("span", { class: "news-text" }, el("bdi", { class: "news-who" }), " ", el("bdi", {}), " ", el("span", { class: "news-where" }));
  return el("li", { class: `news-item news-${kind}`, "data-kind": kind }, mark, said, el("time", {}));
}
