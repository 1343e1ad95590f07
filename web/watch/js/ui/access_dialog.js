// The dialog in which a person gives the page a session token or an API key.

import { byId, setText } from "../dom.js";
import { AccessNeeded } from "../net/sessions.js";
import { reasonText } from "./words.js";

export class AccessDialog {
  #dialog = byId("access-dialog");
  #secret = byId("access-secret");
  #sessions;

  /**
   * @param {import("../net/sessions.js").Sessions} sessions
   * @param {() => void} opened  There is access now.
   * @param {() => void} forgotten  There is none any more.
   */
  constructor(sessions, opened, forgotten) {
    this.#sessions = sessions;
    byId("access-button").addEventListener("click", () => this.open(""));
    byId("access-cancel").addEventListener("click", () => this.#dialog.close());
    byId("access-forget").addEventListener("click", () => {
      sessions.forget();
      this.#dialog.close();
      forgotten();
    });
    this.#dialog.addEventListener("close", () => (this.#secret.value = ""));
    byId("access-form").addEventListener("submit", async (event) => {
      event.preventDefault();
      if (await this.#take()) {
        this.#dialog.close();
        opened();
      }
    });
  }

  /** @param {string} why  A reason code, "" for none. */
  open(why) {
    const { kind } = this.#sessions;
    const texts = {
      dev: "This is a development server: it lets anyone watch, and follow any agent. A session token or an API key of your own works, too.",
      public: "Anybody may watch this world. To follow an agent of yours, paste a session token, or an API key.",
      none: "This world wants to know who watches. Paste a session token, or an API key with which this page opens sessions by itself.",
      operator: "The console’s token is in use: it watches, and follows nobody. A session token, or an API key, takes its place.",
      key: "An API key is in use. Another one, or a session token, takes its place.",
      token: "A session token is in use. Another one, or an API key, takes its place.",
    };
    setText(byId("access-text"), texts[kind]);
    byId("access-forget").hidden = kind !== "key" && kind !== "token";
    this.#problem(why ? reasonText(why) : "");
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#secret.focus();
  }

  async #take() {
    const secret = this.#secret.value.trim();
    if (!/^(sess_|dcw_|test-)[\w-]+$/.test(secret)) {
      this.#problem("A session token begins with sess_, an API key with dcw_.");
      return false;
    }
    try {
      await this.#sessions.use(secret, byId("access-keep").checked);
      return true;
    } catch (error) {
      this.#problem(reasonText(error instanceof AccessNeeded ? error.why : (error.reason ?? "server_unreachable")));
      return false;
    }
  }

  #problem(text) {
    const place = byId("access-problem");
    place.hidden = !text;
    setText(place, text);
    this.#secret.setAttribute("aria-invalid", String(Boolean(text)));
  }
}
