// A map that lasts: every chunk an agent has been in, its doors, its gold, and when it was seen.
//
// Pure: `note` takes a view after each event, with the server's time, and nothing else changes it. Chunks that were
// collected are known as gone, since their ids are never given out again. `JSON.stringify(map)` is the file that the
// Python SDK writes, and `WorldMap.from` reads either's.

import { exitCells, SIDES } from "./paths.js";

export const OPPOSITE = Object.freeze({ N: "S", S: "N", E: "W", W: "E" });

/** Of the file. Another number is no map that this version can read. */
const VERSION = 1;
/** Beyond, the chunks that were seen longest ago are forgotten; some 3 kB each. */
const CHUNKS_MAX = 5_000;

/** A chunk as it was last seen. */
export class KnownChunk {
  /** Rows of `#` (wall) and `.` (floor), row 0 the south edge; empty while it was never entered. @type {string[]} */
  tiles = [];
  /** Ids by side; a side that is missing or null leads into the unknown, if `exits` has it. */
  neighbors = {};
  /** Its gold by id, `{node_id, x, y, max_remaining, remaining}`. */
  nodes = {};
  /** When, by the server's clock, in milliseconds since 1970; 0: never entered. */
  seenMs = 0;
  /** The world's tick then. */
  tick = -1;
  /** It was collected: nobody gets there any more. */
  gone = false;

  constructor(chunkId) {
    this.chunkId = chunkId;
  }

  /** Whether its terrain is known. */
  get entered() {
    return this.tiles.length > 0;
  }

  /** The sides on which one can leave it. */
  get exits() {
    const cells = exitCells(this.tiles.map((row) => Array.from(row, (tile) => Number(tile === "#"))));
    return SIDES.filter((side) => cells[side].length > 0);
  }

  /** How much gold was left in it. */
  get gold() {
    return Object.values(this.nodes).reduce((sum, { remaining }) => sum + remaining, 0);
  }

  toJSON() {
    const { chunkId: chunk_id, tiles, neighbors, nodes, seenMs: seen_ms, tick, gone } = this;
    return { chunk_id, tiles, neighbors, nodes, seen_ms, tick, gone };
  }

  static from({ chunk_id: chunkId, tiles, neighbors, nodes, seen_ms: seenMs, tick, gone }) {
    return Object.assign(new KnownChunk(chunkId), { tiles, neighbors, nodes, seenMs, tick, gone });
  }
}

export class WorldMap {
  /** By id, those seen longest ago first; those that are gone included. @type {Map<string, KnownChunk>} */
  chunks = new Map();
  #chunksMax;
  #inside = null;

  constructor({ chunksMax = CHUNKS_MAX } = {}) {
    this.#chunksMax = chunksMax;
  }

  /**
   * The map in what `JSON.parse` gave of a file.
   * @throws {TypeError} It is no map, or of another version.
   */
  static from(read, options = {}) {
    const map = new WorldMap(options);
    if (read?.version !== VERSION || !Array.isArray(read.chunks)) {
      throw new TypeError(`this is no map of version ${VERSION}: begin a new one`);
    }
    for (const chunk of read.chunks) map.chunks.set(chunk.chunk_id, KnownChunk.from(chunk));
    map.#cut();
    return map;
  }

  toJSON() {
    return { version: VERSION, chunks: [...this.chunks.values()] };
  }

  // -- filling it --

  /** Take in what a view shows of its present chunk after an event; `nowMs` is the server's time of that event. */
  note(view, nowMs) {
    const { chunkId } = view;
    if (chunkId === null || view.grid.length === 0) return;
    let chunk = this.#known(chunkId);
    if (!chunk.entered || this.#inside !== chunkId) {
      const tiles = view.grid.map((row) => row.map((wall) => (wall ? "#" : ".")).join(""));
      if (chunk.entered && chunk.tiles.join() !== tiles.join()) {
        // Ids are never given out again within a world, so this is another world: nothing else holds there.
        this.chunks.clear();
        chunk = this.#known(chunkId);
      }
      Object.assign(chunk, { tiles, gone: false });
      this.#inside = chunkId;
      this.chunks.delete(chunkId);
      this.chunks.set(chunkId, chunk);
      this.#cut();
    }
    for (const side of SIDES) this.#link(chunk, side, view.neighbors[side] ?? null);
    for (const gone of Object.values(view.lostNeighbors)) this.markGone(gone);
    if (view.ready) this.#look(chunk, view, nowMs);
  }

  /** A chunk was collected: every door to it leads into the unknown. */
  markGone(chunkId) {
    const gone = this.chunks.get(chunkId);
    if (!gone || gone.gone) return;
    Object.assign(gone, { gone: true, nodes: {} });
    for (const side of SIDES) {
      const there = this.chunks.get(gone.neighbors[side]);
      if (there?.neighbors[OPPOSITE[side]] === chunkId) there.neighbors[OPPOSITE[side]] = null;
    }
  }

  #look(chunk, view, nowMs) {
    const nodes = {};
    for (const { id, x, y, max, remaining } of view.nodes.values()) {
      nodes[id] = { node_id: id, x, y, max_remaining: max, remaining };
    }
    Object.assign(chunk, { nodes, seenMs: nowMs, tick: view.tick });
  }

  #known(chunkId) {
    if (!this.chunks.has(chunkId)) this.chunks.set(chunkId, new KnownChunk(chunkId));
    return this.chunks.get(chunkId);
  }

  #link(chunk, side, neighbor) {
    const before = chunk.neighbors[side] ?? null;
    if (before === neighbor) return;
    chunk.neighbors[side] = neighbor;
    if (before !== null) this.markGone(before);
    if (neighbor !== null) this.#known(neighbor).neighbors[OPPOSITE[side]] = chunk.chunkId;
  }

  #cut() {
    for (const chunkId of this.chunks.keys()) {
      if (this.chunks.size <= this.#chunksMax) return;
      this.chunks.delete(chunkId);
    }
  }

  // -- asking it --

  /** The sides by which one leaves chunk after chunk to get from `start` to `goal`, the fewest doors; null: no way. */
  route(start, goal) {
    for (const { chunk, way } of this.#ways(start)) if (chunk.chunkId === goal) return way;
    return null;
  }

  /**
   * Doors that nobody was seen to pass, those behind the fewest doors first: `{way, side}`, the way to the chunk that
   * has it, and its side; behind it is a chunk that was never entered, or a new one.
   */
  *unknownDoors(start) {
    for (const { chunk, way } of this.#ways(start)) {
      for (const side of chunk.exits) {
        if (!this.chunks.get(chunk.neighbors[side])?.entered) yield { way, side };
      }
    }
  }

  /** The chunks in which gold was left, those behind the fewest doors first, `{chunk, way}`. */
  *goldChunks(start) {
    for (const found of this.#ways(start)) if (found.chunk.gold > 0) yield found;
  }

  *#ways(start) {
    const first = this.chunks.get(start);
    if (!first) return;
    const found = new Set([start]);
    const queue = [{ chunk: first, way: [] }];
    for (const here of queue) {
      yield here;
      for (const side of here.chunk.exits) {
        const there = this.chunks.get(here.chunk.neighbors[side]);
        if (!there || there.gone || found.has(there.chunkId)) continue;
        found.add(there.chunkId);
        queue.push({ chunk: there, way: [...here.way, side] });
      }
    }
  }
}
