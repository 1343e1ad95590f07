// Functions that are called for events, beside the iterator of `Agent.events`.

/** So many calls of an async function may be under way; what happens meanwhile passes it by. */
export const RUNNING_MAX = 64;
/** In place of an event's name: every event. */
export const EVERYTHING = "*";

/**
 * Calls functions for events, in the order in which they were registered. A function that throws is reported and called
 * again the next time. An async one runs beside the connection; when RUNNING_MAX of its calls are not over, further
 * events pass it by, and the first of them is reported.
 */
export class Callbacks {
  #of = new Map();
  #report;

  /** @param {(...words: unknown[]) => void} report  Told what went wrong. */
  constructor(report = console.error) {
    this.#report = report;
  }

  /**
   * Register a function; returns one that takes it away again, any number of times.
   * @param {string} what  An event's name on the wire (`chunk_transition`), that of something that happens in a chunk
   *   (`chat`, `agent_joined`, `blocked`, ...), or `*` for every event.
   */
  add(what, callback) {
    const entry = { callback, running: 0, reported: false };
    if (!this.#of.has(what)) this.#of.set(what, new Set());
    this.#of.get(what).add(entry);
    return () => this.#of.get(what).delete(entry);
  }

  /** Call what was registered for an event and for what it says happened. */
  call(event, happened) {
    this.#each(EVERYTHING, event);
    this.#each(event.type, event);
    for (const one of happened) this.#each(one.type, one);
  }

  #each(what, told) {
    for (const entry of [...(this.#of.get(what) ?? [])]) this.#call(what, entry, told);
  }

  #call(what, entry, told) {
    if (entry.running >= RUNNING_MAX) {
      if (!entry.reported) this.#report(`on("${what}"): ${RUNNING_MAX} calls are under way, events pass it by`);
      entry.reported = true;
      return;
    }
    try {
      const result = entry.callback(told);
      if (typeof result?.then === "function") this.#await(what, entry, result);
    } catch (error) {
      this.#report(`on("${what}") failed`, error);
    }
  }

  async #await(what, entry, promise) {
    entry.running += 1;
    try {
      await promise;
    } catch (error) {
      this.#report(`on("${what}") failed`, error);
    } finally {
      entry.running -= 1;
      entry.reported = false;
    }
  }
}
