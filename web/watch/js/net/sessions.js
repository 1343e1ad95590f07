// Sessions for the page: of the development routes where the server has them, else from what a person pasted, an API
// key or a session token, or from the console of the same tab, an operator's token. Secrets stay in memory; a session token
// may be kept for the life of the tab. None is ever put into an address.

import { Forbidden } from "../../../sdk/index.js";
import { ask } from "./api.js";

const KEPT = "chunkcrawl.session";
/** Where the console of the same tab keeps an operator's token. */
export const KEPT_OPERATOR = "chunkcrawl.operator";
const REFRESH_AT = 0.6;
const AGENT_PAGES_MAX = 20;
// The server has no development routes, or has them for pages of its own machine alone.
const KEY_NEEDED = ["dev_routes_disabled", "not_local"];
const REFRESH_RETRY_MS = 10_000;
// Both bounds are for clocks that differ from the server's.
const REFRESH_LEAST_MS = 15_000;
const REFRESH_MOST_MS = 300_000;

/** A person has to say something before this can go on. `why` is a reason code or "". */
export class AccessNeeded extends Error {
  constructor(why = "") {
    super(`access needed: ${why}`);
    this.why = why;
  }
}

export class Sessions {
  #secret = null;
  #open = new Map();
  #opening = new Map();
  #timers = new Map();
  /** The operator's token that the server does not know any more. */
  #spent = null;

  /**
   * "dev" until the server says that it has no development routes; then "public" until it says that not everybody may
   * watch; then "operator" where the console of this tab has a token, else "none"; "key" or "token" once one was pasted.
   */
  kind = "dev";
  /** Of a pasted session token: what it is for. */
  role = null;
  agentId = null;

  /** Whether any agent may be followed, or only one's own. */
  get followsAnyone() {
    return this.kind === "dev";
  }

  /** The agent's owner's session, or a spectator's with `agentId` null, that is known to be alive or newly opened. */
  async get(agentId = null) {
    const name = agentId ?? "";
    const known = this.#open.get(name);
    if (known) return known;
    let opening = this.#opening.get(name);
    if (!opening) {
      opening = this.#opened(agentId).finally(() => this.#opening.delete(name));
      this.#opening.set(name, opening);
    }
    return opening;
  }

  /** The sessions of one stream, as the SDK asks for them. @returns {import("../../../sdk/transport/event_stream.js").SessionSource} */
  of(agentId) {
    return { current: () => this.get(agentId), dead: ({ token }) => this.dead(token) };
  }

