// Questions about the past, with whatever session is at hand, or one that is opened for them.

import { ask } from "./api.js";

export class PastApi {
  #sessions;

  /** @param {import("./sessions.js").Sessions} sessions */
  constructor(sessions) {
    this.#sessions = sessions;
  }

  /** A page of what happened. @returns {Promise<import("../time/pages.js").Part>} */
  page(chunkId, from, to) {
    return this.#ask(`v1/chunks/${encodeURIComponent(chunkId)}/history?from=${from}&to=${to}&limit=500`);
  }

  /** How far back one can look, and when something happened. */
  timeline(chunkId, from, to) {
    const span = from === null ? "" : `?from=${from}&to=${to}`;
    return this.#ask(`v1/chunks/${encodeURIComponent(chunkId)}/timeline${span}`);
  }

  async #ask(path) {
    const token = this.#sessions.anyToken ?? (await this.#sessions.get(null)).token;
    try {
      return await ask(path, { token });
    } catch (error) {
      if (error.status !== 401) throw error;
      this.#sessions.dead(token);
      return ask(path, { token: this.#sessions.anyToken ?? (await this.#sessions.get(null)).token });
    }
  }
}
