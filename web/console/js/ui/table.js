// A table that sorts and filters by itself and draws only the rows that are seen, so that 10,000 cost what 30 do.

import { el, reconcile, setText } from "../../../watch/js/dom.js";
import { filtered, sorted } from "../state/order.js";

/** Rows drawn beyond both edges, so that scrolling shows no gap. */
const BEYOND = 6;
/** So far from the end more rows are asked for, where there are more. */
const NEAR_END_ROWS = 60;
/** Fewer rows are counted at a glance. */
const COUNTED_FROM_ROWS = 10;
const KEYS = { ArrowDown: 1, ArrowUp: -1 };

/**
 * @typedef {object} Column
 * @property {string} id  @property {string} label
 * @property {(row: object) => string} text  What its cell says.
 * @property {(row: object) => Node} [node]  How it says it, where that is more than text; made anew when the text is another.
 * @property {(row: object) => unknown} [value]  What rows are sorted by; the column can't be sorted without.
 * @property {string} width  Its part of the row's grid, "minmax(8ch, 1fr)".
 * @property {boolean} [end]  Figures, to the right.
 * @property {boolean} [wide]  Left out on phones.
 */

/**
 * @typedef {object} Options
 * @property {string} label
 * @property {Column[]} columns  The first one names the row.
 * @property {(row: object) => string} keyOf
 * @property {string} empty  What is said when there are no rows.
 * @property {{by: string, descending: boolean} | null} [sort]  null: in the order that rows are given in.
 * @property {(row: object) => string | null} [hrefOf]  Where a click on a row leads.
 * @property {(row: object) => string} [searchText]  What is filtered; the first column's text otherwise.
 * @property {(sort: {by: string, descending: boolean}) => void} [sortAway]  Who else sorts, where the rows here are only some.
 * @property {() => void} [nearEnd]  The end of the rows is near.
 */

