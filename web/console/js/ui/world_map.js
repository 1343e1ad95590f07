// The map of all chunks, on a canvas: 10,000 squares are drawn when something changes, and not otherwise.

import { el } from "../../../watch/js/dom.js";
import { Camera } from "../../../watch/js/map/camera.js";
import { attachHands } from "../../../watch/js/map/hands.js";
import { Places } from "../state/places.js";
import { ramp, shardColour, stepOf } from "./paint.js";

const STEPS = { ArrowUp: [0, 1], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowLeft: [-1, 0] };
/** Cells as large as this have room for a number. */
const NUMBER_FROM_PX = 30;
const EMPTY_ALPHA = 0.38;
const OTHERS_ALPHA = 0.12;

export class WorldMap {
  camera = new Camera();
  hovered = null;
  tracking = false;
  chosen = null;
  /** "shard", "load" or "agents": what colours mean. */
  colouring = "shard";
  /** Only this shard's chunks stand out; null: all do. */
  onlyShard = null;
  places = new Places();
  #board;
  #canvas = el("canvas", { class: "world-canvas", role: "img", "aria-label": "Map of chunks" });
  #frame = 0;
  #choose;
  #hover;
  #resized;
  #settle;

  /**
   * @param {import("../state/board.js").Board} board
   * @param {(chunkId: string) => void} choose
   * @param {(chunkId: string | null, at: {x: number, y: number} | null) => void} hover
   */
  constructor(board, choose, hover) {
    this.#board = board;
    this.#choose = choose;
    this.#hover = hover;
    this.node = el("div", { class: "world-map", tabindex: 0, role: "application", "aria-label": "Map of chunks: arrow keys go from chunk to chunk, Enter opens" }, this.#canvas);
    this.camera.margin = { top: 14, right: 14, bottom: 14, left: 14 };
    this.#settle = attachHands(this.#canvas, this, (id) => id && choose(id));
    this.node.addEventListener("keydown", (event) => this.#key(event));
    this.#resized = new ResizeObserver(() => this.#resize());
    this.#resized.observe(this.node);
  }

  close() {
    this.#resized.disconnect();
    cancelAnimationFrame(this.#frame);
  }

  /** Chunks lie elsewhere now, or there are others. */
  setPlaces(places) {
    this.places = places;
    this.camera.cells = places.size;
    if (!this.camera.isClose) this.camera.fit();
    this.camera.jump();
    this.invalidate();
  }

  /** @param {number} factor  null: all of it. */
  zoom(factor) {
    if (factor === null) this.camera.fit();
    else this.camera.zoomBy(factor);
    this.#settle();
  }

  /** The chunk at a pixel, or null. */
  idAt(px, py) {
    const { x, y } = this.camera.under(px, py);
    return this.places.at(x, y);
  }

  invalidate() {
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #resize() {
    const { clientWidth: width, clientHeight: height } = this.node;
    if (!width || !height) return;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    Object.assign(this.#canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    Object.assign(this.camera, { width, height });
    if (!this.camera.isClose) this.camera.fit();
    this.camera.jump();
    this.#draw();
  }

  #draw() {
    this.#frame = 0;
    const { camera } = this;
    if (camera.advance(true)) this.invalidate();
    const ctx = this.#canvas.getContext("2d", { alpha: false });
    const ratio = this.#canvas.width / camera.width;
    const style = getComputedStyle(this.node);
    const token = (name) => style.getPropertyValue(name).trim();
    const dark = style.colorScheme === "dark";
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.fillStyle = token("--surface-2");
    ctx.fillRect(0, 0, camera.width, camera.height);
    const colourOf = this.#colours(dark, token("--line"));
    const gap = camera.scale > 6 ? 1 : 0;
    for (const place of this.places.all) {
      const chunk = this.#board.chunks.get(place.id);
      const box = this.#box(place, gap);
      if (!chunk || box.x > camera.width || box.y > camera.height || box.x + box.w < 0 || box.y + box.h < 0) continue;
      const others = this.onlyShard !== null && this.onlyShard !== chunk.shard;
      // Of a shard's chunks those stand out in which somebody is.
      ctx.globalAlpha = others ? OTHERS_ALPHA : this.colouring === "shard" && chunk.agents === 0 ? EMPTY_ALPHA : 1;
      ctx.fillStyle = colourOf(chunk);
      ctx.fillRect(box.x, box.y, box.w, box.h);
      ctx.globalAlpha = others ? OTHERS_ALPHA : 1;
      this.#marks(ctx, place.id, box, token);
      if (box.w >= NUMBER_FROM_PX && chunk.agents > 0) number(ctx, chunk.agents, box, dark, this.colouring, style.fontFamily);
    }
    ctx.globalAlpha = 1;
    this.#frames(ctx, token);
    this.#hover(this.hovered, this.hovered ? this.#middle(this.hovered) : null);
  }

  #colours(dark, still) {
    if (this.colouring === "shard") {
      const known = new Map();
      return ({ shard }) => {
        if (!known.has(shard)) known.set(shard, shardColour(shard, dark));
        return known.get(shard);
      };
    }
    const valueOf = this.colouring === "load" ? ({ cost }) => cost ?? 0 : ({ agents }) => agents;
    const most = this.most;
    const steps = ramp(this.colouring, dark);
    return (chunk) => (valueOf(chunk) > 0 ? steps[stepOf(valueOf(chunk), most)] : still);
  }

  /** The greatest load or number of agents of any chunk. */
  get most() {
    const of = this.colouring === "load" ? ({ cost }) => cost ?? 0 : ({ agents }) => agents;
    return this.#board.chunks.rows.reduce((most, chunk) => Math.max(most, of(chunk)), 0);
  }

  #box({ x, y, part, of }, gap) {
    const { scale } = this.camera;
    const { x: cx, y: cy } = this.camera.at(x, y);
    const width = scale / of;
    return { x: cx - scale / 2 + part * width + gap / 2, y: cy - scale / 2 + gap / 2, w: width - gap, h: scale - gap };
  }

  #marks(ctx, id, box, token) {
    const { frozen, pinned, moving, worldFrozen } = this.#board.marks;
    if (frozen.has(id) || worldFrozen) {
      ctx.fillStyle = token("--cold-soft");
      ctx.fillRect(box.x, box.y, box.w, box.h);
      ctx.strokeStyle = token("--cold");
      ctx.lineWidth = Math.max(1, Math.min(3, box.w / 5));
      ctx.strokeRect(box.x + ctx.lineWidth / 2, box.y + ctx.lineWidth / 2, box.w - ctx.lineWidth, box.h - ctx.lineWidth);
    }
    if (moving.has(id)) {
      ctx.fillStyle = token("--text");
      ctx.fillRect(box.x + box.w / 3, box.y + box.h / 3, box.w / 3, box.h / 3);
    }
    if (pinned.has(id) && box.w > 4) {
      ctx.fillStyle = token("--text");
      ctx.beginPath();
      ctx.arc(box.x + box.w - box.w / 5, box.y + box.h / 5, Math.max(1.5, box.w / 10), 0, 7);
      ctx.fill();
    }
  }

