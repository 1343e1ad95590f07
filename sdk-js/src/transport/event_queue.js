// A bounded queue of events for one listener; what gives way when it is full is a rule, not an accident.

const GIVE_WAY = new Set(["chunk_delta", "heartbeat"]);

/**
 * Events for one listener, at most `limit` of them, as an async iterator. When it is full, the oldest delta or heartbeat
 * gives way, since the next delta holds the whole state again; chat and other happenings inside a dropped delta are lost
 * to this listener. Only when it holds nothing of that kind does the oldest event of all go. `dropped` counts both. The
 * view is fed before the queue and misses nothing.
 */
export class EventQueue {
  dropped = 0;
  #limit;
  #events = [];
  #waiting = [];
  #onEnd;
  #over = false;
  #error = null;

  /** @param {number} limit  @param {() => void} [onEnd]  Called when the listener leaves. */
  constructor(limit, onEnd = () => {}) {
    if (!(limit >= 1)) throw new RangeError("limit must be at least 1");
    this.#limit = limit;
    this.#onEnd = onEnd;
  }

  /** Add an event, never waiting. */
  put(event) {
    if (this.#over) return;
    const reader = this.#waiting.shift();
    if (reader) {
      reader.resolve({ value: event, done: false });
      return;
    }
    if (this.#events.length >= this.#limit) this.#makeRoom();
    this.#events.push(event);
  }

  /** End the iteration: it gives what is left, then throws `error` or just ends. */
  end(error = null) {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    for (const reader of this.#waiting.splice(0)) this.#finish(reader);
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  next() {
    if (this.#events.length > 0) return Promise.resolve({ value: this.#events.shift(), done: false });
    return new Promise((resolve, reject) => {
      const reader = { resolve, reject };
      if (this.#over) this.#finish(reader);
      else this.#waiting.push(reader);
    });
  }

  /** The listener leaves (`break` in `for await`). */
  async return() {
    this.end();
    this.#events = [];
    this.#onEnd();
    return { value: undefined, done: true };
  }

  #finish({ resolve, reject }) {
    if (this.#error !== null) reject(this.#error);
    else resolve({ value: undefined, done: true });
  }

  #makeRoom() {
    this.dropped += 1;
    const at = this.#events.findIndex(({ type }) => GIVE_WAY.has(type));
    this.#events.splice(Math.max(at, 0), 1);
  }
}
