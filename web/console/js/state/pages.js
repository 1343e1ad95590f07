// Rows that a server gives page by page, in its own order; more of them as they are wanted. Pure but for `ask`.

export const PAGE_ROWS = 500;

export class Pages {
  rows = [];
  total = null;
  #ask;
  #changed;
  #path = "";
  #query = {};
  #next = null;
  #run = 0;
  #busy = false;

  /**
   * @param {(path: string) => Promise<{rows: object[], total?: number | null, next?: string | null}>} ask
   * @param {(error: Error | null) => void} changed  There are other rows, or an error.
   */
  constructor(ask, changed) {
    this.#ask = ask;
    this.#changed = changed;
  }

  /** Begin anew. @param {Record<string, string>} query  What the server sorts and filters by; "" is left out. */
  open(path, query = {}) {
    this.#path = path;
    this.#query = query;
    this.#next = null;
    this.#run += 1;
    this.#busy = false;
    return this.#load([]);
  }

  /** The next page, if there is one that is not under way. */
  more() {
    return this.#next === null || this.#busy ? null : this.#load(this.rows);
  }

  async #load(before) {
    const run = this.#run;
    this.#busy = true;
    const query = new URLSearchParams({ limit: PAGE_ROWS });
    for (const [name, value] of Object.entries(this.#query)) if (value) query.set(name, value);
    if (this.#next !== null) query.set("cursor", this.#next);
    try {
      const { rows, total, next } = await this.#ask(`${this.#path}?${query}`);
      if (run !== this.#run) return;
      this.rows = [...before, ...rows];
      this.total = total ?? null;
      this.#next = next ?? null;
      this.#busy = false;
      this.#changed(null);
    } catch (error) {
      if (run !== this.#run) return;
      // Scrolling on asks again.
      this.#busy = false;
      this.#changed(error);
    }
  }
}
