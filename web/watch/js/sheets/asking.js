// Asks the server again and again for what is shown, while it is shown.

import { ask } from "../net/api.js";

const AFTER_FAILURE_MS = 5_000;
const WITHOUT_TOKEN_MS = 500;

export class Asking {
  #sessions;
  #everyMs;
  #answered;
  #refused;
  #path = null;
  #timer = 0;

  /**
   * @param {import("../net/sessions.js").Sessions} sessions
   * @param {number} everyMs
   * @param {(answer: object) => void} answered
   * @param {(reason: string) => void} refused  What was shown grows old, or there is nothing to show.
   */
  constructor(sessions, everyMs, answered, refused) {
    this.#sessions = sessions;
    this.#everyMs = everyMs;
    this.#answered = answered;
    this.#refused = refused;
    document.addEventListener("visibilitychange", () => this.#path && this.#ask(this.#path));
  }

  /** @param {string | null} path  What is asked from now on; null: nothing. */
  begin(path) {
    this.#path = path;
    clearTimeout(this.#timer);
    if (path !== null) this.#ask(path);
  }

  async #ask(path) {
    clearTimeout(this.#timer);
    if (document.hidden) return;
    const token = this.#sessions.anyToken;
    let delayMs = token ? this.#everyMs : WITHOUT_TOKEN_MS;
    if (token) {
      try {
        const answer = await ask(path, { token });
        if (path === this.#path) this.#answered(answer);
      } catch (error) {
        if (path === this.#path) this.#refused(error.reason ?? "unreachable");
        delayMs = AFTER_FAILURE_MS;
      }
    }
    if (path !== this.#path) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(path), delayMs);
  }
}
