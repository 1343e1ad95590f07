// An event stream that goes on over lost connections. `fetch` instead of EventSource, because the token travels in a
// header; so resuming, waiting and noticing silence are done here.

import { NotReady, ServerUnreachable } from "../errors.js";
import { SseParser } from "../wire/sse.js";
import { bearer, errorOf, OPTIONS, unreachable } from "./api.js";
import { Backoff } from "./backoff.js";

/** Two heartbeats missed: nobody is there any more (docs/protocol.md, "Constants"). */
export const SILENCE_MAX_MS = 30_000;
const OPEN_TIMEOUT_MS = 10_000;
/** How long a connection must live to be a good one: the next reconnect starts with small delays again. */
export const STOOD_AFTER_MS = 10_000;
/** A server's hints are heeded up to here. */
const HINT_MAX_MS = 60_000;
/** New sessions that may be refused in a row before it is taken as an answer. */
export const FRESH_REFUSALS_MAX = 2;

/**
 * @typedef {object} SessionSource
 * @property {() => Promise<{token: string}>} current  A live session.
 * @property {(session: {token: string}) => void} dead  The server does not know it any more; may throw.
 * @property {(session: {token: string}, signal: AbortSignal) => Promise<void>} [keep]  Refreshes it until the signal.
 */

/**
 * @typedef {object} StreamOptions
 * @property {number | null} openTimeoutMs  How long the first connection is tried; null: for ever.
 * @property {number | null} awayTimeoutMs  How long a lost one is tried again; null: for ever.
 * @property {(phase: "connecting" | "live" | "waiting", waitMs: number) => void} onPhase
 * @property {() => number} random
 */

export class EventStream {
  #url;
  #sessions;
  #options;
  #backoff;
  #stop = new AbortController();
  #wake = null;
  #hintMs = 0;
  #freshRefusals = 0;
  #awaySince = 0;

  /** Where the next connection resumes, "" at first. */
  lastEventId = "";
  /** How many connections there have been. */
  connections = 0;

  /** @param {URL} url  @param {SessionSource} sessions  @param {StreamOptions} options */
  constructor(url, sessions, options) {
    this.#url = url;
    this.#sessions = sessions;
    this.#options = options;
    this.#backoff = new Backoff(options.random);
  }

  /**
   * Every event as it comes, over any number of connections, until `close`.
   *
   * @returns {AsyncGenerator<{type: string, data: string, id: string}>}
   * @throws {ApiError} The server refuses for good.
   * @throws {ServerUnreachable | NotReady} No connection within the limits of the options.
   */
  async *events() {
    this.#awaySince = performance.now();
    while (!this.#ended) {
      let hintMs = 0;
      try {
        this.#options.onPhase("connecting", 0);
        yield* this.#connection();
      } catch (error) {
        if (this.#ended) return;
        if (!error.mayPass || this.#isLate) throw error;
        hintMs = Math.min(error.retryAfterMs ?? 0, HINT_MAX_MS);
      }
      if (this.#ended) return;
      await this.#wait(this.#backoff.next(Math.max(hintMs, this.#hintMs)));
    }
  }

  /** End it; nothing is told from now on. */
  close() {
    this.#stop.abort();
    this.#wake?.();
  }

  /** Do not wait any longer. */
  retryNow() {
    this.#wake?.();
  }

  get #ended() {
    return this.#stop.signal.aborted;
  }

  get #isLate() {
    const limitMs = this.connections > 0 ? this.#options.awayTimeoutMs : this.#options.openTimeoutMs;
    return limitMs !== null && performance.now() - this.#awaySince >= limitMs;
  }

  async *#connection() {
    const session = await this.#sessions.current();
    if (this.#ended) return;
    const connection = new AbortController();
    const abort = () => connection.abort();
    this.#stop.signal.addEventListener("abort", abort);
    const watch = new Watchdog(abort);
    let began = Infinity;
    try {
      watch.expect(OPEN_TIMEOUT_MS);
      const response = await this.#fetch(session.token, connection.signal);
      if (!response.ok) throw this.#refused(session, errorOf(response.status, response.headers, await textOf(response)));
      if (this.#ended) return;
      this.#freshRefusals = 0;
      this.connections += 1;
      began = performance.now();
      this.#options.onPhase("live", 0);
      this.#sessions.keep?.(session, connection.signal).catch(() => {});
      yield* this.#read(response.body, watch);
    } finally {
      watch.stop();
      this.#stop.signal.removeEventListener("abort", abort);
      connection.abort();
      const ended = performance.now();
      if (began !== Infinity) this.#awaySince = ended;
      if (ended - began >= STOOD_AFTER_MS) this.#backoff.reset();
    }
  }

  async #fetch(token, signal) {
    const headers = { accept: "text/event-stream", ...bearer(token) };
    if (this.lastEventId) headers["last-event-id"] = this.lastEventId;
    try {
      return await fetch(this.#url, { headers, signal, ...OPTIONS });
    } catch (cause) {
      throw unreachable(this.#url, cause);
    }
  }

  async *#read(body, watch) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new SseParser();
    for (;;) {
      watch.expect(SILENCE_MAX_MS);
      const { value, done } = await this.#piece(reader);
      watch.stop();
      if (done || this.#ended) return;
      const events = parser.feed(value);
      if (parser.retryMs !== null) this.#hintMs = Math.min(parser.retryMs, HINT_MAX_MS);
      for (const event of events) {
        if (event.id) this.lastEventId = event.id;
        yield event;
        if (this.#ended) return;
      }
    }
  }

  async #piece(reader) {
    try {
      return await reader.read();
    } catch (cause) {
      throw new ServerUnreachable("the stream broke", { cause });
    }
  }

  /** What a refusal means; a 401 is the session's fault first: another one is tried before it counts. */
  #refused(session, error) {
    if (error.status !== 401) return error;
    this.#freshRefusals += 1;
    this.#sessions.dead(session);
    return this.#freshRefusals > FRESH_REFUSALS_MAX ? error : new NotReady(503, error.reason);
  }

  async #wait(delayMs) {
    this.#options.onPhase("waiting", delayMs);
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

/** The body of a refusal, as far as it arrives. */
async function textOf(response) {
  try {
    return await response.text();
  } catch {
    return "";
  }
}
