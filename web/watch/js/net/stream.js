// An event stream that goes on over lost connections. `fetch` instead of EventSource, because the token travels in a
// header; so resuming, waiting and noticing silence are done here.

import { BASE, refusalOf, Refusal } from "./api.js";
import { Backoff } from "./backoff.js";
import { AccessNeeded } from "./sessions.js";
import { SseParser } from "./sse.js";

/** Two heartbeats missed: nobody is there any more (docs/protocol.md, "Constants"). */
export const SILENCE_MAX_MS = 30_000;
const OPEN_TIMEOUT_MS = 10_000;
const STOOD_AFTER_MS = 10_000;
const HINT_MAX_MS = 60_000;
const FRESH_REFUSALS_MAX = 2;

/**
 * @typedef {object} Hooks
 * @property {(type: string, data: object) => boolean | void} event  Each event once; true: the stream is over.
 * @property {(phase: "connecting" | "live" | "waiting", waitMs: number) => void} phase
 * @property {(error: Refusal | AccessNeeded) => void} refused  For good; the stream has ended.
 */

export class EventStream {
  #path;
  #agentId;
  #sessions;
  #hooks;
  #backoff = new Backoff();
  #stop = new AbortController();
  #connection = null;
  #wake = null;
  #hintMs = 0;
  #freshRefusals = 0;
  #over = false;

  /** Where the next connection resumes, "" at first. */
  lastEventId = "";
  /** How many connections there have been. */
  connections = 0;

  /**
   * @param {string} path  With its query, relative to the API.
   * @param {string | null} agentId  Whose owner's session is needed; null: a spectator's.
   * @param {import("./sessions.js").Sessions} sessions
   * @param {Hooks} hooks
   */
  constructor(path, agentId, sessions, hooks) {
    this.#path = path;
    this.#agentId = agentId;
    this.#sessions = sessions;
    this.#hooks = hooks;
  }

  /** Connect, and again, until `close`, the end of the stream, or a refusal for good. */
  async run() {
    while (!this.#ended) {
      let hintMs = 0;
      try {
        this.#hooks.phase("connecting", 0);
        await this.#connect();
      } catch (error) {
        if (this.#ended) return;
        if (error instanceof AccessNeeded || (error instanceof Refusal && !error.mayPass)) {
          this.#over = true;
          this.#hooks.refused(error);
          return;
        }
        hintMs = error.retryAfterMs ?? 0;
      }
      if (this.#ended) return;
      await this.#wait(this.#backoff.next(Math.max(hintMs, this.#hintMs)));
    }
  }

  /** End it; no hook is called from now on. */
  close() {
    this.#stop.abort();
    this.#connection?.abort();
    this.#wake?.();
  }

  /** Do not wait any longer. */
  retryNow() {
    this.#wake?.();
  }

  get #ended() {
    return this.#over || this.#stop.signal.aborted;
  }

  async #connect() {
    const session = await this.#sessions.get(this.#agentId);
    if (this.#ended) return;
    const connection = (this.#connection = new AbortController());
    const watch = new Watchdog(() => connection.abort());
    let began = Infinity;
    try {
      watch.expect(OPEN_TIMEOUT_MS);
      const response = await this.#fetch(session.token, connection.signal);
      if (!response.ok) throw this.#refusal(session.token, await refusalOf(response));
      if (this.#ended) return;
      this.#freshRefusals = 0;
      this.connections += 1;
      began = performance.now();
      this.#hooks.phase("live", 0);
      await this.#read(response.body, watch);
    } finally {
      watch.stop();
      connection.abort();
      if (performance.now() - began >= STOOD_AFTER_MS) this.#backoff.reset();
    }
  }

  async #fetch(token, signal) {
    const headers = { accept: "text/event-stream", authorization: `Bearer ${token}` };
    if (this.lastEventId) headers["last-event-id"] = this.lastEventId;
    try {
      const options = { headers, signal, cache: "no-store", credentials: "omit", redirect: "error" };
      return await fetch(new URL(this.#path, BASE), options);
    } catch {
      throw new Refusal(0, "unreachable");
    }
  }

  async #read(body, watch) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new SseParser();
    for (;;) {
      watch.expect(SILENCE_MAX_MS);
      const { value, done } = await reader.read();
      if (done || this.#ended) return;
      const events = parser.feed(value);
      if (parser.retryMs !== null) this.#hintMs = Math.min(parser.retryMs, HINT_MAX_MS);
      for (const event of events) {
        if (this.#take(event)) return;
      }
    }
  }

  /** True: nothing more is wanted. */
  #take(event) {
    const data = parsed(event.data);
    if (event.id) this.lastEventId = event.id;
    try {
      if (data !== null && this.#hooks.event(event.type, data) === true) this.#over = true;
    } catch (error) {
      // One event of a shape nobody thought of must not end the stream, or bring it back for ever.
      console.error("event not understood", event.type, error);
    }
    return this.#ended;
  }

  /** A 401 is the session's fault first: another one is tried before it counts. */
  #refusal(token, refusal) {
    if (refusal.status !== 401) return refusal;
    this.#freshRefusals += 1;
    this.#sessions.dead(token);
    return this.#freshRefusals > FRESH_REFUSALS_MAX ? refusal : new Refusal(503, refusal.reason);
  }

  async #wait(delayMs) {
    this.#hooks.phase("waiting", delayMs);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
  }
}

/** Calls back when nothing came for too long. */
class Watchdog {
  #timer;
  #bite;

  constructor(bite) {
    this.#bite = bite;
  }

  expect(withinMs) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#bite, withinMs);
  }

  stop() {
    clearTimeout(this.#timer);
  }
}

/** The JSON object of an event; null for anything else, which is no message of the contract. */
function parsed(text) {
  try {
    const data = JSON.parse(text);
    return typeof data === "object" && data !== null && !Array.isArray(data) ? data : null;
  } catch {
    return null;
  }
}
