// Who works here: the operator's token, in memory and for the life of the tab, never in an address.

import { ask } from "../../../watch/js/net/api.js";
import { AccessNeeded, attempt, KEPT_OPERATOR } from "../../../watch/js/net/sessions.js";

const API = "v1/operator";
export const STREAM_PATH = `${API}/stream`;

export class Operator {
  #token = null;

  /** @type {{name: string, role: "viewer" | "operator", expires_at_ms: number | null} | null} */
  me = null;

  /** Whether this token may change anything. */
  get mayAct() {
    return this.me?.role === "operator";
  }

  /**
   * Take a token; the server is asked at once whether it is any good.
   * @throws {import("../../../sdk/index.js").ChunkcrawlError}
   */
  async signIn(token) {
    this.me = await ask(`${API}/me`, { token });
    this.#token = token;
    attempt(() => sessionStorage.setItem(KEPT_OPERATOR, token));
  }

  /**
   * Take what an earlier page of this tab kept.
   * @returns {Promise<boolean>} Whether somebody is signed in now.
   * @throws {import("../../../sdk/index.js").ChunkcrawlError} If the server can't say now (`mayPass`), it stays kept.
   */
  async restore() {
    const kept = attempt(() => sessionStorage.getItem(KEPT_OPERATOR));
    if (!kept) return false;
    try {
      await this.signIn(kept);
      return true;
    } catch (error) {
      if (!error.mayPass) this.signOut();
      throw error;
    }
  }

  signOut() {
    this.#token = this.me = null;
    attempt(() => sessionStorage.removeItem(KEPT_OPERATOR));
  }

  /**
   * Ask the operators' API.
   * @param {string} path  Below it, without a leading slash.
   * @throws {import("../../../sdk/index.js").ChunkcrawlError}
   */
  ask(path, options = {}) {
    return ask(`${API}/${path}`, { ...options, token: this.#token });
  }

  /** The token as an event stream asks for it. @returns {import("../../../sdk/transport/event_stream.js").SessionSource} */
  get sessions() {
    return {
      current: async () => {
        if (!this.#token) throw new AccessNeeded();
        return { token: this.#token };
      },
      // There is no other token to try.
      dead: () => {
        throw new AccessNeeded("invalid_token");
      },
    };
  }
}
