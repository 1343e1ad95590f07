// A chunk as a spectator sees it, live, in a small stage: the same parts that the page to watch is made of.

import { ChunkGone, Watcher } from "../../../sdk/index.js";
import { el, setText } from "../../../watch/js/dom.js";
import { Stage } from "../../../watch/js/map/stage.js";
import { BASE } from "../../../watch/js/net/api.js";
import { AccessNeeded } from "../../../watch/js/net/sessions.js";
import { Looks } from "../../../watch/js/state/looks.js";
import { Trails } from "../../../watch/js/state/trails.js";
import { refusalText } from "./words.js";

const PHASES = { live: "", waiting: "Connection lost; trying again.", connecting: "Connecting …" };

export class LiveView {
  #watcher;
  #stage;
  #looks = new Looks();
  #terrain = "";
  #jump = true;
  #over = false;
  #note = el("p", { class: "live-note" }, "Connecting …");

  /**
   * @param {string} chunkId
   * @param {import("../../../watch/js/net/sessions.js").Sessions} sessions  A spectator's.
   */
  constructor(chunkId, sessions) {
    const canvas = el("canvas", { class: "live-canvas", role: "img", "aria-label": `${chunkId}, live` });
    const bubbles = el("div", { class: "bubbles", "aria-hidden": "true" });
    this.node = el("div", { class: "stage live" }, canvas, bubbles, this.#note);
    this.#stage = new Stage(this.node, canvas, bubbles, this.#looks, new Trails(), () => {});
    this.#stage.smooth = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#watcher = Watcher.chunk(BASE, chunkId, {
      sessions: sessions.of(null),
      onPhase: (phase) => this.#say(PHASES[phase]),
      openTimeoutMs: null,
      awayTimeoutMs: null,
    });
    this.#watch();
  }

  close() {
    this.#over = true;
    this.#watcher.close();
  }

  restyle() {
    this.#stage.restyle();
  }

  async #watch() {
    try {
      for await (const event of this.#watcher.events()) {
        if (this.#over) return;
        if (event.type === "chunk_static") this.#static();
        else if (event.type === "chunk_delta" && event.tick === this.#watcher.view.tick) this.#delta();
      }
    } catch (error) {
      if (!this.#over) this.#refused(error);
    }
  }

  #static() {
    const terrain = this.#watcher.view.grid.map((row) => row.join("")).join();
    if (terrain === this.#terrain) return;
    this.#terrain = terrain;
    this.#stage.setTerrain(this.#watcher.view.grid);
  }

  #delta() {
    this.#looks.update(this.#watcher.view.agents.values());
    this.#stage.update(this.#watcher.view, this.#jump);
    this.#jump = false;
    for (const event of this.#watcher.view.happened) {
      if (event.type === "chat") this.#stage.say(event.from, this.#looks.of(event.from).full, String(event.text).slice(0, 400));
    }
  }

  #say(text) {
    this.#note.hidden = text === "";
    setText(this.#note, text);
  }

  #refused(error) {
    if (error instanceof ChunkGone) this.#say("This chunk was removed: nobody was in it for a while.");
    else if (error instanceof AccessNeeded) this.#say("The server does not take this token to watch any more: sign in again.");
    else this.#say(refusalText(error));
  }
}
