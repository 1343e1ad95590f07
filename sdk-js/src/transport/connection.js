// The socket of one agent: connect, read, notice silence, reconnect with resume.
//
// `AgentConnection` owns sockets and time and knows nothing of commands; what comes in goes to `onFrame`. `run` goes on
// until it is closed or something final happens, and says so by throwing it.

import { Forbidden, InvalidSession, NotReady, ServerUnreachable, TakenOver } from "../errors.js";
import { encode } from "../wire/messages.js";
import { Backoff, RESTART_SPREAD_MS } from "./backoff.js";
import { FRESH_REFUSALS_MAX, SILENCE_MAX_MS, STOOD_AFTER_MS } from "./event_stream.js";
import { Limit, paused } from "./waiting.js";
import { CLOSE_ABNORMAL, openWebSocket } from "./web_socket.js";

const CLOSE_TAKEN_OVER = 4001;
const CLOSE_POLICY = 1008;
/** Going away, service restart, try again later: everybody was told at once, so everybody spreads. */
const CLOSE_RESTART = new Set([1001, 1012, 1013]);
const CLOSE_DRAINED = 1012;
/** The reason with which a gateway that drains sends one client after the other away: the spreading is done already. */
const DRAINING = "draining";

const OPEN_TIMEOUT_MS = 10_000;
const PING_AFTER_MS = 12_000;

export class AgentConnection {
  /** How many connections have been opened; more than one means that it reconnected. */
  connections = 0;
  /** Why the last try failed, null before the first failure and once a connection stands. */
  lastProblem = null;
  #api;
  #agentId;
  #sessions;
  #hooks;
  #backoff;
  #awayTimeoutMs;
  #stop = new AbortController();
  #line = null;
  #heardAt = 0;
  #awaySince = 0;
  #freshRefusals = 0;
  #fault = null;

  /**
   * @param {import("./api.js").Api} api
   * @param {string} agentId
   * @param {import("./sessions.js").SessionKeeper} sessions
   * @param {{onOpen: (session: Session) => void, onFrame: (frame: string) => void, onLost: () => void,
   *   lastEventId: () => string}} hooks
   * @param {{awayTimeoutMs: number | null, random: () => number}} options
   */
  constructor(api, agentId, sessions, hooks, { awayTimeoutMs, random }) {
    this.#api = api;
    this.#agentId = agentId;
    this.#sessions = sessions;
    this.#hooks = hooks;
    this.#awayTimeoutMs = awayTimeoutMs;
    this.#backoff = new Backoff(random);
  }

  /** Milliseconds since the last connection was heard, null while there is one. */
  get awayMs() {
    return this.#line === null ? performance.now() - this.#awaySince : null;
  }

  /** Milliseconds since anything was heard on the present connection; 0 without one. */
  get silentMs() {
    return this.#line === null ? 0 : performance.now() - this.#heardAt;
  }

  /** Send a text frame. On a lost connection nothing happens: the reader notices and starts anew. */
  send(frame) {
    this.#line?.send(frame);
  }

  /** Cut the present socket, if there is one. */
  cut() {
    this.#line?.cut();
  }

  /** Leave; `run` returns. */
  close() {
    this.#stop.abort();
    this.#line?.close();
  }

