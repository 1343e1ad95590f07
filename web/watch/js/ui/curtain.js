// What lies over the map when there is nothing to see: why, and what one can do about it.

import { byId, el, setText } from "../dom.js";

/** @param {[string, () => void][]} choices  Labels and what they do. */
export function drawCurtain(title, text, choices) {
  setText(byId("curtain-title"), title);
  setText(byId("curtain-text"), text);
  byId("curtain-buttons").replaceChildren(
    ...choices.map(([label, act]) => {
      const button = el("button", { type: "button", class: "button" }, label);
      button.addEventListener("click", act);
      return button;
    }),
  );
  byId("curtain").hidden = false;
  byId("stage").classList.add("covered");
}

export function openCurtain() {
  byId("curtain").hidden = true;
  byId("stage").classList.remove("covered");
}
