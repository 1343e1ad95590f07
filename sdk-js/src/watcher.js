// `Watcher`: follow a chunk as a spectator, or one's own agent as its owner, over server-sent events.
//
//   const watcher = Watcher.chunk("http://127.0.0.1:8000", "chunk-0", { apiKey });
//   for await (const event of watcher.events()) console.log(event.type, watcher.view.tick);
//
// With `fromTick` the past is played from there, at `speed`, and goes on with what happens now.
//
// It resumes with `Last-Event-ID` after every loss, opens a new session when the old one is dead, and waits with full
// jitter in between. Read-only by nature.

import { ChunkGone, NotFound, ProtocolViolation } from "./errors.js";
import { Api } from "./transport/api.js";
import { EventStream } from "./transport/event_stream.js";
import { SessionKeeper } from "./transport/sessions.js";
import { WorldView } from "./view/world_view.js";
import { decodeEvent } from "./wire/messages.js";
import { Repeats } from "./wire/repeats.js";

/** How long a watcher or an agent goes without a connection before it gives up, unless told to try for ever. */
export const AWAY_TIMEOUT_MS = 600_000;
const OPEN_TIMEOUT_MS = 15_000;

/**
 * @typedef {object} WatcherOptions
 * @property {string} [apiKey]  Opens sessions, now and whenever one has died. Without it and the next two a development
 *   session is asked for, which servers in production refuse.
 * @property {import("./transport/session.js").Session} [session]  A session; it can't be replaced when it ends.
 * @property {import("./transport/event_stream.js").SessionSource} [sessions]  Sessions of one's own keeping.
 * @property {Api} [api]  An HTTP client of one's own.
 * @property {number | null} [openTimeoutMs]  How long the first connection is tried, 15 s if not said; null: for ever.
 * @property {number | null} [awayTimeoutMs]  How long a lost one is tried again, 10 min if not said; null: for ever.
 * @property {(phase: "connecting" | "live" | "waiting", waitMs: number) => void} [onPhase]  Told how the connection is.
 * @property {number | Date} [fromTick]  Play the past from here: a tick, a Unix time in milliseconds, or a time;
 *   `playback` events say where it is, until it is live.
 * @property {number} [speed]  How many times faster the past is played, 0.5 to 32.
 * @property {() => number} [random]  Where the jitter comes from.
 */

/** A stream that goes on over lost connections. Make it with `Watcher.chunk` or `Watcher.owner`. */
export class Watcher {
  /** The present state of what is watched, kept up to date by `events`. */
  view;
  /** Whether there is a connection now. */
  connected = false;
  /** How many events were no messages of the contract. */
  unusableEvents = 0;
  #stream;
  #repeats = new Repeats();
  #chunkId;

  /** Use `Watcher.chunk` or `Watcher.owner` instead. */
  constructor(url, sessions, { chunkId, agentId, openTimeoutMs, awayTimeoutMs, onPhase, random }) {
    this.view = new WorldView(agentId);
    this.#chunkId = chunkId;
    const phase = (now, waitMs) => {
      this.connected = now === "live";
      onPhase(now, waitMs);
    };
    this.#stream = new EventStream(url, sessions, { openTimeoutMs, awayTimeoutMs, onPhase: phase, random });
  }

  /**
   * Watch a chunk; `demo` means `chunk-0`, which is never removed.
   *
   * @param {string | URL} base  @param {string} [chunkId]  @param {WatcherOptions} [options]
   */
  static chunk(base, chunkId = "demo", options = {}) {
    const path = `/v1/spectate/stream?chunk_id=${encodeURIComponent(chunkId)}`;
    return Watcher.#made(base, path, "spectator", { chunkId, agentId: null }, (api) => api.devSpectatorSession(), options);
  }

  /**
   * Follow an agent over all its chunks, its challenges, results and inventory included.
   * @param {string | URL} base  @param {string} agentId  @param {WatcherOptions} [options]
   */
  static owner(base, agentId, options = {}) {
    const path = `/v1/owner/stream?agent_id=${encodeURIComponent(agentId)}`;
    const what = { chunkId: null, agentId };
    return Watcher.#made(base, path, "owner_spectator", what, (api) => api.devOwnerSession(agentId), options);
  }

  static #made(base, path, role, what, devSession, options) {
    const { apiKey, session, sessions, onPhase = () => {}, random = Math.random, fromTick, speed = 1 } = options;
    const { openTimeoutMs = OPEN_TIMEOUT_MS, awayTimeoutMs = AWAY_TIMEOUT_MS, api = new Api(base) } = options;
    const asked = apiKey === undefined && session === undefined;
    const keeper = () =>
      asked
        ? new SessionKeeper(api, { open: () => devSession(api), random })
        : SessionKeeper.ofRole(api, role, what.agentId, { apiKey, session, random });
    const url = api.url(fromTick === undefined ? path : `${path}&from_tick=${Number(fromTick)}&speed=${speed}`);
    return new Watcher(url, sessions ?? keeper(), { ...what, openTimeoutMs, awayTimeoutMs, onPhase, random });
  }

  /** How many connections there have been. */
  get connections() {
    return this.#stream.connections;
  }

  /** Where the next connection resumes, "" at first. */
  get lastEventId() {
    return this.#stream.lastEventId;
  }

  /**
   * Every event once, in order; the view is fed before each. There is no queue: who takes long between two events makes
   * the server drop old deltas and send `resync_required` (spectators), or resume the stream anew (owners).
   *
   * @throws {ChunkGone} The chunk was removed, as empty ones are; the last event was `chunk_closed`, if it arrived.
   * @throws {ServerUnreachable | NotReady} No first connection within `openTimeoutMs`, or none again within
   *   `awayTimeoutMs` of a lost one.
   * @throws {ApiError} The server refuses for good: 403, 404 `chunk_not_found`, 401 to the key, ...
   * @throws {ProtocolViolation} This is no event stream.
   */
  async *events() {
    try {
      for await (const raw of this.#stream.events()) {
        const event = this.#taken(raw);
        if (event === null) continue;
        yield event;
        if (event.type === "chunk_closed" && this.view.agentId === null) throw this.#gone();
      }
    } catch (error) {
      if (error instanceof RangeError) throw new ProtocolViolation(error.message, { cause: error });
      const isGone = this.connections > 0 && error instanceof NotFound && error.reason === "chunk_not_found";
      throw isGone ? this.#gone() : error;
    } finally {
      this.connected = false;
    }
  }

  /** End it: no event comes from now on, and `events` ends. */
  close() {
    this.#stream.close();
  }

  /** Do not wait any longer for the next connection. */
  retryNow() {
    this.#stream.retryNow();
  }

  /** The event, once the view has it; null for a repeat, or for what is no message. */
  #taken(raw) {
    const event = decodeEvent(raw);
    if (event === null) {
      this.unusableEvents += 1;
      return null;
    }
    if (this.#repeats.isRepeat(event)) return null;
    this.view.feed(event);
    return event;
  }

  #gone() {
    return new ChunkGone(this.view.chunkId ?? this.#chunkId);
  }
}