  /** Around who is chosen and who is pointed at. */
  #frames(ctx, token) {
    for (const [id, width] of [[this.hovered, 1.5], [this.chosen, 3]]) {
      const place = id && this.places.get(id);
      if (!place) continue;
      const box = this.#box(place, 0);
      ctx.strokeStyle = token("--bg");
      ctx.lineWidth = width + 3;
      ctx.strokeRect(box.x - 1, box.y - 1, box.w + 2, box.h + 2);
      ctx.strokeStyle = token("--text");
      ctx.lineWidth = width;
      ctx.strokeRect(box.x - 1, box.y - 1, box.w + 2, box.h + 2);
    }
  }

  #middle(id) {
    const place = this.places.get(id);
    return place ? this.camera.at(place.x, place.y) : null;
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const zoom = { "+": 1.6, "=": 1.6, "-": 1 / 1.6, 0: null }[event.key];
    if (zoom !== undefined) {
      this.zoom(zoom);
      return;
    }
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const from = this.places.get(this.chosen);
    const first = this.places.all.next().value?.id ?? null;
    const next = from ? this.places.at(from.x + step[0], from.y + step[1]) : first;
    if (next) this.#choose(next);
  }
}

function number(ctx, count, box, dark, colouring, font) {
  ctx.font = `600 ${Math.min(14, box.w / 2.6)}px ${font}`;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  // Upon the colours of shards black is read best, in light and dark.
  ctx.fillStyle = colouring === "shard" || dark ? "#0b0e14" : "#11151f";
  ctx.fillText(String(count), box.x + box.w / 2, box.y + box.h / 2 + 1);
}
