// What happened in a chunk before one looked at it: its news, and where everybody walked.

import { ask } from "./net/api.js";

const EVENTS_MAX = 200;

export class Past {
  #sessions;
  #asking = null;

  /** @param {import("./net/sessions.js").Sessions} sessions */
  constructor(sessions) {
    this.#sessions = sessions;
  }

  /**
   * Ask for what the replay window of a chunk holds.
   * @param {string} chunkId
   * @param {(past: {events: {tick: number, index: number, at: number, event: object}[], trails: object}) => void} take
   *   Not called if it can't be known, or another chunk is asked for meanwhile.
   */
  async of(chunkId, take) {
    const token = this.#sessions.anyToken;
    if (!token) return;
    const asking = (this.#asking = Symbol(chunkId));
    try {
      const { events, trails } = await ask(`v1/chunks/${encodeURIComponent(chunkId)}/recent`, { token });
      if (asking === this.#asking) take({ events: events.slice(-EVENTS_MAX), trails });
    } catch {
      // News begin with what happens from now on.
    }
  }
}
