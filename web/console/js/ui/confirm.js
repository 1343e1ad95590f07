// Says what an action will do before it is done, asks for what it needs, and offers the way back afterwards.

import { byId, el, setText } from "../../../watch/js/dom.js";
import { notice } from "./notices.js";
import { refusalText } from "./words.js";

/**
 * @typedef {object} Action
 * @property {string} label  Of its button: "Mute".
 * @property {string} title  As a question: "Mute scout-1?".
 * @property {string[]} text  What will happen, in sentences.
 * @property {boolean} [danger]
 * @property {string} [go]  Of the button that does it; `label` otherwise.
 * @property {Field[]} [fields]
 * @property {(values: Record<string, string>) => {path: string, method?: string, body?: object}} request
 * @property {Action | null} [undo]  What takes it back.
 * @property {string} [later]  What to do where it can't be taken back.
 */

/** @typedef {{name: string, label: string, type: "text" | "number" | "select", value?: string, choices?: [string, string][], least?: number, most?: number, needed?: boolean, hint?: string}} Field */

export class Confirm {
  #dialog = byId("confirm-dialog");
  #operator;
  #action = null;
  #busy = false;

  /** @param {import("../net/operator.js").Operator} operator */
  constructor(operator) {
    this.#operator = operator;
    byId("confirm-cancel").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("cancel", (event) => this.#busy && event.preventDefault());
    byId("confirm-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#go();
    });
  }

  /** Say what it will do, and wait for a yes. @param {Action} action */
  open(action) {
    if (!this.#operator.mayAct) {
      notice(refusalText({ reason: "invalid_scope" }), null, "bad");
      return;
    }
    this.#action = action;
    setText(byId("confirm-title"), action.title);
    byId("confirm-text").replaceChildren(...action.text.map((sentence) => el("p", {}, sentence)));
    byId("confirm-fields").replaceChildren(...(action.fields ?? []).map(fieldNode));
    setText(byId("confirm-undo"), action.undo ? "It can be undone at any time." : (action.later ?? "It can’t be undone."));
    const go = byId("confirm-go");
    setText(go, action.go ?? action.label);
    go.classList.toggle("danger", Boolean(action.danger));
    this.#problem("");
    this.#setBusy(false);
    if (!this.#dialog.open) this.#dialog.showModal();
    (byId("confirm-fields").querySelector("input, select") ?? byId("confirm-cancel")).focus();
  }

  async #go() {
    if (this.#busy) return;
    const action = this.#action;
    const values = Object.fromEntries([...byId("confirm-fields").querySelectorAll("[name]")].map((node) => [node.name, node.value.trim()]));
    this.#problem("");
    this.#setBusy(true);
    try {
      const { text } = await this.#ask(action.request(values));
      this.#dialog.close();
      const { undo } = action;
      notice(text ?? `${action.label}: done.`, undo ? { label: `Undo: ${undo.label.toLowerCase()}`, act: () => this.#undo(undo) } : null);
    } catch (error) {
      this.#problem(refusalText(error));
    } finally {
      this.#setBusy(false);
    }
  }

  async #undo(action) {
    try {
      const { text } = await this.#ask(action.request({}));
      notice(text ?? `${action.label}: done.`);
    } catch (error) {
      notice(`Not undone. ${refusalText(error)}`, { label: "Try again", act: () => this.#undo(action) }, "bad");
    }
  }

  #ask({ path, method = "POST", body = {} }) {
    return this.#operator.ask(path, { method, body });
  }

  #setBusy(busy) {
    this.#busy = busy;
    byId("confirm-go").toggleAttribute("disabled", busy);
    byId("confirm-form").setAttribute("aria-busy", String(busy));
  }

  #problem(text) {
    byId("confirm-problem").hidden = !text;
    setText(byId("confirm-problem"), text);
  }
}

function fieldNode({ name, label, type, value = "", choices = [], least, most, needed = false, hint = "" }) {
  const id = `field-${name}`;
  const common = { id, name, required: needed };
  const input =
    type === "select"
      ? el("select", common, ...choices.map(([choice, text]) => el("option", { value: choice, selected: choice === value }, text)))
      : el("input", { ...common, type, value, min: least, max: most, maxlength: type === "text" ? (most ?? 200) : null, step: type === "number" ? 1 : null, autocomplete: "off" });
  return el("div", { class: "confirm-field" }, el("label", { for: id }, label), input, hint ? el("p", { class: "hint" }, hint) : null);
}

/**
 * A button for an action; to those who may only look it says why it does nothing.
 * @param {import("../net/operator.js").Operator} operator  @param {Confirm} confirm
 * @param {() => Action} actionOf  Asked when it is pressed, for what it says may have changed.
 */
export function actionButton(operator, confirm, label, actionOf, className = "quiet small") {
  const may = operator.mayAct;
  const button = el("button", { type: "button", class: `button ${className}`, "aria-disabled": may ? null : "true", title: may ? null : refusalText({ reason: "invalid_scope" }) }, label);
  button.addEventListener("click", () => confirm.open(actionOf()));
  return button;
}
