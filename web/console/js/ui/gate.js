// Signing in: the card before the console, until there is a token that works.

import { byId, setText } from "../../../watch/js/dom.js";
import { refusalText } from "./words.js";

export class Gate {
  #operator;
  #secret = byId("gate-token");

  /** @param {import("../net/operator.js").Operator} operator  @param {() => void} opened  Somebody is signed in. */
  constructor(operator, opened) {
    this.#operator = operator;
    byId("gate-form").addEventListener("submit", async (event) => {
      event.preventDefault();
      if (await this.#take()) opened();
    });
  }

  /** @param {{reason: string, said?: string} | null} why  The refusal that closed it. */
  close(why = null) {
    document.body.classList.add("signed-out");
    this.#problem(why ? refusalText(why) : "");
    this.#secret.focus();
  }

  open() {
    document.body.classList.remove("signed-out");
    this.#secret.value = "";
    this.#problem("");
  }

  async #take() {
    const token = this.#secret.value.trim();
    if (!/^[\w-]{8,200}$/.test(token)) {
      this.#problem("An operator’s token begins with dco_; agents’ keys and sessions are others.");
      return false;
    }
    byId("gate-go").disabled = true;
    try {
      await this.#operator.signIn(token);
      return true;
    } catch (error) {
      this.#problem(refusalText(error));
      return false;
    } finally {
      byId("gate-go").disabled = false;
    }
  }

  #problem(text) {
    byId("gate-problem").hidden = !text;
    setText(byId("gate-problem"), text);
    this.#secret.setAttribute("aria-invalid", String(Boolean(text)));
  }
}
