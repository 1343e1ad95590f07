// An agent's token as on the map, as an element.

import { el, setText } from "../dom.js";
import { MARKS } from "../state/looks.js";

export function makeToken() {
  return el("span", { class: "token", "aria-hidden": "true" });
}

/** @param {HTMLElement} token  @param {import("../state/looks.js").Look} look */
export function paintToken(token, look) {
  tint(token, look);
  setText(token, look.sign);
}

/** The colours and the mark alone. */
export function tint(node, { fill, ink, mark }) {
  node.style.backgroundColor = fill;
  node.style.color = ink;
  for (const name of MARKS) node.classList.toggle(`mark-${name}`, name === mark);
}
