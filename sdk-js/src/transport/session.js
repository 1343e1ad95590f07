// An open session. Its secrets are private fields, so that neither `console.log` nor JSON shows them.

/** The lifetime of a session when the server does not say; the contract's default. */
const DEFAULT_LIFETIME_MS = 900_000;

export class Session {
  #token;
  #cmdSecret;
  jti;
  role;
  /** Milliseconds from the server's answer to the session's end, by the server's own clock. */
  lifetimeMs;

  /** @param {{token: string, jti?: string, role?: string, cmdSecret?: string, lifetimeMs?: number}} fields */
  constructor({ token, jti = "", role = "", cmdSecret = "", lifetimeMs = DEFAULT_LIFETIME_MS }) {
    this.#token = token;
    this.#cmdSecret = cmdSecret;
    this.jti = jti;
    this.role = role;
    this.lifetimeMs = lifetimeMs;
  }

  /** Of the server's answer, which was written at `nowMs` by the server's clock. */
  static of(answer, nowMs) {
    return new Session({
      token: answer.session_token,
      jti: answer.session_jti,
      role: answer.role,
      cmdSecret: answer.cmd_secret ?? "",
      lifetimeMs: lifetimeMs(answer, nowMs),
    });
  }

  /** The same session with the end that another answer gives it. */
  until(answer, nowMs) {
    const { jti, role } = this;
    return new Session({ token: this.#token, jti, role, cmdSecret: this.#cmdSecret, lifetimeMs: lifetimeMs(answer, nowMs) });
  }

  /** What requests are authorised with. */
  get token() {
    return this.#token;
  }

  /** What commands are signed with; empty for roles that only watch. */
  get cmdSecret() {
    return this.#cmdSecret;
  }
}

function lifetimeMs(answer, nowMs) {
  const inS = answer?.expires_in_s;
  if (Number.isFinite(inS)) return Math.max(0, inS * 1000);
  const at = answer?.expires_at;
  // Seconds pass 10**11 in the year 5138, milliseconds did in 1973.
  const endMs = typeof at === "string" ? Date.parse(at) : at > 1e11 ? at : (at ?? NaN) * 1000;
  return Number.isFinite(endMs) ? Math.max(0, endMs - nowMs) : DEFAULT_LIFETIME_MS;
}
