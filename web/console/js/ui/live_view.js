// A chunk as a spectator sees it, live, in a small stage: the same parts that the page to watch is made of.

import { el, setText } from "../../../watch/js/dom.js";
import { Stage } from "../../../watch/js/map/stage.js";
import { AccessNeeded } from "../../../watch/js/net/sessions.js";
import { EventStream } from "../../../watch/js/net/stream.js";
import { Looks } from "../../../watch/js/state/looks.js";
import { WorldView } from "../../../watch/js/state/world_view.js";
import { inPath } from "../route.js";
import { refusalText } from "./words.js";

export class LiveView {
  #stream;
  #stage;
  #looks = new Looks();
  #world = new WorldView();
  #terrain = "";
  #jump = true;
  #note = el("p", { class: "live-note" }, "Connecting …");

  /**
   * @param {string} chunkId
   * @param {import("../../../watch/js/net/sessions.js").Sessions} sessions  A spectator's.
   */
  constructor(chunkId, sessions) {
    const canvas = el("canvas", { class: "live-canvas", role: "img", "aria-label": `${chunkId}, live` });
    const bubbles = el("div", { class: "bubbles", "aria-hidden": "true" });
    this.node = el("div", { class: "stage live" }, canvas, bubbles, this.#note);
    this.#stage = new Stage(this.node, canvas, bubbles, this.#looks, () => {});
    this.#stage.smooth = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#stream = new EventStream(`v1/spectate/stream?chunk_id=${inPath(chunkId)}`, null, sessions, {
      event: (type, data) => this.#event(type, data),
      phase: (phase) => this.#say(phase === "live" ? "" : phase === "waiting" ? "Connection lost; trying again." : "Connecting …"),
      refused: (error) => this.#refused(error),
    });
    this.#stream.run();
  }

  close() {
    this.#stream.close();
  }

  restyle() {
    this.#stage.restyle();
  }

  #event(type, data) {
    const happened = this.#world.feed(type, data);
    if (type === "chunk_static") this.#static();
    else if (type === "chunk_delta" && data.tick === this.#world.tick) this.#delta(happened);
    else if (type === "chunk_closed") {
      this.#say("This chunk was removed: nobody was in it for a while.");
      return true;
    }
    return false;
  }

  #static() {
    const terrain = this.#world.grid.map((row) => row.join("")).join();
    if (terrain === this.#terrain) return;
    this.#terrain = terrain;
    this.#stage.setTerrain(this.#world.grid);
  }

  #delta(happened) {
    this.#looks.update(this.#world.agents.values());
    this.#stage.update(this.#world, this.#jump);
    this.#jump = false;
    for (const event of happened) {
      if (event.type === "chat") this.#stage.say(event.from, this.#looks.of(event.from).full, String(event.text).slice(0, 400));
    }
  }

  #say(text) {
    this.#note.hidden = text === "";
    setText(this.#note, text);
  }

  #refused(error) {
    if (error instanceof AccessNeeded) this.#say("This world wants to know who watches. Open it in the page to watch, with a spectator’s token, or set CHUNKCRAWL_PUBLIC_WATCHING.");
    else this.#say(refusalText(error));
  }
}