  /** Any token that is at hand, for what every role may ask; null if there is none. */
  get anyToken() {
    for (const session of this.#open.values()) return session.token;
    return null;
  }

  /** The server did not know this token any more. */
  dead(token) {
    for (const [name, session] of this.#open) {
      if (session.token === token) this.#drop(name);
    }
    if (this.kind === "operator") {
      this.#spent = token;
      this.kind = "none";
    }
    if (this.#secret === token) {
      this.forget();
      throw new AccessNeeded("invalid_session");
    }
  }

  /**
   * Take what a person pasted; the server is asked at once whether it is any good.
   * @throws {ApiError | ServerUnreachable | AccessNeeded}
   */
  async use(secret, keep) {
    this.forget();
    await this.#adopt(secret);
    if (keep && this.kind === "token") attempt(() => sessionStorage.setItem(KEPT, secret));
  }

  /**
   * Take what an earlier page of this tab kept, if it still works.
   * @throws {ApiError | ServerUnreachable} The server can't say now; it stays kept.
   */
  async restore() {
    const kept = attempt(() => sessionStorage.getItem(KEPT));
    if (!kept) return;
    try {
      await this.#adopt(kept);
    } catch (error) {
      if (error.mayPass) throw error;
      this.forget();
    }
  }

  /** Forget all secrets; the development routes are tried again. */
  forget() {
    for (const name of [...this.#open.keys()]) this.#drop(name);
    attempt(() => sessionStorage.removeItem(KEPT));
    this.kind = "dev";
    this.#secret = this.role = this.agentId = null;
  }

  /** The operator has signed out: drop the token. @returns {boolean} Whether it was with it that this page watched. */
  signOut() {
    attempt(() => sessionStorage.removeItem(KEPT_OPERATOR));
    if (this.kind !== "operator") return false;
    for (const name of [...this.#open.keys()]) this.#drop(name);
    this.kind = "none";
    return true;
  }

  async #adopt(secret) {
    if (secret.startsWith("dcw_")) {
      this.kind = "key";
      this.#secret = secret;
      try {
        await this.get(null);
      } catch (error) {
        this.forget();
        throw error;
      }
      return;
    }
    const state = await ask("v1/sessions/refresh", { method: "POST", token: secret });
    if (state.role === "agent") throw new AccessNeeded("invalid_scope");
    this.kind = "token";
    this.#secret = secret;
    this.role = state.role;
    this.agentId = state.agent_id;
    this.#keep(state.agent_id ?? "", secret, state.expires_at);
  }

  /** The agents of the key's account; empty where that is not known. */
  async ownAgents() {
    if (this.kind === "token") return this.agentId ? [this.agentId] : [];
    if (this.kind !== "key") return [];
    const names = [];
    for (let page = 0, after = null; page < AGENT_PAGES_MAX && (page === 0 || after); page += 1) {
      const answer = await ask(`v1/agents${after ? `?after=${encodeURIComponent(after)}` : ""}`, { token: this.#secret });
      names.push(...answer.agents.map((agent) => agent.agent_id));
      after = answer.next;
    }
    return names;
  }

  async #opened(agentId) {
    const made = await this.#made(agentId);
    this.#keep(agentId ?? "", made.session_token, made.expires_at);
    return this.#open.get(agentId ?? "");
  }

  async #made(agentId) {
    if (this.kind === "dev") {
      try {
        if (agentId === null) return await ask("v1/dev/spectator-session", { method: "POST" });
        return await ask("v1/dev/owner-session", { method: "POST", body: { agent_id: agentId } });
      } catch (error) {
        if (!KEY_NEEDED.includes(error.reason)) throw error;
        this.kind = "public";
      }
    }
    if (this.kind === "public" && agentId === null) {
      try {
        return await ask("v1/spectate/session", { method: "POST" });
      } catch (error) {
        if (error.mayPass) throw error;
        this.kind = "none";
      }
    }
    if (this.kind === "none" && agentId === null) {
      const token = attempt(() => sessionStorage.getItem(KEPT_OPERATOR));
      if (token && token !== this.#spent) {
        this.kind = "operator";
        return { session_token: token, expires_at: null };
      }
    }
    if (this.kind === "key") {
      // A session for a name that nobody has would make it the account's: a slip of the pen must not.
      if (agentId !== null && !(await this.ownAgents()).includes(agentId)) throw new Forbidden(403, "agent_not_owned");
      const role = agentId === null ? "spectator" : "owner_spectator";
      const body = { api_key: this.#secret, role, agent_id: agentId };
      return ask("v1/sessions", { method: "POST", body });
    }
    // A token is for one thing only, and it is not this one.
    throw new AccessNeeded(this.kind === "token" ? "invalid_scope" : "");
  }

  #keep(name, token, expiresAt) {
    this.#open.set(name, { token });
    if (expiresAt === null) return; // an operator's lasts as it does
    const wanted = (expiresAt * 1000 - Date.now()) * REFRESH_AT;
    this.#later(name, token, Math.min(REFRESH_MOST_MS, Math.max(REFRESH_LEAST_MS, wanted)));
  }

  #later(name, token, delayMs) {
    clearTimeout(this.#timers.get(name));
    this.#timers.set(name, setTimeout(() => this.#refresh(name, token), delayMs));
  }

  async #refresh(name, token) {
    if (this.#open.get(name)?.token !== token) return;
    try {
      const state = await ask("v1/sessions/refresh", { method: "POST", token });
      if (this.#open.get(name)?.token === token) this.#keep(name, token, state.expires_at);
    } catch (error) {
      // Dead ones are noticed by who uses them next.
      if (error.mayPass) this.#later(name, token, error.retryAfterMs || REFRESH_RETRY_MS);
    }
  }

  #drop(name) {
    clearTimeout(this.#timers.get(name));
    this.#open.delete(name);
  }
}

/** What `work` returns, or null: storage throws where it is forbidden. */
export function attempt(work) {
  try {
    return work();
  } catch {
    return null;
  }
}
