// How long to wait before the next try: full jitter, growing, capped. A thousand pages that lost their server at the
// same moment do not come back at the same moment. The same figures as the Python client's.

export const BASE_MS = 500;
export const CAP_MS = 15_000;

export class Backoff {
  #tries = 0;
  #random;

  /** @param {() => number} random  In [0, 1). */
  constructor(random = Math.random) {
    this.#random = random;
  }

  /**
   * @param {number} atLeastMs  The server's own hint; the jitter comes on top of it.
   * @returns {number} Milliseconds.
   */
  next(atLeastMs = 0) {
    const span = Math.min(CAP_MS, BASE_MS * 2 ** Math.min(this.#tries, 32));
    this.#tries += 1;
    return atLeastMs + this.#random() * span;
  }

  /** The connection stood: start small again. */
  reset() {
    this.#tries = 0;
  }
}
