// How long to wait before the next try: full jitter, growing, capped. A thousand clients that lost their server at the
// same moment do not come back at the same moment. The same figures as the Python SDK's.

export const BASE_MS = 500;
export const CAP_MS = 15_000;
/** The window after a restart, of which everybody was told at once. */
export const RESTART_SPREAD_MS = 10_000;

export class Backoff {
  #baseMs;
  #capMs;
  #random;

  /** How many delays were given since the last `reset`. */
  tries = 0;

  /** @param {() => number} random  In [0, 1). */
  constructor(random = Math.random, { baseMs = BASE_MS, capMs = CAP_MS } = {}) {
    this.#random = random;
    this.#baseMs = baseMs;
    this.#capMs = capMs;
  }

  /**
   * @param {number} atLeastMs  The server's own hint; the jitter comes on top of it.
   * @param {number} spreadMs  Use this window instead of the grown one if it is larger.
   * @returns {number} Milliseconds.
   */
  next(atLeastMs = 0, spreadMs = 0) {
    // A bounded exponent keeps the number small after days of tries.
    const window = Math.min(this.#capMs, this.#baseMs * 2 ** Math.min(this.tries, 32));
    this.tries += 1;
    return atLeastMs + this.#random() * Math.max(window, spreadMs);
  }

  /** The connection stood: start small again. */
  reset() {
    this.tries = 0;
  }
}
