// The state of the connection, in words, with a shape of its own for each.

import { byId, setText } from "../dom.js";

const WORDS = { connecting: "Connecting", live: "Live", past: "Past", waiting: "Connection lost", stopped: "Not connected" };

export class ConnectionState {
  #root = byId("connection");
  #timer = 0;
  #tick = -1;

  phase = "connecting";

  /** @param {"connecting" | "live" | "past" | "waiting" | "stopped"} phase  "past": what is shown is over; the bar below the map says when it was.  @param {number} waitMs */
  show(phase, waitMs = 0) {
    this.phase = phase;
    clearInterval(this.#timer);
    this.#root.dataset.phase = phase;
    document.body.classList.toggle("cut-off", phase === "waiting" || phase === "stopped");
    setText(this.#root.querySelector(".connection-word"), WORDS[phase]);
    if (phase === "waiting") {
      const until = performance.now() + waitMs;
      const count = () => this.#detail(`again in ${Math.max(1, Math.ceil((until - performance.now()) / 1000))} s`);
      count();
      this.#timer = setInterval(count, 500);
    } else {
      this.#detail(phase === "live" && this.#tick >= 0 ? `tick ${this.#tick.toLocaleString("en")}` : "");
    }
  }

  tick(tick) {
    this.#tick = tick;
    if (this.phase === "live") this.#detail(`tick ${tick.toLocaleString("en")}`);
  }

  #detail(text) {
    setText(this.#root.querySelector(".connection-detail"), text);
  }
}
