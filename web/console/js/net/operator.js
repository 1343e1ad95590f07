// Who works here: the operator's token, in memory and for the life of the tab, never in an address.

import { ask, Refusal } from "../../../watch/js/net/api.js";
import { AccessNeeded, attempt } from "../../../watch/js/net/sessions.js";

const KEPT = "chunkcrawl.operator";
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
   * @throws {Refusal}
   */
  async signIn(token) {
    this.me = await ask(`${API}/me`, { token });
    this.#token = token;
    attempt(() => sessionStorage.setItem(KEPT, token));
  }

  /**
   * Take what an earlier page of this tab kept.
   * @returns {Promise<boolean>} Whether somebody is signed in now.
   * @throws {Refusal} The server can't say now; it stays kept.
   */
  async restore() {
    const kept = attempt(() => sessionStorage.getItem(KEPT));
    if (!kept) return false;
    try {
      await this.signIn(kept);
      return true;
    } catch (error) {
      if (!(error instanceof Refusal) || !error.mayPass) this.signOut();
      throw error;
    }
  }

  signOut() {
    this.#token = this.me = null;
    attempt(() => sessionStorage.removeItem(KEPT));
  }

  /**
   * Ask the operators' API.
   * @param {string} path  Below it, without a leading slash.
   * @throws {Refusal}
   */
  ask(path, options = {}) {
    return ask(`${API}/${path}`, { ...options, token: this.#token });
  }

  // -- what an event stream wants of its sessions --

  async get() {
    if (!this.#token) throw new AccessNeeded();
    return { token: this.#token };
  }

  /** The server does not know this token any more. */
  dead() {
    this.signOut();
    throw new AccessNeeded("invalid_token");
  }
}
