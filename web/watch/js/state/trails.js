// Where agents have walked in the chunk that is looked at, for the last minutes. Pure.

/** Of a tick a fifth of a second each: five minutes. */
export const TRAIL_TICKS = 1_500;
const POINTS_MAX = 500;
const AGENTS_MAX = 300;

/** @typedef {{tick: number, x: number, y: number}} Step */

export class Trails {
  #chunkId = null;
  #tick = -1;
  /** @type {Map<string, Step[]>} The oldest step first. */
  #steps = new Map();

  /** Another chunk, or the same one as before. */
  enter(chunkId) {
    if (chunkId === this.#chunkId) return;
    this.#chunkId = chunkId;
    this.#tick = -1;
    this.#steps.clear();
  }

  /**
   * What was before one looked.
   * @param {string} chunkId
   * @param {Record<string, [number, number, number][]>} trails  Of each agent tick, x and y.
   */
  before(chunkId, trails) {
    if (chunkId !== this.#chunkId) return;
    for (const [id, steps] of Object.entries(trails).slice(0, AGENTS_MAX)) {
      const known = this.#steps.get(id) ?? [];
      const first = known[0]?.tick ?? Infinity;
      const earlier = steps.filter(([tick]) => tick < first).map(([tick, x, y]) => ({ tick, x, y }));
      this.#steps.set(id, [...earlier, ...known].slice(-POINTS_MAX));
    }
  }

  /** @param {number} tick  @param {Iterable<{id: string, x: number, y: number}>} agents */
  add(tick, agents) {
    // A world that was put back counts lower.
    if (tick < this.#tick) this.#steps.clear();
    this.#tick = tick;
    for (const { id, x, y } of agents) {
      const steps = this.#steps.get(id) ?? [];
      const last = steps.at(-1);
      if (last && last.x === x && last.y === y) continue;
      steps.push({ tick, x, y });
      if (steps.length > POINTS_MAX) steps.shift();
      this.#steps.set(id, steps);
    }
    for (const id of this.#steps.keys()) {
      if (this.#steps.size <= AGENTS_MAX) return;
      this.#steps.delete(id);
    }
  }

  /**
   * @param {string | null} id
   * @returns {(Step & {age: number})[]} Its steps of the last minutes, oldest first; `age` from 0 (now) to 1.
   */
  of(id) {
    const steps = this.#steps.get(id) ?? [];
    return steps
      .filter(({ tick }) => this.#tick - tick <= TRAIL_TICKS)
      .map((step) => ({ ...step, age: (this.#tick - step.tick) / TRAIL_TICKS }));
  }
}
