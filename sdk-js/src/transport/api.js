// The HTTP side of the contract: accounts, keys, sessions, snapshots. One `Api` serves any number of agents.

import { apiError, ProtocolViolation, ServerUnreachable } from "../errors.js";
import { Session } from "./session.js";

/** How long a whole request may take, from the connection to the answer's last byte. */
export const REQUEST_TIMEOUT_MS = 30_000;
const REASON_MAX_CHARS = 200;
const SAID_MAX_CHARS = 400;
const FAULTS_MAX = 20;

export class Api {
  /** Where the server is, with a slash at its end. */
  base;
  #timeoutMs;
  #fetch;

  /**
   * Nothing is connected before the first request.
   *
   * @param {string | URL} base  For instance `http://127.0.0.1:8000`; a path prefix is kept.
   * @param {{timeoutMs?: number, fetch?: typeof fetch}} [options]  How long a request may take; another `fetch`.
   * @throws {TypeError} `base` is no address.
   */
  constructor(base, { timeoutMs = REQUEST_TIMEOUT_MS, fetch: fetcher } = {}) {
    const url = new URL(base);
    if (url.protocol !== "http:" && url.protocol !== "https:") {
      throw new TypeError("an address like http://127.0.0.1:8000 is needed");
    }
    this.base = url.href.replace(/\/*$/, "/");
    this.#timeoutMs = timeoutMs;
    this.#fetch = fetcher ?? ((...args) => fetch(...args));
  }

  /** The address of a path, with or without a leading slash. */
  url(path) {
    return new URL(path.replace(/^\//, ""), this.base);
  }

  // -- account --

  /** Make an account; the password has 8..128 characters. `Conflict` for a known e-mail. */
  async signup(email, password) {
    return this.request("/v1/signup", { method: "POST", body: { email, password } });
  }

  /** Make an API key. `auth` is the account token, or `[e-mail, password]`; it says whose, too. */
  async createKey({ auth, label, accountId } = {}) {
    const body = { ...(accountId ? { account_id: accountId } : {}), ...(label ? { label } : {}) };
    return this.request("/v1/keys", { method: "POST", auth, body });
  }

  /** The account's keys, without their secrets. */
  async listKeys({ auth }) {
    return listOf(await this.request("/v1/keys", { auth }), "keys");
  }

  /** Revoke a key; its sessions end too. */
  async revokeKey(keyId, { auth }) {
    await this.request(`/v1/keys/${encodeURIComponent(keyId)}`, { method: "DELETE", auth });
  }

  /** The account's agents, the first page. `auth` may also be an API key. */
  async agents({ auth }) {
    return listOf(await this.request("/v1/agents", { auth }), "agents");
  }

  // -- sessions --

  /** Open a session; roles `agent` and `owner_spectator` need an `agentId`. */
  async openSession(apiKey, role, agentId = null) {
    const body = { api_key: apiKey, role, ...(agentId === null ? {} : { agent_id: agentId }) };
    return this.#session("/v1/sessions", body);
  }

  /** Extend a session and return it with its new end. */
  async refreshSession(session) {
    const [body, dateMs] = await this.#ask("/v1/sessions/refresh", { method: "POST", auth: session.token, body: {} });
    return session.until(body, dateMs);
  }

  /** Revoke a session. */
  async endSession(session) {
    await this.request("/v1/sessions", { method: "DELETE", auth: session.token });
  }

  /** A spectator session without a key; servers in production refuse it. */
  async devSpectatorSession() {
    return this.#session("/v1/dev/spectator-session", {});
  }

  /** An owner session for any agent; servers in production refuse it. */
  async devOwnerSession(agentId) {
    return this.#session("/v1/dev/owner-session", { agent_id: agentId });
  }

  /** A chunk's static and latest delta, as the wire has them. */
  async snapshot(chunkId, token) {
    return this.request(`/v1/chunks/${encodeURIComponent(chunkId)}/snapshot`, { auth: token });
  }

  // -- any request --

  /**
   * What stands under a path, as JSON; null for an answer without a body.
   *
   * @param {string} path
   * @param {{method?: string, auth?: string | [string, string] | null, body?: object}} [options]  `auth`: a token or
   *   key, or `[e-mail, password]`.
   * @throws {ApiError} An answer other than 2xx.
   * @throws {ServerUnreachable} No answer in time.
   * @throws {ProtocolViolation} The answer is no JSON.
   */
  async request(path, options = {}) {
    const [body] = await this.#ask(path, options);
    return body;
  }

  async #ask(path, { method = "GET", auth = null, body }) {
    const headers = authorization(auth);
    if (body !== undefined) headers["content-type"] = "application/json";
    const url = this.url(path);
    let response, text;
    try {
      response = await this.#fetch(url, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        ...OPTIONS,
        signal: AbortSignal.timeout(this.#timeoutMs),
      });
      text = await response.text();
    } catch (cause) {
      throw unreachable(url, cause);
    }
    if (!response.ok) throw errorOf(response.status, response.headers, text);
    const date = Date.parse(response.headers.get("date") ?? "");
    return [parsed(text, path), Number.isNaN(date) ? Date.now() : date];
  }

  async #session(path, body) {
    const [answer, dateMs] = await this.#ask(path, { method: "POST", body });
    if (typeof answer?.session_token !== "string") throw new ProtocolViolation(`${path}: no session_token`);
    return Session.of(answer, dateMs);
  }
}

/** What every request of ours is made with. */
export const OPTIONS = Object.freeze({ cache: "no-store", credentials: "omit", redirect: "error" });

/** The error of a request that had no answer. */
export function unreachable(url, cause) {
  const why = cause?.cause?.code ?? cause?.cause?.message ?? cause?.message ?? String(cause);
  const text = `${url.origin}${url.pathname}: no answer (${why}); is the server running, and is this its address?`;
  return new ServerUnreachable(text, { cause });
}

/** The `ApiError` of an answer: `{"detail": "<reason>"}`, or what a proxy put in its place. */
export function errorOf(status, headers, text) {
  let answer = null;
  try {
    answer = JSON.parse(text);
  } catch {
    // Not ours: a proxy's page, or cut off.
  }
  const detail = answer?.detail;
  const reason = typeof detail === "string" && detail ? detail.slice(0, REASON_MAX_CHARS) : `http_${status}`;
  const seconds = headers.get("retry-after") ?? "";
  const retryAfterMs = /^[0-9]+$/.test(seconds) ? Number(seconds) * 1000 : null;
  const said = typeof answer?.text === "string" ? answer.text.slice(0, SAID_MAX_CHARS) : "";
  return apiError(status, reason, { retryAfterMs, faults: faultsOf(answer?.fields), said });
}

/** The header that carries a token; tokens never go into an address. */
export function bearer(token) {
  return { authorization: `Bearer ${token}` };
}

function authorization(auth) {
  if (auth === null || auth === undefined) return {};
  if (typeof auth === "string") return bearer(auth);
  const bytes = new TextEncoder().encode(auth.join(":"));
  return { authorization: `Basic ${btoa(String.fromCharCode(...bytes))}` };
}

function parsed(text, path) {
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ProtocolViolation(`${path}: the answer is no JSON`, { cause });
  }
}

function listOf(answer, name) {
  const list = Array.isArray(answer) ? answer : answer?.[name];
  if (!Array.isArray(list)) throw new ProtocolViolation(`the list of ${name}: there is none in the answer`);
  return list;
}

/** What the server says is wrong with a request, as far as it has the contract's shape. */
function faultsOf(fields) {
  return (Array.isArray(fields) ? fields.slice(0, FAULTS_MAX) : [])
    .filter((one) => typeof one?.field === "string" && typeof one?.rule === "string")
    .map(({ field, rule }) => ({ field: field.slice(0, REASON_MAX_CHARS), rule: rule.slice(0, REASON_MAX_CHARS) }));
}

