// All chunks of the world, from columns of which later ones hold only what has changed. Pure.

/** @typedef {{id: string, shard: number, agents: number, cost: number | null, commands: number | null, watchers: number}} ChunkRow */

export class Chunks {
  /** @type {Map<string, ChunkRow>} */
  #rows = new Map();
  #list = null;

  get size() {
    return this.#rows.size;
  }

  /** @returns {ChunkRow | undefined} */
  get(id) {
    return this.#rows.get(id);
  }

  /** @returns {ChunkRow[]} The same array until something changes. */
  get rows() {
    this.#list ??= [...this.#rows.values()];
    return this.#list;
  }

  /** Take the event `chunks`. */
  feed(data) {
    if (data.whole) this.#rows.clear();
    const ids = data.ids ?? [];
    for (let i = 0; i < ids.length; i += 1) {
      this.#rows.set(ids[i], {
        id: ids[i],
        shard: data.shard[i],
        agents: data.agents[i],
        cost: data.cost_us?.[i] ?? null,
        commands: data.commands_per_s?.[i] ?? null,
        watchers: data.watchers?.[i] ?? 0,
      });
    }
    for (const id of data.gone ?? []) this.#rows.delete(id);
    this.#list = null;
  }
}
