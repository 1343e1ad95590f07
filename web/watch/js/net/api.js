// Requests to this page's own server. A refusal is a `Refusal` with the server's stable reason.

/** Where the API is: beside the page, also behind a proxy that adds a prefix. */
export const BASE = new URL(".", document.baseURI);

const REQUEST_TIMEOUT_MS = 10_000;
const RETRY_HINT_MAX_MS = 60_000;

export class Refusal extends Error {
  /**
   * @param {number} status  The HTTP status; 0: no answer at all.
   * @param {string} reason  The server's code, or "unreachable".
   */
  constructor(status, reason, retryAfterMs = 0) {
    super(`${status} ${reason}`);
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }

  /** Whether the same request may work later. */
  get mayPass() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** @param {Response} response  @returns {Promise<Refusal>} */
export async function refusalOf(response) {
  let reason = `http_${response.status}`;
  try {
    const body = await response.json();
    if (typeof body.detail === "string") reason = body.detail.slice(0, 64);
  } catch {
    // Not ours: a proxy's page, or cut off.
  }
  const after = Number(response.headers.get("retry-after"));
  const hint = Number.isFinite(after) && after > 0 ? Math.min(after * 1000, RETRY_HINT_MAX_MS) : 0;
  return new Refusal(response.status, reason, hint);
}

/**
 * @param {string} path  Relative to the API, without a leading slash.
 * @param {{method?: string, token?: string | null, body?: object}} options
 * @throws {Refusal}
 */
export async function ask(path, { method = "GET", token = null, body } = {}) {
  const headers = {};
  if (token) headers.authorization = `Bearer ${token}`;
  if (body) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(new URL(path, BASE), {
      method,
      headers,
      body: body && JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    if (response.ok) return await response.json();
  } catch {
    throw new Refusal(0, "unreachable");
  }
  throw await refusalOf(response);
}
