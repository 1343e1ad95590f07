// The chunks beside the one that is watched, dimly: their terrain, asked for once and kept for a while.

import { ask } from "../net/api.js";
import { Terrain } from "./terrain.js";

const KEPT_MAX = 24;
const TRIES = 3;
const AGAIN_MS = 4_000;
/** Where each lies, in screen cells of the chunk in the middle. */
export const OFFSETS = { N: [0, -1], E: [1, 0], S: [0, 1], W: [-1, 0] };

export class Neighbours {
  /** @type {Map<string, Terrain>} By chunk; who was looked at last is last. */
  #kept = new Map();
  #asking = new Set();
  #wanted = {};
  #sessions;
  #changed;

  /**
   * @param {import("../net/sessions.js").Sessions} sessions
   * @param {(terrains: Record<string, Terrain>) => void} changed  What is known of each side now.
   */
  constructor(sessions, changed) {
    this.#sessions = sessions;
    this.#changed = changed;
  }

  /** @param {Record<string, string | null>} neighbors  The chunk on each side. */
  show(neighbors) {
    this.#wanted = neighbors;
    this.#tell();
    for (const chunkId of Object.values(neighbors)) if (chunkId && !this.#kept.has(chunkId)) this.#ask(chunkId);
  }

  async #ask(chunkId, tries = TRIES) {
    const token = this.#sessions.anyToken;
    if (!token || this.#asking.has(chunkId)) return;
    this.#asking.add(chunkId);
    try {
      const { chunk_static: known } = await ask(`v1/chunks/${encodeURIComponent(chunkId)}/snapshot`, { token });
      this.#kept.set(chunkId, new Terrain(rowsOf(known)));
      while (this.#kept.size > KEPT_MAX) this.#kept.delete(this.#kept.keys().next().value);
      this.#tell();
    } catch {
      // It stays dark; a chunk that was linked a moment ago may not be there yet.
      if (tries > 1) setTimeout(() => this.#again(chunkId, tries - 1), AGAIN_MS);
    } finally {
      this.#asking.delete(chunkId);
    }
  }

  #again(chunkId, tries) {
    if (Object.values(this.#wanted).includes(chunkId) && !this.#kept.has(chunkId)) this.#ask(chunkId, tries);
  }

  #tell() {
    const known = Object.entries(this.#wanted).filter(([, chunkId]) => this.#kept.has(chunkId));
    this.#changed(Object.fromEntries(known.map(([side, chunkId]) => [side, this.#kept.get(chunkId)])));
  }
}

/** @returns {number[][]} `grid[y][x]`, 1 is wall. */
function rowsOf({ grid, tiles }) {
  return grid ?? tiles.map((row) => Array.from(row, (tile) => (tile === "#" ? 1 : 0)));
}
