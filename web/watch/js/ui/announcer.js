// What is read aloud: changes of chunk and of the connection, and what is said, but never more than one thing every few
// seconds.

import { byId } from "../dom.js";

const EVERY_MS = 3_000;
const WAITING_MAX = 3;

export class Announcer {
  #place = byId("announcer");
  #waiting = [];
  #timer = 0;

  say(text) {
    this.#waiting.push(text);
    if (this.#waiting.length > WAITING_MAX) this.#waiting.shift();
    if (!this.#timer) this.#next();
  }

  #next() {
    const text = this.#waiting.shift();
    if (text === undefined) {
      this.#timer = 0;
      return;
    }
    this.#place.textContent = text;
    this.#timer = setTimeout(() => this.#next(), EVERY_MS);
  }
}

const TOAST_MS = 5_000;

/** A short note over the page. */
export function toast(text) {
  const note = document.createElement("p");
  note.textContent = text;
  byId("toasts").replaceChildren(note);
  setTimeout(() => note.remove(), TOAST_MS);
}
