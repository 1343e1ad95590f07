// What is known of the chunk that an agent stands in, or that a watcher looks at. Pure: `feed` takes events in the order
// they came and nothing else changes it. A delta holds the whole present state of what moves, so an event that was lost
// never leaves this wrong for long.
//
// Coordinates are the chunk's: x grows to the east, y to the north, both 0..49; `grid[y][x]`, 1 is wall.

import { cellKey, distances, exitCells, isBoundary, isFloor, manhattan, path, Reach, SIDES, STEPS } from "./paths.js";

const SIDE_MAX_CELLS = 256;
const NAME_MAX_CHARS = 128;

/** @typedef {{id: string, x: number, y: number, activity: string, name: string}} AgentView */
/** @typedef {{id: string, x: number, y: number, remaining: number, max: number, state: string}} GoldNode */

export class WorldView {
  /** Whose view it is; null when nobody is followed. */
  agentId;
  /** @type {string | null} */
  chunkId = null;
  /** Of the newest delta, -1 before the first. */
  tick = -1;
  size = { w: 0, h: 0 };
  /** @type {number[][]} Empty until known. */
  grid = [];
  /** Ids by side; null where no chunk is linked. @type {Record<string, string | null>} */
  neighbors = {};
  /** Ids by side of chunks that were there and are gone. @type {Record<string, string>} */
  lostNeighbors = {};
  /** @type {Map<string, AgentView>} */
  agents = new Map();
  /** @type {Map<string, {id: string, x: number, y: number, kind: string}>} */
  npcs = new Map();
  /** @type {Map<string, GoldNode>} */
  nodes = new Map();
  /** What the agent carries, null until told. @type {number | null} */
  inventoryGold = null;
  /** Whether the chunk was removed (for watchers; where an agent is, a chunk stays). */
  gone = false;
  /** What happened by the event that was fed last and was not told before: a delta's events, otherwise nothing. */
  happened = [];
  /** How often the world has been put back to an earlier tick. */
  setBacks = 0;
  #fresh = true;

  /** @param {string | null} agentId  Who is followed from chunk to chunk, if anybody. */
  constructor(agentId = null) {
    this.agentId = agentId;
  }

  // -- for feeding --

  /**
   * Take the next event. Events of other chunks, old ticks and unknown types change nothing.
   * @param {{type: string} & Record<string, any>} event
   */
  feed(event) {
    this.happened = [];
    switch (event.type) {
      case "chunk_delta":
        this.#delta(event);
        break;
      case "chunk_static":
        this.#static(event);
        break;
      case "chunk_transition":
        this.#transition(event);
        break;
      case "agent_private_delta":
        this.#carries(event);
        break;
      case "session_ready":
      case "resync_required":
        // What follows is the present state, whatever its tick: a world put back from a backup counts lower.
        this.#fresh = true;
        this.#carries(event);
        break;
      case "chunk_closed":
        if ((event.chunk_id ?? this.chunkId) === this.chunkId) this.#close();
    }
  }

  /** Nothing is looked at any more. */
  clear() {
    this.#enter(null);
  }

