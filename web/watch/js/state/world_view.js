// What is known of the chunk that is looked at. Pure: `feed` takes events in the order they came. A delta holds the
// whole present state of what moves, so an event that was lost never leaves this wrong for long.
//
// Coordinates are the world's: x grows to the east, y to the north, both 0..49; `grid[y][x]`, 1 is wall.

const SIDE_MAX_CELLS = 256;
const NAME_MAX_CHARS = 128;

/** What a side's opening leads from: its cells, as ranges would not say more. */
const SIDES = ["N", "E", "S", "W"];

export class WorldView {
  chunkId = null;
  tick = -1;
  size = { w: 0, h: 0 };
  /** @type {number[][]} Empty until known. */
  grid = [];
  /** @type {Record<string, string | null>} */
  neighbors = {};
  /** @type {Map<string, {id: string, x: number, y: number, activity: string, name: string}>} */
  agents = new Map();
  /** @type {Map<string, {id: string, x: number, y: number, kind: string}>} */
  npcs = new Map();
  /** @type {Map<string, {id: string, x: number, y: number, remaining: number, max: number, state: string}>} */
  nodes = new Map();
  closed = false;
  /** How often the world has been put back to an earlier tick. */
  setBacks = 0;
  #fresh = true;
  #agentId = null;

  /** @param {string | null} agentId  Who is followed from chunk to chunk, if anybody. */
  constructor(agentId = null) {
    this.#agentId = agentId;
  }

  /** Terrain and one delta are known. */
  get ready() {
    return this.grid.length > 0 && !this.#fresh;
  }

  /**
   * @param {string} type
   * @param {any} data  The flat form.
   * @returns {object[]} What happened in it that was not told before: a delta's events, otherwise nothing.
   */
  feed(type, data) {
    if (type === "chunk_delta") return this.#delta(data);
    if (type === "chunk_static") this.#static(data);
    else if (type === "chunk_transition") this.#transition(data);
    else if (type === "chunk_closed" && data.chunk_id === this.chunkId) this.#close();
    // What follows these is the present state, whatever its tick: a world put back from a backup counts lower.
    else if (type === "session_ready" || type === "resync_required") this.#fresh = true;
    return [];
  }

  /** Nothing is looked at any more. */
  clear() {
    this.#enter(null);
  }

  /** The cells of the boundary that lead out on each side, `{N: [{x, y}, ...], ...}`. */
  exits() {
    const found = { N: [], E: [], S: [], W: [] };
    const { w, h } = this.size;
    for (let x = 0; x < w; x += 1) {
      if (this.grid[h - 1]?.[x] === 0) found.N.push({ x, y: h - 1 });
      if (this.grid[0]?.[x] === 0) found.S.push({ x, y: 0 });
    }
    for (let y = 0; y < h; y += 1) {
      if (this.grid[y]?.[w - 1] === 0) found.E.push({ x: w - 1, y });
      if (this.grid[y]?.[0] === 0) found.W.push({ x: 0, y });
    }
    return found;
  }

  /** What is left of all the gold here. */
  get gold() {
    let sum = 0;
    for (const node of this.nodes.values()) sum += node.remaining;
    return sum;
  }

  #static(data) {
    if (data.chunk_id !== this.chunkId) this.#enter(data.chunk_id);
    this.closed = false;
    this.grid = gridOf(data);
    this.size = { w: this.grid[0]?.length ?? 0, h: this.grid.length };
    this.neighbors = Object.fromEntries(SIDES.map((side) => [side, data.neighbors?.[side] ?? null]));
    const before = this.nodes;
    this.nodes = new Map();
    for (const { node_id: id, x, y, max_remaining: max } of data.resource_nodes ?? []) {
      const known = before.get(id);
      this.nodes.set(id, { id, x, y, max, remaining: known?.remaining ?? max, state: known?.state ?? "available" });
    }
  }

  #enter(chunkId) {
    this.chunkId = chunkId;
    this.tick = -1;
    this.#fresh = true;
    this.closed = false;
    this.grid = [];
    this.size = { w: 0, h: 0 };
    this.neighbors = {};
    this.agents = new Map();
    this.npcs = new Map();
    this.nodes = new Map();
  }

  #close() {
    this.closed = true;
    this.agents = new Map();
    this.npcs = new Map();
    this.nodes = new Map();
  }

  #delta(data) {
    const old = data.tick <= this.tick;
    if (data.chunk_id !== this.chunkId || (old && !this.#fresh)) return [];
    const shownBefore = this.#fresh && data.tick === this.tick;
    if (data.tick < this.tick) this.setBacks += 1;
    this.tick = data.tick;
    this.#fresh = false;
    this.agents = new Map(
      (data.agents ?? []).map(({ id, x, y, activity_state: activity = "idle", name }) => [
        id,
        { id, x, y, activity, name: nameOf(id, name) },
      ]),
    );
    this.npcs = new Map((data.npcs ?? []).map(({ id, x, y, kind = "" }) => [id, { id, x, y, kind }]));
    for (const { node_id: id, remaining, state } of data.resources ?? []) {
      const node = this.nodes.get(id);
      if (node) Object.assign(node, { remaining, state });
    }
    const events = data.events ?? [];
    for (const event of events) this.#link(event);
    return shownBefore ? [] : events;
  }

  #link({ type, dir, chunk_id: chunkId }) {
    if (!SIDES.includes(dir)) return;
    if (type === "neighbor_linked") this.neighbors[dir] = chunkId ?? null;
    else if (type === "neighbor_unlinked") this.neighbors[dir] = null;
  }

  #transition(data) {
    // After a reconnect old changes of chunks may come once more; they must not lead back.
    const stale = data.to_chunk_id === this.chunkId || data.tick < this.tick;
    if (data.agent_id === this.#agentId && !stale) this.#enter(data.to_chunk_id);
  }
}

function nameOf(id, name) {
  return typeof name === "string" && name ? name.slice(0, NAME_MAX_CHARS) : String(id);
}

/** Rows of 0 and 1, of equal length and bounded; empty when it is none. */
function gridOf({ grid, tiles }) {
  const rows = grid ?? tiles?.map((row) => Array.from(row, (tile) => (tile === "#" ? 1 : 0))) ?? [];
  const width = rows[0]?.length ?? 0;
  const sound = width > 0 && width <= SIDE_MAX_CELLS && rows.length <= SIDE_MAX_CELLS;
  return sound && rows.every((row) => row.length === width) ? rows : [];
}
