// Where chunks lie on the map. Pure.

/** Several chunks may lie on one place: that many of them are drawn side by side in its cell, the rest beneath. */
const SHARED_MAX = 4;

/** @typedef {{id: string, x: number, y: number, part: number, of: number}} Place  The `part`-th `of` so many on its cell. */

export class Places {
  /** @type {Map<string, Place>} */
  #byId = new Map();
  #byCell = new Map();
  /** How many cells there are in each direction. */
  size = { w: 1, h: 1 };

  /** Take the answer of `map`: ids with their coordinates; x grows to the east, y to the north. */
  constructor({ ids = [], x = [], y = [] } = {}) {
    if (ids.length === 0) return;
    const [left, right] = bounds(x);
    const [low, high] = bounds(y);
    this.size = { w: right - left + 1, h: high - low + 1 };
    for (let i = 0; i < ids.length; i += 1) {
      const place = { id: ids[i], x: x[i] - left, y: y[i] - low, part: 0, of: 1 };
      const key = `${place.x},${place.y}`;
      const here = this.#byCell.get(key) ?? [];
      here.push(place);
      this.#byCell.set(key, here);
      this.#byId.set(place.id, place);
    }
    for (const here of this.#byCell.values()) {
      here.forEach((place, part) => {
        place.part = part % SHARED_MAX;
        place.of = Math.min(here.length, SHARED_MAX);
      });
    }
  }

  /** @returns {Place | undefined} */
  get(id) {
    return this.#byId.get(id);
  }

  get all() {
    return this.#byId.values();
  }

  get count() {
    return this.#byId.size;
  }

  /** The chunk at a place with fractions, where whole numbers are the middles of cells; null for none. */
  at(x, y) {
    const [cx, cy] = [Math.round(x), Math.round(y)];
    const here = this.#byCell.get(`${cx},${cy}`);
    if (!here) return null;
    const part = Math.min(here[0].of - 1, Math.floor((x - cx + 0.5) * here[0].of));
    return here[part].id;
  }
}

/** The least and the greatest; a spread of 10,000 arguments would be too many. */
function bounds(numbers) {
  return numbers.reduce(([least, most], number) => [Math.min(least, number), Math.max(most, number)], [Infinity, -Infinity]);
}
