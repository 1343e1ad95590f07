// Short notes over the page, with a way back where there is one.

import { byId, el } from "../../../watch/js/dom.js";

const PLAIN_MS = 6_000;
const UNDO_MS = 15_000;
const SHOWN_MAX = 3;

/** @param {string} text  @param {{label: string, act: () => void} | null} undo */
export function notice(text, undo = null, kind = "good") {
  const note = el("div", { class: `notice notice-${kind}` }, el("span", {}, text));
  if (undo) {
    const button = el("button", { type: "button", class: "notice-undo" }, undo.label);
    button.addEventListener("click", () => {
      note.remove();
      undo.act();
    });
    note.append(button);
  }
  const place = byId("toasts");
  place.append(note);
  while (place.children.length > SHOWN_MAX) place.firstElementChild.remove();
  setTimeout(() => note.remove(), undo ? UNDO_MS : PLAIN_MS);
}