  /**
   * Stay connected until `close`.
   * @throws {TakenOver} A newer connection plays the agent.
   * @throws {ApiError} The server refuses for good: 401 to the key, 403, 404, ...
   * @throws {ServerUnreachable} No connection for `awayTimeoutMs`.
   */
  async run() {
    this.#awaySince = performance.now();
    while (!this.#stop.signal.aborted) {
      const delayMs = await this.#tried();
      if (this.#stop.signal.aborted) return;
      const awayMs = performance.now() - this.#awaySince;
      if (this.#awayTimeoutMs !== null && awayMs + delayMs > this.#awayTimeoutMs) {
        const why = this.lastProblem ? `: ${this.lastProblem.message}` : "";
        const text = `${this.#api.base}: no connection for ${Math.round(awayMs / 1000)} s, given up for good${why}`;
        throw new ServerUnreachable(text);
      }
      await paused(delayMs, this.#stop.signal);
    }
  }

  /** One connection from its beginning to its end; returns how long to wait before the next. */
  async #tried() {
    try {
      const spreadMs = await this.#connection(await this.#sessions.current());
      return this.#backoff.next(0, spreadMs);
    } catch (error) {
      if (this.#stop.signal.aborted) return 0;
      if (!error.mayPass) throw error;
      this.lastProblem = error;
      return this.#backoff.next(error.retryAfterMs ?? 0);
    }
  }

  async #connection(session) {
    const line = await this.#opened(session);
    const over = new AbortController();
    const began = performance.now();
    this.connections += 1;
    this.#line = line;
    this.#heardAt = began;
    this.lastProblem = null;
    if (this.#stop.signal.aborted) line.close();
    this.#hooks.onOpen(session);
    this.#sessions.keep(session, over.signal);
    this.#listenForSilence(line, over.signal);
    const { code, reason } = await line.ended;
    over.abort();
    this.#line = null;
    this.#awaySince = code === CLOSE_ABNORMAL ? this.#heardAt : performance.now();
    this.#hooks.onLost();
    if (this.#fault !== null) throw this.#fault;
    if (performance.now() - began >= STOOD_AFTER_MS) this.#backoff.reset();
    return this.#judged(session, code, reason);
  }

  /** What the end of a connection means: how wide the next tries are spread, at least. */
  #judged(session, code, reason) {
    if (code === CLOSE_TAKEN_OVER) throw new TakenOver("a newer connection plays this agent");
    // The session was revoked or has expired, or we misbehaved; a new session helps in the first two cases.
    if (code === CLOSE_POLICY) this.#sessions.dead(session);
    if (code === CLOSE_DRAINED && reason === DRAINING) return 0;
    return CLOSE_RESTART.has(code) ? RESTART_SPREAD_MS : 0;
  }

  async #opened(session) {
    const url = this.#api.url("/v1/agent/ws");
    url.searchParams.set("agent_id", this.#agentId);
    const last = this.#hooks.lastEventId();
    if (last) url.searchParams.set("last_event_id", last);
    const limit = new Limit(OPEN_TIMEOUT_MS, this.#stop.signal);
    try {
      const open = globalThis.WebSocket ? openWebSocket : (await import("./node_socket.js")).openNodeSocket;
      const line = await open(url, session.token, (frame) => this.#hear(frame), limit.signal);
      this.#freshRefusals = 0;
      return line;
    } catch (error) {
      throw this.#refused(session, error.status === undefined ? await this.#why(session, error) : error);
    } finally {
      limit.clear();
    }
  }

  #hear(frame) {
    this.#heardAt = performance.now();
    if (this.#fault !== null) return;
    try {
      this.#hooks.onFrame(frame);
    } catch (error) {
      // A bug of ours: it ends the agent and reaches whoever waits for it, not whoever looks after the whole program.
      this.#fault = error;
      this.#line?.cut();
    }
  }

  /** Why a socket was refused, as far as HTTP tells: a browser's WebSocket does not say. */
  async #why(session, error) {
    if (!globalThis.WebSocket || this.#stop.signal.aborted) return error;
    try {
      const { role, agent_id: agentId } = await this.#api.request("/v1/sessions/refresh", {
        method: "POST",
        auth: session.token,
        body: {},
      });
      if (role !== "agent") return new Forbidden(403, "invalid_scope");
      return agentId === this.#agentId ? error : new Forbidden(403, "agent_mismatch");
    } catch (reason) {
      return reason;
    }
  }

  /** What a refusal means; a 401 is the session's fault first: another one is tried before it counts. */
  #refused(session, error) {
    if (!(error instanceof InvalidSession)) return error;
    this.#sessions.dead(session);
    this.#freshRefusals += 1;
    return this.#freshRefusals > FRESH_REFUSALS_MAX ? error : new NotReady(503, error.reason);
  }

  async #listenForSilence(line, signal) {
    let pingedAt = 0;
    while (!signal.aborted && this.silentMs < SILENCE_MAX_MS) {
      if (this.silentMs >= PING_AFTER_MS && pingedAt < this.#heardAt) {
        pingedAt = performance.now();
        line.send(encode("ping", {}));
      }
      await paused(PING_AFTER_MS / 4, signal);
    }
    // The peer may be gone without a word; closing politely would wait for its answer.
    if (!signal.aborted) line.cut();
  }
}
