// Where the world's chunks are, whose they are and what they cost; and one of them close up, live.

import { el, setText } from "../../../watch/js/dom.js";
import { hrefOf, inPath } from "../route.js";
import { Places } from "../state/places.js";
import { freeze, pin, thaw, unpin } from "../ui/actions.js";
import { actionButton } from "../ui/confirm.js";
import { LiveView } from "../ui/live_view.js";
import { ramp, shardColour } from "../ui/paint.js";
import { emptyNote, facts, link, pageHead, segments } from "../ui/parts.js";
import { WorldMap } from "../ui/world_map.js";
import { figure, load, refusalText } from "../ui/words.js";
import { marksNode } from "./chunks.js";

const COLOURINGS = [["shard", "Shard"], ["load", "Load"], ["agents", "Population"]];
/** How long new chunks may wait for their places. */
const PLACES_EVERY_MS = 10_000;
const LEGEND_MAX = 12;
const MEMBERS_MAX = 24;
const FACTS = [["shard", "Shard"], ["agents", "Agents"], ["load", "Load"], ["commands", "Commands/s"], ["watchers", "Watchers"], ["marks", "Marks"]];

export class MapPage {
  title = "Map";
  #desk;
  #map;
  #chosen;
  #alive = true;
  #asked = -Infinity;
  #legend = el("div", { class: "map-legend" });
  #tip = el("div", { class: "map-tip", hidden: true });
  #side = el("aside", { class: "map-side", "aria-label": "Chunk" });
  #problem = el("p", { class: "problem", role: "alert", hidden: true });
  #live = null;
  #facts = null;
  #actions = el("div", { class: "actions" });
  #members = el("ul", { class: "chips" });

  constructor(desk, chunkId) {
    this.#desk = desk;
    this.#chosen = chunkId;
    this.title = chunkId ?? "Map";
    this.#map = new WorldMap(desk.board, (id) => (location.hash = hrefOf("map", id)), (id, at) => this.#point(id, at));
    this.#map.chosen = chunkId;
  }