export class Table {
  #options;
  #rows = [];
  #shown = [];
  #sort;
  #filter = "";
  #frame = 0;
  #scroll;
  #body;
  #heads = new Map();
  #note;
  #count;
  #resized;

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    this.#sort = options.sort ?? null;
    const { columns, label } = options;
    const head = el("div", { role: "row", class: "tr th" }, ...columns.map((column) => this.#head(column)));
    this.#body = el("div", { role: "rowgroup", class: "table-body" });
    this.#note = el("p", { class: "nothing", hidden: true });
    this.#scroll = el("div", { class: "table-scroll", tabindex: 0, role: "table", "aria-label": label }, el("div", { role: "rowgroup", class: "table-head" }, head), this.#body, this.#note);
    this.#count = el("p", { class: "table-count", "aria-live": "polite" });
    this.node = el("div", { class: "table" }, this.#scroll, this.#count);
    this.node.style.setProperty("--columns", columns.map(({ width }) => width).join(" "));
    this.node.style.setProperty("--columns-phone", columns.filter(({ wide }) => !wide).map(narrow).join(" "));
    this.#scroll.addEventListener("scroll", () => this.#soon(), { passive: true });
    this.#resized = new ResizeObserver(() => this.#soon());
    this.#resized.observe(this.#scroll);
    this.#body.addEventListener("click", (event) => this.#click(event));
    this.#body.addEventListener("keydown", (event) => this.#key(event));
    this.#markSort();
  }

  close() {
    this.#resized.disconnect();
    cancelAnimationFrame(this.#frame);
  }

  /** @param {object[]} rows  @param {number | null} [total]  How many there are in all, where these are only some. */
  show(rows, total = null) {
    this.#rows = rows;
    this.#arrange(total);
  }

  /** Only rows with these words. */
  filter(text) {
    this.#filter = text;
    this.#scroll.scrollTop = 0;
    this.#arrange(null);
  }

  #arrange(total) {
    const { columns, keyOf, sortAway, searchText, empty } = this.#options;
    let rows = filtered(this.#rows, this.#filter, searchText ?? columns[0].text);
    if (this.#sort && !sortAway) {
      const { value } = columns.find(({ id }) => id === this.#sort.by);
      rows = sorted(rows, value, this.#sort.descending, keyOf);
    }
    this.#shown = rows;
    this.#note.hidden = rows.length > 0;
    setText(this.#note, this.#rows.length > 0 ? "No row has these words." : empty);
    const all = total ?? this.#rows.length;
    const some = rows.length !== all;
    setText(this.#count, `${some ? `${rows.length.toLocaleString("en")} of ` : ""}${all.toLocaleString("en")} ${all === 1 ? "row" : "rows"}`);
    this.#count.hidden = !some && all < COUNTED_FROM_ROWS;
    this.#scroll.setAttribute("aria-rowcount", String(all + 1));
    this.#soon();
  }

  #soon() {
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    const height = Number.parseFloat(getComputedStyle(this.node).getPropertyValue("--row")) || 40;
    const rows = this.#shown;
    this.#body.style.height = `${rows.length * height}px`;
    const { scrollTop, clientHeight } = this.#scroll;
    const first = Math.max(0, Math.floor(scrollTop / height) - BEYOND);
    const last = Math.min(rows.length, Math.ceil((scrollTop + clientHeight) / height) + BEYOND);
    const seen = rows.slice(first, last).map((row, i) => ({ row, place: first + i }));
    const { keyOf } = this.#options;
    reconcile(this.#body, seen, ({ row }) => keyOf(row), () => this.#makeRow(), (node, { row, place }) => this.#fill(node, row, place, height));
    if (last > rows.length - NEAR_END_ROWS) this.#options.nearEnd?.();
  }

  #makeRow() {
    const cells = this.#options.columns.map((column, i) => el("div", { role: i === 0 ? "rowheader" : "cell", class: cellClass(column) }));
    return el("div", { role: "row", class: this.#options.hrefOf ? "tr leads" : "tr" }, ...cells);
  }

  #fill(node, row, place, height) {
    const { columns, hrefOf } = this.#options;
    node.style.transform = `translateY(${place * height}px)`;
    node.setAttribute("aria-rowindex", String(place + 2));
    node.dataset.place = place;
    columns.forEach((column, i) => {
      const cell = node.children[i];
      const text = column.text(row);
      if (cell.dataset.text === text) return;
      cell.dataset.text = text;
      const href = i === 0 ? (hrefOf?.(row) ?? null) : null;
      const inner = column.node ? column.node(row) : el("bdi", {}, text);
      cell.replaceChildren(href ? el("a", { href }, inner) : inner);
      if (!column.node) cell.title = text;
    });
  }

  #head(column) {
    const { id, label, value } = column;
    if (!value) return el("div", { role: "columnheader", class: cellClass(column) }, el("span", { class: "th-label" }, label));
    const button = el("button", { type: "button", class: "th-button" }, label);
    const head = el("div", { role: "columnheader", class: cellClass(column) }, button);
    button.addEventListener("click", () => this.#sortBy(column));
    this.#heads.set(id, head);
    return head;
  }

  #sortBy({ id, end }) {
    const same = this.#sort?.by === id;
    // Figures: the greatest first.
    this.#sort = { by: id, descending: same ? !this.#sort.descending : Boolean(end) };
    this.#markSort();
    this.#scroll.scrollTop = 0;
    if (this.#options.sortAway) this.#options.sortAway(this.#sort);
    else this.#arrange(null);
  }

  #markSort() {
    for (const [id, head] of this.#heads) {
      const way = id === this.#sort?.by ? (this.#sort.descending ? "descending" : "ascending") : "none";
      head.setAttribute("aria-sort", way);
    }
  }

  #click(event) {
    if (event.target.closest("a, button") || getSelection()?.toString()) return;
    const link = event.target.closest(".tr.leads")?.querySelector("a");
    if (link) location.hash = link.getAttribute("href");
  }

  /** Up and down go from row to row. */
  #key(event) {
    const step = KEYS[event.key];
    const row = event.target.closest(".tr");
    if (!step || !row || event.ctrlKey || event.metaKey || event.altKey) return;
    const next = this.#body.querySelector(`.tr[data-place="${Number(row.dataset.place) + step}"]`);
    const target = next?.querySelector("a, button");
    if (!target) return;
    event.preventDefault();
    target.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  }
}

/** On phones a column may be narrower than what is in it. */
function narrow({ width }) {
  return width.replace(/^minmax\([^,]+/, "minmax(0");
}

function cellClass({ end, wide }) {
  return `td${end ? " end" : ""}${wide ? " wide-only" : ""}`;
}