  #static(data) {
    if (data.chunk_id !== this.chunkId) this.#enter(data.chunk_id);
    this.gone = false;
    this.grid = gridOf(data);
    this.size = { w: this.grid[0]?.length ?? 0, h: this.grid.length };
    for (const side of SIDES) this.#link(side, data.neighbors?.[side] ?? null);
    const before = this.nodes;
    this.nodes = new Map();
    for (const { node_id: id, x, y, max_remaining: max = 0 } of data.resource_nodes ?? []) {
      const known = before.get(id);
      this.nodes.set(id, { id, x, y, max, remaining: known?.remaining ?? max, state: known?.state ?? "available" });
    }
  }

  #enter(chunkId) {
    this.chunkId = chunkId;
    this.tick = -1;
    this.#fresh = true;
    this.gone = false;
    this.grid = [];
    this.size = { w: 0, h: 0 };
    this.neighbors = {};
    this.lostNeighbors = {};
    this.agents = new Map();
    this.npcs = new Map();
    this.nodes = new Map();
  }

  #close() {
    this.gone = true;
    this.agents = new Map();
    this.npcs = new Map();
    this.nodes = new Map();
  }

  #delta(data) {
    const old = data.tick <= this.tick;
    if (data.chunk_id !== this.chunkId || (old && !this.#fresh)) return;
    const shownBefore = this.#fresh && data.tick === this.tick;
    if (data.tick < this.tick) this.setBacks += 1;
    this.tick = data.tick;
    this.#fresh = false;
    this.agents = new Map((data.agents ?? []).map((agent) => [agent.id, agentView(agent)]));
    this.npcs = new Map((data.npcs ?? []).map(({ id, x, y, kind = "" }) => [id, { id, x, y, kind }]));
    for (const { node_id: id, remaining, state } of data.resources ?? []) {
      const node = this.nodes.get(id);
      if (node) Object.assign(node, { remaining, state });
    }
    const events = data.events ?? [];
    for (const { type, dir, chunk_id: chunkId } of events) {
      if (!SIDES.includes(dir)) continue;
      if (type === "neighbor_linked") this.#link(dir, chunkId ?? null);
      else if (type === "neighbor_unlinked") this.#link(dir, null);
    }
    if (!shownBefore) this.happened = events;
  }

  #link(side, chunkId) {
    const before = this.neighbors[side] ?? null;
    this.neighbors[side] = chunkId;
    if (chunkId !== null) delete this.lostNeighbors[side];
    else if (before !== null) this.lostNeighbors[side] = before;
  }

  #carries({ agent_id: agentId, inventory }) {
    if (this.agentId !== null && agentId === this.agentId && Number.isFinite(inventory?.gold)) {
      this.inventoryGold = inventory.gold;
    }
  }

  #transition({ agent_id: agentId, to_chunk_id: chunkId, to, tick }) {
    // After a reconnect old changes of chunks may come once more; they must not lead back. Ticks count the same time in
    // every chunk.
    if (agentId !== this.agentId || chunkId === this.chunkId || tick < this.tick) return;
    const activity = this.me?.activity;
    const name = this.me?.name;
    this.#enter(chunkId);
    if (to) this.agents.set(agentId, agentView({ id: agentId, ...to, activity_state: activity, name }));
  }

  // -- for looking --

  /** Whether terrain and one delta of the present chunk are known. */
  get ready() {
    return this.grid.length > 0 && !this.#fresh;
  }

  /** The agent itself, null while it is not in the world. */
  get me() {
    return this.agentId === null ? null : (this.agents.get(this.agentId) ?? null);
  }

  /** The agent's cell `{x, y}`, null while it is not in the world. */
  get position() {
    const { me } = this;
    return me && { x: me.x, y: me.y };
  }

  /** Everybody else in the chunk by id. */
  get others() {
    return new Map([...this.agents].filter(([id]) => id !== this.agentId));
  }

  /** What is left of all the gold here. */
  get gold() {
    let sum = 0;
    for (const node of this.nodes.values()) sum += node.remaining;
    return sum;
  }

  /** The cells that somebody or something stands on, the agent's own left out, by `cellKey`. */
  get taken() {
    const cells = new Set();
    for (const { id, x, y } of this.agents.values()) if (id !== this.agentId) cells.add(cellKey(x, y));
    for (const { x, y } of this.npcs.values()) cells.add(cellKey(x, y));
    return cells;
  }

  // -- for finding a way --

  /** Whether the cell is floor and nobody else stands there. */
  isFree(x, y) {
    return isFloor(this.grid, x, y) && !this.taken.has(cellKey(x, y));
  }

  /** The steps to every free cell that a move can reach; empty while unknown. */
  reachable() {
    const { position } = this;
    return position && this.grid.length > 0 ? distances(this.grid, position, this.taken) : new Reach();
  }

  /** The steps to a cell around walls and others, null when there is no way. */
  distance(x, y) {
    return this.reachable().steps(x, y);
  }

  /** The cells of a shortest way, the target last; null when there is none. */
  pathTo(x, y) {
    const { position } = this;
    return position && this.grid.length > 0 ? path(this.grid, position, { x, y }, this.taken) : null;
  }

  /** The reachable inner cell nearest to `(x, y)`, itself if it is free; ties go to the shorter way. */
  nextFree(x, y) {
    const order = (cell) => [manhattan(cell, { x, y }), cell.steps, cell.x, cell.y];
    const inner = this.reachable().cells.filter((cell) => !isBoundary(this.grid, cell.x, cell.y));
    const best = least(inner, order);
    return best && { x: best.x, y: best.y };
  }

  /** The cells of the boundary that lead out on each side, `{N: [{x, y}, ...], ...}`. */
  exits() {
    return exitCells(this.grid);
  }

  /** The nearest reachable cell from which `node` can be harvested, null when there is none. */
  beside(node) {
    const best = this.#beside(node, this.reachable());
    return best && { x: best.x, y: best.y };
  }

  /** The available node with the shortest way and the cell to stand on, `{node, cell}`; null when there is none. */
  nearestGold() {
    const reach = this.reachable();
    const found = [];
    for (const node of this.nodes.values()) {
      const cell = isAvailable(node) ? this.#beside(node, reach) : null;
      if (cell) found.push({ node, cell });
    }
    const best = least(found, ({ node, cell }) => [cell.steps, node.id]);
    return best && { node: best.node, cell: { x: best.cell.x, y: best.cell.y } };
  }

  #beside(node, reach) {
    const around = [[0, 0], ...STEPS].map(([dx, dy]) => ({ x: node.x + dx, y: node.y + dy }));
    const cells = around
      .filter(({ x, y }) => reach.has(x, y) && this.#canStand(x, y))
      .map(({ x, y }) => ({ x, y, steps: reach.steps(x, y) }));
    return least(cells, ({ x, y, steps }) => [steps, x, y]);
  }

  #canStand(x, y) {
    const { position } = this;
    return (position?.x === x && position.y === y) || !isBoundary(this.grid, x, y);
  }
}

/** Whether there is something to harvest. */
export function isAvailable(node) {
  return node.state === "available" && node.remaining > 0;
}

/** The item whose order, a list of numbers and texts, comes first; null of none. */
function least(items, orderOf) {
  let best = null;
  let bestOrder = null;
  for (const item of items) {
    const order = orderOf(item);
    const at = bestOrder?.findIndex((part, index) => part !== order[index]);
    if (bestOrder === null || (at >= 0 && order[at] < bestOrder[at])) [best, bestOrder] = [item, order];
  }
  return best;
}

function agentView({ id, x, y, activity_state: activity = "idle", name }) {
  return { id, x, y, activity, name: nameOf(id, name) };
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