  mount(root) {
    const zoom = el("div", { class: "zoom", role: "group", "aria-label": "Zoom" });
    for (const [label, sign, factor] of [["Zoom in", "+", 1.6], ["Zoom out", "−", 1 / 1.6], ["Show all", "⤢", null]]) {
      const button = el("button", { type: "button", "aria-label": label }, sign);
      button.addEventListener("click", () => this.#map.zoom(factor));
      zoom.append(button);
    }
    const colouring = segments("Colours", COLOURINGS, this.#map.colouring, (kind) => {
      this.#map.colouring = kind;
      this.#map.invalidate();
      this.#drawLegend();
    });
    root.classList.add("fills");
    const frame = el("div", { class: "map-frame" }, this.#map.node, zoom, this.#tip);
    root.append(pageHead("Map", colouring, this.#legend), this.#problem, el("div", { class: "map-and-side" }, frame, this.#side));
    this.#open(this.#chosen);
    this.#askPlaces();
  }

  close() {
    this.#alive = false;
    this.#live?.close();
    this.#map.close();
  }

  /** Another chunk is looked at, on the same map. */
  goTo(chunkId) {
    this.title = chunkId ?? "Map";
    this.#open(chunkId);
  }

  restyle() {
    this.#map.invalidate();
    this.#live?.restyle();
    this.#drawLegend();
  }

  update(topics) {
    if (!topics.has("chunks") && !topics.has("marks") && !topics.has("shards")) return;
    const { chunks } = this.#desk.board;
    if (topics.has("chunks") && chunks.size !== this.#map.places.count) this.#askPlaces();
    this.#map.invalidate();
    this.#drawLegend();
    if (this.#chosen) this.#drawFacts();
    else this.#drawBusiest();
  }

  async #askPlaces() {
    if (performance.now() - this.#asked < PLACES_EVERY_MS) return;
    this.#asked = performance.now();
    try {
      const found = await this.#desk.operator.ask("map");
      if (!this.#alive) return;
      this.#problem.hidden = true;
      this.#map.setPlaces(new Places(found));
    } catch (error) {
      this.#problem.hidden = false;
      setText(this.#problem, refusalText(error));
    }
  }

  // -- legend and tip --

  #drawLegend() {
    const dark = getComputedStyle(this.#legend).colorScheme === "dark";
    if (this.#map.colouring !== "shard") {
      const steps = ramp(this.#map.colouring, dark);
      const bar = el("span", { class: "ramp" });
      bar.style.background = `linear-gradient(90deg, ${steps.join(", ")})`;
      const most = this.#map.colouring === "load" ? load(this.#map.most) : figure(this.#map.most);
      this.#legend.replaceChildren(el("span", {}, "0"), bar, el("span", {}, this.#map.colouring === "load" ? `${most} of a core` : `${most} agents`));
      return;
    }
    const numbers = [...new Set(this.#desk.board.chunks.rows.map(({ shard }) => shard))].sort((a, b) => a - b);
    const now = numbers.join();
    if (this.#legend.dataset.now === `${now} ${dark}`) return;
    this.#legend.dataset.now = `${now} ${dark}`;
    this.#legend.replaceChildren(...numbers.slice(0, LEGEND_MAX).map((shard) => this.#shardKey(shard, dark)));
    if (numbers.length > LEGEND_MAX) this.#legend.append(el("span", {}, `and ${numbers.length - LEGEND_MAX} more`));
  }

  #shardKey(shard, dark) {
    const key = el("i", { class: "swatch" });
    key.style.background = shardColour(shard, dark);
    const button = el("button", { type: "button", class: "shard-key", "aria-pressed": String(this.#map.onlyShard === shard), title: `Only shard ${shard}` }, key, String(shard));
    button.addEventListener("click", () => {
      this.#map.onlyShard = this.#map.onlyShard === shard ? null : shard;
      for (const one of this.#legend.children) one.setAttribute("aria-pressed", String(one === button && this.#map.onlyShard === shard));
      this.#map.invalidate();
    });
    return button;
  }

  #point(id, at) {
    const chunk = id && this.#desk.board.chunks.get(id);
    this.#tip.hidden = !chunk || !at;
    if (this.#tip.hidden) return;
    setText(this.#tip, `${id} · shard ${chunk.shard} · ${figure(chunk.agents)} agents · ${chunk.cost ? `${load(chunk.cost)} of a core` : "little load"}`);
    this.#tip.style.translate = `${Math.round(at.x)}px ${Math.round(at.y)}px`;
    this.#tip.classList.toggle("to-left", at.x > this.#map.camera.width / 2);
  }

  // -- beside the map --

  #open(chunkId) {
    this.#live?.close();
    this.#live = this.#facts = null;
    this.#chosen = this.#map.chosen = chunkId;
    this.#map.invalidate();
    this.#side.parentElement?.classList.toggle("has-chunk", chunkId !== null);
    if (chunkId === null) {
      this.#drawBusiest();
      return;
    }
    const close = link(hrefOf("map"), "✕", "side-close");
    close.setAttribute("aria-label", "Close");
    // As opener: the new tab takes over what this one keeps, the token with which it may watch.
    const watch = el("a", { class: "panel-link", href: `watch#/chunk/${inPath(chunkId)}`, target: "_blank", rel: "opener" }, "Watch ↗");
    this.#facts = facts(FACTS);
    this.#live = new LiveView(chunkId, this.#desk.spectators);
    this.#side.replaceChildren(
      el("header", { class: "side-head" }, el("h2", {}, el("bdi", {}, chunkId)), watch, close),
      this.#live.node, this.#facts.node, this.#actions, el("h3", {}, "Who is here"), this.#members,
    );
    this.#members.replaceChildren();
    this.#drawFacts();
    this.#askMembers(chunkId);
  }

  async #askMembers(chunkId) {
    let made;
    try {
      const { members } = await this.#desk.operator.ask(`chunks/${inPath(chunkId)}`);
      made = members.slice(0, MEMBERS_MAX).map((id) => el("li", {}, link(hrefOf("agent", id), id, "chip")));
      if (members.length > MEMBERS_MAX) made.push(el("li", {}, link(hrefOf("agents", chunkId), `all ${members.length}`, "chip")));
      if (members.length === 0) made = [emptyNote("Nobody.")];
    } catch (error) {
      made = [emptyNote(refusalText(error))];
    }
    if (this.#alive && this.#chosen === chunkId) this.#members.replaceChildren(...made);
  }

  #drawFacts() {
    const { board, operator, confirm } = this.#desk;
    const id = this.#chosen;
    const chunk = board.chunks.get(id);
    const { frozen, pinned } = board.marks;
    const marks = board.marksOf(id);
    this.#facts.show({
      shard: chunk ? String(chunk.shard) : "–",
      agents: figure(chunk?.agents),
      load: chunk?.cost ? load(chunk.cost) : "small",
      commands: figure(chunk?.commands ?? 0),
      watchers: figure(chunk?.watchers),
      marks: marks.length ? marksNode(marks) : "none",
    });
    const now = `${id} ${marks.join()}`;
    if (this.#actions.dataset.now === now) return;
    this.#actions.dataset.now = now;
    this.#actions.replaceChildren(
      frozen.has(id) ? actionButton(operator, confirm, "Thaw", () => thaw(id)) : actionButton(operator, confirm, "Freeze", () => freeze(id)),
      pinned.has(id) ? actionButton(operator, confirm, "Unpin", () => unpin(id)) : actionButton(operator, confirm, "Pin", () => pin(id)),
    );
  }

  /** With no chunk chosen: those that cost or hold the most. */
  #drawBusiest() {
    const rows = [...this.#desk.board.chunks.rows].sort((a, b) => (b.cost ?? 0) - (a.cost ?? 0) || b.agents - a.agents).slice(0, 14);
    const lines = rows.map(({ id, agents, cost, shard }) => {
      const more = el("span", { class: "line-more" }, `shard ${shard} · ${figure(agents)} agents`);
      return el("li", { class: "line" }, el("span", { class: "line-main" }, link(hrefOf("map", id), id)), el("b", {}, cost ? load(cost) : "small"), more);
    });
    const head = el("header", { class: "side-head" }, el("h2", {}, "Busiest chunks"));
    const known = lines.length ? el("ol", { class: "lines" }, ...lines) : emptyNote("The world has no chunks yet.");
    // Redrawn under a hand, a link would not get its click.
    if (!this.#side.matches(":hover, :focus-within")) this.#side.replaceChildren(head, known);
  }
}
