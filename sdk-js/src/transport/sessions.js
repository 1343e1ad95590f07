// Keeping a session alive: opened when needed, refreshed before it ends, replaced when it is dead.

import { InvalidSession } from "../errors.js";
import { Backoff } from "./backoff.js";
import { paused } from "./waiting.js";

/** Share of the lifetime after which a session is refreshed; jitter of a tenth keeps many clients apart. */
const REFRESH_AT = 0.6;
/** The shortest wait for a refresh: a session whose key expires gets ever shorter, and would be refreshed ever faster. */
const REFRESH_AFTER_MIN_MS = 500;

/** Hands out a live session. */
export class SessionKeeper {
  #api;
  #open;
  #session;
  #opening = null;
  #owned;
  #random;

  /**
   * @param {import("./api.js").Api} api  Where sessions are refreshed and ended.
   * @param {{open?: (() => Promise<Session>) | null, session?: Session | null, random?: () => number}} how  Opens a new
   *   one; or there is only the given one, which can't be replaced.
   */
  constructor(api, { open = null, session = null, random = Math.random }) {
    if (open === null && session === null) throw new TypeError("either apiKey or session is needed");
    this.#api = api;
    this.#open = open;
    this.#session = session;
    this.#owned = session === null;
    this.#random = random;
  }

  /** A keeper for sessions of one role: opened with the key, or the given one. */
  static ofRole(api, role, agentId, { apiKey = null, session = null, random } = {}) {
    if (session !== null) return new SessionKeeper(api, { session, random });
    const open = apiKey === null ? null : () => api.openSession(apiKey, role, agentId);
    return new SessionKeeper(api, { open, random });
  }

  /**
   * The session, opened now if there is none.
   * @throws {InvalidSession} It is dead and can't be replaced, or the API key is.
   * @throws {ApiError | ServerUnreachable} It could not be opened.
   */
  async current() {
    if (this.#session !== null) return this.#session;
    if (this.#open === null) throw new InvalidSession(401, "invalid_session");
    this.#opening ??= this.#open().finally(() => {
      this.#opening = null;
    });
    this.#session = await this.#opening;
    return this.#session;
  }

  /** The server does not know this session any more; `current` opens another. */
  dead(session) {
    if (this.#session?.token === session.token) this.#session = null;
  }

  /** Refresh `session` again and again; returns when it is dead, or `signal` says so. */
  async keep(session, signal) {
    while (!signal.aborted) {
      const share = REFRESH_AT + 0.1 * this.#random();
      await paused(Math.max(REFRESH_AFTER_MIN_MS, session.lifetimeMs * share), signal);
      if (signal.aborted) return;
      try {
        session = await this.#refreshed(session, session.lifetimeMs * (1 - share), signal);
      } catch {
        this.dead(session);
        return;
      }
    }
  }

  /** Revoke the session if this keeper opened it. Throws as `Api.endSession`; it then ends by itself. */
  async end() {
    const session = this.#session;
    this.#session = null;
    if (session !== null && this.#owned) await this.#api.endSession(session);
  }

  async #refreshed(session, withinMs, signal) {
    const backoff = new Backoff(this.#random, { capMs: Math.max(1000, withinMs / 4) });
    while (!signal.aborted) {
      try {
        const fresh = await this.#api.refreshSession(session);
        if (this.#session?.token === session.token) this.#session = fresh;
        return fresh;
      } catch (error) {
        if (!error.mayPass) throw error;
        await paused(backoff.next(error.retryAfterMs ?? 0), signal);
      }
    }
    return session;
  }
}
