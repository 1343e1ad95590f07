// The chunks of the world: a list with the number of agents, and an atlas that draws how they hang together.

import { ask } from "../net/api.js";
import { byId, el, reconcile, setText, svg } from "../dom.js";
import { counted } from "./words.js";

const POLL_MS = 3_000;
const POLL_AFTER_FAILURE_MS = 10_000;
const SHOWN_MAX = 60;
const STEPS = { N: [0, -1], E: [1, 0], S: [0, 1], W: [-1, 0] };
/** The atlas reaches so far from where one is. */
const ATLAS_REACH = 3;
/** Of the atlas, in its own units: from chunk to chunk, and a chunk's side. */
const CELL = 44;
const ROOM = 30;

export class WorldList {
  #list = byId("chunks");
  #sessions;
  #go;
  #changed;
  #timer = 0;
  #current = null;
  /** @type {{chunk_id: string, agents: number, neighbors: Record<string, string | null>}[]} */
  #chunks = [];
  #agents = new Map();
  #total = 0;

  /**
   * @param {import("../net/sessions.js").Sessions} sessions
   * @param {(chunkId: string) => void} go
   * @param {() => void} changed  The numbers of agents are new.
   */
  constructor(sessions, go, changed) {
    this.#sessions = sessions;
    this.#go = go;
    this.#changed = changed;
    document.addEventListener("visibilitychange", () => this.poll());
    this.#list.addEventListener("click", (event) => {
      const row = event.target.closest("button[data-chunk]");
      if (row) go(row.dataset.chunk);
    });
  }

  /** How many agents a chunk has, null when it is not known. */
  agentsIn(chunkId) {
    return this.#agents.get(chunkId) ?? null;
  }

  /** The chunk that is looked at now. */
  set current(chunkId) {
    if (this.#current === chunkId) return;
    this.#current = chunkId;
    this.#draw();
  }

  /** Ask now, and again every few seconds while somebody looks. */
  async poll() {
    clearTimeout(this.#timer);
    if (document.hidden) return;
    const token = this.#sessions.anyToken;
    let delayMs = token ? POLL_MS : 500;
    if (token) {
      try {
        const { chunks, total } = await ask("v1/chunks", { token });
        this.#chunks = chunks;
        this.#total = total;
        this.#agents = new Map(chunks.map(({ chunk_id: id, agents }) => [id, agents]));
        this.#draw();
        this.#changed();
      } catch {
        // The list grows old; the streams say what is wrong.
        delayMs = POLL_AFTER_FAILURE_MS;
      }
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.poll(), delayMs);
  }

  #draw() {
    // Those with somebody in them first; not by how many, or the rows would never stand still.
    const rows = [...this.#chunks].sort((a, b) => Number(b.agents > 0) - Number(a.agents > 0) || order(a.chunk_id, b.chunk_id));
    const most = Math.max(1, ...rows.map(({ agents }) => agents));
    reconcile(this.#list, rows.slice(0, SHOWN_MAX), ({ chunk_id: id }) => id, makeRow, (node, row) => {
      const button = node.firstElementChild;
      const [name, bar, count] = button.children;
      setText(name, row.chunk_id);
      bar.firstElementChild.style.width = `${(100 * row.agents) / most}%`;
      setText(count, String(row.agents));
      button.classList.toggle("nobody", row.agents === 0);
      button.setAttribute("aria-label", `${row.chunk_id}, ${counted(row.agents, "agent")}`);
      if (row.chunk_id === this.#current) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    });
    setText(byId("chunks-count"), this.#total ? String(this.#total) : "");
    setText(byId("tab-chunks"), this.#total ? String(this.#total) : "");
    this.#drawAtlas();
  }

  #drawAtlas() {
    const places = layOut(this.#chunks, this.#current);
    const atlas = byId("atlas");
    atlas.hidden = places.length < 2;
    if (atlas.hidden) return;
    const [left, right] = span(places.map(({ u }) => u));
    const [top, bottom] = span(places.map(({ v }) => v));
    const size = { width: (right - left + 1) * CELL, height: (bottom - top + 1) * CELL };
    const box = `${(left - 0.5) * CELL} ${(top - 0.5) * CELL} ${size.width} ${size.height}`;
    const drawn = svg("svg", { viewBox: box, ...size, class: "atlas-map" });
    for (const { u, v, from } of places) {
      if (from) drawn.append(svg("line", { x1: u * CELL, y1: v * CELL, x2: from.u * CELL, y2: from.v * CELL, class: "atlas-way" }));
    }
    for (const place of places) drawn.append(this.#drawChunk(place));
    atlas.replaceChildren(drawn);
  }

  #drawChunk({ u, v, chunk: { chunk_id: id, agents } }) {
    const [x, y] = [u * CELL, v * CELL];
    const here = id === this.#current ? " here" : "";
    const cell = svg("g", { class: `atlas-cell${here}` }, svg("title", {}, `${id}, ${counted(agents, "agent")}`));
    cell.append(
      svg("rect", { x: x - ROOM / 2, y: y - ROOM / 2, width: ROOM, height: ROOM, rx: 7, class: "atlas-chunk" }),
      svg("text", { x, y: y + 4, class: "atlas-name" }, id.replace(/^chunk-/, "").slice(0, 5)),
    );
    if (agents > 0) {
      const [bx, by] = [x + ROOM / 2 - 1, y - ROOM / 2 + 1];
      const count = agents > 99 ? "99+" : String(agents);
      const half = 5 + 3 * count.length;
      cell.append(
        svg("rect", { x: bx - half, y: by - 8, width: 2 * half, height: 16, rx: 8, class: "atlas-badge" }),
        svg("text", { x: bx, y: by + 3.6, class: "atlas-agents" }, count),
      );
    }
    cell.addEventListener("click", () => this.#go(id));
    return cell;
  }
}

/** The least and the greatest. */
function span(numbers) {
  return [Math.min(...numbers), Math.max(...numbers)];
}

/** Places of chunks around one of them. The world is a graph, no grid: where two would lie on one spot, the farther waits. */
function layOut(chunks, centre) {
  const known = new Map(chunks.map((chunk) => [chunk.chunk_id, chunk]));
  const first = known.get(centre) ?? chunks[0];
  if (!first) return [];
  const places = [{ u: 0, v: 0, chunk: first, from: null }];
  const taken = new Set(["0,0"]);
  const seen = new Set([first.chunk_id]);
  for (const place of places) {
    for (const [side, [du, dv]] of Object.entries(STEPS)) {
      const chunk = known.get(place.chunk.neighbors[side]);
      const [u, v] = [place.u + du, place.v + dv];
      const far = Math.max(Math.abs(u), Math.abs(v)) > ATLAS_REACH;
      if (!chunk || seen.has(chunk.chunk_id) || taken.has(`${u},${v}`) || far) continue;
      seen.add(chunk.chunk_id);
      taken.add(`${u},${v}`);
      places.push({ u, v, chunk, from: place });
    }
  }
  return places;
}

function makeRow({ chunk_id: id }) {
  const bar = el("span", { class: "bar" }, el("span", { class: "bar-part" }));
  const button = el("button", { type: "button", class: "row", "data-chunk": id }, el("span", { class: "row-name" }), bar, el("span", { class: "row-count" }));
  return el("li", {}, button);
}

/** By the numbers that names end with, then by name. */
function order(a, b) {
  return a.localeCompare(b, "en", { numeric: true });
}
