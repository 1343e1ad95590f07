// What happened in the chunk, the newest on top.

import { byId, el, reconcile, setText } from "../dom.js";
import { paintToken } from "./agent_list.js";
import { clockTime } from "./words.js";

export class NewsList {
  #list = byId("news");
  #news;
  #show = "all";
  #due = false;

  /** @param {import("../state/news.js").News} news */
  constructor(news) {
    this.#news = news;
    const buttons = document.querySelectorAll("button[data-show]");
    for (const button of buttons) {
      button.addEventListener("click", () => {
        this.#show = button.dataset.show;
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
        this.#draw();
      });
    }
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
    const items = this.#news.items.filter(({ kind }) => this.#show === "all" || kind === "chat");
    reconcile(this.#list, items, ({ key }) => String(key), makeItem, (node, item) => {
      setText(node.querySelector(".news-count"), item.count > 1 ? `× ${item.count}` : "");
      setText(node.querySelector("time"), clockTime(item.at));
    });
    this.#list.classList.toggle("empty", items.length === 0);
    this.#list.dataset.note = this.#show === "chat" ? "Nobody has said anything yet." : "All quiet so far.";
  }
}

function makeItem({ kind, who, text }) {
  const mark = el("span", { class: "news-mark", "aria-hidden": "true" });
  if (kind === "chat") paintToken(mark, who);
  const said = el("span", { class: "news-text" }, who ? el("b", {}, who) : null, who ? " " : null, el("span", {}, text), " ", el("span", { class: "news-count" }));
  return el("li", { class: `news-item news-${kind}`, "data-kind": kind }, mark, said, el("time", {}));
}
