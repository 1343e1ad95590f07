// All chunks in one table.

import { hrefOf } from "../route.js";
import { badge, filterField, pageHead } from "../ui/parts.js";
import { Table } from "../ui/table.js";
import { figure, load } from "../ui/words.js";
import { el } from "../../../watch/js/dom.js";

export class ChunksPage {
  title = "Chunks";
  #board;
  #table;
  #first;

  /** @param {object} desk  @param {string | null} filter  What is filtered by at first: `shard-1`. */
  constructor({ board }, filter) {
    this.#board = board;
    this.#first = filter ?? "";
    this.#table = new Table({
      label: "Chunks",
      columns: [
        { id: "chunk", label: "Chunk", width: "minmax(10ch, 1.4fr)", text: ({ id }) => id, value: ({ id }) => id },
        { id: "shard", label: "Shard", width: "minmax(7ch, .6fr)", text: ({ shard }) => String(shard), value: ({ shard }) => shard, end: true },
        { id: "agents", label: "Agents", width: "minmax(8ch, .7fr)", text: ({ agents }) => figure(agents), value: ({ agents }) => agents, end: true },
        { id: "cost", label: "Load", width: "minmax(8ch, .7fr)", text: ({ cost }) => (cost ? load(cost) : "small"), value: ({ cost }) => cost ?? 0, end: true },
        { id: "commands", label: "Commands/s", width: "minmax(11ch, .8fr)", text: ({ commands }) => figure(commands ?? 0), value: ({ commands }) => commands ?? 0, end: true, wide: true },
        { id: "watchers", label: "Watchers", width: "minmax(9ch, .7fr)", text: ({ watchers }) => figure(watchers), value: ({ watchers }) => watchers, end: true, wide: true },
        { id: "marks", label: "Marks", width: "minmax(12ch, 1.2fr)", text: ({ id }) => board.marksOf(id).join(" "), node: ({ id }) => marksNode(board.marksOf(id)), value: ({ id }) => board.marksOf(id).join(" "), wide: true },
      ],
      keyOf: ({ id }) => id,
      hrefOf: ({ id }) => hrefOf("map", id),
      searchText: ({ id, shard }) => `${id} shard-${shard} ${board.marksOf(id).join(" ")}`,
      sort: { by: "agents", descending: true },
      empty: "The world has no chunks yet: the first agent who joins makes one.",
    });
  }

  mount(root) {
    const filter = filterField("Filter: chunk-7, shard-1, frozen", (text) => this.#table.filter(text));
    filter.value = this.#first;
    this.#table.filter(this.#first);
    root.classList.add("fills");
    root.append(pageHead("Chunks", filter), this.#table.node);
  }

  close() {
    this.#table.close();
  }

  update(topics) {
    if (topics.has("chunks") || topics.has("marks")) this.#table.show(this.#board.chunks.rows);
  }
}

const KINDS = { frozen: "cold", pinned: "calm", moving: "warn" };

export function marksNode(marks) {
  return el("span", { class: "badges" }, ...marks.map((mark) => badge(mark, KINDS[mark])));
}
