// Waits that have a bound and leave no timer behind.

/** Longer than a timer can count would be at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** Wait for so long, or until `signal` is aborted if that is sooner; never throws. */
export function paused(delayMs, signal = null) {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve();
      return;
    }
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, Math.min(delayMs, TIMER_MAX_MS));
    signal?.addEventListener("abort", done);
  });
}

/** A promise's outcome, or `signal`'s reason if that comes first. What is left behind is nobody's unhandled rejection. */
export function raced(promise, signal) {
  promise.catch(() => {});
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    const over = () => signal.removeEventListener("abort", stop);
    signal.addEventListener("abort", stop);
    promise.then(resolve, reject).finally(over);
  });
}

/** Wait for a promise that never throws, but not longer than so. */
export async function within(timeoutMs, promise) {
  const over = new AbortController();
  promise.then(() => over.abort());
  await paused(timeoutMs, over.signal);
}

/** A promise that is settled from outside, once. */
export class Deferred {
  done = false;
  #resolve;
  #reject;

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Whoever waited may have left; an error that nobody fetches is no bug to report.
    this.promise.catch(() => {});
  }

  resolve(value) {
    this.done = true;
    this.#resolve(value);
  }

  reject(error) {
    this.done = true;
    this.#reject(error);
  }
}

/** A time limit and a caller's signal as one signal. `clear` it when the work is over. */
export class Limit {
  #control = new AbortController();
  #timer = null;
  #timeUp = new Error("the time is up");
  #outer;
  #follow;

  /** @param {number | null} timeoutMs  null: none.  @param {AbortSignal | null} [outer] */
  constructor(timeoutMs, outer = null) {
    this.#outer = outer;
    this.#follow = () => this.stop(outer.reason);
    if (outer?.aborted) this.#follow();
    else outer?.addEventListener("abort", this.#follow);
    if (timeoutMs !== null) this.#timer = setTimeout(() => this.stop(this.#timeUp), Math.min(timeoutMs, TIMER_MAX_MS));
  }

  get signal() {
    return this.#control.signal;
  }

  /** Whether `error` says that this limit's time was up, and not another's. */
  isEndOf(error) {
    return error === this.#timeUp;
  }

  /** End the work before its time. */
  stop(reason) {
    this.#control.abort(reason);
  }

  clear() {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener("abort", this.#follow);
  }
}

/** One at a time, in the order of coming. */
export class Turns {
  #held = false;
  #waiting = [];

  /** Wait for one's turn; throws the signal's reason if that comes first. Call `pass` afterwards. */
  async take(signal) {
    signal.throwIfAborted();
    if (!this.#held) {
      this.#held = true;
      return;
    }
    const turn = new Deferred();
    this.#waiting.push(turn);
    try {
      await raced(turn.promise, signal);
    } catch (error) {
      // It may have come just then, and is passed on.
      if (turn.done) this.pass();
      else this.#waiting.splice(this.#waiting.indexOf(turn), 1);
      throw error;
    }
  }

  pass() {
    const next = this.#waiting.shift();
    if (next) next.resolve();
    else this.#held = false;
  }
}
